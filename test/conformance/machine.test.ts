// SPDX-License-Identifier: MIT
//
// The machine around the driver: other processes and their end, a file server, the paging file, unloads that are refused, what the Filter Manager lists.

import { describe, expect, onTestFinished } from 'vitest'
import { observe, OPERATION_NAMES, pend } from '../../src/index.js'
import {
  countersReplyBytes,
  decodeCounters,
  encodeCounters,
  encodeHello,
  encodeRules,
  envelope,
  helloReplyBytes,
  setRulesReplyBytes,
} from '../../src/transport/messages.js'
import type { NativePort } from '../../src/transport/native.js'
import { sleep } from '../e2e/world.js'
import { ask, connect, heldWrites, openModel, portName } from '../unit/raw-driver.js'
import { conformance, conformanceOf, heldBy, settled, take, text, VOLUMES } from './case.js'
import { pagingFileIo, servedContent, setServiceParameter, stopService, writingProcess } from './machine.js'

const PAGE = 4096

describe('a process that is killed', () => {
  conformance(
    'SEQ-24 CANC-06a T31',
    'ends when its held write has been given back, with its handles closed; the write has happened',
    async (bench) => {
      const { mp } = bench
      await bench.attach()
      await bench.rules({ on: ['write'], action: pend({ delayMs: mp.hello.limits.maxDelayMs }) })
      await using events = await mp.events({ kinds: ['completed'] })
      const other = writingProcess(bench.at('file'))
      await heldBy(mp, 1n)
      expect(other.ended()).toBe(false)
      other.kill()
      const [completed] = await take(events, 1)
      expect(completed, 'the driver has found out that its thread is terminating').toMatchObject({ cause: 'thread' })
      while (!other.ended()) {
        await sleep(5)
      }
      // It shared the file with nobody.
      await using file = await mp.io.open(bench.at('file'), { share: [] })
      expect(text(await file.read(PAGE, { at: 0 }))).toBe('written')
    },
  )

  conformance(
    'CANC-06a',
    'does not end while its write is held: killing it gives nothing back by itself',
    async (bench) => {
      const { mp } = bench
      await bench.attach()
      await using gate = await bench.gate({ on: ['write'] })
      const other = writingProcess(bench.at('file'))
      const held = await gate.next({ timeoutMs: 15_000 })
      other.kill()
      expect(other.ended()).toBe(false)
      // Whoever is first, the client or the driver that looks at threads.
      await held.release().catch(() => undefined)
      while (!other.ended()) {
        await sleep(5)
      }
      await settled(mp)
    },
  )
})

describe('a file server', () => {
  conformance('SEQ-26 POST-10 FORM-01', 'reads by fast I/O, which is never pended', async (bench) => {
    const { mp } = bench
    const path = await bench.filled('file', 'served')
    await bench.attach()
    await bench.rules({ on: ['mdlIo'], allow: { kernelMode: true }, action: pend({ fastIo: 'refuse' }) })
    expect(text(await servedContent(path))).toBe('served')
    const { mdlIo } = (await settled(mp)).byOperation
    expect(mdlIo.pended).toBe(0n)
    expect(mdlIo.refused.notIrp).toBe(mdlIo.refused.total)
    expect(mdlIo.refused.notIrp).toBeGreaterThanOrEqual(2n)
  })
})

describe('the paging file', () => {
  conformance(
    'SEQ-13 CRE-06 POST-11',
    'is written and read by paging I/O, which is never pended; its opening is left alone',
    async ({ mp }) => {
      await mp.attach('C:')
      await using events = await mp.events({ kinds: ['taken', 'refused'] })
      const allow = { kernelMode: true, bootVolume: true }
      await mp.rules.set([{ id: 'all', volume: 'C:', on: ['create', 'read', 'write'], allow, action: pend() }])
      const pages = new Uint8Array(2 * PAGE).map((_, index) => index % 251)
      expect(pagingFileIo(true, PAGE, pages)).toBe(0)
      const back = new Uint8Array(2 * PAGE)
      expect(pagingFileIo(false, PAGE, back)).toBe(0)
      expect(back).toEqual(pages)
      const seen = await take(events, 3)
      expect(seen.map(({ operation, cause }) => `${operation} ${cause}`)).toEqual([
        'create policy',
        'write paging',
        'read paging',
      ])
      expect(await mp.counters()).toMatchObject({ pended: 0n })
    },
    { lanes: ['embedded'] },
  )
})

