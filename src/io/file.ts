// SPDX-License-Identifier: MIT
//
// This module provides: an open handle.
//
// Invariant: it is in the session's lifetime until its CloseHandle has returned.

import '../client/dispose.js'
import type { Session } from '../client/session.js'
import type { SignalOptions } from '../client/types.js'
import { viewOf } from '../transport/codec.js'
import type { NativeFile } from '../transport/native.js'
import { Calls } from './calls.js'
import {
  BASIC_INFO_BYTES,
  decodeDirectory,
  decodeStat,
  encodeDisposition,
  encodeEndOfFile,
  encodeRename,
  ERROR,
  INFORMATION,
  STANDARD_INFO_BYTES,
} from './layouts.js'
import { besides, checkerFor, checkOffset, checkPath, copyData } from './options.js'
import type { DirectoryEntry, File, FileStat, MapOptions, RenameOptions, TransferOptions, View } from './types.js'
import { MappedView } from './view.js'

const AT_POSITION = -1n
const MAX_TRANSFER_BYTES = 0x7fffffff
const DIRECTORY_BUFFER_BYTES = 64 * 1024

export class OpenFile implements File {
  readonly #calls: Calls
  readonly #overlapped: boolean
  #closing: Promise<void> | undefined

  constructor(session: Session, native: NativeFile, path: string, overlapped: boolean) {
    this.#calls = new Calls(session, native, path)
    this.#overlapped = overlapped
    session.lifetime.add(this)
  }

  get path(): string {
    return this.#calls.path
  }

  get closed(): boolean {
    return this.#calls.closed
  }

  read(length: number, options?: TransferOptions): Promise<Uint8Array>
  read(buffer: Uint8Array, options?: TransferOptions): Promise<number>
  async read(target: number | Uint8Array, options: TransferOptions = {}): Promise<Uint8Array | number> {
    const length = target instanceof Uint8Array ? target.length : target
    checkerFor('File.read').integer('length', length, 0, MAX_TRANSFER_BYTES, 'bytes')
    const offset = this.#offset('File.read', options)
    const buffer = new Uint8Array(length)
    const [error, bytes] = await this.#calls.run(
      'File.read',
      options.signal,
      (id) => this.#calls.native.read(id, buffer, offset),
      { fine: [ERROR.HANDLE_EOF] },
    )
    const read = buffer.subarray(0, error === ERROR.HANDLE_EOF ? 0 : bytes)
    if (target instanceof Uint8Array) {
      target.set(read)
      return read.length
    }
    return read
  }

  async write(data: string | Uint8Array, options: TransferOptions = {}): Promise<number> {
    const bytes = copyData('File.write', data)
    const offset = this.#offset('File.write', options)
    const [, written] = await this.#calls.run('File.write', options.signal, (id) =>
      this.#calls.native.write(id, bytes, offset),
    )
    return written
  }

  async rename(to: string, options: RenameOptions = {}): Promise<void> {
    const target = besides(this.path, checkPath('File.rename', to))
    const { replace = false } = checkerFor('File.rename').object('options', options, ['replace', 'signal'])
    const information = encodeRename(target, checkerFor('File.rename').boolean('replace', replace))
    await this.#set('File.rename', options.signal, INFORMATION.RENAME, information)
    this.#calls.path = target
  }

  async delete(options: SignalOptions = {}): Promise<void> {
    await this.#set('File.delete', options.signal, INFORMATION.DISPOSITION, encodeDisposition())
  }

  async truncate(size: number | bigint, options: SignalOptions = {}): Promise<void> {
    const endOfFile = checkerFor('File.truncate').bigint('size', size, 2n ** 63n - 1n)
    await this.#set('File.truncate', options.signal, INFORMATION.END_OF_FILE, encodeEndOfFile(endOfFile))
  }

  async stat(options: SignalOptions = {}): Promise<FileStat> {
    const basic = new Uint8Array(BASIC_INFO_BYTES)
    const standard = new Uint8Array(STANDARD_INFO_BYTES)
    await this.#get('File.stat', options.signal, INFORMATION.BASIC, basic)
    await this.#get('File.stat', options.signal, INFORMATION.STANDARD, standard)
    return decodeStat(viewOf(basic), viewOf(standard))
  }

  async flush(options: SignalOptions = {}): Promise<void> {
    await this.#calls.run('File.flush', options.signal, (id) => this.#calls.native.flush(id))
  }

  async map(options: MapOptions): Promise<View> {
    const check = checkerFor('File.map')
    const given = check.object('options', options, ['length', 'writable', 'signal'])
    const length = check.integer('length', given.length, 1, MAX_TRANSFER_BYTES, 'bytes')
    const writable = check.boolean('writable', given.writable ?? false)
    const [, view] = await this.#calls.run(
      'File.map',
      check.signal('signal', given.signal),
      (id) => this.#calls.native.map(id, length, writable),
      { discard: async (late) => late?.close() },
    )
    if (view === undefined) {
      throw new TypeError('minipend native: a view without a failure, and without a view')
    }
    const { session } = this.#calls
    return session.lifetime.adopt(new MappedView(session, view, this.path), 'File.map')
  }

  async list(options: SignalOptions = {}): Promise<DirectoryEntry[]> {
    const entries: DirectoryEntry[] = []
    const buffer = new Uint8Array(DIRECTORY_BUFFER_BYTES)
    let informationClass: number = INFORMATION.FULL_DIRECTORY_RESTART
    // An empty root has no entry at all, and says so with "not found".
    while (
      (await this.#get('File.list', options.signal, informationClass, buffer, [
        ERROR.NO_MORE_FILES,
        ERROR.FILE_NOT_FOUND,
      ])) === 0
    ) {
      entries.push(...decodeDirectory(viewOf(buffer)))
      informationClass = INFORMATION.FULL_DIRECTORY
    }
    return entries
  }

  close(): Promise<void> {
    this.#calls.end()
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const [error, ntstatus] = await this.#calls.native.close()
    this.#calls.session.lifetime.delete(this)
    if (error !== 0) {
      throw this.#calls.session.ioError('File.close', this.path, error, ntstatus)
    }
  }

  async #get(
    operation: string,
    signal: AbortSignal | undefined,
    informationClass: number,
    buffer: Uint8Array,
    fine: readonly number[] = [],
  ): Promise<number> {
    const [error] = await this.#calls.run(
      operation,
      signal,
      (id) => this.#calls.native.getInformation(id, informationClass, buffer),
      { fine },
    )
    return error
  }

  async #set(
    operation: string,
    signal: AbortSignal | undefined,
    informationClass: number,
    information: Uint8Array,
  ): Promise<void> {
    await this.#calls.run(operation, signal, (id) =>
      this.#calls.native.setInformation(id, informationClass, information),
    )
  }

  #offset(operation: string, options: TransferOptions): bigint {
    const check = checkerFor(operation)
    const { at } = check.object('options', options, ['at', 'signal'])
    if (at === undefined && this.#overlapped) {
      check.fail('at', 'an overlapped handle has no position: say where, as in { at: 0 }')
    }
    return at === undefined ? AT_POSITION : checkOffset(operation, at)
  }
}
