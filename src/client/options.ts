// SPDX-License-Identifier: MIT
//
// This module provides: the options of openMinipend(), checked.

import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import path from 'node:path'
import { InvalidOptionError, NotSupportedError } from '../errors/errors.js'
import { READINGS, type ReadingName, type ReadingOptions } from '../generated/readings.js'
import { checkSeedFiles, type SeedFiles } from '../io/seed.js'
import { Checker } from './check.js'
import type { BackendName, TransportName } from './types.js'

/** The name that errors of opening carry. */
export const OPERATION = 'openMinipend'
const check = new Checker(
  (field, expectation) =>
    new InvalidOptionError(field, `${OPERATION}: ${field}: ${expectation}`, { operation: OPERATION }),
)

const KEYS = [
  'backend',
  'transport',
  'driverImage',
  'seed',
  'processors',
  'readings',
  'files',
  'load',
  'signal',
] as const
const EMBEDDED_ONLY = ['driverImage', 'seed', 'processors', 'readings', 'files'] as const
const MAX_SEED = 2n ** 64n - 1n
const MAX_PROCESSORS = 64

/** Options after checking. */
export interface CheckedOptions {
  readonly backend: BackendName
  readonly transport: TransportName
  /** A whole path; undefined: the one that came with the library. */
  readonly driverImage: string | undefined
  readonly seed: bigint
  readonly processors: number
  readonly readings: ReadingOptions
  readonly files: SeedFiles
  readonly load: boolean
  readonly signal: AbortSignal | undefined
}

const READING_NAMES = Object.keys(READINGS) as ReadingName[]

function checkReadings(readings: unknown): ReadingOptions {
  const given = check.object('readings', readings ?? {}, READING_NAMES)
  for (const name of READING_NAMES) {
    if (given[name] !== undefined) {
      check.oneOf(`readings["${name}"]`, given[name], READINGS[name])
    }
  }
  return given as ReadingOptions
}

function checkDriverImage(value: unknown): string {
  const file = path.resolve(check.text('driverImage', value, 4096))
  if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true) {
    check.fail('driverImage', `expected a file; there is none at ${file}`)
  }
  return file
}

/** @throws InvalidOptionError, NotSupportedError */
export function checkOptions(options: unknown): CheckedOptions {
  const given = check.object('options', options ?? {}, KEYS)
  if (given.backend === undefined) {
    throw new InvalidOptionError('backend', `${OPERATION}: backend is missing: name one, it is never guessed`, {
      operation: OPERATION,
      hint: "backend: 'embedded' (the model in this process, anywhere) or backend: 'windows' (the real driver of this machine)",
    })
  }
  const backend = check.oneOf('backend', given.backend, ['embedded', 'windows'])
  const transport = check.oneOf('transport', given.transport ?? 'addon', ['addon', 'ffi'])
  for (const key of EMBEDDED_ONLY) {
    if (backend === 'windows' && given[key] !== undefined) {
      check.fail(key, "is for backend: 'embedded' only")
    }
  }
  const files = checkSeedFiles(given.files, check)
  if (transport === 'ffi' && files.length > 0) {
    throw new NotSupportedError(`${OPERATION}: files: the ffi transport has no file I/O`, {
      operation: OPERATION,
      hint: "leave out files, or use transport: 'addon'",
    })
  }
  return {
    backend,
    transport,
    driverImage: given.driverImage === undefined ? undefined : checkDriverImage(given.driverImage),
    seed: given.seed === undefined ? randomBytes(8).readBigUInt64LE() : check.bigint('seed', given.seed, MAX_SEED),
    processors: given.processors === undefined ? 2 : check.integer('processors', given.processors, 2, MAX_PROCESSORS),
    readings: checkReadings(given.readings),
    files,
    load: given.load === undefined ? true : check.boolean('load', given.load),
    signal: check.signal('signal', given.signal),
  }
}
