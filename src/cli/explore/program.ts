// SPDX-License-Identifier: MIT
//
// This module provides: the program that plays the schedules (test/explore): built when it is wanted, run with its lines as events.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { InstallationError, NotSupportedError } from '../../index.js'

export interface KnownScenario {
  readonly event: 'known'
  readonly scenario: string
  readonly what: string
}

export interface ScenarioEvent {
  readonly event: 'scenario'
  readonly scenario: string
  readonly strategy: string
  readonly schedules: number
  /** Exhaustive: those that are no repetition. */
  readonly distinct: number
  readonly seed: string
  readonly pointsPerSchedule: number
  readonly preemptionsPerSchedule: number
  /** Exhaustive: all schedules with at most so many preemptions have been played. */
  readonly complete: number | null
  readonly seconds: number
  readonly failed: boolean
  readonly stopped: boolean
}

export interface FailureEvent {
  readonly event: 'failure'
  readonly scenario: string
  readonly strategy: string
  readonly seed: string
  readonly rule: string
  readonly call: string
  readonly text: string
  /** Decisions of the schedule as it was found, and of the shortest one that still fails; null: it could not be played again. */
  readonly decisions: number | null
  readonly shrunkTo: number | null
  readonly tries: number
  readonly steps: readonly string[]
  readonly replay: string | null
  /** The model's own report. */
  readonly report: { readonly history?: readonly string[] } | null
}

export interface EndEvent {
  readonly event: 'end'
  readonly scenarios: number
  readonly schedules: number
  readonly failures: number
  readonly seconds: number
  readonly perSecond: number
  readonly jobs: number
  readonly stopped: boolean
}

export type ExploreEvent = KnownScenario | ScenarioEvent | FailureEvent | EndEvent

export const PACKAGE_ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const CLONE = 'clone the repository; there: npm ci && npm run build'

interface BuildScript {
  buildTestProgram(target: string): string
}

/** Builds what has changed. @throws InstallationError, NotSupportedError */
export async function exploreProgram(root = PACKAGE_ROOT, platform = process.platform): Promise<string> {
  if (platform === 'win32') {
    throw new NotSupportedError('explore: the schedules are played by a program that Windows cannot run yet', {
      operation: 'explore',
      hint: 'run it on Linux, or in WSL: nothing that is explored needs Windows',
    })
  }
  if (!existsSync(path.join(root, 'test', 'explore', 'CMakeLists.txt'))) {
    throw new InstallationError('BUILD_MISSING', 'explore: the scenarios (test/explore) are not here', {
      operation: 'explore',
      hint: CLONE,
    })
  }
  const script = pathToFileURL(path.join(root, 'scripts', 'build.mjs')).href
  try {
    const build = (await import(script)) as BuildScript
    return build.buildTestProgram('minipend_explore')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new InstallationError('BUILD_BROKEN', `explore: minipend_explore could not be built: ${why}`, {
      operation: 'explore',
      hint: 'npm run build says what is missing; MINIPEND_VERBOSE=1 shows everything',
      cause,
    })
  }
}

/** Runs it to its end. Aborting stops it at once: its totals still come. Value: the exit code. */
export async function runExplore(
  program: string,
  args: readonly string[],
  stop: AbortSignal,
  onEvent: (event: ExploreEvent) => void,
): Promise<number> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const onAbort = (): void => void child.kill('SIGINT')
  stop.addEventListener('abort', onAbort)
  try {
    const ended = new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => {
        if (code === null) {
          reject(new Error(`explore: ${path.basename(program)} ended by ${signal}`))
        } else {
          resolve(code)
        }
      })
    })
    for await (const line of createInterface({ input: child.stdout })) {
      onEvent(JSON.parse(line) as ExploreEvent)
    }
    return await ended
  } finally {
    stop.removeEventListener('abort', onAbort)
  }
}
