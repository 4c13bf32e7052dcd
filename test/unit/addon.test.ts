// SPDX-License-Identifier: MIT
//
// This module provides: tests of the compiled addon by itself: receivers, arguments, closing, buffers, environments and their ends.
// Files are those of a fresh model world without any filter.

import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { loadAddon } from '../../src/transport/addon.js'
import { inspectInstallation } from '../../src/transport/installation.js'
import type { NativeBackend, NativeFile } from '../../src/transport/native.js'

const native = loadAddon()
const { addon, model, driverImage } = inspectInstallation()
const worldOptions = { library: model.path, driverImage: driverImage.path, seed: 1n, processorCount: 2 }

const genericReadWrite = 0xc0000000
const shareAll = 7
const createAlways = 2
const overlappedFlag = 0x40000000
const errorInvalidHandle = 6
const errorFileNotFound = 2
const hresultInvalidHandle = 0x80070006

async function open(): Promise<NativeBackend> {
  const backend = await native.openEmbedded(worldOptions)
  if (typeof backend === 'string') {
    throw new Error(backend)
  }
  return backend
}

async function create(backend: NativeBackend, path: string, flags = 0): Promise<NativeFile> {
  const [error, , file] = await backend.createFile(path, genericReadWrite, shareAll, createAlways, flags)
  if (file === undefined) {
    throw new Error(`CreateFileW failed with ${error}`)
  }
  return file
}

/** A method without its object, to be called on another one. */
type Loose = (this: unknown, ...args: unknown[]) => unknown
const loose = (object: object, name: string): Loose => Reflect.get(object, name) as Loose

/** Script for a process or a worker thread of its own: opens a world, a file, and what `body` does with them. */
const script = (body: string): string => `
  const native = require(${JSON.stringify(addon.path)})
  const options = { library: ${JSON.stringify(model.path)}, driverImage: ${JSON.stringify(driverImage.path)}, seed: 1n, processorCount: 2 }
  ;(async () => {
    const backend = await native.openEmbedded(options)
    if (typeof backend === 'string') throw new Error(backend)
    const [error, , file] = await backend.createFile('D:\\\\exit.txt', ${genericReadWrite}, ${shareAll}, ${createAlways}, 0)
    if (file === undefined) throw new Error('CreateFileW: ' + error)
    ${body}
  })()`

/** A process on a busy machine needs long to start; what holds it up by mistake never ends. */
const PROCESS_LIMIT_MS = 120_000
vi.setConfig({ testTimeout: PROCESS_LIMIT_MS })

function runAlone(body: string): { status: number | null; signal: NodeJS.Signals | null; stderr: string } {
  const result = spawnSync(process.execPath, ['-e', script(body)], { encoding: 'utf8', timeout: PROCESS_LIMIT_MS })
  return { status: result.status, signal: result.signal, stderr: result.stderr }
}

describe('the module', () => {
  it('says which Node-API it was built for and which thread runs JavaScript', () => {
    expect(native.napiVersion).toBe(9)
    expect(native.currentThreadId()).toBeGreaterThan(0)
  })

  it('answers with a message when the model cannot be loaded', async () => {
    expect(await native.openEmbedded({ ...worldOptions, library: '/nowhere/libfltsim.so' })).toMatch(
      /cannot load .*nowhere/,
    )
  })

  it('answers with a message where there is no Windows', async () => {
    const backend = await native.openWindows()
    expect(typeof backend).toBe(process.platform === 'win32' ? 'object' : 'string')
  })

  it('throws a TypeError for options of a wrong type', () => {
    const openAnything = loose(native, 'openEmbedded')
    expect(() => openAnything.call(native)).toThrow(new TypeError('minipend native: argument 1 must be an object'))
    expect(() => openAnything.call(native, { ...worldOptions, seed: 1 })).toThrow(/minipend native: seed must be/)
    expect(() => openAnything.call(native, { ...worldOptions, processorCount: 'two' })).toThrow(/processorCount/)
  })
})

