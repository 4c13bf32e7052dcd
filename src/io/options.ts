// SPDX-License-Identifier: MIT
//
// This module provides: the arguments of file calls, checked and turned into Win32 numbers.

import { Checker } from '../client/check.js'
import { InvalidOptionError } from '../errors/errors.js'
import { ACCESS, DISPOSITION, FLAG, SHARE } from './layouts.js'
import { attributeMask } from './attributes.js'
import type { AccessName, CreateDisposition, FileOpenOptions, ShareName } from './types.js'

/** Checks that name the call in their message. */
export const checkerFor = (operation: string): Checker =>
  new Checker(
    (field, expectation) => new InvalidOptionError(field, `${operation}: ${field}: ${expectation}`, { operation }),
  )

const OPEN_KEYS = [
  'access',
  'create',
  'share',
  'attributes',
  'overlapped',
  'noBuffering',
  'writeThrough',
  'randomAccess',
  'sequentialScan',
  'deleteOnClose',
  'directory',
  'openReparsePoint',
  'openNoRecall',
  'posixSemantics',
  'signal',
] as const
type FlagKey = Exclude<(typeof OPEN_KEYS)[number], 'access' | 'create' | 'share' | 'attributes' | 'signal'>

export interface CreateArguments {
  readonly desiredAccess: number
  readonly shareMode: number
  readonly creationDisposition: number
  readonly flags: number
  readonly overlapped: boolean
  readonly directory: boolean
  readonly signal: AbortSignal | undefined
}

const namesOf = <K extends string>(table: Readonly<Record<K, number>>): K[] => Object.keys(table) as K[]
const MAX_ACCESS = 0xffffffff
/** FILE_ATTRIBUTE_*: what is above is FILE_FLAG_* and SECURITY_*. */
const MAX_ATTRIBUTES = 0x7fff
const MAX_PATH_CHARS = 32767
const MAX_OFFSET = 2n ** 63n - 1n

export function accessMask(check: Checker, value: unknown): number {
  if (typeof value === 'number') {
    return check.integer('access', value, 0, MAX_ACCESS)
  }
  const names: readonly unknown[] = Array.isArray(value) ? (value as unknown[]) : [value]
  return names.reduce<number>(
    (mask, name) => (mask | ACCESS[check.oneOf<AccessName>('access', name, namesOf(ACCESS))]) >>> 0,
    0,
  )
}

export function shareMask(check: Checker, value: unknown): number {
  if (!Array.isArray(value)) {
    return check.expected('share', 'an array of "read", "write", "delete"', value)
  }
  return (value as unknown[]).reduce<number>(
    (mask, name) => mask | SHARE[check.oneOf<ShareName>('share', name, namesOf(SHARE))],
    0,
  )
}

/** @throws InvalidOptionError */
export function createArguments(options: FileOpenOptions): CreateArguments {
  const check = checkerFor('io.open')
  const given = check.object('options', options, OPEN_KEYS)
  const flag = (key: FlagKey, bit: number): number =>
    given[key] !== undefined && check.boolean(key, given[key]) ? bit : 0
  const overlapped = flag('overlapped', FLAG.OVERLAPPED)
  const directory = flag('directory', FLAG.BACKUP_SEMANTICS)
  const attributes =
    given.attributes === undefined ? FLAG.ATTRIBUTE_NORMAL : attributeMask('io.open', 'attributes', given.attributes)
  if (attributes > MAX_ATTRIBUTES) {
    check.fail('attributes', 'expected FILE_ATTRIBUTE_* only (up to 0x7fff): the flags have options of their own')
  }
  return {
    desiredAccess: accessMask(check, given.access ?? 'read'),
    shareMode: shareMask(check, given.share ?? namesOf(SHARE)),
    creationDisposition:
      DISPOSITION[check.oneOf<CreateDisposition>('create', given.create ?? 'open', namesOf(DISPOSITION))],
    flags:
      (attributes |
        overlapped |
        directory |
        flag('noBuffering', FLAG.NO_BUFFERING) |
        flag('writeThrough', FLAG.WRITE_THROUGH) |
        flag('randomAccess', FLAG.RANDOM_ACCESS) |
        flag('sequentialScan', FLAG.SEQUENTIAL_SCAN) |
        flag('deleteOnClose', FLAG.DELETE_ON_CLOSE) |
        flag('openReparsePoint', FLAG.OPEN_REPARSE_POINT) |
        flag('openNoRecall', FLAG.OPEN_NO_RECALL) |
        flag('posixSemantics', FLAG.POSIX_SEMANTICS)) >>>
      0,
    overlapped: overlapped !== 0,
    directory: directory !== 0,
    signal: check.signal('signal', given.signal),
  }
}

export const checkPath = (operation: string, path: unknown): string =>
  checkerFor(operation).text('path', path, MAX_PATH_CHARS)

export const checkOffset = (operation: string, at: unknown): bigint =>
  checkerFor(operation).bigint('at', at, MAX_OFFSET)

/** A string as UTF-8. The bytes are a copy: the caller may change its own while the call is under way. */
export function copyData(operation: string, data: unknown): Uint8Array {
  if (typeof data === 'string') {
    return new TextEncoder().encode(data)
  }
  return data instanceof Uint8Array
    ? Uint8Array.from(data)
    : checkerFor(operation).expected('data', 'a string or a Uint8Array', data)
}

/** A Uint8Array, copied. */
export const copyBytes = (operation: string, field: string, value: unknown): Uint8Array =>
  value instanceof Uint8Array ? Uint8Array.from(value) : checkerFor(operation).expected(field, 'a Uint8Array', value)

const FULL_PATH = /^([a-z]:[\\/]|\\\\)/i

/** A full path as it is; a name stands for one in the directory of `path`. */
export function besides(path: string, to: string): string {
  if (FULL_PATH.test(to)) {
    return to
  }
  const end = Math.max(path.lastIndexOf('\\'), path.lastIndexOf('/'))
  return `${path.slice(0, end + 1)}${to}`
}
