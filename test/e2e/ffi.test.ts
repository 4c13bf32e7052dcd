// SPDX-License-Identifier: MIT
//
// The two transports give the driver the same bytes and bring back the same: hello, rules, counters.
import { describe, expect, it } from 'vitest'
import { checkRules } from '../../src/client/rules.js'
import { inspectInstallation, NotSupportedError, observe, pend } from '../../src/index.js'
import {
  COMMAND,
  COUNTERS_REPLY,
  LIST_RULES_REPLY,
  FILTER_NAME,
  MESSAGE_HEADER,
  PORT_NAME,
  PROTOCOL_VERSION,
} from '../../src/generated/protocol.js'
import { openAddonTransport } from '../../src/transport/addon.js'
import { decode, encode, viewOf } from '../../src/transport/codec.js'
import { openFfiTransport } from '../../src/transport/ffi.js'
import {
  countersReplyBytes,
  encodeCounters,
  encodeHello,
  encodeRules,
  envelope,
  helloReplyBytes,
  setRulesReplyBytes,
} from '../../src/transport/messages.js'
import { encodeListRules } from '../../src/transport/rule-list-messages.js'
import type { Transport } from '../../src/transport/transport.js'
import { world } from './world.js'

const { ffiNapi, refNapi } = inspectInstallation()
const installed = ffiNapi.exists && refNapi.exists
const options = { backend: 'embedded', seed: 42n, processors: 2, readings: {} } as const

/** Everything that the driver answers to the same conversation. */
async function conversation(transport: Transport): Promise<Record<string, unknown>> {
  const answers: Record<string, unknown> = {}
  try {
    answers['connect before load'] = (await transport.connect(PORT_NAME))[0]
    answers['load'] = await transport.filterLoad(FILTER_NAME)
    answers['load again'] = await transport.filterLoad(FILTER_NAME)
    answers['attach'] = await transport.filterAttach(FILTER_NAME, 'D:', '', '')
    answers['attach at'] = await transport.filterAttach(FILTER_NAME, 'E:', 'mine', '370020.5')
    answers['attach nowhere'] = await transport.filterAttach(FILTER_NAME, 'X:', '', '')
    answers['instances'] = await transport.filterInstances(FILTER_NAME, 3)
    answers['instances, no such class'] = await transport.filterInstances(FILTER_NAME, 4)
    answers['instances of nobody'] = await transport.filterInstances('nobody', 3)
    answers['device'] = await transport.queryDosDevice('D:')
    const [, port] = await transport.connect(PORT_NAME)
    if (port === undefined) {
      throw new Error('no port')
    }
    const send = async (message: Uint8Array, room: number): Promise<unknown> => {
      const output = new Uint8Array(room)
      const [hresult, bytes] = await port.sendMessage(message, output)
      const { command } = decode(MESSAGE_HEADER, viewOf(message.length < MESSAGE_HEADER.size ? output : message))
      // The time of the answer is each world's own.
      if (command === COMMAND.COUNTERS && bytes >= COUNTERS_REPLY.size) {
        encode(COUNTERS_REPLY, { time100ns: 0n }, viewOf(output))
      } else if (command === COMMAND.LIST_RULES && bytes >= LIST_RULES_REPLY.size) {
        encode(LIST_RULES_REPLY, { time100ns: 0n }, viewOf(output))
      }
      return [hresult, Buffer.from(output.subarray(0, bytes)).toString('hex')]
    }
    const rules = checkRules(
      [
        { on: ['rename'], path: '\\in?ox\\*', volume: '\\Device\\HarddiskVolume2', action: pend({ delayMs: 5 }) },
        { on: ['any'], action: observe() },
      ],
      { maxDelayMs: 30000, maxRules: 10 },
    )
    answers['not greeted'] = await send(encodeCounters(envelope(1n)), 4096)
    answers['hello'] = await send(encodeHello(envelope(2n), { control: 0, script: 0 }), helloReplyBytes)
    answers['rules'] = await send(encodeRules(envelope(3n), rules), setRulesReplyBytes)
    answers['bad rules'] = await send(
      encodeRules(
        envelope(4n),
        rules.map((rule) => ({ ...rule, delayMs: 1e6 })),
      ),
      setRulesReplyBytes,
    )
    answers['rules listed'] = await send(encodeListRules(envelope(8n), { tableId: 0n, first: 0, maxEntries: 9 }), 4096)
    answers['counters'] = await send(encodeCounters(envelope(5n)), countersReplyBytes(3))
    answers['counters, no room'] = await send(encodeCounters(envelope(6n)), 64)
    answers['too short'] = await send(new Uint8Array(8), 4096)
    answers['another version'] = await send(encodeCounters(envelope(7n, PROTOCOL_VERSION + 1)), 4096)
    answers['detach'] = await transport.filterDetach(FILTER_NAME, 'E:', 'mine')
    answers['detach again'] = await transport.filterDetach(FILTER_NAME, 'E:', 'mine')
    answers['no fault'] = transport.setFault('FltNoSuchThing', 0, 1)
    answers['fault'] = transport.setFault('FltAllocateDeferredIoWorkItem', 0, 1)
    answers['storage delay'] = transport.setStorageDelay(1000)
    await port.close()
    await port.close()
    answers['report'] = (JSON.parse(transport.report()) as { stopped: boolean }).stopped
  } finally {
    await transport.close()
  }
  answers['late storage delay'] = transport.setStorageDelay(0)
  return answers
}

describe.skipIf(!installed)('the ffi transport', () => {
  it('gets the same bytes as the addon', async () => {
    const addon = await conversation(await openAddonTransport(options))
    const ffi = await conversation(await openFfiTransport(options))
    const [hresult, counters] = addon['counters'] as [number, string]
    expect([hresult, counters.length]).toEqual([0, 2 * countersReplyBytes(3)])
    expect(addon['instances']).toEqual([0, [expect.any(Uint8Array), expect.any(Uint8Array)]])
    expect(addon['instances, no such class']).toEqual([0x80070057, []])
    expect(addon['instances of nobody']).toEqual([0x801f0013, []])
    expect(addon).toMatchObject({ 'storage delay': true, 'late storage delay': false })
    expect(ffi).toEqual(addon)
  })

  it('opens a session: hello, rules, attach, counters', async () => {
    const mp = await world({ transport: 'ffi' })
    expect(mp.transport).toBe('ffi')
    expect(mp.hello.driverVersion).toBe('0.1.0')
    const instance = await mp.attach('D:')
    expect(await mp.rules.set([{ on: ['write'], volume: 'D:', action: pend({ delayMs: 1 }) }])).toMatchObject({
      generation: expect.any(BigInt) as bigint,
    })
    const counters = await mp.counters()
    expect(counters.byInstance).toMatchObject([{ drive: 'D:', name: instance.name, altitude: instance.altitude }])
    expect(counters.balance.exact).toBe(true)
    expect(await mp.instances()).toMatchObject([{ name: instance.name, counters: { drive: 'D:' } }])
    await instance.detach()
  })

  it('says that it has no file I/O', async () => {
    const mp = await world({ transport: 'ffi' })
    await expect(mp.io.open('D:\\a')).rejects.toBeInstanceOf(NotSupportedError)
  })
})
