// SPDX-License-Identifier: MIT
//
// This module provides: the demo's load: workers that write, rename, delete and list files until their time is up.

import type { Counters, Minipend } from '../../index.js'
import { sleep } from '../command.js'
import { fatFile, INBOX, inboxFile, LOGS } from './scene.js'

export interface WorkloadOptions {
  readonly durationMs: number
  readonly files: number
  readonly stop: AbortSignal
  /** Called with fresh counters every `everyMs`. */
  readonly everyMs: number
  readonly onCounters: (counters: Counters) => void
}

/** Operations that the workers finished. */
export interface WorkDone {
  renames: number
  writes: number
  deletes: number
  listings: number
}

type Worker = (mp: Minipend, done: WorkDone, goOn: () => boolean, stop: AbortSignal) => Promise<void>

/** Gives files another name and their old one back. `first`, `step`: which files are this worker's. */
function renamer(
  nameOf: (index: number) => string,
  files: number,
  first: number,
  step: number,
  pauseMs: number,
): Worker {
  return async (mp, done, goOn, stop) => {
    const renamed = new Set<number>()
    for (let index = first; goOn(); index = index + step < files ? index + step : first) {
      const name = nameOf(index)
      const back = renamed.delete(index)
      await mp.io.rename(back ? `${name}.new` : name, back ? name : `${name}.new`)
      if (!back) {
        renamed.add(index)
      }
      done.renames++
      await sleep(pauseMs, stop)
    }
  }
}

function logger(name: string): Worker {
  return async (mp, done, goOn, stop) => {
    await using file = await mp.io.open(name, { access: 'write', create: 'openAlways' })
    while (goOn()) {
      await file.write(`entry ${done.writes}\r\n`)
      done.writes++
      await sleep(5, stop)
    }
  }
}

const deleter: Worker = async (mp, done, goOn, stop) => {
  for (let index = 0; goOn(); index++) {
    const name = `${INBOX}\\scratch-${index}.tmp`
    await mp.io.writeFile(name, 'scratch')
    await mp.io.delete(name)
    done.deletes++
    await sleep(5, stop)
  }
}

const lister: Worker = async (mp, done, goOn, stop) => {
  while (goOn()) {
    await mp.io.list(INBOX)
    done.listings++
    await sleep(50, stop)
  }
}

const RENAMERS = 3

/** Ends when the time is up or `stop` is aborted, after what was begun has finished. */
export async function runWorkload(mp: Minipend, options: WorkloadOptions): Promise<WorkDone> {
  const { durationMs, files, stop, everyMs, onCounters } = options
  const done: WorkDone = { renames: 0, writes: 0, deletes: 0, listings: 0 }
  const deadline = performance.now() + durationMs
  let failed = false
  const goOn = (): boolean => !failed && !stop.aborted && performance.now() < deadline

  const renamers = Math.min(RENAMERS, files)
  const workers: Worker[] = [
    ...Array.from({ length: renamers }, (_, first) => renamer(inboxFile, files, first, renamers, 0)),
    renamer(fatFile, files, 0, 1, 25),
    logger(`${LOGS}\\service.log`),
    logger(`${LOGS}\\audit.log`),
    deleter,
    lister,
  ]
  const work = Promise.all(
    workers.map((worker) =>
      worker(mp, done, goOn, stop).catch((error: unknown) => {
        failed = true
        throw error
      }),
    ),
  )
  const watch = async (): Promise<void> => {
    while (goOn()) {
      onCounters(await mp.counters())
      await sleep(everyMs, stop)
    }
  }
  const results = await Promise.allSettled([work, watch()])
  for (const result of results) {
    if (result.status === 'rejected') {
      throw result.reason
    }
  }
  return done
}
