// SPDX-License-Identifier: MIT
//
// This module provides: a session's event stream.
//
// Invariants: what is acknowledged was delivered to a caller who still waited; a batch that was not comes again. Each lost event is reported once,
// with the next batch that is delivered.

import './dispose.js'
import { closest } from 'fastest-levenshtein'
import { ClosedError, InvalidOptionError, MinipendError } from '../errors/errors.js'
import { EVENT, LIMIT } from '../generated/protocol.js'
import {
  decodePullEvents,
  decodeSubscribe,
  encodePullEvents,
  encodeSubscribe,
  type PulledEvents,
  pullEventsReplyBytes,
  type Subscribe,
  subscribeReplyBytes,
} from '../transport/event-messages.js'
import { Checker, show } from './check.js'
import { Batch } from './event-batch.js'
import type { EventBatch, EventsOptions, EventStream } from './event-types.js'
import { checkNext } from './gates.js'
import type { NextOptions } from './held-types.js'
import { abortable, throwIfAborted } from './lifetime.js'
import { EVENT_KINDS } from './operations.js'
import type { Listener, Pump } from './pump.js'
import type { RuleNames } from './seen.js'
import type { Session } from './session.js'
import type { Volumes } from './volumes.js'
import { Waiters } from './waiters.js'

const OPERATION = 'events'
/** 64 KiB at a time. */
const EVENTS_PER_PULL = 256

const check = new Checker(
  (field, expectation) => new InvalidOptionError(field, `events: ${field}: ${expectation}`, { operation: OPERATION }),
)

function checkKinds(value: unknown): number {
  if (value === undefined) {
    return 2 ** EVENT_KINDS.length - 1
  }
  if (!Array.isArray(value) || value.length === 0) {
    return check.expected('kinds', 'an array of kinds, such as ["refused"]', value)
  }
  return (value as unknown[]).reduce<number>((bits, kind, index) => {
    const number = EVENT_KINDS.findIndex((each) => each === kind)
    if (number < 0) {
      const known = EVENT_KINDS.join(', ')
      const nearest = typeof kind === 'string' ? `did you mean "${closest(kind, EVENT_KINDS)}"? ` : ''
      check.fail(`kinds[${index}]`, `unknown kind ${show(kind)}; ${nearest}Known kinds: ${known}`)
    }
    return bits | (1 << number)
  }, 0)
}

function checkEvents(options: EventsOptions): Subscribe & { readonly signal: AbortSignal | undefined } {
  const given = check.object('options', options, ['kinds', 'allClients', 'ring', 'signal'])
  const { ring = LIMIT.DEFAULT_EVENT_RING } = given
  return {
    kinds: checkKinds(given.kinds),
    allClients: check.boolean('allClients', given.allClients ?? false),
    ringEvents: check.integer('ring', ring, LIMIT.MIN_EVENT_RING, LIMIT.MAX_EVENT_RING, 'events'),
    signal: check.signal('signal', given.signal),
  }
}

class OpenStream implements EventStream, Listener {
  readonly #events: Events
  readonly #waiters: Waiters<EventBatch>
  readonly #signal: AbortSignal | undefined
  /** Sequence of the last event that was delivered. */
  #acknowledged = 0n
  #closed = false
  #closing: Promise<void> | undefined

  constructor(events: Events, signal: AbortSignal | undefined) {
    this.#events = events
    this.#signal = signal
    this.#waiters = new Waiters(() => events.pump.wake())
  }

  get closed(): boolean {
    return this.#closed
  }

  get waiting(): boolean {
    return this.#waiters.size > 0
  }

  fail(error: unknown): void {
    this.#waiters.fail(error)
  }

  async ask(arm: boolean): Promise<void> {
    const pulled = await this.#events.pull({ acknowledge: this.#acknowledged, arm, maxEvents: EVENTS_PER_PULL })
    const lost = pulled.lost - this.#events.lostSeen
    if (pulled.count === 0 && lost === 0n) {
      return
    }
    const batch = await this.#events.batch(pulled, lost)
    const last = batch.columns.sequence.at(-1)
    if (this.#waiters.deliver(batch)) {
      this.#acknowledged = last ?? this.#acknowledged
      this.#events.lostSeen = pulled.lost
    }
  }

