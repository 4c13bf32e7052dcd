// SPDX-License-Identifier: MIT
//
// This module provides: histograms of times, read from the driver's reply when they are looked at.

import { HISTOGRAM_FLOORS_100NS } from '../generated/protocol.js'
import type { Bounds, HistogramBucket, LatencyHistogram } from './counter-types.js'

/** What one bucket says of a time. Times are whole units of 100 ns, so a bucket ends one unit before the next begins. */
function boundsOf(bucket: number): Bounds {
  const next = HISTOGRAM_FLOORS_100NS[bucket + 1]
  return {
    atLeast: (HISTOGRAM_FLOORS_100NS[bucket] ?? 0n) * 100n,
    atMost: next === undefined ? undefined : (next - 1n) * 100n,
  }
}

/** Hundredths of a millionth: enough for 99.9999. */
const STEPS_PER_PERCENT = 1_000_000

export class Histogram implements LatencyHistogram {
  readonly #read: () => readonly bigint[]
  #counts: readonly bigint[] | undefined

  /** `read` gives one count for each bucket; it is called once, when the histogram is first looked at. */
  constructor(read: () => readonly bigint[]) {
    this.#read = read
  }

  /** Counts by bucket. */
  get counts(): readonly bigint[] {
    this.#counts ??= this.#read()
    return this.#counts
  }

  get count(): bigint {
    return this.counts.reduce((sum, each) => sum + each, 0n)
  }

  get p50(): Bounds | undefined {
    return this.percentile(50)
  }

  get p90(): Bounds | undefined {
    return this.percentile(90)
  }

  get p99(): Bounds | undefined {
    return this.percentile(99)
  }

  get max(): Bounds | undefined {
    return this.percentile(100)
  }

  get buckets(): readonly HistogramBucket[] {
    return this.counts.flatMap((count, bucket) => (count > 0n ? [{ ...boundsOf(bucket), count }] : []))
  }

  percentile(p: number): Bounds | undefined {
    if (!(p > 0 && p <= 100)) {
      throw new RangeError(`percentile: expected a number above 0, at most 100, got ${p}`)
    }
    const all = 100n * BigInt(STEPS_PER_PERCENT)
    const wanted = this.count * BigInt(Math.max(1, Math.round(p * STEPS_PER_PERCENT)))
    let reached = 0n
    for (const [bucket, count] of this.counts.entries()) {
      reached += count
      if (count > 0n && reached * all >= wanted) {
        return boundsOf(bucket)
      }
    }
    return undefined
  }

  toJSON(): unknown {
    const { count, p50, p90, p99, max } = this
    return count === 0n ? { count } : { count, p50, p90, p99, max }
  }
}

/** All times of the parts. */
export const sumHistograms = (parts: readonly Histogram[]): Histogram =>
  new Histogram(() =>
    HISTOGRAM_FLOORS_100NS.map((_, bucket) => parts.reduce((sum, part) => sum + (part.counts[bucket] ?? 0n), 0n)),
  )

/** The times that were added since `earlier`. */
export const subtractHistograms = (now: Histogram, earlier: Histogram): Histogram =>
  new Histogram(() => now.counts.map((count, bucket) => count - (earlier.counts[bucket] ?? 0n)))
