// SPDX-License-Identifier: MIT
//
// This module provides: `npm run mutants`: small wrong changes to the driver (test/mutants/*.patch), each of which the native tests have to catch.
//
//   npm run mutants                    all that have no result yet for this driver and these tests
//   npm run mutants -- NAME...         these, whatever the results say
//   npm run mutants -- --sample        a few of them (sample.txt)
//   npm run mutants -- --again         all, results or not
//
// A patch is applied to a copy of driver/, the driver image alone is built from it, and the tests run against that image: first those that the patch names,
// then those that run the changed lines (after `npm run coverage`), or else all that load the driver. The first that fails, crashes or does not end has caught
// it; it must pass without the mutant. A patch that says `Equivalent:` and why is not run. The working tree is not touched; several runs at once
// do not disturb each other.
//
// A patch begins with lines `Key: text`: What (the mistake), Breaks (which promise), Tests (names to try first), Equivalent; Explore: it is a race, which
// minipend_explore with these arguments has to find (docs/EXPLORE.md), and must not find without the mutant. With --plain among them the image is compiled with
// scheduling points at plain accesses.

import { createHash } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'

import {
  buildTests,
  configureTests,
  driverBuild,
  inParallel,
  listTests,
  output,
  runTests,
  testsOfLines,
} from './native-tests.mjs'
import { buildTestProgram } from './build.mjs'
import * as paths from './paths.mjs'
import { BuildProblem, runMain } from './toolchain.mjs'

const mutantsDir = path.join(paths.root, 'test', 'mutants')
const driverDir = path.join(paths.root, 'driver')
const workDir = path.join(paths.buildDir, 'mutants')
const resultsDir = path.join(workDir, 'results')
const batchTests = 8
/** A test that waits for something that never happens gives up after ten seconds; what does not end by then hangs. */
const batchLimitMs = 150_000

/** Splits a patch into its fields and, for each file, hunks of { old, new, oldLine }. */
function readPatch(name) {
  const file = path.join(mutantsDir, `${name}.patch`)
  if (!existsSync(file)) throw new BuildProblem(`minipend mutants: there is no mutant "${name}" in test/mutants/.`)
  const text = readFileSync(file, 'utf8')
  const fields = {}
  const files = []
  let hunk
  for (const line of text.split('\n')) {
    const field = /^([A-Z][a-z]+): (.*)$/.exec(line)
    const head = /^\+\+\+ b\/(.+)$/.exec(line)
    const range = /^@@ -(\d+)/.exec(line)
    if (head !== null) files.push({ file: head[1], hunks: [] })
    else if (range !== null) {
      hunk = { old: [], new: [], oldLine: Number(range[1]), changed: [] }
      files.at(-1).hunks.push(hunk)
    } else if (files.length === 0) {
      if (field !== null) fields[field[1]] = field[2]
    } else if (line.startsWith('--- ')) hunk = undefined
    else if (hunk !== undefined && /^[ +-]/.test(line)) {
      if (line[0] !== '+') hunk.old.push(line.slice(1))
      if (line[0] !== '-') hunk.new.push(line.slice(1))
      if (line[0] !== ' ') hunk.changed.push(hunk.old.length - 1)
    }
  }
  if (fields.What === undefined || fields.Breaks === undefined || files.length === 0) {
    throw new BuildProblem(`minipend mutants: ${name}.patch needs the lines What: and Breaks:, and a change.`)
  }
  return { name, text, fields, files }
}

/** Applies the hunks of one file by their text, wherever it stands now; it must stand there once. Returns the changed lines' numbers in the original. */
function applyHunks(patch, { file, hunks }, copyDir) {
  const target = path.join(copyDir, file)
  let text = readFileSync(target, 'utf8')
  const changed = []
  for (const hunk of hunks) {
    const old = `\n${hunk.old.join('\n')}\n`
    const at = `\n${text}`.indexOf(old)
    if (at < 0 || `\n${text}`.indexOf(old, at + 1) >= 0) {
      throw new BuildProblem(
        `minipend mutants: ${patch.name}.patch no longer applies to ${file}: its lines are ${at < 0 ? 'not there' : 'there more than once'}. Bring it up to date.`,
      )
    }
    const first = text.slice(0, at).split('\n').length
    changed.push(...hunk.changed.map((offset) => first + Math.max(0, offset)))
    text = text.slice(0, at) + hunk.new.join('\n') + text.slice(at + old.length - 2)
  }
  writeFileSync(target, text)
  return changed
}

