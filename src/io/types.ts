// SPDX-License-Identifier: MIT
//
// This module provides: the public types of file I/O through the backend. Types only.
//
// Every call returns a promise; "synchronous" is the kind of handle. Calls on one synchronous handle run one after the other, as
// Windows does it; a held operation delays nobody else.

import type { SignalOptions } from '../client/types.js'
import type {
  ByteRange,
  CompletionPort,
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
import type {
  AttributeName,
  DeleteOptions,
  DirectoryItem,
  EaOptions,
  EntriesOptions,
  ExtendedAttribute,
  FileAttributes,
  FileStatByName,
  FullFileAttributes,
  LinkOptions,
  ReparsePoint,
  SetTimesOptions,
  StreamEntry,
  SymlinkOptions,
  VolumeInfo,
} from './metadata-types.js'
import type { NtOpenOptions, OpenedAs } from './nt-open-types.js'
import type { TrafficOptions, TrafficReport } from './traffic/types.js'
import type { Win32Calls } from './win32-types.js'

/** One right: a generic one (read, write, execute, all), or one of winnt.h. */
export type AccessName =
  | 'read'
  | 'write'
  | 'readwrite'
  | 'execute'
  | 'all'
  | 'readData'
  | 'writeData'
  | 'appendData'
  | 'readEa'
  | 'writeEa'
  | 'deleteChild'
  | 'readAttributes'
  | 'writeAttributes'
  | 'delete'
  | 'readControl'
  | 'writeDac'
  | 'writeOwner'
  | 'synchronize'
  | 'accessSystemSecurity'
  | 'maximumAllowed'
export type ShareName = 'read' | 'write' | 'delete'
/** OPEN_EXISTING, CREATE_NEW, OPEN_ALWAYS, CREATE_ALWAYS, TRUNCATE_EXISTING. */
export type CreateDisposition = 'open' | 'create' | 'openAlways' | 'createAlways' | 'truncate'

export interface FileOpenOptions extends SignalOptions {
  /** Default: read. Renaming and deleting through the handle need `delete`. A number is an access mask. */
  readonly access?: AccessName | readonly AccessName[] | number | undefined
  /** Default: open. */
  readonly create?: CreateDisposition | undefined
  /** What others may do meanwhile; default: everything. */
  readonly share?: readonly ShareName[] | undefined
  /** An overlapped handle: calls run side by side and need `at`. Default false: a synchronous handle. */
  readonly overlapped?: boolean | undefined
  /** FILE_FLAG_NO_BUFFERING: offsets and lengths must be multiples of the sector size. */
  readonly noBuffering?: boolean | undefined
  /** FILE_FLAG_WRITE_THROUGH */
  readonly writeThrough?: boolean | undefined
  /** FILE_FLAG_RANDOM_ACCESS */
  readonly randomAccess?: boolean | undefined
  /** FILE_FLAG_SEQUENTIAL_SCAN */
  readonly sequentialScan?: boolean | undefined
  /** FILE_FLAG_DELETE_ON_CLOSE: it goes with its last handle. Needs `delete` in access. */
  readonly deleteOnClose?: boolean | undefined
  /** FILE_FLAG_BACKUP_SEMANTICS: open a directory. */
  readonly directory?: boolean | undefined
  /** FILE_FLAG_OPEN_REPARSE_POINT: the link itself, not what it leads to. */
  readonly openReparsePoint?: boolean | undefined
  /** FILE_FLAG_OPEN_NO_RECALL */
  readonly openNoRecall?: boolean | undefined
  /** FILE_FLAG_POSIX_SEMANTICS: names that differ in case only are different, where the system allows it. */
  readonly posixSemantics?: boolean | undefined
  /** Attributes of a file that is made. Default: normal. */
  readonly attributes?: readonly AttributeName[] | number | undefined
}

export interface TransferOptions extends SignalOptions {
  /** Byte offset in the file. Default on synchronous handles: the handle's position. */
  readonly at?: number | bigint | undefined
}

export interface RenameOptions extends SignalOptions {
  /** Replace a file that has the new name. Default false. */
  readonly replace?: boolean | undefined
  /** Also one that is open (FILE_RENAME_POSIX_SEMANTICS). Default false. */
  readonly posix?: boolean | undefined
}

export type FlushMode = 'normal' | 'dataOnly' | 'noSync' | 'dataSyncOnly'

export interface FlushOptions extends SignalOptions {
  /**
   * `normal` (default): FlushFileBuffers. The others are NtFlushBuffersFileEx: `dataOnly` writes no metadata, `noSync` does not ask the
   * disk to flush its own cache, `dataSyncOnly` writes data and asks the disk, without metadata.
   */
  readonly mode?: FlushMode | undefined
}

export interface FileStat {
  /** Bytes. */
  readonly size: bigint
  readonly allocationSize: bigint
  readonly links: number
  readonly deletePending: boolean
  readonly directory: boolean
  /** FILE_ATTRIBUTE_* */
  readonly attributes: number
  readonly createdAt: Date
  readonly accessedAt: Date
  readonly modifiedAt: Date
  readonly changedAt: Date
}

export interface DirectoryEntry {
  readonly name: string
  readonly size: bigint
  readonly allocationSize: bigint
  readonly directory: boolean
  /** FILE_ATTRIBUTE_* */
  readonly attributes: number
  readonly createdAt: Date
  readonly accessedAt: Date
  readonly modifiedAt: Date
  readonly changedAt: Date
}

export interface MapOptions extends SignalOptions {
  /** Bytes from the start of the file. */
  readonly length: number
  /** Default false. */
  readonly writable?: boolean | undefined
  /**
   * Map it as the executable image that it is (SEC_IMAGE), as loading a program or DLL does. Not `writable`. Its pages are read from the disk; while a
   * section or view of it is there nobody opens the file for writing, deletes it or makes it shorter. Default false.
   */
  readonly image?: boolean | undefined
}

/** A mapped view. Its pages are the file's: flushing one is paging I/O. */
export interface View extends AsyncDisposable {
  readonly length: number
  readonly closed: boolean
  read(offset: number, length: number): Promise<Uint8Array>
  write(offset: number, data: string | Uint8Array): Promise<void>
  /** FlushViewOfFile. Default: the whole view. */
  flush(range?: { readonly offset: number; readonly length: number }): Promise<void>
  close(): Promise<void>
}

/** An open handle. Failures are IoErrors whose `code` is the Win32 name, such as ERROR_SHARING_VIOLATION. */
export interface File extends AsyncDisposable {
  /** What opening did. Undefined: opened the Win32 way, which does not say. */
  readonly openedAs: OpenedAs | undefined
  /** Where it was opened, or where rename() through this handle moved it. */
  readonly path: string
  readonly closed: boolean
  /** Up to `length` bytes; fewer, or none, at the end of the file. */
  read(length: number, options?: TransferOptions): Promise<Uint8Array>
  /** Fills `buffer` as far as there are bytes, and says how many. An aborted call leaves it untouched. */
  read(buffer: Uint8Array, options?: TransferOptions): Promise<number>
  /** Writes all of it (a string as UTF-8). Value: bytes written. */
  write(data: string | Uint8Array, options?: TransferOptions): Promise<number>
  /** `to`: a full path, or a name in the file's own directory. */
  rename(to: string, options?: RenameOptions): Promise<void>
  /** Marks it for deletion: it goes with the last handle, with `posix` with this one. */
  delete(options?: DeleteOptions): Promise<void>
  /** Takes the mark back (not one of `posix`). */
  undelete(options?: SignalOptions): Promise<void>
  /** Sets the end of the file. */
  truncate(size: number | bigint, options?: SignalOptions): Promise<void>
  stat(options?: SignalOptions): Promise<FileStat>
  /** Size on disk, bytes: less than the file's size cuts the file. */
  setAllocationSize(bytes: number | bigint, options?: SignalOptions): Promise<void>
  /** How much of the file counts as written, bytes. Needs the right to manage volumes. */
  setValidDataLength(bytes: number | bigint, options?: SignalOptions): Promise<void>
  /** The position of a synchronous handle, bytes. */
  position(options?: SignalOptions): Promise<bigint>
  seek(at: number | bigint, options?: SignalOptions): Promise<void>
  setTimes(options: SetTimesOptions): Promise<void>
  /** Names, or a number of FILE_ATTRIBUTE_*. [] sets `normal`. */
  setAttributes(attributes: readonly AttributeName[] | number, options?: SignalOptions): Promise<void>
  /** The file's number on its volume. */
  fileId(options?: SignalOptions): Promise<bigint>
  flush(options?: FlushOptions): Promise<void>
  map(options: MapOptions): Promise<View>
  /** Entries of a directory, without `.` and `..`. */
  list(options?: SignalOptions): Promise<DirectoryEntry[]>
  /** The same one by one, with a pattern and in the structure that is asked for; `.` and `..` too. From the start at each call. */
  entries(options?: EntriesOptions): AsyncIterableIterator<DirectoryItem, void, undefined>
  /** Changes in a directory. Overlapped handles: on a synchronous one everything else waits for the next change. */
  watch(options?: WatchOptions): Watch
  /** A byte range for this handle alone. It ends with unlock() and with the handle. */
  lock(options: LockOptions): Promise<FileLock>
  unlock(range: ByteRange & SignalOptions): Promise<void>
  /** Asks for an oplock; resolves when it is granted. Overlapped handles. Refused: ERROR_OPLOCK_NOT_GRANTED. */
  oplock(level: OplockLevel, options?: SignalOptions): Promise<Oplock>
  /** Another name for the file, a full path on its volume. */
  link(to: string, options?: LinkOptions): Promise<void>
  /** Undefined: it is not a reparse point. The handle: opened with openReparsePoint. */
  reparsePoint(options?: SignalOptions): Promise<ReparsePoint | undefined>
  /** REPARSE_DATA_BUFFER as it is. */
  setReparsePoint(data: Uint8Array, options?: SignalOptions): Promise<void>
  removeReparsePoint(options?: SignalOptions): Promise<void>
  streams(options?: SignalOptions): Promise<StreamEntry[]>
  /** Extended attributes. */
  eas(options?: EaOptions): Promise<ExtendedAttribute[]>
  /** An empty value removes the attribute. */
  setEas(attributes: readonly ExtendedAttribute[], options?: SignalOptions): Promise<void>
  /** NtFsControlFile; codes: FSCTL, controlCode(). */
  fsctl(code: number, options?: ControlOptions): Promise<ControlAnswer>
  /** NtDeviceIoControlFile; codes: IOCTL, controlCode(). */
  ioctl(code: number, options?: ControlOptions): Promise<ControlAnswer>
  /** A self-relative security descriptor. */
  security(options?: SecurityOptions): Promise<Uint8Array>
  /** Default parts: the dacl. */
  setSecurity(descriptor: Uint8Array, options?: SecurityOptions): Promise<void>
  /** A FILE_QUOTA_INFORMATION list. The handle: of a volume's quota index. */
  quota(options?: QuotaOptions): Promise<Uint8Array>
  setQuota(entries: Uint8Array, options?: SignalOptions): Promise<void>
  /** Of the volume that it is on. */
  volume(options?: SignalOptions): Promise<VolumeInfo>
  /** Handles of a volume (io.openVolume) or its root directory. '' removes the label. */
  setVolumeLabel(label: string, options?: SignalOptions): Promise<void>
  /** Handles of a volume. Fails with ERROR_ACCESS_DENIED while others have something open on it. */
  lockVolume(options?: SignalOptions): Promise<VolumeLock>
  /** Handles of a volume. */
  dismountVolume(options?: SignalOptions): Promise<void>
  /**
   * CloseHandle, after the calls in flight; those that may wait for ever (locks, watches, oplocks, control calls) are cancelled. A second
   * call waits for the first.
   */
  close(): Promise<void>
}

/** File I/O through the backend: the real file system, or the model's volumes. Paths are Windows paths: "D:\inbox\a.txt". */
export interface Io {
  /** kernel32's calls by name: DeleteFileW, MoveFileExW, FindFirstFileW, CopyFileW and so on. */
  readonly win32: Win32Calls
  open(path: string, options?: FileOpenOptions): Promise<File>
  /** NtCreateFile with exact parameters. */
  open(path: string, options: { readonly nt: NtOpenOptions } & SignalOptions): Promise<File>
  /** The volume itself, such as "D:": for control calls, its label, locking it. Default access: read and write. */
  openVolume(volume: string, options?: Omit<FileOpenOptions, 'create' | 'directory'>): Promise<File>
  /** Creates or overwrites. */
  writeFile(path: string, data: string | Uint8Array, options?: SignalOptions): Promise<void>
  readFile(path: string, options: SignalOptions & { readonly encoding: 'utf8' }): Promise<string>
  readFile(path: string, options?: SignalOptions): Promise<Uint8Array>
  list(path: string, options?: SignalOptions): Promise<DirectoryEntry[]>
  stat(path: string, options?: SignalOptions): Promise<FileStat>
  /** True: there is a file or directory of that name. */
  exists(path: string, options?: SignalOptions): Promise<boolean>
  mkdir(path: string, options?: SignalOptions & { readonly recursive?: boolean | undefined }): Promise<void>
  rename(from: string, to: string, options?: RenameOptions): Promise<void>
  /** A file, or an empty directory. */
  delete(path: string, options?: DeleteOptions): Promise<void>
  /** GetFileAttributesW: asked by name, without a handle. */
  attributes(path: string, options?: SignalOptions): Promise<FileAttributes>
  /** GetFileAttributesExW: asked by name, without a handle. */
  fullAttributes(path: string, options?: SignalOptions): Promise<FullFileAttributes>
  /** GetFileInformationByName(FileStatByNameInfo): asked by name, without a handle. */
  statByName(path: string, options?: SignalOptions): Promise<FileStatByName>
  /** CreateHardLinkW: `to` becomes another name of `from`. */
  link(from: string, to: string, options?: LinkOptions): Promise<void>
  /** CreateSymbolicLinkW: makes `path`, which leads to `target`, a full path or one relative to the link. */
  symlink(target: string, path: string, options?: SymlinkOptions): Promise<void>
  /** Makes the directory `path`, which leads to the directory `target`, a full path. */
  junction(target: string, path: string, options?: SignalOptions): Promise<void>
  /** Where a link leads. Undefined: it is no reparse point. */
  readLink(path: string, options?: SignalOptions): Promise<ReparsePoint | undefined>
  /** An I/O completion port. */
  completionPort(options?: SignalOptions): Promise<CompletionPort>
  /** Does what a named workload does, seeded, cleans up, and says exactly what it did. */
  traffic(options: TrafficOptions): Promise<TrafficReport>
}
