// SPDX-License-Identifier: MIT
//
// This module provides: `npm run fuzz`, which looks for inputs that break the driver or the client's decoders.
//
//   npm run fuzz                               every target, 60 seconds each, as many at once as there are processors
//   npm run fuzz -- TARGET... [--seconds N]    these; N seconds each
//   npm run fuzz -- TARGET --input FILE        runs one input, such as a finding, and shows what happens
//
// Targets: messages, rules, sequence (libFuzzer, test/fuzz/*_fuzz.cpp) and decoder (fast-check, test/fuzz/decoder.test.ts). Each begins with the
// corpus in test/fuzz/corpus/TARGET; what it learns is kept in build/fuzz/corpus/TARGET, what it finds in build/fuzz/findings/.
// Exit code 0: nothing was found; 1: a finding, or a problem that is named.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

import { inParallel } from './native-tests.mjs'
import * as paths from './paths.mjs'
import { BuildProblem, runMain } from './toolchain.mjs'

const clangMajor = 19
const buildDir = path.join(paths.buildDir, 'fuzz')
const findingsDir = path.join(buildDir, 'findings')
const nativeTargets = ['messages', 'rules', 'sequence']
const decoder = 'decoder'
const defaultSeconds = 60
const usage = `usage: npm run fuzz -- [${[...nativeTargets, decoder].join(' | ')}]... [--seconds N] [--input FILE]`

/** Longest inputs, in bytes: a program or a list of messages is no better for being longer. */
const longestInput = { messages: 2048, rules: 1024, sequence: 1024 }

function readArguments() {
  let parsed
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: { seconds: { type: 'string' }, input: { type: 'string' } },
    })
  } catch (error) {
    throw new BuildProblem(`minipend fuzz: ${error.message}\n${usage}`)
  }
  const { values, positionals } = parsed
  const unknown = positionals.find((name) => name !== decoder && !nativeTargets.includes(name))
  if (unknown !== undefined) throw new BuildProblem(`minipend fuzz: there is no target "${unknown}".\n${usage}`)
  const seconds = Number(values.seconds ?? defaultSeconds)
  if (!Number.isInteger(seconds) || seconds < 1) {
    throw new BuildProblem(`minipend fuzz: --seconds: expected a whole number above 0, got "${values.seconds}".`)
  }
  if (values.input !== undefined) {
    if (positionals.length !== 1 || positionals[0] === decoder) {
      throw new BuildProblem(
        `minipend fuzz: --input goes with one target of ${nativeTargets.join(', ')}; decoder is replayed by its seed.`,
      )
    }
    if (!existsSync(values.input)) throw new BuildProblem(`minipend fuzz: --input: there is no file ${values.input}.`)
  }
  const targets = positionals.length > 0 ? positionals : [...nativeTargets, decoder]
  return { targets, seconds, input: values.input }
}

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: paths.root, stdio: 'inherit', ...options })
  if (result.error?.code === 'ENOENT') {
    throw new BuildProblem(
      `minipend fuzz: ${command} was not found. Install it (Debian: apt install clang-${clangMajor} libclang-rt-${clangMajor}-dev cmake make), then run the command again.`,
    )
  }
  if (result.error !== undefined) throw result.error
  return result.status === 0
}

function build(targets) {
  const configured =
    existsSync(path.join(buildDir, 'CMakeCache.txt')) ||
    run('cmake', [
      ...['-S', paths.nativeDir, '-B', buildDir, '-DMINIPEND_FUZZ=ON', '-DCMAKE_BUILD_TYPE=RelWithDebInfo'],
      '-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1',
      ...['-DMINIPEND_SANITIZE=address', `-DCMAKE_C_COMPILER=clang-${clangMajor}`],
      ...[`-DCMAKE_CXX_COMPILER=clang++-${clangMajor}`, '--log-level=WARNING'],
    ])
  const jobs = ['--parallel', String(os.availableParallelism())]
  const built =
    configured &&
    run('cmake', ['--build', buildDir, ...jobs, '--target', ...targets.map((target) => `minipend_fuzz_${target}`)])
  if (!built) throw new BuildProblem('minipend fuzz: the targets could not be built; the output is above.')
}

