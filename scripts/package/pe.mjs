// SPDX-License-Identifier: MIT
//
// This module provides: what a Windows binary wants from the machine that loads it, read with llvm-readobj.

import { spawnSync } from 'node:child_process'

import { BuildProblem } from '../toolchain.mjs'

/** Every Windows has them; node.exe is the program that runs, the model lies beside the driver's image. */
const allowed = /^(kernel32\.dll|advapi32\.dll|ntdll\.dll|msvcrt\.dll|node\.exe|libfltsim\.dll)$/i

/** `text`: what `llvm-readobj --coff-imports` prints. */
export const importedLibraries = (text) => [
  ...new Set([...text.matchAll(/^(?:Delay)?Import \{\s+Name: (\S+)/gm)].map((match) => match[1])),
]

/** What makes a binary one that other machines cannot load; empty when nothing does. */
export function importProblems(file) {
  const result = spawnSync('llvm-readobj-19', ['--coff-imports', file], { encoding: 'utf8' })
  if (result.error !== undefined || result.status !== 0) {
    const why = result.error?.message ?? result.stderr.trim()
    throw new BuildProblem(`minipend package: llvm-readobj-19 did not read ${file}: ${why}`)
  }
  const libraries = importedLibraries(result.stdout)
  if (libraries.length === 0) return ['it imports nothing, which no library of ours does']
  return libraries.filter((name) => !allowed.test(name)).map((name) => `it needs ${name}`)
}
