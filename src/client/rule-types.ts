// SPDX-License-Identifier: MIT
//
// This module provides: the public types of rules and their actions. Types only.

import type { OperationName } from '../generated/protocol.js'
import type { SignalOptions } from './types.js'

/** Names for more than one operation, or friendlier names for one. */
export type OperationGroup = 'any' | 'anySetInformation' | 'truncate' | 'list' | 'open'

/** The kernel's names; a minor function stands after a slash. */
export type MajorName =
  | 'IRP_MJ_CREATE'
  | 'IRP_MJ_CLOSE'
  | 'IRP_MJ_READ'
  | 'IRP_MJ_WRITE'
  | 'IRP_MJ_QUERY_INFORMATION'
  | 'IRP_MJ_SET_INFORMATION'
  | 'IRP_MJ_QUERY_EA'
  | 'IRP_MJ_SET_EA'
  | 'IRP_MJ_FLUSH_BUFFERS'
  | 'IRP_MJ_QUERY_VOLUME_INFORMATION'
  | 'IRP_MJ_SET_VOLUME_INFORMATION'
  | 'IRP_MJ_DIRECTORY_CONTROL'
  | 'IRP_MJ_DIRECTORY_CONTROL/IRP_MN_QUERY_DIRECTORY'
  | 'IRP_MJ_DIRECTORY_CONTROL/IRP_MN_NOTIFY_CHANGE_DIRECTORY'
  | 'IRP_MJ_FILE_SYSTEM_CONTROL'
  | 'IRP_MJ_DEVICE_CONTROL'
  | 'IRP_MJ_LOCK_CONTROL'
  | 'IRP_MJ_CLEANUP'
  | 'IRP_MJ_QUERY_SECURITY'
  | 'IRP_MJ_SET_SECURITY'
  | 'IRP_MJ_QUERY_QUOTA'
  | 'IRP_MJ_SET_QUOTA'

/** `critical`: CriticalWorkQueue, `delayed`: DelayedWorkQueue. */
export type WorkQueueName = 'critical' | 'delayed'

/** An NTSTATUS: its name, such as "STATUS_DISK_FULL", or its number, such as 0xc000007f. */
export type NtstatusLike = `STATUS_${string}` | number

export interface FailOptions {
  /**
   * The failure that the operation is given back with; Information becomes 0. What the operation did to the file stays done, except that a
   * create that succeeded is cancelled (FltCancelFileOpen). Not for rules that name cleanup or close [POST-32, CRE-02].
   */
  readonly failWith?: NtstatusLike | undefined
}

export interface PendOptions extends FailOptions {
  /** Milliseconds from the post-operation until it is given back; 0 (default): as soon as the deferred work item has run. */
  readonly delayMs?: number | undefined
  /** Work queue of the deferred work item; default delayed. */
  readonly queue?: WorkQueueName | undefined
  /**
   * What happens to matching fast I/O, which may never be pended. `toIrp` (default): it is sent back, so that it comes again as
   * an IRP, which is pended. `refuse`: it is let through and counted as `refused.notIrp`.
   */
  readonly fastIo?: 'toIrp' | 'refuse' | undefined
}

export interface SynchronizeOptions extends FailOptions {
  /** Milliseconds from the post-operation for which the operation's own thread waits; 0 (default): not at all. */
  readonly delayMs?: number | undefined
}

export interface PendAction extends PendOptions {
  readonly kind: 'pend'
}

export interface ObserveAction {
  readonly kind: 'observe'
}

export interface WhenSafeAction extends FailOptions {
  readonly kind: 'whenSafe'
}

export interface SynchronizeAction extends SynchronizeOptions {
  readonly kind: 'synchronize'
}

export type Action = PendAction | ObserveAction | WhenSafeAction | SynchronizeAction

/** Which operations. Everything that is given must fit. */
export interface Conditions {
  readonly on: readonly (OperationName | OperationGroup | MajorName)[]
  /**
   * Path from the volume's root, without regard to case: `*` is any run of characters, backslashes too, `?` one character. A pattern
   * that does not start with a backslash matches at any depth. For rename and link the new name may fit instead. Default: any path.
   */
  readonly path?: string | undefined
  /** A DOS name ("D:") or a device name ("\Device\HarddiskVolume2"). Default: every volume that is attached to. */
  readonly volume?: string | undefined
  /** Process id of the requestor. Default: any. */
  readonly processId?: number | undefined
  /** RequestorMode. Default: any; `kernel` needs `allow.kernelMode` too, unless the action is observe(). */
  readonly requestorMode?: 'user' | 'kernel' | undefined
  /** Kinds of data I/O; only reads and writes have one. `cached` is neither paging nor non-cached, and fast I/O. Default: any. */
  readonly io?: readonly ('paging' | 'cached' | 'nonCached')[] | undefined
  /** IoStatus.Status, as the post-operation sees it: `success` (NT_SUCCESS), `failure`, or exactly this one. Default: any. */
  readonly status?: 'success' | 'failure' | NtstatusLike | undefined
  /** Of the operations that fit, one in `everyNth`, the `everyNth`th first. Default 1: all. */
  readonly everyNth?: number | undefined
  /** So many operations, then none until the rules are set again. Default: no limit. */
  readonly atMost?: number | undefined
  /** Share of the operations that fit, above 0 and at most 1, in steps of a millionth. Default 1. */
  readonly probability?: number | undefined
  /** Of `probability`, 0 to 2^64-1: with the same seed the same ones of the operations that fit are chosen. Default 0. */
  readonly seed?: bigint | number | undefined
  /** Lifts safety defaults of the driver. */
  readonly allow?:
    | {
        readonly kernelMode?: boolean | undefined
        readonly bootVolume?: boolean | undefined
        readonly pagingFile?: boolean | undefined
      }
    | undefined
  /**
   * Call FltQueueDeferredIoWorkItem also when a top-level IRP is set, where the documentation says that it refuses, and count
   * what it answers: `contract.unexpectedSuccess`. With pend() and gates only. Default false.
   */
  readonly audit?: boolean | undefined
}

export interface Rule extends Conditions {
  /** Your name for it, unique among the rules; default: its place, as in "rule 0". */
  readonly id?: string | undefined
  /** Ask for the name though no path needs it, so that events and held operations show it. Default false. */
  readonly names?: boolean | undefined
  readonly action: Action
}

export interface RulesResult {
  /** Of the driver's whole rule table, after the change. */
  readonly generation: bigint
}

export interface SetRulesOptions extends SignalOptions {
  /**
   * The rules stay when this session ends, until persistent rules of any session replace them or `rules.clear({ persistent: true })`.
   * What they hold is nobody's: it is not given back when this session ends. Default false.
   */
  readonly persist?: boolean | undefined
}

export interface ClearRulesOptions extends SignalOptions {
  /** Remove the persistent rules too, whoever set them. Default false. */
  readonly persistent?: boolean | undefined
}

export interface Rules {
  /**
   * Replaces all rules of this session at once; the first rule that matches an operation decides, gates before rules. What is
   * held already keeps what was decided for it.
   * @throws InvalidRuleError for the first thing that is wrong; then no rule was changed
   */
  set(rules: readonly Rule[], options?: SetRulesOptions): Promise<RulesResult>
  /** Removes the rules that this session set; gates stay. */
  clear(options?: ClearRulesOptions): Promise<RulesResult>
}
