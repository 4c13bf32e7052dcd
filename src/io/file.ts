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
import { int64s } from './bytes.js'
import { Calls } from './calls.js'
import type {
  ByteRange,
  ControlAnswer,
  ControlOptions,
  FileLock,
  LockOptions,
  Oplock,
  OplockLevel,
  QuotaOptions,
  SecurityOptions,
  VolumeLock,
  Watch,
  WatchOptions,
} from './control-types.js'
import * as control from './control.js'
import { entries } from './directory.js'
import { eas, setEas } from './ea.js'
import { flush } from './flush.js'
import { BASIC_INFO_BYTES, decodeDirectory, decodeStat, ERROR, INFORMATION, STANDARD_INFO_BYTES } from './layouts.js'
import * as links from './links.js'
import { lockRange, unlockRange } from './locks.js'
import type {
  AttributeName,
  DeleteOptions,
  DirectoryItem,
  EaOptions,
  EntriesOptions,
  ExtendedAttribute,
  LinkOptions,
  ReparsePoint,
  SetTimesOptions,
  StreamEntry,
  VolumeInfo,
} from './metadata-types.js'
import * as metadata from './metadata.js'
import type { OpenedAs } from './nt-open-types.js'
import { FILE_CLASS } from './nt-services.js'
import { requestOplock } from './oplock.js'
import { besides, checkerFor, checkOffset, checkPath, copyBytes, copyData } from './options.js'
import type {
  DirectoryEntry,
  File,
  FileStat,
  FlushOptions,
  MapOptions,
  RenameOptions,
  TransferOptions,
  View,
} from './types.js'
import { MappedView } from './view.js'
import { dismountVolume, lockVolume, setVolumeLabel, volumeInfo } from './volume.js'
import { DirectoryWatch } from './watch.js'

const AT_POSITION = -1n
const MAX_TRANSFER_BYTES = 0x7fffffff
const DIRECTORY_BUFFER_BYTES = 64 * 1024

/** The calls of a file of this library; undefined: it is something else. */
export function callsOf(file: OpenFile): Calls
export function callsOf(file: unknown): Calls | undefined
export function callsOf(file: unknown): Calls | undefined {
  return OpenFile.callsOf(file)
}

export class OpenFile implements File {
  readonly openedAs: OpenedAs | undefined
  readonly #calls: Calls
  #closing: Promise<void> | undefined

  constructor(session: Session, native: NativeFile, path: string, overlapped: boolean, openedAs?: OpenedAs) {
    this.#calls = new Calls(session, native, path, overlapped)
    this.openedAs = openedAs
    session.lifetime.add(this)
  }

  static callsOf(file: unknown): Calls | undefined {
    return typeof file === 'object' && file !== null && #calls in file ? file.#calls : undefined
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
    const check = checkerFor('File.rename')
    const given = check.object('options', options, ['replace', 'posix', 'signal'])
    await links.rename(
      this.#calls,
      target,
      check.boolean('replace', given.replace ?? false),
      check.boolean('posix', given.posix ?? false),
      check.signal('signal', given.signal),
    )
    this.#calls.path = target
  }

