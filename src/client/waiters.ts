// SPDX-License-Identifier: MIT
//
// This module provides: callers that wait for values, first come first served, each with its own signal and time limit.
//
// Invariant: a value is delivered to a caller that still waits, or not taken at all.

import { TimeoutError } from '../errors/errors.js'
import { abortedError, throwIfAborted } from './lifetime.js'

interface Waiter<T> {
  resolve(value: T): void
  reject(error: unknown): void
}

export interface WaitOptions {
  readonly operation: string
  readonly signal: AbortSignal | undefined
  /** Milliseconds; undefined: without end. */
  readonly timeoutMs: number | undefined
  /** What a caller is told whose time is over, and what to do. */
  readonly timeout: { readonly message: string; readonly hint: string }
}

export class Waiters<T> {
  readonly #waiting = new Set<Waiter<T>>()
  readonly #changed: () => void

  /** `changed`: called when a caller has come, and when one has given up. */
  constructor(changed: () => void) {
    this.#changed = changed
  }

  get size(): number {
    return this.#waiting.size
  }

  /** @throws TimeoutError, AbortedError, and what fail() is given */
  wait(options: WaitOptions): Promise<T> {
    const { operation, signal, timeoutMs } = options
    return new Promise((resolve, reject) => {
      throwIfAborted(operation, signal)
      let timer: NodeJS.Timeout | undefined
      const settled = (): void => {
        this.#waiting.delete(waiter)
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      const waiter: Waiter<T> = {
        resolve: (value) => {
          settled()
          resolve(value)
        },
        reject: (error) => {
          settled()
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- whatever fail() was given
          reject(error)
        },
      }
      const giveUp = (error: Error): void => {
        waiter.reject(error)
        this.#changed()
      }
      const onAbort = (): void => {
        if (signal !== undefined) {
          giveUp(abortedError(operation, false, signal))
        }
      }
      if (timeoutMs !== undefined) {
        timer = setTimeout(() => {
          const { message, hint } = options.timeout
          giveUp(new TimeoutError(message, timeoutMs, { operation, hint }))
        }, timeoutMs)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.add(waiter)
      this.#changed()
    })
  }

  /** Gives the value to the one who has waited longest. False: nobody waits. */
  deliver(value: T): boolean {
    for (const waiter of this.#waiting) {
      waiter.resolve(value)
      return true
    }
    return false
  }

  fail(error: unknown): void {
    for (const waiter of [...this.#waiting]) {
      waiter.reject(error)
    }
  }
}
