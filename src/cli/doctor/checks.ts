// SPDX-License-Identifier: MIT
//
// This module provides: what doctor looks at. Each check finds out one thing; none of them changes anything on the machine.

import { spawn } from 'node:child_process'
import { arch, release } from 'node:os'
import { fileURLToPath } from 'node:url'
import { type BackendName, inspectInstallation, type InstalledPart, type TransportName } from '../../index.js'
import { brokenHint, missingHint } from '../../transport/installation.js'
import { binaryChecks } from './binaries.js'
import { thisMachine } from '../windows/machine.js'
import type { TrialResult } from './trial.js'
import { examineWindows } from './windows-checks.js'

/** `unknown`: cannot be found out here. `optional`: missing, and nothing else needs it. */
export type CheckStatus = 'ok' | 'missing' | 'failed' | 'optional' | 'unknown'

export interface Check {
  readonly id: string
  readonly title: string
  readonly status: CheckStatus
  readonly detail: string
  /** What to do about it. */
  readonly fix?: string | undefined
}

interface Finished {
  readonly stdout: string
  readonly stderr: string
  /** Exit code, or the signal's name, or undefined when it could not be started. */
  readonly end: number | string | undefined
}

const TRIAL_LIMIT_MS = 20_000

function runProgram(command: string, args: readonly string[], timeout = TRIAL_LIMIT_MS): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true })
    // Not spawn's own limit: that one keeps this process waiting for a program that could not be started.
    const limit = setTimeout(() => child.kill(), timeout)
    let stdout = ''
    let stderr = ''
    const finished = (end: Finished['end']): void => {
      clearTimeout(limit)
      resolve({ stdout, stderr, end })
    }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', () => finished(undefined))
    child.on('close', (code, signal) => finished(code ?? signal ?? undefined))
  })
}

export async function tryBackend(backend: BackendName, transport: TransportName): Promise<TrialResult> {
  const program = fileURLToPath(new URL('./trial.js', import.meta.url))
  const { stdout, stderr, end } = await runProgram(process.execPath, [program, backend, transport])
  const line = stdout.split('\n').find((each) => each.startsWith('{'))
  if (line !== undefined && end === 0) {
    return JSON.parse(line) as TrialResult
  }
  const said = stderr.trim().split('\n').slice(-3).join(' / ')
  return { ok: false, detail: `the trial ended with ${end ?? 'no start'}${said === '' ? '' : `: ${said}`}` }
}

const LEAST_NODE = [20, 17] as const

export function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  const enough = major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1])
  const least = LEAST_NODE.join('.')
  return {
    id: 'node',
    title: 'Node',
    status: enough ? 'ok' : 'failed',
    detail: version,
    fix: enough ? undefined : `install Node ${least} or newer`,
  }
}

export function checkPlatform(platform: NodeJS.Platform): Check {
  const tested = platform === 'linux' && arch() === 'x64'
  return {
    id: 'platform',
    title: 'Platform',
    status: tested ? 'ok' : 'unknown',
    detail: `${platform} ${arch()}, ${release()}${tested ? '' : ': this platform has not been tested'}`,
  }
}

/** A part of this package that the build makes. */
export function checkPart(id: string, title: string, part: InstalledPart): Check {
  return {
    id,
    title,
    status: part.exists ? 'ok' : 'missing',
    detail: part.path,
    fix: part.exists ? undefined : missingHint(),
  }
}

export function checkEmbedded(trial: TrialResult): Check {
  const status = trial.ok ? 'ok' : 'failed'
  const fix = trial.ok ? undefined : (trial.hint ?? brokenHint())
  return { id: 'embedded', title: 'Embedded backend', status, detail: trial.detail, fix }
}

/** Optional: only the ffi transport needs it. */
export function checkFfi(parts: readonly InstalledPart[], trial: TrialResult | undefined): Check {
  const common = { id: 'ffi', title: 'ffi transport' }
  const missing = parts.filter((part) => !part.exists).map((part) => part.path)
  if (trial === undefined) {
    const detail = `${missing.join(' and ')} not installed; only transport: 'ffi' needs it`
    return { ...common, status: 'optional', detail, fix: 'npm install ffi-napi ref-napi --ignore-scripts' }
  }
  return trial.ok
    ? { ...common, status: 'ok', detail: trial.detail }
    : { ...common, status: 'optional', detail: trial.detail, fix: trial.hint }
}

/** `trial`: undefined on another system than Windows. */
export function checkWindows(trial: TrialResult | undefined): Check {
  const common = { id: 'windows', title: 'Windows backend' }
  if (trial === undefined) {
    const detail = 'needs Windows with the test-signed driver; nothing of that can be checked here'
    return {
      ...common,
      status: 'unknown',
      detail,
      fix: 'the Windows side has not been tried yet; use the embedded backend',
    }
  }
  return trial.ok
    ? { ...common, status: 'ok', detail: trial.detail }
    : {
        ...common,
        status: trial.code === 'DRIVER_NOT_LOADED' ? 'missing' : 'failed',
        detail: trial.detail,
        fix: trial.hint,
      }
}

async function checkTool(id: string, title: string, candidates: readonly string[], fix: string): Promise<Check> {
  for (const candidate of candidates) {
    const { stdout, end } = await runProgram(candidate, ['--version'])
    if (end === 0) {
      return { id, title, status: 'ok', detail: `${candidate}: ${stdout.split('\n', 1)[0]?.trim() ?? ''}` }
    }
  }
  return { id, title, status: 'optional', detail: `not found (${candidates.join(', ')}); needed to build`, fix }
}

const chosen = (variable: string, others: readonly string[]): readonly string[] => {
  const value = process.env[variable]
  return value === undefined || value === '' ? others : [value]
}

/** All checks, in the order in which they are shown. */
export async function examine(platform: NodeJS.Platform): Promise<Check[]> {
  const installed = inspectInstallation()
  const ffiParts = [installed.ffiNapi, installed.refNapi]
  const [embedded, ffi, windows, cmake, compiler] = await Promise.all([
    tryBackend('embedded', 'addon'),
    ffiParts.every((part) => part.exists) ? tryBackend('embedded', 'ffi') : undefined,
    platform === 'win32' ? tryBackend('windows', 'addon') : undefined,
    checkTool('cmake', 'CMake', ['cmake'], 'install CMake 3.20 or newer'),
    platform === 'win32'
      ? undefined
      : checkTool(
          'compiler',
          'C++ compiler',
          chosen('CXX', ['c++', 'g++', 'clang++']),
          'install gcc 12 or newer, or clang',
        ),
  ])
  return [
    checkNode(process.version),
    checkPlatform(platform),
    ...binaryChecks(installed),
    checkPart('addon', 'Addon', installed.addon),
    checkPart('model', 'Model', installed.model),
    checkPart('driverImage', 'Driver image', installed.driverImage),
    checkEmbedded(embedded),
    checkFfi(ffiParts, ffi),
    checkWindows(windows),
    cmake,
    compiler ?? {
      id: 'compiler',
      title: 'C++ compiler',
      status: 'unknown',
      detail: 'not checked on Windows: CMake finds Visual Studio by itself',
    },
    ...(platform === 'win32' ? await examineWindows(thisMachine()) : []),
  ]
}
