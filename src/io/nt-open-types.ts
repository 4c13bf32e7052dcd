// SPDX-License-Identifier: MIT
//
// This module provides: the public types of opening with NtCreateFile. Types only.

import type { AttributeName, ExtendedAttribute } from './metadata-types.js'
import type { AccessName, File, ShareName } from './types.js'

/** FILE_SUPERSEDE, FILE_OPEN, FILE_CREATE, FILE_OPEN_IF, FILE_OVERWRITE, FILE_OVERWRITE_IF. */
export type NtDisposition = 'supersede' | 'open' | 'create' | 'openIf' | 'overwrite' | 'overwriteIf'

/** Information of a create: FILE_SUPERSEDED, FILE_OPENED and so on. `oplockBreak`: opened while an oplock breaks. */
export type OpenedAs = 'superseded' | 'opened' | 'created' | 'overwritten' | 'oplockBreak'

/** FILE_* create options. Without synchronousIoNonalert or synchronousIoAlert the handle is overlapped. */
export type NtCreateOption =
  | 'directoryFile'
  | 'writeThrough'
  | 'sequentialOnly'
  | 'noIntermediateBuffering'
  | 'synchronousIoAlert'
  | 'synchronousIoNonalert'
  | 'nonDirectoryFile'
  | 'completeIfOplocked'
  | 'noEaKnowledge'
  | 'randomAccess'
  | 'deleteOnClose'
  | 'openByFileId'
  | 'openForBackupIntent'
  | 'noCompression'
  | 'openRequiringOplock'
  | 'disallowExclusive'
  | 'reserveOpfilter'
  | 'openReparsePoint'
  | 'openNoRecall'
  | 'openForFreeSpaceQuery'

export interface NtOpenOptions {
  /** Nothing is added: with a synchronous option it needs `synchronize`. Default: ['read', 'synchronize']. */
  readonly access?: readonly AccessName[] | number | undefined
  /** Default: open. */
  readonly disposition?: NtDisposition | undefined
  /** Default: ['synchronousIoNonalert']. A number is a mask of FILE_* options. */
  readonly options?: readonly NtCreateOption[] | number | undefined
  /** Default: everything. */
  readonly share?: readonly ShareName[] | undefined
  readonly attributes?: readonly AttributeName[] | number | undefined
  /** Bytes to allocate for a file that is made or overwritten. */
  readonly allocationSize?: number | bigint | undefined
  /** Extended attributes of a file that is made. */
  readonly eas?: readonly ExtendedAttribute[] | undefined
  /** The path is relative to this directory (and may be ''). */
  readonly rootDirectory?: File | undefined
  /** Without OBJ_CASE_INSENSITIVE. Default false. */
  readonly caseSensitive?: boolean | undefined
  /** Opens by this number, as openByFileId does; the path, '', is not used and rootDirectory says on which volume. */
  readonly fileId?: bigint | undefined
}
