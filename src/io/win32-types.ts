// SPDX-License-Identifier: MIT
//
// This module provides: the public types of the Win32 calls by name. Types only.

import type { SignalOptions } from '../client/types.js'
import type { AttributeName, FullFileAttributes, SymlinkOptions } from './metadata-types.js'

export interface MoveFileOptions extends SignalOptions {
  /** MOVEFILE_REPLACE_EXISTING. Default false. */
  readonly replaceExisting?: boolean | undefined
  /** MOVEFILE_COPY_ALLOWED: to another volume a file is copied, and then deleted where it was. Default false. */
  readonly copyAllowed?: boolean | undefined
  /** MOVEFILE_WRITE_THROUGH: the source is opened for it, and a copy is flushed. Default false. */
  readonly writeThrough?: boolean | undefined
}

export interface CopyFileOptions extends SignalOptions {
  /** Default false: a file that is there is overwritten. */
  readonly failIfExists?: boolean | undefined
}

/** WIN32_FIND_DATAW */
export interface FindData {
  readonly name: string
  /** The 8.3 name, '' when it has none. */
  readonly alternateName: string
  /** FILE_ATTRIBUTE_* */
  readonly attributes: number
  readonly directory: boolean
  /** Bytes. */
  readonly size: bigint
  readonly createdAt: Date
  readonly accessedAt: Date
  readonly modifiedAt: Date
  /** IO_REPARSE_TAG_*; 0: not a reparse point. */
  readonly reparseTag: number
}

/** A search handle. Iterating gives `first` and all that come behind it, once, and closes the search when it is left. */
export interface FileSearch extends AsyncIterable<FindData>, AsyncDisposable {
  readonly first: FindData
  readonly closed: boolean
  /** FindNextFileW. Behind the last one: ERROR_NO_MORE_FILES. */
  findNextFile(options?: SignalOptions): Promise<FindData>
  /** FindClose. */
  findClose(): Promise<void>
}

/** What GetVolumeInformationW fills in. */
export interface VolumeInformation {
  readonly label: string
  readonly serialNumber: number
  /** UTF-16 units of one name between backslashes. */
  readonly maximumComponentLength: number
  /** FILE_SUPPORTS_* and its like. */
  readonly fileSystemFlags: number
  readonly fileSystem: string
}

/** What GetDiskFreeSpaceW fills in. */
export interface DiskFreeSpace {
  readonly sectorsPerCluster: number
  readonly bytesPerSector: number
  readonly freeClusters: bigint
  readonly totalClusters: bigint
}

/** What GetDiskFreeSpaceExW fills in, bytes. */
export interface DiskFreeSpaceEx {
  readonly availableToCaller: bigint
  readonly total: bigint
  readonly free: bigint
}

/**
 * kernel32's calls by name, as the services of ntdll that they are made of: what a filter sees of each stands in docs/FIDELITY.md. Failures are
 * IoErrors whose `code` is the Win32 name that the function itself gives. Paths are full ones.
 */
export interface Win32Calls {
  /** GetFileAttributesW: FILE_ATTRIBUTE_*. */
  getFileAttributes(path: string, options?: SignalOptions): Promise<number>
  getFileAttributesEx(path: string, options?: SignalOptions): Promise<FullFileAttributes>
  /** Names, or a number of FILE_ATTRIBUTE_*. [] sets `normal`. Of a link: its own. */
  setFileAttributes(path: string, attributes: readonly AttributeName[] | number, options?: SignalOptions): Promise<void>
  /** A directory: ERROR_ACCESS_DENIED. A link goes, not what it leads to. Where the file system knows it, with POSIX semantics. */
  deleteFile(path: string, options?: SignalOptions): Promise<void>
  /** MoveFileW: MoveFileExW with COPY_ALLOWED. */
  moveFile(existing: string, path: string, options?: SignalOptions): Promise<void>
  moveFileEx(existing: string, path: string, options?: MoveFileOptions): Promise<void>
  createDirectory(path: string, options?: SignalOptions): Promise<void>
  /** A file: ERROR_DIRECTORY. */
  removeDirectory(path: string, options?: SignalOptions): Promise<void>
  /** `path` becomes another name of `existing`. */
  createHardLink(path: string, existing: string, options?: SignalOptions): Promise<void>
  /** `path` leads to `target`, a full path or one relative to the link. */
  createSymbolicLink(path: string, target: string, options?: SymlinkOptions): Promise<void>
  /** `path` ends in a name or a pattern. Nothing fits: ERROR_FILE_NOT_FOUND. */
  findFirstFile(path: string, options?: SignalOptions): Promise<FileSearch>
  /**
   * Content, named streams, extended attributes (where the target's file system has them), attributes and the time of the last write. A copy
   * that fails is deleted.
   */
  copyFile(existing: string, path: string, options?: CopyFileOptions): Promise<void>
  /** `root`: the root of a volume, with the backslash at its end. */
  getVolumeInformation(root: string, options?: SignalOptions): Promise<VolumeInformation>
  getDiskFreeSpace(directory: string, options?: SignalOptions): Promise<DiskFreeSpace>
  getDiskFreeSpaceEx(directory: string, options?: SignalOptions): Promise<DiskFreeSpaceEx>
}
