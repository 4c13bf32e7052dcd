// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest'
import { balanceOf, countersFrom, snapshotOf } from '../../../src/client/counters.js'
import {
  COUNTERS_REPLY,
  INSTANCE,
  INSTANCE_FLAG,
  OPERATION_COUNTERS,
  OPERATIONS,
  REFUSALS,
  REPLY_HEADER,
} from '../../../src/generated/protocol.js'
import { decode, encode, viewOf } from '../../../src/transport/codec.js'
import { countersReplyBytes, decodeCounters, decodeReplyHeader } from '../../../src/transport/messages.js'

const WRITE = OPERATIONS.findIndex(({ name }) => name === 'write')

/** A counters reply with the retired sum and one instance, whose write counters are given by field offset. */
function reply(
  counts: Partial<Record<Exclude<keyof typeof OPERATION_COUNTERS.fields, 'refused'>, bigint>>,
  refused: bigint[] = [],
): Uint8Array {
  const bytes = new Uint8Array(countersReplyBytes(2))
  const view = viewOf(bytes)
  encode(
    COUNTERS_REPLY,
    { sizeBytes: bytes.length, instanceCount: 2, instanceBytes: INSTANCE.size, heldNow: 4n, heldHighWater: 9n },
    view,
  )
  encode(INSTANCE, { flags: INSTANCE_FLAG.RETIRED }, view, COUNTERS_REPLY.size)
  const at = COUNTERS_REPLY.size + INSTANCE.size
  encode(INSTANCE, { instanceId: 2n, flags: INSTANCE_FLAG.BOOT_VOLUME }, view, at)
  for (const [field, text] of [
    ['altitude', '370020'],
    ['name', 'mine'],
    ['volume', '\\Device\\HarddiskVolume2'],
  ] as const) {
    bytes.set(Buffer.from(text, 'utf16le'), at + INSTANCE.fields[field].offset)
  }
  const operation = at + INSTANCE.fields.operations.offset + WRITE * OPERATION_COUNTERS.size
  encode(OPERATION_COUNTERS, counts, view, operation)
  refused.forEach((value, index) => {
    view.setBigUint64(operation + OPERATION_COUNTERS.fields.refused.offset + 8 * index, value, true)
  })
  return bytes
}

describe('codec', () => {
  it('gives back what it wrote', () => {
    const view = new DataView(new ArrayBuffer(REPLY_HEADER.size))
    const values = {
      sizeBytes: 32,
      version: 1,
      command: 3,
      token: 2n ** 63n,
      status: -5,
      detail: 1,
      index: 2,
      requiredBytes: 3,
    }
    encode(REPLY_HEADER, values, view)
    expect(decode(REPLY_HEADER, view)).toEqual(values)
  })

  it('writes no structures', () => {
    const view = new DataView(new ArrayBuffer(INSTANCE.size))
    expect(() => {
      encode(INSTANCE, { operations: [] }, view)
    }).toThrow(TypeError)
  })

  it('refuses a reply that is shorter than it says, or shorter than a header', () => {
    const bytes = new Uint8Array(40)
    encode(REPLY_HEADER, { sizeBytes: 32 }, viewOf(bytes))
    expect(decodeReplyHeader(bytes)).toBeUndefined()
    expect(decodeReplyHeader(bytes.subarray(0, 16))).toBeUndefined()
    expect(decodeReplyHeader(bytes.subarray(0, 32))).toBeDefined()
  })

  it('refuses counters whose parts do not add up', () => {
    const bytes = reply({})
    expect(decodeCounters(bytes)).toBeDefined()
    expect(decodeCounters(bytes.subarray(0, bytes.length - 8))).toBeUndefined()
    viewOf(bytes).setUint32(COUNTERS_REPLY.fields.instanceBytes.offset, 8, true)
    expect(decodeCounters(bytes)).toBeUndefined()
  })
})

describe('counters', () => {
  const refused = REFUSALS.map((_, index) => BigInt(index))
  const counters = (() => {
    const decoded = decodeCounters(
      reply({ postOperations: 47n, pended: 7n, completed: 5n, inFlight: 2n, unmatched: 4n }, refused),
    )
    return decoded === undefined ? undefined : countersFrom(snapshotOf(decoded), () => 'D:')
  })()

  it('are sums, and their parts', () => {
    expect(counters).toMatchObject({
      pended: 7n,
      held: 4n,
      heldHighWater: 9n,
      refused: { draining: 0n, notIrp: 1n, unsafe: 8n, total: 36n },
      byOperation: { write: { pended: 7n }, read: { pended: 0n } },
      byInstance: [
        {
          id: 2n,
          name: 'mine',
          altitude: '370020',
          volume: '\\Device\\HarddiskVolume2',
          drive: 'D:',
          bootVolume: true,
          tearingDown: false,
        },
      ],
      retired: { pended: 0n },
      balance: { exact: true, problems: [] },
    })
  })

  it('that do not balance say where and why', () => {
    const write = { ...counters?.byOperation.write, pended: 8n }
    const { exact, problems } = balanceOf([{ where: 'D:', byOperation: { ...counters?.byOperation, write } as never }])
    expect(exact).toBe(false)
    expect(problems[0]).toBe('D:, write: pended 8 is not completed 5 + inFlight 2')
    expect(problems[1]).toMatch(/^D:, write: postOperations 47 is not the sum of the outcomes 48 \(unmatched 4, /)
  })
})
