// SPDX-License-Identifier: MIT
//
// This module provides: the names of operations and of groups of them.

import { EVENTS, OPERATIONS, REFUSALS, RELEASES } from '../generated/protocol.js'
import type {
  EventName,
  MajorName,
  MinorName,
  OperationGroup,
  OperationName,
  RefusalName,
  ReleaseName,
} from './types.js'

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
  IRP_MJ_FILE_SYSTEM_CONTROL: ['fsControl'],
  IRP_MJ_DEVICE_CONTROL: ['deviceControl'],
  IRP_MJ_LOCK_CONTROL: ['lock'],
  IRP_MJ_CLEANUP: ['cleanup'],
  IRP_MJ_QUERY_SECURITY: ['querySecurity'],
  IRP_MJ_SET_SECURITY: ['setSecurity'],
  IRP_MJ_QUERY_QUOTA: ['queryQuota'],
  IRP_MJ_SET_QUOTA: ['setQuota'],
}

/** The operation and the number of each minor function that a rule can select [wdm.h]. */
export const MINOR_FUNCTIONS: Readonly<Record<MinorName, { operation: OperationName; minorFunction: number }>> = {
  'IRP_MJ_FLUSH_BUFFERS/IRP_MN_FLUSH_AND_PURGE': { operation: 'flush', minorFunction: 1 },
  'IRP_MJ_FLUSH_BUFFERS/IRP_MN_FLUSH_DATA_ONLY': { operation: 'flush', minorFunction: 2 },
  'IRP_MJ_FLUSH_BUFFERS/IRP_MN_FLUSH_NO_SYNC': { operation: 'flush', minorFunction: 3 },
  'IRP_MJ_FLUSH_BUFFERS/IRP_MN_FLUSH_DATA_SYNC_ONLY': { operation: 'flush', minorFunction: 4 },
  'IRP_MJ_DIRECTORY_CONTROL/IRP_MN_QUERY_DIRECTORY': { operation: 'queryDirectory', minorFunction: 1 },
  'IRP_MJ_DIRECTORY_CONTROL/IRP_MN_NOTIFY_CHANGE_DIRECTORY': { operation: 'notifyDirectory', minorFunction: 2 },
  'IRP_MJ_DIRECTORY_CONTROL/IRP_MN_NOTIFY_CHANGE_DIRECTORY_EX': { operation: 'notifyDirectory', minorFunction: 3 },
  'IRP_MJ_FILE_SYSTEM_CONTROL/IRP_MN_USER_FS_REQUEST': { operation: 'fsControl', minorFunction: 0 },
  'IRP_MJ_FILE_SYSTEM_CONTROL/IRP_MN_MOUNT_VOLUME': { operation: 'fsControl', minorFunction: 1 },
  'IRP_MJ_FILE_SYSTEM_CONTROL/IRP_MN_VERIFY_VOLUME': { operation: 'fsControl', minorFunction: 2 },
  'IRP_MJ_FILE_SYSTEM_CONTROL/IRP_MN_LOAD_FILE_SYSTEM': { operation: 'fsControl', minorFunction: 3 },
  'IRP_MJ_FILE_SYSTEM_CONTROL/IRP_MN_KERNEL_CALL': { operation: 'fsControl', minorFunction: 4 },
  'IRP_MJ_LOCK_CONTROL/IRP_MN_LOCK': { operation: 'lock', minorFunction: 1 },
  'IRP_MJ_LOCK_CONTROL/IRP_MN_UNLOCK_SINGLE': { operation: 'lock', minorFunction: 2 },
  'IRP_MJ_LOCK_CONTROL/IRP_MN_UNLOCK_ALL': { operation: 'lock', minorFunction: 3 },
  'IRP_MJ_LOCK_CONTROL/IRP_MN_UNLOCK_ALL_BY_KEY': { operation: 'lock', minorFunction: 4 },
}

/** All kinds of events; the index is the driver's number. */
export const EVENT_KINDS: readonly EventName[] = EVENTS.map(({ name }) => name)

/** All causes of a release; the index is the driver's number. */
export const RELEASE_NAMES: readonly ReleaseName[] = RELEASES.map(({ name }) => name)

/** All causes of a refusal; the index is the driver's number. */
export const REFUSAL_NAMES: readonly RefusalName[] = REFUSALS.map(({ name }) => name)

const bits = new Map<string, bigint>(OPERATION_NAMES.map((name, index) => [name, 1n << BigInt(index)]))
const sets = new Map<string, readonly OperationName[]>([
  ...Object.entries(OPERATION_GROUPS),
  ...Object.entries(MAJOR_FUNCTIONS),
  ...Object.entries(MINOR_FUNCTIONS).map(([name, { operation }]) => [name, [operation]] as const),
])

/** The bits in a rule of an operation, a group, a major or a minor function; undefined: no such name. */
export function operationBits(name: string): bigint | undefined {
  return sets.get(name)?.reduce((sum, member) => sum | (bits.get(member) ?? 0n), 0n) ?? bits.get(name)
}

/** The bit in a rule of a minor function; undefined: it is the name of something else. */
export function minorFunctionBit(name: string): number | undefined {
  return Object.hasOwn(MINOR_FUNCTIONS, name) ? 1 << MINOR_FUNCTIONS[name as MinorName].minorFunction : undefined
}

/** All names that a rule may use. */
export const ruleOperationNames = (): readonly string[] => [
  ...Object.keys(OPERATION_GROUPS),
  ...OPERATION_NAMES,
  ...Object.keys(MAJOR_FUNCTIONS),
  ...Object.keys(MINOR_FUNCTIONS),
]

/** The name of the driver's number; a number that it cannot have is shown as it is. */
export const operationName = (index: number): OperationName =>
  OPERATION_NAMES[index] ?? (`operation ${index}` as OperationName)
