// SPDX-License-Identifier: MIT
//
// This module provides: rules that are in force, as text and as plain data for JSON.

import Table from 'cli-table3'
import type { ListedRule, NamedNumber } from '../index.js'
import { formatNumber } from '../errors/tables.js'
import type { Colors } from './terminal.js'

/** More operations than this are counted and not named. */
const MOST_OPERATIONS = 4

function ownerText({ own, owner, persistent }: ListedRule): string {
  const who = own ? 'this command' : owner === undefined ? 'nobody' : `process ${owner.processId}`
  return persistent ? `${who}, stays` : who
}

function ruleText({ id, number, setId, hold }: ListedRule): string {
  const what = hold === 'gate' ? 'gate' : 'rule'
  return id ?? (setId === 0 ? `${what} ${number}` : `${what} ${setId}.${number}`)
}

const operationsText = ({ on }: ListedRule): string =>
  on.length <= MOST_OPERATIONS ? on.join(', ') : `${on.length} operations`

const statusText = (status: NamedNumber | 'success' | 'failure'): string =>
  typeof status === 'string' ? status : formatNumber(status)

/** What it does, as in "pend 200 ms". */
function actionText(rule: ListedRule): string {
  const { action, hold, delayMs, failWith } = rule
  const held = hold === 'none' ? '' : hold === 'gate' ? ` until released, ${delayMs} ms at most` : ` ${delayMs} ms`
  return `${action}${held}${failWith === undefined ? '' : `, fails with ${formatNumber(failWith)}`}`
}

/** Everything about it that must fit, but the operation and the path. */
function conditionsText(rule: ListedRule): string {
  const { volume, drive, processId, requestorMode, io, status, everyNth, atMost, probability, maxHeld, allow } = rule
  const allowed = Object.entries(allow).filter(([, lifted]) => lifted)
  const parts = [
    volume === undefined ? '' : (drive ?? volume),
    processId === undefined ? '' : `process ${processId}`,
    requestorMode === undefined ? '' : `${requestorMode} mode`,
    io.join(' or '),
    status === undefined ? '' : statusText(status),
    everyNth === 1 ? '' : `one in ${everyNth}`,
    probability === 1 ? '' : `probability ${probability}`,
    atMost === undefined ? '' : `${rule.counts.applied} of ${atMost}`,
    maxHeld === undefined ? '' : `${maxHeld} at once`,
    allowed.length === 0 ? '' : `allows ${allowed.map(([name]) => name).join(', ')}`,
  ]
  return parts.filter((part) => part !== '').join(', ')
}

/** A row for each rule, in the order in which the driver has them. */
export function rulesTable(rules: readonly ListedRule[], colors: Colors): string {
  if (rules.length === 0) {
    return 'no rules are in force'
  }
  const head = ['owner', 'rule', 'on', 'path', 'if', 'does', 'selected', 'refused', 'taken', 'held now']
  const table = new Table({
    head: head.map((title) => colors.bold(title)),
    colAligns: ['left', 'left', 'left', 'left', 'left', 'left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  for (const rule of rules) {
    const { selected, refused, taken, heldNow } = rule.counts
    table.push([
      ...[ownerText(rule), ruleText(rule), operationsText(rule), rule.path ?? 'any', conditionsText(rule)],
      ...[actionText(rule), String(selected), String(refused), String(taken)],
      heldNow === 0 ? '0' : colors.yellow(String(heldNow)),
    ])
  }
  return table.toString()
}

/** The same for a program; statuses by name. Seeds are text, as everywhere. */
export const rulesDocuments = (rules: readonly ListedRule[]): unknown[] =>
  rules.map((rule) => ({
    ...rule,
    failWith: rule.failWith?.name,
    status: rule.status === undefined ? undefined : statusText(rule.status),
    seed: String(rule.seed),
  }))
