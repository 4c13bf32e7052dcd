// SPDX-License-Identifier: MIT
//
// This module provides: a session as the public API shows it.

import './dispose.js'
import { InvalidOptionError, MinipendError } from '../errors/errors.js'
import { createIo } from '../io/io.js'
import type { Io } from '../io/types.js'
import {
  type CountersReply,
  countersReplyBytes,
  decodeCounters,
  encodeCounters,
  RULES_SET,
} from '../transport/messages.js'
import { Checker } from './check.js'
import { countersFrom, type Snapshot, snapshotBehind, snapshotOf } from './counters.js'
import { Events } from './events.js'
import { Gates } from './gates.js'
import { HeldDesk } from './held.js'
import { attachInstance, detachInstance } from './instance.js'
import { listInstances } from './instance-list.js'
import { abortable, throwIfAborted } from './lifetime.js'
import { createModel } from './model.js'
import { Pump } from './pump.js'
import { RuleListings } from './rule-listing.js'
import { RuleTable } from './rule-table.js'
import { checkRules } from './rules.js'
import { RuleNames } from './seen.js'
import type { Session } from './session.js'
import type {
  AttachOptions,
  BackendName,
  Counters,
  CountersOptions,
  EventsOptions,
  EventStream,
  ForceOptions,
  Gate,
  GateOptions,
  HeldOperation,
  HeldOptions,
  HelloInfo,
  Instance,
  InstanceInfo,
  Minipend,
  Model,
  ReleaseOptions,
  ReleaseResult,
  Rule,
  Rules,
  RulesResult,
  SignalOptions,
  TransportName,
} from './types.js'
import { Volumes } from './volumes.js'

/** Instances that fit into a reply before a larger one is asked for. */
const EXPECTED_INSTANCES = 4

const checkerFor = (operation: string): Checker =>
  new Checker(
    (field, expectation) => new InvalidOptionError(field, `${operation}: ${field}: ${expectation}`, { operation }),
  )

export class MinipendSession implements Minipend {
  readonly hello: HelloInfo
  readonly rules: Rules
  readonly io: Io
  readonly #session: Session
  readonly #another: (signal: AbortSignal | undefined) => Promise<Minipend>
  readonly #volumes: Volumes
  readonly #table: RuleTable
  readonly #held: HeldDesk
  readonly #gates: Gates
  readonly #events: Events
  /** What counters() counts from. */
  #baseline: Snapshot | undefined
  #model: Model | undefined
  #closing: Promise<void> | undefined

