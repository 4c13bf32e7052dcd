// SPDX-License-Identifier: MIT
//
// This module provides: a mapped view.

import '../client/dispose.js'
import type { Session } from '../client/session.js'
import { ClosedError } from '../errors/errors.js'
import type { NativeView } from '../transport/native.js'
import type { FileResult } from '../transport/transport.js'
import { checkerFor, copyData } from './options.js'
import type { View } from './types.js'

export class MappedView implements View {
  readonly length: number
  readonly #session: Session
  readonly #native: NativeView
  readonly #path: string
  #closing: Promise<void> | undefined

  constructor(session: Session, native: NativeView, path: string) {
    this.#session = session
    this.#native = native
    this.#path = path
    this.length = native.length
    session.lifetime.add(this)
  }

  get closed(): boolean {
    return this.#closing !== undefined
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.#checkRange('View.read', offset, length)
    const buffer = new Uint8Array(length)
    await this.#run('View.read', this.#native.read(offset, buffer))
    return buffer
  }

  async write(offset: number, data: string | Uint8Array): Promise<void> {
    const bytes = copyData('View.write', data)
    this.#checkRange('View.write', offset, bytes.length)
    await this.#run('View.write', this.#native.write(offset, bytes))
  }

  async flush(
    range: { readonly offset: number; readonly length: number } = { offset: 0, length: this.length },
  ): Promise<void> {
    this.#checkRange('View.flush', range.offset, range.length)
    await this.#run('View.flush', this.#native.flush(range.offset, range.length))
  }

  close(): Promise<void> {
    this.#closing ??= this.#run('View.close', this.#native.close()).finally(() => {
      this.#session.lifetime.delete(this)
    })
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #checkRange(operation: string, offset: number, length: number): void {
    if (this.closed) {
      throw new ClosedError(`${operation} "${this.#path}": the view is closed`, {
        operation,
        hint: 'map the file again',
      })
    }
    this.#session.lifetime.ensureOpen(operation)
    const check = checkerFor(operation)
    check.integer('offset', offset, 0, this.length)
    check.integer('length', length, 0, this.length - offset, 'bytes')
  }

  async #run(operation: string, call: Promise<FileResult<void>>): Promise<void> {
    const [error, ntstatus] = await call
    if (error !== 0) {
      throw this.#session.ioError(operation, this.#path, error, ntstatus)
    }
  }
}
