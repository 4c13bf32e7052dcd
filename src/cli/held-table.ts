// SPDX-License-Identifier: MIT
//
// This module provides: held operations as text, and as plain data for JSON.

import Table from 'cli-table3'
import type { HeldOperation } from '../index.js'
import type { Colors } from './terminal.js'

const NS_PER_MS = 1_000_000n
const MOST_ROWS = 20

/** Rounded down; an operation that is past its deadline has 0 left. */
const ms = (ns: bigint): bigint => (ns < 0n ? 0n : ns / NS_PER_MS)

const ruleText = ({ rule, own, hold }: HeldOperation): string =>
  `${hold}${rule !== undefined ? ` ${rule}` : own ? '' : ' of another client'}`

/** What is held by everybody, the longest held first; '' when nothing is. */
export function heldTable(held: readonly HeldOperation[], colors: Colors): string {
  if (held.length === 0) {
    return ''
  }
  const table = new Table({
    head: ['held', 'volume', 'operation', 'path', 'by', 'process', 'for ms', 'ms left'].map((title) =>
      colors.bold(title),
    ),
    style: { head: [], border: [], compact: true },
  })
  for (const each of held.slice(0, MOST_ROWS)) {
    table.push([
      String(each.id),
      each.drive ?? `instance ${each.instanceId}`,
      each.operation,
      `${each.nameCut ? '...' : ''}${each.path ?? '(no name)'}`,
      ruleText(each),
      each.processId === 0 ? '?' : String(each.processId),
      String(ms(each.seenNs - each.takenNs)),
      String(ms(each.deadlineNs - each.seenNs)),
    ])
  }
  const more = held.length - MOST_ROWS
  return `${table.toString()}${more > 0 ? `\n  and ${more} more (--json lists all)` : ''}`
}

/** The same for a program. */
export function heldDocuments(held: readonly HeldOperation[]): unknown[] {
  return held.map((each) => ({
    ...{ id: each.id, operation: each.operation, drive: each.drive, instanceId: each.instanceId, path: each.path },
    ...{ nameCut: each.nameCut, hold: each.hold, action: each.action, rule: each.rule, own: each.own },
    ...{ processId: each.processId, threadId: each.threadId, status: each.status.name },
    heldForMs: ms(each.seenNs - each.takenNs),
    leftMs: ms(each.deadlineNs - each.seenNs),
  }))
}
