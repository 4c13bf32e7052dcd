// SPDX-License-Identifier: MIT
//
// This module provides: the gates of a session.
//
// What a gate holds is not kept here: each time a caller waits, the driver is asked, from the gate's cursor on (the sequence number of the last
// operation that was looked at for it). So what is delivered was held when the driver answered, and what was given back meanwhile is not delivered.
//
// Invariants: a gate's cursor moves past an operation only when that is another gate's, or was delivered to a caller who still waited. A set
// number is used again only when its set is gone from the driver and what it held has been released.

import './dispose.js'
import { ClosedError, InvalidOptionError, MinipendError } from '../errors/errors.js'
import { type HeldEntry, type HeldPage, MAX_HELD_ENTRIES } from '../transport/held-messages.js'
import { Checker } from './check.js'
import type { HeldDesk } from './held.js'
import type { Gate, GateOptions, HeldOperation, NextOptions, ReleaseOptions, ReleaseResult } from './held-types.js'
import { abortable, throwIfAborted } from './lifetime.js'
import type { Listener, Pump } from './pump.js'
import type { RuleTable } from './rule-table.js'
import { checkGate, type CheckedRule } from './rules.js'
import type { Session } from './session.js'
import { Waiters } from './waiters.js'

const OPERATION = 'gate'
/** 2^31-1: the longest that a timer of Node waits. */
const MAX_TIMEOUT_MS = 0x7fffffff
/** Entries asked for when few callers wait. */
const FEW = 16

/** Checks the options of next(). `what`: as in "Gate.next". */
export function checkNext(what: string, options: NextOptions): NextOptions {
  const check = new Checker(
    (field, expectation) => new InvalidOptionError(field, `${what}: ${field}: ${expectation}`, { operation: what }),
  )
  const { timeoutMs, signal } = check.object('options', options, ['timeoutMs', 'signal'])
  return {
    timeoutMs:
      timeoutMs === undefined ? undefined : check.integer('timeoutMs', timeoutMs, 0, MAX_TIMEOUT_MS, 'milliseconds'),
    signal: check.signal('signal', signal),
  }
}

class OpenGate implements Gate {
  readonly id: string
  readonly deadlineMs: number
  readonly generation: bigint
  readonly setId: number
  readonly waiters: Waiters<HeldOperation>
  /** Park sequence of the last operation that was looked at for this gate. */
  cursor = 0n
  readonly #gates: Gates
  #closed = false
  #closing: Promise<void> | undefined

  constructor(gates: Gates, setId: number, rule: CheckedRule, generation: bigint) {
    this.#gates = gates
    this.setId = setId
    this.id = rule.id
    this.deadlineMs = rule.delayMs
    this.generation = generation
    this.waiters = new Waiters(() => gates.pump.wake())
  }

  get closed(): boolean {
    return this.#closed
  }

  async next(options: NextOptions = {}): Promise<HeldOperation> {
    const { timeoutMs, signal } = checkNext('Gate.next', options)
    this.#ensureOpen('Gate.next')
    return this.waiters.wait({
      operation: 'Gate.next',
      signal,
      timeoutMs,
      timeout: {
        message: `Gate.next: gate "${this.id}" held nothing new within ${timeoutMs} ms`,
        hint: 'see counters(): unmatched operations fit no rule, refused ones say why they were not held, and no post-operations at all means that the volume is not attached to',
      },
    })
  }

  async releaseAll(options: ReleaseOptions = {}): Promise<ReleaseResult> {
    this.#ensureOpen('Gate.releaseAll')
    return this.#gates.desk.releaseSet('Gate.releaseAll', this.setId, options)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<HeldOperation, void, undefined> {
    for (;;) {
      let held: HeldOperation
      try {
        held = await this.next()
      } catch (error) {
        // The gate's end, or the session's, is the loop's.
        if (error instanceof ClosedError) {
          return
        }
        throw error
      }
      yield held
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
    this.waiters.fail(this.#closedError('Gate.next'))
    try {
      await this.#gates.remove(this)
    } catch (error) {
      // It may be tried again.
      this.#closing = undefined
      throw error
    }
  }

  #ensureOpen(operation: string): void {
    this.#gates.session.lifetime.ensureOpen(operation)
    if (this.#closed) {
      throw this.#closedError(operation)
    }
  }

  #closedError(operation: string): ClosedError {
    return new ClosedError(`${operation}: gate "${this.id}" is closed`, { operation, hint: 'open a new gate' })
  }
}

/** All gates of a session, and the listener that serves them. */
export class Gates implements Listener {
  readonly session: Session
  readonly pump: Pump
  readonly desk: HeldDesk
  readonly #table: RuleTable
  readonly #limits: { readonly maxDelayMs: number; readonly maxSets: number }
  /** By set number; undefined: being opened. */
  readonly #gates = new Map<number, OpenGate | undefined>()

  constructor(
    session: Session,
    pump: Pump,
    desk: HeldDesk,
    table: RuleTable,
    limits: { readonly maxDelayMs: number; readonly maxSets: number },
  ) {
    this.session = session
    this.pump = pump
    this.desk = desk
    this.#table = table
    this.#limits = limits
    pump.add(this)
  }

