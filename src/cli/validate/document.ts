// SPDX-License-Identifier: MIT
//
// This module provides: the result document of `minipend validate`: its shape, and reading one back.
//
// A change that an older reader would misread gets another schema version.

import { readFileSync } from 'node:fs'
import type { BackendName } from '../../index.js'
import { EXIT } from '../exit-codes.js'
import { InputError } from '../problems.js'

export const SCHEMA = 'minipend-conformance'
export const SCHEMA_VERSION = 1

export const OUTCOMES = ['passed', 'failed', 'skipped'] as const
export type CaseOutcome = (typeof OUTCOMES)[number]

/** Counters that are not zero, by name. */
export type CaseCounters = Readonly<Record<string, number>>

export interface CaseResult {
  readonly topic: string
  readonly name: string
  /** Of the case, from the package's root. */
  readonly file: string
  /** Of the rules that it checks: test/conformance/rules.json. */
  readonly ids: readonly string[]
  /** How these rules are known: docs/CONFORMANCE.md. */
  readonly evidence: readonly string[]
  readonly lanes: readonly string[]
  readonly outcome: CaseOutcome
  readonly counters: { readonly before: CaseCounters; readonly after: CaseCounters } | null
  readonly durationMs: number
  readonly error: string | null
}

/** What a Windows machine was like. */
export interface WindowsPart {
  readonly product: string
  readonly build: number
  readonly revision: number
  readonly secureBoot: boolean | null
  readonly memoryIntegrity: string
  readonly startOptions: readonly string[]
  /** Driver Verifier: what it looked at during the run. */
  readonly verifier: { readonly flags: number; readonly drivers: readonly string[] }
  readonly filters: readonly { readonly name: string; readonly altitude: string }[]
}

/** The model's own (for this machine), minipend.sys by clang and lld, minipend.sys by the vendor's tools. */
export const DRIVER_KINDS = ['host build', 'cross build', 'WDK build'] as const
export type DriverKind = (typeof DRIVER_KINDS)[number]

export interface DriverImage {
  readonly file: string
  readonly sha256: string
  /** What follows is absent in documents of older versions. Null: only a Windows image says it. */
  readonly kind?: DriverKind
  readonly linker?: string | null
  readonly signed?: boolean | null
  /** Identity and name of its debug information. */
  readonly pdb?: string | null
}

export interface ResultDocument {
  readonly schema: typeof SCHEMA
  readonly schemaVersion: typeof SCHEMA_VERSION
  readonly backend: BackendName
  /** `vm`: the driver in the kernel of a Windows machine. Documents of older versions have none. */
  readonly lane?: 'embedded' | 'vm' | undefined
  readonly startedAt: string
  readonly durationMs: number
  readonly package: { readonly name: string; readonly version: string }
  readonly node: string
  readonly machine: {
    readonly platform: string
    readonly release: string
    readonly arch: string
    readonly processors: number
    readonly memoryBytes: number
  }
  readonly windows?: WindowsPart | undefined
  /** What was held when the cases did not end in time. */
  readonly diagnosis?: readonly string[] | undefined
  /** The image that was tested; null: it was not found. */
  readonly driver: DriverImage | null
  /** Of --filter. */
  readonly filter: string | null
  /** Of --reading. Absent in documents of earlier versions. */
  readonly readings?: Readonly<Record<string, string | undefined>>
  readonly summary: Readonly<Record<CaseOutcome, number>>
  readonly cases: readonly CaseResult[]
}

/** "minipend.sys (cross build)"; of older documents the file alone. */
export const imageName = ({ file, kind }: DriverImage): string => (kind === undefined ? file : `${file} (${kind})`)

/** "name=value,name=value", as MINIPEND_READINGS takes it. */
export const readingsText = (readings: Readonly<Record<string, string | undefined>> = {}): string =>
  Object.entries(readings)
    .map((pair) => pair.join('='))
    .join(',')

export function summaryOf(cases: readonly CaseResult[]): Record<CaseOutcome, number> {
  const count = (outcome: CaseOutcome): number => cases.filter((each) => each.outcome === outcome).length
  return { passed: count('passed'), failed: count('failed'), skipped: count('skipped') }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((each) => typeof each === 'string')
const isCounters = (value: unknown): boolean =>
  isObject(value) && Object.values(value).every((each) => typeof each === 'number')

/** The first field of a case that is not as it should be. */
function wrongInCase(value: unknown): string | undefined {
  if (!isObject(value)) {
    return 'it is no object'
  }
  const { counters } = value
  const checks: readonly (readonly [string, boolean])[] = [
    ...['topic', 'name', 'file'].map((name) => [name, typeof value[name] === 'string'] as const),
    ...['ids', 'evidence', 'lanes'].map((name) => [name, isTexts(value[name])] as const),
    ['outcome', OUTCOMES.some((outcome) => outcome === value['outcome'])],
    [
      'counters',
      counters === null || (isObject(counters) && isCounters(counters['before']) && isCounters(counters['after'])),
    ],
    ['durationMs', typeof value['durationMs'] === 'number'],
    ['error', value['error'] === null || typeof value['error'] === 'string'],
  ]
  return checks.find(([, good]) => !good)?.[0]
}

function wrongInDocument(value: Readonly<Record<string, unknown>>): string | undefined {
  const { package: manifest, driver, cases } = value
  const driverIsGood =
    driver === null ||
    (isObject(driver) &&
      typeof driver['file'] === 'string' &&
      typeof driver['sha256'] === 'string' &&
      (driver['kind'] === undefined || DRIVER_KINDS.some((kind) => kind === driver['kind'])))
  const checks: readonly (readonly [string, boolean])[] = [
    ['backend', value['backend'] === 'embedded' || value['backend'] === 'windows'],
    ['package', isObject(manifest) && typeof manifest['version'] === 'string'],
    ['node', typeof value['node'] === 'string'],
    ['driver', driverIsGood],
    ['cases', Array.isArray(cases)],
  ]
  const wrong = checks.find(([, good]) => !good)?.[0]
  if (wrong !== undefined) {
    return wrong
  }
  for (const [index, each] of (cases as readonly unknown[]).entries()) {
    const field = wrongInCase(each)
    if (field !== undefined) {
      return `cases[${index}].${field}`
    }
  }
  return undefined
}

const unusable = (message: string, hint: string, cause?: unknown): InputError =>
  new InputError(message, { hint, exitCode: EXIT.usage, ...(cause === undefined ? {} : { cause }) })

/** @throws InputError, with the exit code for a wrong command line */
export function readResultDocument(command: string, file: string): ResultDocument {
  const make = 'make one: minipend validate --out result.json'
  let value: unknown
  try {
    value = JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw unusable(`${command}: cannot read "${file}": ${why}`, make, cause)
  }
  if (!isObject(value) || value['schema'] !== SCHEMA) {
    throw unusable(`${command}: "${file}" is no result of minipend validate`, make)
  }
  if (value['schemaVersion'] !== SCHEMA_VERSION) {
    throw unusable(
      `${command}: "${file}" has schema version ${JSON.stringify(value['schemaVersion'])}, this minipend reads ${SCHEMA_VERSION}`,
      'make both files with the same version of minipend',
    )
  }
  const wrong = wrongInDocument(value)
  if (wrong !== undefined) {
    throw unusable(`${command}: "${file}": ${wrong} is missing or malformed`, make)
  }
  return value as unknown as ResultDocument
}
