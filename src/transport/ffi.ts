// SPDX-License-Identifier: MIT
//
// This module provides: the transport through ffi-napi and ref-napi: the same C functions, no compiled code of ours.
//
// It is a second, independent path for control calls (load, attach, hello, counters, rules). Its calls run on the JavaScript thread and
// block it, so it has no file I/O: a held operation would block everything.

import type { BackendName } from '../client/types.js'
import { NotSupportedError } from '../errors/errors.js'
import { type FfiLibraries, type ForeignLibrary, loadFfi } from './ffi-library.js'
import { brokenHint, inspectInstallation, requirePart } from './installation.js'
import {
  applyReadings,
  type ClientThreads,
  type FileResult,
  type Hresult,
  type Transport,
  type TransportOptions,
  type TransportPort,
} from './transport.js'

const INSTANCE_NAME_CHARS = 256
const DEVICE_NAME_CHARS = 512
const MESSAGE_BYTES = 1024
/** More than an instance's structure takes with the longest names. */
const INSTANCE_INFORMATION_BYTES = 8192
/** HRESULT_FROM_WIN32(ERROR_NO_MORE_ITEMS) */
const NO_MORE_ITEMS = 0x80070103
/** FLTSIM_OPTIONS of native/fltsim/include/fltsim.h. */
const WORLD_OPTIONS_BYTES = 32

const wide = (text: string): Buffer => Buffer.from(`${text}\0`, 'utf16le')
const fromWide = (buffer: Buffer): string => {
  const text = buffer.toString('utf16le')
  const end = text.indexOf('\0')
  return end < 0 ? text : text.slice(0, end)
}
const fromUtf8 = (buffer: Buffer): string => {
  const end = buffer.indexOf(0)
  return buffer.toString('utf8', 0, end < 0 ? buffer.length : end)
}

/** The model: one world, selected on this thread before each call that takes a name. */
class World {
  readonly number: number
  readonly #library: ForeignLibrary

  constructor(library: ForeignLibrary, number: number) {
    this.#library = library
    this.number = number
  }

  select(): void {
    this.#library.number('FltSimSelectWorld', this.number)
  }

  report(): string {
    const needed = this.#library.number('FltSimReport', this.number, null, 0)
    // The report may grow between the two calls; what does not fit is written on the next try.
    for (let bytes = needed; bytes > 0;) {
      const buffer = Buffer.alloc(bytes)
      const now = this.#library.number('FltSimReport', this.number, buffer, buffer.length)
      if (now <= bytes) {
        return fromUtf8(buffer)
      }
      bytes = now
    }
    return ''
  }

  setFault(functionName: string, skip: number, count: number): boolean {
    return (
      this.#library.number('FltSimSetFault', this.number, Buffer.from(`${functionName}\0`, 'utf8'), skip, count) === 0
    )
  }

  setReading(name: string, value: string): string {
    const texts = [name, value].map((text) => Buffer.from(`${text}\0`, 'utf8'))
    const message = Buffer.alloc(MESSAGE_BYTES)
    this.#library.number('FltSimSetReading', this.number, ...texts, message, message.length)
    return fromUtf8(message)
  }

  setStorageDelay(delayMicroseconds: number): boolean {
    return this.#library.number('FltSimSetStorageDelay', this.number, delayMicroseconds) === 0
  }

  destroy(): void {
    this.#library.number('FltSimDestroyWorld', this.number)
  }
}

function createWorld(libraries: FfiLibraries, options: TransportOptions, driverImage: string): World {
  const image = Buffer.from(`${driverImage}\0`, 'utf8')
  const bytes = Buffer.alloc(WORLD_OPTIONS_BYTES)
  bytes.writeUInt32LE(WORLD_OPTIONS_BYTES, 0)
  bytes.writeUInt32LE(options.processors, 4)
  bytes.writeBigUInt64LE(options.seed, 8)
  libraries.writePointer(bytes, 24, image)
  const message = Buffer.alloc(MESSAGE_BYTES)
  const number = libraries.model().number('FltSimCreateWorld', bytes, message, message.length)
  if (number === 0) {
    throw new NotSupportedError(`cannot open the embedded backend: ${fromUtf8(message)}`, {
      operation: 'openMinipend',
      hint: brokenHint(),
    })
  }
  const world = new World(libraries.model(), number)
  try {
    applyReadings(options.readings, (name, value) => world.setReading(name, value))
  } catch (error) {
    world.destroy()
    throw error
  }
  return world
}

/** Without getMessage: its wait would block the JavaScript thread. */
class FfiPort implements TransportPort {
  readonly #libraries: FfiLibraries
  readonly #handle: bigint
  #closed = false

  constructor(libraries: FfiLibraries, handle: bigint) {
    this.#libraries = libraries
    this.#handle = handle
  }

  async sendMessage(input: Uint8Array, output: Uint8Array): Promise<readonly [Hresult, number]> {
    const returned = Buffer.alloc(4)
    const request = Buffer.from(input.buffer, input.byteOffset, input.length)
    const reply = Buffer.from(output.buffer, output.byteOffset, output.length)
    const hresult = this.#libraries
      .filter()
      .number('FilterSendMessage', this.#handle.toString(), request, request.length, reply, reply.length, returned)
    return Promise.resolve([hresult >>> 0, returned.readUInt32LE()])
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true
      this.#libraries.kernel().number('CloseHandle', this.#handle.toString())
    }
    return Promise.resolve()
  }
}

