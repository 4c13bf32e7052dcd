// SPDX-License-Identifier: MIT
//
// This module provides: rules, checked and turned into what the driver takes.
//
// Everything is checked here, before the driver sees it: the message of a malformed rule names the field, what was
// expected and what was found. The driver checks again, because it trusts no caller.

import { closest } from 'fastest-levenshtein'
import { InvalidRuleError } from '../errors/errors.js'
import { ACTION, HOLD, LIMIT, QUEUE, RULE_FLAG } from '../generated/protocol.js'
import type { WireRule } from '../transport/messages.js'
import { Checker, show } from './check.js'
import { operationBits, ruleOperationNames } from './operations.js'

const check = new Checker(
  (field, expectation) =>
    new InvalidRuleError(field, `${field}: ${expectation}`, {
      operation: 'rules.set',
      hint: 'no rule was changed; correct it and set all rules again',
    }),
)

export interface RuleLimits {
  readonly maxDelayMs: number
  readonly maxRules: number
}

/** A checked rule; `volume` is still as the caller wrote it. */
export interface CheckedRule extends Omit<WireRule, 'volume'> {
  readonly id: string
  readonly volume: string
}

const RULE_KEYS = ['id', 'on', 'path', 'volume', 'action', 'allow'] as const
const ALLOW_FLAGS = {
  kernelMode: RULE_FLAG.KERNEL_MODE,
  bootVolume: RULE_FLAG.BOOT_VOLUME,
  pagingFile: RULE_FLAG.PAGING_FILE,
} as const

function checkOperations(field: string, value: unknown): bigint {
  if (!Array.isArray(value) || value.length === 0) {
    return check.expected(field, 'an array of operation names, such as ["rename"]', value)
  }
  let operations = 0n
  for (const [index, name] of (value as unknown[]).entries()) {
    const at = `${field}[${index}]`
    const found = typeof name === 'string' ? operationBits(name) : check.expected(at, 'an operation name', name)
    if (found === undefined) {
      const known = ruleOperationNames()
      return check.fail(
        at,
        `unknown operation ${show(name)}; did you mean "${closest(String(name), known)}"? Known operations: ${known.join(', ')}`,
      )
    }
    operations |= found
  }
  return operations
}

function checkPath(field: string, value: unknown): string {
  if (value === undefined) {
    return ''
  }
  const path = check.text(field, value, LIMIT.PATTERN_CHARS)
  if (path.includes('/')) {
    check.fail(field, `expected backslashes, got ${show(path)}; no name in a Windows path has a "/"`)
  }
  if (/^[a-z]:/i.test(path)) {
    check.fail(
      field,
      `expected a path from the volume's root, such as "\\inbox\\*", got ${show(path)}; name the volume with volume: "${path.slice(0, 2)}"`,
    )
  }
  return path
}

function checkVolume(field: string, value: unknown): string {
  if (value === undefined) {
    return ''
  }
  const volume = check.text(field, value, LIMIT.VOLUME_CHARS)
  return /^[a-z]:$/i.test(volume) || volume.startsWith('\\Device\\')
    ? volume
    : check.expected(field, 'a volume such as "D:" or "\\Device\\HarddiskVolume2"', value)
}

type CheckedAction = Pick<WireRule, 'action' | 'queue' | 'hold' | 'delayMs' | 'flags'>

function checkAction(field: string, value: unknown, limits: RuleLimits): CheckedAction {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return check.expected(field, 'observe() or pend({ ... })', value)
  }
  const kind = check.oneOf(`${field}.kind`, (value as { kind?: unknown }).kind, ['observe', 'pend'])
  if (kind === 'observe') {
    check.object(field, value, ['kind'])
    return { action: ACTION.OBSERVE, queue: QUEUE.NONE, hold: HOLD.NONE, delayMs: 0, flags: 0 }
  }
  const {
    delayMs = 0,
    queue = 'delayed',
    fastIo = 'toIrp',
  } = check.object(field, value, ['kind', 'delayMs', 'queue', 'fastIo'])
  const delay = check.integer(`${field}.delayMs`, delayMs, 0, limits.maxDelayMs, 'milliseconds')
  return {
    action: ACTION.PEND,
    queue:
      check.oneOf(`${field}.queue`, queue, ['critical', 'delayed']) === 'critical' ? QUEUE.CRITICAL : QUEUE.DELAYED,
    hold: delay === 0 ? HOLD.NONE : HOLD.DELAY,
    delayMs: delay,
    flags: check.oneOf(`${field}.fastIo`, fastIo, ['toIrp', 'refuse']) === 'toIrp' ? RULE_FLAG.FAST_IO_TO_IRP : 0,
  }
}

function checkAllow(field: string, value: unknown): number {
  if (value === undefined) {
    return 0
  }
  const allow = check.object(field, value, ['kernelMode', 'bootVolume', 'pagingFile'])
  let flags = 0
  for (const key of ['kernelMode', 'bootVolume', 'pagingFile'] as const) {
    if (allow[key] !== undefined && check.boolean(`${field}.${key}`, allow[key])) {
      flags |= ALLOW_FLAGS[key]
    }
  }
  return flags
}

function checkRule(field: string, index: number, value: unknown, limits: RuleLimits): CheckedRule {
  const rule = check.object(field, value, RULE_KEYS)
  const action = checkAction(`${field}.action`, rule.action, limits)
  return {
    ...action,
    id: rule.id === undefined ? `rule ${index}` : check.text(`${field}.id`, rule.id, 256),
    number: index + 1,
    operations: checkOperations(`${field}.on`, rule.on),
    path: checkPath(`${field}.path`, rule.path),
    volume: checkVolume(`${field}.volume`, rule.volume),
    flags: action.flags | checkAllow(`${field}.allow`, rule.allow),
  }
}

/** @throws InvalidRuleError for the first field that is wrong */
export function checkRules(rules: unknown, limits: RuleLimits): CheckedRule[] {
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
