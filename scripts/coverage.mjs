// SPDX-License-Identifier: MIT
//
// This module provides: `npm run coverage`: which lines and branches run under the tests. C (the driver, the model) from the native tests, each in a process of its
// own (several with --thresholds); TypeScript from vitest. One table, and the driver's lines that nothing runs.
//
//   npm run coverage                 everything
//   npm run coverage -- --native     only C
//   npm run coverage -- --driver     only the driver
//   npm run coverage -- --thresholds fails for the thresholds alone: a line that a race has to run may be run today and not tomorrow
//
// The command fails when the driver is below the thresholds, or when a line of it that nothing runs has no reason in test/coverage/not-run.md.
// Without --thresholds it also writes build/coverage/tests-of-lines.json, from which `npm run mutants` takes the tests that cover a change.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'

import {
  buildTests,
  driverBuild,
  inParallel,
  listTests,
  llvmMajor,
  modelBuild,
  output,
  runTests,
  testsOfLines,
} from './native-tests.mjs'
import * as paths from './paths.mjs'
import { BuildProblem, runMain } from './toolchain.mjs'

const thresholds = { lines: 95, branches: 90 }
const typescriptDir = path.join(paths.buildDir, 'coverage-typescript')
const reasonsFile = path.join(paths.root, 'test', 'coverage', 'not-run.md')

const profdata = (args) => output(`llvm-profdata-${llvmMajor}`, args)
const cov = (args) => output(`llvm-cov-${llvmMajor}`, args)

const profilesOf = ({ directory }) => path.join(directory, 'profiles')

/** Runs every test, some in one process; that writes one profile for each module that it loaded, however often. */
async function runAll(build, names, testsOfProcess) {
  const profiles = profilesOf(build)
  rmSync(profiles, { recursive: true, force: true })
  mkdirSync(profiles, { recursive: true })
  const failed = []
  let done = 0
  const groups = Array.from({ length: Math.ceil(names.length / testsOfProcess) }, (_, group) =>
    names.slice(group * testsOfProcess, (group + 1) * testsOfProcess),
  )
  await inParallel(groups, async (group) => {
    const env = { LLVM_PROFILE_FILE: path.join(profiles, `${group[0]}-%m.profraw`), MINIPEND_RACE_SEEDS: '300' }
    const { passed, text } = await runTests(build, group, { env, limitMs: 600_000 })
    if (!passed) failed.push([group.join(', '), text])
    const before = done
    done += group.length
    if (Math.floor(before / 50) !== Math.floor(done / 50)) console.log(`  ${done} of ${names.length} native tests`)
  })
  for (const [name, text] of failed) console.error(`${name} failed:\n${text.slice(-2000)}`)
  if (failed.length > 0) throw new BuildProblem(`minipend coverage: ${failed.length} native tests failed, see above.`)
}

const rawOf = (profiles, test) =>
  readdirSync(profiles)
    .filter((file) => file.startsWith(`${test}-`) && file.endsWith('.profraw'))
    .map((file) => path.join(profiles, file))

/** Lines of driver/*.c that one test runs, from llvm-cov's lcov. */
function linesOf(lcov) {
  const lines = new Map()
  let current
  for (const line of lcov.split('\n')) {
    if (line.startsWith('SF:')) {
      current = path.relative(paths.root, line.slice(3))
      if (!lines.has(current)) lines.set(current, new Map())
    } else if (line.startsWith('DA:')) {
      const [number, count] = line.slice(3).split(',').map(Number)
      lines.get(current).set(number, count)
    }
  }
  return lines
}

async function collectTestsOfLines(build, names) {
  const profiles = profilesOf(build)
  const index = {}
  await inParallel(names, async (name) => {
    const raw = rawOf(profiles, name)
    if (raw.length === 0) return
    const merged = path.join(profiles, `${name}.profdata`)
    profdata(['merge', '-sparse', '-o', merged, ...raw])
    const lcov = cov(['export', '-format=lcov', '-skip-functions', `-instr-profile=${merged}`, build.driverImage])
    for (const [file, lines] of linesOf(lcov)) {
      if (!file.startsWith('driver/')) continue
      for (const [number, count] of lines) {
        if (count > 0) ((index[file] ??= {})[number] ??= []).push(name)
      }
    }
  })
  writeFileSync(testsOfLines, JSON.stringify(index))
}

const percent = (covered, count) => (count === 0 ? 100 : (100 * covered) / count)

/** Of llvm-cov's summary: { name, lines, branches } of each file. */
function nativeFiles(merged, image, directory) {
  const { data } = JSON.parse(cov(['export', '-summary-only', `-instr-profile=${merged}`, image]))
  return data[0].files
    .map(({ filename, summary }) => ({
      name: path.relative(paths.root, filename),
      lines: summary.lines,
      branches: summary.branches,
    }))
    .filter(({ name }) => name.startsWith(directory))
}

