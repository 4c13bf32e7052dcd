// SPDX-License-Identifier: MIT
//
// This module provides: model worlds for tests. Each ends with its test, and none may have stopped on a broken rule.

import { expect, onTestFinished } from 'vitest'
import { type Counters, type Minipend, openMinipend, type OpenOptions } from '../../src/index.js'

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Opens a session with the embedded model. */
export async function world(options: Omit<OpenOptions, 'backend'> = {}): Promise<Minipend> {
  const mp = await openMinipend({ backend: 'embedded', seed: 20260101, ...options })
  onTestFinished(async () => {
    const report = mp.closed ? undefined : mp.model.report()
    await mp.close()
    expect(report ?? { stopped: false }, 'the model stopped').toMatchObject({ stopped: false })
  })
  return mp
}

/** Counters once nothing is held any more; fails when that takes too long. */
export async function settled(mp: Minipend): Promise<Counters> {
  for (let tries = 0; tries < 200; tries++) {
    const counters = await mp.counters()
    if (counters.inFlight === 0n && counters.inCallback === 0n && counters.held === 0n) {
      return counters
    }
    await sleep(10)
  }
  throw new Error('operations are still held after two seconds')
}

/** Waits until the driver holds so many operations. */
export async function heldBy(mp: Minipend, count: bigint): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if ((await mp.counters()).held === count) {
      return
    }
    await sleep(5)
  }
  throw new Error(`the driver does not hold ${count} operations`)
}

/** At rest everything is accounted for. */
export function expectBalance(counters: Counters): void {
  expect(counters.balance.problems).toEqual([])
  expect(counters.pended).toBe(counters.completed + counters.inFlight)
  expect(counters.inFlight).toBe(0n)
  expect(counters.contract.unexpectedRefusal).toBe(0n)
}