  /** `another`: opens one more session over the same transport. */
  constructor(
    session: Session,
    hello: HelloInfo,
    another: (signal: AbortSignal | undefined) => Promise<Minipend>,
    io: Io = createIo(session),
  ) {
    this.#session = session
    this.#another = another
    this.hello = hello
    this.io = io
    const names = new RuleNames(hello.connectionId)
    const pump = new Pump(session)
    this.#volumes = new Volumes(session.transport, () => this.#readCounters())
    const listings = new RuleListings(session, hello.connectionId, this.#volumes, names)
    this.rules = {
      set: (rules, options = {}) => this.#setRules(rules, 'persist', options),
      release: (id, options = {}) => this.#held.releaseRule(id, options),
      list: (options = {}) => listings.list(options),
      clear: (options = {}) => this.#setRules([], 'persistent', options),
    }
    this.#table = new RuleTable(session, this.#volumes, names)
    this.#held = new HeldDesk(session, hello.connectionId, this.#volumes, names)
    this.#gates = new Gates(session, pump, this.#held, this.#table, hello.limits)
    this.#events = new Events(session, pump, this.#volumes, names)
  }

  get backend(): BackendName {
    return this.#session.transport.backend
  }

  get transport(): TransportName {
    return this.#session.transport.name
  }

  get closed(): boolean {
    return this.#session.lifetime.closed
  }

  get model(): Model {
    this.#model ??= createModel(this.#session.transport, this.#session.lifetime)
    return this.#model
  }

  async connect(options: SignalOptions = {}): Promise<Minipend> {
    const operation = 'connect'
    this.#session.lifetime.ensureOpen(operation)
    const check = checkerFor(operation)
    const signal = check.signal('signal', check.object('options', options, ['signal']).signal)
    throwIfAborted(operation, signal)
    return abortable(this.#another(signal), { operation, signal, discard: (late) => late.close() })
  }

  async attach(volume: string, options: AttachOptions = {}): Promise<Instance> {
    const instance = await attachInstance(this.#session, volume, options, (on, name) => this.#altitudeOf(on, name))
    await this.#volumes.deviceOf(instance.volume)
    return instance
  }

  async detach(
    instance: Instance | { readonly volume: string; readonly name: string },
    options: SignalOptions = {},
  ): Promise<void> {
    return detachInstance(this.#session, instance, options)
  }

  async counters(options: CountersOptions = {}): Promise<Counters> {
    this.#session.lifetime.ensureOpen('counters')
    const check = checkerFor('counters')
    const { since, signal } = check.object('options', options, ['since', 'signal'])
    const base = since === undefined ? this.#baseline : snapshotBehind(since as Counters)
    if (since !== undefined && base === undefined) {
      check.expected('since', 'what counters() gave before', since)
    }
    const stop = check.signal('signal', signal)
    throwIfAborted('counters', stop)
    return abortable(this.#countersSince(base), { operation: 'counters', signal: stop })
  }

  async instances(options: SignalOptions = {}): Promise<InstanceInfo[]> {
    const operation = 'instances'
    this.#session.lifetime.ensureOpen(operation)
    const check = checkerFor(operation)
    const signal = check.signal('signal', check.object('options', options, ['signal']).signal)
    throwIfAborted(operation, signal)
    return abortable(
      listInstances(this.#session, () => this.#countersSince(this.#baseline)),
      { operation, signal },
    )
  }

  async resetCounters(options: SignalOptions = {}): Promise<void> {
    const operation = 'resetCounters'
    this.#session.lifetime.ensureOpen(operation)
    throwIfAborted(operation, options.signal)
    this.#baseline = snapshotOf(await abortable(this.#readCounters(), { operation, signal: options.signal }))
  }

  gate(options: GateOptions): Promise<Gate> {
    return this.#gates.open(options)
  }

  held(options: HeldOptions = {}): Promise<HeldOperation[]> {
    return this.#held.all(options)
  }

  release(id: bigint, options: ReleaseOptions & ForceOptions = {}): Promise<void> {
    return this.#held.releaseOne('release', id, options)
  }

  releaseAll(options: ReleaseOptions & ForceOptions = {}): Promise<ReleaseResult> {
    return this.#held.releaseAll(options)
  }

  events(options: EventsOptions = {}): Promise<EventStream> {
    return this.#events.open(options)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #readCounters(): Promise<CountersReply> {
    const reply = await this.#session.exchange('counters', encodeCounters, countersReplyBytes(EXPECTED_INSTANCES))
    const decoded = decodeCounters(reply)
    if (decoded === undefined) {
      throw this.#session.malformed('counters', `counters of ${reply.length} bytes that do not fit together`)
    }
    this.#volumes.learn(decoded)
    return decoded
  }

  async #countersSince(base: Snapshot | undefined): Promise<Counters> {
    return countersFrom(snapshotOf(await this.#readCounters()), (device) => this.#volumes.driveOf(device), base)
  }

  /** `key`: the option that is about persistent rules. */
  async #setRules<K extends 'persist' | 'persistent'>(
    rules: readonly Rule[],
    key: K,
    options: SignalOptions & Readonly<Partial<Record<K, boolean | undefined>>>,
  ): Promise<RulesResult> {
    const operation = key === 'persist' ? 'rules.set' : 'rules.clear'
    this.#session.lifetime.ensureOpen(operation)
    const checked = checkRules(rules, this.hello.limits)
    const check = checkerFor(operation)
    const given: Partial<Record<K | 'signal', unknown>> = check.object('options', options, [key, 'signal'])
    const set = { setId: RULES_SET, persist: check.boolean(key, given[key] ?? false) }
    const signal = check.signal('signal', given.signal)
    throwIfAborted(operation, signal)
    const sent = this.#table.set(operation, checked, set, (index) => `rules[${index}]`)
    return abortable(sent, { operation, signal })
  }

  async #altitudeOf(volume: string, name: string): Promise<string> {
    const device = (await this.#volumes.deviceOf(volume)) ?? volume
    const { instances } = await this.#readCounters()
    const found = instances.find((each) => each.name === name && each.volume.toUpperCase() === device.toUpperCase())
    return found?.altitude ?? ''
  }

  async #close(): Promise<void> {
    const { lifetime, transport } = this.#session
    lifetime.end()
    // First the connection: the driver gives back what it holds for this session, so nothing below waits for it.
    const failures: unknown[] = []
    const step = async (work: () => Promise<unknown>): Promise<void> => {
      await work().catch((error: unknown) => failures.push(error))
    }
    await step(() => this.#session.disconnect())
    await step(async () => failures.push(...(await lifetime.closeAll())))
    await step(() => transport.close())
    const errors = failures.map((failure) => (failure instanceof Error ? failure : new Error(String(failure))))
    const [first, ...others] = errors
    if (first !== undefined && others.length === 0) {
      throw first
    }
    if (first !== undefined) {
      throw new MinipendError(
        'CLOSE_FAILED',
        `close: ${errors.length} things could not be closed; the first: ${first.message}`,
        {
          operation: 'close',
          cause: new AggregateError(errors),
        },
      )
    }
  }
}