/** Also of those that are not tried now: a patch that lags behind the driver is found by whoever runs any. */
function checkThatAllApply(patches) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-mutants-'))
  const problems = []
  try {
    for (const patch of patches) {
      cpSync(driverDir, path.join(directory, 'driver'), { recursive: true })
      try {
        for (const file of patch.files) applyHunks(patch, file, directory)
      } catch (error) {
        if (!(error instanceof BuildProblem)) throw error
        problems.push(error.message)
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  if (problems.length > 0) throw new BuildProblem(problems.join('\n'))
}

/** How CMake compiles the driver image's sources: [{ source, arguments }], without what counts coverage. */
function readCompileCommands() {
  const all = JSON.parse(readFileSync(path.join(driverBuild.directory, 'compile_commands.json'), 'utf8'))
  return all
    .filter(({ output: object = '', command }) => `${object} ${command}`.includes('minipend_driver.dir'))
    .map(({ file, command }) => {
      const words = command.split(/\s+/).map((word) => word.replaceAll('\\"', '"'))
      const compiler = words.findIndex((word) => /clang(-\d+)?$/.test(word))
      const kept = words.slice(compiler).filter((word) => !/^-f(profile|coverage)/.test(word))
      const object = kept.indexOf('-o')
      kept.splice(object, 2)
      return { source: file, command: [...kept.filter((word) => word !== '-c' && word !== file), '-Wno-error'] }
    })
}

/** Two sources are called entry.c. */
const objectOf = (directory, source) =>
  path.join(directory, `${path.basename(path.dirname(source))}-${path.basename(source)}.o`)

function compile({ source, command }, from, to, object) {
  const moved = command.map((word) => word.replace(from, to))
  output(moved[0], [...moved.slice(1), '-c', source.replace(from, to), '-o', object])
}

/** `libraries`: where the model is. */
function link(compiler, objects, image, libraries) {
  output(compiler, [
    ...['-shared', '-o', image, ...objects, `-L${libraries}`, '-lfltsim', `-Wl,-rpath,${libraries}`],
    `-Wl,--version-script=${path.join(paths.nativeDir, 'ddk', 'kmdf', 'exports.map')}`,
  ])
}

/** The unchanged driver: its objects, for what a mutant leaves alone, and its image, which catching tests must pass with. */
function buildBase(commands, libraries = driverBuild.directory) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-mutants-'))
  for (const command of commands) compile(command, driverDir, driverDir, objectOf(directory, command.source))
  const image = path.join(directory, 'minipend.host.so')
  link(
    commands[0].command[0],
    commands.map(({ source }) => objectOf(directory, source)),
    image,
    libraries,
  )
  return { directory, image, libraries }
}

function buildMutant(patch, commands, base) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-mutant-'))
  cpSync(driverDir, path.join(directory, 'driver'), { recursive: true })
  const changed = {}
  for (const file of patch.files) changed[file.file] = applyHunks(patch, file, directory)
  const header = Object.keys(changed).some((file) => file.endsWith('.h'))
  const objects = commands.map((command) => {
    const name = path.relative(paths.root, command.source)
    if (!header && !(name in changed)) return objectOf(base.directory, command.source)
    const object = objectOf(directory, command.source)
    compile(command, driverDir, path.join(directory, 'driver'), object)
    return object
  })
  const image = path.join(directory, 'minipend.host.so')
  link(commands[0].command[0], objects, image, base.libraries)
  return { directory, image, changed }
}

/** Tests in the order in which they are tried, each once: named by the patch, covering the change, or all of the driver's. */
function chooseTests(patch, changed, names, coverage) {
  const named = (patch.fields.Tests ?? '').split(/[\s,]+/).filter((text) => text !== '')
  const first = named.flatMap((text) => names.filter((name) => name.includes(text)))
  const covering = Object.entries(changed).flatMap(([file, lines]) =>
    lines.flatMap((line) => [0, 1, -1].flatMap((offset) => coverage?.[file]?.[line + offset] ?? [])),
  )
  const others = covering.length > 0 ? covering : names
  return [...new Set([...first, ...others])]
}

