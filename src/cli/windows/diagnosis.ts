// SPDX-License-Identifier: MIT
//
// This module provides: what is said about a machine on which something does not end, before anything is ended by force; and waiting no longer than so long.

import { countersLine } from '../counters-table.js'
import type { openMinipend } from '../../index.js'
import { call } from './commands.js'
import { perform, type WindowsMachine } from './machine.js'
import { FILTER } from './undo.js'

/** Resolves with 'slow' after the limit; what was waited for goes on. */
export function bounded<T>(work: Promise<T>, limitMs: number): Promise<T | 'slow'> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<'slow'>((resolve) => {
    timer = setTimeout(() => resolve('slow'), limitMs)
  })
  return Promise.race([work, limit]).finally(() => clearTimeout(timer))
}

const LOOK_MS = 15_000
const MOST_HELD = 20

const NS_PER_MS = 1_000_000n

async function askDriver(open: typeof openMinipend): Promise<string[]> {
  // Not loaded by a mere look.
  await using mp = await open({ backend: 'windows', load: false, signal: AbortSignal.timeout(LOOK_MS) })
  const signal = AbortSignal.timeout(LOOK_MS)
  const counters = await mp.counters({ signal })
  const held = await mp.held({ signal })
  const lines = held.slice(0, MOST_HELD).map(({ id, operation, drive, path, hold, takenNs, seenNs, processId }) => {
    const where = `${drive ?? ''}${path ?? '(no name)'}`
    return `held ${id}: ${operation} ${where}, ${hold}, for ${(seenNs - takenNs) / NS_PER_MS} ms, process ${processId}`
  })
  const problems = counters.balance.exact ? [] : counters.balance.problems
  // What waits in it cannot end otherwise, and nothing can be unloaded.
  const { released } = held.length === 0 ? { released: 0 } : await mp.releaseAll({ force: true, signal })
  return [
    countersLine(counters),
    ...problems,
    ...lines,
    ...(held.length > MOST_HELD ? [`and ${held.length - MOST_HELD} more`] : []),
    held.length === 0 ? 'nothing is held' : `released: ${released}`,
  ]
}

/** What is held, the counters, the instances. Releases what is held. Never throws, always ends. */
export async function diagnose(machine: WindowsMachine, open: typeof openMinipend): Promise<string[]> {
  const attempt = async (what: string, work: () => Promise<string[]>): Promise<string[]> => {
    try {
      const lines = await bounded(work(), 2 * LOOK_MS)
      return lines === 'slow' ? [`${what}: no answer within ${(2 * LOOK_MS) / 1000} s`] : lines
    } catch (error) {
      return [`${what}: ${error instanceof Error ? error.message : String(error)}`]
    }
  }
  const instances = await attempt('instances', async () =>
    (await perform(machine, call('instances')))
      .filter(({ filter }) => filter.toLowerCase() === FILTER)
      .map(({ volume, altitude, instance }) => `instance ${instance} on ${volume || '(no volume)'} at ${altitude}`),
  )
  return [...instances, ...(await attempt('driver', () => askDriver(open)))]
}
