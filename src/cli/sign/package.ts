// SPDX-License-Identifier: MIT
//
// This module provides: the driver package as files: what goes into it, and putting a whole one in place of the one before.

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'

import { InputError } from '../problems.js'
import { imageFacts, type ImageFacts } from './authenticode.js'

export interface PackageSources {
  readonly directory: string
  /** File names. */
  readonly inf: string
  readonly image: string
  readonly catalog: string
  readonly imageBytes: Buffer
  readonly infBytes: Buffer
  readonly facts: ImageFacts
}

function readInput(directory: string, name: string, hint: string): Buffer {
  try {
    return readFileSync(path.join(directory, name))
  } catch (error) {
    throw new InputError(`cannot read ${path.join(directory, name)}`, { hint, cause: error })
  }
}

/** The first value of a key, or the first key of a section. */
function infLine(text: string, section: string, pattern: RegExp): string | undefined {
  const body = new RegExp(`^\\[${section}\\][ \\t]*\\r?$([^]*?)(?=^\\[|(?![^]))`, 'im').exec(text)?.[1] ?? ''
  return pattern.exec(body)?.[1]
}

const NPM_BUILD = 'npm run build:driver makes a directory with both'

/** Reads the one INF in `directory` and the image that it installs. Throws an InputError that says what is wrong and what to do. */
export function readSources(directory: string): PackageSources {
  if (!existsSync(directory) || !statSync(directory).isDirectory()) {
    throw new InputError(`there is no directory ${directory}`, { hint: NPM_BUILD })
  }
  const infs = readdirSync(directory).filter((name) => name.toLowerCase().endsWith('.inf'))
  const inf = infs[0]
  if (inf === undefined || infs.length > 1) {
    throw new InputError(`${directory} holds ${infs.length} INF files, not one`, { hint: NPM_BUILD })
  }
  const infBytes = readInput(directory, inf, NPM_BUILD)
  const text = infBytes.toString('utf8')
  const catalog = infLine(text, 'Version', /^\s*CatalogFile\s*=\s*(\S+)/im)
  const image = infLine(text, 'SourceDisksFiles', /^\s*([^\s=;]+\.sys)\s*=/im)
  if (catalog === undefined || image === undefined) {
    const missing = catalog === undefined ? 'a CatalogFile' : 'a .sys file under SourceDisksFiles'
    throw new InputError(`${path.join(directory, inf)} does not name ${missing}`)
  }
  const imageBytes = readInput(directory, image, NPM_BUILD)
  const file = path.join(directory, image)
  let facts: ImageFacts
  try {
    facts = imageFacts(imageBytes)
  } catch (error) {
    throw new InputError(`${file}: ${(error as Error).message}`, { hint: NPM_BUILD, cause: error })
  }
  if (!facts.native) throw new InputError(`${file}: it is a program, not a driver`, { hint: NPM_BUILD })
  if (facts.signed) throw new InputError(`${file}: it is signed already`, { hint: 'sign the image as it was built' })
  return { directory, inf, image, catalog, imageBytes, infBytes, facts }
}

/** Directories of the form NAME.new-... and NAME.old-... are this module's, left behind by a command that was killed. */
const leftover = (target: string): RegExp => {
  const name = path.basename(target).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${name}\\.(new|old)-(\\d+)-[0-9a-f]{8}$`)
}

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * Makes a directory through `fill`, which gets an empty one beside it, and puts it in the place of `target` when it is whole. Killed at any
 * moment, `target` is the old one, the new one, or absent for the instant between two renames: never half of one.
 */
export async function replaceDirectory(target: string, fill: (directory: string) => Promise<void>): Promise<void> {
  const parent = path.dirname(target)
  mkdirSync(parent, { recursive: true })
  for (const name of readdirSync(parent)) {
    const match = leftover(target).exec(name)
    if (match !== null && !isRunning(Number(match[2])))
      rmSync(path.join(parent, name), { recursive: true, force: true })
  }
  const own = `${process.pid}-${randomBytes(4).toString('hex')}`
  const fresh = `${target}.new-${own}`
  const old = `${target}.old-${own}`
  mkdirSync(fresh)
  try {
    await fill(fresh)
    if (existsSync(target)) renameSync(target, old)
    renameSync(fresh, target)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
    rmSync(old, { recursive: true, force: true })
  }
}
