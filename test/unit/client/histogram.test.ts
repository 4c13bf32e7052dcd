// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest'
import { Histogram, subtractHistograms, sumHistograms } from '../../../src/client/histogram.js'
import { HISTOGRAM_FLOORS_100NS } from '../../../src/generated/protocol.js'

const BUCKETS = HISTOGRAM_FLOORS_100NS.length

/** `counts`: by bucket. */
function histogram(counts: Readonly<Record<number, bigint>>): Histogram {
  return new Histogram(() => Array.from({ length: BUCKETS }, (_, bucket) => counts[bucket] ?? 0n))
}

describe('a histogram', () => {
  it('of nothing proves nothing', () => {
    const { count, p50, max, buckets } = histogram({})
    expect([count, p50, max, buckets]).toEqual([0n, undefined, undefined, []])
    expect(JSON.stringify(histogram({}), (_, v: unknown) => (typeof v === 'bigint' ? Number(v) : v))).toBe(
      '{"count":0}',
    )
  })

  it("gives percentiles as their bucket's bounds, in nanoseconds", () => {
    // Buckets begin at 0, 2, 3, 4, 6, 8, 12 ... units of 100 ns.
    const times = histogram({ 0: 50n, 4: 40n, 6: 9n, 63: 1n })
    expect(times.count).toBe(100n)
    expect(times.p50).toEqual({ atLeast: 0n, atMost: 100n })
    expect(times.percentile(50.0001)).toEqual({ atLeast: 600n, atMost: 700n })
    expect(times.p90).toEqual({ atLeast: 600n, atMost: 700n })
    expect(times.p99).toEqual({ atLeast: 1200n, atMost: 1500n })
    expect(times.max).toEqual({ atLeast: (HISTOGRAM_FLOORS_100NS[63] ?? 0n) * 100n, atMost: undefined })
    expect(times.percentile(1e-9)).toEqual({ atLeast: 0n, atMost: 100n })
  })

  it('has its buckets without gaps', () => {
    const { buckets } = new Histogram(() => Array.from({ length: BUCKETS }, () => 1n))
    expect(buckets).toHaveLength(BUCKETS)
    buckets.slice(1).forEach(({ atLeast }, index) => {
      expect(atLeast).toBe((buckets[index]?.atMost ?? 0n) + 100n)
    })
  })

  it('is read once, when it is looked at', () => {
    let reads = 0
    const lazy = new Histogram(() => {
      reads++
      return Array.from({ length: BUCKETS }, () => 1n)
    })
    const sum = sumHistograms([lazy, lazy])
    expect(reads).toBe(0)
    expect(sum.count).toBe(BigInt(2 * BUCKETS))
    expect([lazy.p99, reads]).toEqual([lazy.p99, 1])
  })

  it('can be subtracted', () => {
    expect(subtractHistograms(histogram({ 1: 5n, 2: 1n }), histogram({ 1: 4n })).buckets).toEqual([
      { atLeast: 200n, atMost: 200n, count: 1n },
      { atLeast: 300n, atMost: 300n, count: 1n },
    ])
  })

  it.each([0, -1, 101, NaN])('has no percentile %s', (p) => {
    expect(() => histogram({}).percentile(p)).toThrow(RangeError)
  })
})
