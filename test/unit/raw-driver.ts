// SPDX-License-Identifier: MIT
//
// This module provides: the driver in a model below the client: the addon's calls and messages of bytes. For tests of what the client never sends.

import { expect } from 'vitest'

import { ACTION, HOLD, OPERATIONS, QUEUE } from '../../src/generated/protocol.js'
import { loadAddon } from '../../src/transport/addon.js'
import { encodeListHeld, listHeldReplyBytes } from '../../src/transport/held-messages.js'
import { inspectInstallation } from '../../src/transport/installation.js'
import { decodeReplyHeader, envelope, type WireRule } from '../../src/transport/messages.js'
import type { NativeBackend, NativePort } from '../../src/transport/native.js'
import { applyReadings } from '../../src/transport/transport.js'
import { READINGS_HERE } from '../e2e/world.js'

export const native = loadAddon()
const { model, driverImage } = inspectInstallation()

export const portName = '\\MinipendPort'

/** A model without the driver. */
export async function openModel(): Promise<NativeBackend> {
  const backend = await native.openEmbedded({
    library: model.path,
    driverImage: driverImage.path,
    seed: 1n,
    processorCount: 2,
  })
  if (typeof backend === 'string') {
    throw new Error(backend)
  }
  applyReadings(READINGS_HERE, (name, value) => backend.setReading(name, value))
  return backend
}

/** A model with the driver in it. */
export async function open(): Promise<NativeBackend> {
  const backend = await openModel()
  expect(await backend.filterLoad('minipend')).toBe(0)
  return backend
}

export async function connect(backend: NativeBackend): Promise<NativePort> {
  const [hresult, port] = await backend.connect(portName, new Uint8Array(0))
  if (port === undefined) {
    throw new Error(`FilterConnectCommunicationPort failed with ${hresult.toString(16)}`)
  }
  return port
}

/** Holds every write for a moment: long enough to be parked. */
export const heldWrites: WireRule = {
  number: 1,
  operations: 1n << BigInt(OPERATIONS.findIndex(({ name }) => name === 'write')),
  action: ACTION.PEND,
  queue: QUEUE.DELAYED,
  hold: HOLD.DELAY,
  delayMs: 1,
  flags: 0,
  conditions: 0,
  minorFunctions: 0,
  processId: 0,
  statusFilter: 0,
  matchStatus: 0,
  failStatus: 0,
  everyNth: 0,
  atMost: 0,
  probabilityPpm: 0,
  maxHeld: 0,
  seed: 0n,
  path: '',
  volume: '',
}

export async function ask(port: NativePort, message: Uint8Array, replyBytes: number): Promise<void> {
  const reply = new Uint8Array(replyBytes)
  const [hresult, bytes] = await port.sendMessage(message, reply)
  expect(hresult).toBe(0)
  expect(decodeReplyHeader(reply.subarray(0, bytes))?.status).toBe(0)
}

/** Has the driver ring when the next operation is held. */
export const arm = (port: NativePort): Promise<void> =>
  ask(
    port,
    encodeListHeld(envelope(3n), { afterParkSequence: 0n, maxEntries: 0, own: true, arm: true }),
    listHeldReplyBytes(0),
  )

/** Writes a page past the cache, as an IRP. */
export async function writePage(backend: NativeBackend): Promise<void> {
  const [error, , file] = await backend.createFile('D:\\bell.bin', 0xc0000000, 7, 2, 0x20000000)
  expect(error).toBe(0)
  expect(await file?.write(1, new Uint8Array(4096), 0n)).toEqual([0, 0, 4096])
  await file?.close()
}
