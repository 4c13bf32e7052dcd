// SPDX-License-Identifier: MIT
//
// This module provides: one call on an open handle: numbered, cancellable, its failure an error.
//
// Buffers handed to the system are this library's own: an aborted call's buffer stays the system's until the call has
// ended, and the caller's is never written after its promise was settled.

import { abortable, throwIfAborted } from '../client/lifetime.js'
import type { Session } from '../client/session.js'
import { ClosedError } from '../errors/errors.js'
import type { NativeFile } from '../transport/native.js'
import type { FileResult } from '../transport/transport.js'

export class Calls {
  readonly session: Session
  readonly native: NativeFile
  path: string
  #nextId = 1
  #closed = false

  constructor(session: Session, native: NativeFile, path: string) {
    this.session = session
    this.native = native
    this.path = path
  }

  get closed(): boolean {
    return this.#closed
  }

  end(): void {
    this.#closed = true
  }

  /** @throws ClosedError */
  ensureOpen(operation: string): void {
    if (this.#closed) {
      throw new ClosedError(`${operation} "${this.path}": the file is closed`, { operation, hint: 'open it again' })
    }
    this.session.lifetime.ensureOpen(operation)
  }

  /** Runs a call. `fine`: Win32 errors that are answers, not failures. Value: [error, value]. */
  async run<T>(
    operation: string,
    signal: AbortSignal | undefined,
    start: (id: number) => Promise<FileResult<T>>,
    options: { readonly fine?: readonly number[]; readonly discard?: (late: T) => Promise<unknown> } = {},
  ): Promise<readonly [error: number, value: T]> {
    this.ensureOpen(operation)
    throwIfAborted(operation, signal)
    const id = this.#nextId++
    const work = async (): Promise<readonly [number, T]> => {
      const [error, ntstatus, value] = await start(id)
      if (error !== 0 && options.fine?.includes(error) !== true) {
        throw this.session.ioError(operation, this.path, error, ntstatus)
      }
      return [error, value]
    }
    const { discard } = options
    return abortable(work(), {
      operation,
      signal,
      cancel: () => {
        this.native.cancel(id)
      },
      discard: discard === undefined ? undefined : ([, late]) => discard(late),
    })
  }
}
