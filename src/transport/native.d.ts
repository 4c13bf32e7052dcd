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

  // ---- embedded backend only; on windows they answer false / '' ----
  /** FltSimReport: JSON. Never waits for the world. */
  report(): string
  setFault(functionName: string, skip: number, count: number): boolean
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
  map(id: number, length: number, write: boolean): Promise<FileResult<NativeView | undefined>>
  /** CancelIoEx on an overlapped call, CancelSynchronousIo on a synchronous one. False: no such call is in flight. */
  cancel(id: number): boolean
  /** CloseHandle, after the calls in flight. Idempotent. [io] */
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