/** What a failed run says: the test that it happened in, and the line that tells most. */
function readFailure({ text, timedOut, signal }) {
  const started = [...text.matchAll(/^([a-z_0-9]+\.[a-z_0-9]+) (ok|FAILED)?/gm)]
  const bad = started.find(([, , end]) => end === 'FAILED') ?? started.find(([, , end]) => end === undefined)
  const test = (bad ?? started.at(-1))?.[1] ?? '?'
  const rule = /"rule":"([^"]+)","call":"([^"]*)","text":"((?:[^"\\]|\\.)*)"/.exec(text)
  const leak = /"leaks":\[("(?:[^"\\]|\\.)*")/.exec(text)
  const check = /^.*\/([a-z_]+\.[a-z]+:\d+: failed: .*)$/m.exec(text)
  const said = [
    rule !== null ? `the verifier: ${rule[1]} (${rule[2]}): ${rule[3]}` : undefined,
    leak !== null ? `leaked: ${leak[1]}` : undefined,
    check?.[1],
    timedOut ? 'it does not end' : undefined,
    signal !== null && !timedOut ? `it ends with ${signal}` : undefined,
  ].filter((line) => line !== undefined)
  return { test, text: (said[0] ?? 'it fails').slice(0, 300) }
}

async function tryMutant(patch, context) {
  if (patch.fields.Explore !== undefined) return exploreMutant(patch, context)
  const mutant = buildMutant(patch, context.commands, context.base)
  try {
    const tests = chooseTests(patch, mutant.changed, context.names, context.coverage)
    for (let i = 0; i < tests.length; i += batchTests) {
      const batch = tests.slice(i, i + batchTests)
      const run = await runTests(driverBuild, batch, {
        env: { MINIPEND_DRIVER_IMAGE: mutant.image },
        limitMs: batchLimitMs,
      })
      if (run.passed) continue
      const failure = readFailure(run)
      const good = await runTests(driverBuild, [failure.test], {
        env: { MINIPEND_DRIVER_IMAGE: context.base.image },
        limitMs: batchLimitMs,
      })
      if (good.passed) return { outcome: 'caught', ...failure }
      console.error(`${patch.name}: ${failure.test} fails without the mutant too; it does not count`)
    }
    return { outcome: 'SURVIVED', test: '', text: `${tests.length} tests passed` }
  } finally {
    rmSync(mutant.directory, { recursive: true, force: true })
  }
}

const exploreProgram = path.join(paths.testsDir, 'minipend_explore')

/** The driver's compile commands with a call before each of its loads and stores. */
const withPlainAccesses = (commands) =>
  commands.map(({ source, command }) => ({ source, command: [...command, '-fsanitize=thread', '-O1'] }))

/** What minipend_explore finds in an image: its exit code and the failure, if there is one. */
function runExplore(words, image) {
  const args = [...words, '--jobs', String(os.availableParallelism()), '--image', image]
  const result = spawnSync(exploreProgram, args, {
    encoding: 'utf8',
    maxBuffer: 1024 * 1024 * 64,
  })
  if (result.error !== undefined) throw result.error
  const lines = result.stdout.split('\n').filter((line) => line !== '')
  const failure = lines.map((line) => JSON.parse(line)).find(({ event }) => event === 'failure')
  if (result.status !== 0 && failure === undefined) {
    throw new BuildProblem(`minipend mutants: minipend_explore ${args.join(' ')} ended with ${result.status}`)
  }
  return failure
}

/** A race: the exploration has to find it. */
function exploreMutant(patch, context) {
  const words = patch.fields.Explore.split(/\s+/)
  const commands = words.includes('--plain') ? withPlainAccesses(context.commands) : context.commands
  const base = buildBase(commands, paths.testsDir)
  const mutant = buildMutant(patch, commands, base)
  try {
    const failure = runExplore(words, mutant.image)
    if (failure === undefined)
      return { outcome: 'SURVIVED', test: '', text: `explore ${patch.fields.Explore}: nothing` }
    if (runExplore(words, base.image) !== undefined) {
      throw new BuildProblem(`minipend mutants: explore ${patch.fields.Explore} fails without ${patch.name} too`)
    }
    const { rule, call, text, scenario, seed, shrunkTo } = failure
    const how = shrunkTo === null ? `seed ${seed}` : `seed ${seed}, ${shrunkTo} decisions`
    return {
      outcome: 'caught',
      test: `explore ${scenario} (${how})`,
      text: `${rule}${call === '' ? '' : ` (${call})`}: ${text}`.slice(0, 300),
    }
  } finally {
    for (const directory of [base.directory, mutant.directory]) rmSync(directory, { recursive: true, force: true })
  }
}

