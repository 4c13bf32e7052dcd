// SPDX-License-Identifier: MIT
//
// This module provides: what the JSON of `npm run bench` promises, as a check: `node test/bench/shape.mjs FILE` says what is missing and exits with 1.

import { readFileSync } from 'node:fs'
import path from 'node:path'

export const SCHEMA = 'minipend-bench-1'

/** Dimensions of each suite's results, and values that must be among them. */
const SUITES = {
  forms: { form: [], filter: ['no filter', 'unmatched', 'observed', 'pended'], executor: ['fibers', 'threads'] },
  rules: { rule: [], rules: [1, 100, 10_000], executor: ['fibers', 'threads'] },
  held: { filter: ['unmatched', 'pended'], held: [0, 1000, 16_384], executor: ['fibers', 'threads'] },
  clients: { filter: [], clients: [1, 8], executor: ['fibers', 'threads'] },
  memory: { held: [1000, 16_384], executor: ['fibers', 'threads'] },
  worlds: { world: ['empty'], executor: ['fibers', 'threads'] },
  client: { form: [], inFlight: [1, 16], filter: ['no filter', 'unmatched', 'observed', 'pended'] },
  boundary: { call: [], way: ['koffi, synchronous', 'ffi-napi, synchronous', "minipend's addon, promise"] },
}

const isPositive = (value) => typeof value === 'number' && Number.isFinite(value) && value > 0
const isSpread = (value) =>
  value !== null &&
  typeof value === 'object' &&
  isPositive(value.median) &&
  value.min <= value.median &&
  value.median <= value.max

/** A timed result's own members. */
function timeProblems(result, where) {
  const bad = []
  // CPU time is counted in steps of the system's; a short run may take none.
  const spreads = ['wallNsPerOperation', ...(isPositive(result.cpuNsPerOperation?.median) ? ['cpuNsPerOperation'] : [])]
  for (const name of spreads) if (!isSpread(result[name])) bad.push(`${where}: ${name} is no { median, min, max }`)
  for (const name of ['repetitions', 'operationsPerRepetition', 'operationsPerSecond']) {
    if (!isPositive(result[name])) bad.push(`${where}: ${name} is ${result[name]}`)
  }
  return bad
}

function suiteProblems(suite, results) {
  if (results.length === 0) return [`${suite}: no results`]
  const bad = []
  for (const [dimension, values] of Object.entries(SUITES[suite])) {
    for (const [index, result] of results.entries()) {
      if (result[dimension] === undefined) bad.push(`${suite}[${index}]: no ${dimension}`)
    }
    for (const value of values) {
      if (!results.some((result) => result[dimension] === value))
        bad.push(`${suite}: nothing with ${dimension} ${value}`)
    }
  }
  for (const [index, result] of results.entries()) {
    const where = `${suite}[${index}]`
    if (suite !== 'memory') bad.push(...timeProblems(result, where))
    else if (!isPositive(result.driverPoolBytes) || !isPositive(result.modelBytes)) bad.push(`${where}: no bytes`)
  }
  return bad
}

/** What a document lacks; empty when it is one of a whole run. */
export function problems(document) {
  if (document?.schema !== SCHEMA) return [`schema is ${JSON.stringify(document?.schema)}, expected "${SCHEMA}"`]
  const bad = ['processor', 'processors', 'memoryBytes', 'system', 'node', 'loadAverage']
    .filter((name) => document.machine?.[name] === undefined)
    .map((name) => `machine: no ${name}`)
  if (!Array.isArray(document.results)) return [...bad, 'results is no list']
  for (const suite of Object.keys(SUITES)) {
    bad.push(
      ...suiteProblems(
        suite,
        document.results.filter((result) => result.suite === suite),
      ),
    )
  }
  return bad
}

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === import.meta.filename) {
  const file = process.argv[2]
  const bad =
    file === undefined ? ['usage: node test/bench/shape.mjs FILE'] : problems(JSON.parse(readFileSync(file, 'utf8')))
  for (const line of bad) console.error(line)
  process.exitCode = bad.length === 0 ? 0 : 1
}
