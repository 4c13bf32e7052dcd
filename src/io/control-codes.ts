// SPDX-License-Identifier: MIT
//
// This module provides: control codes: the parts they are made of, and those that this library speaks of (winioctl.h, ntifs.h).

import type { ControlCode } from './control-types.js'
import { checkerFor } from './options.js'

const METHODS = ['buffered', 'inDirect', 'outDirect', 'neither'] as const
const ACCESSES = ['any', 'read', 'write', 'readWrite'] as const

/** CTL_CODE. @throws InvalidOptionError */
export function controlCode(parts: ControlCode): number {
  const check = checkerFor('controlCode')
  const given = check.object('parts', parts, ['deviceType', 'function', 'method', 'access'])
  const method = METHODS.indexOf(check.oneOf('method', given.method, METHODS))
  const access = ACCESSES.indexOf(check.oneOf('access', given.access, ACCESSES))
  const device = check.integer('deviceType', given.deviceType, 0, 0xffff)
  const number = check.integer('function', given.function, 0, 0xfff)
  return ((device << 16) | (access << 14) | (number << 2) | method) >>> 0
}

/** The parts of a code. */
export const controlCodeParts = (code: number): ControlCode => ({
  deviceType: code >>> 16,
  function: (code >>> 2) & 0xfff,
  method: METHODS[code & 3] ?? 'buffered',
  access: ACCESSES[(code >>> 14) & 3] ?? 'any',
})

/** FSCTL_* */
export const FSCTL = {
  REQUEST_OPLOCK_LEVEL_1: 0x90000,
  REQUEST_OPLOCK_LEVEL_2: 0x90004,
  REQUEST_BATCH_OPLOCK: 0x90008,
  OPLOCK_BREAK_ACKNOWLEDGE: 0x9000c,
  OPBATCH_ACK_CLOSE_PENDING: 0x90010,
  OPLOCK_BREAK_NOTIFY: 0x90014,
  LOCK_VOLUME: 0x90018,
  UNLOCK_VOLUME: 0x9001c,
  DISMOUNT_VOLUME: 0x90020,
  IS_VOLUME_MOUNTED: 0x90028,
  GET_COMPRESSION: 0x9003c,
  SET_COMPRESSION: 0x9c040,
  OPLOCK_BREAK_ACK_NO_2: 0x90050,
  REQUEST_FILTER_OPLOCK: 0x9005c,
  GET_NTFS_VOLUME_DATA: 0x90064,
  SET_REPARSE_POINT: 0x900a4,
  GET_REPARSE_POINT: 0x900a8,
  DELETE_REPARSE_POINT: 0x900ac,
  SET_SPARSE: 0x900c4,
  SET_ZERO_DATA: 0x980c8,
  QUERY_ALLOCATED_RANGES: 0x940cf,
  REQUEST_OPLOCK: 0x90240,
} as const

/** IOCTL_* */
export const IOCTL = {
  DISK_GET_DRIVE_GEOMETRY: 0x70000,
  DISK_GET_LENGTH_INFO: 0x7405c,
  STORAGE_GET_DEVICE_NUMBER: 0x2d1080,
  STORAGE_QUERY_PROPERTY: 0x2d1400,
  VOLUME_GET_VOLUME_DISK_EXTENTS: 0x560000,
} as const
