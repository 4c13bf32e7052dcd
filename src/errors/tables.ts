// SPDX-License-Identifier: MIT
//
// This module provides: names of the numbers that the system answers with, and what to do about some of them. A number that is not
// here is shown as a number.

import type { NamedNumber } from './errors.js'
import { NTSTATUS_NAMES } from './ntstatus.js'
import { WIN32_NAMES } from './win32.js'

/** Low 16 bits of STATUS_FLT_* and ERROR_FLT_*, which have the same names after the prefix [HR-02]. */
const FILTER_MANAGER = new Map<number, string>([
  [0x01, 'NO_HANDLER_DEFINED'],
  [0x02, 'CONTEXT_ALREADY_DEFINED'],
  [0x03, 'INVALID_ASYNCHRONOUS_REQUEST'],
  [0x04, 'DISALLOW_FAST_IO'],
  [0x05, 'INVALID_NAME_REQUEST'],
  [0x06, 'NOT_SAFE_TO_POST_OPERATION'],
  [0x07, 'NOT_INITIALIZED'],
  [0x08, 'FILTER_NOT_READY'],
  [0x09, 'POST_OPERATION_CLEANUP'],
  [0x0a, 'INTERNAL_ERROR'],
  [0x0b, 'DELETING_OBJECT'],
  [0x0c, 'MUST_BE_NONPAGED_POOL'],
  [0x0d, 'DUPLICATE_ENTRY'],
  [0x0e, 'CBDQ_DISABLED'],
  [0x0f, 'DO_NOT_ATTACH'],
  [0x10, 'DO_NOT_DETACH'],
  [0x11, 'INSTANCE_ALTITUDE_COLLISION'],
  [0x12, 'INSTANCE_NAME_COLLISION'],
  [0x13, 'FILTER_NOT_FOUND'],
  [0x14, 'VOLUME_NOT_FOUND'],
  [0x15, 'INSTANCE_NOT_FOUND'],
  [0x16, 'CONTEXT_ALLOCATION_NOT_FOUND'],
  [0x17, 'INVALID_CONTEXT_REGISTRATION'],
  [0x18, 'NAME_CACHE_MISS'],
  [0x19, 'NO_DEVICE_OBJECT'],
  [0x1a, 'VOLUME_ALREADY_MOUNTED'],
  [0x1b, 'ALREADY_ENLISTED'],
  [0x1c, 'CONTEXT_ALREADY_LINKED'],
  [0x20, 'NO_WAITER_FOR_REPLY'],
  [0x23, 'REGISTRATION_BUSY'],
])

/** By error name. */
const HINTS = new Map<string, string>([
  ['ERROR_ACCESS_DENIED', 'run as administrator, in an elevated prompt; the driver talks to administrators only'],
  ['ERROR_PRIVILEGE_NOT_HELD', 'run as administrator, in an elevated prompt: loading needs SeLoadDriverPrivilege'],
  ['ERROR_SERVICE_DOES_NOT_EXIST', 'install the driver on this machine first: its service does not exist'],
  [
    'ERROR_INVALID_IMAGE_HASH',
    "this machine does not accept the driver's signature: switch test signing on (bcdedit /set testsigning on, then restart)",
  ],
  ['ERROR_CONNECTION_COUNT_LIMIT', 'close another client: the driver takes 16 connections at once'],
  ['ERROR_CONNECTION_REFUSED', 'close another client: the driver takes 16 connections at once'],
  ['ERROR_INVALID_HANDLE', 'the driver has been unloaded, or the session was closed: open a new session'],
  ['ERROR_FLT_FILTER_NOT_FOUND', 'load the driver first: openMinipend with load: true, or `fltmc load minipend`'],
  ['ERROR_FLT_VOLUME_NOT_FOUND', 'name a volume that exists, as in "D:"'],
  [
    'ERROR_FLT_INSTANCE_NOT_FOUND',
    'it is detached already, or has another name: counters().byInstance lists the instances',
  ],
  ['ERROR_FLT_INSTANCE_NAME_COLLISION', 'choose another instanceName, or detach the instance that has it'],
  ['ERROR_FLT_INSTANCE_ALTITUDE_COLLISION', 'choose another altitude, or detach the instance that has it'],
  ['ERROR_FLT_DO_NOT_ATTACH', 'the driver declines this volume; its file system may not support what it needs'],
  ['ERROR_FLT_DO_NOT_DETACH', 'the driver vetoed it: it is busy; try again'],
  ['ERROR_FLT_DELETING_OBJECT', 'the instance or volume is going away; try again when it is gone'],
])

