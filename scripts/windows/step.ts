// SPDX-License-Identifier: MIT
//
// This module provides: `node --import tsx scripts/windows/step.ts STEP [--architecture x64|arm64]`: runs one step of steps.ts.

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

import { type Finished, lineOf } from '../../src/cli/windows/command.js'
import * as paths from '../paths.mjs'
import { BuildProblem, runMain } from '../toolchain.mjs'
import { type Architecture, architectures, type Command, type Place, type StepName, stepNames, steps } from './steps.js'

/** undefined when the program could not be started. */
export type Runner = (command: Command) => Finished | undefined

/** What it prints in the system's code page is shown as it comes; what is read are numbers and names. */
const runProgram: Runner = ({ program, args, reads }) => {
  const result = spawnSync(program, [...args], {
    stdio: ['ignore', reads ? 'pipe' : 'inherit', reads ? 'pipe' : 'inherit'],
    encoding: 'latin1',
    windowsHide: true,
  })
  if (result.error !== undefined) return undefined
  const output = reads ? `${result.stdout}${result.stderr}` : ''
  process.stdout.write(output)
  return { code: result.status ?? -1, output }
}

/** Throws a BuildProblem that names the command that failed. */
export function runStep(name: StepName, place: Place, run: Runner): void {
  mkdirSync(place.scratch, { recursive: true })
  const commands: readonly Command[] = steps[name](place)
  for (const command of commands) {
    console.log(`> ${lineOf(command)}`)
    if (command.script !== undefined) {
      writeFileSync(path.join(place.scratch, path.win32.basename(command.script.file)), command.script.text)
    }
    const finished = run(command)
    if (finished === undefined) throw new BuildProblem(`minipend ${name}: ${command.program} was not found.`)
    try {
      command.check(finished)
    } catch (error) {
      throw new BuildProblem(`minipend ${name}: ${(error as Error).message}`)
    }
  }
}

/** Throws a BuildProblem when the arguments are wrong. */
export function parseStep(args: readonly string[], scratch: string): { name: StepName; place: Place } {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { architecture: { type: 'string', default: 'x64' } },
  })
  const name = stepNames.find((each) => each === positionals[0])
  if (name === undefined || positionals.length !== 1) {
    throw new BuildProblem(`usage: step.ts STEP [--architecture x64|arm64]; steps: ${stepNames.join(', ')}`)
  }
  const architecture = architectures.find((each) => each === values.architecture)
  if (architecture === undefined) throw new BuildProblem(`no such architecture: ${values.architecture}`)
  const place: { root: string; scratch: string; architecture: Architecture } = {
    root: paths.root,
    scratch,
    architecture,
  }
  return { name, place }
}

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === import.meta.filename) {
  await runMain(() => {
    const { name, place } = parseStep(
      process.argv.slice(2),
      path.join(process.env['RUNNER_TEMP'] ?? os.tmpdir(), 'minipend'),
    )
    runStep(name, place, runProgram)
  })
}
