// SPDX-License-Identifier: MIT
//
// This module provides: `io.win32`: kernel32's calls by name, each as the services that it is made of.
//
// Invariant: what a call opens is closed before its promise is settled, but for what is held when it is aborted.

import type { Session } from '../client/session.js'
import type { SignalOptions } from '../client/types.js'
import { attributeMask } from './attributes.js'
import { createDirectory, makeLink } from './by-name.js'
import { int64s, readUtf16, uint32s } from './bytes.js'
import type { Calls } from './calls.js'
import { callsOf } from './file.js'
import { ERROR } from './layouts.js'
import { encodeLink, reparseFor } from './links.js'
import type { AttributeName, FullFileAttributes, SymlinkOptions } from './metadata-types.js'
import { decodeAttributes, decodeFullAttributes } from './metadata.js'
import { closing, filesOf, isWin32, openNt } from './nt-file.js'
import { queryByName } from './nt-open.js'
import type { NtOpenOptions } from './nt-open-types.js'
import { FILE_CLASS, FS_CLASS, ntCall, queryInformation, setInformation, STATUS } from './nt-services.js'
import { checkerFor, checkPath } from './options.js'
import { ntPath } from './paths.js'
import { copyFile } from './win32-copy.js'
import { findFirstFile } from './win32-find.js'
import type {
  CopyFileOptions,
  DiskFreeSpace,
  DiskFreeSpaceEx,
  FileSearch,
  MoveFileOptions,
  VolumeInformation,
  Win32Calls,
} from './win32-types.js'

const BASIC_BYTES = 40
const NETWORK_OPEN_BYTES = 56
const ATTRIBUTE_TAG_BYTES = 8
const VOLUME_ANSWER_BYTES = 1024
/** DELETE, POSIX_SEMANTICS, FORCE_IMAGE_SECTION_CHECK. */
const DISPOSITION_FLAGS = 0x1 | 0x2 | 0x4
const REPLACE_IF_EXISTS = 0x1

/** What file systems say to a class that they do not have, as FAT to FileAttributeTagInformation and FileDispositionInformationEx. */
const UNKNOWN_CLASS = [
  STATUS.INVALID_INFO_CLASS,
  STATUS.INVALID_PARAMETER,
  STATUS.INVALID_DEVICE_REQUEST,
  STATUS.NOT_SUPPORTED,
]

const nameOf = (call: string): string => `io.win32.${call}`

class BackendWin32 implements Win32Calls {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  async getFileAttributes(path: string, { signal }: SignalOptions = {}): Promise<number> {
    const view = await this.#ask('getFileAttributes', path, 'NtQueryAttributesFile', BASIC_BYTES, signal)
    return decodeAttributes(view).attributes
  }

