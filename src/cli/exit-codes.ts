// SPDX-License-Identifier: MIT
//
// This module provides: the exit codes of the command line. This table is what --help prints and what docs/CLI.md is tested against.

import {
  DriverNotLoadedError,
  InstallationError,
  InvalidRuleError,
  ModelStoppedError,
  NotSupportedError,
  VersionMismatchError,
} from '../index.js'
import { MachineError } from './machine-error.js'
import { firstError, InputError, StoppedError } from './problems.js'

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  environment: 3,
  unavailable: 4,
  input: 5,
  modelStopped: 6,
  restart: 7,
  interrupted: 130,
  brokenPipe: 141,
  terminated: 143,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

export interface ExitCodeRow {
  readonly code: ExitCode
  readonly meaning: string
}

export const EXIT_CODES: readonly ExitCodeRow[] = [
  { code: EXIT.ok, meaning: 'done, and everything that was checked was right' },
  {
    code: EXIT.failed,
    meaning:
      'it failed: an error, a balance that is not exact, a case that failed, results that differ, a script that threw',
  },
  {
    code: EXIT.usage,
    meaning: 'the command line is wrong: unknown command or option, bad value; compare: a file that it cannot compare',
  },
  {
    code: EXIT.environment,
    meaning: 'this machine is not ready: not built, a package or a setting is missing, another run is under way',
  },
  {
    code: EXIT.unavailable,
    meaning: 'no driver to talk to: not Windows, not loaded, another version, or the backend cannot do it',
  },
  { code: EXIT.input, meaning: 'a file that was named is missing, cannot be read, or is malformed' },
  { code: EXIT.modelStopped, meaning: 'the model found a broken rule and stopped; its report says which' },
  { code: EXIT.restart, meaning: 'the machine has to be restarted; then give the same command again' },
  { code: EXIT.interrupted, meaning: 'interrupted by Ctrl-C (SIGINT); everything was closed first' },
  { code: EXIT.brokenPipe, meaning: 'whoever read the output went away' },
  { code: EXIT.terminated, meaning: 'terminated by SIGTERM; everything was closed first' },
]

/** The code for an error that ended a command. */
export function exitCodeOf(thrown: unknown): ExitCode {
  const error = firstError(thrown)
  if (error instanceof StoppedError) {
    return error.exitCode
  }
  if (error instanceof InputError || error instanceof MachineError) {
    return error.exitCode
  }
  if (error instanceof InvalidRuleError) {
    return EXIT.input
  }
  if (error instanceof InstallationError) {
    return EXIT.environment
  }
  if (
    error instanceof DriverNotLoadedError ||
    error instanceof VersionMismatchError ||
    error instanceof NotSupportedError
  ) {
    return EXIT.unavailable
  }
  return error instanceof ModelStoppedError ? EXIT.modelStopped : EXIT.failed
}

/** The table as --help shows it. */
export function exitCodesHelp(): string {
  const rows = EXIT_CODES.map(({ code, meaning }) => `  ${String(code).padEnd(4)} ${meaning}`)
  return ['Exit codes:', ...rows].join('\n')
}
