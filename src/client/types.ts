// SPDX-License-Identifier: MIT
//
// This module provides: the public types of a session with the driver. Types only; io/types.ts has those of file I/O, and the other
// *-types.ts those of their subjects.

import type { ReadingOptions } from '../generated/readings.js'
import type { Io } from '../io/types.js'
import type { Counters, CountersOptions } from './counter-types.js'
import type { EventsOptions, EventStream } from './event-types.js'
import type {
  ForceOptions,
  Gate,
  GateOptions,
  HeldOperation,
  HeldOptions,
  ReleaseOptions,
  ReleaseResult,
} from './held-types.js'
import type { InstanceInfo } from './instance-types.js'
import type { Rules } from './rule-types.js'

export type * from './counter-types.js'
export type * from './event-types.js'
export type * from './held-types.js'
export type * from './instance-types.js'
export type * from './rule-types.js'
export type { ReadingName, ReadingOptions } from '../generated/readings.js'
export type {
  EventName,
  OperationName,
  RefusalName,
  ReleaseName,
  ThreadName,
  TopLevelIrpName,
} from '../generated/protocol.js'

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
  /**
   * The driver that the model loads instead of its own build of it: a `minipend.sys` that `npm run build:driver` or the kit made (x86-64 Linux), or another
   * host build. Goes before MINIPEND_DRIVER_IMAGE. Embedded only.
   */
  readonly driverImage?: string | undefined
  /** Seed of the model's scheduler, 0 to 2^64-1; default: a random one, to be read from `model.seed`. Embedded only. */
  readonly seed?: bigint | number | undefined
  /** Processors of the model, 2 to 64; default 2. Embedded only. */
  readonly processors?: number | undefined
  /**
   * Where documents about the Filter Manager disagree or are silent, the readings that the model goes by instead of its defaults:
   * `{ 'queue-of-non-irp': 'accepted' }`. docs/READINGS.md has them all. Embedded only.
   */
  readonly readings?: ReadingOptions | undefined
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
    /** Longest delay or deadline a rule or gate may ask for, in milliseconds. */
    readonly maxDelayMs: number
    readonly maxRules: number
    /** Rule sets of one session: its rules are one, each gate is one. */
    readonly maxSets: number
  }
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

/** The model's own words: why it stopped, if it did. */
export interface ModelReport {
  readonly stopped: boolean
  readonly rule?: string | undefined
  readonly call?: string | undefined
  readonly text?: string | undefined
  /** The driver's function and line that it happened in, as in "MpPend (pend.c:118)", where the image has debug information. */
  readonly callSite?: string | undefined
  /** The whole stack, innermost first. */
  readonly backtrace: readonly string[]
  /** Of the operation that it is about: its lines of the history. */
  readonly operation: readonly string[]
  /** The last few hundred things that happened. */
  readonly history: readonly string[]
  readonly seed: string
  readonly leaks: readonly string[]
  /** What drivers have asked for by name (MmGetSystemRoutineAddress, FltGetRoutineAddress) and got NULL, as "ntoskrnl.exe!KeOfTomorrow". */
  readonly absentRoutines: readonly string[]
  /** Those that are not the default, see `readings` of openMinipend(). */
  readonly readings: ReadingOptions
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

/**
 * A session with the driver: one client of it, with rules, gates and events of its own. Disposing of it closes everything that was opened or attached through it.
 */
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
  /**
   * Opens one more session with the same driver: on `embedded` in the same model, which lives until the last of its sessions is closed. It is another
   * client, independent of this one: it sees what others hold and releases it only with `force`; what persists is there after this session has gone.
   * The driver takes 16 at once.
   * @throws FilterError ERROR_CONNECTION_COUNT_LIMIT, ClosedError, AbortedError
   */
  connect(options?: SignalOptions): Promise<Minipend>
  attach(volume: string, options?: AttachOptions): Promise<Instance>
  /** Detaches an instance, also one that was attached by somebody else: `{ volume: 'D:', name: 'minipend Instance' }`. */
  detach(
    instance: Instance | { readonly volume: string; readonly name: string },
    options?: SignalOptions,
  ): Promise<void>
  /**
   * The driver's instances on all volumes, whoever attached them, as the Filter Manager lists them (FilterInstanceFindFirst), each with what the driver
   * counts for it.
   */
  instances(options?: SignalOptions): Promise<InstanceInfo[]>
  /** What the driver counted: since its instances were attached, since resetCounters(), or since `since`. */
  counters(options?: CountersOptions): Promise<Counters>
  /** From now on counters() of this session counts from here. Nothing changes in the driver, nor for other clients. */
  resetCounters(options?: SignalOptions): Promise<void>
  /** Opens a gate: what fits is held until it is released. @throws InvalidRuleError; MinipendError TOO_MANY_GATES */
  gate(options: GateOptions): Promise<Gate>
  /** What is held at this moment and can be released, in the order in which it was parked. */
  held(options?: HeldOptions): Promise<HeldOperation[]>
  /** Gives one held operation back, by its id. @throws ReleaseError */
  release(id: bigint, options?: ReleaseOptions & ForceOptions): Promise<void>
  /** Gives back everything that this session holds; with force, everything. Its gates and rules stay. */
  releaseAll(options?: ReleaseOptions & ForceOptions): Promise<ReleaseResult>
  /** Events of what becomes of selected operations, from now on. @throws MinipendError EVENTS_IN_USE: one stream at a time */
  events(options?: EventsOptions): Promise<EventStream>
  /**
   * The rules go (but for persistent ones), what is held is given back, files are closed, instances detached; with its last session the model ends. A second
   * call waits for the first.
   */
  close(): Promise<void>
}