const FILE_HINTS = new Map<string, string>([
  ['ERROR_FILE_NOT_FOUND', 'nothing has that name; io.list() of the directory shows what is there'],
  [
    'ERROR_PATH_NOT_FOUND',
    'a directory of the path is missing (io.mkdir), or the path is not full: use one such as "D:\\inbox\\a.txt"',
  ],
  [
    'ERROR_SHARING_VIOLATION',
    'another handle does not share this access; close it, or open both with matching access and share',
  ],
  ['ERROR_ALREADY_EXISTS', 'the name is taken: delete it first, or ask to replace it'],
  ['ERROR_FILE_EXISTS', "the name is taken: delete it first, or use create: 'openAlways' or 'createAlways'"],
  [
    'ERROR_ACCESS_DENIED',
    "open the handle with the access that this needs ('delete' for rename and delete); directories need directory: true",
  ],
  ['ERROR_DIR_NOT_EMPTY', 'delete what is in the directory first'],
  ['ERROR_INVALID_PARAMETER', 'with noBuffering, offset and length must be multiples of the sector size'],
  ['ERROR_INVALID_HANDLE', 'the file was closed meanwhile'],
  [
    'ERROR_LOCK_VIOLATION',
    'another handle has locked a part of that range: unlock it there, or lock() with wait: true',
  ],
  ['ERROR_NOT_LOCKED', 'unlock exactly what lock() locked: the same offset, length and key, through the same handle'],
  ['ERROR_OPLOCK_NOT_GRANTED', 'close the other handles of the file first, or ask for a level that they allow'],
  ['ERROR_INVALID_FUNCTION', 'the file system or device does not know this request; for control calls check the code'],
  ['ERROR_DELETE_PENDING', 'the file is being deleted: its name is free when its last handle is closed'],
  ['ERROR_NOT_A_REPARSE_POINT', 'open it with openReparsePoint: true, and check with reparsePoint() that it is one'],
  ['ERROR_PRIVILEGE_NOT_HELD', 'run as administrator, in an elevated prompt: this needs a privilege'],
  ['ERROR_EAS_NOT_SUPPORTED', 'the file system of this volume has no extended attributes'],
  [
    'ERROR_INVALID_EA_NAME',
    'use ASCII without " * + , / : ; < = > ? [ ] and backslash in the names of extended attributes',
  ],
  ['ERROR_NOT_SAME_DEVICE', 'both names must be on the same volume'],
  ['ERROR_TOO_MANY_LINKS', 'a file has at most 1,024 names: remove one first'],
  ['ERROR_CANT_RESOLVE_FILENAME', 'the links lead in a circle, or to more than 63 others'],
  ['ERROR_NOT_READY', 'the volume is dismounted or gone'],
])

const hex = (value: number): string => `0x${(value >>> 0).toString(16).toUpperCase().padStart(8, '0')}`

export function win32Name(value: number): NamedNumber {
  return { name: WIN32_NAMES.get(value) ?? `WIN32_${value}`, value }
}

export function ntstatusName(value: number): NamedNumber {
  const unsigned = value >>> 0
  const filter = unsigned >>> 16 === 0xc01c ? FILTER_MANAGER.get(unsigned & 0xffff) : undefined
  return {
    name: NTSTATUS_NAMES.get(unsigned) ?? (filter === undefined ? hex(unsigned) : `STATUS_FLT_${filter}`),
    value: unsigned,
  }
}

const NTSTATUS_VALUES: ReadonlyMap<string, number> = new Map([
  ...[...NTSTATUS_NAMES].map(([value, name]) => [name, value] as const),
  ...[...FILTER_MANAGER].map(([low, name]) => [`STATUS_FLT_${name}`, (0xc01c0000 | low) >>> 0] as const),
])

/** The unsigned value of a name such as STATUS_DISK_FULL; undefined: a name that this library does not know. */
export const ntstatusValue = (name: string): number | undefined => NTSTATUS_VALUES.get(name)
export const ntstatusNames = (): readonly string[] => [...NTSTATUS_VALUES.keys()]

/** What an HRESULT of fltlib stands for: a Win32 error or, under the Filter Manager's own facility, an NTSTATUS [HR-01]. */
export interface ExplainedHresult {
  readonly hresult: NamedNumber
  readonly win32: NamedNumber | undefined
  readonly ntstatus: NamedNumber | undefined
}

const FACILITY_WIN32 = 0x8007
const FACILITY_FILTER_MANAGER = 0x801f

export function explainHresult(value: number): ExplainedHresult {
  const unsigned = value >>> 0
  const low = unsigned & 0xffff
  if (unsigned >>> 16 === FACILITY_WIN32) {
    const win32 = win32Name(low)
    return { hresult: { name: win32.name, value: unsigned }, win32, ntstatus: undefined }
  }
  if (unsigned >>> 16 === FACILITY_FILTER_MANAGER) {
    const name = FILTER_MANAGER.get(low)
    const hresult = { name: name === undefined ? hex(unsigned) : `ERROR_FLT_${name}`, value: unsigned }
    return { hresult, win32: undefined, ntstatus: ntstatusName((0xc01c0000 | low) >>> 0) }
  }
  return { hresult: { name: hex(unsigned), value: unsigned }, win32: undefined, ntstatus: undefined }
}

export const filterHint = (name: string): string | undefined => HINTS.get(name)
export const fileHint = (name: string): string | undefined => FILE_HINTS.get(name)
export const formatNumber = (number: NamedNumber): string =>
  number.name === hex(number.value) ? number.name : `${number.name} (${hex(number.value)})`
