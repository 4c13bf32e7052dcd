// SPDX-License-Identifier: MIT
//
// This module provides: `minipend validate`: the conformance cases, and what became of each as JSON, JUnit XML or HTML.

import { existsSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type BackendName, inspectInstallation, NotSupportedError, type ReadingOptions } from '../../index.js'
import { requirePart } from '../../transport/installation.js'
import type { CommandContext } from '../command.js'
import { EXIT, type ExitCode } from '../exit-codes.js'
import { packageManifest } from '../package-manifest.js'
import { InputError } from '../problems.js'
import type { Colors } from '../terminal.js'
import { type CaseResult, type ResultDocument, SCHEMA, SCHEMA_VERSION, summaryOf } from './document.js'
import { describeDriverImage } from './driver-image.js'
import { htmlOf } from './html.js'
import { runSuite, type SuiteOptions } from './suite.js'

export interface ValidateOptions {
  readonly backend: BackendName
  readonly out?: string | undefined
  readonly junit?: string | undefined
  readonly html?: string | undefined
  readonly filter?: string | undefined
  /** windows: the driver is loaded already, and the environment names the volumes. */
  readonly prepared?: boolean | undefined
  /** windows: what a run would do. */
  readonly dryRun?: boolean | undefined
  /** windows: under Driver Verifier. */
  readonly verifier?: boolean | undefined
  /** windows: the directory that `minipend sign` made. */
  readonly package?: string | undefined
  /** windows: where the undo journal is. */
  readonly stateDir?: string | undefined
  /** windows: for the cases. */
  readonly limitMinutes?: number | undefined
  /** Of --reading. */
  readonly reading?: ReadingOptions | undefined
}

const VOLUMES = ['MINIPEND_NTFS', 'MINIPEND_FAT'] as const

/** @throws NotSupportedError: not Windows */
export function requireWindows(command: string, platform: NodeJS.Platform, hint: string): void {
  if (platform !== 'win32') {
    throw new NotSupportedError(`${command} needs a Windows test machine; this is ${platform}`, {
      operation: command.replace(/:? .*$/, ''),
      hint,
    })
  }
}

/** @throws NotSupportedError: not Windows */
export const requireWindowsLane = (platform: NodeJS.Platform): void =>
  requireWindows(
    'validate: --backend windows',
    platform,
    'run it there (docs/VM.md); --dry-run shows here what it would do. ' +
      'Here there is the model: minipend validate, without --backend',
  )

const WINDOWS_ONLY = {
  prepared: '--prepared',
  verifier: '--verifier',
  dryRun: '--dry-run',
  package: '--package',
  stateDir: '--state-dir',
  limitMinutes: '--limit-minutes',
} as const

/** That the options belong together, and for --prepared that the volumes are named. @throws NotSupportedError, InputError */
export function checkLane(
  options: Pick<ValidateOptions, 'backend' | keyof typeof WINDOWS_ONLY>,
  platform: NodeJS.Platform,
  environment: NodeJS.ProcessEnv,
): void {
  if (options.backend === 'embedded') {
    const given = (Object.keys(WINDOWS_ONLY) as (keyof typeof WINDOWS_ONLY)[]).find(
      (name) => options[name] !== undefined && options[name] !== false,
    )
    if (given !== undefined) {
      const option = WINDOWS_ONLY[given]
      throw new InputError(`validate: ${option} is for --backend windows`, {
        hint: `leave it out, or: minipend validate --backend windows ${option}`,
        exitCode: EXIT.usage,
      })
    }
    return
  }
  requireWindowsLane(platform)
  const missing = VOLUMES.filter((name) => !/^[A-Z]:$/i.test(environment[name] ?? ''))
  if (missing.length > 0) {
    throw new InputError(`validate: --prepared: ${missing.join(' and ')} must name a spare volume, as in "V:"`, {
      hint: 'set MINIPEND_NTFS to an NTFS volume and MINIPEND_FAT to a FAT32 volume that nobody else uses',
      exitCode: EXIT.usage,
    })
  }
}

/** The image that is tested. On Windows the installed one. @throws InstallationError when the model's is not built */
function driverImage(backend: BackendName): ResultDocument['driver'] {
  const installed = path.join(process.env['SystemRoot'] ?? '', 'System32', 'drivers', 'minipend.sys')
  const file =
    backend === 'windows' ? installed : requirePart(inspectInstallation().driverImage, 'the driver image of the model')
  return existsSync(file) ? describeDriverImage(file) : null
}