  async next(options: NextOptions = {}): Promise<EventBatch> {
    const operation = 'EventStream.next'
    const { timeoutMs, signal } = checkNext(operation, options)
    this.#events.session.lifetime.ensureOpen(operation)
    if (this.#closed) {
      throw this.#closedError()
    }
    return this.#waiters.wait({
      operation,
      signal: bothSignals(this.#signal, signal),
      timeoutMs,
      timeout: {
        message: `${operation}: no event within ${timeoutMs} ms`,
        hint: 'only operations that a rule or gate selects have events; see counters()',
      },
    })
  }

  [Symbol.asyncIterator](): AsyncIterator<EventBatch, undefined> {
    return {
      next: async () => {
        try {
          return { done: false, value: await this.next() }
        } catch (error) {
          // The stream's end, or the session's, is the loop's.
          if (error instanceof ClosedError) {
            return { done: true, value: undefined }
          }
          throw error
        }
      },
      return: async () => {
        await this.close()
        return { done: true, value: undefined }
      },
    }
  }

  close(): Promise<void> {
    this.#closed = true
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#waiters.fail(this.#closedError())
    try {
      await this.#events.end(this, this.#acknowledged)
    } catch (error) {
      // It may be tried again.
      this.#closing = undefined
      throw error
    }
  }

  #closedError(): ClosedError {
    return new ClosedError('EventStream.next: the event stream is closed', {
      operation: 'EventStream.next',
      hint: 'call mp.events() again',
    })
  }
}

function bothSignals(one: AbortSignal | undefined, other: AbortSignal | undefined): AbortSignal | undefined {
  return one === undefined || other === undefined ? (one ?? other) : AbortSignal.any([one, other])
}

/** The events of a session: its one stream, and what it has seen lost. */
export class Events {
  readonly session: Session
  readonly pump: Pump
  /** Lost events of the driver's count that were reported. */
  lostSeen = 0n
  readonly #volumes: Volumes
  readonly #names: RuleNames
  #taken = false

  constructor(session: Session, pump: Pump, volumes: Volumes, names: RuleNames) {
    this.session = session
    this.pump = pump
    this.#volumes = volumes
    this.#names = names
  }

  async open(options: EventsOptions): Promise<EventStream> {
    this.session.lifetime.ensureOpen(OPERATION)
    const { signal, ...wanted } = checkEvents(options)
    throwIfAborted(OPERATION, signal)
    if (this.#taken) {
      throw new MinipendError('EVENTS_IN_USE', 'events: this session has an event stream already', {
        operation: OPERATION,
        hint: 'close it first (leaving its loop does), share its batches, or open another session',
      })
    }
    this.#taken = true
    return abortable(this.#open(wanted, signal), {
      operation: OPERATION,
      signal,
      discard: (late) => late.close(),
    })
  }

  async pull(request: Parameters<typeof encodePullEvents>[1]): Promise<PulledEvents> {
    const room = pullEventsReplyBytes(request.maxEvents)
    const reply = await this.session.exchange(OPERATION, (head) => encodePullEvents(head, request), room)
    const pulled = decodePullEvents(reply)
    if (pulled === undefined) {
      throw this.session.malformed(OPERATION, `events of ${reply.length} bytes that do not fit together`)
    }
    return pulled
  }

  /** A batch, in bytes of its own when the reply's buffer is mostly empty. */
  async batch(pulled: PulledEvents, lost: bigint): Promise<Batch> {
    const { count, events } = pulled
    const bytes = 2 * count < EVENTS_PER_PULL ? events.slice() : events
    const batch = new Batch(bytes.subarray(0, count * EVENT.size), lost, this.#volumes, this.#names)
    await this.#volumes.resolve(batch.columns.instanceId)
    return batch
  }

  async end(stream: OpenStream, acknowledge: bigint): Promise<void> {
    // The end of the connection ends its ring.
    await this.session.lifetime.unlessEnded(async () => {
      // What was lost until now is this stream's, not the next one's.
      this.lostSeen = (await this.pull({ acknowledge, arm: false, maxEvents: 0 })).lost
      await this.#subscribe({ kinds: 0, allClients: false, ringEvents: 0 })
    })
    this.pump.delete(stream)
    this.session.lifetime.delete(stream)
    this.#taken = false
  }

  async #open(wanted: Subscribe, signal: AbortSignal | undefined): Promise<OpenStream> {
    try {
      await this.#subscribe(wanted)
    } catch (error) {
      this.#taken = false
      throw error
    }
    const stream = new OpenStream(this, signal)
    this.pump.add(stream)
    this.session.lifetime.add(stream)
    return this.session.lifetime.adopt(stream, OPERATION)
  }

  async #subscribe(wanted: Subscribe): Promise<void> {
    const reply = await this.session.exchange(OPERATION, (head) => encodeSubscribe(head, wanted), subscribeReplyBytes)
    if (decodeSubscribe(reply)?.eventBytes !== EVENT.size) {
      throw this.session.malformed(OPERATION, `${reply.length} bytes that do not subscribe to events of ${EVENT.size}`)
    }
  }
}
