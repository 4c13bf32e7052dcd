// SPDX-License-Identifier: MIT
//
// This module provides: io.traffic(): a workload, from making its directory to taking it away.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfAborted } from '../../client/lifetime.js'
import { IoError } from '../../errors/errors.js'
import { checkerFor, checkPath } from '../options.js'
import type { Io } from '../types.js'
import { Random } from './random.js'
import { Recorder } from './recorder.js'
import type { TrafficOptions, TrafficReport, TrafficWorkload } from './types.js'
import { Worker } from './worker.js'
import { WORKLOADS } from './workloads.js'

/** All workloads' names. */
export const TRAFFIC_WORKLOADS = Object.keys(WORKLOADS) as readonly TrafficWorkload[]

const OPERATION = 'io.traffic'
const MAX_SEED = 2n ** 64n - 1n
const MAX_OPERATIONS = 100_000_000
const MAX_DURATION_MS = 0x7fffffff
const MAX_CONCURRENCY = 256
const DEFAULT_OPERATIONS = 1000

interface Checked {
  readonly workload: TrafficWorkload
  readonly directory: string
  readonly seed: bigint
  readonly operations: number
  readonly durationMs: number | undefined
  readonly concurrency: number
  readonly signal: AbortSignal | undefined
}

/** @throws InvalidOptionError */
function checkTraffic(options: unknown): Checked {
  const check = checkerFor(OPERATION)
  const given = check.object('options', options, [
    'workload',
    'directory',
    'seed',
    'operations',
    'durationMs',
    'concurrency',
    'signal',
  ])
  const durationMs =
    given.durationMs === undefined ? undefined : check.integer('durationMs', given.durationMs, 1, MAX_DURATION_MS, 'ms')
  const operations =
    given.operations === undefined
      ? durationMs === undefined
        ? DEFAULT_OPERATIONS
        : MAX_OPERATIONS
      : check.integer('operations', given.operations, 1, MAX_OPERATIONS)
  return {
    workload: check.oneOf('workload', given.workload, TRAFFIC_WORKLOADS),
    directory: checkPath(OPERATION, given.directory),
    seed: given.seed === undefined ? randomBytes(8).readBigUInt64LE() : check.bigint('seed', given.seed, MAX_SEED),
    operations,
    durationMs,
    concurrency: check.integer('concurrency', given.concurrency ?? 1, 1, MAX_CONCURRENCY),
    signal: check.signal('signal', given.signal),
  }
}

interface Found {
  removed: number
  readonly left: { path: string; code: string }[]
}

/** Takes away `path` and all below it; goes on where something cannot be taken away. */
async function removeTree(io: Io, path: string, found: Found): Promise<void> {
  const attempt = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof IoError)) {
        throw error
      }
      found.left.push({ path: what, code: error.code })
    }
  }
  await attempt(path, async () => {
    for (const entry of await io.list(path)) {
      const child = `${path}\\${entry.name}`
      if (entry.directory) {
        await removeTree(io, child, found)
      } else {
        await attempt(child, async () => {
          await io.delete(child)
          found.removed++
        })
      }
    }
    await io.delete(path)
    found.removed++
  })
}

const HELD_PATIENCE_MS = 40_000
const HELD_RETRY_MS = 100

/** The same, again and again while an aborted call that is held may still have something open: longer than the driver holds. */
async function cleanUp(io: Io, root: string, recorder: Recorder): Promise<TrafficReport['cleanup']> {
  const start = performance.now()
  let removed = 0
  for (;;) {
    const found: Found = { removed: 0, left: [] }
    await removeTree(io, root, found)
    removed += found.removed
    if (found.left.length === 0 || recorder.stillHeld === 0 || performance.now() - start > HELD_PATIENCE_MS) {
      return { removed, left: found.left }
    }
    await sleep(HELD_RETRY_MS)
  }
}

/** The shares of `operations` that the workers do: together exactly that many. */
const shareOf = (operations: number, concurrency: number, index: number): number =>
  Math.floor(operations / concurrency) + (index < operations % concurrency ? 1 : 0)

async function runWorkers(io: Io, checked: Checked, root: string, recorder: Recorder): Promise<Worker[]> {
  const { workload, seed, operations, concurrency } = checked
  const workers = Array.from(
    { length: concurrency },
    (_, index) =>
      new Worker(
        io,
        new Random(seed, index),
        `${root}\\worker-${index}`,
        recorder,
        shareOf(operations, concurrency, index),
      ),
  )
  const ends = await Promise.allSettled(
    workers.map(async (worker) => {
      await io.mkdir(worker.directory)
      await worker.run(WORKLOADS[workload])
    }),
  )
  for (const end of ends) {
    if (end.status === 'rejected') {
      throw end.reason
    }
  }
  return workers
}

/** @throws InvalidOptionError, IoError (the directory), NotSupportedError (the backend lacks something), AbortedError (before it began) */
export async function runTraffic(io: Io, options: TrafficOptions): Promise<TrafficReport> {
  const checked = checkTraffic(options)
  const { workload, seed, concurrency, signal } = checked
  throwIfAborted(OPERATION, signal)
  const root = `${checked.directory.replace(/[\\/]+$/, '')}\\minipend-traffic-${seed.toString(16)}`
  await io.mkdir(root)
  const recorder = new Recorder(checked.durationMs, signal)
  const start = performance.now()
  let elapsedMs = 0
  let workers: Worker[] = []
  try {
    workers = await runWorkers(io, checked, root, recorder)
    elapsedMs = performance.now() - start
  } catch (error) {
    // What ended it is what the caller is told, whatever becomes of the files.
    await cleanUp(io, root, recorder).catch(() => undefined)
    throw error
  }
  const cleanup = await cleanUp(io, root, recorder)
  const byOperation = recorder.byOperation()
  const sum = (pick: (worker: Worker) => number): number => workers.reduce((total, worker) => total + pick(worker), 0)
  return {
    workload,
    seed,
    directory: root,
    concurrency,
    endedBy: recorder.endedBy,
    stillHeld: recorder.stillHeld,
    operations: Object.values(byOperation).reduce((total, { count }) => total + count, 0),
    bytesRead: byOperation.read?.bytes ?? 0n,
    bytesWritten: byOperation.write?.bytes ?? 0n,
    elapsedMs,
    byOperation,
    changes:
      workload === 'directory-watch'
        ? { told: sum(({ changes }) => changes.told), overflows: sum(({ changes }) => changes.overflows) }
        : undefined,
    cleanup,
  }
}
