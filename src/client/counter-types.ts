// SPDX-License-Identifier: MIT
//
// This module provides: the public types of counters. Types only.

import type { OperationName, RefusalName } from '../generated/protocol.js'
import type { SignalOptions } from './types.js'

/** How often the driver did not pend what a rule wanted pended, by cause, in the order of precedence. */
export type RefusalCounters = Readonly<Record<RefusalName, bigint>> & { readonly total: bigint }

/** What a histogram proves about a time: it lies between the two, both included. */
export interface Bounds {
  /** Nanoseconds. */
  readonly atLeast: bigint
  /** Nanoseconds; undefined: the last bucket has no end. */
  readonly atMost: bigint | undefined
}

export interface HistogramBucket extends Bounds {
  readonly count: bigint
}

/**
 * Times of pended operations, in nanoseconds, from interrupt time (which moves in steps of the system's clock tick). Each is known by its
 * bucket only, so every answer is the bounds of a bucket; undefined when there are no times.
 */
export interface LatencyHistogram {
  readonly count: bigint
  readonly p50: Bounds | undefined
  readonly p90: Bounds | undefined
  readonly p99: Bounds | undefined
  readonly max: Bounds | undefined
  /** The time that `p` percent of all times do not exceed, above 0 to 100. @throws RangeError */
  percentile(p: number): Bounds | undefined
  /** Those that are not empty, shortest first. */
  readonly buckets: readonly HistogramBucket[]
}

export interface OperationCounters {
  readonly postOperations: bigint
  readonly unmatched: bigint
  readonly observed: bigint
  readonly pended: bigint
  readonly completed: bigint
  /** Pended and not given back yet. Now, also with `since`. */
  readonly inFlight: bigint
  /** Most in flight at once; of a sum, the most of one operation on one instance. Since the instance was attached, also with `since`. */
  readonly inFlightHighWater: bigint
  readonly whenSafe: bigint
  readonly synchronized: bigint
  /** Synchronised operations whose own thread waits. Now, also with `since`. */
  readonly waiting: bigint
  /** Given back with a failure that a rule or a client chose. */
  readonly failed: bigint
  /** Draining calls of operations that no rule wanted pended. */
  readonly draining: bigint
  /** Post-operation callbacks whose outcome was not counted yet when the snapshot was taken. Now, also with `since`. */
  readonly inCallback: bigint
  /** Operations for which a rule needed a name that could not be had safely. */
  readonly nameUnavailable: bigint
  /** Fast I/O sent back, to come again as an IRP; it had no post-operation. */
  readonly fastIoDisallowed: bigint
  readonly refused: RefusalCounters
  /** From the post-operation until it was given back, of pended operations. */
  readonly latencyNs: LatencyHistogram
  /** From the post-operation until the deferred work item ran, of pended operations. */
  readonly queueNs: LatencyHistogram
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
   * One sentence for each broken identity, always of the driver's own numbers, never of differences. `pended == completed + inFlight` holds
   * in every snapshot; the identity of the post-operations holds at rest (a snapshot taken under load may be torn).
   */
  readonly problems: readonly string[]
}

/** Sums over all instances, those that are gone included, and their parts. */
export interface Counters extends OperationCounters {
  readonly byOperation: CountersByOperation
  readonly byInstance: readonly InstanceCounters[]
  /** The sum of the instances that are gone. */
  readonly retired: OperationCounters & { readonly byOperation: CountersByOperation }
  /** Operations held when the snapshot was taken: in flight or waiting. */
  readonly held: bigint
  /** Since the driver was loaded, also with `since`. */
  readonly heldHighWater: bigint
  readonly ruleGeneration: bigint
  readonly connections: number
  /** Interrupt time of the snapshot, in nanoseconds. */
  readonly timeNs: bigint
  readonly contract: {
    /** Refusals of FltQueueDeferredIoWorkItem that no documented cause explains. */
    readonly unexpectedRefusal: bigint
    /** Calls of FltQueueDeferredIoWorkItem that succeeded though a top-level IRP was set; only rules with `audit` make them. */
    readonly unexpectedSuccess: bigint
  }
  readonly balance: Balance
}

export interface CountersOptions extends SignalOptions {
  /**
   * Counters of this session that were read before: what was counted since then. Gauges (`inFlight`, `waiting`, `inCallback`, `held`) and
   * high-water marks stay as they are.
   */
  readonly since?: Counters | undefined
}
