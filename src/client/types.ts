// SPDX-License-Identifier: MIT
//
// This module provides: the public types of a session with the driver. Types only; io/types.ts has those of file I/O.

import type { OperationName, RefusalName } from '../generated/protocol.js'
import type { Io } from '../io/types.js'

export type { OperationName, RefusalName }

/** `embedded`: the model inside this process. `windows`: the real Filter Manager of this machine. */
export type BackendName = 'embedded' | 'windows'

/** `addon`: the compiled addon, does everything. `ffi`: ffi-napi, for control calls only (no file I/O). */
export type TransportName = 'addon' | 'ffi'

export interface SignalOptions {
  /** Stops the waiting, see AbortedError. */
  readonly signal?: AbortSignal | undefined
}

export interface OpenOptions extends SignalOptions {
  /** Never guessed. */
  readonly backend: BackendName
  /** Default: addon. */
  readonly transport?: TransportName | undefined
  /** Seed of the model's scheduler, 0 to 2^64-1; default: a random one, to be read from `model.seed`. Embedded only. */
  readonly seed?: bigint | number | undefined
  /** Processors of the model, 2 to 64; default 2. Embedded only. */
  readonly processors?: number | undefined
  /**
   * Host directories whose contents are copied into the model, by ordinary file I/O, before the driver is loaded:
   * `{ 'D:': './fixtures' }` or `{ 'D:\\inbox': './fixtures' }`. Embedded only.
   */
  readonly files?: Readonly<Record<string, string>> | undefined
  /** Load the driver first (default true). On windows a driver that is loaded already is fine. */
  readonly load?: boolean | undefined
}

/** What the driver said about itself at hello. */
export interface HelloInfo {
  /** As in "0.1.0". */
  readonly driverVersion: string
  readonly protocolVersion: number
  readonly connectionId: bigint
  readonly processorCount: number
  readonly limits: {
    /** Operations held at once, at most. */
    readonly maxHeld: number
    /** Longest delay a rule may ask for, in milliseconds. */
    readonly maxDelayMs: number
    readonly maxRules: number
  }
}

/** Names for more than one operation, or friendlier names for one. */
export type OperationGroup = 'any' | 'anySetInformation' | 'truncate' | 'list' | 'open'

/** `critical`: CriticalWorkQueue, `delayed`: DelayedWorkQueue. */
export type WorkQueueName = 'critical' | 'delayed'