/** What a result depends on: the patch, the driver, and what it is tried with, with the model. */
function stateOf(programFile) {
  const hash = createHash('sha256')
  for (const file of readdirSync(driverDir, { recursive: true, encoding: 'utf8' }).sort()) {
    const full = path.join(driverDir, file)
    if (statSync(full).isFile()) hash.update(file).update(readFileSync(full))
  }
  return hash.update(readFileSync(programFile)).digest('hex')
}

const keyOf = (patch, state) => createHash('sha256').update(patch.text).update(state).digest('hex')
const resultFile = (name) => path.join(resultsDir, `${name}.json`)

function earlierResult(patch, state) {
  if (!existsSync(resultFile(patch.name))) return undefined
  const result = JSON.parse(readFileSync(resultFile(patch.name), 'utf8'))
  return result.key === keyOf(patch, state) ? result : undefined
}

function show(patch, result) {
  console.log(`${patch.name}: ${result.outcome}${result.test === '' ? '' : ` by ${result.test}`}`)
  console.log(`    ${patch.fields.What}`)
  console.log(`    ${result.text}`)
}

await runMain(async () => {
  const given = process.argv.slice(2)
  const unknown = given.find((word) => word.startsWith('--') && word !== '--sample' && word !== '--again')
  if (unknown !== undefined)
    throw new BuildProblem(
      `minipend mutants: unknown option ${unknown}. Usage: npm run mutants -- [--sample | --again | NAME...]`,
    )
  const named = given.filter((word) => !word.startsWith('--'))
  const all = readdirSync(mutantsDir)
    .filter((file) => file.endsWith('.patch'))
    .map((file) => file.slice(0, -'.patch'.length))
    .sort()
  const sample = readFileSync(path.join(mutantsDir, 'sample.txt'), 'utf8')
    .split(/\s+/)
    .filter((name) => name !== '')
  checkThatAllApply(all.map(readPatch))
  const patches = (named.length > 0 ? named : given.includes('--sample') ? sample : all).map(readPatch)

  const isRace = (patch) => patch.fields.Explore !== undefined
  const [races, others] = [patches.some(isRace), patches.some((patch) => !isRace(patch))]
  if (races) buildTestProgram('minipend_explore')
  if (others) buildTests(driverBuild)
  else configureTests(driverBuild)
  mkdirSync(resultsDir, { recursive: true })
  const states = { race: races ? stateOf(exploreProgram) : '', other: others ? stateOf(driverBuild.program) : '' }
  const commands = readCompileCommands()
  const context = {
    commands,
    base: others ? buildBase(commands) : undefined,
    names: others ? listTests(driverBuild) : [],
    coverage: existsSync(testsOfLines) ? JSON.parse(readFileSync(testsOfLines, 'utf8')) : undefined,
  }
  const outcomes = { caught: 0, equivalent: 0, SURVIVED: 0 }
  try {
    await inParallel(patches, async (patch) => {
      const equivalent = patch.fields.Equivalent
      const state = isRace(patch) ? states.race : states.other
      const earlier = named.length > 0 || given.includes('--again') ? undefined : earlierResult(patch, state)
      const result =
        equivalent !== undefined
          ? { outcome: 'equivalent', test: '', text: equivalent }
          : (earlier ?? { ...(await tryMutant(patch, context)), key: keyOf(patch, state) })
      outcomes[result.outcome] += 1
      if (result.key !== undefined) writeFileSync(resultFile(patch.name), JSON.stringify(result))
      show(patch, result)
    })
  } finally {
    if (context.base !== undefined) rmSync(context.base.directory, { recursive: true, force: true })
  }
  console.log(
    `${patches.length} mutants: ${outcomes.caught} caught, ${outcomes.equivalent} equivalent, ${outcomes.SURVIVED} survived`,
  )
  process.exitCode = outcomes.SURVIVED === 0 ? 0 : 1
})
