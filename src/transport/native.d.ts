// SPDX-License-Identifier: MIT

/**
 * The compiled addon (`minipend.node`), whole: nothing else describes it. It has no policy: it takes and returns bytes and
 * numbers, and it never throws for what the system answered. It throws a TypeError (message starts with "minipend native:") only
 * for arguments that no caller in src/ would pass: a wrong type, a forged or foreign receiver, a buffer too small for its length.
 *
 * Threads: calls marked [control] run in order on one thread of the backend; calls marked [io] run on a thread of their own
 * (taken from a pool that grows), so that a held operation delays nobody. No call blocks the event loop. A pending call
 * keeps the event loop alive. CloseHandle never runs on the JavaScript thread.
 *
 * Buffers: a call pins the bytes it was given until the system is done with them, also when the environment ends first.
 */

/** An HRESULT of fltlib as an unsigned 32-bit number; 0 is success. */
export type Hresult = number
/** A Win32 error code; 0 is success. */
export type Win32Error = number
/** An NTSTATUS as an unsigned 32-bit number. */
export type Ntstatus = number

/** How a file call ended: [Win32 error, NTSTATUS of the same failure (0 when none), value]. */
export type FileResult<T> = readonly [error: Win32Error, ntstatus: Ntstatus, value: T]

/**
 * How an ntdll service ended: its NTSTATUS, its status block's Information (0 when it failed), and the Win32 error that the backend
 * translates the status to (0 for success and information). STATUS_PROCEDURE_NOT_FOUND, ERROR_PROC_NOT_FOUND: the backend lacks it.
 */
export type NtResult = readonly [ntstatus: Ntstatus, information: number, error: Win32Error]

/**
 * A packet of a completion port. `call`: the number of the call it is about, undefined when it was posted; `value`: what was posted
 * with it; `bytes`: transferred, or what was posted.
 */
export type NativePacket = readonly [
  key: bigint,
  call: number | undefined,
  value: bigint,
  ntstatus: Ntstatus,
  bytes: number,
]

/**
 * The services of NativeFile.nt() and the numbers each takes, in this order (booleans are 0 and 1). Those marked [waits] may be pending
 * on an overlapped handle. Unless said otherwise a query writes to `output` and a set reads `input`.
 *
 * NtQueryInformationFile, NtSetInformationFile: FILE_INFORMATION_CLASS.
 * NtQueryVolumeInformationFile, NtSetVolumeInformationFile: FS_INFORMATION_CLASS.
 * NtQueryEaFile: single entry, restart scan, index of the first (0: none); `input`: FILE_GET_EA_INFORMATION list, or empty.
 * NtSetEaFile, NtSetQuotaInformationFile: none.
 * NtQueryQuotaInformationFile: single entry, restart scan, bytes of the SID list; `input`: that list, then the SID to start after.
 * NtQuerySecurityObject, NtSetSecurityObject: SECURITY_INFORMATION; the query's information is LengthNeeded, also when it failed.
 * NtQueryDirectoryFileEx [waits]: FILE_INFORMATION_CLASS, SL_* flags; `input`: the pattern as UTF-16, or empty.
 * NtNotifyChangeDirectoryFile [waits]: FILE_NOTIFY_CHANGE_* filter, watch tree.
 * NtFsControlFile, NtDeviceIoControlFile [waits]: the code; both buffers; what `output` has is there for METHOD_IN_DIRECT.
 * NtLockFile [waits]: offset, length (64 bits each), key, fail immediately, exclusive. NtUnlockFile: offset, length, key.
 * NtFlushBuffersFileEx: FLUSH_FLAGS_*.
 */
export type NtServiceName =
  | 'NtQueryInformationFile'
  | 'NtSetInformationFile'
  | 'NtQueryVolumeInformationFile'
  | 'NtSetVolumeInformationFile'
  | 'NtQueryEaFile'
  | 'NtSetEaFile'
  | 'NtQueryQuotaInformationFile'
  | 'NtSetQuotaInformationFile'
  | 'NtQuerySecurityObject'
  | 'NtSetSecurityObject'
  | 'NtQueryDirectoryFileEx'
  | 'NtNotifyChangeDirectoryFile'
  | 'NtFsControlFile'
  | 'NtDeviceIoControlFile'
  | 'NtLockFile'
  | 'NtUnlockFile'
  | 'NtFlushBuffersFileEx'

export type NtByNameServiceName = 'NtQueryAttributesFile' | 'NtQueryFullAttributesFile' | 'NtQueryInformationByName'

/** Options of a model world; see fltsim.h. */
export interface WorldOptions {
  readonly library: string
  readonly driverImage: string
  readonly seed: bigint
  readonly processorCount: number
}

