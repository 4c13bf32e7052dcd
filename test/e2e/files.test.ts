// SPDX-License-Identifier: MIT
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AbortedError, IoError, openMinipend, pend } from '../../src/index.js'
import { expectBalance, heldBy, settled, world } from './world.js'

describe('files of the model', () => {
  it('read and write at offsets and at the position', async () => {
    const mp = await world()
    const file = await mp.io.open('D:\\a.bin', { access: 'readwrite', create: 'create' })
    expect(await file.write('hello world')).toBe(11)
    expect(await file.write('W', { at: 6 })).toBe(1)
    expect(Buffer.from(await file.read(5, { at: 6 })).toString()).toBe('World')
    const mine = new Uint8Array(20)
    expect(await file.read(mine, { at: 0n })).toBe(11)
    expect(Buffer.from(mine.subarray(0, 11)).toString()).toBe('hello World')
    expect(await file.read(4, { at: 11 })).toHaveLength(0)
    await file.truncate(5)
    expect(await file.stat()).toMatchObject({ size: 5n, directory: false, deletePending: false, links: 1 })
    await file.flush()
    await file.close()
    expect(await mp.io.readFile('D:\\a.bin', { encoding: 'utf8' })).toBe('hello')
  })

  it('are renamed, listed and deleted', async () => {
    const mp = await world()
    await mp.io.mkdir('D:\\one\\two', { recursive: true })
    await mp.io.writeFile('D:\\one\\a', 'a')
    await mp.io.writeFile('D:\\one\\b', 'bb')
    await mp.io.rename('D:\\one\\a', 'D:\\one\\two\\c')
    await expect(mp.io.rename('D:\\one\\b', 'D:\\one\\two\\c')).rejects.toMatchObject({ code: 'ERROR_ALREADY_EXISTS' })
    await mp.io.rename('D:\\one\\b', 'D:\\one\\two\\c', { replace: true })
    expect((await mp.io.list('D:\\one')).map(({ name, directory }) => [name, directory])).toEqual([['two', true]])
    expect(await mp.io.list('D:\\one\\two')).toMatchObject([{ name: 'c', size: 2n, directory: false }])
    await expect(mp.io.delete('D:\\one\\two')).rejects.toMatchObject({ code: 'ERROR_DIR_NOT_EMPTY' })
    await mp.io.delete('D:\\one\\two\\c')
    await mp.io.delete('D:\\one\\two')
    expect(await mp.io.exists('D:\\one\\two')).toBe(false)
  })

  it('list large directories whole', async () => {
    const mp = await world()
    await mp.io.mkdir('D:\\many')
    const names = Array.from(
      { length: 600 },
      (_, i) => `a file with a long name, number ${String(i).padStart(4, '0')}.txt`,
    )
    await Promise.all(names.map((name) => mp.io.writeFile(`D:\\many\\${name}`, '')))
    expect((await mp.io.list('D:\\many')).map(({ name }) => name).sort()).toEqual(names)
  })

  it('are shared as their handles say', async () => {
    const mp = await world()
    const file = await mp.io.open('D:\\a', { access: 'write', create: 'create', share: ['read'] })
    const error: unknown = await mp.io.open('D:\\a', { access: 'write' }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(IoError)
    expect(error).toMatchObject({ code: 'ERROR_SHARING_VIOLATION', ntstatus: { name: 'STATUS_SHARING_VIOLATION' } })
    await file.close()
  })

  it('fail with the Win32 name', async () => {
    const mp = await world()
    await expect(mp.io.readFile('D:\\nothing')).rejects.toMatchObject({
      code: 'ERROR_FILE_NOT_FOUND',
      operation: 'io.open',
      path: 'D:\\nothing',
      hint: expect.stringContaining('io.list') as string,
    })
    await expect(mp.io.open('D:\\no\\way')).rejects.toMatchObject({ code: 'ERROR_PATH_NOT_FOUND' })
    await mp.io.writeFile('D:\\there', '')
    await expect(mp.io.open('D:\\there', { create: 'create', access: 'write' })).rejects.toMatchObject({
      code: 'ERROR_FILE_EXISTS',
    })
    const file = await mp.io.open('D:\\there')
    await expect(file.write('x')).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    await expect(file.rename('else')).rejects.toMatchObject({
      code: 'ERROR_ACCESS_DENIED',
      hint: expect.stringContaining("'delete'") as string,
    })
    await file.close()
  })

  it('may be left open: the session closes them', async () => {
    const mp = await openMinipend({ backend: 'embedded' })
    const file = await mp.io.open('D:\\a', { access: 'readwrite', create: 'create' })
    await file.write('x'.repeat(100))
    await file.map({ length: 100 })
    await mp.close()
    expect(file.closed).toBe(true)
  })
})

describe('an aborted operation', () => {
  it('that is held stays held; its file closes when it ends', async () => {
    const mp = await world()
    await mp.attach('D:')
    const file = await mp.io.open('D:\\a', { access: 'readwrite', create: 'create' })
    await mp.rules.set([{ on: ['write'], action: pend({ delayMs: 3000 }) }])
    const controller = new AbortController()
    const started = performance.now()
    const writing = file.write('held', { signal: controller.signal })
    await heldBy(mp, 1n)
    controller.abort()
    const error: unknown = await writing.catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(AbortedError)
    expect(error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', stillHeld: true, operation: 'File.write' })
    expect((await mp.counters()).held).toBe(1n)
    await file.close()
    expect(performance.now() - started).toBeGreaterThanOrEqual(2990)
    expectBalance(await settled(mp))
    expect(await mp.io.readFile('D:\\a', { encoding: 'utf8' })).toBe('held')
  })

  it('of a helper rejects too, and leaves no handle', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.io.writeFile('D:\\a', 'x')
    await mp.rules.set([{ on: ['rename'], action: pend({ delayMs: 3000 }) }])
    const controller = new AbortController()
    const renaming = mp.io.rename('D:\\a', 'b', { signal: controller.signal })
    // Awaited below; until then it is nobody's unhandled rejection.
    renaming.catch(() => undefined)
    await heldBy(mp, 1n)
    controller.abort()
    await expect(renaming).rejects.toMatchObject({ stillHeld: true })
    expectBalance(await settled(mp))
    // Its handle is closed a moment after the operation has come back.
    await expect
      .poll(() => mp.io.open('D:\\b', { access: 'readwrite', share: [] }).then((file) => file.close()), {
        timeout: 15_000,
      })
      .toBeUndefined()
  })
})

describe('files of the host', () => {
  it('are copied into the model before the driver is there', async () => {
    const source = await mkdtemp(path.join(tmpdir(), 'minipend-'))
    onTestFinished(() => rm(source, { recursive: true }))
    await mkdir(path.join(source, 'sub', 'empty'), { recursive: true })
    await writeFile(path.join(source, 'ä.txt'), 'one')
    await writeFile(path.join(source, 'sub', 'big.bin'), Buffer.alloc(300_000, 7))
    const mp = await world({ files: { 'D:': source, 'E:\\deep\\down': path.join(source, 'sub') } })
    expect(await mp.io.readFile('D:\\ä.txt', { encoding: 'utf8' })).toBe('one')
    expect(Buffer.from(await mp.io.readFile('D:\\sub\\big.bin')).equals(Buffer.alloc(300_000, 7))).toBe(true)
    expect((await mp.io.stat('D:\\sub\\empty')).directory).toBe(true)
    expect((await mp.io.stat('E:\\deep\\down\\big.bin')).size).toBe(300_000n)
    expect((await mp.counters()).postOperations).toBe(0n)
  })
})
