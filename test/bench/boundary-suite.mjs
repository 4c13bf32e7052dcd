// SPDX-License-Identifier: MIT
//
// This module provides: the suite "boundary": one and the same C function called from JavaScript in different ways, in one world:
//   a hand-written addon (call.c), koffi and ffi-napi, each synchronously on the JavaScript thread, and the product's addon its own way (a promise, the
//   call on a thread of its own). koffi is there for this comparison only.

import { Buffer } from 'node:buffer'

import koffi from 'koffi'

import {
  ACTION,
  EVENTS as EVENT_KINDS,
  OPERATIONS,
  QUEUE,
  REPLY_HEADER,
  RULE_FLAG,
} from '../../dist/generated/protocol.js'
import { loadAddon } from '../../dist/transport/addon.js'
import { decode, viewOf } from '../../dist/transport/codec.js'
import {
  decodePullEvents,
  encodePullEvents,
  encodeSubscribe,
  pullEventsReplyBytes,
} from '../../dist/transport/event-messages.js'
import { loadFfi } from '../../dist/transport/ffi-library.js'
import { inspectInstallation, loadModule } from '../../dist/transport/installation.js'
import * as messages from '../../dist/transport/messages.js'

const PORT = '\\MinipendPort'
const EVENTS = 256

const envelope = () => messages.envelope(1n)
const need = (hresult, what) => {
  if (hresult !== 0) throw new Error(`${what} failed: 0x${(hresult >>> 0).toString(16)}`)
}
/** Says no when the message came through, and the driver did not do what it asks for. */
const needAnswer = (reply, what) => {
  const { status, detail } = decode(REPLY_HEADER, viewOf(reply))
  if (status !== 0) throw new Error(`${what} failed: 0x${(status >>> 0).toString(16)}, detail ${detail}`)
}

/** The ways to call: { name, lastError, send(input, output) } and what each has open. */
function openWays(library, callAddon) {
  const handles = koffi.load(library)
  const connect = handles.func(
    'int32_t FilterConnectCommunicationPort(str16 name, uint32_t options, void *context, uint16_t bytes, void *attributes, _Out_ uint64_t *port)',
  )
  const open = () => {
    const port = [0]
    need(connect(PORT, 0, null, 0, null, port), 'FilterConnectCommunicationPort')
    return port[0]
  }
  const returned = new Uint32Array(1)

  const own = loadModule(callAddon)
  own.open(library)
  const ownPort = BigInt(open())

  const koffiPort = open()
  const koffiSend = handles.func(
    'int32_t FilterSendMessage(uint64_t port, void *in, uint32_t inBytes, void *out, uint32_t outBytes, void *returned)',
  )
  const koffiError = handles.func('uint32_t GetLastError()')

  const ffi = loadFfi(library)
  const ffiPort = String(open())
  const buffer = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const ffiReturned = buffer(returned)

  return [
    {
      way: 'hand-written addon, synchronous',
      lastError: () => own.lastError(),
      send: (input, output) => own.sendMessage(ownPort, input, output, returned),
    },
    {
      way: 'koffi, synchronous',
      lastError: () => koffiError(),
      send: (input, output) => koffiSend(koffiPort, input, input.length, output, output.length, returned),
    },
    {
      way: 'ffi-napi, synchronous',
      lastError: () => ffi.kernel().number('GetLastError'),
      send: (input, output) =>
        ffi
          .filter()
          .number(
            'FilterSendMessage',
            ffiPort,
            buffer(input),
            input.length,
            buffer(output),
            output.length,
            ffiReturned,
          ),
    },
  ]
}

/** `calls` of `call`, one after another. */
async function repetition(call, calls) {
  const cpu = process.cpuUsage()
  const start = process.hrtime.bigint()
  for (let i = 0; i < calls; i++) {
    const answer = call()
    if (answer instanceof Promise) await answer
  }
  const wallNs = Number(process.hrtime.bigint() - start)
  const { user, system } = process.cpuUsage(cpu)
  return { operations: calls, wallNs, cpuNs: (user + system) * 1000 }
}

/** Says hello on a connection, and asks for everybody's events. */
async function subscribe(send) {
  const hello = new Uint8Array(messages.helloReplyBytes)
  need(await send(messages.encodeHello(envelope(), { control: 0, script: 0 }), hello), 'hello')
  needAnswer(hello, 'hello')
  const reply = new Uint8Array(4096)
  const kinds = 2 ** EVENT_KINDS.length - 1
  need(await send(encodeSubscribe(envelope(), { kinds, allClients: true, ringEvents: 1024 }), reply), 'subscribe')
  needAnswer(reply, 'subscribe')
}

