// SPDX-License-Identifier: MIT
//
// This module provides: what a row of the table of Windows commands is, a call made of a row, and the error of a call that failed.

import { explainHresult, filterHint, formatNumber } from '../../errors/tables.js'
import { MachineError } from '../machine-error.js'

export interface Finished {
  readonly code: number
  /** Both streams, as they came. */
  readonly output: string
}

/** A file that a program reads its commands from. */
export interface Script {
  readonly file: string
  readonly text: string
}

/** A program to start: never a line for a shell. */
export interface Invocation {
  readonly program: string
  readonly args: readonly string[]
  readonly script?: Script | undefined
}

/** What is known of one use of one program. */
export interface CommandRow<P, R> {
  readonly program: string
  readonly args: (parameters: P) => readonly string[]
  readonly script?: (parameters: P) => Script
  /** What the end of the program means. @throws CommandError when it has failed */
  readonly read: (finished: Finished, invocation: Invocation) => R
  /** The same in words. */
  readonly means: string
  /** Rules of the Filter Manager's facts, and addresses of pages. */
  readonly sources: readonly string[]
  /** What it does to the machine, and which row undoes it; absent: it only looks. */
  readonly changes?: { readonly what: string; readonly undoneBy: string }
  readonly limitMs: number
}

/** A row with its parameters. */
export interface Call<R> extends Invocation {
  readonly name: string
  readonly limitMs: number
  readonly changes: boolean
  readonly read: (finished: Finished) => R
}

export const lineOf = ({ program, args }: Invocation): string =>
  [program, ...args].map((each) => (/[\s"]/.test(each) ? `"${each}"` : each)).join(' ')

/** Codes that programs print or end with, and what they mean where these calls are made [DEP-01, DEP-05]. */
const MEANINGS: ReadonlyMap<number, string> = new Map([
  [0x80070002, 'the driver is not installed, or its image is not where its service says'],
  [0x80070005, 'access was denied: this needs an elevated prompt'],
  [0x80070241, 'Windows refused the signature: test-signing mode is off, or the image was changed after it was signed'],
  [0x800b0109, 'the certificate is not in the Root store of this machine'],
  [0x800f0242, 'the catalog is signed by a publisher that this machine does not trust'],
  [0x800f0247, 'a file of the package does not match its catalog'],
  [0x801f0010, 'the driver refused to be unloaded, or has no unload routine'],
  [0x801f0011, 'another filter has this altitude'],
  [0x801f0013, 'the filter is not loaded'],
])

/** The failure that a program printed: these codes look the same in every language [DEP-04]. */
export function printedHresult(output: string): number | undefined {
  const found = /\b0x(8[0-9a-f]{7})\b/i.exec(output)?.[1]
  return found === undefined ? undefined : Number.parseInt(found, 16)
}

const codeText = (code: number): string => {
  const unsigned = code >>> 0
  return unsigned > 0xffff ? formatNumber(explainHresult(unsigned).hresult) : String(code)
}

/** The last lines that say something; the first ones are banners. */
const tail = (output: string): string =>
  output
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .slice(-3)
    .join(' / ')

export class CommandError extends MachineError {
  override readonly name = 'CommandError'
  readonly command: string
  /** What was printed, or else the exit code; undefined when it did not end, or did not start. */
  readonly code: number | undefined

  constructor(command: string, code: number | undefined, message: string, hint?: string) {
    super(message, { hint })
    this.command = command
    this.code = code
  }
}

/** It ended, and not well. */
export function failed(invocation: Invocation, finished: Finished): CommandError {
  const code = printedHresult(finished.output) ?? finished.code
  const line = lineOf(invocation)
  const means = MEANINGS.get(code >>> 0)
  const said = tail(finished.output)
  const why = [means, said === '' ? undefined : `it said: ${said}`].filter((part) => part !== undefined).join('; ')
  return new CommandError(
    line,
    code,
    `${line}: failed with ${codeText(code)}${why === '' ? '' : `: ${why}`}`,
    filterHint(explainHresult(code).hresult.name),
  )
}

export const tookTooLong = (invocation: Invocation, limitMs: number): CommandError =>
  new CommandError(lineOf(invocation), undefined, `${lineOf(invocation)}: has not ended within ${limitMs / 1000} s`)

export const notThere = (invocation: Invocation): CommandError =>
  new CommandError(lineOf(invocation), undefined, `${invocation.program}: there is no such program on this machine`)

/** 0 is good, all else has failed. */
export function expectZero(finished: Finished, invocation: Invocation): undefined {
  if (finished.code !== 0) {
    throw failed(invocation, finished)
  }
}
