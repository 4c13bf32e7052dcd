// SPDX-License-Identifier: MIT
//
// This module provides: checks of values that callers hand in. A failing check throws what `fail` makes, with the field's path, what
// was expected and what was found.

import { closest } from 'fastest-levenshtein'
import { ntstatusNames, ntstatusValue } from '../errors/tables.js'

const FILTER_MANAGER_FACILITY = 0xc01c

/** Makes the error for a field: (path, message without the path). */
export type Fail = (field: string, expectation: string) => Error

/** A value as it is shown in a message: short, on one line. */
export function show(value: unknown): string {
  if (typeof value === 'string') {
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
  }
  if (typeof value === 'bigint') {
    return `${value}n`
  }
  if (typeof value === 'function') {
    return 'a function'
  }
  if (Array.isArray(value)) {
    return `an array of ${value.length}`
  }
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

/**
 * What `check` returns. An error that it throws has its stack from the caller of `boundary` on: the frames of the checks would
 * crowd out the caller's own.
 */
export function fromCaller<T>(boundary: (...values: never) => unknown, check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (error instanceof Error) {
      Error.captureStackTrace(error, boundary)
    }
    throw error
  }
}

export class Checker {
  readonly #fail: Fail

  constructor(fail: Fail) {
    this.#fail = fail
  }

  fail(field: string, expectation: string): never {
    throw this.#fail(field, expectation)
  }

  expected(field: string, what: string, got: unknown): never {
    return this.fail(field, `expected ${what}, got ${show(got)}`)
  }

  /** A plain object with no other keys than `known`. */
  object<K extends string>(field: string, value: unknown, known: readonly K[]): Partial<Record<K, unknown>> {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return this.expected(field, `an object with ${known.join(', ')}`, value)
    }
    for (const key of Object.keys(value)) {
      if (!(known as readonly string[]).includes(key)) {
        this.fail(
          field === '' ? key : `${field}.${key}`,
          `unknown key; did you mean "${closest(key, known)}"? Known keys: ${known.join(', ')}`,
        )
      }
    }
    return value
  }

  oneOf<T extends string>(field: string, value: unknown, allowed: readonly T[]): T {
    const found = allowed.find((candidate) => candidate === value)
    return found ?? this.expected(field, `one of ${allowed.map((name) => `"${name}"`).join(', ')}`, value)
  }

  integer(field: string, value: unknown, least: number, most: number, unit = ''): number {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
      return this.expected(field, `an integer from ${least} to ${most}${unit === '' ? '' : ` (${unit})`}`, value)
    }
    return value
  }

  /** A number or bigint as a bigint. */
  bigint(field: string, value: unknown, most: bigint): bigint {
    const number = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value
    if (typeof number !== 'bigint' || number < 0n || number > most) {
      return this.expected(field, `an integer from 0 to ${most}`, value)
    }
    return number
  }

  boolean(field: string, value: unknown): boolean {
    return typeof value === 'boolean' ? value : this.expected(field, 'true or false', value)
  }

  /** A text of 1 to `most` UTF-16 units without NUL. */
  text(field: string, value: unknown, most: number): string {
    if (typeof value !== 'string' || value.length === 0 || value.length > most || value.includes('\0')) {
      return this.expected(
        field,
        `a text of 1 to ${most} characters`,
        typeof value === 'string' && value.length > most ? `${value.length} characters` : value,
      )
    }
    return value
  }

  /** An NTSTATUS by name or number, signed or not, as an unsigned number. `what` says which are wanted. */
  ntstatus(field: string, value: unknown, what: string): number {
    if (typeof value === 'string') {
      const found = ntstatusValue(value)
      if (found === undefined) {
        const known = ntstatusNames()
        return this.fail(
          field,
          `unknown NTSTATUS ${show(value)}; did you mean "${closest(value, known)}"? A number such as 0xc000007f is taken too`,
        )
      }
      return found
    }
    if (typeof value !== 'number' || !Number.isInteger(value) || value < -0x80000000 || value > 0xffffffff) {
      return this.expected(field, what, value)
    }
    return value >>> 0
  }

  /** An NTSTATUS that an operation may be given back with. */
  failure(field: string, value: unknown): number {
    const what = 'a failure, such as "STATUS_DISK_FULL" or 0xc000007f'
    const status = this.ntstatus(field, value, what)
    if (status >>> 30 !== 3) {
      return this.expected(field, what, typeof value === 'number' ? `0x${status.toString(16).padStart(8, '0')}` : value)
    }
    if (status >>> 16 === FILTER_MANAGER_FACILITY) {
      return this.fail(field, `${show(value)} has a meaning to the Filter Manager; no operation may end with it`)
    }
    return status
  }

  signal(field: string, value: unknown): AbortSignal | undefined {
    return value === undefined || value instanceof AbortSignal ? value : this.expected(field, 'an AbortSignal', value)
  }
}
