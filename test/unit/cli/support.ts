// SPDX-License-Identifier: MIT
//
// This module provides: what the tests of the command line share: a terminal that remembers, counters that are given, a session that
// is not one.

import picocolors from 'picocolors'
import type { CommandContext } from '../../../src/cli/command.js'
import type { Terminal } from '../../../src/cli/terminal.js'
import { balanceOf, sumCounters } from '../../../src/client/counters.js'
import {
  type Counters,
  type HeldOperation,
  type ListedRule,
  type Minipend,
  OPERATION_NAMES,
  type OperationCounters,
  type OperationName,
  type openMinipend,
  type RefusalName,
} from '../../../src/index.js'

export interface RememberedTerminal extends Terminal {
  text: { out: string; err: string }
}

export function rememberingTerminal(options: { interactive?: boolean; columns?: number } = {}): RememberedTerminal {
  const text = { out: '', err: '' }
  return {
    text,
    colors: picocolors.createColors(false),
    interactive: options.interactive ?? false,
    columns: () => options.columns ?? 100,
    out: (more) => void (text.out += more),
    err: (more) => void (text.err += more),
  }
}

export interface TestContext extends CommandContext {
  readonly terminal: RememberedTerminal
}

export function testContext(given: Partial<Omit<CommandContext, 'terminal'>> = {}): TestContext {
  return {
    terminal: rememberingTerminal(),
    json: false,
    stop: new AbortController().signal,
    open: () => Promise.reject(new Error('this command was not to open a session')),
    platform: 'linux',
    ...given,
  }
}

type Given = Partial<Omit<OperationCounters, 'refused'>> & { readonly refused?: Partial<Record<RefusalName, bigint>> }

/** Counters of one operation, zero but for what is given. */
export function operationCounters(given: Given = {}): OperationCounters {
  const zero = sumCounters([])
  const refused = { ...zero.refused, ...given.refused }
  const total = Object.values(given.refused ?? {}).reduce((sum, each) => sum + each, 0n)
  return { ...zero, ...given, refused: { ...refused, total } }
}

/** Counters of a driver that is attached to D: only. */
export function countersOf(given: Partial<Record<OperationName, Given>>, more: Partial<Counters> = {}): Counters {
  const byOperation = Object.fromEntries(
    OPERATION_NAMES.map((name) => [name, operationCounters(given[name])]),
  ) as Counters['byOperation']
  const nothing = Object.fromEntries(
    OPERATION_NAMES.map((name) => [name, operationCounters()]),
  ) as Counters['byOperation']
  const sums = sumCounters(Object.values(byOperation))
  const instance = {
    ...{ id: 1n, name: 'minipend Instance', altitude: '370020.5', volume: '\\Device\\HarddiskVolume2', drive: 'D:' },
    ...{ bootVolume: false, tearingDown: false },
  }
  return {
    ...sums,
    byOperation,
    byInstance: [{ ...sums, ...instance, byOperation }],
    retired: { ...operationCounters(), byOperation: nothing },
    held: sums.inFlight,
    heldHighWater: 5n,
    ruleGeneration: 3n,
    connections: 1,
    timeNs: 0n,
    contract: { unexpectedRefusal: 0n, unexpectedSuccess: 0n },
    balance: balanceOf([{ where: 'D:', byOperation }]),
    ...more,
  }
}

/** `openMinipend` with a session that only counts; `opened` has the options it was called with. */
export function fakeOpen(
  counters: () => Counters,
  held: readonly HeldOperation[] = [],
  listed: readonly ListedRule[] = [],
): {
  open: typeof openMinipend
  opened: unknown[]
  rules: unknown[]
  /** Of rules.set() and rules.clear(). */
  options: unknown[]
} {
  const options: unknown[] = []
  const opened: unknown[] = []
  const rules: unknown[] = []
  const session: Partial<Minipend> = {
    counters: () => Promise.resolve(counters()),
    instances: () =>
      Promise.resolve(
        counters().byInstance.map((each) => ({
          ...{ name: each.name, altitude: each.altitude, volume: each.volume, drive: undefined },
          ...{ frame: 0, fileSystem: 'ntfs', supportedFeatures: 7, counters: each },
        })),
      ),
    held: () => Promise.resolve([...held]),
    releaseAll: () => Promise.resolve({ released: held.length, statusNotApplied: 0 }),
    rules: {
      set: (given, how) => {
        options.push(how)
        return Promise.resolve({ generation: BigInt(rules.push(given)) })
      },
      clear: (how) => {
        options.push(how)
        return Promise.resolve({ generation: 0n })
      },
      list: () => Promise.resolve({ generation: 3n, seenNs: 0n, rules: listed }),
      release: () => Promise.reject(new Error('no command releases by rule')),
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  const open: typeof openMinipend = (options) => {
    opened.push(options)
    return Promise.resolve(session as Minipend)
  }
  return { open, opened, rules, options }
}
