// SPDX-License-Identifier: MIT
//
// This module provides: the public types of rules and their actions. Types only.

import type { NamedNumber } from '../errors/errors.js'
import type { OperationName } from '../generated/protocol.js'
import type { ReleaseOptions, ReleaseResult } from './held-types.js'
import type { SignalOptions } from './types.js'

/** Names for more than one operation, or friendlier names for one. */
export type OperationGroup = 'any' | 'anySetInformation' | 'truncate' | 'list' | 'open'

/**
 * Operations of one minor function; the major function alone stands for all of them. A rule that names one names nothing but minor functions of the same
 * major function.
 */
export type MinorName =
  | 'IRP_MJ_FLUSH_BUFFERS/IRP_MN_FLUSH_AND_PURGE'
  | 'IRP_MJ_FLUSH_BUFFERS/IRP_MN_FLUSH_DATA_ONLY'
  | 'IRP_MJ_FLUSH_BUFFERS/IRP_MN_FLUSH_NO_SYNC'
  | 'IRP_MJ_FLUSH_BUFFERS/IRP_MN_FLUSH_DATA_SYNC_ONLY'
  | 'IRP_MJ_DIRECTORY_CONTROL/IRP_MN_QUERY_DIRECTORY'
  | 'IRP_MJ_DIRECTORY_CONTROL/IRP_MN_NOTIFY_CHANGE_DIRECTORY'
  | 'IRP_MJ_DIRECTORY_CONTROL/IRP_MN_NOTIFY_CHANGE_DIRECTORY_EX'
  | 'IRP_MJ_FILE_SYSTEM_CONTROL/IRP_MN_USER_FS_REQUEST'
  | 'IRP_MJ_FILE_SYSTEM_CONTROL/IRP_MN_MOUNT_VOLUME'
  | 'IRP_MJ_FILE_SYSTEM_CONTROL/IRP_MN_VERIFY_VOLUME'
  | 'IRP_MJ_FILE_SYSTEM_CONTROL/IRP_MN_LOAD_FILE_SYSTEM'
  | 'IRP_MJ_FILE_SYSTEM_CONTROL/IRP_MN_KERNEL_CALL'
  | 'IRP_MJ_LOCK_CONTROL/IRP_MN_LOCK'
  | 'IRP_MJ_LOCK_CONTROL/IRP_MN_UNLOCK_SINGLE'
  | 'IRP_MJ_LOCK_CONTROL/IRP_MN_UNLOCK_ALL'
  | 'IRP_MJ_LOCK_CONTROL/IRP_MN_UNLOCK_ALL_BY_KEY'

/** The kernel's names. */
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
   * The failure that the operation is given back with; Information becomes 0. What the operation did stays done (a file is created,
   * a lock is granted), except that the open of a create that succeeded is cancelled (FltCancelFileOpen). Not for rules that name cleanup or close [POST-32, CRE-02].
   */
  readonly failWith?: NtstatusLike | undefined
}

export interface PendOptions extends FailOptions {
  /** Milliseconds from the post-operation until it is given back; 0 (default): as soon as the deferred work item has run. */
  readonly delayMs?: number | undefined
  /** Work queue of the deferred work item; default delayed [POST-03]. */
  readonly queue?: WorkQueueName | undefined
  /**
   * What happens to matching fast I/O, which may never be pended. `toIrp` (default): it is sent back, so that it comes again as
   * an IRP, which is pended. `refuse`: it is let through and counted as `refused.notIrp` [POST-21, FORM-02].
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
  readonly on: readonly (OperationName | OperationGroup | MajorName | MinorName)[]
  /**
   * Path from the volume's root, without regard to case: `*` is any run of characters, backslashes too, `?` one character. A pattern
   * that does not start with a backslash matches at any depth. For rename and link the new name may fit instead. Default: any path.
   */
  readonly path?: string | undefined
  /** A DOS name ("D:") or a device name ("\Device\HarddiskVolume2"). Default: every volume that is attached to. */
  readonly volume?: string | undefined
  /** Process id of the requestor, of the operation's own thread [INFO-01]. Default: any. */
  readonly processId?: number | undefined
  /** RequestorMode [INFO-05, HAZ-01]. Default: any; `kernel` needs `allow.kernelMode` too, unless the action is observe(). */
  readonly requestorMode?: 'user' | 'kernel' | undefined
  /** Kinds of data I/O; only reads and writes have one. `cached` is neither paging nor non-cached, and fast I/O [INFO-07, FORM-03]. Default: any. */
  readonly io?: readonly ('paging' | 'cached' | 'nonCached')[] | undefined
  /** IoStatus.Status, as the post-operation sees it [POST-35]: `success` (NT_SUCCESS), `failure`, or exactly this one. Default: any. */
  readonly status?: 'success' | 'failure' | NtstatusLike | undefined
  /** Of the operations that fit, one in `everyNth`, the `everyNth`th first. Default 1: all. */
  readonly everyNth?: number | undefined
  /** So many operations, then none until the rules are set again. Default: no limit. */
  readonly atMost?: number | undefined
  /** Share of the operations that fit, above 0 and at most 1, in steps of a millionth. Default 1. */
  readonly probability?: number | undefined
  /** Of `probability`, 0 to 2^64-1: with the same seed the same ones of the operations that fit are chosen. Default 0. */
  readonly seed?: bigint | number | undefined
  /** Lifts safety defaults of the driver [HAZ-01, HAZ-02]. */
  readonly allow?:
    | {
        readonly kernelMode?: boolean | undefined
        readonly bootVolume?: boolean | undefined
        readonly pagingFile?: boolean | undefined
      }
    | undefined
  /**
   * Call FltQueueDeferredIoWorkItem also when a top-level IRP is set, where the documentation says that it refuses [POST-13], and count
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

export interface ListRulesOptions extends SignalOptions {
  /** Only this session's rules and gates. Default false: everybody's. */
  readonly own?: boolean | undefined
}

