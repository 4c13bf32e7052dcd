// SPDX-License-Identifier: MIT
//
// This module provides: operations that a rule wants pended and that cannot be, one scenario for each cause. All by real I/O, except
// the two that need a fault switch of the model, which say so.

import { type Minipend, pend, type RefusalName } from '../../index.js'
import { sleep } from '../command.js'
import { FAT, OTHER } from './scene.js'

export interface Scenario {
  /** The scenario shows these; one of them is enough. */
  readonly causes: readonly RefusalName[]
  readonly how: string
  /** Does it on `D:` attached (not by the last one, which attaches by itself), and returns how many operations finished. */
  readonly run: (mp: Minipend, stop: AbortSignal) => Promise<number>
}

export interface ShownRefusal {
  readonly cause: RefusalName
  readonly how: string
  /** Refusals counted under this cause by this scenario. */
  readonly counted: bigint
  /** Operations of the scenario that finished: all of them, or the demo would have failed. */
  readonly finished: number
  /** The cause, or the other one that this scenario may show, was counted. */
  readonly shown: boolean
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

const READS = 16
const PAGE_BYTES = 4096
const DETACH_TRIES = 120
const DETACH_BUDGET_MS = 1000

/** Uncached reads are below the instance while it is detached. Which of them meet the teardown is a race, so: until some did. */
async function detachUnderLoad(mp: Minipend, stop: AbortSignal): Promise<number> {
  const name = 'D:\\big.bin'
  await mp.io.writeFile(name, new Uint8Array(READS * PAGE_BYTES))
  await using file = await mp.io.open(name, { overlapped: true, noBuffering: true })
  await mp.rules.set([{ on: ['read'], path: '\\big.bin', volume: 'D:', action: pend({ delayMs: 30 }) }])
  const { refused: before } = await mp.counters()
  const deadline = performance.now() + DETACH_BUDGET_MS
  let finished = 0
  for (let attempt = 0; attempt < DETACH_TRIES && performance.now() < deadline && !stop.aborted; attempt++) {
    const instance = await mp.attach('D:')
    const reads = Promise.all(
      Array.from({ length: READS }, (_, index) => file.read(PAGE_BYTES, { at: index * PAGE_BYTES })),
    )
    await sleep(attempt % 4, stop)
    const [done] = await Promise.all([reads, instance.detach()])
    finished += done.length
    const { refused: now } = await mp.counters()
    if (now.draining > before.draining && now.tearingDown > before.tearingDown) {
      break
    }
  }
  return finished
}

export const SCENARIOS: readonly Scenario[] = [
  { causes: ['notIrp'], how: 'cached reads: the second comes as fast I/O, and is let through', run: fastRead },
  { causes: ['paging'], how: 'a mapped view is flushed: its write is paging I/O', run: mappedFlush },
  { causes: ['policy'], how: 'a rename on C:, the boot volume, which is left alone by default', run: bootVolume },
  { causes: ['topLevelIrp'], how: 'a rename on E:, fat: it completes under a top-level IRP', run: fatRename },
  {
    causes: ['allocation'],
    how: 'a rename while FltAllocateDeferredIoWorkItem fails (fault switch)',
    run: renameWithFault('FltAllocateDeferredIoWorkItem', 'allocation'),
  },
  {
    causes: ['unsafe'],
    how: 'a rename while FltQueueDeferredIoWorkItem refuses for no documented cause (fault switch)',
    run: renameWithFault('FltQueueDeferredIoWorkItem', 'unsafe'),
  },
  {
    causes: ['draining', 'tearingDown'],
    how: 'D: is detached while uncached reads are under way',
    run: detachUnderLoad,
  },
]

/** The one cause that the demo does not show, and why. */
export const NOT_SHOWN = {
  cause: 'capacity' satisfies RefusalName,
  why: 'takes as many held operations as the driver may hold',
}

/** Runs one scenario between two snapshots. */
export async function showRefusals(mp: Minipend, scenario: Scenario, stop: AbortSignal): Promise<ShownRefusal[]> {
  const before = await mp.counters()
  const finished = await scenario.run(mp, stop)
  await mp.rules.clear()
  const after = await mp.counters()
  const counts = scenario.causes.map((cause) => after.refused[cause] - before.refused[cause])
  const shown = counts.some((count) => count > 0n)
  return scenario.causes.map((cause, index) => ({
    cause,
    how: scenario.how,
    counted: counts[index] ?? 0n,
    finished,
    shown,
  }))
}
