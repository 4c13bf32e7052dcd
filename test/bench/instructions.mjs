// SPDX-License-Identifier: MIT
//
// This module provides: `node test/bench/instructions.mjs`: how many instructions of the driver's own an operation costs, on the host build.
// minipend_bench (instructions.cpp) runs each scenario twice under valgrind's callgrind, with N and with 2N operations; the difference of
// the driver image's self cost, divided by N, is the cost of one operation. What the driver calls (the model here, the kernel elsewhere)
// is not in it. It prints a table on stderr and JSON on stdout.
//
// The Filter Manager calls the driver by the Windows convention, where a callee keeps xmm6 to xmm15. In the host build alone the driver's
// functions call each other by the host's, where it does not, so that each callback of the driver's saves these registers around what it does.
// These instructions are not the driver's: they are told apart ("host convention") and not in the sum. Checks of a debug build are in it.
//
//   --build-dir DIR    where native/ is or shall be built (default: build/bench)
//   --operations N     default 500
//   --scenario NAME    only this one; may be given again
//   --functions        also what each function of the driver costs
//   --max NAME=COUNT   exit code 1 when the scenario costs more instructions than that; may be given again

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

const root = path.resolve(import.meta.dirname, '..', '..')

class Problem extends Error {}

/** What it prints on stdout. @throws Problem */
function run(what, command, args) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  if (result.error !== undefined) throw new Problem(`${what}: ${command} does not run: ${result.error.message}`)
  if (result.status !== 0) {
    throw new Problem(`${what} failed (${result.status ?? result.signal}):\n${result.stdout}${result.stderr}`)
  }
  return result.stdout
}

/** Builds minipend_bench, optimised as the driver is. Returns its path. */
function build(directory) {
  const configure = ['-S', path.join(root, 'native'), '-B', directory, '-DMINIPEND_TESTS=ON']
  run('configuring', 'cmake', [...configure, '-DCMAKE_BUILD_TYPE=RelWithDebInfo'])
  run('compiling', 'cmake', ['--build', directory, '--target', 'minipend_bench', '--parallel', '2'])
  return path.join(directory, 'minipend_bench')
}

const hostConvention = '(host convention)'

/** fltsim loads a copy of the driver image under a name like this. */
const driverImage = /(^|[\\/])fltsim-\d+-\d+\.so$/

/** Addresses of the instructions in the image that save or restore a register that only the Windows convention keeps. */
function conventionAddresses(image) {
  const listing = run('disassembling', 'objdump', ['-d', '--no-show-raw-insn', image])
  const save =
    /^ *([0-9a-f]+):\s+v?mov[au]ps +(?:%xmm(?:[6-9]|1[0-5]),0x[0-9a-f]+\(%rsp\)|0x[0-9a-f]+\(%rsp\),%xmm(?:[6-9]|1[0-5])) *$/gm
  return new Set([...listing.matchAll(save)].map(([, address]) => Number.parseInt(address, 16)))
}

/**
 * Self cost by function of the driver image. The format is callgrind's own: a name stands after its number once, then the number alone;
 * cost lines are "address line cost", the address absolute, or relative to the last one ("+", "-", "*"); the line after "calls=" is the cost of
 * what was called, not of the caller.
 */
