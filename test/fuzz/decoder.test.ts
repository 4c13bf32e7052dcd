// SPDX-License-Identifier: MIT
//
// This module provides: the fuzz target of what the client decodes: replies with events, held operations, counters and releases, and the bell. A reply is one
// that a driver would send, then damaged: bytes changed, cut off, added, its counts lied about. Whatever comes, a decoder gives a value of the
// right shape or undefined; it neither throws nor looks past the reply.
//
// `npm run fuzz -- decoder` runs it for a time with a seed of its own, which it prints when something is found; `npm test` a fixed number of times.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { Batch } from '../../src/client/event-batch.js'
import { RuleNames } from '../../src/client/seen.js'
import { Volumes } from '../../src/client/volumes.js'
import {
  BELL,
  COUNTERS_REPLY,
  EVENT,
  HELD_ENTRY,
  INSTANCE,
  type Layout,
  LIST_HELD_REPLY,
  PULL_EVENTS_REPLY,
  RELEASE_REPLY,
  SUBSCRIBE_REPLY,
} from '../../src/generated/protocol.js'
import type { Transport } from '../../src/transport/transport.js'
import { viewOf } from '../../src/transport/codec.js'
import { decodePullEvents, decodeSubscribe, isBell } from '../../src/transport/event-messages.js'
import { decodeListHeld, decodeRelease } from '../../src/transport/held-messages.js'
import { decodeCounters, decodeReplyHeader } from '../../src/transport/messages.js'

const seconds = Number(process.env['MINIPEND_FUZZ_SECONDS'] ?? '0')
const seed = Number(process.env['MINIPEND_FUZZ_SEED'] ?? '1')
const limits =
  seconds > 0 ? { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: (seconds * 1000) / 3 } : { numRuns: 300 }
const options = { ...limits, seed, markInterruptAsFailure: false }
/** vitest's own limit must not end a longer run. */
const timeoutMs = seconds * 1000 + 60_000

/** What is done to a reply: byte changes at places, then another length. */
interface Damage {
  readonly changes: readonly (readonly [number, number])[]
  readonly lengthBy: number
}
const damage: fc.Arbitrary<Damage> = fc.record({
  changes: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
  lengthBy: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: -300, max: 300 })),
})

function damaged(reply: Uint8Array, { changes, lengthBy }: Damage): Uint8Array {
  // Inside a larger buffer whose other bytes are not the reply's: who reads past it sees them.
  const length = Math.max(0, reply.length + lengthBy)
  const around = new Uint8Array(length + 64).fill(0xa5)
  const result = around.subarray(32, 32 + length)
  result.set(reply.subarray(0, length))
  for (const [place, value] of changes) {
    if (length > 0) {
      result[place % length] = value
    }
  }
  return result
}

/** A reply with `count` structures behind its head; its structures hold `body`, over and over. */
function replyOf(
  head: Layout,
  item: Layout,
  itemBytesField: string,
  countField: string,
  count: number,
  body: Uint8Array,
): Uint8Array {
  const reply = new Uint8Array(head.size + count * item.size)
  for (let i = head.size; i < reply.length && body.length > 0; i++) {
    reply[i] = body[(i - head.size) % body.length] ?? 0
  }
  const view = viewOf(reply)
  view.setUint32(0, reply.length, true)
  view.setUint32(head.fields[countField]?.offset ?? 0, count, true)
  view.setUint32(head.fields[itemBytesField]?.offset ?? 0, item.size, true)
  return reply
}

const body = fc.uint8Array({ minLength: 0, maxLength: 300 })
const nobody = new Proxy({}, { get: () => () => Promise.reject(new Error('nothing is asked for')) }) as Transport

