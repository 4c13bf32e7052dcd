// SPDX-License-Identifier: MIT
//
// This module provides: tests of the addon's ntdll services and completion ports by themselves: receivers, arguments, calls on closed
// handles. What the services do is tested end to end, in test/e2e/io-*.test.ts.

import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { loadAddon } from '../../src/transport/addon.js'
import { inspectInstallation } from '../../src/transport/installation.js'
import type { NativeBackend, NativeFile } from '../../src/transport/native.js'

const native = loadAddon()
const { model, driverImage } = inspectInstallation()
const worldOptions = { library: model.path, driverImage: driverImage.path, seed: 1n, processorCount: 2 }

const genericReadWrite = 0xc0000000
const shareAll = 7
const createAlways = 2
const overlappedFlag = 0x40000000
const statusInvalidHandle = 0xc0000008
const errorInvalidHandle = 6
const none = new Uint8Array(0)
const numbers = (...values: number[]): BigUint64Array => BigUint64Array.from(values, (value) => BigInt(value))

type Loose = (this: unknown, ...args: unknown[]) => unknown
const loose = (object: object, name: string): Loose => Reflect.get(object, name) as Loose

let backend: NativeBackend
let file: NativeFile

async function create(path: string, flags = 0): Promise<NativeFile> {
  const [error, , created] = await backend.createFile(path, genericReadWrite, shareAll, createAlways, flags)
  if (created === undefined) {
    throw new Error(`CreateFileW failed with ${error}`)
  }
  return created
}

beforeEach(async () => {
  const opened = await native.openEmbedded(worldOptions)
  if (typeof opened === 'string') {
    throw new Error(opened)
  }
  backend = opened
  file = await create('D:\\nt.bin')
})
afterEach(async () => {
  await backend.close()
})

describe('nt()', () => {
  it('names the argument that is wrong', async () => {
    const call = loose(file, 'nt')
    const attempt = (...args: unknown[]): (() => unknown) => {
      return () => call.call(file, ...args)
    }
    expect(attempt(-1, 'NtUnlockFile', numbers(0, 1, 0), none, none)).toThrow(/argument 1 must be an unsigned 32-bit/)
    expect(attempt(1, 'NtShutdownSystem', numbers(), none, none)).toThrow(
      /argument 2 must be the name of a service: NtQueryInformationFile, /,
    )
    expect(attempt(1, 'NtUnlockFile', [0, 1, 0], none, none)).toThrow(
      /argument 3 must be a BigUint64Array of 3 numbers/,
    )
    expect(attempt(1, 'NtUnlockFile', numbers(0, 1), none, none)).toThrow(/argument 3 must be a BigUint64Array of 3/)
    expect(attempt(1, 'NtLockFile', numbers(0, 1, 0, 2, 0), none, none)).toThrow(
      /argument 3 must be numbers that fit NtLockFile: number 4 may be at most 1/,
    )
    expect(attempt(1, 'NtFsControlFile', numbers(2 ** 32), none, none)).toThrow(/number 1 may be at most 4294967295/)
    expect(attempt(1, 'NtFsControlFile', numbers(0), 'text', none)).toThrow(/argument 4 must be a Uint8Array/)
    expect(attempt(1, 'NtFsControlFile', numbers(0), none, 7)).toThrow(/argument 5 must be a Uint8Array/)
    expect(attempt(1, 'NtSetInformationFile', numbers(10), new Uint8Array(24), none, backend, 8)).toThrow(
      /argument 6 must be a NativeFile, or undefined/,
    )
    expect(attempt(1, 'NtSetInformationFile', numbers(10), new Uint8Array(15), none, file, 8)).toThrow(
      /argument 7 must be an offset of the input at which a handle of 8 bytes fits/,
    )
    expect(() => call.call(backend, 1, 'NtUnlockFile', numbers(0, 1, 0), none, none)).toThrow(
      /the receiver is not a NativeFile/,
    )
    await file.close()
  })

  it('of a closed file answers with an invalid handle, without asking the system', async () => {
    await file.close()
    expect(await file.nt(1, 'NtFlushBuffersFileEx', numbers(0), none, none)).toEqual([
      statusInvalidHandle,
      0,
      errorInvalidHandle,
    ])
  })

  it('puts nothing into the output when the service fails', async () => {
    const output = new Uint8Array(8).fill(7)
    const [status] = await file.nt(1, 'NtQueryInformationFile', numbers(0xffff), none, output)
    expect(status).toBeGreaterThanOrEqual(0xc0000000)
    expect([...output]).toEqual([7, 7, 7, 7, 7, 7, 7, 7])
    await file.close()
  })
})

