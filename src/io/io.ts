// SPDX-License-Identifier: MIT
//
// This module provides: `io`: opening files, and helpers that open, do one thing and close.

import { abortable, throwIfAborted } from '../client/lifetime.js'
import type { Session } from '../client/session.js'
import type { SignalOptions } from '../client/types.js'
import { AbortedError, IoError, NotSupportedError } from '../errors/errors.js'
import type { TransportFiles } from '../transport/transport.js'
import { OpenFile } from './file.js'
import { ERROR } from './layouts.js'
import { besides, checkerFor, checkPath, copyData, createArguments } from './options.js'
import type { DirectoryEntry, File, FileOpenOptions, FileStat, Io, RenameOptions } from './types.js'

const READ_CHUNK_BYTES = 64 * 1024

class BackendIo implements Io {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  async open(path: string, options: FileOpenOptions = {}): Promise<File> {
    const files = this.#files('io.open')
    const name = checkPath('io.open', path)
    const create = createArguments(options)
    throwIfAborted('io.open', create.signal)
    const open = async (): Promise<File> => {
      const { desiredAccess, shareMode, creationDisposition, flags } = create
      const [error, ntstatus, native] = await files.createFile(
        name,
        desiredAccess,
        shareMode,
        creationDisposition,
        flags,
      )
      if (native === undefined) {
        throw this.#session.ioError('io.open', name, error, ntstatus)
      }
      const file = new OpenFile(this.#session, native, name, create.overlapped)
      return this.#session.lifetime.adopt(file, 'io.open')
    }
    return abortable(open(), {
      operation: 'io.open',
      signal: create.signal,
      // An open cannot be cancelled by its number; it counts as held when it does not end soon.
      cancel: () => undefined,
      discard: (late) => late.close(),
    })
  }

  async writeFile(path: string, data: string | Uint8Array, options: SignalOptions = {}): Promise<void> {
    const bytes = copyData('io.writeFile', data)
    await this.#with(path, { access: 'write', create: 'createAlways', ...options }, async (file) => {
      if (bytes.length > 0) {
        await file.write(bytes, options)
      }
    })
  }

  readFile(path: string, options: SignalOptions & { readonly encoding: 'utf8' }): Promise<string>
  readFile(path: string, options?: SignalOptions): Promise<Uint8Array>
  async readFile(
    path: string,
    options: SignalOptions & { readonly encoding?: 'utf8' | undefined } = {},
  ): Promise<Uint8Array | string> {
    const check = checkerFor('io.readFile')
    const { encoding, signal } = check.object('options', options, ['encoding', 'signal'])
    if (encoding !== undefined) {
      check.oneOf('encoding', encoding, ['utf8'])
    }
    const stop = check.signal('signal', signal)
    const chunks: Uint8Array[] = []
    await this.#with(path, { access: 'read', signal: stop }, async (file) => {
      for (;;) {
        const chunk = await file.read(READ_CHUNK_BYTES, { signal: stop })
        if (chunk.length === 0) {
          return
        }
        chunks.push(chunk)
      }
    })
    const all = Buffer.concat(chunks)
    return encoding === undefined ? new Uint8Array(all) : all.toString('utf8')
  }

  list(path: string, options: SignalOptions = {}): Promise<DirectoryEntry[]> {
    return this.#with(path, { access: 'read', directory: true, ...options }, (directory) => directory.list(options))
  }

  stat(path: string, options: SignalOptions = {}): Promise<FileStat> {
    return this.#with(path, { access: 'readAttributes', directory: true, ...options }, (file) => file.stat(options))
  }

  async exists(path: string, options: SignalOptions = {}): Promise<boolean> {
    try {
      await this.#with(path, { access: 'readAttributes', directory: true, ...options }, () => Promise.resolve())
      return true
    } catch (error) {
      const missing: readonly number[] = [ERROR.FILE_NOT_FOUND, ERROR.PATH_NOT_FOUND]
      if (error instanceof IoError && error.win32 !== undefined && missing.includes(error.win32.value)) {
        return false
      }
      throw error
    }
  }

  async mkdir(path: string, options: SignalOptions & { readonly recursive?: boolean | undefined } = {}): Promise<void> {
    const check = checkerFor('io.mkdir')
    const { recursive = false, signal } = check.object('options', options, ['recursive', 'signal'])
    const name = checkPath('io.mkdir', path)
    const stop = check.signal('signal', signal)
    if (!check.boolean('recursive', recursive)) {
      await this.#createDirectory(name, stop, [])
      return
    }
    const [root = '', ...parts] = name.split(/[\\/]/).filter((part) => part !== '')
    for (let depth = 1; depth <= parts.length; depth++) {
      await this.#createDirectory([root, ...parts.slice(0, depth)].join('\\'), stop, [ERROR.ALREADY_EXISTS])
    }
  }

  async rename(from: string, to: string, options: RenameOptions = {}): Promise<void> {
    const target = besides(checkPath('io.rename', from), checkPath('io.rename', to))
    const { signal } = options
    await this.#with(from, { access: ['delete', 'readAttributes'], directory: true, signal }, (file) =>
      file.rename(target, options),
    )
  }

  async delete(path: string, options: SignalOptions = {}): Promise<void> {
    await this.#with(path, { access: ['delete', 'readAttributes'], directory: true, ...options }, (file) =>
      file.delete(options),
    )
  }

  #files(operation: string): TransportFiles {
    this.#session.lifetime.ensureOpen(operation)
    const { files, name } = this.#session.transport
    if (files === undefined) {
      throw new NotSupportedError(`${operation}: the ${name} transport has no file I/O`, {
        operation,
        hint: "open the session with transport: 'addon'",
      })
    }
    return files
  }

  async #createDirectory(path: string, signal: AbortSignal | undefined, fine: readonly number[]): Promise<void> {
    const files = this.#files('io.mkdir')
    throwIfAborted('io.mkdir', signal)
    const create = async (): Promise<void> => {
      const [error, ntstatus] = await files.createDirectory(path)
      if (error !== 0 && !fine.includes(error)) {
        throw this.#session.ioError('io.mkdir', path, error, ntstatus)
      }
    }
    return abortable(create(), { operation: 'io.mkdir', signal, cancel: () => undefined })
  }

  async #with<T>(path: string, options: FileOpenOptions, use: (file: File) => Promise<T>): Promise<T> {
    const file = await this.open(path, options)
    let value: T
    try {
      value = await use(file)
    } catch (error) {
      const closing = file.close()
      if (error instanceof AbortedError && error.stillHeld) {
        // Closing waits for what is held; the caller asked not to. The session's lifetime has the handle until it is closed.
        closing.catch(() => undefined)
      } else {
        await closing.catch(() => undefined)
      }
      throw error
    }
    await file.close()
    return value
  }
}

export const createIo = (session: Session): Io => new BackendIo(session)
