// SPDX-License-Identifier: MIT
//
// This module provides: docs/FIDELITY.md's text. The page's own words come from page.md; the evidence of the rules that its tables name, what checks
// each rule, the numbers and the list of modelled calls are put in here.

import type { ConformanceRule } from '../conformance/rules.js'
import { PAGE_SOURCE, type PageSources } from './sources.js'

const NATIVE = 'native: '
const WINDOWS = 'only a Windows machine shows '

const tags = (evidence: Iterable<string>): string =>
  [...new Set(evidence)]
    .filter((tag) => tag !== 'page')
    .sort()
    .map((tag) => ` [${tag}]`)
    .join('')

/** `POST-02`, `POST-02..06`, `V5`: each with the evidence of its rules behind it. */
function withEvidence(cell: string, rules: ReadonlyMap<string, ConformanceRule>): string {
  return cell.replaceAll(/\b(?:([A-Z]+-)(\d+)([a-z]?)(?:\.\.(\d+))?|(V\d+))/g, (text, ...groups) => {
    const [prefix, first, letter, last, v] = groups as (string | undefined)[]
    const ids =
      last === undefined
        ? [v ?? `${prefix ?? ''}${first ?? ''}${letter ?? ''}`]
        : Array.from(
            { length: Number(last) - Number(first) + 1 },
            (_, i) => `${prefix ?? ''}${String(Number(first) + i).padStart(2, '0')}`,
          )
    const known = ids.map((id) => rules.get(id)).filter((rule) => rule !== undefined)
    if (known.length === 0 && !/^(MS|STATUS)/.test(text)) {
      throw new Error(`${PAGE_SOURCE} names the rule ${text}, which test/conformance/rules.json does not have.`)
    }
    return text + tags(known.flatMap((rule) => rule.evidence))
  })
}

/** Rows of three cells under "What is modelled": the middle one names rules. */
function addEvidence(page: string, rules: ReadonlyMap<string, ConformanceRule>): string {
  let inside = false
  return page
    .split('\n')
    .map((line) => {
      if (line.startsWith('## ')) {
        inside = line === '## What is modelled'
      }
      const cells = line.split('|')
      return inside && cells.length === 5
        ? cells.map((cell, i) => (i === 2 ? withEvidence(cell, rules) : cell)).join('|')
        : line
    })
    .join('\n')
}

function checkedBy(rule: ConformanceRule, { claims }: PageSources): string {
  const files = [...claims].filter(([, ids]) => ids.includes(rule.id)).map(([file]) => file.replace('.test.ts', ''))
  const reason = rule.reason ?? ''
  const native = reason.startsWith(NATIVE)
    ? reason.slice(NATIVE.length).replaceAll(/\b[a-z_]+\.[a-z_0-9]+\b/g, (name) => `\`${name}\``)
    : ''
  if (files.length > 0) {
    return ['conformance: ' + files.join(', '), native].filter((text) => text !== '').join('; ')
  }
  return native === '' ? `**no case**: ${reason}` : native
}

const cell = (text: string): string => text.replaceAll('|', '\\|')

function ruleTable(sources: PageSources): string {
  return [
    '| rule | says | checked by |',
    '|---|---|---|',
    ...sources.rules.map(
      (rule) => `| ${rule.id}${tags(rule.evidence)} | ${cell(rule.title)} | ${cell(checkedBy(rule, sources))} |`,
    ),
  ].join('\n')
}

function numbers({ rules, claims, calls }: PageSources): string {
  const claimed = rules.filter(({ id }) => [...claims.values()].some((ids) => ids.includes(id)))
  const rest = rules.filter((rule) => !claimed.includes(rule))
  const native = rest.filter(({ reason }) => (reason ?? '').startsWith(NATIVE))
  const windows = rest.filter(({ reason }) => (reason ?? '').startsWith(WINDOWS))
  const inferred = rules.filter(({ evidence }) => evidence.every((tag) => tag === 'E'))
  const count = (list: readonly unknown[]): string => String(list.length)
  const others = rest.length - native.length - windows.length
  return [
    `Of ${count(rules)} rules, ${count(inferred)} rest on [E] alone. Conformance cases check ${count(claimed)}, native tests alone ${count(native)}.`,
    `${count(windows)} only a Windows machine can show; the other ${String(others)} concern what this driver does not do, or no behaviour at all. ` +
      'Each stands in [the list](#the-rules-and-what-checks-them).',
    `The model has ${String(calls.reduce((sum, { names }) => sum + names.length, 0))} calls; [they are listed](#the-calls-that-the-model-has), and what is not there is.`,
  ].join('\n')
}

function callTable({ calls }: PageSources): string {
  return [
    '| | calls |',
    '|---|---|',
    ...calls
      .filter(({ names }) => names.length > 0)
      .map(({ title, names }) => `| ${title}, ${String(names.length)} | ${names.join(', ')} |`),
  ].join('\n')
}

const NOTICE = `<!-- Generated from ${PAGE_SOURCE}, the rules, the cases and the model's exports: change those, then npm run fidelity. -->`

/** @throws Error when a row names an unknown rule, or the page asks for something that there is not. */
export function generatePage(sources: PageSources): string {
  const parts: Readonly<Record<string, (from: PageSources) => string>> = {
    numbers,
    rules: ruleTable,
    calls: callTable,
  }
  const rules = new Map(sources.rules.map((rule) => [rule.id, rule]))
  const used = new Set<string>()
  const page = addEvidence(sources.page, rules).replaceAll(/^\{\{(\w+)\}\}$/gm, (_, name: string) => {
    const part = parts[name]
    if (part === undefined) {
      throw new Error(`${PAGE_SOURCE}: there is no part {{${name}}}; there are ${Object.keys(parts).join(', ')}.`)
    }
    used.add(name)
    return part(sources)
  })
  const missing = Object.keys(parts).filter((name) => !used.has(name))
  if (missing.length > 0) {
    throw new Error(`${PAGE_SOURCE} leaves out {{${missing.join('}}, {{')}}}.`)
  }
  return page.replace('\n', `\n\n${NOTICE}\n`)
}
