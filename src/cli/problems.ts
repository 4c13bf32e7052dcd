// SPDX-License-Identifier: MIT
//
// This module provides: the command line's own errors, and how any error is shown to a person or to a program.

import { MinipendError, ModelStoppedError, type NamedNumber } from '../index.js'
import { MachineError } from './machine-error.js'
import type { Colors } from './terminal.js'

/** A file, or a value, that was named on the command line is of no use. */
export class InputError extends Error {
  override readonly name = 'InputError'
  readonly hint: string | undefined
  /** 5, or 2 where the command says so. */
  readonly exitCode: 2 | 5

  constructor(
    message: string,
    options: { readonly hint?: string; readonly cause?: unknown; readonly exitCode?: 2 | 5 } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.hint = options.hint
    this.exitCode = options.exitCode ?? 5
  }
}

/** The command was told to stop: Ctrl-C, SIGTERM, or a reader that went away. */
export class StoppedError extends Error {
  override readonly name = 'StoppedError'
  readonly exitCode: 130 | 141 | 143

  constructor(exitCode: 130 | 141 | 143) {
    super('stopped')
    this.exitCode = exitCode
  }
}

/** What went wrong first: closing after a failure may fail as well, and then the language wraps both. */
export function firstError(error: unknown): unknown {
  let first = error
  while (first instanceof Error && first.name === 'SuppressedError' && 'suppressed' in first) {
    first = first.suppressed
  }
  return first
}

const HISTORY_LINES = 12
const STACK_LINES = 16

/** Where in the user's own files it was thrown: frames of Node and of packages tell a reader nothing. */
function ownFrames(error: Error, own: string | undefined): string[] {
  if (own === undefined) {
    return []
  }
  return (error.stack ?? '')
    .split('\n')
    .filter((line) => line.trimStart().startsWith('at ') && line.includes(own) && !line.includes('node_modules'))
    .map((line) => line.trim())
    .slice(0, 3)
}

function modelLines(error: ModelStoppedError): string[] {
  const { seed, history, leaks, operation, backtrace } = error.report
  const last = history.slice(-HISTORY_LINES)
  return [
    `seed: ${seed}`,
    ...(backtrace.length === 0 ? [] : ['stack:', ...backtrace.slice(0, STACK_LINES).map((line) => `  ${line}`)]),
    ...(operation.length === 0 ? [] : ['the operation:', ...operation.map((line) => `  ${line}`)]),
    ...(last.length === 0 ? [] : ['what happened last:', ...last.map((line) => `  ${line}`)]),
    ...leaks.map((leak) => `left behind: ${leak}`),
  ]
}

/** `own`: a directory; the frames inside it are shown. */
export function describeError(thrown: unknown, colors: Colors, own?: string): string {
  const error = firstError(thrown)
  const head = colors.red('minipend:')
  if (!(error instanceof Error)) {
    return `${head} ${String(error)}\n`
  }
  if (!(error instanceof MinipendError) && !(error instanceof InputError) && !(error instanceof MachineError)) {
    return `${head} ${error.stack ?? error.message}\n`
  }
  const lines = [`${head} ${error.message}`]
  lines.push(...ownFrames(error, own).map((line) => `  ${line}`))
  if (error instanceof ModelStoppedError) {
    lines.push(...modelLines(error).map((line) => `  ${line}`))
  }
  if (error.hint !== undefined) {
    lines.push(`  ${colors.bold('what to do:')} ${error.hint}`)
  }
  return `${lines.join('\n')}\n`
}

export interface ErrorDocument {
  readonly ok: false
  readonly error: {
    readonly name: string
    readonly message: string
    readonly code?: string | undefined
    readonly operation?: string | undefined
    readonly hint?: string | undefined
    readonly ntstatus?: NamedNumber | undefined
    readonly win32?: NamedNumber | undefined
    readonly hresult?: NamedNumber | undefined
    readonly report?: unknown
  }
}

/** What --json prints when a command fails. */
export function errorDocument(thrown: unknown): ErrorDocument {
  const error = firstError(thrown)
  if (!(error instanceof Error)) {
    return { ok: false, error: { name: 'Error', message: String(error) } }
  }
  const { name, message } = error
  if (error instanceof MinipendError) {
    const { code, operation, hint, ntstatus, win32, hresult } = error
    const report = error instanceof ModelStoppedError ? error.report : undefined
    return { ok: false, error: { name, message, code, operation, hint, ntstatus, win32, hresult, report } }
  }
  const hint = error instanceof InputError || error instanceof MachineError ? error.hint : undefined
  return { ok: false, error: { name, message, hint } }
}
