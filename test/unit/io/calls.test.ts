// SPDX-License-Identifier: MIT
//
// This module provides: tests of io's calls over a system that answers from a script: what they ask for, what becomes of failures, of
// aborts and of ends.

import { describe, expect, it } from 'vitest'
import { AbortedError, type File, IoError, NotSupportedError } from '../../../src/index.js'
import { openOver } from '../../../src/client/over.js'
import { FakeFile, fakeTransport } from '../client/fake.js'

const PATH = 'D:\\a'

async function opened(options: { overlapped?: boolean } = {}): Promise<{ native: FakeFile; file: File }> {
  const native = new FakeFile()
  const mp = await openOver(fakeTransport({ file: native }), { files: [], load: true, signal: undefined })
  return { native, file: await mp.io.open(PATH, options) }
}

describe('services', () => {
  it('get their numbers in the order that the addon wants', async () => {
    const { native, file } = await opened()
    await file.lock({ offset: 1, length: 2n, key: 3, wait: false, exclusive: false })
    await file.unlock({ offset: 2n ** 64n - 1n, length: 1 })
    native.answers.push({ status: 0x80000006, error: 18 })
    for await (const item of file.entries({ pattern: '*.t', class: 'idBoth', single: true })) {
      expect.fail(item.name)
    }
    await file.flush({ mode: 'dataOnly' })
    await file.eas()
    expect(native.services.map(({ service, numbers }) => [service, ...numbers])).toEqual([
      ['NtLockFile', 1n, 2n, 3n, 1n, 0n],
      ['NtUnlockFile', 2n ** 64n - 1n, 1n, 0n],
      ['NtQueryDirectoryFileEx', 37n, 3n],
      ['NtFlushBuffersFileEx', 1n],
      ['NtQueryEaFile', 0n, 1n, 0n],
    ])
    expect(Buffer.from(native.services[2]?.input ?? []).toString('utf16le')).toBe('*.t')
  })

  it('that the backend lacks are named', async () => {
    const { native, file } = await opened()
    native.answers.push({ status: 0xc000007a, error: 127 })
    const error: unknown = await file.streams().catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(NotSupportedError)
    expect(String(error)).toContain('File.streams "D:\\a": this backend does not have NtQueryInformationFile')
  })

  it('that fail have both names, and a hint', async () => {
    const { native, file } = await opened()
    native.answers.push({ status: 0xc0000055, error: 33 })
    const error: unknown = await file.lock({ offset: 0, length: 1, wait: false }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(IoError)
    expect(error).toMatchObject({
      code: 'ERROR_LOCK_VIOLATION',
      ntstatus: { name: 'STATUS_LOCK_NOT_GRANTED' },
      hint: expect.stringContaining('another handle has locked') as string,
    })
  })

  it('ask again with more room until the answer fits', async () => {
    const { native, file } = await opened()
    native.answers.push({ status: 0xc0000023, error: 122, information: 4000 }, { information: 3000 })
    expect(await file.security()).toHaveLength(3000)
    expect(native.services.map(({ service }) => service)).toEqual(['NtQuerySecurityObject', 'NtQuerySecurityObject'])
  })

  it('give as many bytes of a control call as the driver said, and say when there were more', async () => {
    const { native, file } = await opened()
    native.answers.push({ status: 0x80000005, error: 234, information: 2, bytes: Uint8Array.of(1, 2, 3) })
    expect(await file.fsctl(0x90000, { outputBytes: 10 })).toEqual({
      output: Uint8Array.of(1, 2),
      status: { name: 'STATUS_BUFFER_OVERFLOW', value: 0x80000005 },
    })
    await expect(file.fsctl(-1)).rejects.toThrow(/File\.fsctl: code: expected an integer from 0 to 4294967295/)
    await expect(file.ioctl(1, { output: new Uint8Array(1), outputBytes: 1 })).rejects.toThrow(
      /File\.ioctl: outputBytes: leave it out/,
    )
  })
})

describe('ranges', () => {
  it.each([
    [{ offset: 0 }, 'length: expected an integer from 0 to 18446744073709551615'],
    [{ offset: -1, length: 1 }, 'offset: expected an integer'],
    [{ offset: 2n ** 64n - 1n, length: 2 }, 'length: offset + length must not go beyond 2^64'],
    [{ offset: 0, length: 1, exclusiv: true }, 'exclusiv: unknown key; did you mean "exclusive"?'],
  ])('number %# is refused', async (range, message) => {
    const { file } = await opened()
    await expect(file.lock(range as { offset: number; length: number })).rejects.toThrow(message)
  })
})

describe('what waits', () => {
  it('is cancelled when its handle is closed', async () => {
    const { native, file } = await opened({ overlapped: true })
    native.answers.push({ after: new Promise(() => undefined) })
    void file.lock({ offset: 0, length: 1 }).catch(() => undefined)
    await Promise.resolve()
    await file.close()
    expect(native.cancelled).toEqual([native.services[0]?.id])
  })

  it('a lock that comes after its abort is undone', async () => {
    const { native, file } = await opened({ overlapped: true })
    let grant: () => void = () => undefined
    native.answers.push({ after: new Promise<void>((resolve) => (grant = resolve)) })
    const controller = new AbortController()
    const locking = file.lock({ offset: 3, length: 4, signal: controller.signal })
    controller.abort()
    await expect(locking).rejects.toMatchObject({ name: 'AbortError', stillHeld: true })
    grant()
    await expect.poll(() => native.services.map(({ service }) => service)).toEqual(['NtLockFile', 'NtUnlockFile'])
    expect(native.services[1]?.numbers).toEqual([3n, 4n, 0n])
  })
})

describe('a watch', () => {
  it('tells an overflow, asks again, and ends with the handle', async () => {
    const { native, file } = await opened({ overlapped: true })
    native.isPending = true
    native.answers.push({ status: 0x10c }, { information: 0 }, { status: 0x10b })
    const watch = file.watch({ filter: ['fileName', 'size'], recursive: true })
    await watch.started
    const kinds: string[] = []
    for await (const { kind } of watch) {
      kinds.push(kind)
    }
    expect(kinds).toEqual(['overflow', 'overflow'])
    expect(native.services.map(({ numbers }) => numbers)).toEqual([
      [9n, 1n],
      [9n, 1n],
      [9n, 1n],
    ])
  })

  it('that fails at once says so when it starts', async () => {
    const { native, file } = await opened()
    native.answers.push({ status: 0xc000000d, error: 87 })
    const watch = file.watch()
    await expect(watch.started).rejects.toMatchObject({ code: 'ERROR_INVALID_PARAMETER', operation: 'File.watch' })
    await expect(watch.next()).rejects.toMatchObject({ code: 'ERROR_INVALID_PARAMETER' })
    expect(await watch.next()).toEqual({ done: true, value: undefined })
    expect(() => file.watch({ filter: [] })).toThrow(/File\.watch: filter: expected an array of "fileName"/)
  })
})

describe('an oplock', () => {
  it('is what its request is: granted while it is pending, broken when it ends', async () => {
    const { native, file } = await opened({ overlapped: true })
    native.isPending = true
    let end: () => void = () => undefined
    const output = new Uint8Array(24)
    new DataView(output.buffer).setUint32(12, 1, true)
    native.answers.push({ bytes: output, information: 24, after: new Promise<void>((resolve) => (end = resolve)) })
    const oplock = await file.oplock('rwh')
    expect([...(native.services[0]?.input ?? [])]).toEqual([1, 0, 12, 0, 7, 0, 0, 0, 1, 0, 0, 0])
    end()
    expect(await oplock.broken).toMatchObject({ level: 'none', acknowledgeRequired: true })
    native.isPending = false
    expect(await oplock.acknowledge()).toBeUndefined()
    expect([...(native.services[1]?.input ?? [])]).toEqual([1, 0, 12, 0, 0, 0, 0, 0, 2, 0, 0, 0])
    await expect(oplock.acknowledge({ as: 'none' })).rejects.toThrow(/"none" is an answer for classic oplocks/)
  })

  it('that is refused rejects, and a release cancels', async () => {
    const { native, file } = await opened({ overlapped: true })
    native.answers.push({ status: 0xc00000e2, error: 300 })
    await expect(file.oplock('level2')).rejects.toMatchObject({ code: 'ERROR_OPLOCK_NOT_GRANTED' })
    native.isPending = true
    native.answers.push({ status: 0xc0000120, error: 995, after: expect.poll(() => native.cancelled.length).toBe(1) })
    const oplock = await file.oplock('batch')
    await oplock.release()
    await expect(oplock.broken).rejects.toBeInstanceOf(AbortedError)
  })
})