export interface PendOptions {
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

export interface PendAction extends PendOptions {
  readonly kind: 'pend'
}

export interface ObserveAction {
  readonly kind: 'observe'
}

export type Action = PendAction | ObserveAction

export interface Rule {
  /** Your name for it, unique among the rules; default: its place, as in "rule 0". */
  readonly id?: string | undefined
  readonly on: readonly (OperationName | OperationGroup)[]
  /**
   * Path from the volume's root, without regard to case: `*` is any run of characters, backslashes too, `?` one character. A pattern
   * that does not start with a backslash matches at any depth. Default: any path.
   */
  readonly path?: string | undefined
  /** A DOS name ("D:") or a device name ("\Device\HarddiskVolume2"). Default: every volume that is attached to. */
  readonly volume?: string | undefined
  readonly action: Action
  /** Lifts safety defaults of the driver for this rule. */
  readonly allow?:
    | {
        readonly kernelMode?: boolean | undefined
        readonly bootVolume?: boolean | undefined
        readonly pagingFile?: boolean | undefined
      }
    | undefined
}

export interface RulesResult {
  /** Of the driver's whole rule table, after the change. */
  readonly generation: bigint
}

export interface Rules {
  /** Replaces all rules of this session at once; the first rule that matches an operation decides. */
  set(rules: readonly Rule[], options?: SignalOptions): Promise<RulesResult>
  /** The same as set([]). */
  clear(options?: SignalOptions): Promise<RulesResult>
}

export interface AttachOptions extends SignalOptions {
  /** As in "370020.5"; default: the one of the driver's default instance. */
  readonly altitude?: string | undefined
  /** Default: chosen by the Filter Manager. */
  readonly instanceName?: string | undefined
}

/** The driver, attached to one volume. Disposing of it detaches. */
export interface Instance extends AsyncDisposable {
  /** As given to attach(), such as "D:". */
  readonly volume: string
  readonly name: string
  readonly altitude: string
  /** True once it has been detached through this object. */
  readonly detached: boolean
  /** Waits for the operations that are under way; what is held is given back at once. A second call does nothing. */
  detach(options?: SignalOptions): Promise<void>
}

/** How often the driver did not pend what a rule wanted pended, by cause, in the order of precedence. */
export type RefusalCounters = Readonly<Record<RefusalName, bigint>> & { readonly total: bigint }

export interface OperationCounters {
  readonly postOperations: bigint
  readonly unmatched: bigint
  readonly observed: bigint
  readonly pended: bigint
  readonly completed: bigint
  readonly inFlight: bigint
  readonly whenSafe: bigint
  readonly synchronized: bigint
  /** Draining calls of operations that no rule wanted pended. */
  readonly draining: bigint
  /** Post-operation callbacks whose outcome was not counted yet when the snapshot was taken. */
  readonly inCallback: bigint
  /** Operations for which a rule needed a name that could not be had safely. */
  readonly nameUnavailable: bigint
  /** Fast I/O sent back, to come again as an IRP; it had no post-operation. */
  readonly fastIoDisallowed: bigint
  readonly refused: RefusalCounters
}

export type CountersByOperation = Readonly<Record<OperationName, OperationCounters>>

export interface InstanceCounters extends OperationCounters {
  readonly id: bigint
  readonly name: string
  readonly altitude: string
  /** Device name, such as "\Device\HarddiskVolume2". */
  readonly volume: string
  /** The volume as it was given to attach() in this session, such as "D:"; undefined when attached elsewhere. */
  readonly drive: string | undefined
  readonly bootVolume: boolean
  readonly tearingDown: boolean
  readonly byOperation: CountersByOperation
}

export interface Balance {
  /** No problem found. */
  readonly exact: boolean
  /**
   * One sentence for each broken identity. `pended == completed + inFlight` holds in every snapshot; the identity of the
   * post-operations holds at rest (a snapshot taken under load may be torn).
   */
  readonly problems: readonly string[]
}

/** Sums over all instances, those that are gone included, and their parts. */
export interface Counters extends OperationCounters {
  readonly byOperation: CountersByOperation
  readonly byInstance: readonly InstanceCounters[]
  /** The sum of the instances that are gone. */
  readonly retired: OperationCounters & { readonly byOperation: CountersByOperation }
  /** Operations held when the snapshot was taken. */
  readonly held: bigint
  readonly heldHighWater: bigint
  readonly ruleGeneration: bigint
  readonly connections: number
  readonly contract: {
    /** Refusals of FltQueueDeferredIoWorkItem that no documented cause explains. */
    readonly unexpectedRefusal: bigint
  }
  readonly balance: Balance
}

/** The model's own words: why it stopped, if it did. */
export interface ModelReport {
  readonly stopped: boolean
  readonly rule?: string | undefined
  readonly call?: string | undefined
  readonly text?: string | undefined
  readonly history: readonly string[]
  readonly seed: string
  readonly leaks: readonly string[]
  /** Non-cached requests that the storage has at this moment: each is below every filter. See `setStorageDelay`. */
  readonly waitingForStorage: number
}

/** What only the embedded backend has. */
export interface Model {
  readonly seed: bigint
  /**
   * The next `count` calls of a kernel function made by the driver fail in their documented way, after the first `skip` went
   * through. Count 0 switches off. @throws InvalidOptionError when the function has no fault switch.
   */
  setFault(functionName: string, options: { readonly count: number; readonly skip?: number | undefined }): void
  /**
   * How long the storage takes from now on for each non-cached request (of a file opened with `noBuffering`; paging I/O never waits), in
   * milliseconds, 0 to 60,000. 0: as at the start, 0.05 to 0.5 ms. A request under way keeps its own delay;
   * what closes its file waits for it, unless it is aborted.
   * @throws InvalidOptionError
   */
  setStorageDelay(options: { readonly delayMs: number }): void
  /** Never waits. */
  report(): ModelReport
}

/** A session with the driver. Disposing of it closes everything that was opened or attached through it. */
export interface Minipend extends AsyncDisposable {
  readonly backend: BackendName
  readonly transport: TransportName
  readonly hello: HelloInfo
  readonly rules: Rules
  readonly io: Io
  /** @throws NotSupportedError on the windows backend. */
  readonly model: Model
  /** True once close() was called. */
  readonly closed: boolean
  attach(volume: string, options?: AttachOptions): Promise<Instance>
  /** Detaches an instance, also one that was attached by somebody else: `{ volume: 'D:', name: 'minipend Instance' }`. */
  detach(
    instance: Instance | { readonly volume: string; readonly name: string },
    options?: SignalOptions,
  ): Promise<void>
  counters(options?: SignalOptions): Promise<Counters>
  /** The rules go, what is held is given back, files are closed, instances detached; the model ends. A second call waits for the first. */
  close(): Promise<void>
}
