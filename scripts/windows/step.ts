// SPDX-License-Identifier: MIT
//
// This module provides: `node --import tsx scripts/windows/step.ts STEP [--architecture x64|arm64]`: runs one step of steps.ts.

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

import * as paths from '../paths.mjs'
import { BuildProblem, runMain } from '../toolchain.mjs'
import {
  type Architecture,
  architectures,
  type Command,
  files,
  type Place,
  type StepName,
  stepNames,
  steps,
} from './steps.js'

/** Value: the exit code; undefined when the program could not be started. */
export type Runner = (command: Command) => number | undefined

const runProgram: Runner = ({ program, args }) => {
  const result = spawnSync(program, [...args], { stdio: 'inherit', windowsHide: true })
  return result.error === undefined ? (result.status ?? -1) : undefined
}

/** Throws a BuildProblem that names the command that failed. */
export function runStep(name: StepName, place: Place, run: Runner): void {
  mkdirSync(place.scratch, { recursive: true })
  for (const [file, text] of Object.entries(files)) writeFileSync(path.join(place.scratch, file), text(place))
  const commands: readonly Command[] = steps[name](place)
  for (const command of commands) {
    const line = [command.program, ...command.args].join(' ')
    console.log(`> ${line}`)
    const code = run(command)
    if (code === undefined) throw new BuildProblem(`minipend ${name}: ${command.program} was not found.`)
    if (!(command.accepted ?? [0]).includes(code)) {
      throw new BuildProblem(`minipend ${name}: exit code ${code} of: ${line}`)
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
