// SPDX-License-Identifier: MIT
//
// This module provides: the native tests as a build that counts what runs (build/coverage), and running one of them in a process of its own. The coverage and
// the mutants commands share it.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

import * as paths from './paths.mjs'
import { BuildProblem } from './toolchain.mjs'

export const llvmMajor = 19
export const buildDir = path.join(paths.buildDir, 'coverage')
export const program = path.join(buildDir, 'minipend_native_tests')
export const driverImage = path.join(buildDir, 'minipend.host.so')
export const model = path.join(buildDir, 'libfltsim.so')
/** Which tests run which lines of the driver: { file: { line: [test...] } }. */
export const testsOfLines = path.join(buildDir, 'tests-of-lines.json')
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
export function configureTests() {
  if (!existsSync(path.join(buildDir, 'CMakeCache.txt'))) {
    output('cmake', [
      ...['-S', paths.nativeDir, '-B', buildDir, '-DCMAKE_BUILD_TYPE=Debug', '-DMINIPEND_TESTS=ON'],
      ...['-DMINIPEND_COVERAGE=ON', '-DCMAKE_EXPORT_COMPILE_COMMANDS=ON', '-DCMAKE_C_FLAGS_DEBUG=-g1'],
      ...['-DCMAKE_CXX_FLAGS_DEBUG=-g1', `-DCMAKE_C_COMPILER=clang-${llvmMajor}`],
      `-DCMAKE_CXX_COMPILER=clang++-${llvmMajor}`,
    ])
  }
}

/** Builds the tests, the model and the driver image, the last two with counters. MINIPEND_NO_BUILD=1: what is there is good enough. */
export function buildTests() {
  if (process.env['MINIPEND_NO_BUILD'] === '1') return
  configureTests()
  output('cmake', ['--build', buildDir, '--parallel', String(jobs), '--target', 'minipend_native_tests'])
}

/** Whoever does not count says where the counts go all the same: otherwise they go to the current directory. */
const environment = { ...process.env, LLVM_PROFILE_FILE: path.join(buildDir, 'uncounted-%m.profraw') }

export const listTests = () => output(program, ['--list'], { env: environment }).trim().split('\n')

/** Runs tests in one process. Resolves to { passed, timedOut, text }: text is all that it printed. */
export function runTests(names, { env = {}, limitMs = 120_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(
      program,
      names.flatMap((name) => ['--test', name]),
      {
        env: { ...environment, ...env },
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
