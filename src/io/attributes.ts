// SPDX-License-Identifier: MIT
//
// This module provides: file attributes by name.

import { Checker } from '../client/check.js'
import { InvalidOptionError } from '../errors/errors.js'
import type { AttributeName } from './metadata-types.js'

export const ATTRIBUTE: Readonly<Record<AttributeName, number>> = {
  readonly: 0x1,
  hidden: 0x2,
  system: 0x4,
  directory: 0x10,
  archive: 0x20,
  normal: 0x80,
  temporary: 0x100,
  sparse: 0x200,
  reparsePoint: 0x400,
  compressed: 0x800,
  offline: 0x1000,
  notContentIndexed: 0x2000,
  encrypted: 0x4000,
}
const ATTRIBUTE_NAMES = Object.keys(ATTRIBUTE) as AttributeName[]
const MAX_32 = 0xffffffff

/** Names, or a number, as FILE_ATTRIBUTE_*. None at all is FILE_ATTRIBUTE_NORMAL: 0 would change nothing. */
export function attributeMask(operation: string, field: string, value: unknown): number {
  const check = new Checker(
    (name, expectation) => new InvalidOptionError(name, `${operation}: ${name}: ${expectation}`, { operation }),
  )
  if (typeof value === 'number') {
    return check.integer(field, value, 0, MAX_32)
  }
  if (!Array.isArray(value)) {
    return check.expected(field, 'an array of attribute names such as "readonly", or a number', value)
  }
  const mask = (value as unknown[]).reduce<number>(
    (bits, name) => bits | ATTRIBUTE[check.oneOf<AttributeName>(field, name, ATTRIBUTE_NAMES)],
    0,
  )
  return mask === 0 ? ATTRIBUTE.normal : mask
}
