// SPDX-License-Identifier: MIT
//
// This module provides: the public types of locks, oplocks, watches, control calls, security and completion ports. Types only.

import type { NamedNumber } from '../errors/errors.js'
import type { SignalOptions } from '../client/types.js'
import type { File } from './types.js'

export interface ByteRange {
  /** Byte offset, 0 to 2^64-1; a range may lie behind the end of the file. */
  readonly offset: number | bigint
  /** Bytes. */
  readonly length: number | bigint
  /** What the lock belongs to besides its handle and process. Default 0. */
  readonly key?: number | undefined
}

export interface LockOptions extends ByteRange, SignalOptions {
  /** Default true: others can neither read nor write the range. False: a shared lock, others can read it. */
  readonly exclusive?: boolean | undefined
  /** Default true: wait until it is free. False: LOCKFILE_FAIL_IMMEDIATELY, rejects with ERROR_LOCK_VIOLATION. */
  readonly wait?: boolean | undefined
}

/** A lock that is held. `await using` unlocks it. */
export interface FileLock extends AsyncDisposable {
  readonly offset: bigint
  /** Bytes. */
  readonly length: bigint
  readonly key: number
  readonly exclusive: boolean
  readonly unlocked: boolean
  unlock(options?: SignalOptions): Promise<void>
}

/** The classic four, and what REQUEST_OPLOCK caches: r, rh, rw or rwh. */
export type OplockLevel = 'level1' | 'level2' | 'batch' | 'filter' | 'r' | 'rh' | 'rw' | 'rwh'

export interface OplockBreak {
  /** What it was broken to. */
  readonly level: 'none' | 'level2' | 'r' | 'rh' | 'rw' | 'rwh'
  /** The breaker waits until acknowledge(). */
  readonly acknowledgeRequired: boolean
  /** How the request ended: STATUS_SUCCESS, STATUS_OPLOCK_SWITCHED_TO_NEW_HANDLE, STATUS_OPLOCK_HANDLE_CLOSED ... */
  readonly status: NamedNumber
}

export interface AcknowledgeOptions extends SignalOptions {
  /**
   * `accept` (default): take the level that it was broken to. `none`: keep nothing (FSCTL_OPLOCK_BREAK_ACK_NO_2). `closePending`: the
   * handle is about to be closed (FSCTL_OPBATCH_ACK_CLOSE_PENDING). The last two: classic oplocks.
   */
  readonly as?: 'accept' | 'none' | 'closePending' | undefined
}

/** An oplock that was granted: its request is pending in the system until it breaks. */
export interface Oplock extends AsyncDisposable {
  readonly level: OplockLevel
  /** Settles when it breaks. Rejects when it was released (AbortedError) or its handle closed (ERROR_OPERATION_ABORTED). */
  readonly broken: Promise<OplockBreak>
  /** Value: the oplock that was kept, undefined when nothing was. */
  acknowledge(options?: AcknowledgeOptions): Promise<Oplock | undefined>
  /** Gives it up: cancels the request. */
  release(): Promise<void>
}

export type ChangeFilterName =
  | 'fileName'
  | 'directoryName'
  | 'attributes'
  | 'size'
  | 'lastWrite'
  | 'lastAccess'
  | 'creation'
  | 'ea'
  | 'security'
  | 'streamName'
  | 'streamSize'
  | 'streamWrite'

export interface WatchOptions extends SignalOptions {
  /** What is told. Default: fileName, directoryName, attributes, size, lastWrite, creation, security. */
  readonly filter?: readonly ChangeFilterName[] | undefined
  /** Directories below as well. Default false. */
  readonly recursive?: boolean | undefined
  /** Bytes that the system keeps changes in while nobody asks, 4 to 1,048,576; default 65,536. Set by a handle's first watch. */
  readonly bufferBytes?: number | undefined
}

export type ChangeKind =
  | 'added'
  | 'removed'
  | 'modified'
  | 'renamedFrom'
  | 'renamedTo'
  | 'streamAdded'
  | 'streamRemoved'
  | 'streamModified'
  | 'other'

