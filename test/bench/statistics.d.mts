// SPDX-License-Identifier: MIT
//
// This module provides: the types of statistics.mjs for its tests.

export interface Sample {
  readonly operations: number
  readonly wallNs: number
  readonly cpuNs: number
}
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}
export interface Timing {
  readonly repetitions: number
  readonly operationsPerRepetition: number
  readonly cpuNsPerOperation: Spread
  readonly wallNsPerOperation: Spread
  readonly operationsPerCpuSecond: number
  readonly operationsPerSecond: number
}
export function median(values: readonly number[]): number
export function summarise<D extends object>(
  raw: D & { readonly samples: readonly Sample[] },
): Omit<D, 'samples'> & Timing
export function addRatios<R extends Timing>(
  results: readonly R[],
  keys: readonly string[],
  isBase: (result: R) => boolean,
): (R & { readonly ratio?: number })[]
