// SPDX-License-Identifier: MIT
//
// This module provides: the part of a driver that holds operations, tells of them and rings the bell, for tests of the client. It keeps the
// protocol's promises: entries in the order of parking, one bell for each arming, acknowledged events leave the ring.

import {
  BELL,
  BELL_REASON,
  COMMAND,
  type DetailName,
  EVENT,
  EVENTS,
  HELD_ENTRY,
  HOLD,
  LIST_HELD_FLAG,
  LIST_HELD_REPLY,
  LIST_HELD_REQUEST,
  OPERATIONS,
  PROTOCOL_VERSION,
  PULL_EVENTS_FLAG,
  PULL_EVENTS_REPLY,
  PULL_EVENTS_REQUEST,
  RELEASE_FLAG,
  RELEASE_REPLY,
  RELEASE_REQUEST,
  RELEASE_WHAT,
  SUBSCRIBE_REPLY,
  SUBSCRIBE_REQUEST,
} from '../../../src/generated/protocol.js'
import { decode, encode, viewOf } from '../../../src/transport/codec.js'
import type { MessageWait } from '../../../src/transport/transport.js'

export const OWN_CONNECTION = 7n
/** What the fake transport answers to every set-rules command. */
export const GENERATION = 5n
const ABORTED = 0x800703e3

export interface FakeHeld {
  readonly id: bigint
  readonly sequence: bigint
  readonly setId: number
  readonly connectionId: bigint
  readonly generation: bigint
  readonly name: string
  readonly irql: number
  readonly topLevelIrp: number
  readonly flags: number
  readonly irpFlags: number
}

interface FakeEvent {
  readonly sequence: bigint
  readonly kind: number
  readonly cause: number
  readonly name: string
}

type Make = (size: number) => Uint8Array
type Fault = (status: number, detail: DetailName, more: object) => Uint8Array

const NOT_FOUND = 0xc0000225 | 0
const DENIED = 0xc0000022 | 0

export class FakeDriver {
  held: FakeHeld[] = []
  readonly released: { readonly id: bigint; readonly status: number }[] = []
  /** RELEASE commands for more than one operation. */
  readonly releases: { readonly what: number; readonly setId: number; readonly force: boolean }[] = []
  events: FakeEvent[] = []
  lost = 0n
  subscriptions: { readonly kinds: number; readonly flags: number; readonly ringEvents: number }[] = []
  acknowledged: bigint[] = []
  listed = 0
  /** Waits for the bell that were begun. */
  listens = 0
  cancels = 0
  /** Called before an answer is made. */
  onCommand: (command: number) => void = () => undefined
  #next = 1n
  #sequence = 0n
  #armed = false
  #waiting: ((result: readonly [number, number]) => void) | undefined
  #output: Uint8Array | undefined
  /** A bell that nobody was there to hear. */
  #unheard = false

  get listening(): boolean {
    return this.#waiting !== undefined
  }

  park(given: Partial<FakeHeld> = {}): FakeHeld {
    const sequence = this.#next++
    const held: FakeHeld = {
      ...{ id: 100n + sequence, setId: 1, connectionId: OWN_CONNECTION, generation: GENERATION },
      ...{ name: `\\${sequence}.log`, irql: 0, topLevelIrp: 0, flags: 0, irpFlags: 0 },
      ...given,
      sequence,
    }
    this.held.push(held)
    this.#ring()
    return held
  }

  giveBack(id: bigint): void {
    this.held = this.held.filter((each) => each.id !== id)
  }