/** Operations that the driver holds. */
async function heldNow(port: NativePort): Promise<number> {
  const reply = new Uint8Array(countersReplyBytes(4))
  const [, bytes] = await port.sendMessage(encodeCounters(envelope(9n)), reply)
  return Number(decodeCounters(reply.subarray(0, bytes))?.heldNow)
}

describe('an unload', () => {
  conformanceOf(
    'UNL-01 UNL-02 T29',
    'that asks can be refused while something is held, and everything goes on; one that does not ask cannot',
    async () => {
      const backend = await openModel()
      onTestFinished(() => backend.close())
      setServiceParameter(backend.world, 'RefuseUnloadWhileHeld', 1)
      expect(await backend.filterLoad('minipend')).toBe(0)
      expect((await backend.filterAttach('minipend', 'D:', '', ''))[0]).toBe(0)
      const port = await connect(backend)
      await ask(port, encodeHello(envelope(1n), { control: 0, script: 0 }), helloReplyBytes)
      await ask(port, encodeRules(envelope(2n), [{ ...heldWrites, delayMs: 30_000 }]), setRulesReplyBytes)
      const [, , file] = await backend.createFile('D:\\a', 0xc0000000, 7, 2, 0x60000000)
      const writing = file?.write(1, new Uint8Array(PAGE), 0n)
      while ((await heldNow(port)) === 0) {
        await sleep(1)
      }
      expect((await backend.filterUnload('minipend')).toString(16)).toBe('801f0010')
      expect(await heldNow(port), 'it is still held').toBe(1)
      await ask(port, encodeRules(envelope(3n), [heldWrites]), setRulesReplyBytes)
      expect(stopService(backend.world)).toBe(0)
      expect(await writing).toEqual([0, 0, PAGE])
      await file?.close()
      expect((await backend.connect(portName, new Uint8Array(0)))[1]).toBeUndefined()
      expect(JSON.parse(backend.report())).toMatchObject({ stopped: false, leaks: [] })
    },
    { lanes: ['embedded'] },
  )
})

describe('instances', () => {
  conformance(
    'LIFE-02 LIFE-14 ALT-01',
    'are listed from when they are attached until they are torn down, with names and altitudes as given',
    async (bench) => {
      const { mp } = bench
      const shown = async (): Promise<string[]> =>
        (await mp.instances()).map(({ name, altitude, drive, fileSystem }) =>
          [name, altitude, drive, fileSystem].join(' '),
        )
      expect(await shown()).toEqual([])
      await using low = await mp.attach(VOLUMES.ntfs, { instanceName: 'low', altitude: '100.5' })
      await using high = await mp.attach(VOLUMES.ntfs, { instanceName: 'high', altitude: '100000000000000000000.25' })
      await using fat = await mp.attach(VOLUMES.fat, { instanceName: 'fat', altitude: '100.5' })
      const { ntfs: N, fat: F } = VOLUMES
      expect((await shown()).sort()).toEqual([
        expect.stringMatching(`^fat 100\\.5 ${F} (fat|fastfat|exfat)$`) as string,
        `high 100000000000000000000.25 ${N} ntfs`,
        `low 100.5 ${N} ntfs`,
      ])
      await low.detach()
      expect((await mp.instances()).map(({ name }) => name).sort()).toEqual(['fat', 'high'])
      await high.detach()
      await fat.detach()
      expect(await shown()).toEqual([])
    },
  )

  conformance('LIFE-12 LIFE-14', 'that are gone keep their counts in the sum', async (bench) => {
    const { mp } = bench
    const instance = await mp.attach(VOLUMES.ntfs)
    await bench.rules({ on: [...OPERATION_NAMES], action: observe() })
    await bench.filled('file')
    const before = await settled(mp)
    expect(before.observed).toBeGreaterThan(0n)
    await instance.detach()
    await bench.filled('another')
    const after = await mp.counters()
    expect(after.byInstance).toEqual([])
    expect(after.observed).toBe(before.observed)
  })
})
