// SPDX-License-Identifier: MIT
//
// This module provides: a session as the public API shows it.

import './dispose.js'
import { InvalidRuleError, MinipendError, VersionMismatchError } from '../errors/errors.js'
import { DETAILS, OPERATIONS, PROTOCOL_VERSION, REFUSALS } from '../generated/protocol.js'
import { createIo } from '../io/io.js'
import type { Io } from '../io/types.js'
import {
  countersReplyBytes,
  decodeCounters,
  decodeHello,
  decodeSetRules,
  encodeCounters,
  encodeHello,
  encodeRules,
  helloReplyBytes,
  type ReplyHeader,
  setRulesReplyBytes,
} from '../transport/messages.js'
import { countersFrom } from './counters.js'
import { attachInstance, detachInstance } from './instance.js'
import { abortable, throwIfAborted } from './lifetime.js'
import { createModel } from './model.js'
import { type CheckedRule, checkRules } from './rules.js'
import type { Session } from './session.js'
import type {
  AttachOptions,
  BackendName,
  Counters,
  HelloInfo,
  Instance,
  Minipend,
  Model,
  Rule,
  Rules,
  RulesResult,
  SignalOptions,
  TransportName,
} from './types.js'

/** Says hello. The connection takes no other message before. */
export async function greet(session: Session): Promise<HelloInfo> {
  const threads = await session.transport.clientThreads()
  const reply = await session.exchange('openMinipend', (head) => encodeHello(head, threads), helloReplyBytes)
  const hello = decodeHello(reply)
  if (hello === undefined) {
    throw session.malformed('openMinipend', `a hello of ${reply.length} bytes instead of ${helloReplyBytes}`)
  }
  if (hello.operationCount !== OPERATIONS.length || hello.refusalCount !== REFUSALS.length) {
    throw new VersionMismatchError(
      `the driver knows ${hello.operationCount} operations and ${hello.refusalCount} refusal causes, this library ${OPERATIONS.length} and ${REFUSALS.length}`,
      { driver: hello.version, client: PROTOCOL_VERSION },
      { operation: 'openMinipend', hint: 'install the driver and the library of the same release' },
    )
  }
  return {
    driverVersion: hello.driverVersion.join('.'),
    protocolVersion: hello.version,
    connectionId: hello.connectionId,
    processorCount: hello.processorCount,
    limits: { maxHeld: hello.maxHeld, maxDelayMs: hello.maxDelayMs, maxRules: hello.maxRules },
  }
}

/** Instances that fit into a reply before a larger one is asked for. */
const EXPECTED_INSTANCES = 4

export class MinipendSession implements Minipend {
  readonly hello: HelloInfo
  readonly rules: Rules
  readonly io: Io
  readonly #session: Session
  /** Device names of the DOS names that were used, and back. */
  readonly #devices = new Map<string, string>()
  #model: Model | undefined
  #closing: Promise<void> | undefined

  constructor(session: Session, hello: HelloInfo, io: Io = createIo(session)) {
    this.#session = session
    this.hello = hello
    this.io = io
    this.rules = {
      set: (rules, options = {}) => this.#setRules(rules, options),
      clear: (options = {}) => this.#setRules([], options),
    }
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

  async attach(volume: string, options: AttachOptions = {}): Promise<Instance> {
    const instance = await attachInstance(this.#session, volume, options, (on, name) => this.#altitudeOf(on, name))
    await this.#deviceOf(instance.volume)
    return instance
  }

  async detach(
    instance: Instance | { readonly volume: string; readonly name: string },
    options: SignalOptions = {},
  ): Promise<void> {
    return detachInstance(this.#session, instance, options)
  }

  async counters(options: SignalOptions = {}): Promise<Counters> {
    this.#session.lifetime.ensureOpen('counters')
    throwIfAborted('counters', options.signal)
    return abortable(this.#readCounters(), { operation: 'counters', signal: options.signal })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #readCounters(): Promise<Counters> {
    const reply = await this.#session.exchange('counters', encodeCounters, countersReplyBytes(EXPECTED_INSTANCES))
    const decoded = decodeCounters(reply)
    if (decoded === undefined) {
      throw this.#session.malformed('counters', `counters of ${reply.length} bytes that do not fit together`)
    }
    const drives = new Map([...this.#devices].map(([drive, device]) => [device.toUpperCase(), drive]))
    return countersFrom(decoded, (device) => drives.get(device.toUpperCase()))
  }

  async #setRules(rules: readonly Rule[], options: SignalOptions): Promise<RulesResult> {
    this.#session.lifetime.ensureOpen('rules.set')
    const checked = checkRules(rules, this.hello.limits)
    throwIfAborted('rules.set', options.signal)
    return abortable(this.#sendRules(checked), { operation: 'rules.set', signal: options.signal })
  }

  async #sendRules(rules: readonly CheckedRule[]): Promise<RulesResult> {
    const wire = await Promise.all(
      rules.map(async (rule, index) => ({
        ...rule,
        volume: await this.#ruleVolume(rule.volume, `rules[${index}].volume`),
      })),
    )
    const reply = await this.#session.exchange(
      'rules.set',
      (head) => encodeRules(head, wire),
      setRulesReplyBytes,
      (header) => ruleRefusal(header, rules),
    )
    const decoded = decodeSetRules(reply)
    if (decoded === undefined) {
      throw this.#session.malformed('rules.set', `${reply.length} bytes instead of ${setRulesReplyBytes}`)
    }
    return { generation: decoded.generation }
  }

  async #ruleVolume(volume: string, field: string): Promise<string> {
    if (!volume.endsWith(':')) {
      return volume
    }
    const device = await this.#deviceOf(volume.toUpperCase())
    if (device === undefined) {
      throw new InvalidRuleError(field, `${field}: there is no volume "${volume}"`, { operation: 'rules.set' })
    }
    return device
  }

  /** The device name of "D:"; undefined: there is no such DOS name, or the volume has none. */
  async #deviceOf(volume: string): Promise<string | undefined> {
    const known = this.#devices.get(volume)
    if (known !== undefined || !volume.endsWith(':')) {
      return known
    }
    const [error, , device] = await this.#session.transport.queryDosDevice(volume)
    if (error === 0) {
      this.#devices.set(volume, device)
      return device
    }
    return undefined
  }

  async #altitudeOf(volume: string, name: string): Promise<string> {
    const device = (await this.#deviceOf(volume)) ?? volume
    const { byInstance } = await this.#readCounters()
    const found = byInstance.find((each) => each.name === name && each.volume.toUpperCase() === device.toUpperCase())
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

/** The driver's own check found something that ours did not. */
function ruleRefusal(header: ReplyHeader, rules: readonly CheckedRule[]): InvalidRuleError | undefined {
  const detail = DETAILS[header.detail]
  const rule = rules[header.index]
  if (detail === undefined || rule === undefined || !detail.name.startsWith('rule') || detail.name === 'ruleCount') {
    return undefined
  }
  const field = `rules[${header.index}]`
  return new InvalidRuleError(field, `${field} ("${rule.id}"): the driver refused it: ${detail.what}`, {
    operation: 'rules.set',
    hint: 'no rule was changed',
  })
}
