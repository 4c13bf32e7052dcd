// SPDX-License-Identifier: MIT
//
// This module provides: counters as text: the table, one line of it, and the balance.

import Table from 'cli-table3'
import type { Counters, OperationCounters, RefusalCounters } from '../index.js'
import type { Colors } from './terminal.js'

interface Row {
  readonly volume: string
  readonly operation: string
  readonly counters: OperationCounters
}

const interesting = (c: OperationCounters): boolean => c.pended + c.observed + c.refused.total + c.draining > 0n

/** The causes that occurred, as in "notIrp 3, paging 1". */
export function refusalText(refused: RefusalCounters): string {
  return Object.entries(refused)
    .filter(([name, count]) => name !== 'total' && count > 0n)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
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
    const held = c.inFlight === 0n ? '0' : colors.yellow(String(c.inFlight))
    table.push([
      volume,
      operation,
      String(c.pended),
      held,
      String(c.completed),
      String(c.observed),
      refusalText(c.refused),
    ])
  }
  // The last column is filled up with blanks.
  return indented(table.toString())
}

/** The sums in one line, for logs. */
export function countersLine(counters: Counters): string {
  const refused = refusalText(counters.refused)
  return `pended ${counters.pended}, held now ${counters.inFlight}, given back ${counters.completed}, not pended ${counters.refused.total}${refused === '' ? '' : ` (${refused})`}`
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
  const verdict = c.balance.exact
    ? [colors.green('  exact, for every operation of every instance')]
    : [colors.red('  NOT exact:'), ...c.balance.problems.map((problem) => colors.red(`    ${problem}`))]
  return [...lines, ...verdict].join('\n')
}
