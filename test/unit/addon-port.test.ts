// SPDX-License-Identifier: MIT
//
// This module provides: tests of the addon's waits for messages of the driver: that the message comes, how waits end without one, and that
// nothing waits for one that does not come. When the driver rings is tested elsewhere.

import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { BELL, PROTOCOL_VERSION } from '../../src/generated/protocol.js'
import { addonTransport } from '../../src/transport/addon.js'
import { decode, viewOf } from '../../src/transport/codec.js'
import { inspectInstallation } from '../../src/transport/installation.js'
import {
  encodeHello,
  encodeRules,
  envelope,
  helloReplyBytes,
  setRulesReplyBytes,
} from '../../src/transport/messages.js'
import type { NativeBackend, NativePort } from '../../src/transport/native.js'
import { arm, ask, connect, heldWrites, native, open, portName, writePage } from './raw-driver.js'

const { addon, model, driverImage } = inspectInstallation()
const hresultAborted = 0x800703e3
const hresultInsufficientBuffer = 0x8007007a
const hresultInvalidHandle = 0x80070006
const hresultShutdown = 0x8007045b

/** Script for a process or a worker thread of its own: a port with a wait that no message ends, and what `body` does then. */
const waiting = (body: string): string => `
  const native = require(${JSON.stringify(addon.path)})
  const options = { library: ${JSON.stringify(model.path)}, driverImage: ${JSON.stringify(driverImage.path)}, seed: 1n, processorCount: 2 }
  ;(async () => {
    const backend = await native.openEmbedded(options)
    if (typeof backend === 'string') throw new Error(backend)
    await backend.filterLoad('minipend')
    const [hresult, port] = await backend.connect(${JSON.stringify(portName)}, new Uint8Array(0))
    if (port === undefined) throw new Error('connect: ' + hresult)
    const wait = port.getMessage(1, new Uint8Array(16))
    ${body}
  })()`

function runAlone(body: string): { status: number | null; signal: NodeJS.Signals | null; stderr: string } {
  const result = spawnSync(process.execPath, ['-e', waiting(body)], { encoding: 'utf8', timeout: 30_000 })
  return { status: result.status, signal: result.signal, stderr: result.stderr }
}

describe('a message of the driver', () => {
  let backend: NativeBackend
  let port: NativePort
  beforeEach(async () => {
    backend = await open()
    expect((await backend.filterAttach('minipend', 'D:', '', ''))[0]).toBe(0)
    port = await connect(backend)
    await ask(port, encodeHello(envelope(1n), { control: 0, script: 0 }), helloReplyBytes)
    await ask(port, encodeRules(envelope(2n), [heldWrites]), setRulesReplyBytes)
  })
  afterEach(async () => {
    await port.close()
    await backend.close()
  })

  it('comes without the header of the Filter Manager, each time', async () => {
    for (let count = 1; count <= 3; count += 1) {
      await arm(port)
      const message = new Uint8Array(BELL.size + 4).fill(0xee)
      const wait = port.getMessage(count, message)
      await writePage(backend)
      expect(await wait).toEqual([0, BELL.size])
      expect(decode(BELL, viewOf(message))).toMatchObject({
        sizeBytes: BELL.size,
        version: PROTOCOL_VERSION,
        count: BigInt(count),
      })
      expect([...message.subarray(BELL.size)]).toEqual([0xee, 0xee, 0xee, 0xee])
    }
  })

  it('that is there already is not waited for', async () => {
    await arm(port)
    await writePage(backend)
    expect(await port.getMessage(1, new Uint8Array(BELL.size))).toEqual([0, BELL.size])
  })

  it('that does not fit is an error', async () => {
    await arm(port)
    const wait = port.getMessage(1, new Uint8Array(BELL.size - 1))
    await writePage(backend)
    expect(await wait).toEqual([hresultInsufficientBuffer, 0])
  })

  it('whose buffer is transferred away meanwhile comes all the same', async () => {
    await arm(port)
    const message = new Uint8Array(BELL.size)
    const wait = port.getMessage(1, message)
    structuredClone(message, { transfer: [message.buffer] })
    await writePage(backend)
    expect(await wait).toEqual([0, BELL.size])
  })
})

