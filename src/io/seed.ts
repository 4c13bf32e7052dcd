// SPDX-License-Identifier: MIT
//
// This module provides: copying host directories into the model by ordinary file I/O, before anything is attached.

import { readdir, readFile, stat } from 'node:fs/promises'
import { statSync } from 'node:fs'
import path from 'node:path'
import type { Checker } from '../client/check.js'
import { throwIfAborted } from '../client/lifetime.js'
import { InvalidOptionError } from '../errors/errors.js'
import type { Io } from './types.js'

/** Where to, such as "D:\inbox", and which host directory. */
export type SeedFiles = readonly { readonly target: string; readonly source: string }[]

const TARGET = /^[a-z]:(\\.*)?$/i

/** @throws InvalidOptionError */
export function checkSeedFiles(value: unknown, check: Checker): SeedFiles {
  if (value === undefined) {
    return []
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return check.expected('files', "an object such as { 'D:': './fixtures' }", value)
  }
  return Object.entries(value).map(([target, directory]) => {
    const field = `files[${JSON.stringify(target)}]`
    if (!TARGET.test(target)) {
      check.fail(field, 'expected a key such as "D:" or "D:\\inbox"')
    }
    const source = path.resolve(check.text(field, directory, 4096))
    if (statSync(source, { throwIfNoEntry: false })?.isDirectory() !== true) {
      check.fail(field, `expected a directory of this machine; there is none at ${source}`)
    }
    return { target: target.replace(/\\+$/, ''), source }
  })
}

async function copyDirectory(io: Io, source: string, target: string, signal: AbortSignal | undefined): Promise<void> {
  const names = await readdir(source)
  for (const name of names.sort()) {
    throwIfAborted('openMinipend', signal)
    const from = path.join(source, name)
    const to = `${target}\\${name}`
    const found = await stat(from)
    if (found.isDirectory()) {
      await io.mkdir(to, { recursive: true })
      await copyDirectory(io, from, to, signal)
    } else if (found.isFile()) {
      await io.writeFile(to, await readFile(from))
    } else {
      throw new InvalidOptionError('files', `openMinipend: files: ${from} is neither a file nor a directory`, {
        operation: 'openMinipend',
        hint: 'take it out of the directory',
      })
    }
  }
}

export async function seedFiles(io: Io, files: SeedFiles, signal: AbortSignal | undefined): Promise<void> {
  for (const { target, source } of files) {
    if (target.includes('\\')) {
      await io.mkdir(target, { recursive: true })
    }
    await copyDirectory(io, source, target, signal)
  }
}