/** `overflow`: there were more changes than fitted; what they were is lost, look at the directory again. */
export type DirectoryChange =
  { readonly kind: ChangeKind; /** Relative to the directory. */ readonly name: string } | { readonly kind: 'overflow' }

/**
 * ReadDirectoryChangesW in a loop. Iterate it, once; leaving the loop, dispose or close() ends it, the abort of its signal with an
 * AbortedError. The end of its handle ends it with ERROR_OPERATION_ABORTED.
 */
export interface Watch extends AsyncIterableIterator<DirectoryChange, undefined, undefined>, AsyncDisposable {
  /** Settles when the system watches: what happens from then on is told. */
  readonly started: Promise<void>
  close(): Promise<void>
}

export interface ControlOptions extends SignalOptions {
  readonly input?: Uint8Array | undefined
  /** Room for the answer, bytes. Default 0. Not with `output`. */
  readonly outputBytes?: number | undefined
  /** The output buffer with what it has in it: METHOD_IN_DIRECT reads it. It is not changed. */
  readonly output?: Uint8Array | undefined
}

export interface ControlAnswer {
  /** What came back: as many bytes as the driver said. */
  readonly output: Uint8Array
  /** STATUS_SUCCESS, or STATUS_BUFFER_OVERFLOW when there was more than fitted. */
  readonly status: NamedNumber
}

/** The parts of a control code. */
export interface ControlCode {
  /** FILE_DEVICE_*; 9 is a file system's. */
  readonly deviceType: number
  readonly function: number
  readonly method: 'buffered' | 'inDirect' | 'outDirect' | 'neither'
  readonly access: 'any' | 'read' | 'write' | 'readWrite'
}

export type SecurityPart = 'owner' | 'group' | 'dacl' | 'sacl' | 'label'

export interface SecurityOptions extends SignalOptions {
  /** Default: owner, group and dacl. 'sacl' needs a privilege. */
  readonly parts?: readonly SecurityPart[] | undefined
}

export interface QuotaOptions extends SignalOptions {
  /** A FILE_GET_QUOTA_INFORMATION list. Default: all. */
  readonly sids?: Uint8Array | undefined
  /** The SID of the entry to begin with; it is not looked at when there are `sids`. */
  readonly startSid?: Uint8Array | undefined
  /** Room for the answer, bytes; default 65,536. */
  readonly outputBytes?: number | undefined
}

export interface AssociateOptions extends SignalOptions {
  /** What packets of this file carry; default 0. */
  readonly key?: number | bigint | undefined
  /** FILE_SKIP_COMPLETION_PORT_ON_SUCCESS: no packet for a call that succeeds at once. Default false. */
  readonly skipOnSuccess?: boolean | undefined
}

export interface CompletionPacket {
  readonly key: bigint
  /** The call it is about, such as "File.read"; undefined: posted by post(). */
  readonly operation: string | undefined
  readonly path: string | undefined
  /** What was posted with it. */
  readonly value: bigint
  readonly status: NamedNumber
  /** Transferred, or what was posted. */
  readonly bytes: number
}

export interface NextPacketsOptions extends SignalOptions {
  /** At most so many, 1 to 4096; default 64. */
  readonly most?: number | undefined
  /** Default: wait for ever. */
  readonly timeoutMs?: number | undefined
}

export interface PostOptions extends SignalOptions {
  readonly key?: number | bigint | undefined
  readonly value?: number | bigint | undefined
  readonly bytes?: number | undefined
}

/** An I/O completion port: calls on associated files settle their promises and put a packet into it. */
export interface CompletionPort extends AsyncDisposable {
  readonly closed: boolean
  /** An overlapped file; for the calls that begin after it. */
  associate(file: File, options?: AssociateOptions): Promise<void>
  /** Waits for packets. None came in time: an empty array. One at a time. */
  next(options?: NextPacketsOptions): Promise<CompletionPacket[]>
  post(options?: PostOptions): Promise<void>
  close(): Promise<void>
}

/** A volume that is locked: nobody else can open anything on it. `await using` unlocks it. */
export interface VolumeLock extends AsyncDisposable {
  readonly unlocked: boolean
  unlock(options?: SignalOptions): Promise<void>
}