export interface NativeModule {
  /** NAPI_VERSION the addon was built for. */
  readonly napiVersion: number
  /** Loads fltsim and makes a world. [control] Value: the backend, or a message when it cannot be made. */
  openEmbedded(options: WorldOptions): Promise<NativeBackend | string>
  /** Binds fltlib.dll, kernel32.dll and ntdll.dll. Value: the backend, or a message (not Windows, a missing export). */
  openWindows(): Promise<NativeBackend | string>
  /** Operating system thread id of the JavaScript thread, as the driver knows it on the windows backend. */
  currentThreadId(): number
}

/** One Filter Manager: the real one, or a world of the model. */
export interface NativeBackend {
  /** [control] Ends the backend (for a world: FltSimDestroyWorld). All later calls answer ERROR_INVALID_HANDLE. Idempotent. */
  close(): Promise<void>
  /** Thread id of the control thread, as the driver sees it. */
  controlThreadId(): Promise<number>

  filterLoad(filterName: string): Promise<Hresult> // [control]
  filterUnload(filterName: string): Promise<Hresult> // [control]
  /** altitude '' = FilterAttach, else FilterAttachAtAltitude. Value: the created instance's name. [control, on a second thread: may wait for a drain] */
  filterAttach(
    filterName: string,
    volume: string,
    instanceName: string,
    altitude: string,
  ): Promise<readonly [Hresult, string]>
  filterDetach(filterName: string, volume: string, instanceName: string): Promise<Hresult> // [second control thread]
  /**
   * FilterInstanceFindFirst to the end, FilterInstanceFindClose. Value: what each call returned, structures of that class with their texts; 0 also
   * when there is none. [control]
   */
  filterInstances(filterName: string, informationClass: number): Promise<readonly [Hresult, readonly Uint8Array[]]>
  /** \Device\... of a DOS device name such as "D:". [control] */
  queryDosDevice(name: string): Promise<FileResult<string>>

  /** FilterConnectCommunicationPort. [control] */
  connect(portName: string, context: Uint8Array): Promise<readonly [Hresult, NativePort | undefined]>

  /** CreateFileW. flags: FILE_FLAG_* and FILE_ATTRIBUTE_*. [io] */
  createFile(
    path: string,
    desiredAccess: number,
    shareMode: number,
    creationDisposition: number,
    flags: number,
  ): Promise<FileResult<NativeFile | undefined>>
  createDirectory(path: string): Promise<FileResult<void>> // [io]

  /**
   * NtCreateFile. `name`: UTF-16 bytes of the object's name (or a file id). `numbers`: access, OBJ_* attributes, file attributes, share,
   * disposition, options, allocation size (0: none). The file is overlapped when the options have no FILE_SYNCHRONOUS_IO_*. [io]
   */
  ntCreateFile(
    name: Uint8Array,
    numbers: BigUint64Array,
    ea: Uint8Array,
    rootDirectory: NativeFile | undefined,
  ): Promise<readonly [...NtResult, NativeFile | undefined]>
  /** The queries by name. `informationClass`: of NtQueryInformationByName, 0 for the others. [io] */
  ntQueryByName(
    service: NtByNameServiceName,
    name: Uint8Array,
    objectAttributes: number,
    informationClass: number,
    output: Uint8Array,
    rootDirectory: NativeFile | undefined,
  ): Promise<NtResult>
  /** CreateIoCompletionPort without a file. [io] */
  createCompletionPort(): Promise<FileResult<NativeCompletionPort | undefined>>

  // ---- embedded backend only; on windows they answer false / '' ----
  /** FltSimReport: JSON. Never waits for the world. */
  report(): string
  /** FltSimAddDriver. [control] */
  addDriver(service: string, image: string, altitude: string): Promise<boolean>
  /** FltSimStartProcess; '' is none. NTSTATUS and id. [control] */
  startProcess(image: string, commandLine: string): Promise<readonly [number, number]>
  /** FltSimTerminateProcess and FltSimWaitForProcess: whether it has ended. [control] */
  endProcess(id: number): Promise<boolean>
  /** FltSimSetProcessImage of the client's process. False: there is no such volume. [control] */
  setProcessImage(image: string): Promise<boolean>
  setFault(functionName: string, skip: number, count: number): boolean
  /** FltSimSetReading. '': it is set; otherwise what is wrong. */
  setReading(name: string, value: string): string
  /** FltSimSetStorageDelay. False: there is no such world (any more). */
  setStorageDelay(delayMicroseconds: number): boolean
  /** Number of the world, for the ffi transport (FltSimSelectWorld); 0 on windows. */
  readonly world: number
}

