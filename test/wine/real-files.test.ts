// SPDX-License-Identifier: MIT
//
// This module provides: tests of file I/O through the Windows addon and the system's own kernel32 and ntdll, on files of the temporary directory: no model,
// no driver. They run in the Windows build of Node, under Wine or on Windows (`npm run test:wine`).

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Session } from '../../src/client/session.js'
import { createIo } from '../../src/io/io.js'
import type { Io } from '../../src/io/types.js'
import { addonTransport, loadAddon } from '../../src/transport/addon.js'
import type { NativeBackend } from '../../src/transport/native.js'

let backend: NativeBackend
let io: Io
let directory = ''
let files = 0

beforeAll(async () => {
  const native = loadAddon()
  const opened = await native.openWindows()
  if (typeof opened === 'string') {
    throw new Error(opened)
  }
  backend = opened
  io = createIo(new Session(addonTransport(native, backend, 'windows', undefined)))
  directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-'))
})
afterAll(async () => {
  await backend.close()
  rmSync(directory, { recursive: true, force: true })
})

const fresh = (name = 'file'): string => path.join(directory, `${name}-${++files}`)
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

describe('opening', () => {
  test('each disposition does what its name says', async () => {
    const file = fresh()
    await expect(io.open(file)).rejects.toMatchObject({ code: 'ERROR_FILE_NOT_FOUND' })
    await expect(io.open(file, { access: 'write', create: 'truncate' })).rejects.toMatchObject({
      code: 'ERROR_FILE_NOT_FOUND',
    })
    await using made = await io.open(file, { access: 'readwrite', create: 'create' })
    await made.write('twelve bytes')
    await expect(io.open(file, { access: 'readwrite', create: 'create' })).rejects.toMatchObject({
      code: 'ERROR_FILE_EXISTS',
    })
    await using same = await io.open(file, { access: 'readwrite', create: 'openAlways' })
    expect((await same.stat()).size).toBe(12n)
    await using emptied = await io.open(file, { access: 'readwrite', create: 'truncate' })
    expect((await emptied.stat()).size).toBe(0n)
  })

  test('a file that is to go with its last handle goes', async () => {
    const file = fresh()
    const handle = await io.open(file, { access: ['write', 'delete'], create: 'create', deleteOnClose: true })
    expect(await io.exists(file)).toBe(true)
    await handle.close()
    expect(await io.exists(file)).toBe(false)
  })

  test('sharing is kept', async () => {
    const file = fresh()
    await using mine = await io.open(file, { access: 'readwrite', create: 'create', share: ['read'] })
    await expect(io.open(file, { access: 'write' })).rejects.toMatchObject({ code: 'ERROR_SHARING_VIOLATION' })
    await expect(io.open(file, { access: 'read', share: ['read'] })).rejects.toMatchObject({
      code: 'ERROR_SHARING_VIOLATION',
    })
    await using reader = await io.open(file, { access: 'read' })
    await mine.write('seen')
    expect(text(await reader.read(4))).toBe('seen')
  })
})

describe('names', () => {
  test('are Unicode', async () => {
    const file = fresh('Grüße – 日本語 😀')
    await io.writeFile(file, 'content')
    expect(readFileSync(file, 'utf8')).toBe('content')
    expect((await io.list(directory)).map(({ name }) => name)).toContain(path.basename(file))
  })

  test('may be longer than 260 characters', async () => {
    const deep = path.join(directory, ...Array.from({ length: 6 }, () => 'd'.repeat(60)))
    await io.mkdir(deep, { recursive: true })
    const file = path.join(deep, 'long.txt')
    expect(file.length).toBeGreaterThan(300)
    await io.writeFile(file, 'far down')
    expect(await io.readFile(file, { encoding: 'utf8' })).toBe('far down')
    await io.rename(file, path.join(deep, 'longer.txt'))
    expect((await io.list(deep)).map(({ name }) => name)).toEqual(['longer.txt'])
  })
})

