// SPDX-License-Identifier: MIT
//
// This module provides: the public types of held operations and gates. Types only.

import type { NamedNumber } from '../errors/errors.js'
import type { OperationName, ThreadName, TopLevelIrpName } from '../generated/protocol.js'
import type { Conditions, NtstatusLike, RulesResult, WorkQueueName } from './rule-types.js'
import type { SignalOptions } from './types.js'

/** What the post-operation callback saw. */
export interface PostOperation {
  /** PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL, or IRQL_n. */
  readonly irql: string
  /** What IoGetTopLevelIrp answered: `none` is NULL, `irp` the address of an IRP, the others are the FSRTL_ values. */
  readonly topLevelIrp: TopLevelIrpName
  /** In whose thread it ran. */
  readonly thread: ThreadName
  /** RequestorMode was KernelMode. */
  readonly kernelMode: boolean
  /** FltIsOperationSynchronous [POST-27]. */
  readonly synchronous: boolean
  /** Names of the IRP's flags, such as IRP_NOCACHE; empty for operations that are not IRP-based. */
  readonly irpFlags: readonly string[]
  /** FLTFL_CALLBACK_DATA_SYSTEM_BUFFER */
  readonly systemBuffer: boolean
  /** FLTFL_CALLBACK_DATA_REISSUED_IO */
  readonly reissued: boolean
  /** FLTFL_CALLBACK_DATA_GENERATED_IO */
  readonly generated: boolean
}

export interface ReleaseOptions extends SignalOptions {
  /**
   * The failure to give it back with, before the rule's own `failWith`; default: as the file system or `failWith` left it. What the
   * operation did to the file stays done. Not for cleanup, close, and creates that succeeded [POST-32, CRE-04].
   */
  readonly status?: NtstatusLike | undefined
}

export interface ForceOptions {
  /** Also what is held for another client, or by a persistent rule. Default false. */
  readonly force?: boolean | undefined
}

export interface ReleaseResult {
  /** Operations that were released. */
  readonly released: number
  /** Of these, how many kept their status, because they may not be failed. */
  readonly statusNotApplied: number
}

/**
 * An operation that the driver held when it was asked. It has already taken effect in the file system; its caller does not know yet. The driver
 * gives it back by itself at its deadline, and earlier when its thread, its instance or its client ends [CANC-06].
 */
export interface HeldOperation {
  /** Unique while the driver is loaded. */
  readonly id: bigint
  readonly operation: OperationName
  readonly majorFunction: number
  readonly minorFunction: number
  /** From the volume's root, such as "\inbox\a.txt"; undefined: no name was asked for, or none was to be had safely. */
  readonly path: string | undefined
  /** Only the end of `path` is there: it is longer than 260 characters. */
  readonly nameCut: boolean
  /** Name of the rule or gate; undefined: another client's, or a persistent one. */
  readonly rule: string | undefined
  /** Of the driver's rule table that it was matched in, as in RulesResult. */
  readonly ruleGeneration: bigint
  /** This session's rule or gate holds it. */
  readonly own: boolean
  /** What it waits for: its gate, or the end of a delay. */
  readonly hold: 'gate' | 'delay'
  /** `pend`: its post-operation is pended; `synchronize`: its own thread waits. */
  readonly action: 'pend' | 'synchronize'
  readonly instanceId: bigint
  /** The volume as it was given to attach() in this session, such as "D:"; undefined when attached elsewhere. */
  readonly drive: string | undefined
  /** Of the requestor; 0: not known. */
  readonly processId: number
  readonly threadId: number
  /** IoStatus.Status, as the file system left it. */
  readonly status: NamedNumber
  /** IoStatus.Information, such as bytes written [POST-33]. */
  readonly information: bigint
  readonly postOperation: PostOperation
  /** Interrupt time of the post-operation, in nanoseconds. */
  readonly takenNs: bigint
  /** Interrupt time at which it is given back by itself, in nanoseconds. */
  readonly deadlineNs: bigint
  /** Interrupt time of the answer that described it, in nanoseconds: then it was held. */
  readonly seenNs: bigint
  /** release() of this object has succeeded. */
  readonly released: boolean
  /**
   * Gives it back now. @throws ReleaseError `heldUnknown` when it has been given back already, by its deadline for example;
   * `heldForeign`, `releaseStatus`. It is not waited for the caller to have got it; but in this process a failure that it gives is told after this promise.
   */
  release(options?: ReleaseOptions & ForceOptions): Promise<void>
}

export interface GateOptions extends Conditions, SignalOptions {
  /** Your name for it, in `rule` of held operations and events; default: "gate 1" and so on. */
  readonly id?: string | undefined
  /** Milliseconds after which an operation is given back by itself; default 30,000, or the driver's maxDelayMs when that is less. */
  readonly deadlineMs?: number | undefined
  /** Operations held by this gate at once; more are not held, and counted as refused.capacity. Default: the driver's limit. */
  readonly maxHeld?: number | undefined
  /** As in pend(); not with `synchronize`. */
  readonly queue?: WorkQueueName | undefined
  /** As in pend(). */
  readonly fastIo?: 'toIrp' | 'refuse' | undefined
  /** Hold the operation in its own thread instead of pending it: the way to hold a rename on FAT [POST-13]. Default false. */
  readonly synchronize?: boolean | undefined
  /** As in pend(): what an operation that is released without a status is given back with. */
  readonly failWith?: NtstatusLike | undefined
  /** Ask for names though no path needs them. Default true. */
  readonly names?: boolean | undefined
}

export interface NextOptions extends SignalOptions {
  /** Milliseconds to wait; default: without end. */
  readonly timeoutMs?: number | undefined
}

/**
 * Holds what fits until it is released. Disposing of it closes it. Iterating gives what is held, in the order in which it was parked, until the
 * gate is closed; leaving the loop does not close it.
 */
export interface Gate extends AsyncDisposable, AsyncIterable<HeldOperation> {
  readonly id: string
  /** Milliseconds. */
  readonly deadlineMs: number
  /** Of the driver's rule table, since this gate is in force. */
  readonly generation: RulesResult['generation']
  readonly closed: boolean
  /**
   * The next held operation, each once, oldest first. The driver is asked at that moment, so what was given back meanwhile (by its
   * deadline, say) is never delivered.
   * @throws TimeoutError, AbortedError, ClosedError
   */
  next(options?: NextOptions): Promise<HeldOperation>
  /** Releases everything that this gate holds, delivered or not; it stays open. */
  releaseAll(options?: ReleaseOptions): Promise<ReleaseResult>
  /** Takes the gate away, then releases what it holds. A second call waits for the first. */
  close(): Promise<void>
}

export interface HeldOptions extends SignalOptions {
  /** Only what this session's rules and gates hold. Default false: everybody's. */
  readonly own?: boolean | undefined
}
