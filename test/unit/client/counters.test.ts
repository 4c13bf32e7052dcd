// SPDX-License-Identifier: MIT
//
// Differences of counters, against a driver whose instances come, count and go.
import { describe, expect, it } from 'vitest'
import { openOver } from '../../../src/client/over.js'
import {
  COMMAND,
  COUNTERS_REPLY,
  HISTOGRAMS,
  INSTANCE,
  INSTANCE_FLAG,
  OPERATION_COUNTERS,
  OPERATIONS,
  REPLY_HEADER,
} from '../../../src/generated/protocol.js'
import { type Counters, InvalidOptionError, type Minipend } from '../../../src/index.js'
import { decode, encode, viewOf } from '../../../src/transport/codec.js'
import { fakeTransport } from './fake.js'

const WRITE = OPERATIONS.findIndex(({ name }) => name === 'write')

interface Fields {
  readonly postOperations?: bigint
  readonly pended?: bigint
  readonly completed?: bigint
  readonly inFlight?: bigint
  readonly inFlightHighWater?: bigint
  readonly failed?: bigint
  readonly waiting?: bigint
  /** Times in bucket 4. */
  readonly holds?: bigint
  readonly queues?: bigint
}

interface State {
  retired: Fields
  /** Write counters by instance id. */
  instances: Record<number, Fields>
  head: { unexpectedRefusals?: bigint; unexpectedSuccesses?: bigint; heldNow?: bigint; heldHighWater?: bigint }
}

function writeInstance(reply: Uint8Array, at: number, id: number, fields: Fields): void {
  const view = viewOf(reply)
  encode(INSTANCE, { instanceId: BigInt(id), flags: id === 0 ? INSTANCE_FLAG.RETIRED : 0 }, view, at)
  reply.set(Buffer.from(id === 0 ? '' : `\\Device\\Volume${id}`, 'utf16le'), at + INSTANCE.fields.volume.offset)
  const { holds = 0n, queues = 0n, ...counters } = fields
  encode(OPERATION_COUNTERS, counters, view, at + INSTANCE.fields.operations.offset + WRITE * OPERATION_COUNTERS.size)
  const histograms = at + INSTANCE.fields.histograms.offset + WRITE * HISTOGRAMS.size
  view.setBigUint64(histograms + HISTOGRAMS.fields.hold.offset + 8 * 4, holds, true)
  view.setBigUint64(histograms + HISTOGRAMS.fields.queue.offset + 8 * 4, queues, true)
}

function replyOf(state: State, header: Uint8Array): Uint8Array {
  const all = [
    [0, state.retired] as const,
    ...Object.entries(state.instances).map(([id, f]) => [Number(id), f] as const),
  ]
  const reply = new Uint8Array(COUNTERS_REPLY.size + all.length * INSTANCE.size)
  reply.set(header.subarray(0, REPLY_HEADER.size))
  encode(
    COUNTERS_REPLY,
    { sizeBytes: reply.length, instanceCount: all.length, instanceBytes: INSTANCE.size, time100ns: 7n, ...state.head },
    viewOf(reply),
  )
  all.forEach(([id, fields], index) => writeInstance(reply, COUNTERS_REPLY.size + index * INSTANCE.size, id, fields))
  return reply
}

async function open(state: Partial<State> = {}): Promise<{ mp: Minipend; state: State }> {
  const all: State = { retired: {}, instances: {}, head: {}, ...state }
  const transport = fakeTransport({
    tamper: (reply, command) =>
      command === COMMAND.COUNTERS && decode(REPLY_HEADER, viewOf(reply)).status === 0 ? replyOf(all, reply) : reply,
  })
  return { mp: await openOver(transport, { files: [], load: true, signal: undefined }), state: all }
}

const pended = (n: bigint, inFlight = 0n): Fields => ({
  ...{ postOperations: n, pended: n, completed: n - inFlight, inFlight, inFlightHighWater: n },
})

