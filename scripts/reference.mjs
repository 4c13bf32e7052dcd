// SPDX-License-Identifier: MIT
//
// This module provides: `npm run reference`: the memory file system of the model against the host's (test/reference), with the given
// arguments. It builds what it needs beside the native tests. Exit code: the program's.

import { spawnSync } from 'node:child_process'

import { buildTestProgram } from './build.mjs'
import { BuildProblem, runMain } from './toolchain.mjs'

await runMain(() => {
  if (process.platform !== 'linux') {
    throw new BuildProblem('minipend reference: the host side of the check needs Linux.')
  }
  const program = buildTestProgram('minipend_reference')
  const result = spawnSync(program, process.argv.slice(2), { stdio: 'inherit' })
  if (result.error !== undefined) throw result.error
  process.exitCode = result.status ?? 1
})
