// SPDX-License-Identifier: MIT
//
// This module provides: the conditions that rules and gates share, checked and turned into what the driver takes.

import { closest } from 'fastest-levenshtein'
import { CONDITION, LIMIT, RULE_FLAG, STATUS_FILTER } from '../generated/protocol.js'
import type { WireRule } from '../transport/messages.js'
import { type Checker, show } from './check.js'
import { minorFunctionBit, operationBits, ruleOperationNames } from './operations.js'
import type { Conditions } from './rule-types.js'

export const CONDITION_KEYS = [
  'on',
  'path',
  'volume',
  'processId',
  'requestorMode',
  'io',
  'status',
  'everyNth',
  'atMost',
  'probability',
  'seed',
  'allow',
  'audit',
] as const satisfies readonly (keyof Conditions)[]

export type ConditionKey = (typeof CONDITION_KEYS)[number]

/** `volume` is still as the caller wrote it. */
export type CheckedConditions = Pick<
  WireRule,
  | 'operations'
  | 'minorFunctions'
  | 'path'
  | 'volume'
  | 'processId'
  | 'conditions'
  | 'statusFilter'
  | 'matchStatus'
  | 'everyNth'
  | 'atMost'
  | 'probabilityPpm'
  | 'seed'
  | 'flags'
>

const MAX_UINT32 = 0xffffffff
const MAX_UINT64 = 2n ** 64n - 1n
const PPM = 1_000_000
/** Operations that may not be given a failure [POST-32]. */
const NEVER_FAILED = (operationBits('cleanup') ?? 0n) | (operationBits('close') ?? 0n)

const ALLOW_FLAGS = {
  kernelMode: RULE_FLAG.KERNEL_MODE,
  bootVolume: RULE_FLAG.BOOT_VOLUME,
  pagingFile: RULE_FLAG.PAGING_FILE,
} as const
const IO_CONDITIONS = {
  paging: CONDITION.PAGING,
  cached: CONDITION.CACHED,
  nonCached: CONDITION.NON_CACHED,
} as const

const majorOf = (name: string): string => name.split('/', 1)[0] ?? name

/** The bits of the minor functions; 0: all. One mask serves the whole rule, so it must mean the same for all that the rule names. */
function checkMinorFunctions(check: Checker, field: string, names: readonly string[]): number {
  const first = names.find((name) => minorFunctionBit(name) !== undefined)
  if (first === undefined) {
    return 0
  }
  let minorFunctions = 0
  for (const [index, name] of names.entries()) {
    const bit = minorFunctionBit(name)
    if (bit === undefined || majorOf(name) !== majorOf(first)) {
      return check.fail(
        `${field}[${index}]`,
        `${show(name)} cannot stand beside ${show(first)}: a rule that selects minor functions names only those of one major function; make it a rule of its own`,
      )
    }
    minorFunctions |= bit
  }
  return minorFunctions
}

function checkOperations(
  check: Checker,
  field: string,
  value: unknown,
): Pick<WireRule, 'operations' | 'minorFunctions'> {
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
  return { operations, minorFunctions: checkMinorFunctions(check, field, value as string[]) }
}