describe('decoders of what a driver sends', () => {
  it('take any event reply', { timeout: timeoutMs }, () => {
    fc.assert(
      fc.property(fc.nat(5), body, damage, fc.uint8Array({ maxLength: 4 }), (count, events, harm, kinds) => {
        const whole = replyOf(PULL_EVENTS_REPLY, EVENT, 'eventBytes', 'count', count, events)
        kinds.forEach((kind, i) => {
          if (i < count) {
            viewOf(whole).setUint16(PULL_EVENTS_REPLY.size + i * EVENT.size + EVENT.fields.kind.offset, kind % 8, true)
          }
        })
        const reply = damaged(whole, harm)
        const pulled = decodePullEvents(reply)
        if (pulled === undefined) {
          return
        }
        expect(pulled.events.length).toBe(pulled.count * EVENT.size)
        expect(PULL_EVENTS_REPLY.size + pulled.events.length).toBe(reply.length)
        const batch = new Batch(
          pulled.events,
          pulled.lost,
          new Volumes(nobody, () => Promise.reject(new Error('nothing is asked for'))),
          new RuleNames(1n),
        )
        const records = [...batch]
        expect(records.length).toBe(pulled.count)
        records.forEach((record, i) => {
          expect(typeof record.kind).toBe('string')
          expect(record.sequence).toBe(batch.columns.sequence[i])
          expect(record.processId).toBe(batch.columns.processId[i])
          expect(record.path?.length ?? 0).toBeLessThanOrEqual(EVENT.fields.name.count)
          expect(record.path ?? '').not.toContain('\0')
          expect(record.cause === undefined || typeof record.cause === 'string').toBe(true)
        })
        expect(() => batch.at(pulled.count)).toThrow(RangeError)
      }),
      options,
    )
  })

  it('take any listing and any counters', { timeout: timeoutMs }, () => {
    fc.assert(
      fc.property(fc.nat(4), body, damage, (count, bytes, harm) => {
        const listing = damaged(replyOf(LIST_HELD_REPLY, HELD_ENTRY, 'entryBytes', 'count', count, bytes), harm)
        const page = decodeListHeld(listing)
        if (page !== undefined) {
          expect(LIST_HELD_REPLY.size + page.entries.length * HELD_ENTRY.size).toBe(listing.length)
          for (const entry of page.entries) {
            expect(entry.name.length).toBeLessThanOrEqual(HELD_ENTRY.fields.name.count)
          }
        }
        const instances = count % 3
        const counters = damaged(
          replyOf(COUNTERS_REPLY, INSTANCE, 'instanceBytes', 'instanceCount', instances, bytes),
          harm,
        )
        const decoded = decodeCounters(counters)
        if (decoded !== undefined) {
          expect(COUNTERS_REPLY.size + decoded.instances.length * INSTANCE.size).toBe(counters.length)
          const last = INSTANCE.fields.histograms.count - 1
          expect(decoded.instances.at(-1)?.histogram(last, 'hold').length).toBe(64)
        }
      }),
      options,
    )
  })

  it('take any bytes', { timeout: timeoutMs }, () => {
    const sizes = [0, 4, 16, 31, 32, BELL.size, RELEASE_REPLY.size, SUBSCRIBE_REPLY.size]
    const reply = fc.oneof(
      fc.uint8Array({ maxLength: 128 }),
      fc.constantFrom(...sizes).chain((size) => fc.uint8Array({ minLength: size, maxLength: size })),
    )
    fc.assert(
      fc.property(reply, (bytes) => {
        expect(decodeReplyHeader(bytes) === undefined || bytes.length >= 32).toBe(true)
        expect(decodeRelease(bytes) === undefined).toBe(bytes.length !== RELEASE_REPLY.size)
        expect(decodeSubscribe(bytes) === undefined).toBe(bytes.length !== SUBSCRIBE_REPLY.size)
        expect(typeof isBell(bytes)).toBe('boolean')
        for (const decoder of [decodePullEvents, decodeListHeld, decodeCounters]) {
          decoder(bytes)
        }
      }),
      options,
    )
  })
})