describe('data', () => {
  test('a synchronous handle has a position', async () => {
    await using file = await io.open(fresh(), { access: 'readwrite', create: 'create' })
    await file.write('hello ')
    await file.write('world')
    await file.seek(3)
    expect(text(await file.read(5))).toBe('lo wo')
    expect(await file.position()).toBe(8n)
    expect(text(await file.read(100, { at: 6 }))).toBe('world')
    await file.truncate(5)
    expect((await file.stat()).size).toBe(5n)
  })

  test('overlapped calls run side by side', async () => {
    const name = fresh()
    await using file = await io.open(name, { access: 'readwrite', create: 'create', overlapped: true })
    const blocks = Array.from({ length: 16 }, (_, index) => Buffer.alloc(4096, 65 + index))
    await Promise.all(blocks.map((block, index) => file.write(block, { at: index * 4096 })))
    const read = await Promise.all(blocks.map((_, index) => file.read(4096, { at: index * 4096 })))
    read.forEach((bytes, index) => expect(Buffer.compare(bytes, blocks[index] ?? Buffer.alloc(0))).toBe(0))
    expect(readFileSync(name)).toEqual(Buffer.concat(blocks))
    expect(await file.read(10, { at: 16 * 4096 })).toHaveLength(0)
  })

  test('a completion port gets the packets of a file', async () => {
    await using file = await io.open(fresh(), { access: 'readwrite', create: 'create', overlapped: true })
    await using port = await io.completionPort()
    await port.associate(file, { key: 7n })
    expect(await file.write('abcde', { at: 0 })).toBe(5)
    await port.post({ key: 9n, bytes: 3 })
    const packets = []
    while (packets.length < 2) {
      packets.push(...(await port.next({ timeoutMs: 10_000 })))
    }
    expect(packets.map(({ key, bytes }) => [key, bytes])).toEqual([
      [7n, 5],
      [9n, 3],
    ])
  })

  test('a mapped view and the file are the same bytes', async () => {
    const name = fresh()
    writeFileSync(name, Buffer.alloc(8192, 'x'))
    await using file = await io.open(name, { access: 'readwrite' })
    await using view = await file.map({ length: 8192, writable: true })
    expect(text(await view.read(4090, 12))).toBe('x'.repeat(12))
    await view.write(4094, 'over')
    await view.flush()
    expect(text(await file.read(6, { at: 4093 }))).toBe('xoverx')
  })
})

// Wine 8 has no NtLockFile with a key, and each lock has one of its own.
test.skipIf(process.env['MINIPEND_WINE'] === '1')('a lock keeps others out, until it is given back', async () => {
  const name = fresh()
  writeFileSync(name, 'locked and free')
  await using mine = await io.open(name, { access: 'readwrite' })
  await using theirs = await io.open(name, { access: 'readwrite' })
  const lock = await mine.lock({ offset: 0, length: 6 })
  await expect(theirs.lock({ offset: 3, length: 1, wait: false })).rejects.toMatchObject({
    code: 'ERROR_LOCK_VIOLATION',
  })
  await lock.unlock()
  const now = await theirs.lock({ offset: 3, length: 1, wait: false })
  await now.unlock()
})

describe('metadata', () => {
  test('renaming respects what is there, and replaces it when asked to', async () => {
    const [from, to] = [fresh(), fresh()]
    await io.writeFile(from, 'new')
    await io.writeFile(to, 'old')
    await expect(io.rename(from, to)).rejects.toMatchObject({ code: 'ERROR_ALREADY_EXISTS' })
    await io.rename(from, to, { replace: true })
    expect(readFileSync(to, 'utf8')).toBe('new')
    expect(await io.exists(from)).toBe(false)
  })

  test('times and attributes are set and read', async () => {
    const name = fresh()
    await io.writeFile(name, 'x')
    const when = new Date('2001-02-03T04:05:06Z')
    await using file = await io.open(name, { access: 'readwrite' })
    await file.setTimes({ modifiedAt: when })
    const stat = await io.stat(name)
    expect(stat.modifiedAt).toEqual(when)
    expect(stat).toMatchObject({ directory: false, size: 1n, links: 1 })
  })

  test('deleting', async () => {
    const name = fresh()
    await io.writeFile(name, 'x')
    await io.delete(name)
    await expect(io.delete(name)).rejects.toMatchObject({ code: 'ERROR_FILE_NOT_FOUND' })
  })
})

test('without a driver the Filter Manager says no, by name', async () => {
  const [hresult, port] = await backend.connect('\\MinipendPort', new Uint8Array(0))
  expect(port).toBeUndefined()
  expect(hresult >>> 31).toBe(1)
})