describe('in one world', () => {
  let backend: NativeBackend
  beforeEach(async () => {
    backend = await open()
  })
  afterEach(async () => {
    await backend.close()
  })

  it('refuses forged and foreign receivers', async () => {
    const file = await create(backend, 'D:\\receiver.txt')
    const strangers: unknown[] = [{}, file, Object.create(backend), new Proxy(backend, {}), null, undefined, 7, 'x']
    for (const stranger of strangers) {
      expect(() => loose(backend, 'report').call(stranger)).toThrow(
        new TypeError('minipend native: the receiver is not a NativeBackend'),
      )
    }
    expect(() => loose(file, 'close').call(backend)).toThrow(/the receiver is not a NativeFile/)
    const Constructor = file.constructor as new () => NativeFile
    const forged = new Constructor()
    expect(() => forged.cancel(1)).toThrow(/the receiver is not a NativeFile/)
    await file.close()
  })

  it('names the argument that is wrong', async () => {
    const file = await create(backend, 'D:\\arguments.txt')
    const read = loose(file, 'read')
    expect(() => read.call(file, -1, new Uint8Array(1), 0n)).toThrow(/argument 1 must be an unsigned 32-bit integer/)
    expect(() => read.call(file, 1, [1, 2], 0n)).toThrow(/argument 2 must be a Uint8Array/)
    expect(() => read.call(file, 1, new Uint8Array(1), 0)).toThrow(/argument 3 must be a bigint/)
    expect(() => read.call(file, 1, new Uint8Array(1), -2n)).toThrow(/argument 3 must be an offset, or -1n/)
    expect(() => backend.createDirectory('D:\\a\0b')).toThrow(/argument 1 must be a string without a NUL/)
    await file.close()
  })

  it('writes and reads through both kinds of handle', async () => {
    for (const flags of [0, overlappedFlag]) {
      const file = await create(backend, `D:\\kinds-${flags}.txt`, flags)
      expect(await file.write(1, Buffer.from('hello world'), 0n)).toEqual([0, 0, 11])
      const target = new Uint8Array(5)
      expect(await file.read(2, target, 6n)).toEqual([0, 0, 5])
      expect(Buffer.from(target).toString()).toBe('world')
      expect(await file.close()).toEqual([0, 0, undefined])
    }
  })

  it('reports an error with its NTSTATUS', async () => {
    const [error, status, file] = await backend.createFile('D:\\nothing.txt', genericReadWrite, shareAll, 3, 0)
    expect([error, status, file]).toEqual([errorFileNotFound, 0xc0000034, undefined])
  })

  it('maps a file and keeps to the view', async () => {
    const file = await create(backend, 'D:\\view.txt')
    await file.write(1, new Uint8Array(4096), 0n)
    const [error, , view] = await file.map(2, 4096, true, false)
    expect(error).toBe(0)
    if (view === undefined) throw new Error('no view')
    expect(view.length).toBe(4096)
    expect(await view.write(4093, Buffer.from('end'))).toEqual([0, 0, undefined])
    const target = new Uint8Array(3)
    expect(await view.read(4093, target)).toEqual([0, 0, undefined])
    expect(Buffer.from(target).toString()).toBe('end')
    expect(() => view.read(4094, target)).toThrow(/within the view's 4096 bytes/)
    expect(await view.flush(0, 4096)).toEqual([0, 0, undefined])
    expect(await view.close()).toEqual([0, 0, undefined])
    expect(await view.close()).toEqual([0, 0, undefined])
    expect(await view.read(0, target)).toEqual([errorInvalidHandle, 0, undefined])
    await file.close()
  })

  it('closes once, after the calls in flight, however often it is asked', async () => {
    const file = await create(backend, 'D:\\close.txt')
    const order: string[] = []
    const write = file.write(1, new Uint8Array(65_536), 0n).then(() => order.push('write'))
    const first = file.close().then(() => order.push('close'))
    const second = file.close().then(() => order.push('close'))
    expect(await file.write(2, new Uint8Array(1), 0n)).toEqual([errorInvalidHandle, 0, 0])
    await Promise.all([write, first, second])
    expect(order).toEqual(['write', 'close', 'close'])
    expect(await file.close()).toEqual([0, 0, undefined])
  })

  it('takes no notice of a buffer that is transferred away while a call has it', async () => {
    const file = await create(backend, 'D:\\detached.txt', overlappedFlag)
    const bytes = new Uint8Array([1, 2, 3, 4])
    const write = file.write(1, bytes, 0n)
    structuredClone(bytes, { transfer: [bytes.buffer] })
    expect(await write).toEqual([0, 0, 4])
    const target = new Uint8Array(4)
    const read = file.read(2, target, 0n)
    structuredClone(target, { transfer: [target.buffer] })
    expect(await read).toEqual([0, 0, 4])
    const again = new Uint8Array(4)
    expect(await file.read(3, again, 0n)).toEqual([0, 0, 4])
    expect([...again]).toEqual([1, 2, 3, 4])
    await file.close()
  })

  it('finds no call to cancel when none is in flight', async () => {
    const file = await create(backend, 'D:\\cancel.txt')
    expect(file.cancel(1)).toBe(false)
    await file.close()
  })

  it('closes the handles that JavaScript forgot', async () => {
    for (let round = 0; round < 50; round += 1) {
      await create(backend, `D:\\forgotten-${round}.txt`)
    }
    // Sharing nothing, the last open succeeds only when the forgotten handle is closed.
    await expect
      .poll(
        async () => {
          globalThis.gc?.()
          const [error, , file] = await backend.createFile('D:\\forgotten-7.txt', genericReadWrite, 0, 3, 0)
          await file?.close()
          return error
        },
        { timeout: 5_000 },
      )
      .toBe(0)
  })

  it('answers "invalid handle" when the backend has been closed', async () => {
    const file = await create(backend, 'D:\\late.txt')
    await backend.close()
    await backend.close()
    expect(await file.read(1, new Uint8Array(1), 0n)).toEqual([errorInvalidHandle, 0, 0])
    expect(await backend.filterLoad('minipend')).toBe(hresultInvalidHandle)
    expect(await backend.queryDosDevice('D:')).toEqual([errorInvalidHandle, 0, ''])
    expect(backend.report()).toBe('')
    expect(backend.setFault('FltAllocateDeferredIoWorkItem', 0, 1)).toBe(false)
    expect(backend.setStorageDelay(1)).toBe(false)
    await file.close()
  })
})

describe('environments', () => {
  it('loads in worker threads, several at once, and survives their end', async () => {
    const body = `
      const [, , written] = await file.write(1, Buffer.from('hello'), 0n)
      require('node:worker_threads').parentPort.postMessage(written)
      await new Promise(() => setInterval(() => {}, 1000))`
    const workers = Array.from({ length: 3 }, () => new Worker(script(body), { eval: true }))
    const answers = await Promise.all(
      workers.map((worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))),
    )
    expect(answers).toEqual([5, 5, 5])
    await Promise.all(workers.map((worker) => worker.terminate()))
    const backend = await open()
    await (await create(backend, 'D:\\after.txt')).close()
    await backend.close()
  })

  it('ends by itself when nothing is pending, though nothing was closed', () => {
    expect(runAlone('await file.write(1, Buffer.alloc(10), 0n)')).toEqual({ status: 0, signal: null, stderr: '' })
  })

  it('is kept alive by a pending call', () => {
    const body = 'file.write(1, Buffer.alloc(10), 0n).then(([error]) => { process.exitCode = error === 0 ? 5 : 6 })'
    expect(runAlone(body)).toEqual({ status: 5, signal: null, stderr: '' })
  })

  it('exits at once with calls in flight', () => {
    const body = `
      for (let id = 0; id < 50; id += 1) file.write(id, Buffer.alloc(65536), BigInt(id) * 65536n)
      process.exit(4)`
    expect(runAlone(body)).toEqual({ status: 4, signal: null, stderr: '' })
  })

  it('ends with an uncaught exception while calls are in flight', () => {
    const body = `
      file.write(1, Buffer.alloc(65536), 0n)
      setImmediate(() => { process.exitCode = 9; process.emit('SIGINT'); throw new Error('on purpose') })`
    const result = runAlone(body)
    expect(result.signal).toBeNull()
    expect(result.stderr).toContain('on purpose')
  })

  it('gives a world back when nobody has it any more', async () => {
    for (let round = 0; round < 5; round += 1) {
      await open()
      globalThis.gc?.()
      await sleep(10)
    }
    const backend = await open()
    expect(JSON.parse(backend.report())).toMatchObject({ stopped: false })
    await backend.close()
  })
})