  emit(kind: (typeof EVENTS)[number]['name'], cause = 0, name = ''): void {
    this.events.push({ sequence: ++this.#sequence, kind: EVENTS.findIndex((each) => each.name === kind), cause, name })
    this.#ring()
  }

  /** The ring was full. */
  lose(count: bigint): void {
    this.lost += count
    this.#sequence += count
    this.#ring()
  }

  listen(output: Uint8Array): MessageWait {
    if (this.#waiting !== undefined) {
      throw new TypeError('minipend native: a getMessage is in flight already')
    }
    this.listens++
    this.#output = output
    const promise = new Promise<readonly [number, number]>((resolve) => {
      this.#waiting = resolve
    })
    if (this.#unheard) {
      this.#deliver()
    }
    return {
      promise,
      cancel: () => {
        this.cancels++
        this.#end([ABORTED, 0])
      },
    }
  }

  /** Anything, instead of a bell. */
  say(result: readonly [number, number]): void {
    this.#end(result)
  }

  disconnect(): void {
    this.#end([ABORTED, 0])
  }

  answer(command: number, request: Uint8Array, make: Make, fault: Fault, room: number): Uint8Array | undefined {
    switch (command) {
      case COMMAND.LIST_HELD:
        return this.#list(request, make, room)
      case COMMAND.RELEASE:
        return this.#release(request, make, fault)
      case COMMAND.SUBSCRIBE: {
        this.subscriptions.push(decode(SUBSCRIBE_REQUEST, viewOf(request)))
        const reply = make(SUBSCRIBE_REPLY.size)
        encode(SUBSCRIBE_REPLY, { sequence: this.#sequence, eventBytes: EVENT.size }, viewOf(reply))
        return reply
      }
      case COMMAND.PULL_EVENTS:
        return this.#pull(request, make, room)
      default:
        return undefined
    }
  }

  #ring(): void {
    if (this.#armed) {
      this.#armed = false
      this.#unheard = true
      this.#deliver()
    }
  }

  #deliver(): void {
    if (this.#waiting !== undefined && this.#output !== undefined) {
      this.#unheard = false
      const bell = { sizeBytes: BELL.size, version: PROTOCOL_VERSION, reasons: BELL_REASON.HELD, count: 1n }
      encode(BELL, bell, viewOf(this.#output))
      this.#end([0, BELL.size])
    }
  }

  #end(result: readonly [number, number]): void {
    this.#waiting?.(result)
    this.#waiting = undefined
  }

  #list(request: Uint8Array, make: Make, room: number): Uint8Array {
    this.listed++
    const { afterParkSequence, flags, maxEntries } = decode(LIST_HELD_REQUEST, viewOf(request))
    const own = (flags & LIST_HELD_FLAG.OWN) !== 0
    const all = this.held.filter(
      (each) => each.sequence > afterParkSequence && (!own || each.connectionId === OWN_CONNECTION),
    )
    const fits = Math.floor((room - LIST_HELD_REPLY.size) / HELD_ENTRY.size)
    const entries = all.slice(0, Math.min(maxEntries, fits))
    const reply = make(LIST_HELD_REPLY.size + entries.length * HELD_ENTRY.size)
    const view = viewOf(reply)
    const more = entries.length < all.length ? 1 : 0
    const head = { count: entries.length, entryBytes: HELD_ENTRY.size, more, heldNow: BigInt(this.held.length) }
    encode(LIST_HELD_REPLY, { ...head, time100ns: 40n }, view)
    entries.forEach((each, index) => {
      this.#writeHeld(reply, LIST_HELD_REPLY.size + index * HELD_ENTRY.size, each)
    })
    this.#armed ||= (flags & LIST_HELD_FLAG.ARM) !== 0
    return reply
  }

  #writeHeld(reply: Uint8Array, at: number, held: FakeHeld): void {
    const view = viewOf(reply)
    encode(
      HELD_ENTRY,
      {
        ...{ heldId: held.id, parkSequence: held.sequence, instanceId: 2n, connectionId: held.connectionId },
        ...{ ruleGeneration: held.generation, taken100ns: 10n, due100ns: 300n, information: 5n },
        ...{ setId: held.setId, ruleId: 1, operation: OPERATIONS.findIndex(({ name }) => name === 'write') },
        ...{ hold: HOLD.GATE, action: 2, majorFunction: 4, nameChars: held.name.length },
      },
      view,
      at,
    )
    const seen = at + HELD_ENTRY.fields.seen.offset
    encode(
      HELD_ENTRY.fields.seen.layout,
      {
        ...{ irql: held.irql, topLevelIrp: held.topLevelIrp, flags: held.flags, irpFlags: held.irpFlags },
        ...{ processId: 4, threadId: 8 },
      },
      view,
      seen,
    )
    reply.set(Buffer.from(held.name, 'utf16le'), at + HELD_ENTRY.fields.name.offset)
  }

  #release(request: Uint8Array, make: Make, fault: Fault): Uint8Array {
    const { what, heldId, setId, flags, status } = decode(RELEASE_REQUEST, viewOf(request))
    const force = (flags & RELEASE_FLAG.FORCE) !== 0
    let named = this.held.filter((each) => force || each.connectionId === OWN_CONNECTION)
    if (what === RELEASE_WHAT.ONE) {
      const found = this.held.find((each) => each.id === heldId)
      if (found === undefined) {
        return fault(NOT_FOUND, 'heldUnknown', {})
      }
      if (!force && found.connectionId !== OWN_CONNECTION) {
        return fault(DENIED, 'heldForeign', {})
      }
      named = [found]
    } else {
      this.releases.push({ what, setId, force })
      named = what === RELEASE_WHAT.SET ? named.filter((each) => each.setId === setId) : named
    }
    for (const { id } of named) {
      this.released.push({ id, status })
      this.giveBack(id)
    }
    const reply = make(RELEASE_REPLY.size)
    encode(RELEASE_REPLY, { released: named.length, statusNotApplied: 0 }, viewOf(reply))
    return reply
  }

  #pull(request: Uint8Array, make: Make, room: number): Uint8Array {
    const { acknowledge, flags, maxEvents } = decode(PULL_EVENTS_REQUEST, viewOf(request))
    this.acknowledged.push(acknowledge)
    this.events = this.events.filter(({ sequence }) => sequence > acknowledge)
    const fits = Math.floor((room - PULL_EVENTS_REPLY.size) / EVENT.size)
    const events = this.events.slice(0, Math.min(maxEvents, fits))
    const reply = make(PULL_EVENTS_REPLY.size + events.length * EVENT.size)
    const view = viewOf(reply)
    encode(PULL_EVENTS_REPLY, { lost: this.lost, count: events.length, eventBytes: EVENT.size }, view)
    events.forEach(({ sequence, kind, cause, name }, index) => {
      const at = PULL_EVENTS_REPLY.size + index * EVENT.size
      const rule = { connectionId: OWN_CONNECTION, ruleGeneration: GENERATION, ruleId: 1 }
      const more = { ...rule, instanceId: 2n, operation: 3, nameChars: name.length }
      encode(EVENT, { sequence, kind, cause, time100ns: sequence * 10n, heldId: sequence, ...more }, view, at)
      reply.set(Buffer.from(name, 'utf16le'), at + EVENT.fields.name.offset)
    })
    this.#armed ||= (flags & PULL_EVENTS_FLAG.ARM) !== 0
    return reply
  }
}
