// SPDX-License-Identifier: MIT
//
// This module provides: the error of commands that work on a test machine. It stands alone: scripts use it where the library is not built.

/** The test machine is not ready, or something that was done to it failed. */
export class MachineError extends Error {
  override readonly name: string = 'MachineError'
  readonly hint: string | undefined
  /** 1: it failed; 3: it is not ready; 7: it has to be restarted first. */
  readonly exitCode: 1 | 3 | 7

  constructor(
    message: string,
    options: { readonly hint?: string | undefined; readonly cause?: unknown; readonly exitCode?: 1 | 3 | 7 } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.hint = options.hint
    this.exitCode = options.exitCode ?? 1
  }
}