describe('counters', () => {
  it('have all that the driver counts', async () => {
    const { mp } = await open({
      instances: { 1: { ...pended(4n, 1n), failed: 2n, waiting: 3n, holds: 3n, queues: 4n }, 2: pended(9n) },
      head: { unexpectedRefusals: 1n, unexpectedSuccesses: 2n, heldNow: 4n, heldHighWater: 11n },
    })
    const counters = await mp.counters()
    expect(counters).toMatchObject({
      ...{ pended: 13n, completed: 12n, inFlight: 1n, failed: 2n, waiting: 3n, held: 4n, heldHighWater: 11n },
      ...{ inFlightHighWater: 9n, timeNs: 700n, balance: { exact: true } },
      contract: { unexpectedRefusal: 1n, unexpectedSuccess: 2n },
    })
    const { write, read } = counters.byOperation
    expect(write.latencyNs.p99).toEqual({ atLeast: 600n, atMost: 700n })
    expect([write.latencyNs.count, write.queueNs.count, read.latencyNs.count]).toEqual([3n, 4n, 0n])
    expect(counters.byInstance[0]?.byOperation.write.queueNs.count).toBe(4n)
    expect(counters.latencyNs.count).toBe(3n)
  })

  it('since earlier ones are differences, but for gauges and high-water marks', async () => {
    const { mp, state } = await open({
      instances: { 1: { ...pended(10n, 2n), failed: 1n, waiting: 1n, holds: 8n } },
      head: { unexpectedRefusals: 1n, heldNow: 2n, heldHighWater: 5n },
    })
    const before = await mp.counters()
    state.instances[1] = { ...pended(14n, 3n), failed: 4n, waiting: 2n, holds: 11n }
    state.head = { unexpectedRefusals: 3n, heldNow: 3n, heldHighWater: 6n }
    const since = await mp.counters({ since: before })
    expect(since).toMatchObject({
      ...{ pended: 4n, completed: 3n, failed: 3n, inFlight: 3n, waiting: 2n, inFlightHighWater: 14n },
      ...{ held: 3n, heldHighWater: 6n, contract: { unexpectedRefusal: 2n }, balance: { exact: true, problems: [] } },
      byInstance: [{ pended: 4n }],
    })
    expect(since.byOperation.write.latencyNs.count).toBe(3n)
    expect((await mp.counters()).pended, 'others are not changed').toBe(14n)
    state.instances[1] = pended(15n)
    expect((await mp.counters({ since })).pended, 'a difference may be the base of another').toBe(1n)
  })

  it('since earlier ones are right when instances go and come', async () => {
    const { mp, state } = await open({ retired: pended(100n), instances: { 1: { ...pended(10n), holds: 10n } } })
    const before = await mp.counters()
    state.retired = { ...pended(113n), holds: 13n }
    state.instances = { 2: pended(5n) }
    const since = await mp.counters({ since: before })
    expect(since).toMatchObject({ pended: 8n, retired: { pended: 3n }, byInstance: [{ id: 2n, pended: 5n }] })
    expect(since.retired.latencyNs.count).toBe(3n)
  })

  it('can be counted from now on', async () => {
    const { mp, state } = await open({ instances: { 1: pended(10n) } })
    const absolute = await mp.counters()
    await mp.resetCounters()
    expect((await mp.counters()).pended).toBe(0n)
    state.instances[1] = pended(12n)
    expect((await mp.counters()).pended).toBe(2n)
    expect((await mp.counters({ since: absolute })).pended, 'since comes first').toBe(2n)
  })

  it("have the balance of the driver's own numbers", async () => {
    const { mp, state } = await open({ instances: { 1: { ...pended(10n), completed: 9n } } })
    const before = await mp.counters()
    expect(before.balance.problems).toEqual(['\\Device\\Volume1 , write: pended 10 is not completed 9 + inFlight 0'])
    state.instances[1] = { ...pended(11n), completed: 10n }
    expect((await mp.counters({ since: before })).balance.exact).toBe(false)
  })

  it('since something else are refused', async () => {
    const { mp } = await open()
    for (const since of [{}, null, 5]) {
      const error: unknown = await mp.counters({ since: since as unknown as Counters }).catch((e: unknown) => e)
      expect(error).toBeInstanceOf(InvalidOptionError)
      expect(String(error)).toContain('counters: since: expected what counters() gave before')
    }
    await expect(mp.counters({ sinc: 1 } as object)).rejects.toThrow('did you mean "since"?')
  })

  it('are JSON, percentiles included', async () => {
    const { mp } = await open({ instances: { 1: { ...pended(1n), holds: 1n } } })
    const json = JSON.stringify((await mp.counters()).byOperation.write, (_, v: unknown) =>
      typeof v === 'bigint' ? Number(v) : v,
    )
    const p50 = { atLeast: 600, atMost: 700 }
    expect(JSON.parse(json)).toMatchObject({ pended: 1, latencyNs: { count: 1, p50, max: p50 }, queueNs: { count: 0 } })
  })
})
