// SPDX-License-Identifier: MIT
//
// This module provides: rules, checked and turned into what the driver takes.
//
// Everything is checked here, before the driver sees it: the message of a malformed rule names the field, what was
// expected and what was found. The driver checks again, because it trusts no caller.

import { InvalidRuleError } from '../errors/errors.js'
import { ACTION, HOLD, LIMIT, QUEUE, RULE_FLAG } from '../generated/protocol.js'
import type { WireRule } from '../transport/messages.js'
import { Checker, fromCaller, show } from './check.js'
import { checkConditions, checkFailWith, CONDITION_KEYS } from './conditions.js'

const check = new Checker(
  (field, expectation) =>
    new InvalidRuleError(field, `${field}: ${expectation}`, {
      operation: 'rules.set',
      hint: 'no rule was changed; correct it and set all rules again',
    }),
)
const gateCheck = new Checker(
  (field, expectation) =>
    new InvalidRuleError(field, `gate: ${field}: ${expectation}`, { operation: 'gate', hint: 'no gate was opened' }),
)

export interface RuleLimits {
  readonly maxDelayMs: number
  readonly maxRules: number
}

/** A checked rule; `volume` is still as the caller wrote it. */
export interface CheckedRule extends WireRule {
  readonly id: string
}

const RULE_KEYS = ['id', ...CONDITION_KEYS, 'names', 'action'] as const
const GATE_KEYS = [
  'id',
  ...CONDITION_KEYS,
  'names',
  'deadlineMs',
  'maxHeld',
  'queue',
  'fastIo',
  'synchronize',
  'failWith',
  'signal',
] as const
export const MAX_ID_CHARS = 256
const MAX_UINT32 = 0xffffffff

type CheckedAction = Pick<WireRule, 'action' | 'queue' | 'hold' | 'delayMs' | 'failStatus' | 'flags'>

const checkQueue = (by: Checker, field: string, value: unknown): number =>
  by.oneOf(field, value, ['critical', 'delayed']) === 'critical' ? QUEUE.CRITICAL : QUEUE.DELAYED
const checkFastIo = (by: Checker, field: string, value: unknown): number =>
  by.oneOf(field, value, ['toIrp', 'refuse']) === 'toIrp' ? RULE_FLAG.FAST_IO_TO_IRP : 0

function checkPend(field: string, value: unknown, limits: RuleLimits, operations: bigint): CheckedAction {
  const keys = ['kind', 'delayMs', 'queue', 'fastIo', 'failWith'] as const
  const { delayMs = 0, queue = 'delayed', fastIo = 'toIrp', failWith } = check.object(field, value, keys)
  const delay = check.integer(`${field}.delayMs`, delayMs, 0, limits.maxDelayMs, 'milliseconds')
  return {
    action: ACTION.PEND,
    queue: checkQueue(check, `${field}.queue`, queue),
    hold: delay === 0 ? HOLD.NONE : HOLD.DELAY,
    delayMs: delay,
    failStatus: checkFailWith(check, `${field}.failWith`, failWith, operations),
    flags: checkFastIo(check, `${field}.fastIo`, fastIo),
  }
}

function checkSynchronize(field: string, value: unknown, limits: RuleLimits, operations: bigint): CheckedAction {
  const { delayMs = 0, failWith } = check.object(field, value, ['kind', 'delayMs', 'failWith'])
  const delay = check.integer(`${field}.delayMs`, delayMs, 0, limits.maxDelayMs, 'milliseconds')
  return {
    action: ACTION.SYNCHRONIZE,
    queue: QUEUE.NONE,
    hold: delay === 0 ? HOLD.NONE : HOLD.DELAY,
    delayMs: delay,
    failStatus: checkFailWith(check, `${field}.failWith`, failWith, operations),
    // Fast I/O cannot be synchronised with; it comes again as an IRP, which can.
    flags: RULE_FLAG.FAST_IO_TO_IRP,
  }
}

function checkAction(field: string, value: unknown, limits: RuleLimits, operations: bigint): CheckedAction {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return check.expected(field, 'observe(), pend({ ... }), whenSafe() or synchronize({ ... })', value)
  }
  const nothing = { queue: QUEUE.NONE, hold: HOLD.NONE, delayMs: 0, failStatus: 0, flags: 0 }
  const { kind } = value as { kind?: unknown }
  switch (check.oneOf(`${field}.kind`, kind, ['observe', 'pend', 'whenSafe', 'synchronize'])) {
    case 'observe':
      check.object(field, value, ['kind'])
      return { ...nothing, action: ACTION.OBSERVE }
    case 'whenSafe': {
      const { failWith } = check.object(field, value, ['kind', 'failWith'])
      const failStatus = checkFailWith(check, `${field}.failWith`, failWith, operations)
      return { ...nothing, action: ACTION.WHEN_SAFE, failStatus, flags: RULE_FLAG.FAST_IO_TO_IRP }
    }
    case 'pend':
      return checkPend(field, value, limits, operations)
    case 'synchronize':
      return checkSynchronize(field, value, limits, operations)
  }
}

