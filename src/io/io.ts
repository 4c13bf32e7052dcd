// SPDX-License-Identifier: MIT
//
// This module provides: `io`: opening files, and helpers that open, do one thing and close.

import { throwIfAborted } from '../client/lifetime.js'
import { releasesTold } from '../client/releases.js'
import type { Session } from '../client/session.js'
import type { SignalOptions } from '../client/types.js'
import { IoError } from '../errors/errors.js'
import type { NtByNameServiceName } from '../transport/native.js'
import type { TransportFiles } from '../transport/transport.js'
import { createDirectory, makeLink } from './by-name.js'
import { createCompletionPort } from './completion-port.js'
import type { CompletionPort } from './control-types.js'
import { callsOf, OpenFile } from './file.js'
import { ERROR } from './layouts.js'
import { reparseFor } from './links.js'
import type {
  DeleteOptions,
  FileAttributes,
  FileStatByName,
  FullFileAttributes,
  LinkOptions,
  ReparsePoint,
  SymlinkOptions,
} from './metadata-types.js'
import { decodeAttributes, decodeFullAttributes, decodeStatByName } from './metadata.js'
import type { NtOpenOptions } from './nt-open-types.js'
import { closing, filesOf, opening, openNt } from './nt-file.js'
import { queryByName } from './nt-open.js'
import { FILE_CLASS } from './nt-services.js'
import { besides, checkerFor, checkPath, copyData, createArguments } from './options.js'
import { longPath } from './paths.js'
import { runTraffic } from './traffic/traffic.js'
import type { TrafficOptions, TrafficReport } from './traffic/types.js'
import type { DirectoryEntry, File, FileOpenOptions, FileStat, Io, RenameOptions } from './types.js'
import type { Win32Calls } from './win32-types.js'
import { createWin32 } from './win32.js'

const READ_CHUNK_BYTES = 64 * 1024
const BASIC_BYTES = 40
const NETWORK_OPEN_BYTES = 56
const STAT_BYTES = 72
const VOLUME = /^[a-z]:$/i

