// SPDX-License-Identifier: MIT
//
// This module provides: running the conformance cases with vitest, in this process; the cases themselves run in processes of vitest's.
//
// vitest and the cases belong to a clone of the repository, not to the installed package.

import { existsSync } from 'node:fs'
import path from 'node:path'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type BackendName, InstallationError, type ReadingOptions } from '../../index.js'
import { Collector } from './collect.js'
import { type CaseResult, readingsText } from './document.js'

export const PACKAGE_ROOT = fileURLToPath(new URL('../../../', import.meta.url))

export interface SuiteOptions {
  readonly backend: BackendName
  /** Only cases with this text in topic, name or ids, whatever its case. */
  readonly filter: string | undefined
  readonly readings?: ReadingOptions | undefined
  /** A file for a JUnit report, made by vitest. */
  readonly junit: string | undefined
  readonly stop: AbortSignal
  readonly onCase: (result: CaseResult) => void
  /** Told of each as it begins. */
  readonly onStart?: ((name: string) => void) | undefined
  /** On windows, as "X:"; by default what the environment says. */
  readonly volumes?: { readonly ntfs: string; readonly fat: string } | undefined
  /** For tests. Default: this package's. */
  readonly root?: string | undefined
  readonly loadVitest?: (() => Promise<typeof import('vitest/node')>) | undefined
}

export const nameOf = ({ topic, name }: Pick<CaseResult, 'topic' | 'name'>): string => `${topic} ${name}`

const CLONE = 'in a clone of the repository: npm ci, npm run build, npx minipend validate'

async function vitestOf(load: () => Promise<typeof import('vitest/node')>): Promise<typeof import('vitest/node')> {
  try {
    return await load()
  } catch (cause) {
    throw new InstallationError('DEPENDENCY_MISSING', 'validate: the package vitest is not installed', {
      operation: 'validate',
      hint: CLONE,
      cause,
    })
  }
}

/** vitest, when it and the cases are there. @throws InstallationError */
export async function requireSuite(
  root = PACKAGE_ROOT,
  loadVitest: () => Promise<typeof import('vitest/node')> = () => import('vitest/node'),
): Promise<typeof import('vitest/node')> {
  if (!existsSync(path.join(root, 'test', 'conformance'))) {
    throw new InstallationError('BUILD_MISSING', 'validate: the conformance cases (test/conformance) are not here', {
      operation: 'validate',
      hint: CLONE,
    })
  }
  return vitestOf(loadVitest)
}

/** @throws InstallationError when vitest or the cases are missing */
export async function runSuite(options: SuiteOptions): Promise<readonly CaseResult[]> {
  const { backend, filter, junit, stop, volumes, root = PACKAGE_ROOT, loadVitest } = options
  const { createVitest } = await requireSuite(root, loadVitest)
  const wanted = filter?.toLowerCase()
  const collector = new Collector(
    (result) => wanted === undefined || nameOf(result).toLowerCase().includes(wanted),
    options.onCase,
    options.onStart,
  )
  // vitest says nothing by itself: stdout is the command's, which may print a document.
  const quiet = new Writable({ write: (_chunk, _encoding, done) => done() })
  const config: Parameters<typeof createVitest>[1] = {
    root,
    watch: false,
    include: ['test/conformance/**/*.test.ts'],
    reporters: junit === undefined ? [collector] : [collector, ['junit', { outputFile: path.resolve(junit) }]],
    env: {
      MINIPEND_CONFORMANCE_BACKEND: backend,
      MINIPEND_READINGS: readingsText(options.readings),
      ...(volumes === undefined ? {} : { MINIPEND_NTFS: volumes.ntfs, MINIPEND_FAT: volumes.fat }),
    },
    ...(filter === undefined ? {} : { testNamePattern: new RegExp(filter.replaceAll(/[^\w\s]/g, '\\$&'), 'i') }),
    // On Windows the cases share one machine.
    fileParallelism: backend === 'embedded',
  }
  const vitest = await createVitest('test', config, {}, { stdout: quiet })
  const onStop = (): void => void vitest.cancelCurrentRun('keyboard-input')
  stop.addEventListener('abort', onStop)
  const exitCode = process.exitCode
  try {
    await vitest.start()
  } finally {
    stop.removeEventListener('abort', onStop)
    await vitest.close()
    // vitest sets it; the outcome of the cases decides, not vitest.
    process.exitCode = exitCode
  }
  return collector.cases
}
