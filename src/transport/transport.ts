// SPDX-License-Identifier: MIT
//
// This module provides: what the client needs of a way to the backend. Two implementations: addon.ts and ffi.ts.
//
// The signatures are the addon's (native.d.ts): a transport passes bytes and numbers on and has no policy.

import type { BackendName, TransportName } from '../client/types.js'
import type { ReadingOptions } from '../generated/readings.js'
import { InstallationError } from '../errors/errors.js'
import type { FileResult, Hresult, NativeBackend } from './native.js'

export type { FileResult, Hresult }

/** A wait for a message of the driver's. */
export interface MessageWait {
  /**
   * The HRESULT and the bytes of the message in `output`, without the Filter Manager's header. HRESULT_FROM_WIN32(ERROR_OPERATION_ABORTED):
   * cancelled, or the port was closed. It keeps the event loop alive.
   */
  readonly promise: Promise<readonly [Hresult, number]>
  /** Ends the wait. A message that came first is delivered all the same. */
  cancel(): void
}

export interface TransportPort {
  sendMessage(input: Uint8Array, output: Uint8Array): Promise<readonly [Hresult, number]>
  /** FilterGetMessage, one at a time. Undefined: this transport cannot wait without blocking the event loop. */
  getMessage?(output: Uint8Array): MessageWait
  close(): Promise<void>
}

/** What opens files, and what is asked by name: the addon's own calls. */
export type TransportFiles = Pick<
  NativeBackend,
  'createFile' | 'createDirectory' | 'ntCreateFile' | 'ntQueryByName' | 'createCompletionPort'
>

/** Threads whose own I/O the driver must never hold; 0: none. */
export interface ClientThreads {
  readonly control: number
  readonly script: number
}

export interface Transport {
  readonly name: TransportName
  readonly backend: BackendName
  /** Seed of the model; undefined on windows. */
  readonly seed: bigint | undefined
  /** Undefined: this transport has no file I/O. */
  readonly files: TransportFiles | undefined
  clientThreads(): Promise<ClientThreads>
  filterLoad(filterName: string): Promise<Hresult>
  filterAttach(
    filterName: string,
    volume: string,
    instanceName: string,
    altitude: string,
  ): Promise<readonly [Hresult, string]>
  filterDetach(filterName: string, volume: string, instanceName: string): Promise<Hresult>
  /** The filter's instances, each an INSTANCE_..._INFORMATION of that class with its texts. */
  filterInstances(filterName: string, informationClass: number): Promise<readonly [Hresult, readonly Uint8Array[]]>
  queryDosDevice(name: string): Promise<FileResult<string>>
  connect(portName: string): Promise<readonly [Hresult, TransportPort | undefined]>
  /** JSON, or '' on windows. */
  report(): string
  setFault(functionName: string, skip: number, count: number): boolean
  /** False: there is no model, or it is gone. */
  setStorageDelay(delayMicroseconds: number): boolean
  close(): Promise<void>
}

/** Applies them, one by one; `set` answers '' or what is wrong. @throws InstallationError: this model has other readings */
export function applyReadings(readings: ReadingOptions, set: (name: string, value: string) => string): void {
  for (const [name, value] of Object.entries(readings)) {
    const problem = value === undefined ? '' : set(name, value)
    if (problem !== '') {
      throw new InstallationError('BUILD_BROKEN', `the model does not know what this package knows: ${problem}`, {
        operation: 'openMinipend',
        hint: 'build it again: npm run build',
      })
    }
  }
}

/** What it takes to make one. */
export interface TransportOptions {
  readonly backend: BackendName
  /** The driver that the model loads, if it is not the one that came with the library. */
  readonly driverImage?: string | undefined
  readonly seed: bigint
  readonly processors: number
  readonly readings: ReadingOptions
}
