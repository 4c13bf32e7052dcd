// SPDX-License-Identifier: MIT
//
// This module provides: `npm run bench`: what operations cost, as tables on stderr and JSON on stdout or in a file. How to read it: docs/BENCH.md.
//
//   --quick            small sizes: does it work, not what does it cost
//   --suite NAME       forms, rules, held, clients, memory, worlds (minipend_operations, inside the model), client (the TypeScript client),
//                      boundary (ways to call C); may be given again. Default: all
//   --executor NAME    fibers or threads, for the suites inside the model. Default: both
//   --repetitions N    default 7
//   --out FILE         the JSON goes there instead of to stdout
//   --build-dir DIR    where native/ is or shall be built for it (default: build/bench)

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

import { build } from '../../scripts/build.mjs'
import { BuildProblem, runMain } from '../../scripts/toolchain.mjs'
import { addRatios, memoryTable, summarise, timeTable } from './statistics.mjs'

const root = path.resolve(import.meta.dirname, '..', '..')
const say = (text) => process.stderr.write(`${text}\n`)

/** The suites of minipend_operations: columns of their table, [key, title]; which results a ratio compares; and against which one. */
const nativeSuites = {
  forms: {
    title: 'Operations inside the model, ratio: to no filter',
    columns: [
      ['form', 'form'],
      ['filter', 'filter'],
      ['executor', 'executor'],
    ],
    keys: ['form', 'executor'],
    isBase: ({ filter }) => filter === 'no filter',
  },
  rules: {
    title: 'queryInformation (IRP), unmatched, against the number of rules, ratio: to one rule',
    columns: [
      ['rule', 'each rule is'],
      ['rules', 'rules'],
      ['executor', 'executor'],
    ],
    keys: ['rule', 'executor'],
    isBase: ({ rules }) => rules === 1,
  },
  held: {
    title: 'queryInformation (IRP) against the number of held operations, ratio: to none',
    columns: [
      ['filter', 'filter'],
      ['held', 'held'],
      ['executor', 'executor'],
    ],
    keys: ['filter', 'executor'],
    isBase: ({ held }) => held === 0,
  },
  clients: {
    title: 'queryInformation (IRP) against the number of clients, ratio: to one',
    columns: [
      ['filter', 'filter'],
      ['clients', 'clients'],
      ['executor', 'executor'],
    ],
    keys: ['filter', 'executor'],
    isBase: ({ clients }) => clients === 1,
  },
  memory: { title: 'Memory for each held operation' },
  worlds: {
    title: 'Making and ending a world, ratio: to an empty one',
    columns: [
      ['world', 'world'],
      ['executor', 'executor'],
    ],
    keys: ['executor'],
    isBase: ({ world }) => world === 'empty',
    what: 'world',
  },
}

const scriptSuites = {
  client: {
    title: 'Through the TypeScript client and the addon, ratio: to no filter',
    columns: [
      ['form', 'form'],
      ['inFlight', 'in flight'],
      ['filter', 'filter'],
    ],
    keys: ['form', 'inFlight'],
    isBase: ({ filter }) => filter === 'no filter',
    run: async (plan) => (await import('./client-suite.mjs')).clientSuite({ ...plan, calls: plan.quick ? 32 : 2000 }),
  },
  boundary: {
    title: 'One C function, several ways to call it, ratio: to the hand-written addon',
    columns: [
      ['call', 'call'],
      ['way', 'way'],
    ],
    keys: ['call'],
    isBase: ({ way }) => way.startsWith('hand-written'),
    what: 'call',
    run: async (plan) =>
      (await import('./boundary-suite.mjs')).boundarySuite({ ...plan, calls: plan.quick ? 20 : 2000 }),
  },
}

/** What it prints on stdout. @throws BuildProblem */
function run(what, command, args) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, timeout: 1_200_000 })
  if (result.error !== undefined) throw new BuildProblem(`bench: ${what}: ${command}: ${result.error.message}`)
  if (result.status !== 0) {
    throw new BuildProblem(
      `bench: ${what} failed (${result.status ?? result.signal}):\n${result.stdout}${result.stderr}`,
    )
  }
  return result.stdout
}