/** One target of several: what it prints comes in one piece when it has ended. Resolves to false when it failed. */
function runAside(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: paths.root, stdio: ['ignore', 'pipe', 'pipe'], ...options })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', (part) => (text += part))
    }
    child.on('error', reject)
    child.on('close', (code) => {
      process.stdout.write(text)
      resolve(code === 0)
    })
  })
}

const sanitizerEnvironment = {
  ...process.env,
  // The model's own handler serves guarded copies of memory that is not there. A world's memory is freed when it ends; fibers that a stopped world leaves are not.
  ASAN_OPTIONS: 'allow_user_segv_handler=1:detect_stack_use_after_return=0:detect_leaks=0',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  ASAN_SYMBOLIZER_PATH: process.env['ASAN_SYMBOLIZER_PATH'] ?? `/usr/bin/llvm-symbolizer-${clangMajor}`,
}

async function runNative(target, seconds, input) {
  const program = path.join(buildDir, `minipend_fuzz_${target}`)
  const options = { env: sanitizerEnvironment }
  if (input !== undefined) return run(program, [path.resolve(input)], options)
  const learnt = path.join(buildDir, 'corpus', target)
  const given = path.join(paths.root, 'test', 'fuzz', 'corpus', target)
  mkdirSync(learnt, { recursive: true })
  mkdirSync(findingsDir, { recursive: true })
  const good = await runAside(
    program,
    [
      `-max_total_time=${seconds}`,
      `-max_len=${longestInput[target]}`,
      `-artifact_prefix=${findingsDir}${path.sep}${target}-`,
      '-timeout=60',
      '-rss_limit_mb=4096',
      '-print_final_stats=1',
      '-verbosity=0',
      learnt,
      ...(existsSync(given) ? [given] : []),
    ],
    options,
  )
  if (!good) {
    const found = readdirSync(findingsDir).filter((name) => name.startsWith(`${target}-`))
    console.error(`minipend fuzz: ${target}: a finding; run it again with`)
    for (const name of found) {
      console.error(`  npm run fuzz -- ${target} --input ${path.relative(paths.root, path.join(findingsDir, name))}`)
    }
  }
  return good
}

async function runDecoder(seconds) {
  const seed = process.env['MINIPEND_FUZZ_SEED'] ?? String(Math.floor(Math.random() * 0x7fffffff))
  console.log(`minipend fuzz: decoder: seed ${seed}`)
  const good = await runAside(
    process.execPath,
    [paths.packageFile('vitest', 'vitest.mjs'), 'run', 'test/fuzz/decoder.test.ts'],
    {
      env: { ...process.env, MINIPEND_FUZZ_SECONDS: String(seconds), MINIPEND_FUZZ_SEED: seed },
    },
  )
  if (!good) {
    console.error(
      `minipend fuzz: decoder: a finding; MINIPEND_FUZZ_SEED=${seed} npm run fuzz -- decoder finds it again`,
    )
  }
  return good
}

await runMain(async () => {
  const { targets, seconds, input } = readArguments()
  const natives = targets.filter((target) => target !== decoder)
  if (natives.length > 0) build(natives)
  const findings = []
  await inParallel(targets, async (target) => {
    console.log(`== ${target}: ${input ?? `${seconds} s`}`)
    const good = await (target === decoder ? runDecoder(seconds) : runNative(target, seconds, input))
    console.log(`-- ${target}: ${good ? 'nothing' : 'FINDINGS, see above'}`)
    if (!good) findings.push(target)
  })
  console.log(
    findings.length === 0 ? 'minipend fuzz: nothing was found' : `minipend fuzz: FINDINGS of ${findings.join(', ')}`,
  )
  process.exitCode = findings.length === 0 ? 0 : 1
})
