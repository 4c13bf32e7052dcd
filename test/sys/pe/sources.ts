// SPDX-License-Identifier: MIT
//
// This module provides: what the driver's sources ask of the image: which functions belong into which section, which have a guarded block.

import { readFileSync } from 'node:fs'

/** `#pragma alloc_text(SECTION, FUNCTION...)`. */
export function placements(files: readonly string[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const file of files) {
    for (const match of readFileSync(file, 'utf8').matchAll(/^#pragma alloc_text\(\s*(\w+)\s*,([^)]*)\)/gm)) {
      for (const name of (match[2] ?? '').split(',')) found.set(name.trim(), match[1] ?? '')
    }
  }
  return found
}

/** Functions that contain `__try`, and how often. A definition starts in the first column; its name stands before the first parenthesis. */
export function guardedFunctions(files: readonly string[]): Map<string, number> {
  const found = new Map<string, number>()
  for (const file of files) {
    let current = ''
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const head = /^[A-Za-z_].*?\b(?!_)(\w+)\(/.exec(line)
      if (head !== null) current = head[1] ?? ''
      if (/^\s+__try\b/.test(line)) found.set(current, (found.get(current) ?? 0) + 1)
    }
  }
  return found
}
