// SPDX-License-Identifier: MIT
//
// This module provides: `minipend compare`: which conformance cases differ between two results of `minipend validate`, and why they might.

import type { CommandContext } from './command.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import {
  type CaseCounters,
  type CaseResult,
  imageName,
  readResultDocument,
  type ResultDocument,
} from './validate/document.js'

export interface CaseDifference {
  readonly topic: string
  readonly name: string
  readonly ids: readonly string[]
  readonly evidence: readonly string[]
  readonly kind: 'outcome' | 'only in the first' | 'only in the second' | 'counters'
  readonly what: string
}

const firstLine = ({ error }: CaseResult): string => (error === null ? '' : ` (${error.split('\n')[0] ?? ''})`)

/** "pended 1 -> 2, failed 0 -> 1"; '': the same. */
function counterChanges(first: CaseCounters, second: CaseCounters): string {
  const names = [...new Set([...Object.keys(first), ...Object.keys(second)])]
  return names
    .map((name) => ({ name, from: first[name] ?? 0, to: second[name] ?? 0 }))
    .filter(({ from, to }) => from !== to)
    .map(({ name, from, to }) => `${name} ${from} -> ${to}`)
    .join(', ')
}

function difference(
  first: CaseResult | undefined,
  second: CaseResult | undefined,
): Pick<CaseDifference, 'kind' | 'what'> | undefined {
  if (first === undefined || second === undefined) {
    return second === undefined
      ? { kind: 'only in the first', what: first?.outcome ?? '' }
      : { kind: 'only in the second', what: second.outcome }
  }
  if (first.outcome !== second.outcome) {
    return {
      kind: 'outcome',
      what: `${first.outcome}${firstLine(first)} -> ${second.outcome}${firstLine(second)}`,
    }
  }
  if (first.counters === null || second.counters === null) {
    return undefined
  }
  const what = counterChanges(first.counters.after, second.counters.after)
  return what === '' ? undefined : { kind: 'counters', what }
}

export function differences(first: ResultDocument, second: ResultDocument): CaseDifference[] {
  const key = ({ topic, name }: CaseResult): string => JSON.stringify([topic, name])
  const [one, two] = [first, second].map(({ cases }) => new Map(cases.map((each) => [key(each), each])))
  const keys = new Set([...(one?.keys() ?? []), ...(two?.keys() ?? [])])
  return [...keys].flatMap((each) => {
    const [a, b] = [one?.get(each), two?.get(each)]
    const found = difference(a, b)
    const known = a ?? b
    if (found === undefined || known === undefined) {
      return []
    }
    const { topic, name, ids, evidence } = known
    return [{ topic, name, ids, evidence, ...found }]
  })
}

/** What the two runs were not the same in. */
export function reasons(first: ResultDocument, second: ResultDocument): string[] {
  const unlike = (what: string, a: string, b: string): string[] => (a === b ? [] : [`${what}: ${a} and ${b}`])
  const image = ({ driver }: ResultDocument): string =>
    driver === null ? 'unknown' : `${imageName(driver)} ${driver.sha256.slice(0, 12)}`
  return [
    ...unlike('lane', first.backend, second.backend),
    ...unlike('driver image', image(first), image(second)),
    ...unlike('minipend', first.package.version, second.package.version),
    ...unlike('Node.js', first.node, second.node),
    ...unlike('filter', first.filter ?? 'none', second.filter ?? 'none'),
  ]
}

/** What to think of a difference, by how its rules are known. */
function standing({ evidence }: CaseDifference, lanes: boolean): string {
  const weak = evidence.filter((tag) => tag === 'E' || tag === 'X')
  if (!lanes || weak.length === 0) {
    return ''
  }
  return weak.includes('X')
    ? ' (sources disagree here: the model had to choose)'
    : ' (inferred, not documented: the model may be wrong)'
}

function differenceText(each: CaseDifference, lanes: boolean): string {
  return `${each.kind}: ${each.topic}: ${each.name}\n  ${each.what}${standing(each, lanes)}\n`
}

export function compare(context: CommandContext, firstFile: string, secondFile: string): ExitCode {
  const { terminal, json } = context
  const [first, second] = [readResultDocument('compare', firstFile), readResultDocument('compare', secondFile)]
  const found = differences(first, second)
  const why = reasons(first, second)
  if (json) {
    terminal.out(`${JSON.stringify({ same: found.length === 0, differences: found, reasons: why }, undefined, 2)}\n`)
  } else if (found.length === 0) {
    terminal.out(`the same: ${first.cases.length} cases\n`)
  } else {
    const lanes = first.backend !== second.backend
    const because = why.length === 0 ? ['nothing: lane, driver image and versions are the same'] : why
    terminal.out(
      `${found.map((each) => differenceText(each, lanes)).join('')}what differs between the runs:\n${because.map((line) => `  ${line}\n`).join('')}`,
    )
    terminal.out(`${found.length} cases differ\n`)
  }
  return found.length === 0 ? EXIT.ok : EXIT.failed
}
