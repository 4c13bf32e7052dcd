// SPDX-License-Identifier: MIT
//
// This module provides: the arguments of file calls, checked and turned into Win32 numbers.

import { Checker } from '../client/check.js'
import { InvalidOptionError } from '../errors/errors.js'
import { ACCESS, DISPOSITION, FLAG, SHARE } from './layouts.js'
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
  'overlapped',
  'noBuffering',
  'writeThrough',
  'deleteOnClose',
  'directory',
  'signal',
] as const

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
const MAX_PATH_CHARS = 32767
const MAX_OFFSET = 2n ** 63n - 1n

function accessMask(check: Checker, value: unknown): number {
  if (typeof value === 'number') {
    return check.integer('access', value, 0, MAX_ACCESS)
  }
  const names: readonly unknown[] = Array.isArray(value) ? (value as unknown[]) : [value]
  return names.reduce<number>(
    (mask, name) => (mask | ACCESS[check.oneOf<AccessName>('access', name, namesOf(ACCESS))]) >>> 0,
    0,
  )
}

function shareMask(check: Checker, value: unknown): number {
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
  const flag = (
    key: 'overlapped' | 'noBuffering' | 'writeThrough' | 'deleteOnClose' | 'directory',
    bit: number,
  ): number => (given[key] !== undefined && check.boolean(key, given[key]) ? bit : 0)
  const overlapped = flag('overlapped', FLAG.OVERLAPPED)
  const directory = flag('directory', FLAG.BACKUP_SEMANTICS)
  return {
    desiredAccess: accessMask(check, given.access ?? 'read'),
    shareMode: shareMask(check, given.share ?? namesOf(SHARE)),
    creationDisposition:
      DISPOSITION[check.oneOf<CreateDisposition>('create', given.create ?? 'open', namesOf(DISPOSITION))],
    flags:
      (FLAG.ATTRIBUTE_NORMAL |
        overlapped |
        directory |
        flag('noBuffering', FLAG.NO_BUFFERING) |
        flag('writeThrough', FLAG.WRITE_THROUGH) |
        flag('deleteOnClose', FLAG.DELETE_ON_CLOSE)) >>>
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

const FULL_PATH = /^([a-z]:[\\/]|\\\\)/i

/** A full path as it is; a name stands for one in the directory of `path`. */
export function besides(path: string, to: string): string {
  if (FULL_PATH.test(to)) {
    return to
  }
  const end = Math.max(path.lastIndexOf('\\'), path.lastIndexOf('/'))
  return `${path.slice(0, end + 1)}${to}`
}
