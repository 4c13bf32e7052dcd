// SPDX-License-Identifier: MIT
//
// This module provides: the native tests as builds that count what runs, and running one of them in a process of its own. The coverage and the mutants commands
// share it.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

import * as paths from './paths.mjs'
import { testsOptions } from './build.mjs'
import { BuildProblem, checkToolchain } from './toolchain.mjs'

export const llvmMajor = 19

function buildIn(name, counted, options) {
  const directory = path.join(paths.buildDir, name)
  return {
    directory,
    options: [`-DMINIPEND_COVERAGE=${counted}`, `-DCMAKE_C_COMPILER=clang-${llvmMajor}`, ...options],
    program: path.join(directory, 'minipend_native_tests'),
    driverImage: path.join(directory, 'minipend.host.so'),
    model: path.join(directory, 'libfltsim.so'),
  }
}

/** Counts in the driver. The rest is compiled as `npm test` compiles it: a compiler cache has it then. */
export const driverBuild = buildIn('coverage', 'driver', [...testsOptions, '-DCMAKE_C_FLAGS_RELWITHDEBINFO=-g1'])
/** Counts in the driver and in the model. */
export const modelBuild = buildIn('coverage-model', 'all', [
  ...['-DCMAKE_BUILD_TYPE=Debug', '-DCMAKE_C_FLAGS_DEBUG=-g1', '-DCMAKE_CXX_FLAGS_DEBUG=-g1'],
  `-DCMAKE_CXX_COMPILER=clang++-${llvmMajor}`,
])
/** Which tests run which lines of the driver: { file: { line: [test...] } }. */
export const testsOfLines = path.join(driverBuild.directory, 'tests-of-lines.json')
export const jobs = Number(process.env['MINIPEND_JOBS'] ?? os.availableParallelism())

/** Runs a command to its end and returns what it printed. */
export function output(command, args, options = {}) {
  const result = spawnSync(command, args, {
    cwd: paths.root,
    encoding: 'utf8',
    maxBuffer: 1024 * 1024 * 1024,
    ...options,
  })
  if (result.error?.code === 'ENOENT') {
    throw new BuildProblem(
      `minipend: ${command} was not found. Install it (Debian: apt install clang-${llvmMajor} llvm-${llvmMajor} libclang-rt-${llvmMajor}-dev cmake make), then run the command again.`,
    )
  }
  if (result.error !== undefined) throw result.error
  if (result.status !== 0) {
    process.stderr.write((result.stdout ?? '') + (result.stderr ?? ''))
    throw new BuildProblem(`minipend: ${command} ${args[0]} failed (exit code ${result.status}); its output is above.`)
  }
  return result.stdout
}

/** Prepares that build; then it is known how the driver is compiled. */
export function configureTests({ directory, options }) {
  if (!existsSync(path.join(directory, 'CMakeCache.txt'))) {
    // Named first: otherwise CMake takes the one that goes with the C compiler. Named again, the last one counts.
    const common = [`-DCMAKE_CXX_COMPILER=${checkToolchain().cxx}`, '-DMINIPEND_TESTS=ON']
    common.push('-DCMAKE_EXPORT_COMPILE_COMMANDS=ON')
    output('cmake', ['-S', paths.nativeDir, '-B', directory, ...common, ...options])
  }
}

/** Builds the tests, the model and the driver image. MINIPEND_NO_BUILD=1: what is there is good enough. */
export function buildTests(build) {
  if (process.env['MINIPEND_NO_BUILD'] === '1') return
  configureTests(build)
  output('cmake', ['--build', build.directory, '--parallel', String(jobs), '--target', 'minipend_native_tests'])
}

/** Whoever does not count says where the counts go all the same: otherwise they go to the current directory. */
const environmentOf = ({ directory }) => ({
  ...process.env,
  LLVM_PROFILE_FILE: path.join(directory, 'uncounted-%m.profraw'),
})

export const listTests = (build) =>
  output(build.program, ['--list'], { env: environmentOf(build) })
    .trim()
    .split('\n')

/** Runs tests in one process. Resolves to { passed, timedOut, text }: text is all that it printed. */
export function runTests(build, names, { env = {}, limitMs = 120_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(
      build.program,
      names.flatMap((name) => ['--test', name]),
      {
        env: { ...environmentOf(build), ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    let text = ''
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      child.kill('SIGKILL')
    }, limitMs)
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', (part) => (text += part))
    }
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ passed: code === 0, timedOut, signal, text })
    })
  })
}

/** Calls `work` for each item, some at a time. */
export async function inParallel(items, work, workers = jobs) {
  const queue = [...items]
  await Promise.all(
    Array.from({ length: workers }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
    }),
  )
}