describe('calls by name', () => {
  const name = Buffer.from('\\??\\D:\\nt.bin', 'utf16le')

  it('name the argument that is wrong', async () => {
    const create = loose(backend, 'ntCreateFile')
    const query = loose(backend, 'ntQueryByName')
    const seven = numbers(0x80, 0x40, 0, 7, 1, 0x20, 0)
    expect(() => create.call(backend, 'D:', seven, none, undefined)).toThrow(
      /argument 1 must be a Uint8Array of at most/,
    )
    expect(() => create.call(backend, new Uint8Array(65536), seven, none, undefined)).toThrow(/argument 1 must be/)
    expect(() => create.call(backend, name, numbers(1), none, undefined)).toThrow(/argument 2 must be a BigUint64Array/)
    expect(() => create.call(backend, name, numbers(2 ** 32, 0, 0, 0, 0, 0, 0), none, undefined)).toThrow(
      /argument 2 must be six numbers of 32 bits, and one of 64/,
    )
    expect(() => create.call(backend, name, seven, none, {})).toThrow(/argument 4 must be a NativeFile, or undefined/)
    expect(() => query.call(backend, 'NtCreateFile', name, 0x40, 0, none, undefined)).toThrow(
      /argument 1 must be NtQueryAttributesFile, /,
    )
    expect(() => query.call(backend, 'NtQueryAttributesFile', name, 0x40, 0, new Uint8Array(39), undefined)).toThrow(
      /argument 5 must be a Uint8Array of at least 40 bytes/,
    )
    await file.close()
  })

  it('refuse a root directory of another world', async () => {
    const other = await native.openEmbedded(worldOptions)
    if (typeof other === 'string') {
      throw new Error(other)
    }
    try {
      expect(() => other.ntCreateFile(name, numbers(0x80, 0x40, 0, 7, 1, 0x20, 0), none, file)).toThrow(
        /argument 4 must be a directory of the same backend/,
      )
    } finally {
      await other.close()
    }
  })

  it('with a root directory that is closed answer with an invalid handle', async () => {
    await file.close()
    const [status, information, error, opened] = await backend.ntCreateFile(
      new Uint8Array(0),
      numbers(0x80, 0x40, 0, 7, 1, 0x20, 0),
      none,
      file,
    )
    expect([status, information, error, opened]).toEqual([statusInvalidHandle, 0, errorInvalidHandle, undefined])
  })
})

describe('an overlapped call', () => {
  const noBufferingFlag = 0x20000000
  const storageDelayMicroseconds = 300_000

  it('tells that it is pending, keeps its number, and is cancelled by nobody else', async () => {
    const overlapped = await create('D:\\overlapped.bin', overlappedFlag | noBufferingFlag)
    expect(backend.setStorageDelay(storageDelayMicroseconds)).toBe(true)
    const write = overlapped.write(3, new Uint8Array(4096), 0n)
    expect(await overlapped.pending(3)).toBe(true)
    expect(() => overlapped.nt(3, 'NtFsControlFile', numbers(0), none, none)).toThrow(/call 3 of this file is still/)
    expect(await overlapped.pending(4)).toBe(false)
    expect(overlapped.cancel(4)).toBe(false)
    expect(await write).toEqual([0, 0, 4096])
    expect(await overlapped.pending(3)).toBe(false)
    await overlapped.close()
  })
})

describe('a completion port', () => {
  it('checks its arguments, or says that the model has none', async () => {
    const [error, status, port] = await backend.createCompletionPort()
    if (port === undefined) {
      expect([error, status]).toEqual([127, 0xc000007a])
      return
    }
    const associate = loose(port, 'associate')
    expect(() => associate.call(port, {}, 0n)).toThrow(/argument 1 must be a NativeFile/)
    expect(() => associate.call(port, file, 0)).toThrow(/argument 2 must be an unsigned bigint of 64 bits/)
    expect(() => port.get(0, 0)).toThrow(/argument 1 must be from 1 to 4096/)
    const waiting = port.get(1, 0xffffffff)
    expect(() => port.get(1, 0)).toThrow(/a wait on this port is in flight already/)
    expect(port.cancel()).toBe(true)
    expect((await waiting)[0]).toBe(995)
    expect((await port.get(4, 0))[0]).toBe(258)
    const second = port.get(1, 0xffffffff)
    await port.close()
    expect((await second)[0]).toBe(995)
    expect((await port.get(1, 0))[0]).toBe(6)
  })
})