  delete(options: DeleteOptions = {}): Promise<void> {
    return links.deleteFile(this.#calls, options)
  }

  undelete(options: SignalOptions = {}): Promise<void> {
    return links.undelete(this.#calls, options)
  }

  async truncate(size: number | bigint, options: SignalOptions = {}): Promise<void> {
    const endOfFile = checkerFor('File.truncate').bigint('size', size, 2n ** 63n - 1n)
    await this.#calls.setByHandle('File.truncate', options.signal, INFORMATION.END_OF_FILE, int64s(endOfFile))
  }

  async stat(options: SignalOptions = {}): Promise<FileStat> {
    const basic = new Uint8Array(BASIC_INFO_BYTES)
    const standard = new Uint8Array(STANDARD_INFO_BYTES)
    await this.#get('File.stat', options.signal, INFORMATION.BASIC, basic)
    await this.#get('File.stat', options.signal, INFORMATION.STANDARD, standard)
    return decodeStat(viewOf(basic), viewOf(standard))
  }

  setAllocationSize(bytes: number | bigint, options: SignalOptions = {}): Promise<void> {
    return metadata.setAllocationSize(this.#calls, bytes, options)
  }

  setValidDataLength(bytes: number | bigint, options: SignalOptions = {}): Promise<void> {
    const operation = 'File.setValidDataLength'
    return metadata.setSize(this.#calls, operation, FILE_CLASS.VALID_DATA_LENGTH, 'bytes', bytes, options)
  }

  position(options: SignalOptions = {}): Promise<bigint> {
    return metadata.position(this.#calls, options)
  }

  seek(at: number | bigint, options: SignalOptions = {}): Promise<void> {
    return metadata.setSize(this.#calls, 'File.seek', FILE_CLASS.POSITION, 'at', at, options)
  }

  setTimes(options: SetTimesOptions): Promise<void> {
    return metadata.setTimes(this.#calls, options)
  }

  setAttributes(attributes: readonly AttributeName[] | number, options: SignalOptions = {}): Promise<void> {
    return metadata.setAttributes(this.#calls, attributes, options)
  }

  fileId(options: SignalOptions = {}): Promise<bigint> {
    return metadata.fileId(this.#calls, options)
  }

  flush(options: FlushOptions = {}): Promise<void> {
    return flush(this.#calls, options)
  }

  async map(options: MapOptions): Promise<View> {
    const check = checkerFor('File.map')
    const given = check.object('options', options, ['length', 'writable', 'image', 'signal'])
    const length = check.integer('length', given.length, 1, MAX_TRANSFER_BYTES, 'bytes')
    const writable = check.boolean('writable', given.writable ?? false)
    const image = check.boolean('image', given.image ?? false)
    if (image && writable) {
      check.expected('writable', 'false for an image', writable)
    }
    const [, view] = await this.#calls.run(
      'File.map',
      check.signal('signal', given.signal),
      (id) => this.#calls.native.map(id, length, writable, image),
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

  entries(options: EntriesOptions = {}): AsyncGenerator<DirectoryItem, void, undefined> {
    return entries(this.#calls, options)
  }

  watch(options: WatchOptions = {}): Watch {
    return new DirectoryWatch(this.#calls, options)
  }

  lock(options: LockOptions): Promise<FileLock> {
    return lockRange(this.#calls, options)
  }

  unlock(range: ByteRange & SignalOptions): Promise<void> {
    return unlockRange(this.#calls, range)
  }

  oplock(level: OplockLevel, options: SignalOptions = {}): Promise<Oplock> {
    return requestOplock(this.#calls, level, options)
  }

  async link(to: string, options: LinkOptions = {}): Promise<void> {
    await links.hardLink(this.#calls, besides(this.path, checkPath('File.link', to)), options)
  }

  reparsePoint(options: SignalOptions = {}): Promise<ReparsePoint | undefined> {
    return links.reparsePoint(this.#calls, options)
  }

  async setReparsePoint(data: Uint8Array, options: SignalOptions = {}): Promise<void> {
    const operation = 'File.setReparsePoint'
    await links.setReparsePoint(this.#calls, operation, copyBytes(operation, 'data', data), options.signal)
  }

  removeReparsePoint(options: SignalOptions = {}): Promise<void> {
    return links.removeReparsePoint(this.#calls, options)
  }

  streams(options: SignalOptions = {}): Promise<StreamEntry[]> {
    return metadata.streams(this.#calls, options)
  }

  eas(options: EaOptions = {}): Promise<ExtendedAttribute[]> {
    return eas(this.#calls, options)
  }

  setEas(attributes: readonly ExtendedAttribute[], options: SignalOptions = {}): Promise<void> {
    return setEas(this.#calls, attributes, options)
  }

  fsctl(code: number, options: ControlOptions = {}): Promise<ControlAnswer> {
    return control.controlCall(this.#calls, 'File.fsctl', code, options)
  }

  ioctl(code: number, options: ControlOptions = {}): Promise<ControlAnswer> {
    return control.controlCall(this.#calls, 'File.ioctl', code, options)
  }

  security(options: SecurityOptions = {}): Promise<Uint8Array> {
    return control.security(this.#calls, options)
  }

  setSecurity(descriptor: Uint8Array, options: SecurityOptions = {}): Promise<void> {
    return control.setSecurity(this.#calls, descriptor, options)
  }

  quota(options: QuotaOptions = {}): Promise<Uint8Array> {
    return control.quota(this.#calls, options)
  }

  setQuota(quotas: Uint8Array, options: SignalOptions = {}): Promise<void> {
    return control.setQuota(this.#calls, quotas, options)
  }

  volume(options: SignalOptions = {}): Promise<VolumeInfo> {
    return volumeInfo(this.#calls, options)
  }

  setVolumeLabel(label: string, options: SignalOptions = {}): Promise<void> {
    return setVolumeLabel(this.#calls, label, options)
  }

  lockVolume(options: SignalOptions = {}): Promise<VolumeLock> {
    return lockVolume(this.#calls, options)
  }

  dismountVolume(options: SignalOptions = {}): Promise<void> {
    return dismountVolume(this.#calls, options)
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

  #offset(operation: string, options: TransferOptions): bigint {
    const check = checkerFor(operation)
    const { at } = check.object('options', options, ['at', 'signal'])
    if (at === undefined && this.#calls.overlapped) {
      check.fail('at', 'an overlapped handle has no position: say where, as in { at: 0 }')
    }
    return at === undefined ? AT_POSITION : checkOffset(operation, at)
  }
}
