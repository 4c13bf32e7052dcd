// SPDX-License-Identifier: MIT
//
// This module provides: `npm run build:windows`: the addon and the model for Windows x64, built on Linux with clang and mingw-w64, in
// build/windows; what Node loads is in build/windows/Release.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'

import * as paths from '../paths.mjs'
import { BuildProblem, runMain } from '../toolchain.mjs'

const require = createRequire(import.meta.url)

export const windowsDir = path.join(paths.buildDir, 'windows')
export const windowsRelease = path.join(windowsDir, 'Release')

/** What is loaded: the addon, the model, and the driver's image for the model (a DLL, whatever it is called). */
export const windowsFiles = ['minipend.node', 'libfltsim.dll', 'minipend.host.so']

const tools = ['cmake', 'ninja', 'clang-19', 'clang++-19', 'ld.lld-19', 'llvm-dlltool-19', 'llvm-windres-19']
const debianPackages =
  'cmake ninja-build clang-19 lld-19 llvm-19 g++-mingw-w64-x86-64-posix gcc-mingw-w64-x86-64-posix mingw-w64-x86-64-dev'

function run(what, command, args) {
  const verbose = process.env['MINIPEND_VERBOSE'] === '1'
  const result = spawnSync(command, args, {
    cwd: paths.root,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    stdio: verbose ? 'inherit' : ['ignore', 'pipe', 'pipe'],
  })
  if (result.error === undefined && result.status === 0) return
  if (!verbose) process.stderr.write(result.error?.message ?? result.stdout + result.stderr)
  throw new BuildProblem(`minipend build:windows: ${what} failed; its output is above.`)
}

function checkTools() {
  const missing = tools.filter((tool) => spawnSync(tool, ['--version']).error !== undefined)
  if (!existsSync('/usr/x86_64-w64-mingw32/include/fltuser.h')) missing.push('mingw-w64')
  if (missing.length > 0) {
    throw new BuildProblem(
      `minipend build:windows: ${missing.join(', ')} not found. Install it (Debian: apt install ${debianPackages}), then run the command again.`,
    )
  }
}

/** The import library of what Node exports, from the lists that come with its headers. */
function nodeLibrary() {
  const { def_paths: lists } = require('node-api-headers')
  const names = Object.values(lists).flatMap((file) => readFileSync(file, 'utf8').split(/\r?\n/).slice(2))
  const definition = path.join(windowsDir, 'node.def')
  const library = path.join(windowsDir, 'libnode.a')
  writeFileSync(definition, `LIBRARY node.exe\nEXPORTS\n${names.filter((name) => name !== '').join('\n')}\n`)
  run('making the import library', 'llvm-dlltool-19', ['-m', 'i386:x86-64', '-d', definition, '-l', library])
  return library
}

export function buildWindows(targets = ['minipend_addon', 'fltsim', 'minipend_driver']) {
  checkTools()
  mkdirSync(windowsDir, { recursive: true })
  const includes = [require('node-api-headers').include_dir, paths.packageFile('node-addon-api')]
  run('configuring', 'cmake', [
    ...['-G', 'Ninja', '-S', paths.nativeDir, '-B', windowsDir, '-DCMAKE_BUILD_TYPE=Release'],
    `-DCMAKE_TOOLCHAIN_FILE=${path.join(paths.nativeDir, 'mingw.cmake')}`,
    ...[`-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${windowsRelease}`, `-DCMAKE_RUNTIME_OUTPUT_DIRECTORY=${windowsRelease}`],
    ...[`-DCMAKE_JS_INC=${includes.join(';')}`, `-DCMAKE_JS_LIB=${nodeLibrary()}`],
  ])
  const jobs = String(os.availableParallelism())
  run('compiling', 'cmake', ['--build', windowsDir, '--parallel', jobs, '--target', ...targets])
}

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === import.meta.filename) {
  await runMain(() => {
    buildWindows(process.argv.length > 2 ? process.argv.slice(2) : undefined)
    console.log(path.relative(process.cwd(), windowsRelease))
  })
}
