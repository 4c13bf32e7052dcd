// SPDX-License-Identifier: MIT
//
// This module provides: one call on an open handle: numbered, cancellable, its failure an error.
//
// Buffers handed to the system are this library's own: an aborted call's buffer stays the system's until the call has
// ended, and the caller's is never written after its promise was settled.

import { abortable, throwIfAborted } from '../client/lifetime.js'
import { releasesTold } from '../client/releases.js'
import type { Session } from '../client/session.js'
import { ClosedError } from '../errors/errors.js'
import type { NativeFile } from '../transport/native.js'
import type { FileResult } from '../transport/transport.js'

/** What a call is, for whoever is told of it by its number. */
export interface CallName {
  readonly operation: string
  readonly path: string
}

/** Numbers of calls are this process's, so that a completion port's packets can be told apart. */
let lastId = 0

export interface RunOptions<T> {
  /** Win32 errors that are answers, not failures. */
  readonly fine?: readonly number[] | undefined
  /** Gets rid of a value that came after the caller was told that it will not. */
  readonly discard?: ((late: T) => Promise<unknown>) | undefined
  /** It may wait for ever, and so the end of the handle ends it. */
  readonly waits?: boolean | undefined
}

export class Calls {
  readonly session: Session
  readonly native: NativeFile
  readonly overlapped: boolean
  path: string
  /** Told of each call before it is made. */
  onCall: ((id: number, name: CallName) => void) | undefined
  readonly #waits = new Set<number>()
  #closed = false

  constructor(session: Session, native: NativeFile, path: string, overlapped: boolean) {
    this.session = session
    this.native = native
    this.path = path
    this.overlapped = overlapped
  }

  get closed(): boolean {
    return this.#closed
  }

  /** No call begins any more, and those that may wait for ever are cancelled. */
  end(): void {
    this.#closed = true
    for (const id of this.#waits) {
      this.native.cancel(id)
    }
  }

  /** @throws ClosedError */
  ensureOpen(operation: string): void {
    if (this.#closed) {
      throw new ClosedError(`${operation} "${this.path}": the file is closed`, { operation, hint: 'open it again' })
    }
    this.session.lifetime.ensureOpen(operation)
  }

  /** Runs a call. Value: [error, value]. @throws IoError, AbortedError, ClosedError */
  async run<T>(
    operation: string,
    signal: AbortSignal | undefined,
    start: (id: number) => Promise<FileResult<T>>,
    options: RunOptions<T> = {},
  ): Promise<readonly [error: number, value: T]> {
    this.ensureOpen(operation)
    throwIfAborted(operation, signal)
    const id = (lastId = (lastId + 1) >>> 0)
    this.onCall?.(id, { operation, path: this.path })
    const { fine, discard, waits = false } = options
    const work = async (): Promise<readonly [number, T]> => {
      if (waits) {
        this.#waits.add(id)
      }
      try {
        const [error, ntstatus, value] = await start(id)
        if (error !== 0 && fine?.includes(error) !== true) {
          await releasesTold()
          throw this.session.ioError(operation, this.path, error, ntstatus)
        }
        return [error, value]
      } finally {
        this.#waits.delete(id)
      }
    }
    return abortable(work(), {
      operation,
      signal,
      cancel: () => {
        this.native.cancel(id)
      },
      discard: discard === undefined ? undefined : ([, late]) => discard(late),
    })
  }

  /** SetFileInformationByHandle. */
  async setByHandle(
    operation: string,
    signal: AbortSignal | undefined,
    informationClass: number,
    information: Uint8Array,
  ): Promise<void> {
    await this.run(operation, signal, (id) => this.native.setInformation(id, informationClass, information))
  }
}
