// SPDX-License-Identifier: MIT
//
// This module provides: what is open, so that it can be closed in order; and waiting that a signal can end.

import { AbortedError, ClosedError, MinipendError } from '../errors/errors.js'

export interface Closable {
  close(): Promise<void>
}

/** A set of open things that is closed once. */
export class Lifetime {
  readonly #what: string
  readonly #open = new Set<Closable>()
  #closed = false

  constructor(what: string) {
    this.#what = what
  }

  get closed(): boolean {
    return this.#closed
  }

  /**
   * Runs what the end does as well, unless the end has come; when it comes meanwhile, a failure is its doing.
   */
  async unlessEnded(work: () => Promise<unknown>): Promise<void> {
    if (this.#closed) {
      return
    }
    await work().catch((error: unknown) => {
      if (!this.closed) {
        throw error
      }
    })
  }

  /** @throws ClosedError */
  ensureOpen(operation: string): void {
    if (this.#closed) {
      throw new ClosedError(`${operation}: the ${this.#what} is closed`, {
        operation,
        hint: `open a new ${this.#what}`,
      })
    }
  }

  add(closable: Closable): void {
    this.#open.add(closable)
  }

  /** For things that came after a wait: one that comes after the end is closed, and its caller gets a ClosedError. */
  async adopt<T extends Closable>(thing: T, operation: string): Promise<T> {
    if (this.#closed) {
      await thing.close()
    }
    this.ensureOpen(operation)
    return thing
  }

  delete(closable: Closable): void {
    this.#open.delete(closable)
  }

  end(): void {
    this.#closed = true
  }

  /** Closes everything that is open, all at once, and returns what failed. */
  async closeAll(): Promise<unknown[]> {
    const results = await Promise.allSettled([...this.#open].map((closable) => closable.close()))
    return results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
  }
}

/** What a caller is told whose signal was aborted. */
export const abortedError = (operation: string, stillHeld: boolean, signal: AbortSignal): AbortedError =>
  new AbortedError(
    stillHeld
      ? `${operation} was aborted, but the operation has not ended: a held operation cannot be cancelled`
      : `${operation} was aborted`,
    stillHeld,
    {
      operation,
      hint: stillHeld
        ? 'it ends when the driver gives it back; closing the file or the session waits for that'
        : undefined,
      cause: signal.reason as unknown,
    },
  )

/** @throws AbortedError when the signal is aborted already */
export function throwIfAborted(operation: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) {
    throw abortedError(operation, false, signal)
  }
}

export interface AbortableOptions<T> {
  readonly operation: string
  readonly signal: AbortSignal | undefined
  /** Asks the system to cancel it. Absent: it cannot be cancelled, and nothing of it is held. */
  readonly cancel?: (() => void) | undefined
  /** Gets rid of a value that came after the caller was told that it will not. */
  readonly discard?: ((late: T) => Promise<unknown>) | undefined
}

/** How long a cancelled operation may take to end before it counts as held. */
const CANCEL_GRACE_MS = 50

const isCancelled = (error: unknown): boolean =>
  error instanceof MinipendError && error.code === 'ERROR_OPERATION_ABORTED'

/** `work`, or an AbortedError when the signal comes first. What `work` does after that is nobody's unhandled rejection. */
export async function abortable<T>(work: Promise<T>, options: AbortableOptions<T>): Promise<T> {
  const { operation, signal, cancel, discard } = options
  if (signal === undefined) {
    return work
  }
  let onAbort: (() => void) | undefined
  let timer: NodeJS.Timeout | undefined
  const abort = new Promise<never>((_, reject) => {
    onAbort = () => {
      if (cancel === undefined) {
        reject(abortedError(operation, false, signal))
        return
      }
      cancel()
      timer = setTimeout(() => {
        reject(abortedError(operation, true, signal))
      }, CANCEL_GRACE_MS)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) {
      onAbort()
    }
  })
  try {
    return await Promise.race([work, abort])
  } catch (error) {
    if (error instanceof AbortedError && discard !== undefined) {
      work.then(discard).catch(() => undefined)
    }
    throw signal.aborted && isCancelled(error) ? abortedError(operation, false, signal) : error
  } finally {
    clearTimeout(timer)
    if (onAbort !== undefined) {
      signal.removeEventListener('abort', onAbort)
    }
  }
}
