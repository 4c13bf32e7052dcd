// SPDX-License-Identifier: MIT
//
// This module provides: the outputs in recorded/, as minipend gets them: one character for each byte, because the code page is the system's.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const directory = path.join(import.meta.dirname, 'recorded')

export const recorded = (name: string): string => readFileSync(path.join(directory, `${name}.txt`), 'latin1')
export const recordedNames = (): string[] => readdirSync(directory).filter((name) => name.endsWith('.txt'))

interface Sources {
  readonly note: string
  readonly files: Readonly<Record<string, { readonly of: string; readonly form: string; readonly source: string }>>
}

export const sources = (): Sources => JSON.parse(readFileSync(path.join(directory, 'sources.json'), 'utf8')) as Sources
