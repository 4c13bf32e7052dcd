// SPDX-License-Identifier: MIT
//
// This module provides: what the checks are given: the image with all that is read from it once, and what the sources ask of it.

import { readFileSync } from 'node:fs'

import { type Instruction, type Symbols, disassemble, readMap } from './code.js'
import { Image } from './image.js'
import { type FunctionEntry, functionEntries } from './unwind.js'

/** What the image has to be like. */
export interface Expectation {
  /** Names that may be imported, by module in lower case. */
  readonly imports: ReadonlyMap<string, ReadonlySet<string>>
  /** Section of each function that must not be in .text. */
  readonly placements: ReadonlyMap<string, string>
  /** Number of guarded blocks of each function that has some. */
  readonly guarded: ReadonlyMap<string, number>
  /** Major, minor, patch. */
  readonly version: readonly number[]
  readonly fileBytes: number
  /** In memory, all sections. */
  readonly imageBytes: number
}

export interface Subject {
  readonly image: Image
  readonly symbols: Symbols
  readonly instructions: readonly Instruction[]
  readonly functions: readonly FunctionEntry[]
  readonly expected: Expectation
}

export function readSubject(built: { image: string; map: string }, expected: Expectation): Subject {
  const image = new Image(readFileSync(built.image))
  return {
    image,
    symbols: readMap(built.map),
    instructions: disassemble(built.image, image.base),
    functions: functionEntries(image),
    expected,
  }
}

/** What a module's .def lists, by module in lower case. */
export function allowedImports(definitions: readonly string[]): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const file of definitions) {
    const text = readFileSync(file, 'utf8')
    const module = /^LIBRARY (\S+)$/m.exec(text)?.[1]?.toLowerCase() ?? ''
    const names = found.get(module) ?? new Set()
    for (const match of text.matchAll(/^ {4}(\w+)(?: DATA)?$/gm)) names.add(match[1] ?? '')
    found.set(module, names)
  }
  return found
}