/** @throws InputError: it cannot be written */
function write(option: string, file: string, content: string): void {
  try {
    writeFileSync(file, content)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new InputError(`validate: ${option}: cannot write "${file}": ${why}`, {
      hint: 'name a file in a directory that exists',
      cause,
    })
  }
}

function caseLine({ outcome, topic, name, error }: CaseResult, colors: Colors): string {
  const [why = ''] = (error ?? '').split('\n')
  return `${colors.red(outcome.padEnd(7))} ${topic}: ${name}\n        ${why}\n`
}

export const summaryLine = ({ passed, failed, skipped }: ResultDocument['summary']): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`

function topicLines(cases: readonly CaseResult[]): string {
  const topics = [...new Set(cases.map(({ topic }) => topic))]
  const width = Math.max(...topics.map(({ length }) => length))
  return topics
    .map((topic) => `${topic.padEnd(width)}  ${summaryLine(summaryOf(cases.filter((each) => each.topic === topic)))}\n`)
    .join('')
}

/** Shows a case that failed as soon as it has. */
export const failuresTo =
  ({ terminal, json }: CommandContext): ((result: CaseResult) => void) =>
  (result) => {
    if (result.outcome === 'failed' && !json) {
      terminal.out(caseLine(result, terminal.colors))
    }
  }

/** What a lane adds to the document. */
export type LaneParts = Pick<ResultDocument, 'driver' | 'lane' | 'windows' | 'diagnosis'>

/** @throws InputError when the filter fits no case */
export function resultDocument(
  { platform }: CommandContext,
  { backend, filter, reading }: ValidateOptions,
  cases: readonly CaseResult[],
  started: Date,
  lane: LaneParts,
): ResultDocument {
  if (cases.length === 0) {
    throw new InputError(`validate: no case has "${filter ?? ''}" in its topic, its name or its rules`, {
      hint: '--filter takes a part of one: an id such as POST-27, or a word of a name',
      exitCode: EXIT.usage,
    })
  }
  const { name, version } = packageManifest()
  return {
    ...{ schema: SCHEMA, schemaVersion: SCHEMA_VERSION, backend, lane: lane.lane },
    ...{ startedAt: started.toISOString(), durationMs: Date.now() - started.getTime() },
    ...{ package: { name, version }, node: process.version },
    machine: {
      ...{ platform, release: os.release(), arch: process.arch },
      ...{ processors: os.availableParallelism(), memoryBytes: os.totalmem() },
    },
    ...{ windows: lane.windows, diagnosis: lane.diagnosis, driver: lane.driver },
    ...{ filter: filter ?? null, readings: reading ?? {}, summary: summaryOf(cases), cases },
  }
}

/** @throws InputError: a file cannot be written */
export function writeResults(options: ValidateOptions, result: ResultDocument): void {
  if (options.out !== undefined) {
    write('--out', options.out, `${JSON.stringify(result, undefined, 2)}\n`)
  }
  if (options.html !== undefined) {
    write('--html', options.html, htmlOf(result))
  }
}

/** The cases' outcome decides the exit code. */
export function showResults({ terminal, json }: CommandContext, result: ResultDocument): ExitCode {
  const { cases, summary } = result
  terminal.out(json ? `${JSON.stringify(result, undefined, 2)}\n` : `${topicLines(cases)}${summaryLine(summary)}\n`)
  return summary.failed === 0 ? EXIT.ok : EXIT.failed
}

/** `suite`: for tests. */
export async function validate(
  context: CommandContext,
  options: ValidateOptions,
  suite: Pick<SuiteOptions, 'root' | 'loadVitest'> & { readonly run?: typeof runSuite } = {},
): Promise<ExitCode> {
  const { stop, platform } = context
  const { backend, filter, reading: readings } = options
  if (backend === 'windows' && readings !== undefined) {
    throw new InputError('validate: --reading is for the model: Windows goes by its own', {
      hint: 'leave it out, or use --backend embedded',
      exitCode: EXIT.usage,
    })
  }
  if (backend === 'windows' && options.prepared !== true) {
    const { validateOnWindows } = await import('./windows-run.js')
    return validateOnWindows(context, options)
  }
  checkLane(options, platform, process.env)
  const driver = driverImage(backend)
  const started = new Date()
  const { run = runSuite, root, loadVitest } = suite
  const onCase = failuresTo(context)
  const cases = await run({ ...{ backend, filter, readings, junit: options.junit, stop, root, loadVitest }, onCase })
  stop.throwIfAborted()
  const lane = backend === 'windows' ? 'vm' : 'embedded'
  const result = resultDocument(context, options, cases, started, { driver, lane })
  writeResults(options, result)
  return showResults(context, result)
}
