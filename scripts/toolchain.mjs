// SPDX-License-Identifier: MIT
//
// This module provides: finding CMake and the compilers, and saying in one line what to install when one is missing.

import { spawnSync } from 'node:child_process'

/** A problem that the person at the keyboard can solve: shown as one line, without a stack trace. */
export class BuildProblem extends Error {}

const minimumCmake = [3, 20]
const minimumGcc = 12

const howToInstall = {
  linux:
    'Debian or Ubuntu: apt install cmake make g++; Fedora: dnf install cmake make gcc-c++; Alpine: apk add cmake make g++',
  darwin: 'xcode-select --install; brew install cmake',
  win32: 'Visual Studio Build Tools with "Desktop development with C++" (it has CMake)',
}

function install(what) {
  const how = howToInstall[process.platform] ?? 'use the package manager of this system'
  return new BuildProblem(`minipend build: ${what} Install it (${how}), then run the command again.`)
}

/** First line of what `command --version` prints, or undefined when there is no such command. */
function versionLine(command, args = ['--version']) {
  const result = spawnSync(command, args, { encoding: 'utf8' })
  return result.status === 0 ? result.stdout.split('\n', 1)[0].trim() : undefined
}

function checkCmake() {
  const line = versionLine('cmake')
  if (line === undefined) throw install('CMake was not found.')
  const [major, minor] = (/(\d+)\.(\d+)/.exec(line) ?? []).slice(1).map(Number)
  if (major < minimumCmake[0] || (major === minimumCmake[0] && minor < minimumCmake[1])) {
    throw install(`CMake ${minimumCmake.join('.')} or newer is needed, but this is ${line}.`)
  }
}

/** The command of one language: the environment's choice, or the first that runs. */
function compiler(variable, candidates, language) {
  const chosen = process.env[variable]
  if (chosen !== undefined && chosen !== '') {
    if (versionLine(chosen) === undefined) {
      throw new BuildProblem(
        `minipend build: ${variable}=${chosen} does not run. Set it to a ${language} compiler, or unset it.`,
      )
    }
    return chosen
  }
  const found = candidates.find((candidate) => versionLine(candidate) !== undefined)
  if (found === undefined) throw install(`A ${language} compiler was not found (gcc ${minimumGcc} or newer, or clang).`)
  return found
}

function checkAge(command) {
  const line = versionLine(command) ?? ''
  if (/clang/i.test(line)) return
  const major = Number.parseInt(versionLine(command, ['-dumpversion']) ?? '', 10)
  if (major < minimumGcc) {
    throw install(`gcc ${minimumGcc} or newer (or clang) is needed, but ${command} is version ${major}.`)
  }
}

/** Checks what a build needs. Returns the compilers, or nothing on Windows, where cmake-js finds Visual Studio by itself. */
export function checkToolchain() {
  checkCmake()
  if (process.platform === 'win32') return undefined
  const c = compiler('CC', ['cc', 'gcc', 'clang'], 'C')
  const cxx = compiler('CXX', ['c++', 'g++', 'clang++'], 'C++')
  checkAge(cxx)
  if (versionLine('ninja') === undefined && versionLine('make') === undefined) {
    throw install('Neither make nor ninja was found.')
  }
  return { c, cxx }
}

/** Runs `main`, and turns a BuildProblem into one line and exit code 1. */
export async function runMain(main) {
  try {
    await main()
  } catch (error) {
    if (!(error instanceof BuildProblem)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}