  async getFileAttributesEx(path: string, { signal }: SignalOptions = {}): Promise<FullFileAttributes> {
    const service = 'NtQueryFullAttributesFile'
    return decodeFullAttributes(await this.#ask('getFileAttributesEx', path, service, NETWORK_OPEN_BYTES, signal))
  }

  async setFileAttributes(
    path: string,
    attributes: readonly AttributeName[] | number,
    { signal }: SignalOptions = {},
  ): Promise<void> {
    const call = 'setFileAttributes'
    const mask = attributeMask(nameOf(call), 'attributes', attributes)
    const nt: NtOpenOptions = {
      access: ['writeAttributes', 'synchronize'],
      options: ['openReparsePoint', 'synchronousIoNonalert', 'openForBackupIntent'],
    }
    await this.#use(call, path, nt, signal, (calls) => {
      const basic = Uint8Array.of(...int64s(0n, 0n, 0n, 0n), ...uint32s(mask, 0))
      return setInformation(calls, nameOf(call), signal, FILE_CLASS.BASIC, basic)
    })
  }

  deleteFile(path: string, { signal }: SignalOptions = {}): Promise<void> {
    return this.#delete('deleteFile', path, 'nonDirectoryFile', signal)
  }

  removeDirectory(path: string, { signal }: SignalOptions = {}): Promise<void> {
    return this.#delete('removeDirectory', path, 'directoryFile', signal)
  }

  moveFile(existing: string, path: string, { signal }: SignalOptions = {}): Promise<void> {
    return this.#move('moveFile', existing, path, { copyAllowed: true, signal })
  }

  moveFileEx(existing: string, path: string, options: MoveFileOptions = {}): Promise<void> {
    return this.#move('moveFileEx', existing, path, options)
  }

  async createDirectory(path: string, { signal }: SignalOptions = {}): Promise<void> {
    const operation = nameOf('createDirectory')
    await createDirectory(this.#session, operation, checkPath(operation, path), signal)
  }

  async createHardLink(path: string, existing: string, { signal }: SignalOptions = {}): Promise<void> {
    const call = 'createHardLink'
    const link = encodeLink(ntPath(nameOf(call), 'path', checkPath(nameOf(call), path)), 0)
    const nt: NtOpenOptions = {
      access: ['writeAttributes', 'synchronize'],
      options: ['openReparsePoint', 'synchronousIoNonalert'],
    }
    await this.#use(call, existing, nt, signal, (calls) =>
      setInformation(calls, nameOf(call), signal, FILE_CLASS.LINK, link),
    )
  }

  async createSymbolicLink(path: string, target: string, options: SymlinkOptions = {}): Promise<void> {
    const operation = nameOf('createSymbolicLink')
    const check = checkerFor(operation)
    const given = check.object('options', options, ['directory', 'signal'])
    const directory = check.boolean('directory', given.directory ?? false)
    const data = reparseFor(operation, 'symlink', checkPath(operation, target))
    await makeLink(this.#session, operation, path, data, directory, options.signal)
  }

  async findFirstFile(path: string, { signal }: SignalOptions = {}): Promise<FileSearch> {
    return findFirstFile(this.#session, checkPath(nameOf('findFirstFile'), path), signal)
  }

  async copyFile(existing: string, path: string, options: CopyFileOptions = {}): Promise<void> {
    const operation = nameOf('copyFile')
    const check = checkerFor(operation)
    const given = check.object('options', options, ['failIfExists', 'signal'])
    const copy = { session: this.#session, operation, signal: check.signal('signal', given.signal) }
    const failIfExists = check.boolean('failIfExists', given.failIfExists ?? false)
    await copyFile(copy, existing, path, { failIfExists, flush: false })
  }

  async getVolumeInformation(root: string, { signal }: SignalOptions = {}): Promise<VolumeInformation> {
    const call = 'getVolumeInformation'
    const operation = nameOf(call)
    if (!checkPath(operation, root).endsWith('\\')) {
      throw this.#session.ioError(operation, root, ERROR.INVALID_NAME, 0)
    }
    const nt: NtOpenOptions = { access: ['synchronize'], options: ['directoryFile', 'synchronousIoNonalert'] }
    return this.#use(call, root, nt, signal, async (calls) => {
      const name = await queryInformation(calls, operation, signal, FILE_CLASS.NAME, VOLUME_ANSWER_BYTES)
      if (readUtf16(name, 4, name.getUint32(0, true)) !== '\\') {
        throw this.#session.ioError(operation, root, ERROR.DIR_NOT_ROOT, 0)
      }
      const volume = await this.#queryVolume(calls, call, FS_CLASS.VOLUME, signal)
      const attribute = await this.#queryVolume(calls, call, FS_CLASS.ATTRIBUTE, signal)
      return {
        label: readUtf16(volume, 18, volume.getUint32(12, true)),
        serialNumber: volume.getUint32(8, true),
        maximumComponentLength: attribute.getInt32(4, true),
        fileSystemFlags: attribute.getUint32(0, true),
        fileSystem: readUtf16(attribute, 12, attribute.getUint32(8, true)),
      }
    })
  }

  async getDiskFreeSpace(directory: string, { signal }: SignalOptions = {}): Promise<DiskFreeSpace> {
    const size = await this.#freeSpace('getDiskFreeSpace', directory, FS_CLASS.SIZE, signal)
    return {
      totalClusters: size.getBigInt64(0, true),
      freeClusters: size.getBigInt64(8, true),
      sectorsPerCluster: size.getUint32(16, true),
      bytesPerSector: size.getUint32(20, true),
    }
  }

  async getDiskFreeSpaceEx(directory: string, { signal }: SignalOptions = {}): Promise<DiskFreeSpaceEx> {
    const size = await this.#freeSpace('getDiskFreeSpaceEx', directory, FS_CLASS.FULL_SIZE, signal)
    const clusterBytes = BigInt(size.getUint32(24, true)) * BigInt(size.getUint32(28, true))
    return {
      total: size.getBigInt64(0, true) * clusterBytes,
      availableToCaller: size.getBigInt64(8, true) * clusterBytes,
      free: size.getBigInt64(16, true) * clusterBytes,
    }
  }

  #ask(
    call: string,
    path: string,
    service: 'NtQueryAttributesFile' | 'NtQueryFullAttributesFile',
    bytes: number,
    signal: AbortSignal | undefined,
  ): Promise<DataView> {
    const operation = nameOf(call)
    const files = filesOf(this.#session, operation)
    return queryByName(this.#session, files, operation, checkPath(operation, path), service, bytes, 0, signal)
  }

  async #use<T>(
    call: string,
    path: string,
    nt: NtOpenOptions,
    signal: AbortSignal | undefined,
    use: (calls: Calls) => Promise<T>,
  ): Promise<T> {
    const file = await openNt(this.#session, nameOf(call), path, { nt, signal })
    return closing(file, (opened) => use(callsOf(opened)))
  }

  /** [SEQ-14] */
  async #delete(
    call: string,
    path: string,
    kind: 'directoryFile' | 'nonDirectoryFile',
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const operation = nameOf(call)
    const nt: NtOpenOptions = {
      access: ['delete', 'readAttributes', 'synchronize'],
      options: [kind, 'openReparsePoint', 'synchronousIoNonalert', 'openForBackupIntent'],
    }
    await this.#use(call, path, nt, signal, async (calls) => {
      await ntCall(calls, operation, signal, 'NtQueryInformationFile', {
        numbers: [FILE_CLASS.ATTRIBUTE_TAG],
        output: new Uint8Array(ATTRIBUTE_TAG_BYTES),
        fine: UNKNOWN_CLASS,
      })
      const { status } = await ntCall(calls, operation, signal, 'NtSetInformationFile', {
        numbers: [FILE_CLASS.DISPOSITION_EX],
        input: uint32s(DISPOSITION_FLAGS),
        fine: UNKNOWN_CLASS,
      })
      if ((UNKNOWN_CLASS as readonly number[]).includes(status)) {
        await setInformation(calls, operation, signal, FILE_CLASS.DISPOSITION, Uint8Array.of(1))
      }
    })
  }

  /** [SEQ-15] */
  async #move(call: string, existing: string, path: string, options: MoveFileOptions): Promise<void> {
    const operation = nameOf(call)
    const check = checkerFor(operation)
    const given = check.object('options', options, ['replaceExisting', 'copyAllowed', 'writeThrough', 'signal'])
    const replace = check.boolean('replaceExisting', given.replaceExisting ?? false)
    const copyAllowed = check.boolean('copyAllowed', given.copyAllowed ?? false)
    const writeThrough = check.boolean('writeThrough', given.writeThrough ?? false)
    const signal = check.signal('signal', given.signal)
    const target = ntPath(operation, 'path', checkPath(operation, path))
    const nt: NtOpenOptions = {
      access: ['delete', 'readAttributes', 'synchronize'],
      options: [
        'openReparsePoint',
        'synchronousIoNonalert',
        'openForBackupIntent',
        ...(writeThrough ? (['writeThrough'] as const) : []),
      ],
    }
    try {
      await this.#use(call, existing, nt, signal, (calls) =>
        setInformation(
          calls,
          operation,
          signal,
          FILE_CLASS.RENAME,
          encodeLink(target, replace ? REPLACE_IF_EXISTS : 0),
        ),
      )
    } catch (error) {
      if (!copyAllowed || !isWin32(error, ERROR.NOT_SAME_DEVICE)) {
        throw error
      }
      const copy = { session: this.#session, operation, signal }
      await copyFile(copy, existing, path, { failIfExists: !replace, flush: writeThrough })
      await this.#delete(call, existing, 'nonDirectoryFile', signal)
    }
  }

  async #queryVolume(
    calls: Calls,
    call: string,
    informationClass: number,
    signal: AbortSignal | undefined,
  ): Promise<DataView> {
    const output = new Uint8Array(VOLUME_ANSWER_BYTES)
    await ntCall(calls, nameOf(call), signal, 'NtQueryVolumeInformationFile', { numbers: [informationClass], output })
    return new DataView(output.buffer)
  }

  #freeSpace(
    call: string,
    directory: string,
    informationClass: number,
    signal: AbortSignal | undefined,
  ): Promise<DataView> {
    const nt: NtOpenOptions = {
      access: ['readData', 'synchronize'],
      options: ['directoryFile', 'synchronousIoNonalert', 'openForFreeSpaceQuery'],
    }
    return this.#use(call, directory, nt, signal, (calls) => this.#queryVolume(calls, call, informationClass, signal))
  }
}

export const createWin32 = (session: Session): Win32Calls => new BackendWin32(session)