function driverCosts(text, convention) {
  const names = { ob: new Map(), fn: new Map() }
  const named = (kind, number, name) => {
    // "'2" and so on: a level of recursion, which is what a switch of stacks looks like to callgrind.
    if (name !== '') names[kind].set(number, name.replace(/'\d+$/, ''))
    return names[kind].get(number)
  }
  const costs = new Map()
  let object = ''
  let current = ''
  let callee = false
  let address = 0
  for (const line of text.split('\n')) {
    const spec = /^(c?)(ob|fn)=\((\d+)\) ?(.*)$/.exec(line)
    if (spec !== null) {
      const [, called, kind, number, rest] = spec
      const name = named(kind, number, rest)
      if (called === '' && kind === 'ob') object = name
      if (called === '' && kind === 'fn') current = name
    } else if (line.startsWith('calls=')) {
      callee = true
    } else if (/^(0x|[+\-*])/.test(line)) {
      const [position, , cost] = line.split(' ')
      if (position.startsWith('0x')) address = Number(position)
      else if (position !== '*') address += Number(`${position[0]}1`) * Number(position.slice(1))
      if (!callee && driverImage.test(object)) {
        const name = convention.has(address) ? hostConvention : current
        costs.set(name, (costs.get(name) ?? 0) + Number(cost))
      }
      callee = false
    }
  }
  return costs
}

/** One run under callgrind: what the program says, and the driver's costs. */
function measure({ program, convention }, scenario, operations) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-bench-'))
  try {
    const file = path.join(directory, 'callgrind.out')
    const tool = ['--tool=callgrind', '--quiet', '--dump-instr=yes', `--callgrind-out-file=${file}`]
    const said = run(`${scenario}, ${operations} operations`, 'valgrind', [
      ...tool,
      program,
      scenario,
      String(operations),
    ])
    return { ...JSON.parse(said), costs: driverCosts(readFileSync(file, 'utf8'), convention) }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Which counter must have counted every operation of a scenario. */
const counterOf = (scenario) =>
  scenario.startsWith('unmatched') ? 'unmatched' : scenario.startsWith('observed') ? 'observed' : 'completed'

function check(result) {
  const counter = counterOf(result.scenario)
  if (result[counter] !== result.operations || result.postOperations !== result.operations) {
    const { postOperations, operations } = result
    throw new Problem(
      `${result.scenario}: of ${operations} operations ${postOperations} had a post-operation and ${result[counter]} were ${counter}`,
    )
  }
}

/** Instructions of one operation, and of each function for it. */
function perOperation(bench, scenario, operations) {
  for (let attempt = 0; attempt < 5; attempt++) {
    const once = measure(bench, scenario, operations)
    const twice = measure(bench, scenario, 2 * operations)
    check(once)
    check(twice)
    if (once.polls !== twice.polls) continue // one run asked for the counters more often, which is driver code too
    const functions = [...twice.costs]
      .map(([name, cost]) => ({ name, instructions: (cost - (once.costs.get(name) ?? 0)) / operations }))
      .filter(({ instructions }) => instructions > 0.05)
      .sort((a, b) => b.instructions - a.instructions)
    const sum = (total, { instructions }) => total + instructions
    const own = functions.filter(({ name }) => name !== hostConvention)
    const saves = functions.filter(({ name }) => name === hostConvention)
    return { scenario, instructions: own.reduce(sum, 0), hostConvention: saves.reduce(sum, 0), functions: own }
  }
  throw new Problem(`${scenario}: no two runs were alike`)
}

function limits(texts) {
  return new Map(
    texts.map((text) => {
      const [, name, count] = /^([\w-]+)=(\d+)$/.exec(text) ?? []
      if (name === undefined) throw new Problem(`--max: expected NAME=COUNT, got "${text}"`)
      return [name, Number(count)]
    }),
  )
}

function main() {
  const { values } = parseArgs({
    options: {
      'build-dir': { type: 'string', default: path.join(root, 'build', 'bench') },
      operations: { type: 'string', default: '500' },
      scenario: { type: 'string', multiple: true },
      functions: { type: 'boolean', default: false },
      max: { type: 'string', multiple: true, default: [] },
    },
  })
  const operations = Number(values.operations)
  if (!(Number.isInteger(operations) && operations >= 10 && operations <= 100_000)) {
    throw new Problem(`--operations: expected a number from 10 to 100,000, got "${values.operations}"`)
  }
  const max = limits(values.max)
  if (spawnSync('valgrind', ['--version']).status !== 0) {
    throw new Problem('valgrind was not found (Debian or Ubuntu: apt install valgrind)')
  }
  const program = build(path.resolve(values['build-dir']))
  const known = run('listing', program, ['--list']).trim().split('\n')
  const wanted = values.scenario ?? known
  const unknown = [...wanted, ...max.keys()].find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Problem(`there is no scenario "${unknown}"; there are: ${known.join(', ')}`)

  const bench = { program, convention: conventionAddresses(path.join(path.dirname(program), 'minipend.host.so')) }
  const results = []
  for (const scenario of wanted) {
    const result = perOperation(bench, scenario, operations)
    results.push(result)
    const [own, saves] = [result.instructions, result.hostConvention].map((count) => count.toFixed(1).padStart(8))
    console.error(`${scenario.padEnd(28)}${own} instructions per operation, and${saves} for the host convention`)
    if (values.functions) {
      for (const { name, instructions } of result.functions) {
        console.error(`  ${name.padEnd(40)}${instructions.toFixed(1).padStart(8)}`)
      }
    }
    const limit = max.get(scenario)
    if (limit !== undefined && result.instructions > limit) {
      console.error(`${scenario}: more than ${limit}`)
      process.exitCode = 1
    }
  }
  console.log(JSON.stringify({ operations, results }, undefined, 2))
}

try {
  main()
} catch (error) {
  if (!(error instanceof Problem)) throw error
  console.error(`instructions: ${error.message}`)
  process.exitCode = 2
}
