// SPDX-License-Identifier: MIT
//
// This module provides: the list of rules that a case may claim, and which of them the cases do claim.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** A rule that the Filter Manager, or what is around it, keeps. docs/CONFORMANCE.md says where the ids come from. */
export interface ConformanceRule {
  readonly id: string
  readonly title: string
  /** page: a documentation page says so; H: headers; S: public source; G: said on GitHub; B: seen; E: inferred; X: sources disagree. */
  readonly evidence: readonly string[]
  /** Why no case claims it; absent: a case does. */
  readonly reason?: string
}

export function readRules(): readonly ConformanceRule[] {
  const { rules } = JSON.parse(readFileSync(path.join(import.meta.dirname, 'rules.json'), 'utf8')) as {
    readonly rules: readonly ConformanceRule[]
  }
  return rules
}

const ID = /^(?:[A-Z]+-\d+[a-z]?|[TX]\d\d|V\d{1,2})$/

/** All texts in a source that are ids, or ids separated by spaces, as conformance() takes them. */
export function idsIn(source: string): string[] {
  const texts = [...source.matchAll(/'([^'\n]*)'/g)].map(([, inner = '']) => inner.split(' '))
  return texts.filter((words) => words.every((word) => ID.test(word))).flat()
}

/** The topics' files, and the ids that each claims. */
export function claimedIds(): ReadonlyMap<string, readonly string[]> {
  const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test.ts'))
  return new Map(
    files.map((name) => [name, idsIn(readFileSync(path.join(import.meta.dirname, name), 'utf8'))] as const),
  )
}
