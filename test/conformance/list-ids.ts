// SPDX-License-Identifier: MIT
//
// This module provides: `npm run -s conformance:ids`: which rules the conformance cases check, and which not, with the reason.

import { claimedIds, readRules } from './rules.js'

const claims = claimedIds()
const rules = readRules()
const covered = rules.filter(({ id }) => [...claims.values()].some((ids) => ids.includes(id)))
const width = Math.max(...rules.map(({ id }) => id.length))

const lines = [
  `covered: ${covered.length} of ${rules.length}`,
  ...covered.map(({ id, title }) => {
    const files = [...claims].filter(([, ids]) => ids.includes(id)).map(([file]) => file.replace('.test.ts', ''))
    return `  ${id.padEnd(width)}  ${title} (${files.join(', ')})`
  }),
  `not covered: ${rules.length - covered.length}`,
  ...rules
    .filter((rule) => !covered.includes(rule))
    .map(({ id, title, reason }) => `  ${id.padEnd(width)}  ${title}: ${reason ?? 'NO REASON'}`),
]
process.stdout.write(`${lines.join('\n')}\n`)
