// SPDX-License-Identifier: MIT
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openOver } from '../../src/client/over.js'
import {
  ClosedError,
  DriverNotLoadedError,
  InvalidOptionError,
  InvalidRuleError,
  NotSupportedError,
  openMinipend,
  pend,
  VersionMismatchError,
} from '../../src/index.js'
import { PROTOCOL_VERSION } from '../../src/generated/protocol.js'
import { openAddonTransport } from '../../src/transport/addon.js'
import { inspectInstallation } from '../../src/transport/installation.js'
import type { NativeModule } from '../../src/transport/native.js'
import { expectBalance, settled, world } from './world.js'

describe('the real driver and the model', () => {
  it('driver not loaded', async () => {
    const error: unknown = await openMinipend({ backend: 'embedded', load: false }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(DriverNotLoadedError)
    expect(error).toMatchObject({
      code: 'DRIVER_NOT_LOADED',
      message: 'the minipend driver is not loaded: its communication port does not exist',
      hint: 'load it: open with load: true, or run `fltmc load minipend` as administrator',
      hresult: { name: 'ERROR_FILE_NOT_FOUND', value: 0x80070002 },
    })
  })

  it('another driver for the model, and what is none', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'minipend image é'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const own = inspectInstallation().driverImage.path
    const driverImage = path.join(directory, path.basename(own))
    writeFileSync(driverImage, 'hello')
    const error: unknown = await openMinipend({ backend: 'embedded', driverImage }).catch((caught: unknown) => caught)
    expect(error).toMatchObject({
      message: `cannot load the minipend driver from ${driverImage}: ERROR_BAD_EXE_FORMAT (0x800700C1)`,
    })
    copyFileSync(own, driverImage)
    const mp = await world({ driverImage })
    expect(mp.model.report().history.join()).toContain('driver minipend: loaded')
  })

  it('a model that knows other readings is closed again', async () => {
    let closed = 0
    const backend = { setReading: () => 'there is no reading "x"', close: () => Promise.resolve(closed++) }
    const native = { openEmbedded: () => Promise.resolve(backend) } as unknown as NativeModule
    const readings = { 'close-irql': 'passive' } as const
    const opening = openAddonTransport({ backend: 'embedded', seed: 1n, processors: 2, readings }, native)
    await expect(opening).rejects.toThrow('the model does not know what this package knows: there is no reading "x"')
    expect(closed).toBe(1)
  })

  it('another protocol version', async () => {
    const transport = await openAddonTransport({ backend: 'embedded', seed: 1n, processors: 2, readings: {} })
    const opening = openOver(transport, { files: [], load: true, signal: undefined }, 9)
    const error: unknown = await opening.catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(VersionMismatchError)
    expect(error).toMatchObject({
      message: `the driver speaks protocol version ${PROTOCOL_VERSION}, this library version 9`,
      driver: PROTOCOL_VERSION,
      client: 9,
      hint: 'install the driver and the library of the same release',
    })
  })

  it('a malformed rule changes nothing', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.rules.set([{ on: ['write'], action: pend() }])
    const { ruleGeneration } = await mp.counters()
    const bad = mp.rules.set([{ on: ['read'], action: pend({ delayMs: mp.hello.limits.maxDelayMs + 1 }) }])
    await expect(bad).rejects.toBeInstanceOf(InvalidRuleError)
    await expect(mp.rules.set([{ on: ['renmae' as 'rename'], action: pend() }])).rejects.toThrow(
      'did you mean "rename"',
    )
    expect((await mp.counters()).ruleGeneration).toBe(ruleGeneration)
    await mp.io.writeFile('D:\\a', 'x')
    const counters = await settled(mp)
    expect(counters.pended).toBe(1n)
    expectBalance(counters)
  })

  it('no fault switch of that name', async () => {
    const mp = await world()
    expect(() => {
      mp.model.setFault('FltNoSuchThing', { count: 1 })
    }).toThrow(InvalidOptionError)
  })

  it('use after close', async () => {
    const mp = await world()
    const file = await mp.io.open('D:\\a', { access: 'readwrite', create: 'create' })
    const instance = await mp.attach('D:')
    await mp.close()
    await mp.close()
    await expect(mp.counters()).rejects.toBeInstanceOf(ClosedError)
    await expect(mp.io.readFile('D:\\a')).rejects.toBeInstanceOf(ClosedError)
    await expect(file.read(1)).rejects.toBeInstanceOf(ClosedError)
    await expect(instance.detach()).resolves.toBeUndefined()
    expect(instance.detached).toBe(true)
  })

  it('a call under way when the session is closed ends', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.rules.set([
      { on: ['write'], action: pend({ delayMs: mp.hello.limits.maxDelayMs }) /* longer than a test may take */ },
    ])
    const file = await mp.io.open('D:\\a', { access: 'readwrite', create: 'create' })
    const writing = file.write('held')
    while ((await mp.counters()).held === 0n);
    await Promise.all([mp.close(), writing])
  })

  it('a disposed session is closed', async () => {
    const mp = await openMinipend({ backend: 'embedded' })
    await mp[Symbol.asyncDispose]()
    expect(mp.closed).toBe(true)
  })

  it.skipIf(process.platform === 'win32')('the windows backend elsewhere', async () => {
    for (const transport of ['addon', 'ffi'] as const) {
      const error: unknown = await openMinipend({ backend: 'windows', transport }).catch((caught: unknown) => caught)
      expect(error).toBeInstanceOf(NotSupportedError)
      expect(error).toMatchObject({ hint: expect.stringContaining("'embedded'") as string })
    }
  })
})

describe('a missing build', () => {
  it('says what to do', async () => {
    const before = process.env['MINIPEND_BUILD_DIR']
    const addon = process.env['MINIPEND_ADDON']
    process.env['MINIPEND_BUILD_DIR'] = '/no/such/build'
    delete process.env['MINIPEND_ADDON']
    try {
      await expect(openMinipend({ backend: 'embedded' })).rejects.toMatchObject({
        code: 'BUILD_MISSING',
        hint: 'build it: npm run build',
      })
    } finally {
      if (before === undefined) {
        delete process.env['MINIPEND_BUILD_DIR']
      } else {
        process.env['MINIPEND_BUILD_DIR'] = before
      }
      if (addon !== undefined) {
        process.env['MINIPEND_ADDON'] = addon
      }
    }
  })
})
