// SPDX-License-Identifier: MIT
//
// This module provides: operations that a rule wants pended and that cannot be, one scenario for each cause. All by real I/O; those that need a
// fault switch or slow storage of the model say so.

import { type Minipend, pend, type RefusalName } from '../../index.js'
import { drainReads, refuseAtTeardown, SLOW_STORAGE_MS } from './detach.js'
import { FAT, OTHER } from './scene.js'

export interface Scenario {
  readonly cause: RefusalName
  readonly how: string
  /** It attaches to `D:` by itself, which is detached before; else `D:` is attached. */
  readonly attaches?: true
  /** What it shows is a race: it tries for long, and the demo does not fail when it never came about. */
  readonly race?: true
  /** Does it, and returns how many operations finished. */
  readonly run: (mp: Minipend, stop: AbortSignal) => Promise<number>
}

export interface ShownRefusal {
  readonly cause: RefusalName
  readonly how: string
  /** Refusals counted under this cause by this scenario. */
  readonly counted: bigint
  /** Operations of the scenario that finished: all of them, or the demo would have failed. */
  readonly finished: number
  readonly shown: boolean
  /** The demo fails when it was not shown. */
  readonly required: boolean
}

async function fastRead(mp: Minipend): Promise<number> {
  const name = `${OTHER}\\cached.bin`
  await mp.io.writeFile(name, 'cached')
  await using file = await mp.io.open(name)
  await mp.rules.set([{ on: ['read'], volume: 'D:', action: pend({ fastIo: 'refuse' }) }])
  const reads = 3
  for (let index = 0; index < reads; index++) {
    await file.read(6, { at: 0 })
  }
  return reads
}

async function mappedFlush(mp: Minipend): Promise<number> {
  const length = 8192
  await using file = await mp.io.open(`${OTHER}\\mapped.bin`, { access: 'readwrite', create: 'createAlways' })
  await file.write(new Uint8Array(length))
  await file.flush()
  await mp.rules.set([{ on: ['write'], volume: 'D:', action: pend() }])
  await using view = await file.map({ length, writable: true })
  await view.write(0, 'changed through the view')
  await view.flush()
  return 1
}

async function bootVolume(mp: Minipend): Promise<number> {
  await using instance = await mp.attach('C:')
  await mp.rules.set([{ on: ['rename'], volume: instance.volume, action: pend() }])
  await mp.io.writeFile('C:\\demo.txt', 'on the boot volume')
  await mp.io.rename('C:\\demo.txt', 'C:\\demo.done')
  return 1
}

async function fatRename(mp: Minipend): Promise<number> {
  await mp.rules.set([{ on: ['rename'], volume: 'E:', action: pend() }])
  await mp.io.writeFile(`${FAT}\\top.txt`, 'on fat')
  await mp.io.rename(`${FAT}\\top.txt`, `${FAT}\\top.done`)
  return 1
}

/** A rename while the next call of a kernel function fails. */
function renameWithFault(functionName: string, name: string): (mp: Minipend) => Promise<number> {
  return async (mp) => {
    await mp.rules.set([{ on: ['rename'], volume: 'D:', action: pend() }])
    await mp.io.writeFile(`${OTHER}\\${name}.txt`, name)
    mp.model.setFault(functionName, { count: 1 })
    await mp.io.rename(`${OTHER}\\${name}.txt`, `${OTHER}\\${name}.done`)
    return 1
  }
}

export const SCENARIOS: readonly Scenario[] = [
  { cause: 'notIrp', how: 'cached reads: the second comes as fast I/O, and is let through', run: fastRead },
  { cause: 'paging', how: 'a mapped view is flushed: its write is paging I/O', run: mappedFlush },
  { cause: 'policy', how: 'a rename on C:, the boot volume, which is left alone by default', run: bootVolume },
  { cause: 'topLevelIrp', how: 'a rename on E:, fat: it completes under a top-level IRP', run: fatRename },
  {
    cause: 'allocation',
    how: 'a rename while FltAllocateDeferredIoWorkItem fails (fault switch)',
    run: renameWithFault('FltAllocateDeferredIoWorkItem', 'allocation'),
  },
  {
    cause: 'unsafe',
    how: 'a rename while FltQueueDeferredIoWorkItem refuses for no documented cause (fault switch)',
    run: renameWithFault('FltQueueDeferredIoWorkItem', 'unsafe'),
  },
  {
    cause: 'draining',
    how: `D: is detached while uncached reads wait for slow storage (${SLOW_STORAGE_MS} ms or more)`,
    attaches: true,
    run: drainReads,
  },
  {
    cause: 'tearingDown',
    how: 'D: is detached while it gives back held reads and others come up (a race)',
    attaches: true,
    race: true,
    run: refuseAtTeardown,
  },
]

/** The one cause that the demo does not show, and why. */
export const NOT_SHOWN = {
  cause: 'capacity' satisfies RefusalName,
  why: 'takes as many held operations as the driver may hold',
}

/** Runs one scenario between two snapshots. */
export async function showRefusal(mp: Minipend, scenario: Scenario, stop: AbortSignal): Promise<ShownRefusal> {
  const { cause, how } = scenario
  const before = await mp.counters()
  const finished = await scenario.run(mp, stop)
  await mp.rules.clear()
  const after = await mp.counters()
  const counted = after.refused[cause] - before.refused[cause]
  return { cause, how, counted, finished, shown: counted > 0n, required: scenario.race !== true }
}
