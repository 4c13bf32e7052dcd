// SPDX-License-Identifier: MIT
//
// This module provides: the tools that build and sign the driver without the WDK: where they are, installing them, saying what is missing.
//
// One version of LLVM alone counts, because another one makes other bytes of the same source.

import { spawnSync } from 'node:child_process'

import { BuildProblem } from '../toolchain.mjs'

export const llvmMajor = 19

/** Command, and the Debian package that has it. */
const packages = {
  clang: `clang-${llvmMajor}`,
  'lld-link': `lld-${llvmMajor}`,
  'llvm-dlltool': `llvm-${llvmMajor}`,
  'llvm-rc': `llvm-${llvmMajor}`,
  'llvm-objdump': `llvm-${llvmMajor}`,
} as const

export type Tool = keyof typeof packages

/** Of `x-19` and `x` the first that runs and is of the right version. lld-link and llvm-dlltool do not tell theirs. */
function find(tool: Tool): string | undefined {
  const versioned = `${tool}-${llvmMajor}`
  if (spawnSync(versioned, ['--version']).error === undefined) return versioned
  const result = spawnSync(tool, ['--version'], { encoding: 'utf8' })
  if (result.error !== undefined) return undefined
  const version = /(?:version|LLD) (\d+)\./.exec(result.stdout)?.[1]
  return version === String(llvmMajor) ? tool : undefined
}

function install(missing: readonly string[]): boolean {
  const isRoot = process.getuid?.() === 0
  if (!isRoot || spawnSync('apt-get', ['--version']).error !== undefined) return false
  console.log(`minipend build: installing ${missing.join(' ')} (apt-get)`)
  const options = {
    stdio: ['ignore', 'ignore', 'inherit'] as ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  }
  const apt = (...args: string[]): boolean => spawnSync('apt-get', args, options).status === 0
  return apt('update', '-q') && apt('install', '-q', '-y', '--no-install-recommends', ...missing)
}

/** The commands for these tools. Installs what is missing (Debian, as root), or throws a BuildProblem that names the packages. */
export function findTools<T extends Tool>(wanted: readonly T[]): Record<T, string> {
  const look = (): [T, string | undefined][] => wanted.map((tool) => [tool, find(tool)])
  const missingOf = (found: [T, string | undefined][]): T[] =>
    found.filter(([, at]) => at === undefined).map(([t]) => t)

  let found = look()
  let missing = missingOf(found)
  if (missing.length > 0 && install([...new Set(missing.map((tool) => packages[tool]))])) {
    found = look()
    missing = missingOf(found)
  }
  if (missing.length > 0) {
    const names = [...new Set(missing.map((tool) => packages[tool]))].join(' ')
    throw new BuildProblem(
      `minipend build: ${missing.join(', ')} of LLVM ${llvmMajor} not found. Install it (Debian: apt install ${names}), then run the command again.`,
    )
  }
  return Object.fromEntries(found) as Record<T, string>
}
