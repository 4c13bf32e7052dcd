// SPDX-License-Identifier: MIT
//
// This module provides: `npm run build`. In order: CMake (through cmake-js) builds the addon, the model and the driver's host image;
// the TypeScript layout is generated from the compiled protocol header; tsc writes dist/.
// Invariants: nothing is downloaded; a step whose inputs have not changed does nothing; a problem that the user can solve is one line.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'

import { generateProtocol } from './generate-protocol.mjs'
import { generateReadings } from './generate-readings.mjs'
import * as paths from './paths.mjs'
import { BuildProblem, checkToolchain, runMain } from './toolchain.mjs'

const stampFile = path.join(paths.buildDir, 'minipend-stamp.json')

/** Runs a command; what it prints is shown only when it fails, or always with MINIPEND_VERBOSE=1. */
function run(what, command, args, options = {}) {
  const verbose = process.env['MINIPEND_VERBOSE'] === '1'
  const result = spawnSync(command, args, {
    cwd: paths.root,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    stdio: verbose ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    ...options,
  })
  if (result.error !== undefined)
    throw new BuildProblem(`minipend build: ${what} could not start: ${result.error.message}`)
  if (result.status === 0) return
  if (!verbose) process.stderr.write((result.stdout ?? '') + (result.stderr ?? ''))
  throw new BuildProblem(
    `minipend build: ${what} failed (exit code ${result.status ?? result.signal}); its output is above.`,
  )
}

function readStamp() {
  try {
    return JSON.parse(readFileSync(stampFile, 'utf8'))
  } catch {
    return {} // none yet, or one that was cut short: then everything is looked at again
  }
}

function writeStamp(stamp) {
  mkdirSync(paths.buildDir, { recursive: true })
  writeFileSync(stampFile, `${JSON.stringify(stamp, undefined, 2)}\n`)
}

/** What a configured build directory depends on, beyond what CMake watches by itself. */
function configureKey(compilers) {
  return JSON.stringify([
    paths.root,
    compilers,
    process.arch,
    paths.packageVersion('cmake-js'),
    paths.packageVersion('node-addon-api'),
    paths.packageVersion('node-api-headers'),
  ])
}

function configure(compilers) {
  // A cache that names another directory (the checkout was moved or copied) cannot be used again.
  rmSync(path.join(paths.buildDir, 'CMakeCache.txt'), { force: true })
  rmSync(path.join(paths.buildDir, 'CMakeFiles'), { force: true, recursive: true })
  const args = [paths.packageFile('cmake-js', 'bin', 'cmake-js'), 'configure', '--log-level', 'warn']
  args.push('--directory', paths.nativeDir, '--out', paths.buildDir, '--config', paths.configuration)
  if (compilers !== undefined) args.push('--cc', compilers.c, '--cxx', compilers.cxx)
  run('configuring', process.execPath, args)
}

function buildNative(stamp) {
  const compilers = checkToolchain()
  const key = configureKey(compilers)
  if (stamp.configured !== key || !existsSync(path.join(paths.buildDir, 'CMakeCache.txt'))) {
    console.log('minipend build: configuring (CMake)')
    configure(compilers)
    stamp.configured = key
    writeStamp(stamp)
  }
  if (!existsSync(paths.addon)) console.log('minipend build: compiling; the first time takes a minute or two')
  run('compiling', 'cmake', ['--build', paths.buildDir, '--config', paths.configuration, '--parallel', jobs()])
}

/** Names, sizes and times of everything that dist/ is made from. */
function sourcesKey() {
  const hash = createHash('sha256')
  const look = (file) => {
    const { size, mtimeMs } = statSync(file)
    hash.update(`${path.relative(paths.root, file)}\0${size}\0${mtimeMs}\n`)
  }
  const files = readdirSync(path.join(paths.root, 'src'), { recursive: true, withFileTypes: true })
  files
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort()
    .forEach(look)
  look(path.join(paths.root, 'tsconfig.json'))
  look(path.join(paths.root, 'tsconfig.build.json'))
  return hash.digest('hex')
}

