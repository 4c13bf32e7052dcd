// SPDX-License-Identifier: MIT
//
// This module provides: counting of what traffic does, and its end: by number, by time, by a signal.
//
// Invariants: each call is counted once, when it has ended; a call that fails is counted and the traffic goes on; what is no failure of
// the file system (a stopped model, a closed session) ends it.

import { Histogram } from '../../client/histogram.js'
import { AbortedError, IoError } from '../../errors/errors.js'
import { HISTOGRAM_FLOORS_100NS } from '../../generated/protocol.js'
import type { TrafficCount, TrafficOperationName, TrafficReport } from './types.js'

/** Thrown through a workload to end its worker. */
export class TrafficEnd extends Error {
  override readonly name = 'TrafficEnd'
}

const NS_PER_MS = 1e6
const OK = 'OK'

/** The bucket of a time. */
function bucketOf(latencyNs: number): number {
  const units = BigInt(Math.round(latencyNs / 100))
  let bucket = 0
  while (bucket + 1 < HISTOGRAM_FLOORS_100NS.length && units >= (HISTOGRAM_FLOORS_100NS[bucket + 1] ?? 0n)) {
    bucket++
  }
  return bucket
}

class Tally {
  count = 0
  failed = 0
  bytes = 0
  readonly statuses = new Map<string, number>()
  readonly #buckets = new Array<number>(HISTOGRAM_FLOORS_100NS.length).fill(0)

  add(status: string, bytes: number, latencyNs: number): void {
    this.count++
    this.failed += status === OK ? 0 : 1
    this.bytes += bytes
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
    const bucket = bucketOf(latencyNs)
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1
  }

  report(): TrafficCount {
    const counts = this.#buckets.map(BigInt)
    return {
      count: this.count,
      failed: this.failed,
      bytes: BigInt(this.bytes),
      statuses: Object.fromEntries([...this.statuses].sort(([a], [b]) => (a < b ? -1 : 1))),
      latencyNs: new Histogram(() => counts),
    }
  }
}

/** What all workers' calls add up to. */
export class Recorder {
  readonly signal: AbortSignal | undefined
  endedBy: TrafficReport['endedBy'] = 'operations'
  stillHeld = 0
  readonly #deadline: number
  readonly #byOperation = new Map<TrafficOperationName, Tally>()

  constructor(durationMs: number | undefined, signal: AbortSignal | undefined) {
    this.signal = signal
    this.#deadline = durationMs === undefined ? Infinity : performance.now() + durationMs
  }

  /** Whether the next call may begin. @throws TrafficEnd */
  proceed(): void {
    if (this.signal?.aborted === true) {
      this.endedBy = 'abort'
      throw new TrafficEnd()
    }
    if (performance.now() >= this.#deadline) {
      this.endedBy = 'duration'
      throw new TrafficEnd()
    }
  }

  /** Makes one call. Value: what it gave; undefined: it failed, which is counted. @throws TrafficEnd when it was aborted */
  async call<T>(
    operation: TrafficOperationName,
    work: () => Promise<T>,
    bytesOf: (value: T) => number = () => 0,
  ): Promise<T | undefined> {
    const start = performance.now()
    const add = (status: string, bytes: number): void => {
      const tally = this.#byOperation.get(operation) ?? new Tally()
      this.#byOperation.set(operation, tally)
      tally.add(status, bytes, (performance.now() - start) * NS_PER_MS)
    }
    try {
      const value = await work()
      add(OK, bytesOf(value))
      return value
    } catch (error) {
      if (this.ends(error)) {
        throw new TrafficEnd()
      }
      if (!(error instanceof IoError)) {
        throw error
      }
      add(error.code, 0)
      return undefined
    }
  }

  /** Whether this is the abort of the traffic, which is no failure. */
  ends(error: unknown): boolean {
    if (!(error instanceof AbortedError && this.signal?.aborted === true)) {
      return false
    }
    this.stillHeld += error.stillHeld ? 1 : 0
    this.endedBy = 'abort'
    return true
  }

  byOperation(): TrafficReport['byOperation'] {
    const sorted = [...this.#byOperation].sort(([a], [b]) => (a < b ? -1 : 1))
    return Object.fromEntries(sorted.map(([operation, tally]) => [operation, tally.report()]))
  }
}