/** Builds the native programs, optimised. They see the model's inside, so they have a build directory of their own. */
function buildNative(directory) {
  const targets = ['--target', 'minipend_operations', '--target', 'minipend_bench_call', '--parallel', '2']
  const configure = ['-S', path.join(root, 'native'), '-B', directory, '-DMINIPEND_TESTS=ON']
  run('configuring', 'cmake', [...configure, '-DCMAKE_BUILD_TYPE=RelWithDebInfo'])
  run('compiling', 'cmake', ['--build', directory, ...targets])
}

/** Of one repetition. Real threads hand every wait over through the host. */
const operationsOf = (executor, { quick }) => (quick ? 400 : executor === 'fibers' ? 20_000 : 4_000)

function runNative(directory, suite, executor, plan) {
  const args = [suite, '--repetitions', String(plan.repetitions), '--operations', String(operationsOf(executor, plan))]
  if (plan.quick) args.push('--quick')
  if (executor === 'threads') args.push('--threads')
  const lines = run(`${suite} (${executor})`, path.join(directory, 'minipend_operations'), args).trim().split('\n')
  return lines.map((line) => JSON.parse(line))
}

const machine = () => ({
  processor: os.cpus()[0]?.model ?? 'unknown',
  processors: os.cpus().length,
  memoryBytes: os.totalmem(),
  system: `${os.type()} ${os.release()} ${os.arch()}`,
  node: process.version,
  loadAverage: os.loadavg(),
})

function show(suite, results) {
  const { title, columns, what } = nativeSuites[suite] ?? scriptSuites[suite]
  say(`\n${title}`)
  say(suite === 'memory' ? memoryTable(results) : timeTable(results, columns, what))
}

function options() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      suite: { type: 'string', multiple: true },
      executor: { type: 'string' },
      repetitions: { type: 'string' },
      out: { type: 'string' },
      'build-dir': { type: 'string', default: path.join(root, 'build', 'bench') },
    },
  })
  const all = [...Object.keys(nativeSuites), ...Object.keys(scriptSuites)]
  const suites = values.suite ?? all
  const unknown = suites.find((suite) => !all.includes(suite))
  if (unknown !== undefined) throw new BuildProblem(`bench: no suite "${unknown}"; there are ${all.join(', ')}`)
  if (![undefined, 'fibers', 'threads'].includes(values.executor)) {
    throw new BuildProblem(`bench: no executor "${values.executor}"; there are fibers and threads`)
  }
  const repetitions = Number(values.repetitions ?? (values.quick ? 2 : 7))
  if (!Number.isInteger(repetitions) || repetitions < 1 || repetitions > 1000) {
    throw new BuildProblem(`bench: --repetitions ${values.repetitions}: expected a whole number from 1 to 1000`)
  }
  const executors = values.executor === undefined ? ['fibers', 'threads'] : [values.executor]
  return {
    suites,
    executors,
    repetitions,
    quick: values.quick,
    out: values.out,
    directory: path.resolve(values['build-dir']),
  }
}

async function measure(suite, plan) {
  const definition = nativeSuites[suite] ?? scriptSuites[suite]
  const raw = definition.run
    ? await definition.run({ ...plan, callAddon: path.join(plan.directory, 'minipend_bench_call.node') })
    : plan.executors.flatMap((executor) => runNative(plan.directory, suite, executor, plan))
  if (suite === 'memory') return raw
  return addRatios(raw.map(summarise), definition.keys, definition.isBase)
}

await runMain(async () => {
  const plan = options()
  build()
  buildNative(plan.directory)
  const started = machine()
  const results = []
  for (const suite of plan.suites) {
    const measured = await measure(suite, plan)
    show(suite, measured)
    results.push(...measured)
  }
  const json = `${JSON.stringify({ schema: 'minipend-bench-1', quick: plan.quick, machine: started, results }, undefined, 2)}\n`
  if (plan.out === undefined) process.stdout.write(json)
  else writeFileSync(plan.out, json)
})
