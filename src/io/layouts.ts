// SPDX-License-Identifier: MIT
//
// This module provides: the Win32 structures and numbers of file I/O (x64 and arm64 layouts of fileapi.h and winbase.h).

import type { AccessName, CreateDisposition, DirectoryEntry, FileStat, ShareName } from './types.js'

export const ACCESS: Readonly<Record<AccessName, number>> = {
  read: 0x80000000,
  write: 0x40000000,
  readwrite: 0xc0000000,
  delete: 0x00010000,
  readAttributes: 0x80,
  writeAttributes: 0x100,
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
  BACKUP_SEMANTICS: 0x02000000,
  DELETE_ON_CLOSE: 0x04000000,
  NO_BUFFERING: 0x20000000,
  OVERLAPPED: 0x40000000,
  WRITE_THROUGH: 0x80000000,
} as const

export const INFORMATION = {
  BASIC: 0,
  STANDARD: 1,
  RENAME: 3,
  DISPOSITION: 4,
  END_OF_FILE: 6,
  FULL_DIRECTORY: 14,
  FULL_DIRECTORY_RESTART: 15,
} as const

export const ERROR = {
  FILE_NOT_FOUND: 2,
  PATH_NOT_FOUND: 3,
  NO_MORE_FILES: 18,
  HANDLE_EOF: 38,
  ALREADY_EXISTS: 183,
} as const

export const BASIC_INFO_BYTES = 40
export const STANDARD_INFO_BYTES = 24

const ATTRIBUTE_DIRECTORY = 0x10
const UNIX_EPOCH_100NS = 116444736000000000n

const date = (view: DataView, offset: number): Date =>
  new Date(Number((view.getBigInt64(offset, true) - UNIX_EPOCH_100NS) / 10000n))

/** The four times that start FILE_BASIC_INFO, and FILE_FULL_DIR_INFO at 8. */
const times = (
  view: DataView,
  offset: number,
): Pick<FileStat, 'createdAt' | 'accessedAt' | 'modifiedAt' | 'changedAt'> => ({
  createdAt: date(view, offset),
  accessedAt: date(view, offset + 8),
  modifiedAt: date(view, offset + 16),
  changedAt: date(view, offset + 24),
})

/** FILE_BASIC_INFO and FILE_STANDARD_INFO. */
export function decodeStat(basic: DataView, standard: DataView): FileStat {
  return {
    size: standard.getBigInt64(8, true),
    allocationSize: standard.getBigInt64(0, true),
    links: standard.getUint32(16, true),
    deletePending: standard.getUint8(20) !== 0,
    directory: standard.getUint8(21) !== 0,
    attributes: basic.getUint32(32, true),
    ...times(basic, 0),
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
    const name = Buffer.from(view.buffer, view.byteOffset + offset + DIRECTORY_NAME_OFFSET, nameBytes).toString(
      'utf16le',
    )
    if (name !== '.' && name !== '..') {
      entries.push({
        name,
        size: view.getBigInt64(offset + 40, true),
        allocationSize: view.getBigInt64(offset + 48, true),
        directory: (attributes & ATTRIBUTE_DIRECTORY) !== 0,
        attributes,
        ...times(view, offset + 8),
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

/** FILE_RENAME_INFO with a full path. */
export function encodeRename(to: string, replace: boolean): Uint8Array {
  const name = Buffer.from(to, 'utf16le')
  // With room for a terminator, which some versions of Windows read although the length is given.
  const bytes = new Uint8Array(Math.max(RENAME_LEAST_BYTES, RENAME_NAME_OFFSET + name.length + 2))
  const view = new DataView(bytes.buffer)
  view.setUint8(0, replace ? 1 : 0)
  view.setUint32(16, name.length, true)
  bytes.set(name, RENAME_NAME_OFFSET)
  return bytes
}

/** FILE_DISPOSITION_INFO */
export const encodeDisposition = (): Uint8Array => Uint8Array.of(1)

/** FILE_END_OF_FILE_INFO */
export function encodeEndOfFile(size: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigInt64(0, size, true)
  return bytes
}