export type ListedAction = Action['kind']
/** `gate`: until its client releases it; `delay`: for `delayMs`; `none`: given back as soon as it may be. */
export type ListedHold = 'none' | 'delay' | 'gate'

/**
 * What a rule has done since its set was put into force. Always: `selected >= refused + taken`, `taken >= heldNow`. At rest, of a rule that pends or
 * synchronizes: `selected === refused + taken`.
 */
export interface RuleCounts {
  /** Operations that the rule decided about. */
  readonly selected: bigint
  /** Of these, not done with as the action says, for any cause; counters() has the causes. */
  readonly refused: bigint
  /** Of these, pended, or held in their own thread. */
  readonly taken: bigint
  /** Of `taken`, not given back yet. */
  readonly heldNow: number
  /** Operations that `everyNth`, `atMost` and `probability` were asked about; 0 for a rule without these and without `status`. */
  readonly sampled: bigint
  /** Of `atMost`, used up. */
  readonly applied: number
}

/** A rule or a gate that is in force, as the driver has compiled it. What is undefined is no condition. */
export interface ListedRule {
  /** Your name for it; undefined: another client's, a persistent one of a session that has ended, or one that rules.set() is about to report. */
  readonly id: string | undefined
  /** The driver's number for it: its client's, unique in its set. */
  readonly number: number
  /** This session's. */
  readonly own: boolean
  /** Who set it: as in `hello.connectionId`, and the process that had connected. Undefined: persistent, and its client has left. */
  readonly owner: { readonly connectionId: bigint; readonly processId: number } | undefined
  /** Number of its rule set: 0 are rules, each gate has another. */
  readonly setId: number
  /** Of the driver's rule table, since the set is in force; as in RulesResult. */
  readonly generation: bigint
  /** It stays when its client leaves. */
  readonly persistent: boolean
  /** Operations; minor functions by their own names when the rule selects some. */
  readonly on: readonly (OperationName | MinorName)[]
  readonly action: ListedAction
  readonly hold: ListedHold
  /** Milliseconds: of a delay; of a gate, its deadline; else 0. */
  readonly delayMs: number
  /** Undefined: it queues nothing. */
  readonly queue: WorkQueueName | undefined
  readonly fastIo: 'toIrp' | 'refuse'
  readonly failWith: NamedNumber | undefined
  /** In capitals, as it is compared; a pattern that matches at any depth begins with "*\". */
  readonly path: string | undefined
  /** Device name in capitals, as it is compared. */
  readonly volume: string | undefined
  /** DOS name of `volume`, if this session has used one. */
  readonly drive: string | undefined
  readonly processId: number | undefined
  readonly requestorMode: 'user' | 'kernel' | undefined
  /** Empty: any. */
  readonly io: readonly ('paging' | 'cached' | 'nonCached')[]
  readonly status: 'success' | 'failure' | NamedNumber | undefined
  /** 1: all. */
  readonly everyNth: number
  readonly atMost: number | undefined
  /** 1: all. */
  readonly probability: number
  readonly seed: bigint
  /** Of a gate. */
  readonly maxHeld: number | undefined
  readonly allow: { readonly kernelMode: boolean; readonly bootVolume: boolean; readonly pagingFile: boolean }
  readonly names: boolean
  readonly audit: boolean
  readonly counts: RuleCounts
}

export interface RuleListing {
  /** Of the driver's whole rule table: all rules are of this one. */
  readonly generation: bigint
  /** Interrupt time of the answer, in nanoseconds. */
  readonly seenNs: bigint
  /** Sets in the order in which they first came, rules in their order; gates are asked before all others. */
  readonly rules: readonly ListedRule[]
}

export interface Rules {
  /**
   * Replaces all rules of this session at once; the first rule that matches an operation decides, gates before rules. What is
   * held already keeps what was decided for it.
   * @throws InvalidRuleError for the first thing that is wrong; then no rule was changed
   */
  set(rules: readonly Rule[], options?: SetRulesOptions): Promise<RulesResult>
  /**
   * Gives back now what rules of this id hold: those in force, and those of this session that rules.set() has replaced. What is parked later is held
   * as before. Not for persistent rules, whose operations are nobody's: mp.release() with `force`.
   * @throws InvalidOptionError no such rule
   */
  release(id: string, options?: ReleaseOptions): Promise<ReleaseResult>
  /**
   * The rules and gates that are in force in the driver, everybody's, with what each has done. One table: when it is replaced while it is read, it is
   * read again.
   * @throws InvalidOptionError, AbortedError, ClosedError; MinipendError RULES_BUSY when it is replaced again and again
   */
  list(options?: ListRulesOptions): Promise<RuleListing>
  /** Removes the rules that this session set; gates stay. */
  clear(options?: ClearRulesOptions): Promise<RulesResult>
}
