// SPDX-License-Identifier: MIT
//
// This module provides: the commands for a Windows machine as the command line gives them, on a machine in memory.

import { exitCodeOf } from '../../../src/cli/exit-codes.js'
import { describeError } from '../../../src/cli/problems.js'
import type { ValidateOptions } from '../../../src/cli/validate/validate.js'
import { validateOnWindows, type WindowsRunParts } from '../../../src/cli/validate/windows-run.js'
import { undo } from '../../../src/cli/windows/undo-command.js'
import { rememberingTerminal, type TestContext, testContext } from '../cli/support.js'
import { FakeProcess, FakeWindows, type WindowsTraits } from './fake-windows.js'
import { DIRECTORY, PACKAGE, partsOf, withPackage } from './support.js'

export const options: ValidateOptions = { backend: 'windows', package: PACKAGE, stateDir: DIRECTORY }
export const fresh = (traits: Partial<WindowsTraits> = {}): FakeWindows => withPackage(new FakeWindows(traits))
export const contextOf = (given: Parameters<typeof testContext>[0] = {}): TestContext =>
  testContext({ platform: 'win32', ...given })

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
  readonly error: string
}

/** As the command line does it. */
export async function ran(context: TestContext, work: Promise<number>): Promise<Ran> {
  let code: number
  let error = ''
  try {
    code = await work
  } catch (thrown) {
    const cause: unknown = context.stop.aborted ? context.stop.reason : thrown
    code = exitCodeOf(cause)
    error = context.stop.aborted ? '' : describeError(thrown, rememberingTerminal().colors)
  }
  const { out, err } = context.terminal.text
  return { code, out, err, error }
}

export const validateOn = (
  parts: WindowsRunParts,
  more: Partial<ValidateOptions> = {},
  context = contextOf(),
): Promise<Ran> => ran(context, validateOnWindows(context, { ...options, ...more }, parts))

export const undoOn = (windows: FakeWindows, more: { dryRun?: boolean } = {}, json = false): Promise<Ran> => {
  const context = contextOf({ json })
  return ran(context, undo(context, { stateDir: DIRECTORY, ...more }, partsOf(new FakeProcess(windows))))
}
