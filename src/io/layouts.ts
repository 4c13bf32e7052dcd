// SPDX-License-Identifier: MIT
//
// This module provides: the Win32 structures and numbers of file I/O (x64 and arm64 layouts of fileapi.h and winbase.h).

import { readTimes, readUtf16 } from './bytes.js'
import type { AccessName, CreateDisposition, DirectoryEntry, FileStat, ShareName } from './types.js'

export const ACCESS: Readonly<Record<AccessName, number>> = {
  read: 0x80000000,
  write: 0x40000000,
  readwrite: 0xc0000000,
  delete: 0x00010000,
  execute: 0x20000000,
  all: 0x10000000,
  readData: 0x1,
  writeData: 0x2,
  appendData: 0x4,
  readEa: 0x8,
  writeEa: 0x10,
  deleteChild: 0x40,
  readAttributes: 0x80,
  writeAttributes: 0x100,
  readControl: 0x00020000,
  writeDac: 0x00040000,
  writeOwner: 0x00080000,
  synchronize: 0x00100000,
  accessSystemSecurity: 0x01000000,
  maximumAllowed: 0x02000000,
}

export const SHARE: Readonly<Record<ShareName, number>> = { read: 1, write: 2, delete: 4 }

export const DISPOSITION: Readonly<Record<CreateDisposition, number>> = {
  create: 1,
  createAlways: 2,
  open: 3,
  openAlways: 4,
  truncate: 5,
}

export const FLAG = {
  ATTRIBUTE_NORMAL: 0x80,
  OPEN_NO_RECALL: 0x00100000,
  OPEN_REPARSE_POINT: 0x00200000,
  POSIX_SEMANTICS: 0x01000000,
  BACKUP_SEMANTICS: 0x02000000,
  DELETE_ON_CLOSE: 0x04000000,
  SEQUENTIAL_SCAN: 0x08000000,
  RANDOM_ACCESS: 0x10000000,
  NO_BUFFERING: 0x20000000,
  OVERLAPPED: 0x40000000,
  WRITE_THROUGH: 0x80000000,
} as const

/** FILE_INFO_BY_HANDLE_CLASS: the Win32 numbers. */
export const INFORMATION = {
  BASIC: 0,
  STANDARD: 1,
  RENAME: 3,
  DISPOSITION: 4,
  ALLOCATION: 5,
  END_OF_FILE: 6,
  FULL_DIRECTORY: 14,
  FULL_DIRECTORY_RESTART: 15,
  DISPOSITION_EX: 21,
  RENAME_EX: 22,
} as const

export const ERROR = {
  FILE_NOT_FOUND: 2,
  PATH_NOT_FOUND: 3,
  NOT_SAME_DEVICE: 17,
  NO_MORE_FILES: 18,
  SHARING_VIOLATION: 32,
  HANDLE_EOF: 38,
  FILE_EXISTS: 80,
  INVALID_NAME: 123,
  DIR_NOT_ROOT: 144,
  ALREADY_EXISTS: 183,
  EAS_NOT_SUPPORTED: 282,
} as const

export const BASIC_INFO_BYTES = 40
export const STANDARD_INFO_BYTES = 24

const ATTRIBUTE_DIRECTORY = 0x10
/** FILE_BASIC_INFO and FILE_STANDARD_INFO. */
export function decodeStat(basic: DataView, standard: DataView): FileStat {
  return {
    size: standard.getBigInt64(8, true),
    allocationSize: standard.getBigInt64(0, true),
    links: standard.getUint32(16, true),
    deletePending: standard.getUint8(20) !== 0,
    directory: standard.getUint8(21) !== 0,
    attributes: basic.getUint32(32, true),
    ...readTimes(basic, 0),
  }
}

const DIRECTORY_NAME_OFFSET = 68

/** A chain of FILE_FULL_DIR_INFO, without `.` and `..`. */
export function decodeDirectory(view: DataView): DirectoryEntry[] {
  const entries: DirectoryEntry[] = []
  let offset = 0
  for (;;) {
    const attributes = view.getUint32(offset + 56, true)
    const nameBytes = view.getUint32(offset + 60, true)
    const name = readUtf16(view, offset + DIRECTORY_NAME_OFFSET, nameBytes)
    if (name !== '.' && name !== '..') {
      entries.push({
        name,
        size: view.getBigInt64(offset + 40, true),
        allocationSize: view.getBigInt64(offset + 48, true),
        directory: (attributes & ATTRIBUTE_DIRECTORY) !== 0,
        attributes,
        ...readTimes(view, offset + 8),
      })
    }
    const next = view.getUint32(offset, true)
    if (next === 0) {
      return entries
    }
    offset += next
  }
}

const RENAME_NAME_OFFSET = 20
const RENAME_LEAST_BYTES = 24

/** FILE_RENAME_INFO with a full path. Its first member is a BOOLEAN, and flags in the Ex class. */
export function encodeRename(to: string, flags: number): Uint8Array {
  const name = Buffer.from(to, 'utf16le')
  // With room for a terminator, which some versions of Windows read although the length is given.
  const bytes = new Uint8Array(Math.max(RENAME_LEAST_BYTES, RENAME_NAME_OFFSET + name.length + 2))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, flags, true)
  view.setUint32(16, name.length, true)
  bytes.set(name, RENAME_NAME_OFFSET)
  return bytes
}
