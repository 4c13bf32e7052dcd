// SPDX-License-Identifier: MIT
//
// This module provides: model worlds for tests. Each ends with its test, and none may have stopped on a broken rule.

import { expect, onTestFinished } from 'vitest'
import {
  type Counters,
  type Minipend,
  openMinipend,
  type OpenOptions,
  type OperationName,
  pend,
  type ReadingOptions,
} from '../../src/index.js'

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** MINIPEND_READINGS, "name=value,name=value": what every world of a test goes by (docs/READINGS.md). */
export const READINGS_HERE: ReadingOptions = Object.fromEntries(
  (process.env['MINIPEND_READINGS'] ?? '')
    .split(',')
    .filter((each) => each !== '')
    .map((each) => each.split('=')),
) as ReadingOptions

/** Opens a session with the embedded model. */
export async function world(options: Omit<OpenOptions, 'backend'> = {}): Promise<Minipend> {
  const mp = await openMinipend({ backend: 'embedded', seed: 20260101, readings: READINGS_HERE, ...options })
  onTestFinished(async () => {
    const report = mp.closed ? undefined : mp.model.report()
    await mp.close()
    expect(report ?? { stopped: false }, 'the model stopped').toMatchObject({ stopped: false })
  })
  return mp
}

/** Short of a test's time limit, so that what was waited for is said. Shorter too than the holds that only a release shall end. */
const PATIENCE_MS = 15_000

/** Counters as soon as they are as wanted; fails when that does not come about. */
async function countersWhen(mp: Minipend, wanted: (counters: Counters) => boolean, problem: string): Promise<Counters> {
  const start = performance.now()
  for (;;) {
    const counters = await mp.counters()
    if (wanted(counters)) {
      return counters
    }
    if (performance.now() - start > PATIENCE_MS) {
      throw new Error(problem)
    }
    await sleep(5)
  }
}

/** Counters once nothing is held any more. */
export function settled(mp: Minipend): Promise<Counters> {
  return countersWhen(
    mp,
    ({ inFlight, inCallback, held }) => inFlight === 0n && inCallback === 0n && held === 0n,
    'operations are still held',
  )
}

/** Waits until the driver holds so many operations. */
export async function heldBy(mp: Minipend, count: bigint): Promise<void> {
  await countersWhen(mp, ({ held }) => held === count, `the driver does not hold ${count} operations`)
}

/** Waits until the storage has so many requests, as long as the test may take: each is below every filter then. */
export async function waitingForStorage(mp: Minipend, count: number): Promise<void> {
  while (mp.model.report().waitingForStorage !== count) {
    await sleep(1)
  }
}

/** At rest everything is accounted for. */
export function expectBalance(counters: Counters): void {
  expect(counters.balance.problems).toEqual([])
  expect(counters.pended).toBe(counters.completed + counters.inFlight)
  expect(counters.inFlight).toBe(0n)
  expect(counters.contract.unexpectedRefusal).toBe(0n)
}

/** A world whose driver pends these operations of D:, and no other. */
export async function pending(...on: OperationName[]): Promise<Minipend> {
  const mp = await world()
  await mp.attach('D:')
  await mp.rules.set([{ id: 'all', on, action: pend() }])
  return mp
}

/** How many operations of this kind have been pended, at rest. */
export async function pended(mp: Minipend, operation: OperationName): Promise<bigint> {
  const counters = await settled(mp)
  expectBalance(counters)
  return counters.byOperation[operation].pended
}