class BackendIo implements Io {
  readonly win32: Win32Calls
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
    this.win32 = createWin32(session)
  }

  open(path: string, options?: FileOpenOptions | ({ readonly nt: NtOpenOptions } & SignalOptions)): Promise<File> {
    return options !== undefined && 'nt' in options ? this.#ntOpen(path, options) : this.#win32Open(path, options ?? {})
  }

  async openVolume(volume: string, options: Omit<FileOpenOptions, 'create' | 'directory'> = {}): Promise<File> {
    if (!VOLUME.test(volume)) {
      checkerFor('io.openVolume').expected('volume', 'a volume such as "D:"', volume)
    }
    return this.#win32Open(`\\\\.\\${volume}`, { access: 'readwrite', ...options })
  }

  async #win32Open(path: string, options: FileOpenOptions): Promise<File> {
    const files = this.#files('io.open')
    const name = checkPath('io.open', path)
    const create = createArguments(options)
    throwIfAborted('io.open', create.signal)
    const open = async (): Promise<OpenFile> => {
      const { desiredAccess, shareMode, creationDisposition, flags } = create
      const [error, ntstatus, native] = await files.createFile(
        longPath(name),
        desiredAccess,
        shareMode,
        creationDisposition,
        flags,
      )
      if (native === undefined) {
        await releasesTold()
        throw this.#session.ioError('io.open', name, error, ntstatus)
      }
      const file = new OpenFile(this.#session, native, name, create.overlapped)
      return this.#session.lifetime.adopt(file, 'io.open')
    }
    return opening('io.open', open(), create.signal)
  }

  #ntOpen(path: string, options: { readonly nt: NtOpenOptions } & SignalOptions): Promise<File> {
    const check = checkerFor('io.open')
    const given = check.object('options', options, ['nt', 'signal'])
    return openNt(this.#session, 'io.open', path, { nt: options.nt, signal: check.signal('signal', given.signal) })
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
      await createDirectory(this.#session, 'io.mkdir', name, stop)
      return
    }
    const [root = '', ...parts] = name.split(/[\\/]/).filter((part) => part !== '')
    for (let depth = 1; depth <= parts.length; depth++) {
      const directory = [root, ...parts.slice(0, depth)].join('\\')
      await createDirectory(this.#session, 'io.mkdir', directory, stop, [ERROR.ALREADY_EXISTS])
    }
  }

  async rename(from: string, to: string, options: RenameOptions = {}): Promise<void> {
    const target = besides(checkPath('io.rename', from), checkPath('io.rename', to))
    const { signal } = options
    await this.#with(from, { access: ['delete', 'readAttributes'], directory: true, signal }, (file) =>
      file.rename(target, options),
    )
  }

  async delete(path: string, options: DeleteOptions = {}): Promise<void> {
    const { signal } = options
    // The link itself, not what it leads to.
    await this.#with(
      path,
      { access: ['delete', 'readAttributes'], directory: true, openReparsePoint: true, signal },
      (file) => file.delete(options),
    )
  }

  async attributes(path: string, options: SignalOptions = {}): Promise<FileAttributes> {
    const service = 'NtQueryAttributesFile'
    return decodeAttributes(await this.#byName('io.attributes', path, service, BASIC_BYTES, 0, options))
  }

  async fullAttributes(path: string, options: SignalOptions = {}): Promise<FullFileAttributes> {
    const service = 'NtQueryFullAttributesFile'
    return decodeFullAttributes(await this.#byName('io.fullAttributes', path, service, NETWORK_OPEN_BYTES, 0, options))
  }

  async statByName(path: string, options: SignalOptions = {}): Promise<FileStatByName> {
    const service = 'NtQueryInformationByName'
    return decodeStatByName(await this.#byName('io.statByName', path, service, STAT_BYTES, FILE_CLASS.STAT, options))
  }

  async link(from: string, to: string, options: LinkOptions = {}): Promise<void> {
    const target = besides(checkPath('io.link', from), checkPath('io.link', to))
    const { signal } = options
    await this.#with(from, { access: ['writeAttributes', 'readAttributes'], signal }, (file) =>
      file.link(target, options),
    )
  }

  async symlink(target: string, path: string, options: SymlinkOptions = {}): Promise<void> {
    const operation = 'io.symlink'
    const check = checkerFor(operation)
    const given = check.object('options', options, ['directory', 'signal'])
    const directory = check.boolean('directory', given.directory ?? false)
    const data = reparseFor(operation, 'symlink', checkPath(operation, target))
    await makeLink(this.#session, operation, path, data, directory, options.signal)
  }

  async junction(target: string, path: string, options: SignalOptions = {}): Promise<void> {
    const operation = 'io.junction'
    const data = reparseFor(operation, 'junction', checkPath(operation, target))
    await makeLink(this.#session, operation, path, data, true, options.signal)
  }

  readLink(path: string, options: SignalOptions = {}): Promise<ReparsePoint | undefined> {
    const { signal } = options
    return this.#with(path, { access: 'readAttributes', directory: true, openReparsePoint: true, signal }, (file) =>
      file.reparsePoint(options),
    )
  }

  completionPort(options: SignalOptions = {}): Promise<CompletionPort> {
    return createCompletionPort(this.#session, this.#files('io.completionPort'), callsOf, options)
  }

  traffic(options: TrafficOptions): Promise<TrafficReport> {
    return runTraffic(this, options)
  }

  #byName(
    operation: string,
    path: string,
    service: NtByNameServiceName,
    bytes: number,
    informationClass: number,
    { signal }: SignalOptions,
  ): Promise<DataView> {
    const name = checkPath(operation, path)
    return queryByName(this.#session, this.#files(operation), operation, name, service, bytes, informationClass, signal)
  }

  #files(operation: string): TransportFiles {
    return filesOf(this.#session, operation)
  }

  async #with<T>(path: string, options: FileOpenOptions, use: (file: File) => Promise<T>): Promise<T> {
    return closing(await this.open(path, options), use)
  }
}

export const createIo = (session: Session): Io => new BackendIo(session)
