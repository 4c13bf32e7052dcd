// SPDX-License-Identifier: MIT
//
// This module provides: `minipend validate`: the conformance cases, and what became of each as JSON, JUnit XML or HTML.

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type BackendName, inspectInstallation, NotSupportedError } from '../../index.js'
import { requirePart } from '../../transport/installation.js'
import type { CommandContext } from '../command.js'
import { EXIT, type ExitCode } from '../exit-codes.js'
import { packageManifest } from '../package-manifest.js'
import { InputError } from '../problems.js'
import type { Colors } from '../terminal.js'
import { type CaseResult, type ResultDocument, SCHEMA, SCHEMA_VERSION, summaryOf } from './document.js'
import { htmlOf } from './html.js'
import { runSuite, type SuiteOptions } from './suite.js'

export interface ValidateOptions {
  readonly backend: BackendName
  readonly out?: string | undefined
  readonly junit?: string | undefined
  readonly html?: string | undefined
  readonly filter?: string | undefined
}

const VOLUMES = ['MINIPEND_NTFS', 'MINIPEND_FAT'] as const

/** @throws NotSupportedError, InputError */
export function checkLane(backend: BackendName, platform: NodeJS.Platform, environment: NodeJS.ProcessEnv): void {
  if (backend === 'embedded') {
    return
  }
  if (platform !== 'win32') {
    throw new NotSupportedError(
      `validate: --backend windows needs Windows with the minipend driver; this is ${platform}`,
      {
        operation: 'validate',
        hint: 'run it on the test machine. Here there is the model: --backend embedded, which is the default',
      },
    )
  }
  const missing = VOLUMES.filter((name) => !/^[A-Z]:$/i.test(environment[name] ?? ''))
  if (missing.length > 0) {
    throw new InputError(`validate: --backend windows: ${missing.join(' and ')} must name a spare volume, as in "V:"`, {
      hint: 'set MINIPEND_NTFS to an NTFS volume and MINIPEND_FAT to a FAT32 volume that nobody else uses',
      exitCode: EXIT.usage,
    })
  }
}

/** The image that is tested. On Windows the installed one. @throws InstallationError when the host's is not built */
function driverImage(backend: BackendName): ResultDocument['driver'] {
  const installed = path.join(process.env['SystemRoot'] ?? '', 'System32', 'drivers', 'minipend.sys')
  const file =
    backend === 'windows' ? installed : requirePart(inspectInstallation().driverImage, "the driver's host image")
  return existsSync(file)
    ? { file: path.basename(file), sha256: createHash('sha256').update(readFileSync(file)).digest('hex') }
    : null
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

/** The cases' outcome decides the exit code. `suite`: for tests. */
export async function validate(
  context: CommandContext,
  options: ValidateOptions,
  suite: Pick<SuiteOptions, 'root' | 'loadVitest'> & { readonly run?: typeof runSuite } = {},
): Promise<ExitCode> {
  const { terminal, json, stop, platform } = context
  const { backend, filter } = options
  checkLane(backend, platform, process.env)
  const driver = driverImage(backend)
  const started = new Date()
  const { run = runSuite, root, loadVitest } = suite
  const cases = await run({
    ...{ backend, filter, junit: options.junit, stop, root, loadVitest },
    onCase: (result) => {
      if (result.outcome === 'failed' && !json) {
        terminal.out(caseLine(result, terminal.colors))
      }
    },
  })
  stop.throwIfAborted()
  if (cases.length === 0) {
    throw new InputError(`validate: no case has "${filter ?? ''}" in its topic, its name or its rules`, {
      hint: '--filter takes a part of one: an id such as POST-27, or a word of a name',
      exitCode: EXIT.usage,
    })
  }
  const summary = summaryOf(cases)
  const { name, version } = packageManifest()
  const result: ResultDocument = {
    ...{ schema: SCHEMA, schemaVersion: SCHEMA_VERSION, backend },
    ...{ startedAt: started.toISOString(), durationMs: Date.now() - started.getTime() },
    ...{ package: { name, version }, node: process.version },
    machine: {
      ...{ platform, release: os.release(), arch: process.arch },
      ...{ processors: os.availableParallelism(), memoryBytes: os.totalmem() },
    },
    ...{ driver, filter: filter ?? null, summary, cases },
  }
  const document = `${JSON.stringify(result, undefined, 2)}\n`
  if (options.out !== undefined) {
    write('--out', options.out, document)
  }
  if (options.html !== undefined) {
    write('--html', options.html, htmlOf(result))
  }
  terminal.out(json ? document : `${topicLines(cases)}${summaryLine(summary)}\n`)
  return summary.failed === 0 ? EXIT.ok : EXIT.failed
}