class FfiTransport implements Transport {
  readonly name = 'ffi'
  readonly backend: BackendName
  readonly seed: bigint | undefined
  readonly files = undefined
  readonly #libraries: FfiLibraries
  #world: World | undefined

  constructor(libraries: FfiLibraries, options: TransportOptions, world: World | undefined) {
    this.#libraries = libraries
    this.backend = options.backend
    this.seed = world === undefined ? undefined : options.seed
    this.#world = world
  }

  clientThreads(): Promise<ClientThreads> {
    this.#world?.select()
    const id = this.#libraries.kernel().number('GetCurrentThreadId')
    return Promise.resolve({ control: id, script: id })
  }

  filterLoad(filterName: string): Promise<Hresult> {
    return Promise.resolve(this.#filter('FilterLoad', wide(filterName)))
  }

  filterAttach(
    filterName: string,
    volume: string,
    instanceName: string,
    altitude: string,
  ): Promise<readonly [Hresult, string]> {
    const created = Buffer.alloc(2 * INSTANCE_NAME_CHARS)
    const instance = instanceName === '' ? null : wide(instanceName)
    const before = altitude === '' ? [] : [wide(altitude)]
    const hresult = this.#filter(
      altitude === '' ? 'FilterAttach' : 'FilterAttachAtAltitude',
      wide(filterName),
      wide(volume),
      ...before,
      instance,
      created.length,
      created,
    )
    return Promise.resolve([hresult, hresult === 0 ? fromWide(created) : ''])
  }

  filterDetach(filterName: string, volume: string, instanceName: string): Promise<Hresult> {
    return Promise.resolve(this.#filter('FilterDetach', wide(filterName), wide(volume), wide(instanceName)))
  }

  filterInstances(filterName: string, informationClass: number): Promise<readonly [Hresult, readonly Uint8Array[]]> {
    const found: Uint8Array[] = []
    const search = Buffer.alloc(8)
    const returned = Buffer.alloc(4)
    const buffer = Buffer.alloc(INSTANCE_INFORMATION_BYTES)
    const room = [informationClass, buffer, buffer.length, returned] as const
    let hresult = this.#filter('FilterInstanceFindFirst', wide(filterName), ...room, search)
    const handle = hresult === 0 ? search.readBigUInt64LE().toString() : undefined
    while (handle !== undefined && hresult === 0) {
      found.push(Uint8Array.from(buffer.subarray(0, returned.readUInt32LE())))
      hresult = this.#filter('FilterInstanceFindNext', handle, ...room)
    }
    if (handle !== undefined) {
      this.#filter('FilterInstanceFindClose', handle)
    }
    return Promise.resolve([hresult === NO_MORE_ITEMS ? 0 : hresult, found])
  }

  queryDosDevice(name: string): Promise<FileResult<string>> {
    this.#world?.select()
    const target = Buffer.alloc(2 * DEVICE_NAME_CHARS)
    const chars = this.#libraries.kernel().number('QueryDosDeviceW', wide(name), target, DEVICE_NAME_CHARS)
    const error = chars === 0 ? this.#libraries.kernel().number('GetLastError') : 0
    return Promise.resolve([error, 0, chars === 0 ? '' : fromWide(target)])
  }

  connect(portName: string): Promise<readonly [Hresult, TransportPort | undefined]> {
    const handle = Buffer.alloc(8)
    const hresult = this.#filter('FilterConnectCommunicationPort', wide(portName), 0, null, 0, null, handle)
    return Promise.resolve([
      hresult,
      hresult === 0 ? new FfiPort(this.#libraries, handle.readBigUInt64LE()) : undefined,
    ])
  }

  report(): string {
    return this.#world?.report() ?? ''
  }

  setFault(functionName: string, skip: number, count: number): boolean {
    return this.#world?.setFault(functionName, skip, count) ?? false
  }

  setStorageDelay(delayMicroseconds: number): boolean {
    return this.#world?.setStorageDelay(delayMicroseconds) ?? false
  }

  close(): Promise<void> {
    this.#world?.destroy()
    this.#world = undefined
    return Promise.resolve()
  }

  #filter(name: string, ...values: unknown[]): Hresult {
    this.#world?.select()
    return this.#libraries.filter().number(name, ...values) >>> 0
  }
}

/** @throws InstallationError, NotSupportedError */
export async function openFfiTransport(options: TransportOptions): Promise<Transport> {
  if (options.backend === 'windows') {
    if (process.platform !== 'win32') {
      throw new NotSupportedError('cannot open the windows backend: this is not Windows', {
        operation: 'openMinipend',
        hint: "backend: 'embedded' works anywhere",
      })
    }
    return Promise.resolve(new FfiTransport(loadFfi(undefined), options, undefined))
  }
  const { model, driverImage } = inspectInstallation()
  const image = options.driverImage ?? requirePart(driverImage, 'the driver image of the model')
  const libraries = loadFfi(requirePart(model, 'the model'))
  return Promise.resolve(new FfiTransport(libraries, options, createWorld(libraries, options, image)))
}
