// SPDX-License-Identifier: MIT
//
// This module provides: `npm run package`: everything that the package carries beside its JavaScript, and the package itself, as
// build/made-by-npm-run-package/minipend-VERSION.tgz.
//
//   prebuilt/<platform>-<architecture>/   addon, model, the driver's image for the model
//   prebuilt/driver/<architecture>/       the driver package for Windows, with a test signature
//   prebuilt/manifest.json                hashes, versions, commit
//
//   node scripts/package/package.mjs --check   nothing is made: fails when prebuilt/ or dist/ is not that of this tree (npm's "prepack")
//
// What other machines have made (prebuilt/<another platform>) stays when it is of the same version and commit.

import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import { build } from '../build.mjs'
import { buildWindows, windowsFiles, windowsRelease } from '../cross/build.mjs'
import * as paths from '../paths.mjs'
import { BuildProblem, runMain } from '../toolchain.mjs'
import { leastGlibc, portabilityProblems, readDemands } from './elf.mjs'
import { importProblems } from './pe.mjs'
import {
  builder,
  makeManifest,
  manifestFile,
  packingProblems,
  prebuiltDir,
  readManifest,
  sourceOf,
} from './manifest.mjs'

const releaseDir = path.join(paths.buildDir, 'release')
const driverArchitectures = ['x64', 'arm64']

/** .npmrc names the same directory: `npm pack` alone fails while it is not there. */
export const tarballDir = path.join(paths.buildDir, 'made-by-npm-run-package')

function run(what, command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: paths.root, encoding: 'utf8', stdio: 'pipe', ...options })
  if (result.error !== undefined)
    throw new BuildProblem(`minipend package: ${what} could not start: ${result.error.message}`)
  if (result.status !== 0) {
    process.stderr.write((result.stdout ?? '') + (result.stderr ?? ''))
    throw new BuildProblem(`minipend package: ${what} failed; its output is above.`)
  }
  return result.stdout
}

const firstLine = (command, ...args) => run(command, command, args).split('\n', 1)[0].trim()

function compilerName() {
  const cache = readFileSync(path.join(paths.buildDir, 'CMakeCache.txt'), 'utf8')
  const command = /^CMAKE_CXX_COMPILER:\w+=(.*)$/m.exec(cache)?.[1]
  return command === undefined ? 'unknown' : firstLine(command, '--version')
}

/** Copies what was built for this machine's kind; what is known of it. */
function hostPlatform() {
  if (process.platform !== 'linux') {
    throw new BuildProblem(`minipend package: packages are made on Linux; this is ${process.platform}.`)
  }
  if (process.report.getReport().header.glibcVersionRuntime === undefined) {
    throw new BuildProblem('minipend package: packages are made with glibc, which this system does not have.')
  }
  run('linking', 'cmake', ['--build', paths.buildDir, '--config', paths.configuration, '--target', 'minipend_release'])
  const directory = path.join(prebuiltDir, `linux-${process.arch}`)
  rmSync(directory, { force: true, recursive: true })
  mkdirSync(directory, { recursive: true })
  const versions = []
  for (const name of ['minipend.node', 'libfltsim.so', 'minipend.host.so']) {
    const file = path.join(releaseDir, name)
    const demands = readDemands(file)
    const problems = portabilityProblems(demands)
    if (problems.length > 0) throw new BuildProblem(`minipend package: ${name}: ${problems.join(', ')}.`)
    versions.push(...demands.versions)
    copyFileSync(file, path.join(directory, name))
  }
  const facts = { builtBy: builder(), compiler: compilerName(), nodeApi: 9, glibc: leastGlibc(versions) }
  return { [`linux-${process.arch}`]: facts }
}

/** The Windows client, built here (npm run build:windows). */
function windowsPlatform() {
  buildWindows()
  const directory = path.join(prebuiltDir, 'win32-x64')
  rmSync(directory, { force: true, recursive: true })
  mkdirSync(directory, { recursive: true })
  for (const name of windowsFiles) {
    const file = path.join(windowsRelease, name)
    const problems = importProblems(file)
    if (problems.length > 0) throw new BuildProblem(`minipend package: ${name}: ${problems.join(', ')}.`)
    copyFileSync(file, path.join(directory, name))
  }
  return { 'win32-x64': { builtBy: builder(), compiler: firstLine('clang-19', '--version'), nodeApi: 9 } }
}

/** Other machines' platforms, as far as they belong to this tree. */
function otherPlatforms(known) {
  const before = readManifest()
  const source = sourceOf()
  const mayStay = before !== undefined && source !== null && before.source?.commit === source.commit
  const kept = {}
  for (const name of existsSync(prebuiltDir) ? readdirSync(prebuiltDir) : []) {
    if (name in known || name === 'driver' || name === 'manifest.json') continue
    if (mayStay && before.platforms[name] !== undefined) {
      kept[name] = before.platforms[name]
    } else {
      console.log(`minipend package: prebuilt/${name} is not of this commit: removed`)
      rmSync(path.join(prebuiltDir, name), { force: true, recursive: true })
    }
  }
  return kept
}

/** Builds and signs the driver. The key stays where `minipend sign` keeps it. */
function driverPackages() {
  run('building the driver', process.execPath, ['--import', 'tsx', 'scripts/driver/build.ts'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const drivers = {}
  for (const architecture of driverArchitectures) {
    const source = path.join('build', 'driver', architecture)
    const target = path.join('prebuilt', 'driver', architecture)
    const program = path.join(paths.distDir, 'cli', 'main.js')
    const args = [program, 'sign', source, '--out', target, '--json']
    const { certificate } = JSON.parse(run('signing the driver', process.execPath, args))
    drivers[architecture] = {
      builtBy: builder(),
      certificate: { sha256: certificate.sha256, validTo: certificate.validTo },
    }
  }
  return drivers
}

/** The tarball's path. */
function pack() {
  const problems = packingProblems()
  if (problems.length > 0) throw new BuildProblem(`minipend package: ${problems.join('\n')}`)
  mkdirSync(tarballDir, { recursive: true })
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', tarballDir]
  const [{ filename }] = JSON.parse(run('npm pack', 'npm', args))
  return path.join(tarballDir, filename)
}

export function makePackage() {
  build()
  mkdirSync(prebuiltDir, { recursive: true })
  const own = { ...hostPlatform(), ...windowsPlatform() }
  const platforms = { ...otherPlatforms(own), ...own }
  const drivers = driverPackages()
  const sorted = Object.fromEntries(Object.entries(platforms).sort(([a], [b]) => (a < b ? -1 : 1)))
  writeFileSync(manifestFile, `${JSON.stringify(makeManifest(sorted, drivers), undefined, 2)}\n`)
  const tarball = pack()
  const bytes = readFileSync(tarball).length
  console.log(
    `${path.relative(process.cwd(), tarball)}: ${bytes} bytes, with binaries for ${Object.keys(sorted).join(', ')}`,
  )
  return tarball
}

function check() {
  const problems = packingProblems()
  if (problems.length > 0) {
    throw new BuildProblem(
      `minipend package: not ready to be packed: ${problems.join('; ')}. Run \`npm run package\`: it builds, and packs.`,
    )
  }
}

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === import.meta.filename) {
  await runMain(process.argv[2] === '--check' ? check : makePackage)
}
