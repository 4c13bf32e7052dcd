// SPDX-License-Identifier: MIT
//
// This module provides: the names of operations and of groups of them.

import { OPERATIONS } from '../generated/protocol.js'
import type { OperationGroup, OperationName } from './types.js'

/** All operations; the index is the driver's number. */
export const OPERATION_NAMES: readonly OperationName[] = OPERATIONS.map(({ name }) => name)

/** What the group names stand for. */
export const OPERATION_GROUPS: Readonly<Record<OperationGroup, readonly OperationName[]>> = {
  any: OPERATION_NAMES,
  anySetInformation: ['setInformation', 'rename', 'link', 'delete', 'setEndOfFile', 'setAllocation'],
  truncate: ['setEndOfFile'],
  list: ['queryDirectory'],
  open: ['create'],
}

const bits = new Map<string, bigint>(OPERATION_NAMES.map((name, index) => [name, 1n << BigInt(index)]))

/** The operation's or group's bits in a rule; undefined: no such name. */
export function operationBits(name: string): bigint | undefined {
  const group = Object.hasOwn(OPERATION_GROUPS, name) ? OPERATION_GROUPS[name as OperationGroup] : undefined
  return group === undefined ? bits.get(name) : group.reduce((sum, member) => sum | (bits.get(member) ?? 0n), 0n)
}

/** All names that a rule may use. */
export const ruleOperationNames = (): readonly string[] => [...Object.keys(OPERATION_GROUPS), ...OPERATION_NAMES]
