// SPDX-License-Identifier: MIT
//
// This module provides: `npm run test:image`: everything that tests the driver, on minipend.sys itself instead of the host build: the native tests, the
// conformance cases, whose outcomes are compared with those on the host build, the end-to-end tests, and `minipend host` (test/image).
//
//   npm run test:image                    all of it
//   npm run test:image -- native e2e      only these: native, conformance, e2e
//   npm run test:image -- --image FILE    another minipend.sys: one that the WDK built, say

import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

import { build, buildNativeTests } from '../build.mjs'
import { buildImage, driverImage } from './image.js'
import { buildTestDrivers, testDriverDirectory } from './test-drivers.js'
import * as paths from '../paths.mjs'
import { BuildProblem, runMain } from '../toolchain.mjs'

const PARTS = ['native', 'conformance', 'e2e'] as const
type Part = (typeof PARTS)[number]
const LIMIT_MS = 15 * 60 * 1000

interface Wanted {
  readonly parts: readonly Part[]
  readonly image: string | undefined
}

function readArguments(given: readonly string[]): Wanted {
  const parts: Part[] = []
  let image: string | undefined
  for (let index = 0; index < given.length; index += 1) {
    const word = given[index] ?? ''
    const part = PARTS.find((each) => each === word)
    if (part !== undefined) parts.push(part)
    else if (word === '--image' && given[index + 1] !== undefined) image = path.resolve(given[(index += 1)] ?? '')
    else throw new BuildProblem(`minipend test:image: "${word}" is none of ${PARTS.join(', ')}, --image FILE.`)
  }
  return { parts: parts.length === 0 ? PARTS : parts, image }
}

/** Runs it with what it prints shown; the exit code. */
function show(command: string, args: readonly string[], environment: Record<string, string>): number {
  const { status, signal, error } = spawnSync(command, args, {
    ...{ cwd: paths.root, stdio: 'inherit', timeout: LIMIT_MS },
    env: { ...process.env, ...environment },
  })
  if (error !== undefined) throw error
  if (signal !== null) console.log(`ended by ${signal}`)
  return status ?? 1
}

interface Difference {
  readonly kind: string
  readonly topic: string
  readonly name: string
  readonly what: string
}

/** The cases on the host build and on the image. Counters may differ in what the model's timing decides; outcomes may not. */
function conformance(environment: Record<string, string>): boolean {
  const directory = path.join(paths.buildDir, 'image')
  mkdirSync(directory, { recursive: true })
  const [host, image] = ['host.json', 'image.json'].map((name) => path.join(directory, name)) as [string, string]
  const cli = path.join(paths.distDir, 'cli', 'main.js')
  console.log('\nconformance cases on the host build')
  const hostStatus = show(process.execPath, [cli, 'validate', '--out', host], {})
  console.log('\nconformance cases on the image')
  const imageStatus = show(process.execPath, [cli, 'validate', '--out', image], environment)
  const { stdout } = spawnSync(process.execPath, [cli, 'compare', host, image, '--json'], { encoding: 'utf8' })
  const compared = JSON.parse(stdout) as { readonly differences: readonly Difference[]; readonly reasons: string[] }
  const outcomes = compared.differences.filter(({ kind }) => kind !== 'counters')
  for (const { kind, topic, name, what } of outcomes) console.log(`${kind}: ${topic}: ${name}\n  ${what}`)
  const cases = (JSON.parse(readFileSync(image, 'utf8')) as { readonly cases: readonly unknown[] }).cases.length
  console.log(`${outcomes.length === 0 ? 'the same outcomes' : `${outcomes.length} outcomes differ`}: ${cases} cases`)
  compared.reasons.forEach((line) => console.log(`  ${line}`))
  return hostStatus === 0 && imageStatus === 0 && outcomes.length === 0
}

await runMain(async () => {
  const { parts, image: given } = readArguments(process.argv.slice(2))
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new BuildProblem(
      `minipend test:image: the model runs Windows driver images on x86-64 Linux only; this is ${process.platform} ${process.arch}. npm test tests the host build.`,
    )
  }
  const image = given ?? (await buildImage(driverImage('x64', path.join(paths.buildDir, 'driver', 'x64')))).image
  const environment = { MINIPEND_DRIVER_IMAGE: image, MINIPEND_TEST_IMAGES: testDriverDirectory }
  const failed: string[] = []
  const expect = (part: Part, good: boolean): void => {
    if (!good) failed.push(part)
  }
  if (parts.includes('native') || parts.includes('e2e')) await buildTestDrivers()
  if (parts.includes('native')) {
    const program = buildNativeTests()
    if (program === undefined) throw new BuildProblem('minipend test:image: the native tests are not here.')
    console.log('\nnative tests on the image')
    const options = ['--brief', '--jobs', String(os.availableParallelism())]
    expect('native', show(program, options, environment) === 0)
  }
  if (parts.some((part) => part !== 'native')) build()
  if (parts.includes('conformance')) expect('conformance', conformance(environment))
  if (parts.includes('e2e')) {
    console.log('\nend-to-end tests on the image')
    expect('e2e', show('npx', ['vitest', 'run', 'test/e2e', 'test/image'], environment) === 0)
  }
  if (failed.length > 0) throw new BuildProblem(`minipend test:image: failed: ${failed.join(', ')}.`)
})
