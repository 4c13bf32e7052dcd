// SPDX-License-Identifier: MIT
//
// This module provides: the public types of file I/O through the backend. Types only.
//
// Every call returns a promise; "synchronous" is the kind of handle. Calls on one synchronous handle run one after the other, as
// Windows does it; a held operation delays nobody else.

import type { SignalOptions } from '../client/types.js'

/** One right, or a number: an access mask as in winnt.h. */
export type AccessName = 'read' | 'write' | 'readwrite' | 'delete' | 'readAttributes' | 'writeAttributes'
export type ShareName = 'read' | 'write' | 'delete'
/** OPEN_EXISTING, CREATE_NEW, OPEN_ALWAYS, CREATE_ALWAYS, TRUNCATE_EXISTING. */
export type CreateDisposition = 'open' | 'create' | 'openAlways' | 'createAlways' | 'truncate'

export interface FileOpenOptions extends SignalOptions {
  /** Default: read. Renaming and deleting through the handle need `delete`. */
  readonly access?: AccessName | readonly AccessName[] | number | undefined
  /** Default: open. */
  readonly create?: CreateDisposition | undefined
  /** What others may do meanwhile; default: everything. */
  readonly share?: readonly ShareName[] | undefined
  /** An overlapped handle: calls run side by side and need `at`. Default false: a synchronous handle. */
  readonly overlapped?: boolean | undefined
  /** FILE_FLAG_NO_BUFFERING: offsets and lengths must be multiples of the sector size. */
  readonly noBuffering?: boolean | undefined
  readonly writeThrough?: boolean | undefined
  readonly deleteOnClose?: boolean | undefined
  /** Open a directory. */
  readonly directory?: boolean | undefined
}

export interface TransferOptions extends SignalOptions {
  /** Byte offset in the file. Default on synchronous handles: the handle's position. */
  readonly at?: number | bigint | undefined
}

export interface RenameOptions extends SignalOptions {
  /** Replace a file that has the new name. Default false. */
  readonly replace?: boolean | undefined
}

export interface FileStat {
  /** Bytes. */
  readonly size: bigint
  readonly allocationSize: bigint
  readonly links: number
  readonly deletePending: boolean
  readonly directory: boolean
  /** FILE_ATTRIBUTE_* */
  readonly attributes: number
  readonly createdAt: Date
  readonly accessedAt: Date
  readonly modifiedAt: Date
  readonly changedAt: Date
}

export interface DirectoryEntry {
  readonly name: string
  readonly size: bigint
  readonly allocationSize: bigint
  readonly directory: boolean
  /** FILE_ATTRIBUTE_* */
  readonly attributes: number
  readonly createdAt: Date
  readonly accessedAt: Date
  readonly modifiedAt: Date
  readonly changedAt: Date
}

export interface MapOptions extends SignalOptions {
  /** Bytes from the start of the file. */
  readonly length: number
  /** Default false. */
  readonly writable?: boolean | undefined
}

/** A mapped view. Its pages are the file's: flushing one is paging I/O. */
export interface View extends AsyncDisposable {
  readonly length: number
  readonly closed: boolean
  read(offset: number, length: number): Promise<Uint8Array>
  write(offset: number, data: string | Uint8Array): Promise<void>
  /** FlushViewOfFile. Default: the whole view. */
  flush(range?: { readonly offset: number; readonly length: number }): Promise<void>
  close(): Promise<void>
}

/** An open handle. Failures are IoErrors whose `code` is the Win32 name, such as ERROR_SHARING_VIOLATION. */
export interface File extends AsyncDisposable {
  /** Where it was opened, or where rename() through this handle moved it. */
  readonly path: string
  readonly closed: boolean
  /** Up to `length` bytes; fewer, or none, at the end of the file. */
  read(length: number, options?: TransferOptions): Promise<Uint8Array>
  /** Fills `buffer` as far as there are bytes, and says how many. An aborted call leaves it untouched. */
  read(buffer: Uint8Array, options?: TransferOptions): Promise<number>
  /** Writes all of it (a string as UTF-8). Value: bytes written. */
  write(data: string | Uint8Array, options?: TransferOptions): Promise<number>
  /** `to`: a full path, or a name in the file's own directory. */
  rename(to: string, options?: RenameOptions): Promise<void>
  /** Marks it for deletion: it goes with the last handle. */
  delete(options?: SignalOptions): Promise<void>
  /** Sets the end of the file. */
  truncate(size: number | bigint, options?: SignalOptions): Promise<void>
  stat(options?: SignalOptions): Promise<FileStat>
  flush(options?: SignalOptions): Promise<void>
  map(options: MapOptions): Promise<View>
  /** Entries of a directory, without `.` and `..`. */
  list(options?: SignalOptions): Promise<DirectoryEntry[]>
  /** CloseHandle, after the calls in flight. A second call waits for the first. */
  close(): Promise<void>
}

/** File I/O through the backend: the real file system, or the model's volumes. Paths are Windows paths: "D:\inbox\a.txt". */
export interface Io {
  open(path: string, options?: FileOpenOptions): Promise<File>
  /** Creates or overwrites. */
  writeFile(path: string, data: string | Uint8Array, options?: SignalOptions): Promise<void>
  readFile(path: string, options: SignalOptions & { readonly encoding: 'utf8' }): Promise<string>
  readFile(path: string, options?: SignalOptions): Promise<Uint8Array>
  list(path: string, options?: SignalOptions): Promise<DirectoryEntry[]>
  stat(path: string, options?: SignalOptions): Promise<FileStat>
  /** True: there is a file or directory of that name. */
  exists(path: string, options?: SignalOptions): Promise<boolean>
  mkdir(path: string, options?: SignalOptions & { readonly recursive?: boolean | undefined }): Promise<void>
  rename(from: string, to: string, options?: RenameOptions): Promise<void>
  /** A file, or an empty directory. */
  delete(path: string, options?: SignalOptions): Promise<void>
}
