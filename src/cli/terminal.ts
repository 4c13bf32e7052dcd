// SPDX-License-Identifier: MIT
//
// This module provides: where the command line writes, and a block of text that is redrawn in place.

import picocolors from 'picocolors'

export type Colors = Pick<typeof picocolors, 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'>

export interface Terminal {
  readonly colors: Colors
  /** Somebody watches: text may be redrawn. */
  readonly interactive: boolean
  columns(): number
  out(text: string): void
  err(text: string): void
}

/** NO_COLOR and FORCE_COLOR as everywhere; else colours when somebody watches. */
export function wantsColors(environment: NodeJS.ProcessEnv, isTty: boolean): boolean {
  const { NO_COLOR: no, FORCE_COLOR: force, TERM: term } = environment
  if (no !== undefined && no !== '') {
    return false
  }
  if (force !== undefined) {
    return force !== '0' && force !== 'false'
  }
  return isTty && term !== 'dumb'
}

/** Absent when the output is no terminal, 0 when the terminal does not know its size. */
const terminalWidth = (columns: number | undefined): number => (columns === undefined || columns === 0 ? 80 : columns)

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const { stdout, stderr, env } = process
  // Absent when the output is a file or a pipe.
  const isTty = (stdout as { isTTY?: boolean }).isTTY === true
  return {
    colors: picocolors.createColors(wantsColors(env, isTty)),
    interactive: isTty && env['TERM'] !== 'dumb',
    columns: () => terminalWidth((stdout as { columns?: number }).columns),
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
  }
}

const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g')

/** Characters that a line takes on the screen. */
export const visibleWidth = (line: string): number => line.replace(ESCAPES, '').length

/** A block at the end of the output that is drawn again in place. */
export class LiveBlock {
  readonly #terminal: Terminal
  #lines = 0

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  draw(text: string): void {
    const lines = text.split('\n')
    const columns = this.#terminal.columns()
    // A line that wraps takes more than one row, and the cursor would not find the block's start again.
    const rows = lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(visibleWidth(line) / columns)), 0)
    this.#terminal.out(`${this.#back()}${text}\n`)
    this.#lines = rows
  }

  /** Takes the block off the screen. */
  clear(): void {
    this.#terminal.out(this.#back())
    this.#lines = 0
  }

  #back(): string {
    return this.#lines === 0 ? '' : `\u001B[${this.#lines}A\u001B[0J`
  }
}

/** JSON with 64-bit values as numbers, or as text when a number would not be exact. */
export function toJson(value: unknown): string {
  const exact = (_key: string, each: unknown): unknown =>
    typeof each !== 'bigint' ? each : each <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(each) : each.toString()
  return JSON.stringify(value, exact, 2)
}