/** More than EVENTS events: writes that are pended. Nobody acknowledges them, so each pull gives the same ones. */
async function makeEvents(backend, send) {
  const rule = {
    number: 1,
    operations: 1n << BigInt(OPERATIONS.findIndex(({ name }) => name === 'write')),
    minorFunctions: 0,
    action: ACTION.PEND,
    queue: QUEUE.DELAYED,
    ...{ hold: 0, delayMs: 0, flags: RULE_FLAG.FAST_IO_TO_IRP, conditions: 0, processId: 0, statusFilter: 0 },
    ...{ matchStatus: 0, failStatus: 0, everyNth: 0, atMost: 0, probabilityPpm: 0, maxHeld: 0, seed: 0n },
    ...{ path: '', volume: '' },
  }
  const reply = new Uint8Array(messages.setRulesReplyBytes)
  need(await send(messages.encodeRules(envelope(), [rule]), reply), 'set rules')
  needAnswer(reply, 'set rules')
  const [error, , file] = await backend.createFile('D:\\events', 0xc0000000, 7, 4, 0)
  need(error, 'CreateFileW')
  for (let i = 0; i < EVENTS; i++) need((await file.write(i, new Uint8Array(8), -1n))[0], 'WriteFile')
  await file.close()
}

export async function boundarySuite({ repetitions, calls, callAddon }) {
  const { model, driverImage } = inspectInstallation()
  const native = loadAddon()
  const backend = await native.openEmbedded({
    library: model.path,
    driverImage: driverImage.path,
    seed: 1n,
    processorCount: 2,
  })
  if (typeof backend === 'string') throw new Error(backend)
  try {
    need(await backend.filterLoad('minipend'), 'FilterLoad')
    need((await backend.filterAttach('minipend', 'D:', '', ''))[0], 'FilterAttach')
    koffi.load(model.path).func('int FltSimSelectWorld(uint32_t world)')(backend.world)
    const ways = openWays(model.path, callAddon)
    const [hresult, port] = await backend.connect(PORT, new Uint8Array(0))
    need(hresult, 'FilterConnectCommunicationPort')
    ways.push({
      way: "minipend's addon, promise",
      lastError: undefined,
      send: async (input, output) => (await port.sendMessage(input, output))[0],
    })
    for (const { send } of ways) await subscribe(send)
    await makeEvents(backend, ways[0].send)
    return await measure(ways, repetitions, calls)
  } finally {
    await backend.close()
  }
}

async function measure(ways, repetitions, calls) {
  const counters = messages.encodeCounters(envelope())
  const pull = encodePullEvents(envelope(), { acknowledge: 0n, arm: false, maxEvents: EVENTS })
  const countersReply = new Uint8Array(messages.countersReplyBytes(2))
  const pullReply = new Uint8Array(pullEventsReplyBytes(EVENTS))
  const kinds = [
    { call: 'GetLastError (does nothing)', run: (way) => way.lastError?.() ?? undefined, has: (way) => way.lastError },
    { call: 'FilterSendMessage: counters snapshot', run: (way) => way.send(counters, countersReply), has: () => true },
    { call: `FilterSendMessage: ${EVENTS} events`, run: (way) => way.send(pull, pullReply), has: () => true },
  ]
  for (const { way, send } of ways) {
    need(await send(pull, pullReply), 'pull events')
    needAnswer(pullReply, 'pull events')
    const count = decodePullEvents(pullReply)?.count
    if (count !== EVENTS) throw new Error(`bench: ${way}: ${count} events came, not ${EVENTS}`)
  }
  const results = []
  for (const { call, run, has } of kinds) {
    const taking = ways.filter(has).map((way) => ({ way, samples: [] }))
    for (const { way } of taking) {
      const answer = await run(way)
      if (call.startsWith('FilterSendMessage')) need(answer, call)
    }
    for (let i = 0; i < repetitions; i++) {
      for (const { way, samples } of taking) samples.push(await repetition(() => run(way), calls))
    }
    for (const { way, samples } of taking) {
      results.push({ suite: 'boundary', call, way: way.way, executor: 'fibers', samples })
    }
  }
  return results
}
