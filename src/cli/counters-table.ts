// SPDX-License-Identifier: MIT
//
// This module provides: counters as text: the table, one line of it, the times, and the balance.

import Table from 'cli-table3'
import type { Bounds, Counters, OperationCounters, RefusalCounters } from '../index.js'
import type { Colors } from './terminal.js'

interface Row {
  readonly volume: string
  readonly operation: string
  readonly counters: OperationCounters
}

const interesting = (c: OperationCounters): boolean =>
  c.pended + c.observed + c.whenSafe + c.synchronized + c.waiting + c.refused.total + c.draining > 0n

/** The causes that occurred, as in "notIrp 3, paging 1". */
export function refusalText(refused: RefusalCounters): string {
  return Object.entries(refused)
    .filter(([name, count]) => name !== 'total' && count > 0n)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
}

/** What became of operations that a rule selected and that were not pended. */
function notPendedText(c: OperationCounters): string {
  const others = [
    ['synchronized', c.synchronized],
    ['whenSafe', c.whenSafe],
  ] as const
  const done = others.filter(([, count]) => count > 0n).map(([name, count]) => `${name} ${count}`)
  return [...done, refusalText(c.refused)].filter((text) => text !== '').join(', ')
}

function rowsOf(counters: Counters): Row[] {
  const parts = [
    ...counters.byInstance.map((each) => ({ volume: each.drive ?? each.volume, byOperation: each.byOperation })),
    { volume: 'detached', byOperation: counters.retired.byOperation },
  ]
  return parts.flatMap(({ volume, byOperation }) =>
    Object.entries(byOperation)
      .filter(([, each]) => interesting(each))
      .map(([operation, each]) => ({ volume, operation, counters: each })),
  )
}

const HEAD = ['volume', 'operation', 'pended', 'held now', 'given back', 'observed', 'not pended']

/** No frame: it would make the table wider than 80 columns. */
const FRAMELESS = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '' },
  ...{ 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' },
}

const indented = (text: string): string =>
  text
    .split('\n')
    .map((line) => `  ${line.trimEnd()}`)
    .join('\n')

/** One row for each volume and operation that a rule was about. */
export function countersTable(counters: Counters, colors: Colors): string {
  const rows = rowsOf(counters)
  if (rows.length === 0) {
    return colors.dim('  (no operation has met a rule yet)')
  }
  const table = new Table({
    head: HEAD.map((title) => colors.bold(title)),
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right', 'left'],
    chars: FRAMELESS,
    style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': 0 },
  })
  for (const { volume, operation, counters: c } of rows) {
    const now = c.inFlight + c.waiting
    const held = now === 0n ? '0' : colors.yellow(String(now))
    table.push([volume, operation, String(c.pended), held, String(c.completed), String(c.observed), notPendedText(c)])
  }
  // The last column is filled up with blanks.
  return indented(table.toString())
}

/** The sums in one line, for logs. */
export function countersLine(counters: Counters): string {
  const refused = refusalText(counters.refused)
  return `pended ${counters.pended}, held now ${counters.inFlight}, given back ${counters.completed}, not pended ${counters.refused.total}${refused === '' ? '' : ` (${refused})`}`
}

const MS = 1_000_000n

/** A bound from above: at most so many milliseconds, rounded up; the last bucket has none. */
function atMostText(bounds: Bounds | undefined): string {
  if (bounds?.atMost === undefined) {
    return `more than ${(bounds?.atLeast ?? 0n) / MS} ms`
  }
  return bounds.atMost < MS ? 'at most 1 ms' : `at most ${(bounds.atMost + MS - 1n) / MS} ms`
}

/** How long operations were held, a line for each operation that was; '' when none was. */
export function timesText(counters: Counters): string {
  return Object.entries(counters.byOperation)
    .filter(([, { latencyNs }]) => latencyNs.count > 0n)
    .map(([operation, { latencyNs: held, failed }]) => {
      const times = `half of them ${atMostText(held.p50)}, 99 % ${atMostText(held.p99)}, all ${atMostText(held.max)}`
      return `  ${operation}: given back ${held.count}; held ${times}${failed > 0n ? `; ${failed} with a failure` : ''}`
    })
    .join('\n')
}

/** Both identities with their numbers, and whether they hold. */
export function balanceText(counters: Counters, colors: Colors): string {
  const c = counters
  const outcomes: readonly (readonly [string, bigint])[] = [
    ['unmatched', c.unmatched],
    ['observed', c.observed],
    ['pended', c.pended],
    ['whenSafe', c.whenSafe],
    ['synchronized', c.synchronized],
    ['refused', c.refused.total],
    ['draining', c.draining],
    ['in callback', c.inCallback],
  ]
  const sum = outcomes
    .filter(([name, count]) => count > 0n || name === 'pended')
    .map(([name, count]) => `${name} ${count}`)
  const lines = [
    `  pended ${c.pended} = given back ${c.completed} + still held ${c.inFlight}`,
    `  post-operations ${c.postOperations} = ${sum.join(' + ')}`,
  ]
  if (c.contract.unexpectedRefusal > 0n) {
    lines.push(`  refusals that no documented cause explains: ${c.contract.unexpectedRefusal}`)
  }
  if (c.contract.unexpectedSuccess > 0n) {
    lines.push(`  pended although a top-level IRP was set: ${c.contract.unexpectedSuccess}`)
  }
  const verdict = c.balance.exact
    ? [colors.green('  exact, for every operation of every instance')]
    : [colors.red('  NOT exact:'), ...c.balance.problems.map((problem) => colors.red(`    ${problem}`))]
  return [...lines, ...verdict].join('\n')
}