describe('a wait for a message', () => {
  let backend: NativeBackend
  let port: NativePort
  beforeEach(async () => {
    backend = await open()
    port = await connect(backend)
  })
  afterEach(async () => {
    await port.close()
    await backend.close()
  })

  it('checks its arguments', () => {
    const loose = port as unknown as Record<'getMessage' | 'cancel', (...values: unknown[]) => unknown>
    expect(() => loose.getMessage(1, 'bytes')).toThrow(/minipend native: argument 2 must be a Uint8Array/)
    expect(() => loose.getMessage(-1, new Uint8Array(16))).toThrow(/argument 1 must be an unsigned 32-bit integer/)
    expect(() => loose.cancel('1')).toThrow(/argument 1 must be an unsigned 32-bit integer/)
  })

  it('is ended by cancel, and another one can follow', async () => {
    for (let id = 1; id <= 50; id += 1) {
      const wait = port.getMessage(id, new Uint8Array(16))
      if (id % 2 === 0) {
        await sleep(1) // now the system has it, mostly
      }
      expect(port.cancel(id)).toBe(true)
      expect(await wait).toEqual([hresultAborted, 0])
    }
  })

  it('is not ended by the cancel of another one', async () => {
    expect(port.cancel(1)).toBe(false)
    const first = port.getMessage(1, new Uint8Array(16))
    port.cancel(1)
    await first
    const second = port.getMessage(2, new Uint8Array(16))
    expect(port.cancel(1)).toBe(false)
    expect(await Promise.race([second, sleep(50, 'waits')])).toBe('waits')
    port.cancel(2)
    expect(await second).toEqual([hresultAborted, 0])
  })

  it('is the only one of its port', async () => {
    const wait = port.getMessage(1, new Uint8Array(16))
    expect(() => port.getMessage(2, new Uint8Array(16))).toThrow(
      new TypeError('minipend native: a getMessage of this port is still in flight'),
    )
    const other = await connect(backend)
    const theirs = other.getMessage(1, new Uint8Array(16))
    port.cancel(1)
    expect(await wait).toEqual([hresultAborted, 0])
    await other.close()
    expect(await theirs).toEqual([hresultAborted, 0])
  })

  it('is ended by close, which waits for nothing else', async () => {
    for (let round = 0; round < 20; round += 1) {
      const other = await connect(backend)
      const wait = other.getMessage(round, new Uint8Array(16))
      if (round % 2 === 0) {
        await sleep(1)
      }
      await Promise.all([other.close(), other.close()])
      expect(await wait).toEqual([hresultAborted, 0])
      expect(await other.getMessage(round, new Uint8Array(16))).toEqual([hresultInvalidHandle, 0])
      expect(other.cancel(round)).toBe(false)
    }
  })

  it('lets messages pass the other way', async () => {
    const wait = port.getMessage(1, new Uint8Array(16))
    // The driver refuses it, and so answers it.
    const [, bytes] = await port.sendMessage(new Uint8Array(16), new Uint8Array(64))
    expect(bytes).toBeGreaterThanOrEqual(0)
    port.cancel(1)
    expect(await wait).toEqual([hresultAborted, 0])
  })

  it('is ended by the end of the backend', async () => {
    const wait = port.getMessage(1, new Uint8Array(16))
    await backend.close()
    const [hresult, bytes] = await wait
    expect([hresultAborted, hresultShutdown, hresultInvalidHandle]).toContain(hresult)
    expect(bytes).toBe(0)
  })

  it('survives that its buffer is transferred away', async () => {
    const bytes = new Uint8Array(16)
    const wait = port.getMessage(1, bytes)
    structuredClone(bytes, { transfer: [bytes.buffer] })
    port.cancel(1)
    expect(await wait).toEqual([hresultAborted, 0])
  })

  it('is cancelled through the transport for as long as it lasts, and no longer', async () => {
    const transport = addonTransport(native, backend, 'embedded', 1n)
    const [, connection] = await transport.connect(portName)
    const first = connection?.getMessage?.(new Uint8Array(16))
    first?.cancel()
    first?.cancel()
    expect(await first?.promise).toEqual([hresultAborted, 0])
    const second = connection?.getMessage?.(new Uint8Array(16))
    first?.cancel()
    expect(await Promise.race([second?.promise, sleep(50, 'waits')])).toBe('waits')
    await connection?.close()
    expect(await second?.promise).toEqual([hresultAborted, 0])
  })
})

describe('with a wait that no message ends', () => {
  it('process.exit() ends the process with its code', () => {
    expect(runAlone('process.exit(4)')).toEqual({ status: 4, signal: null, stderr: '' })
    expect(runAlone('setTimeout(() => process.exit(5), 50)')).toEqual({ status: 5, signal: null, stderr: '' })
  })

  it('an uncaught exception ends the process', () => {
    const result = runAlone("setTimeout(() => { throw new Error('on purpose') }, 20)")
    expect(result).toMatchObject({ status: 1, signal: null })
    expect(result.stderr).toContain('on purpose')
  })

  it('the process is kept alive until it is over', () => {
    const body = `setTimeout(() => port.cancel(1), 50).unref()
      wait.then(([hresult]) => { process.exitCode = hresult === ${hresultAborted} ? 6 : 7 })`
    expect(runAlone(body)).toEqual({ status: 6, signal: null, stderr: '' })
  })

  it('terminate() ends worker threads, and the process goes on', async () => {
    const body = `
      require('node:worker_threads').parentPort.postMessage('waiting')
      await wait`
    const workers = Array.from({ length: 3 }, () => new Worker(waiting(body), { eval: true }))
    await Promise.all(
      workers.map((worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))),
    )
    expect(await Promise.all(workers.map((worker) => worker.terminate()))).toEqual([1, 1, 1])
    const backend = await open()
    await (await connect(backend)).close()
    await backend.close()
  })
})
