// SPDX-License-Identifier: MIT
//
// This module provides: `npm run reference`: the memory file system of the model against the host's (test/reference), with the given
// arguments. It builds into a directory of its own what it needs. Exit code: the program's.

import { spawnSync } from 'node:child_process'
import os from 'node:os'
import path from 'node:path'

import * as paths from './paths.mjs'
import { BuildProblem, checkToolchain, runMain } from './toolchain.mjs'

const directory = path.join(paths.root, 'build', 'reference')

function run(what, command, args) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  if (result.error !== undefined) {
    throw new BuildProblem(`minipend reference: ${what} could not start: ${result.error.message}`)
  }
  if (result.status !== 0) {
    process.stderr.write(result.stdout + result.stderr)
    throw new BuildProblem(`minipend reference: ${what} failed; its output is above.`)
  }
}

await runMain(() => {
  if (process.platform !== 'linux') {
    throw new BuildProblem('minipend reference: the host side of the check needs Linux.')
  }
  checkToolchain()
  const jobs = String(os.availableParallelism())
  const options = ['-DMINIPEND_TESTS=ON', '-DCMAKE_BUILD_TYPE=RelWithDebInfo']
  run('configuring', 'cmake', ['-S', paths.nativeDir, '-B', directory, ...options])
  run('compiling', 'cmake', ['--build', directory, '--target', 'minipend_reference', '--parallel', jobs])
  const result = spawnSync(path.join(directory, 'minipend_reference'), process.argv.slice(2), { stdio: 'inherit' })
  if (result.error !== undefined) throw result.error
  process.exitCode = result.status ?? 1
})
