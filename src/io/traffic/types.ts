// SPDX-License-Identifier: MIT
//
// This module provides: the public types of generated traffic. Types only.

import type { LatencyHistogram, SignalOptions } from '../../client/types.js'

/**
 * `editor-save`: a document is saved through a temporary file and two renames. `database-log`: unbuffered, write-through appends side by
 * side under byte-range locks, with flushes. `build-tree`: directories of small files, a storm of attribute queries, deletes.
 * `copy`: a file's content, size and times go to another one. `media-stream`: large overlapped reads ahead, with jumps.
 * `directory-watch`: changes in a directory that is watched meanwhile.
 */
export type TrafficWorkload =
  'editor-save' | 'database-log' | 'build-tree' | 'copy' | 'media-stream' | 'directory-watch'

export type TrafficOperationName =
  | 'open'
  | 'close'
  | 'read'
  | 'write'
  | 'flush'
  | 'rename'
  | 'delete'
  | 'mkdir'
  | 'list'
  | 'stat'
  | 'attributes'
  | 'setSize'
  | 'setTimes'
  | 'lock'
  | 'unlock'

export interface TrafficOptions extends SignalOptions {
  readonly workload: TrafficWorkload
  /** A full path of a directory that exists. What the traffic makes is in a directory of its own there, which goes at the end. */
  readonly directory: string
  /** 0 to 2^64-1; default: a random one, to be read in the report. The same seed does the same operations, in each worker in the same order. */
  readonly seed?: bigint | number | undefined
  /** Calls to make in all, 1 to 100,000,000. Default: 1000, or no limit when there is a duration. */
  readonly operations?: number | undefined
  /** Begin no call after so long, milliseconds. */
  readonly durationMs?: number | undefined
  /** Workers side by side, each with files of its own, 1 to 256; default 1. */
  readonly concurrency?: number | undefined
}

export interface TrafficCount {
  /** Calls, the failed ones included. */
  readonly count: number
  readonly failed: number
  /** Read or written. */
  readonly bytes: bigint
  /** How they ended: "OK", or the code of the failure, such as ERROR_SHARING_VIOLATION. */
  readonly statuses: Readonly<Record<string, number>>
  /** From the call to its promise, failures included. */
  readonly latencyNs: LatencyHistogram
}

export interface TrafficReport {
  readonly workload: TrafficWorkload
  readonly seed: bigint
  /** Where it worked. */
  readonly directory: string
  readonly concurrency: number
  /** What ended it. An abort is an end like the others: the report says what was done until then. */
  readonly endedBy: 'operations' | 'duration' | 'abort'
  /** Calls that were aborted while they were held; what they did is not counted below. */
  readonly stillHeld: number
  readonly operations: number
  readonly bytesRead: bigint
  readonly bytesWritten: bigint
  readonly elapsedMs: number
  readonly byOperation: Readonly<Partial<Record<TrafficOperationName, TrafficCount>>>
  /** Of directory-watch: what the watch told. How many changes become one is the system's business. */
  readonly changes: { readonly told: number; readonly overflows: number } | undefined
  /** Preparing and cleaning up are not counted above. */
  readonly cleanup: {
    readonly removed: number
    /** What could not be removed, with the reason. */
    readonly left: readonly { readonly path: string; readonly code: string }[]
  }
}
