// SPDX-License-Identifier: MIT
//
// This module provides: what docs/FIDELITY.md is made from: the page's own text, the rules and the cases that claim them, the model's exports.

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import { buildDir, root } from '../../scripts/paths.mjs'
import { claimedIds, readRules, type ConformanceRule } from '../conformance/rules.js'

export const read = (file: string): string => readFileSync(path.join(root, file), 'utf8')

export const PAGE_SOURCE = 'test/fidelity/page.md'
export const PAGE = 'docs/FIDELITY.md'

/** Calls by the headers that declare them. */
const FAMILIES: readonly (readonly [title: string, headers: RegExp])[] = [
  ['Filter Manager', /^fltkernel/],
  ['Kernel', /^(wdm|ntifs|ntddk|seh)/],
  ['Framework loader', /^wdf/],
  ['Filter Manager library (user mode)', /^fltuser/],
  ['NT services (user mode)', /^fltsim_nt/],
  ['Win32 (user mode)', /^fltsim_user/],
]

export interface PageSources {
  readonly page: string
  readonly rules: readonly ConformanceRule[]
  readonly claims: ReadonlyMap<string, readonly string[]>
  readonly calls: readonly { readonly title: string; readonly names: readonly string[] }[]
}

/**
 * The functions that a driver or a client program finds in the model, by the header that declares them.
 *
 * @param library libfltsim.so of any build.
 * @throws Error when `nm` (binutils, which every compiler needs) cannot read it, or when an exported call is declared nowhere.
 */
export function exportedCalls(library: string): PageSources['calls'] {
  const symbols = execFileSync('nm', ['-D', '--defined-only', '--format=posix', library], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.split(' ')[0]?.replace(/@.*$/, '') ?? '')
    // Not the model's interface for tests, not C++, not what the library's parts share.
    .filter((name) => /^[A-Z][A-Za-z0-9]+$/.test(name) && !name.startsWith('FltSim'))
  const headers = readdirSync(path.join(root, 'native/ddk/include'))
  const declared = FAMILIES.map(([title, pattern]) => {
    const text = headers.filter((name) => pattern.test(name)).map((name) => read(`native/ddk/include/${name}`))
    // A function stands before its parameters, an exported pointer (PsThreadType) behind a star.
    const words = new Set(text.join('\n').match(/\b[A-Z][A-Za-z0-9]+(?=\s*\()|(?<=\*)[A-Z][A-Za-z0-9]+(?=;)/g))
    return { title, names: symbols.filter((name) => words.has(name)).sort() }
  })
  const nowhere = symbols.filter((symbol) => !declared.some(({ names }) => names.includes(symbol)))
  if (nowhere.length > 0) {
    throw new Error(`The model exports calls that no header of native/ddk declares: ${nowhere.join(', ')}.`)
  }
  return declared
}

export function readSources(): PageSources {
  const library = ['Release', 'tests', 'coverage']
    .map((build) => path.join(buildDir, build, 'libfltsim.so'))
    .find((file) => existsSync(file))
  if (library === undefined) {
    throw new Error('The page lists what the model exports, so the model has to be built first: npm run build.')
  }
  return { page: read(PAGE_SOURCE), rules: readRules(), claims: claimedIds(), calls: exportedCalls(library) }
}
