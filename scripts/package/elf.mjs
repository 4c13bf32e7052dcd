// SPDX-License-Identifier: MIT
//
// This module provides: what a Linux binary demands of the machine that loads it, read with readelf.

import { spawnSync } from 'node:child_process'

import { BuildProblem } from '../toolchain.mjs'

/** What every glibc system has, and the model, which lies beside the driver's image. */
const allowedLibraries = /^(libc\.so\.6|libm\.so\.6|libpthread\.so\.0|libdl\.so\.2|ld-linux-.*\.so\.\d+|libfltsim\.so)$/

export const compareVersions = (a, b) => a.localeCompare(b, 'en', { numeric: true })

/** `text`: what `readelf -dVW` prints. Libraries, search paths, versions of symbols such as GLIBC_2.34. */
export function demandsOf(text) {
  const all = (pattern) => [...new Set([...text.matchAll(pattern)].map((match) => match[1]))]
  return {
    libraries: all(/\(NEEDED\).*\[(.*)\]/g),
    searchPaths: all(/\((?:RUNPATH|RPATH)\).*\[(.*)\]/g),
    versions: all(/Name: ([A-Z]+_[\d.]+)\s+Flags/g),
  }
}

/** What makes a binary one that other machines cannot load; empty when nothing does. */
export function portabilityProblems({ libraries, searchPaths, versions }) {
  return [
    ...libraries.filter((name) => !allowedLibraries.test(name)).map((name) => `it needs ${name}`),
    ...searchPaths.filter((name) => name !== '$ORIGIN').map((name) => `it looks for libraries in ${name}`),
    ...versions.filter((name) => !name.startsWith('GLIBC_')).map((name) => `it needs ${name}`),
  ]
}

/** The oldest glibc that has everything. */
export function leastGlibc(versions) {
  const numbers = versions.filter((name) => name.startsWith('GLIBC_')).map((name) => name.slice('GLIBC_'.length))
  return numbers.sort(compareVersions).at(-1)
}

export function readDemands(file) {
  const result = spawnSync('readelf', ['-dVW', file], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } })
  if (result.error !== undefined || result.status !== 0) {
    const why = result.error?.message ?? result.stderr.trim()
    throw new BuildProblem(`minipend package: readelf (of binutils) did not read ${file}: ${why}`)
  }
  return demandsOf(result.stdout)
}
