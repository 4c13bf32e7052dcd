// SPDX-License-Identifier: MIT
//
// This module provides: `minipend run SCRIPT [args...]`: a user's TypeScript or JavaScript, in this process, without a build step.
//
// The script sees process.argv as if Node had been started with it. It owns stdout and the exit code; this module only speaks when it throws.

import { statSync } from 'node:fs'
import * as nodeModule from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { InstallationError, MinipendError } from '../../index.js'
import type { CommandContext } from '../command.js'
import { EXIT, exitCodeOf } from '../exit-codes.js'
import { describeError, errorDocument, InputError } from '../problems.js'
import { type HookData, initialize, resolveSync } from './resolve-hooks.js'

interface HookingModule {
  /** Node 22.15 and newer. */
  readonly registerHooks?: (hooks: { resolve: typeof resolveSync }) => unknown
}

async function installHooks(): Promise<void> {
  let tsx: { register: () => unknown }
  try {
    tsx = await import('tsx/esm/api')
  } catch (cause) {
    throw new InstallationError('DEPENDENCY_MISSING', `run: the package tsx does not load: ${String(cause)}`, {
      operation: 'run',
      hint: 'install the dependencies: npm ci',
      cause,
    })
  }
  tsx.register()
  const data: HookData = { packageUrl: new URL('../../index.js', import.meta.url).href }
  const { registerHooks } = nodeModule as HookingModule
  if (registerHooks === undefined) {
    nodeModule.register('./resolve-hooks.js', import.meta.url, { data })
  } else {
    initialize(data)
    registerHooks({ resolve: resolveSync })
  }
  process.setSourceMapsEnabled(true)
}

/** The script's full path. @throws InputError */
export function findScript(script: string): string {
  const file = path.resolve(script)
  let isFile: boolean
  try {
    isFile = statSync(file).isFile()
  } catch (cause) {
    throw new InputError(`run: cannot find the script "${script}"`, {
      hint: `give the path of a .ts or .js file; looked for ${file}`,
      cause,
    })
  }
  if (!isFile) {
    throw new InputError(`run: "${script}" is not a file`, { hint: 'give the path of a .ts or .js file' })
  }
  return file
}

/** Frames of Node, of this package and of what it starts scripts with; they tell a script's writer nothing. */
const FOREIGN_FRAME = /^\s+at .*(?:node:internal|\/node_modules\/(?:commander|tsx|esbuild)\/)/
const OWN_URL = new URL('..', import.meta.url).href

function trimStack(error: unknown): void {
  if (error instanceof Error && error.stack !== undefined) {
    const lines = error.stack.split('\n')
    error.stack = lines.filter((line) => !FOREIGN_FRAME.test(line) && !line.includes(OWN_URL)).join('\n')
  }
}

/** tsx's own error for text that is no TypeScript; its message names file, line and column. */
const isSyntaxProblem = (error: unknown): error is Error =>
  error instanceof Error && (error.name === 'TransformError' || error.message.startsWith('Transform failed'))

/** An import, or an import of an import, that leads nowhere. */
const isMissingImport = (error: unknown): error is Error =>
  error instanceof Error && (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND'

/** Shows what a script threw, and returns the exit code for it. */
export function reportScriptError(context: CommandContext, file: string, error: unknown): number {
  const { terminal } = context
  trimStack(error)
  const unusable = isSyntaxProblem(error) || isMissingImport(error)
  const problem = unusable ? new InputError(`run: ${error.message}`, { cause: error }) : error
  if (context.json) {
    terminal.err(`${JSON.stringify(errorDocument(problem))}\n`)
  } else {
    terminal.err(describeError(problem, terminal.colors, path.dirname(file)))
  }
  // What a script does with a rule or a driver is its own affair: it failed. Only what it could not help has a code of its own.
  const code = exitCodeOf(problem)
  return problem instanceof MinipendError && code === EXIT.input ? EXIT.failed : code
}

export async function run(
  context: CommandContext,
  script: string,
  args: readonly string[],
): Promise<number | undefined> {
  const file = findScript(script)
  await installHooks()
  process.argv = [process.execPath, file, ...args]

  const failed = (error: unknown): void => {
    process.exit(reportScriptError(context, file, error))
  }
  process.on('uncaughtException', failed)
  process.on('unhandledRejection', failed)
  let settled = false
  // Nothing is left to do, yet the script has not ended. (It does not come here by process.exit().)
  process.once('beforeExit', () => {
    if (!settled) {
      context.terminal.err(
        `minipend: ${script} ended while it was waiting for something that can no longer come (an await at its top level)\n`,
      )
      process.exitCode = EXIT.failed
    }
  })
  try {
    await import(pathToFileURL(file).href)
    settled = true
    return undefined
  } catch (error) {
    settled = true
    return reportScriptError(context, file, error)
  }
}
