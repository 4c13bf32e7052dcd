// SPDX-License-Identifier: MIT
//
// This module provides: what every command gets, and reading of option values.

import { InvalidArgumentError } from 'commander'
import { READINGS, type ReadingName, type ReadingOptions } from '../generated/readings.js'
import type { openMinipend } from '../index.js'
import type { Terminal } from './terminal.js'

export interface CommandContext {
  readonly terminal: Terminal
  /** Print one JSON document instead of text. */
  readonly json: boolean
  /** Aborted on Ctrl-C and the like, with a StoppedError as its reason. */
  readonly stop: AbortSignal
  readonly open: typeof openMinipend
  readonly platform: NodeJS.Platform
}

/** A parser for an integer option. */
export function integerOption(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN
    if (!(value >= least && value <= most)) {
      throw new InvalidArgumentError(`Expected an integer from ${least} to ${most}.`)
    }
    return value
  }
}

const MAX_SEED = 2n ** 64n - 1n

/** A seed, decimal or 0x hexadecimal. */
export function seedOption(text: string): bigint {
  if (/^(\d+|0x[0-9a-f]+)$/i.test(text)) {
    const value = BigInt(text)
    if (value <= MAX_SEED) {
      return value
    }
  }
  throw new InvalidArgumentError(`Expected an integer from 0 to ${MAX_SEED}, decimal or 0x...`)
}

/** One more "name=value" of docs/READINGS.md, see ReadingOptions. */
export function readingOption(text: string, others: ReadingOptions = {}): ReadingOptions {
  const [name = '', value = ''] = text.split('=', 2)
  if (!Object.hasOwn(READINGS, name)) {
    throw new InvalidArgumentError(`There is no reading "${name}". There are ${Object.keys(READINGS).join(', ')}.`)
  }
  const values: readonly string[] = READINGS[name as ReadingName]
  if (!values.includes(value)) {
    throw new InvalidArgumentError(`Expected ${name}=${values.join(` or ${name}=`)}.`)
  }
  return { ...others, [name]: value }
}

/** A minifilter's altitude: a decimal number. */
export function altitudeOption(text: string): string {
  if (/^\d{1,10}(\.\d{1,10})?$/.test(text)) {
    return text
  }
  throw new InvalidArgumentError('Expected an altitude, as in 385100 or 370199.5.')
}

/** The path of a program in the model. */
export function programOption(text: string): string {
  if (/^[A-Za-z]:(\\[\x20-\x7e]+)+$/.test(text) && !text.endsWith('\\')) {
    return text
  }
  throw new InvalidArgumentError('Expected a whole path of ASCII characters, as in C:\\Windows\\notepad.exe.')
}

/** Waits; false: stopped meanwhile. */
export function sleep(delayMs: number, stop: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (stop.aborted) {
      resolve(false)
      return
    }
    const ended = (whole: boolean): void => {
      clearTimeout(timer)
      stop.removeEventListener('abort', onAbort)
      resolve(whole)
    }
    const onAbort = (): void => ended(false)
    const timer = setTimeout(() => ended(true), delayMs)
    stop.addEventListener('abort', onAbort)
  })
}