export interface NativePort {
  /** FilterSendMessage. Value: bytes returned. [control] */
  sendMessage(input: Uint8Array, output: Uint8Array): Promise<readonly [Hresult, number]>
  /**
   * FilterGetMessage: waits for the driver's next message that wants no reply. Value: bytes of the message; the FILTER_MESSAGE_HEADER
   * is not among them. One at a time: a second call while one is in flight is a TypeError. `id`: the caller's number for
   * cancel(). Cancelled, or ended by close(): HRESULT_FROM_WIN32(ERROR_OPERATION_ABORTED). [io]
   */
  getMessage(id: number, output: Uint8Array): Promise<readonly [Hresult, number]>
  /** CancelIoEx on that getMessage. False: it is not in flight. It may end with a message all the same. */
  cancel(id: number): boolean
  /** CloseHandle. Idempotent. [second control thread, so that it waits for nobody] */
  close(): Promise<void>
}

export interface NativeFile {
  /**
   * ReadFile / WriteFile. offset -1n: at the handle's position (synchronous handles). `id`: the caller's number for
   * cancel(). An overlapped handle's call waits for its OVERLAPPED. Value: bytes transferred. [io]
   */
  read(id: number, buffer: Uint8Array, offset: bigint): Promise<FileResult<number>>
  write(id: number, buffer: Uint8Array, offset: bigint): Promise<FileResult<number>>
  /** GetFileInformationByHandleEx / SetFileInformationByHandle: FILE_INFO_BY_HANDLE_CLASS and the raw structure. [io] */
  getInformation(id: number, informationClass: number, buffer: Uint8Array): Promise<FileResult<void>>
  setInformation(id: number, informationClass: number, buffer: Uint8Array): Promise<FileResult<void>>
  flush(id: number): Promise<FileResult<void>> // [io]
  /** CreateFileMappingW + MapViewOfFile of the first `length` bytes, writable when `write`. [io] */
  map(id: number, length: number, write: boolean, image: boolean): Promise<FileResult<NativeView | undefined>>
  /**
   * An ntdll service; see NtServiceName. On an overlapped handle a call that waits does so with an event of its own, and ends through
   * CancelIoEx. Bytes of `output` are those of before when the service failed. `related`: its handle is put into the input at
   * `relatedOffset`, as RootDirectory of a rename, for instance. [io]
   */
  nt(
    id: number,
    service: NtServiceName,
    numbers: BigUint64Array,
    input: Uint8Array,
    output: Uint8Array,
    related?: NativeFile,
    relatedOffset?: number,
  ): Promise<NtResult>
  /**
   * Whether the system has call `id` and will end it later (true: STATUS_PENDING, ERROR_IO_PENDING), as soon as that is known; false: it
   * ended without that, or is not in flight. How a granted oplock, or a watch that has begun, is known. Overlapped handles.
   */
  pending(id: number): Promise<boolean>
  /** SetFileCompletionNotificationModes: FILE_SKIP_COMPLETION_PORT_ON_SUCCESS 1, FILE_SKIP_SET_EVENT_ON_HANDLE 2. [io] */
  setCompletionModes(flags: number): Promise<FileResult<void>>
  /** CancelIoEx on an overlapped call, CancelSynchronousIo on a synchronous one. False: no such call is in flight. */
  cancel(id: number): boolean
  /** CloseHandle, after the calls in flight. Idempotent. [io] */
  close(): Promise<FileResult<void>>
}

export interface NativeCompletionPort {
  /**
   * CreateIoCompletionPort of an overlapped file, for the calls that begin after it: each puts a packet into the port besides settling
   * its promise, unless it failed at once. [io]
   */
  associate(file: NativeFile, key: bigint): Promise<FileResult<void>>
  /**
   * GetQueuedCompletionStatusEx: waits for 1 to `most` packets, `timeoutMs` 0xffffffff for ever; WAIT_TIMEOUT (258): none came. One at a
   * time: a second call while one is in flight is a TypeError. Cancelled, or ended by close(): ERROR_OPERATION_ABORTED. [io]
   */
  get(most: number, timeoutMs: number): Promise<FileResult<readonly NativePacket[]>>
  /** PostQueuedCompletionStatus; `value` in the place of an OVERLAPPED's address. [io] */
  post(key: bigint, value: bigint, bytes: number): Promise<FileResult<void>>
  /** Ends the get() in flight, within some 50 ms. False: there is none. */
  cancel(): boolean
  /** CloseHandle. Idempotent. [io] */
  close(): Promise<FileResult<void>>
}

export interface NativeView {
  readonly length: number
  /** Copies between the view and a buffer; [io] because a page fault may wait. */
  read(offset: number, buffer: Uint8Array): Promise<FileResult<void>>
  write(offset: number, buffer: Uint8Array): Promise<FileResult<void>>
  /** FlushViewOfFile. [io] */
  flush(offset: number, length: number): Promise<FileResult<void>>
  /** UnmapViewOfFile and CloseHandle of the mapping. Idempotent. [io] */
  close(): Promise<FileResult<void>>
}
