// SPDX-License-Identifier: MIT
//
// This module provides: the public types of what is known about files and volumes: times, attributes, names, streams, extended
// attributes. Types only.

import type { SignalOptions } from '../client/types.js'

export type AttributeName =
  | 'readonly'
  | 'hidden'
  | 'system'
  | 'directory'
  | 'archive'
  | 'normal'
  | 'temporary'
  | 'sparse'
  | 'reparsePoint'
  | 'compressed'
  | 'offline'
  | 'notContentIndexed'
  | 'encrypted'

/** What is left out stays as it is. A bigint is a file time: 100 ns since 1601-01-01. */
export interface SetTimesOptions extends SignalOptions {
  readonly createdAt?: Date | bigint | undefined
  readonly accessedAt?: Date | bigint | undefined
  readonly modifiedAt?: Date | bigint | undefined
  readonly changedAt?: Date | bigint | undefined
}

/** FILE_BASIC_INFORMATION: what GetFileAttributesW asks by name. */
export interface FileAttributes {
  /** FILE_ATTRIBUTE_* */
  readonly attributes: number
  readonly directory: boolean
  readonly createdAt: Date
  readonly accessedAt: Date
  readonly modifiedAt: Date
  readonly changedAt: Date
}

/** FILE_NETWORK_OPEN_INFORMATION: what GetFileAttributesExW asks by name. */
export interface FullFileAttributes extends FileAttributes {
  /** Bytes. */
  readonly size: bigint
  readonly allocationSize: bigint
}

/** FILE_STAT_INFORMATION: what GetFileInformationByName asks. */
export interface FileStatByName extends FullFileAttributes {
  readonly fileId: bigint
  /** IO_REPARSE_TAG_*; 0: not a reparse point. */
  readonly reparseTag: number
  readonly links: number
  /** An access mask: what the caller may do with it. */
  readonly effectiveAccess: number
}

export interface LinkOptions extends SignalOptions {
  /** Replace a file that has the name. Default false. */
  readonly replace?: boolean | undefined
  /** Also one that is open (FILE_LINK_POSIX_SEMANTICS). Default false. */
  readonly posix?: boolean | undefined
}

export interface DeleteOptions extends SignalOptions {
  /** The name goes with this handle, although others are open (FILE_DISPOSITION_POSIX_SEMANTICS). Default false: with the last handle. */
  readonly posix?: boolean | undefined
  /** Delete a read-only file too. Default false. */
  readonly ignoreReadonly?: boolean | undefined
}

/** A symbolic link, a junction, or another reparse point. */
export interface ReparsePoint {
  readonly kind: 'symlink' | 'junction' | 'other'
  /** IO_REPARSE_TAG_* */
  readonly tag: number
  /** Where it leads, as an NT path (\??\D:\...) or, relative, a plain one. Undefined: not a link. */
  readonly target: string | undefined
  /** The same as it is shown to users. */
  readonly printName: string | undefined
  /** SYMLINK_FLAG_RELATIVE */
  readonly relative: boolean
  /** The bytes behind the header of REPARSE_DATA_BUFFER. Of a tag that is not Microsoft's they begin with its owner's GUID, of 16 bytes. */
  readonly data: Uint8Array
}

export interface SymlinkOptions extends SignalOptions {
  /** The link stands for a directory. Default false. */
  readonly directory?: boolean | undefined
}

/** One stream of a file: '::$DATA' is its content, ':name:$DATA' another one; open it as 'D:\\file:name'. */
export interface StreamEntry {
  readonly name: string
  /** Bytes. */
  readonly size: bigint
  readonly allocationSize: bigint
}

/** An extended attribute. Names are ASCII; the system keeps them in upper case. */
export interface ExtendedAttribute {
  readonly name: string
  /** Up to 65,535 bytes. Setting none removes the attribute. */
  readonly value: Uint8Array
  /** FILE_NEED_EA: who does not understand it must not use the file. Default false. */
  readonly needed?: boolean | undefined
}

export interface EaOptions extends SignalOptions {
  /** Only these; one that the file does not have comes with an empty value. Default: all. */
  readonly names?: readonly string[] | undefined
}

export interface VolumeInfo {
  readonly label: string
  readonly serialNumber: number
  readonly createdAt: Date
  readonly fileSystem: string
  /** FILE_SUPPORTS_* and its like. */
  readonly fileSystemFlags: number
  /** UTF-16 units of one name between backslashes. */
  readonly maximumNameLength: number
  readonly bytesPerSector: number
  readonly bytesPerCluster: number
  readonly totalBytes: bigint
  readonly availableBytes: bigint
  /** FILE_DEVICE_* */
  readonly deviceType: number
  /** FILE_READ_ONLY_DEVICE and its like. */
  readonly deviceCharacteristics: number
}

/** The structure that a directory is asked for; the more it has, the more an entry says. */
export type DirectoryClass = 'directory' | 'full' | 'both' | 'names' | 'idFull' | 'idBoth' | 'idExtended'

export interface EntriesOptions extends SignalOptions {
  /** With * and ?; kept by the handle from its first query on. Default: everything. */
  readonly pattern?: string | undefined
  /** Default: 'full'. */
  readonly class?: DirectoryClass | undefined
  /** Bytes of one query's buffer, 256 to 1,048,576; default 65,536. Small ones make many queries. */
  readonly bufferBytes?: number | undefined
  /** One entry a query (SL_RETURN_SINGLE_ENTRY). Default false. */
  readonly single?: boolean | undefined
}

/** An entry as the class has it. `.` and `..` are among them where the file system lists them. */
export interface DirectoryItem {
  readonly name: string
  /** Absent in class 'names', as everything below. */
  readonly attributes?: number
  readonly directory?: boolean
  readonly size?: bigint
  readonly allocationSize?: bigint
  readonly createdAt?: Date
  readonly accessedAt?: Date
  readonly modifiedAt?: Date
  readonly changedAt?: Date
  /** Bytes of its extended attributes, or the reparse tag of a reparse point. Not in class 'directory'. */
  readonly eaSize?: number
  /** The 8.3 name, '' when it has none. Classes 'both' and 'idBoth'. */
  readonly shortName?: string
  /** Classes 'idFull', 'idBoth' and (128 bits) 'idExtended'. */
  readonly fileId?: bigint
  /** Class 'idExtended'. */
  readonly reparseTag?: number
}