const namesFlag = (by: Checker, field: string, value: unknown): number =>
  by.boolean(field, value) ? RULE_FLAG.NAME : 0

function checkRule(field: string, index: number, value: unknown, limits: RuleLimits): CheckedRule {
  const rule = check.object(field, value, RULE_KEYS)
  const conditions = checkConditions(check, `${field}.`, rule)
  const action = checkAction(`${field}.action`, rule.action, limits, conditions.operations)
  if (rule.audit === true && action.action !== ACTION.PEND) {
    check.fail(`${field}.audit`, 'goes with pend() only: no other action calls FltQueueDeferredIoWorkItem')
  }
  return {
    ...conditions,
    ...action,
    id: rule.id === undefined ? `rule ${index}` : check.text(`${field}.id`, rule.id, MAX_ID_CHARS),
    number: index + 1,
    maxHeld: 0,
    flags: action.flags | conditions.flags | namesFlag(check, `${field}.names`, rule.names ?? false),
  }
}

/** @throws InvalidRuleError for the first field that is wrong */
export function checkRules(rules: unknown, limits: RuleLimits): CheckedRule[] {
  return fromCaller(checkRules, () => checkAll(rules, limits))
}

function checkAll(rules: unknown, limits: RuleLimits): CheckedRule[] {
  if (!Array.isArray(rules)) {
    return check.expected('rules', 'an array of rules', rules)
  }
  if (rules.length > limits.maxRules) {
    check.fail('rules', `expected at most ${limits.maxRules} rules, got ${rules.length}`)
  }
  const places = new Map<string, number>()
  return (rules as unknown[]).map((value, index) => {
    const rule = checkRule(`rules[${index}]`, index, value, limits)
    const earlier = places.get(rule.id)
    if (earlier !== undefined) {
      check.fail(
        `rules[${index}].id`,
        `expected a name of its own, got ${show(rule.id)}, which rules[${earlier}] has already`,
      )
    }
    places.set(rule.id, index)
    return rule
  })
}

export interface CheckedGate {
  /** The gate's only rule; `setId` names a gate that has no name. */
  readonly ruleFor: (setId: number) => CheckedRule
  readonly signal: AbortSignal | undefined
}

/** @throws InvalidRuleError */
export function checkGate(options: unknown, limits: Pick<RuleLimits, 'maxDelayMs'>): CheckedGate {
  return fromCaller(checkGate, () => checkGateOptions(options, limits))
}

function checkGateOptions(options: unknown, limits: Pick<RuleLimits, 'maxDelayMs'>): CheckedGate {
  const given = gateCheck.object('options', options, GATE_KEYS)
  const conditions = checkConditions(gateCheck, '', given)
  const inOwnThread = given.synchronize !== undefined && gateCheck.boolean('synchronize', given.synchronize)
  if (inOwnThread && given.queue !== undefined) {
    gateCheck.fail('queue', 'does not go with synchronize: nothing is queued')
  }
  if (inOwnThread && given.audit === true) {
    gateCheck.fail('audit', 'does not go with synchronize: FltQueueDeferredIoWorkItem is not called')
  }
  const deadlineMs = given.deadlineMs ?? Math.min(LIMIT.DEFAULT_GATE_MS, limits.maxDelayMs)
  const id = given.id === undefined ? undefined : gateCheck.text('id', given.id, MAX_ID_CHARS)
  const rule = {
    ...conditions,
    number: 1,
    action: inOwnThread ? ACTION.SYNCHRONIZE : ACTION.PEND,
    queue: inOwnThread ? QUEUE.NONE : checkQueue(gateCheck, 'queue', given.queue ?? 'delayed'),
    hold: HOLD.GATE,
    delayMs: gateCheck.integer('deadlineMs', deadlineMs, 1, limits.maxDelayMs, 'milliseconds'),
    failStatus: checkFailWith(gateCheck, 'failWith', given.failWith, conditions.operations),
    maxHeld: given.maxHeld === undefined ? 0 : gateCheck.integer('maxHeld', given.maxHeld, 1, MAX_UINT32),
    flags:
      conditions.flags |
      checkFastIo(gateCheck, 'fastIo', given.fastIo ?? 'toIrp') |
      namesFlag(gateCheck, 'names', given.names ?? true),
  }
  return {
    signal: gateCheck.signal('signal', given.signal),
    ruleFor: (setId) => ({ ...rule, id: id ?? `gate ${setId}` }),
  }
}

/** The error for a volume that is not there. `field`: as in "rules[0].volume", or "volume" of a gate. */
export const noSuchVolume = (field: string, volume: string): InvalidRuleError =>
  field === 'volume'
    ? new InvalidRuleError(field, `gate: volume: there is no volume "${volume}"`, {
        operation: 'gate',
        hint: 'no gate was opened; name a volume that exists, as in "D:"',
      })
    : new InvalidRuleError(field, `${field}: there is no volume "${volume}"`, {
        operation: 'rules.set',
        hint: 'no rule was changed; name a volume that exists, as in "D:"',
      })