function typescriptFiles() {
  rmSync(typescriptDir, { recursive: true, force: true })
  output(process.execPath, [
    ...[paths.packageFile('vitest', 'vitest.mjs'), 'run', '--coverage.enabled', '--coverage.provider=v8'],
    ...['--coverage.reporter=json-summary', `--coverage.reportsDirectory=${typescriptDir}`],
    ...['--coverage.include=src/**/*.ts', '--coverage.exclude=src/generated/**'],
  ])
  const summary = JSON.parse(readFileSync(path.join(typescriptDir, 'coverage-summary.json'), 'utf8'))
  const files = Object.entries(summary).filter(([name]) => name !== 'total')
  return files.map(([name, { lines, branches }]) => ({
    name: path.relative(paths.root, name),
    lines: { covered: lines.covered, count: lines.total },
    branches: { covered: branches.covered, count: branches.total },
  }))
}

function sum(name, files) {
  const add = (what) => ({
    covered: files.reduce((total, file) => total + file[what].covered, 0),
    count: files.reduce((total, file) => total + file[what].count, 0),
  })
  return { name, lines: add('lines'), branches: add('branches') }
}

function row({ name, lines, branches }) {
  const cell = ({ covered, count }) =>
    `${percent(covered, count).toFixed(1).padStart(6)} % ${`${covered}/${count}`.padStart(12)}`
  return `${name.padEnd(34)} ${cell(lines)} ${cell(branches)}`
}

/** Rows `| file | code | why |` of not-run.md. */
function readReasons() {
  if (!existsSync(reasonsFile)) return []
  return readFileSync(reasonsFile, 'utf8')
    .split('\n')
    .map((line) => /^\| `([^`]+)` \| `(.+)` \| (.+) \|$/.exec(line))
    .filter((match) => match !== null)
    .map(([, file, code, why]) => ({ file, code, why }))
}

/** The driver's lines that nothing runs: those without a reason, and reasons that have become untrue. */
function checkReasons(merged, driverImage) {
  const reasons = readReasons()
  const used = new Set()
  const unexplained = []
  const lcov = cov(['export', '-format=lcov', '-skip-functions', `-instr-profile=${merged}`, driverImage])
  for (const [file, lines] of linesOf(lcov)) {
    if (!file.startsWith('driver/')) continue
    const source = readFileSync(path.join(paths.root, file), 'utf8').split('\n')
    for (const [number, count] of lines) {
      const code = (source[number - 1] ?? '').trim()
      if (count > 0 || !/[A-Za-z]/.test(code) || code.startsWith('#')) continue
      const reason = reasons.find((entry) => entry.file === file && entry.code === code)
      if (reason === undefined) unexplained.push(`${file}:${number}: ${code}`)
      else used.add(reason)
    }
  }
  return { unexplained, stale: reasons.filter((reason) => !used.has(reason)) }
}

function readArguments() {
  const flag = { type: 'boolean', default: false }
  try {
    return parseArgs({ options: { driver: flag, native: flag, thresholds: flag } }).values
  } catch (error) {
    throw new BuildProblem(
      `minipend coverage: ${error.message}\nusage: npm run coverage -- [--native | --driver] [--thresholds]`,
    )
  }
}

await runMain(async () => {
  const { driver: onlyDriver, native, thresholds: onlyThresholds } = readArguments()
  const onlyNative = onlyDriver || native
  console.log('minipend coverage: building the native tests')
  const build = onlyDriver ? driverBuild : modelBuild
  buildTests(build)
  const names = listTests(build)
  console.log(`minipend coverage: running ${names.length} native tests`)
  // Which lines a test of its own runs is only known of tests that were alone in a process.
  await runAll(build, names, onlyThresholds ? 20 : 1)
  console.log('minipend coverage: reading what they ran')
  if (!onlyThresholds) await collectTestsOfLines(build, names)
  const merged = path.join(build.directory, 'all.profdata')
  const raw = readdirSync(profilesOf(build)).filter((file) => file.endsWith('.profraw'))
  writeFileSync(`${merged}.list`, raw.map((file) => path.join(profilesOf(build), file)).join('\n'))
  profdata(['merge', '-sparse', '-o', merged, `--input-files=${merged}.list`])

  const driver = nativeFiles(merged, build.driverImage, 'driver/')
  const total = sum('driver', driver)
  const tables = [total]
  if (!onlyDriver) tables.push(sum('model (fltsim)', nativeFiles(merged, build.model, 'native/fltsim/')))
  if (!onlyNative) {
    console.log('minipend coverage: running vitest')
    tables.push(sum('TypeScript (src)', typescriptFiles()))
  }
  console.log(`\n${' '.repeat(34)} ${'lines'.padStart(21)} ${'branches'.padStart(21)}`)
  for (const line of tables) console.log(row(line))
  console.log('')
  for (const file of driver) console.log(row(file))

  const { unexplained, stale } = checkReasons(merged, build.driverImage)
  const problems = [
    ...Object.entries(thresholds)
      .filter(([what, least]) => percent(total[what].covered, total[what].count) < least)
      .map(([what, least]) => `the driver's ${what} are below ${least} %`),
  ]
  const reports = unexplained.map((line) => `nothing runs, and test/coverage/not-run.md does not say why: ${line}`)
  if (!onlyThresholds) problems.push(...reports)
  else reports.forEach((line) => console.log(line))
  for (const { file, code } of stale) {
    console.log(`test/coverage/not-run.md lists what runs, or is not there: ${file}: ${code}`)
  }
  for (const problem of problems) console.error(problem)
  console.log(problems.length === 0 ? '\nminipend coverage: ok' : `\nminipend coverage: ${problems.length} problems`)
  process.exitCode = problems.length === 0 ? 0 : 1
})