function buildTypeScript(stamp) {
  const key = sourcesKey()
  if (stamp.sources === key && existsSync(paths.distDir)) return
  // A file that is gone from src/ must not live on in dist/.
  rmSync(paths.distDir, { force: true, recursive: true })
  rmSync(path.join(paths.buildDir, 'tsconfig.build.tsbuildinfo'), { force: true })
  run('tsc', process.execPath, [paths.packageFile('typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json'])
  copyDeclarations()
  stamp.sources = key
  writeStamp(stamp)
}

/** tsc leaves hand-written declarations where they are, though those that it writes refer to them. */
function copyDeclarations() {
  const source = path.join(paths.root, 'src')
  for (const file of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
    if (file.endsWith('.d.ts')) copyFileSync(path.join(source, file), path.join(paths.distDir, file))
  }
}

/** An installed package has dist/ already, and no sources of it. */
const hasSources = () => existsSync(path.join(paths.root, 'src'))

/** An installed package does not bring them: whoever has binaries for his machine does without. */
function checkPackages() {
  const { peerDependencies } = JSON.parse(readFileSync(path.join(paths.root, 'package.json'), 'utf8'))
  const missing = ['cmake-js', 'node-addon-api', 'node-api-headers'].filter((name) => !paths.hasPackage(name))
  if (missing.length === 0) return
  const versions = missing.map((name) => `${name}@${peerDependencies[name]}`).join(' ')
  throw new BuildProblem(
    hasSources()
      ? 'minipend build: the dependencies are not installed. Run npm ci, then the command again.'
      : `minipend build: ${missing.join(', ')} not installed. Run: npm install ${versions}, then the command again.`,
  )
}

const jobs = () => String(os.availableParallelism())

/** An installed package has none, and the model does not run on Windows as a program of its own. */
function hasNativeTests() {
  return process.platform !== 'win32' && existsSync(paths.nativeTestsDir)
}

/** How the native tests are compiled, and the model for them. -O2 takes longer to compile than it saves. */
export const testsOptions = ['-DCMAKE_BUILD_TYPE=RelWithDebInfo', '-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1']

/**
 * Builds a program of the native tests, of the reference check or of the bench, all in one directory of their own: they look inside the model, which the library that
 * the addon loads does not show. Its path.
 */
export function buildTestProgram(target) {
  const compilers = checkToolchain()
  const directory = paths.testsDir
  const options = ['-DMINIPEND_TESTS=ON', ...testsOptions]
  options.push(`-DCMAKE_C_COMPILER=${compilers.c}`, `-DCMAKE_CXX_COMPILER=${compilers.cxx}`)
  const key = JSON.stringify([configureKey(compilers), options])
  if (readStamp().nativeTests !== key || !existsSync(path.join(directory, 'CMakeCache.txt'))) {
    rmSync(directory, { force: true, recursive: true })
    run('configuring the native tests', 'cmake', ['-S', paths.nativeDir, '-B', directory, ...options])
    writeStamp({ ...readStamp(), nativeTests: key })
  }
  run(`compiling ${target}`, 'cmake', ['--build', directory, '--parallel', jobs(), '--target', target])
  return path.join(directory, target)
}

/** The native tests' path, or undefined where there are none. */
export function buildNativeTests() {
  if (!hasNativeTests()) return undefined
  if (!existsSync(paths.nativeTests)) {
    console.log('minipend build: compiling the native tests; the first time takes a few minutes')
  }
  return buildTestProgram(path.basename(paths.nativeTests))
}

export function build() {
  checkPackages()
  const stamp = readStamp()
  buildNative(stamp)
  if (!hasSources()) return
  generateProtocol(paths.layoutProgram, paths.protocolModule)
  generateReadings()
  buildTypeScript(stamp)
}

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === import.meta.filename) {
  await runMain(process.argv[2] === 'tests' ? buildNativeTests : build)
}
