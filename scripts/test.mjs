// SPDX-License-Identifier: MIT
//
// This module provides: `npm test`: building what has changed, the native tests, then vitest.
//
//   npm test                 everything
//   npm test -- ARGUMENT...  vitest alone, with these arguments: a file, -t NAME, --watch
//
// The native tests (test/native) are the driver and the model in C++: hostile callers, races, failing calls. One line for each area, then the list of callers
// (test/native/callers.mjs) with what became of each. MINIPEND_RACE_SEEDS says with how many seeds a race is played: 300 unless it is set, 6,000 in `.ci/run native`.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

import { CALLERS } from '../test/native/callers.mjs'
import { build, buildNativeTests } from './build.mjs'
import * as paths from './paths.mjs'
import { runMain } from './toolchain.mjs'

const LIMIT_MS = 15 * 60 * 1000

/** Name of each case, and how it went. */
function readResults(file) {
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.filter((line) => line !== '').map((line) => line.split(' '))
}

/** Says for each kind of caller which cases there are, and how they went. False: one has failed, or has no case. */
function showCallers(results) {
  console.log('\nagainst every caller:')
  let good = true
  for (const { caller, cases } of CALLERS) {
    const missing = cases.filter((wanted) => !results.some(([name]) => name.startsWith(wanted)))
    const failed = results.filter(([name, how]) => how !== 'ok' && cases.some((wanted) => name.startsWith(wanted)))
    const count = results.filter(([name]) => cases.some((wanted) => name.startsWith(wanted))).length
    const bad = [...missing.map((name) => `no case ${name}`), ...failed.map(([name, how]) => `${name} ${how}`)]
    console.log(`  ${bad.length === 0 ? 'ok    ' : 'FAILED'} ${caller} (${count} ${count === 1 ? 'case' : 'cases'})`)
    bad.forEach((what) => console.log(`         ${what}`))
    good &&= bad.length === 0
  }
  return good
}

/** True: all went well. */
function runNativeTests(program) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-tests-'))
  try {
    console.log('\nnative tests: the driver and the model in C++')
    const file = path.join(directory, 'results')
    const { status, signal, error } = spawnSync(
      program,
      ['--brief', '--jobs', String(os.availableParallelism()), '--results', file],
      {
        cwd: paths.root,
        stdio: 'inherit',
        timeout: LIMIT_MS,
      },
    )
    if (error !== undefined) throw error
    if (status === null) console.error(`minipend test: the native tests ended by ${signal}`)
    return showCallers(readResults(file)) && status === 0
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** True: all went well. */
function runVitest(args) {
  const vitest = [paths.packageFile('vitest', 'vitest.mjs'), 'run', ...args]
  const result = spawnSync(process.execPath, vitest, { cwd: paths.root, stdio: 'inherit' })
  if (result.error !== undefined) throw result.error
  return result.status === 0
}

await runMain(() => {
  const args = process.argv.slice(2)
  build()
  const program = args.length === 0 ? buildNativeTests() : undefined
  const native = program === undefined || runNativeTests(program)
  if (!native) console.error('\nminipend test: the native tests have FAILED, see above')
  const typescript = runVitest(args)
  if (!native) console.error('\nminipend test: the native tests have FAILED, see above')
  process.exitCode = native && typescript ? 0 : 1
})
