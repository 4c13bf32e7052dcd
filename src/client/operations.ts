// SPDX-License-Identifier: MIT
//
// This module provides: the names of operations and of groups of them.

import { EVENTS, OPERATIONS } from '../generated/protocol.js'
import type { EventName, MajorName, OperationGroup, OperationName } from './types.js'

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

/** What the kernel's names stand for. */
export const MAJOR_FUNCTIONS: Readonly<Record<MajorName, readonly OperationName[]>> = {
  IRP_MJ_CREATE: ['create'],
  IRP_MJ_CLOSE: ['close'],
  IRP_MJ_READ: ['read'],
  IRP_MJ_WRITE: ['write'],
  IRP_MJ_QUERY_INFORMATION: ['queryInformation'],
  IRP_MJ_SET_INFORMATION: OPERATION_GROUPS.anySetInformation,
  IRP_MJ_QUERY_EA: ['queryEa'],
  IRP_MJ_SET_EA: ['setEa'],
  IRP_MJ_FLUSH_BUFFERS: ['flush'],
  IRP_MJ_QUERY_VOLUME_INFORMATION: ['queryVolume'],
  IRP_MJ_SET_VOLUME_INFORMATION: ['setVolume'],
  IRP_MJ_DIRECTORY_CONTROL: ['queryDirectory', 'notifyDirectory'],
  'IRP_MJ_DIRECTORY_CONTROL/IRP_MN_QUERY_DIRECTORY': ['queryDirectory'],
  'IRP_MJ_DIRECTORY_CONTROL/IRP_MN_NOTIFY_CHANGE_DIRECTORY': ['notifyDirectory'],
  IRP_MJ_FILE_SYSTEM_CONTROL: ['fsControl'],
  IRP_MJ_DEVICE_CONTROL: ['deviceControl'],
  IRP_MJ_LOCK_CONTROL: ['lock'],
  IRP_MJ_CLEANUP: ['cleanup'],
  IRP_MJ_QUERY_SECURITY: ['querySecurity'],
  IRP_MJ_SET_SECURITY: ['setSecurity'],
  IRP_MJ_QUERY_QUOTA: ['queryQuota'],
  IRP_MJ_SET_QUOTA: ['setQuota'],
}

/** All kinds of events; the index is the driver's number. */
export const EVENT_KINDS: readonly EventName[] = EVENTS.map(({ name }) => name)

const bits = new Map<string, bigint>(OPERATION_NAMES.map((name, index) => [name, 1n << BigInt(index)]))
const sets = new Map<string, readonly OperationName[]>([
  ...Object.entries(OPERATION_GROUPS),
  ...Object.entries(MAJOR_FUNCTIONS),
])

/** The bits in a rule of an operation, a group or a major function; undefined: no such name. */
export function operationBits(name: string): bigint | undefined {
  return sets.get(name)?.reduce((sum, member) => sum | (bits.get(member) ?? 0n), 0n) ?? bits.get(name)
}

/** All names that a rule may use. */
export const ruleOperationNames = (): readonly string[] => [
  ...Object.keys(OPERATION_GROUPS),
  ...OPERATION_NAMES,
  ...Object.keys(MAJOR_FUNCTIONS),
]

/** The name of the driver's number; a number that it cannot have is shown as it is. */
export const operationName = (index: number): OperationName =>
  OPERATION_NAMES[index] ?? (`operation ${index}` as OperationName)