  async open(options: GateOptions): Promise<Gate> {
    this.session.lifetime.ensureOpen(OPERATION)
    const { ruleFor, signal } = checkGate(options, this.#limits)
    throwIfAborted(OPERATION, signal)
    return abortable(this.#open(ruleFor), { operation: OPERATION, signal, discard: (late) => late.close() })
  }

  /** Takes a gate's set away, then releases what it holds: what is taken in between, the driver gives back by itself. */
  async remove(gate: OpenGate): Promise<void> {
    // The end of the connection does the same.
    await this.session.lifetime.unlessEnded(() => this.#removeSet(gate.setId))
    this.#gates.delete(gate.setId)
    this.session.lifetime.delete(gate)
  }

  get waiting(): boolean {
    return this.#waiting().length > 0
  }

  fail(error: unknown): void {
    for (const gate of this.#opened()) {
      gate.waiters.fail(error)
    }
  }

  async ask(arm: boolean): Promise<void> {
    // Gates at which somebody begins to wait from now on are served by the next round: the pages before were not looked at for them.
    let serving = this.#waiting()
    let after = serving.reduce((least, { cursor }) => (cursor < least ? cursor : least), serving[0]?.cursor ?? 0n)
    let maxEntries = Math.max(
      FEW,
      serving.reduce((sum, { waiters }) => sum + waiters.size, 0),
    )
    while (serving.length > 0) {
      maxEntries = Math.min(maxEntries, MAX_HELD_ENTRIES)
      const page = await this.desk.list(OPERATION, { afterParkSequence: after, own: true, arm, maxEntries })
      serving = await this.#serve(serving, page)
      after = page.entries.at(-1)?.parkSequence ?? after
      if (!page.more || page.entries.length === 0) {
        return
      }
      maxEntries = MAX_HELD_ENTRIES
    }
  }

  /** Gives callers what is theirs of a page. Value: the gates that have looked at all of it and want more. */
  async #serve(serving: readonly OpenGate[], page: HeldPage): Promise<OpenGate[]> {
    const shares = serving.map((gate) => {
      const entries = page.entries.filter((entry) => isOf(gate, entry))
      return { gate, entries, wanted: entries.slice(0, gate.waiters.size) }
    })
    const described = await Promise.all(shares.map(({ wanted }) => this.desk.describe(page, wanted)))
    return shares
      .filter(({ gate, entries, wanted }, index) => {
        for (const [place, held] of (described[index] ?? []).entries()) {
          if (!gate.waiters.deliver(held)) {
            // The caller has given up meanwhile: the next one gets it.
            return false
          }
          gate.cursor = wanted[place]?.parkSequence ?? gate.cursor
        }
        const goesOn = wanted.length === entries.length && gate.waiters.size > 0
        const last = page.entries.at(-1)?.parkSequence ?? 0n
        if (goesOn && last > gate.cursor) {
          gate.cursor = last
        }
        return goesOn
      })
      .map(({ gate }) => gate)
  }

  #opened(): OpenGate[] {
    return [...this.#gates.values()].filter((gate) => gate !== undefined)
  }

  #waiting(): OpenGate[] {
    return this.#opened().filter(({ waiters }) => waiters.size > 0)
  }

  async #open(ruleFor: (setId: number) => CheckedRule): Promise<OpenGate> {
    const setId = this.#freeSet()
    const rule = ruleFor(setId)
    this.#gates.set(setId, undefined)
    try {
      const set = { setId, persist: false }
      const { generation } = await this.#table.set(OPERATION, [rule], set, () => OPERATION)
      const gate = new OpenGate(this, setId, rule, generation)
      this.#gates.set(setId, gate)
      this.session.lifetime.add(gate)
      return await this.session.lifetime.adopt(gate, OPERATION)
    } catch (error) {
      if (this.#gates.get(setId) === undefined) {
        this.#gates.delete(setId)
      }
      throw error
    }
  }

  async #removeSet(setId: number): Promise<void> {
    await this.#table.set('Gate.close', [], { setId, persist: false }, () => OPERATION)
    await this.desk.releaseSet('Gate.close', setId)
  }

  #freeSet(): number {
    // Set 0 is for rules.
    for (let setId = 1; setId < this.#limits.maxSets; setId++) {
      if (!this.#gates.has(setId)) {
        return setId
      }
    }
    throw new MinipendError(
      'TOO_MANY_GATES',
      `gate: this session has ${this.#gates.size} gates open, as many as the driver allows`,
      { operation: OPERATION, hint: 'close a gate, or let one gate hold more: on and path may name several things' },
    )
  }
}

/** Whether the entry, which is this session's, is the gate's and was not looked at for it before. An older generation: of an earlier gate. */
const isOf = (gate: OpenGate, entry: HeldEntry): boolean =>
  entry.setId === gate.setId && entry.ruleGeneration >= gate.generation && entry.parkSequence > gate.cursor