function checkPath(check: Checker, field: string, value: unknown): string {
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

function checkVolume(check: Checker, field: string, value: unknown): string {
  if (value === undefined) {
    return ''
  }
  const volume = check.text(field, value, LIMIT.VOLUME_CHARS)
  return /^[a-z]:$/i.test(volume) || volume.startsWith('\\Device\\')
    ? volume
    : check.expected(field, 'a volume such as "D:" or "\\Device\\HarddiskVolume2"', value)
}

function checkMode(check: Checker, field: string, value: unknown): number {
  if (value === undefined) {
    return 0
  }
  return check.oneOf(field, value, ['user', 'kernel']) === 'user' ? CONDITION.USER_MODE : CONDITION.KERNEL_MODE
}

function checkIo(check: Checker, field: string, value: unknown): number {
  if (value === undefined) {
    return 0
  }
  if (!Array.isArray(value) || value.length === 0) {
    return check.expected(field, 'an array of kinds of data I/O, such as ["nonCached"]', value)
  }
  return (value as unknown[]).reduce<number>(
    (bits, kind, index) =>
      bits | IO_CONDITIONS[check.oneOf(`${field}[${index}]`, kind, ['paging', 'cached', 'nonCached'])],
    0,
  )
}

function checkStatus(check: Checker, field: string, value: unknown): Pick<WireRule, 'statusFilter' | 'matchStatus'> {
  if (value === undefined) {
    return { statusFilter: STATUS_FILTER.ANY, matchStatus: 0 }
  }
  if (value === 'success' || value === 'failure') {
    return { statusFilter: value === 'success' ? STATUS_FILTER.SUCCESS : STATUS_FILTER.FAILURE, matchStatus: 0 }
  }
  const what = '"success", "failure" or an NTSTATUS, such as "STATUS_END_OF_FILE" or 0xc0000011'
  return { statusFilter: STATUS_FILTER.EXACT, matchStatus: check.ntstatus(field, value, what) | 0 }
}

function checkProbability(check: Checker, field: string, value: unknown): number {
  if (value === undefined) {
    return 0
  }
  const ppm = typeof value === 'number' ? Math.round(value * PPM) : NaN
  return typeof value === 'number' && value <= 1 && ppm >= 1
    ? ppm
    : check.expected(field, 'a number from 0.000001 to 1', value)
}

function checkAllow(check: Checker, field: string, value: unknown): number {
  if (value === undefined) {
    return 0
  }
  const keys = ['kernelMode', 'bootVolume', 'pagingFile'] as const
  const allow = check.object(field, value, keys)
  let flags = 0
  for (const key of keys) {
    if (allow[key] !== undefined && check.boolean(`${field}.${key}`, allow[key])) {
      flags |= ALLOW_FLAGS[key]
    }
  }
  return flags
}

/** A condition that is a count; 0 when absent, which is "no condition" to the driver. */
function checkCount(check: Checker, field: string, value: unknown): number {
  return value === undefined ? 0 : check.integer(field, value, 1, MAX_UINT32)
}

/** `prefix`: what stands before the names of fields, as in "rules[0].". */
export function checkConditions(
  check: Checker,
  prefix: string,
  given: Partial<Record<ConditionKey, unknown>>,
): CheckedConditions {
  const probabilityPpm = checkProbability(check, `${prefix}probability`, given.probability)
  if (given.seed !== undefined && probabilityPpm === 0) {
    check.fail(`${prefix}seed`, 'goes with probability, which is missing')
  }
  const audit = given.audit !== undefined && check.boolean(`${prefix}audit`, given.audit)
  return {
    ...checkOperations(check, `${prefix}on`, given.on),
    path: checkPath(check, `${prefix}path`, given.path),
    volume: checkVolume(check, `${prefix}volume`, given.volume),
    processId: checkCount(check, `${prefix}processId`, given.processId),
    conditions:
      checkMode(check, `${prefix}requestorMode`, given.requestorMode) | checkIo(check, `${prefix}io`, given.io),
    ...checkStatus(check, `${prefix}status`, given.status),
    everyNth: checkCount(check, `${prefix}everyNth`, given.everyNth),
    atMost: checkCount(check, `${prefix}atMost`, given.atMost),
    probabilityPpm,
    seed: given.seed === undefined ? 0n : check.bigint(`${prefix}seed`, given.seed, MAX_UINT64),
    flags: checkAllow(check, `${prefix}allow`, given.allow) | (audit ? RULE_FLAG.AUDIT_TOP_LEVEL_IRP : 0),
  }
}

/** A failing status and the operations that it is for. Value: signed, 0: none. */
export function checkFailWith(check: Checker, field: string, value: unknown, operations: bigint): number {
  if (value === undefined) {
    return 0
  }
  const status = check.failure(field, value)
  if ((operations & NEVER_FAILED) !== 0n) {
    check.fail(field, 'cleanup and close cannot be failed: name them in a rule of their own')
  }
  return status | 0
}
