// SPDX-License-Identifier: MIT
//
// This module provides: the C functions of the ffi transport, bound with ffi-napi and ref-napi, which are optional and loaded on first use.
//
// Handles are passed as 64-bit numbers (ffi-napi takes large ones as decimal text); only 64-bit systems are supported.

import { InstallationError } from '../errors/errors.js'
import { inspectInstallation, loadModule } from './installation.js'

type Signature = readonly [result: string, parameters: readonly string[]]

const FILTER: Readonly<Record<string, Signature>> = {
  FilterLoad: ['int32', ['pointer']],
  FilterAttach: ['int32', ['pointer', 'pointer', 'pointer', 'uint32', 'pointer']],
  FilterAttachAtAltitude: ['int32', ['pointer', 'pointer', 'pointer', 'pointer', 'uint32', 'pointer']],
  FilterDetach: ['int32', ['pointer', 'pointer', 'pointer']],
  FilterConnectCommunicationPort: ['int32', ['pointer', 'uint32', 'pointer', 'uint16', 'pointer', 'pointer']],
  FilterInstanceFindFirst: ['int32', ['pointer', 'int32', 'pointer', 'uint32', 'pointer', 'pointer']],
  FilterInstanceFindNext: ['int32', ['uint64', 'int32', 'pointer', 'uint32', 'pointer']],
  FilterInstanceFindClose: ['int32', ['uint64']],
  FilterSendMessage: ['int32', ['uint64', 'pointer', 'uint32', 'pointer', 'uint32', 'pointer']],
}

const KERNEL: Readonly<Record<string, Signature>> = {
  CloseHandle: ['int32', ['uint64']],
  GetLastError: ['uint32', []],
  GetCurrentThreadId: ['uint32', []],
  QueryDosDeviceW: ['uint32', ['pointer', 'pointer', 'uint32']],
}

const MODEL: Readonly<Record<string, Signature>> = {
  FltSimCreateWorld: ['uint32', ['pointer', 'pointer', 'size_t']],
  FltSimDestroyWorld: ['int32', ['uint32']],
  FltSimSelectWorld: ['int32', ['uint32']],
  FltSimReport: ['size_t', ['uint32', 'pointer', 'size_t']],
  FltSimSetFault: ['int32', ['uint32', 'pointer', 'uint32', 'uint32']],
  FltSimSetReading: ['int32', ['uint32', 'pointer', 'pointer', 'pointer', 'size_t']],
  FltSimSetStorageDelay: ['int32', ['uint32', 'uint32']],
}

/** What this module uses of ffi-napi and ref-napi. */
interface FfiModule {
  Library(
    file: string,
    functions: Readonly<Record<string, Signature>>,
  ): Record<string, (...values: unknown[]) => unknown>
}
interface RefModule {
  writePointer(buffer: Buffer, offset: number, pointer: Buffer): void
}

/** Functions of one library. */
export class ForeignLibrary {
  readonly #functions: Record<string, (...values: unknown[]) => unknown>

  constructor(ffi: FfiModule, file: string, functions: Readonly<Record<string, Signature>>) {
    this.#functions = ffi.Library(file, functions)
  }

  /** Calls a function that returns a number. ffi-napi gives large ones as text. */
  number(name: string, ...values: unknown[]): number {
    const call = this.#functions[name]
    if (call === undefined) {
      throw new TypeError(`${name} is not bound`)
    }
    return Number(call(...values))
  }
}

export interface FfiLibraries {
  filter(): ForeignLibrary
  kernel(): ForeignLibrary
  model(): ForeignLibrary
  writePointer(buffer: Buffer, offset: number, pointer: Buffer): void
}

function loadPackage(name: 'ffi-napi' | 'ref-napi', exists: boolean): unknown {
  const install = 'npm install --ignore-scripts ffi-napi@4.0.3 ref-napi@3.0.3'
  if (!exists) {
    throw new InstallationError(
      'DEPENDENCY_MISSING',
      `the ffi transport needs the package ${name}, which is not installed`,
      {
        operation: 'openMinipend',
        hint: `${install} (their install scripts fail on current Node, and the binaries that they ship work), or use transport: 'addon'`,
      },
    )
  }
  try {
    return loadModule(name)
  } catch (cause) {
    throw new InstallationError('DEPENDENCY_MISSING', `the package ${name} does not load here: ${String(cause)}`, {
      operation: 'openMinipend',
      hint: `${install}, or use transport: 'addon'`,
      cause,
    })
  }
}

/** `modelFile`: the model's library, which has all functions; undefined: those of Windows. @throws InstallationError */
export function loadFfi(modelFile: string | undefined): FfiLibraries {
  const { ffiNapi, refNapi } = inspectInstallation()
  const ref = loadPackage('ref-napi', refNapi.exists) as RefModule
  const ffi = loadPackage('ffi-napi', ffiNapi.exists) as FfiModule
  if (modelFile === undefined) {
    const filter = new ForeignLibrary(ffi, 'fltlib.dll', FILTER)
    const kernel = new ForeignLibrary(ffi, 'kernel32.dll', KERNEL)
    return {
      filter: () => filter,
      kernel: () => kernel,
      model: () => {
        throw new TypeError('the windows backend has no model')
      },
      writePointer: (buffer, offset, pointer) => {
        ref.writePointer(buffer, offset, pointer)
      },
    }
  }
  const library = new ForeignLibrary(ffi, modelFile, { ...FILTER, ...KERNEL, ...MODEL })
  return {
    filter: () => library,
    kernel: () => library,
    model: () => library,
    writePointer: (buffer, offset, pointer) => {
      ref.writePointer(buffer, offset, pointer)
    },
  }
}
