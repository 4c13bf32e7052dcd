// SPDX-License-Identifier: MIT
//
// This module provides: D: being detached while reads are on their way: those that are below are drained, those that come up while the teardown
// gives back what is held are refused. On no machine may it take luck: what can be missed is tried again, on slower storage.

import { type File, type Instance, type Minipend, pend } from '../../index.js'
import { sleep } from '../command.js'

const PAGE_BYTES = 4096
const NO_HOLD = pend()
/** Longer than anything here takes: the teardown ends it. */
const LONG_HOLD = pend({ delayMs: 20_000 })

/** Reads that wait for the storage when D: is detached. */
const DRAINED_READS = 16
export const SLOW_STORAGE_MS = 200
/** The last try; all tries together take twice as long. */
const SLOWEST_STORAGE_MS = 64 * SLOW_STORAGE_MS

/** Reads held when D: is detached, at the first try and at most: giving them back is what the teardown is busy with. */
const HELD_READS = 32
const MOST_HELD_READS = 128
const LOOPS = 16
const TEARDOWN_BUDGET_MS = 20_000

/** Asks again and again, until yes or `stop` or the time is up. */
async function until(done: () => boolean | Promise<boolean>, stop: AbortSignal, deadline: number): Promise<void> {
  while (!(await done()) && !stop.aborted && performance.now() < deadline) {
    await sleep(1, stop)
  }
}

async function openUncached(mp: Minipend, name: string, pages: number): Promise<File> {
  await mp.io.writeFile(name, new Uint8Array(pages * PAGE_BYTES))
  return mp.io.open(name, { overlapped: true, noBuffering: true })
}

/** One read of each of the first `pages` pages, at once. A failure is reported by who awaits the result, and not before. */
function readPages(file: File, pages: number): Promise<unknown[]> {
  const reads = Promise.all(
    Array.from({ length: pages }, (_, index) => file.read(PAGE_BYTES, { at: index * PAGE_BYTES })),
  )
  reads.catch(() => undefined)
  return reads
}

/** Uncached reads wait for slow storage; once it has all of them, D: is detached: each is drained. */
export async function drainReads(mp: Minipend, stop: AbortSignal): Promise<number> {
  await using file = await openUncached(mp, 'D:\\drained.bin', DRAINED_READS)
  await mp.rules.set([{ on: ['read'], path: '\\drained.bin', volume: 'D:', action: NO_HOLD }])
  const draining = async (): Promise<bigint> => (await mp.counters()).refused.draining
  const wanted = (await draining()) + BigInt(DRAINED_READS)
  let finished = 0
  try {
    for (let delayMs = SLOW_STORAGE_MS; delayMs <= SLOWEST_STORAGE_MS && !stop.aborted; delayMs *= 2) {
      mp.model.setStorageDelay({ delayMs })
      const instance = await mp.attach('D:')
      const deadline = performance.now() + delayMs
      const reads = readPages(file, DRAINED_READS)
      await until(() => mp.model.report().waitingForStorage === DRAINED_READS, stop, deadline)
      await instance.detach()
      finished += (await reads).length
      if ((await draining()) >= wanted) {
        break
      }
    }
  } finally {
    mp.model.setStorageDelay({ delayMs: 0 })
  }
  return finished
}

interface Reading {
  readonly held: File
  readonly moving: File
}

/** One try: with `count` reads held, and others that come up all the time, `instance` is detached. */
async function detachBusy(
  mp: Minipend,
  instance: Instance,
  files: Reading,
  count: number,
  stop: AbortSignal,
  deadline: number,
): Promise<number> {
  // Not `held`: some may have been refused, in a storage interrupt on top of a thread with a top-level IRP.
  const cameUp = async (): Promise<bigint> => {
    const { byInstance } = await mp.counters()
    return byInstance.find(({ drive }) => drive === instance.volume)?.byOperation.read.postOperations ?? 0n
  }
  const held = readPages(files.held, count)
  await until(async () => (await cameUp()) >= BigInt(count), stop, deadline)
  let goOn = true
  let moved = 0
  const loops = Promise.all(
    Array.from({ length: LOOPS }, async (_, index) => {
      while (goOn) {
        await files.moving.read(PAGE_BYTES, { at: index * PAGE_BYTES })
        moved++
      }
    }),
  )
  loops.catch(() => undefined)
  try {
    await until(() => moved >= LOOPS, stop, deadline)
    await instance.detach()
  } finally {
    goOn = false
  }
  await loops
  return (await held).length + moved
}

/**
 * D: is detached while it holds reads, which takes a while to undo, and while other reads come up. Which of them come up in that while is
 * a race that nearly every try wins; until one did.
 */
export async function refuseAtTeardown(mp: Minipend, stop: AbortSignal): Promise<number> {
  await using held = await openUncached(mp, 'D:\\held.bin', MOST_HELD_READS)
  await using moving = await openUncached(mp, 'D:\\moving.bin', LOOPS)
  await mp.rules.set([
    { on: ['read'], path: '\\held.bin', volume: 'D:', action: LONG_HOLD },
    { on: ['read'], path: '\\moving.bin', volume: 'D:', action: NO_HOLD },
  ])
  const tearingDown = async (): Promise<bigint> => (await mp.counters()).refused.tearingDown
  const before = await tearingDown()
  const deadline = performance.now() + TEARDOWN_BUDGET_MS
  let finished = 0
  for (let count = HELD_READS; performance.now() < deadline && !stop.aborted; count *= 2) {
    const instance = await mp.attach('D:')
    finished += await detachBusy(mp, instance, { held, moving }, Math.min(count, MOST_HELD_READS), stop, deadline)
    if ((await tearingDown()) > before) {
      break
    }
  }
  return finished
}
