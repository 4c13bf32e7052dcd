// SPDX-License-Identifier: MIT
//
// This module provides: tests of calls that change a file under those who have it open: superseding, opening in the middle of an oplock's break,
// dismounting.

import { describe, expect, it } from 'vitest'
import { AbortedError, type File, type Minipend, type NtDisposition, type OpenedAs, pend } from '../../src/index.js'
import { expectBalance, heldBy, settled, world } from './world.js'

const PATIENCE = { timeoutMs: 15_000 }
const ARCHIVE = 0x20
const SYSTEM = 0x4
const NOT_INDEXED = 0x2000

async function attached(volume = 'D:'): Promise<Minipend> {
  const mp = await world()
  await mp.attach(volume)
  return mp
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

const replace = (mp: Minipend, path: string, disposition: NtDisposition = 'supersede'): Promise<File> =>
  mp.io.open(path, {
    nt: {
      disposition,
      access: ['readData', 'writeData', 'readAttributes', 'readEa', 'delete', 'synchronize'],
      attributes: ['system'],
    },
  })

describe('superseding', () => {
  it.each<[NtDisposition, OpenedAs, number]>([
    ['supersede', 'superseded', ARCHIVE | SYSTEM],
    ['overwriteIf', 'overwritten', ARCHIVE | SYSTEM | NOT_INDEXED],
  ])("ends the old file's attributes, which overwriting keeps: %s", async (disposition, openedAs, attributes) => {
    const mp = await attached()
    const old = await mp.io.open('D:\\old', { access: ['read', 'write'], create: 'create' })
    await old.write('the old content')
    await old.setAttributes(['notContentIndexed'])
    await old.setEas([{ name: 'OLD', value: Uint8Array.of(1) }])
    await mp.io.link('D:\\old', 'D:\\other name')
    const fresh = await replace(mp, 'D:\\old', disposition)
    expect(fresh.openedAs).toBe(openedAs)
    expect((await mp.io.attributes('D:\\old')).attributes).toBe(attributes)
    expect(await fresh.eas()).toEqual([])
    // Who has the old one open has the new one: it is the same file, by all its names.
    expect(text(await old.read(100, { at: 0 }))).toBe('')
    await fresh.write('new')
    expect(text(await old.read(100, { at: 0 }))).toBe('new')
    expect(await mp.io.readFile('D:\\other name', { encoding: 'utf8' })).toBe('new')
  })

  it('is seen by the driver: the old content has gone while the opener still waits', async () => {
    const mp = await attached()
    await mp.io.writeFile('D:\\old', 'the old content')
    const reader = await mp.io.open('D:\\old')
    await using gate = await mp.gate({ on: ['create'], path: '\\old' })
    let opened = false
    const opening = replace(mp, 'D:\\old').then((file) => {
      opened = true
      return file
    })
    const held = await gate.next(PATIENCE)
    // FILE_SUPERSEDED is 0, FILE_OPENED 1.
    expect(held).toMatchObject({ operation: 'create', status: { name: 'STATUS_SUCCESS' }, information: 0n })
    expect(text(await reader.read(100, { at: 0 }))).toBe('')
    expect(opened).toBe(false)
    await held.release()
    expect((await opening).openedAs).toBe('superseded')
    const counters = await settled(mp)
    expect(counters.byOperation.create).toMatchObject({ pended: 1n, completed: 1n })
    expectBalance(counters)
  })

  it('is refused for what may not be replaced, which stays as it is', async () => {
    const mp = await attached()
    await mp.io.mkdir('D:\\dir')
    await expect(replace(mp, 'D:\\dir')).rejects.toMatchObject({
      ntstatus: { name: 'STATUS_OBJECT_NAME_COLLISION' },
      operation: 'io.open',
    })
    await mp.io.writeFile('D:\\file', 'content')
    const file = await mp.io.open('D:\\file', { access: ['read', 'write'], share: ['read'] })
    await expect(replace(mp, 'D:\\file')).rejects.toMatchObject({ code: 'ERROR_SHARING_VIOLATION' })
    await file.setAttributes(['readonly'])
    await file.close()
    await expect(replace(mp, 'D:\\file')).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    const readOnly = await mp.io.open('D:\\file', { access: ['read', 'writeAttributes'] })
    await readOnly.setAttributes(['hidden'])
    // A hidden file is replaced only by who says that it is hidden.
    await expect(replace(mp, 'D:\\file')).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    await readOnly.setAttributes(['normal'])
    const view = await readOnly.map({ length: 7 })
    await expect(replace(mp, 'D:\\file')).rejects.toMatchObject({ ntstatus: { name: 'STATUS_USER_MAPPED_FILE' } })
    await view.close()
    expect(text(await readOnly.read(100, { at: 0 }))).toBe('content')
    await readOnly.close()
    expect((await replace(mp, 'D:\\file')).openedAs).toBe('superseded')
  })
})

describe("opening in the middle of an oplock's break", () => {
  const open = (mp: Minipend, options: 'completeIfOplocked'[], overlapped = false): Promise<File> =>
    mp.io.open('D:\\oplocked', {
      nt: {
        access: ['readData', 'synchronize'],
        options: [...options, ...(overlapped ? [] : (['synchronousIoNonalert'] as const))],
      },
    })

  async function owned(): Promise<{ mp: Minipend; owner: File }> {
    const mp = await attached()
    await mp.io.writeFile('D:\\oplocked', 'content')
    return { mp, owner: await mp.io.open('D:\\oplocked', { access: 'readwrite', overlapped: true }) }
  }

  it('is told to the driver as a success of its own, which it may hold', async () => {
    const { mp, owner } = await owned()
    const oplock = await owner.oplock('rwh')
    await using gate = await mp.gate({ on: ['create'], path: '\\oplocked' })
    const opening = open(mp, ['completeIfOplocked'])
    const held = await gate.next(PATIENCE)
    expect(held.status).toMatchObject({ name: 'STATUS_OPLOCK_BREAK_IN_PROGRESS', value: 0x108 })
    expect(await oplock.broken).toMatchObject({ level: 'rh', acknowledgeRequired: true })
    await held.release()
    const breaker = await opening
    expect(breaker.openedAs).toBe('oplockBreak')
    const kept = await oplock.acknowledge()
    expect(kept?.level).toBe('rh')
    expect(text(await breaker.read(7, { at: 0 }))).toBe('content')
    // Nobody writes: what was kept has not been broken, and another reader finds nothing to break.
    await gate.close()
    expect((await open(mp, ['completeIfOplocked'])).openedAs).toBe('opened')
    const counters = await settled(mp)
    expect(counters.byOperation.create.pended).toBe(1n)
    expectBalance(counters)
  })

  it('is asked for: who does not is below the driver until the owner has answered', async () => {
    const { mp, owner } = await owned()
    const oplock = await owner.oplock('batch')
    await using gate = await mp.gate({ on: ['create'], path: '\\oplocked' })
    const opening = open(mp, [])
    await oplock.broken
    expect((await mp.counters()).byOperation.create.pended).toBe(0n)
    await oplock.acknowledge({ as: 'none' })
    const held = await gate.next(PATIENCE)
    expect(held.status.name).toBe('STATUS_SUCCESS')
    await held.release()
    expect((await opening).openedAs).toBe('opened')
  })

  it('leaves waits that the owner ends by closing, and the waiter by its signal', async () => {
    const { mp, owner } = await owned()
    const oplock = await owner.oplock('level1')
    const breaker = await open(mp, ['completeIfOplocked'], true)
    expect(breaker.openedAs).toBe('oplockBreak')
    await oplock.broken
    const controller = new AbortController()
    const aborted = breaker.read(7, { at: 0, signal: controller.signal })
    const waiting = breaker.read(7, { at: 0 })
    controller.abort()
    await expect(aborted).rejects.toBeInstanceOf(AbortedError)
    await expect(aborted).rejects.toMatchObject({ stillHeld: false })
    let read = false
    const reading = waiting.then((bytes) => {
      read = true
      return text(bytes)
    })
    expect(await owner.write('C', { at: 0 })).toBe(1)
    expect(read).toBe(false)
    await owner.close()
    expect(await reading).toBe('Content')
  })
})

describe('dismounting', () => {
  it('gives back what the driver holds', async () => {
    const mp = await attached()
    await mp.io.writeFile('D:\\kept', 'content')
    const file = await mp.io.open('D:\\kept', { overlapped: true })
    const volume = await mp.io.openVolume('D:')
    await mp.rules.set([{ on: ['read'], action: pend({ delayMs: mp.hello.limits.maxDelayMs }) }])
    const reading = [0, 1, 2].map((at) => file.read(1, { at }))
    await heldBy(mp, 3n)
    await volume.dismountVolume()
    expect((await Promise.all(reading)).map(text)).toEqual(['c', 'o', 'n'])
    const { held, byInstance, retired } = await settled(mp)
    expect([held, byInstance]).toEqual([0n, []])
    expect(retired.byOperation.read).toMatchObject({ pended: 3n, completed: 3n })
  })

  it('loses nothing that was written, and the driver may come back to the volume', async () => {
    const mp = await attached()
    const file = await mp.io.open('D:\\cached', { access: 'readwrite', create: 'create' })
    await file.write('not flushed')
    await (await mp.io.openVolume('D:')).dismountVolume()
    await expect(file.write('late')).rejects.toMatchObject({
      code: 'ERROR_NOT_READY',
      ntstatus: { name: 'STATUS_VOLUME_DISMOUNTED' },
      operation: 'File.write',
    })
    await file.close()
    expect(await mp.io.readFile('D:\\cached', { encoding: 'utf8' })).toBe('not flushed')
    await mp.rules.set([{ on: ['read'], action: pend() }])
    expect(await mp.io.readFile('D:\\cached', { encoding: 'utf8' })).toBe('not flushed')
    expect((await settled(mp)).byOperation.read.pended).toBe(0n)
    await mp.attach('D:')
    expect(await mp.io.readFile('D:\\cached', { encoding: 'utf8' })).toBe('not flushed')
    const counters = await settled(mp)
    expect(counters.byInstance.map(({ drive }) => drive)).toEqual(['D:'])
    expect(counters.byOperation.read.pended).toBeGreaterThanOrEqual(1n)
    expectBalance(counters)
  })

  it('is refused for the boot volume and by the handle of a file; no instance goes', async () => {
    const mp = await attached('C:')
    await mp.attach('D:')
    await expect((await mp.io.openVolume('C:')).dismountVolume()).rejects.toMatchObject({
      code: 'ERROR_ACCESS_DENIED',
      operation: 'File.dismountVolume',
    })
    await mp.io.writeFile('D:\\file', 'content')
    const file = await mp.io.open('D:\\file')
    await expect(file.dismountVolume()).rejects.toMatchObject({
      code: 'ERROR_INVALID_PARAMETER',
      ntstatus: { name: 'STATUS_INVALID_PARAMETER' },
    })
    expect(text(await file.read(100))).toBe('content')
    expect((await mp.counters()).byInstance.map(({ drive }) => drive).sort()).toEqual(['C:', 'D:'])
  })

  it('leaves a volume locked that was, until its handle unlocks it', async () => {
    const mp = await attached()
    const volume = await mp.io.openVolume('D:')
    const lock = await volume.lockVolume()
    await volume.dismountVolume()
    expect((await settled(mp)).byInstance).toEqual([])
    await expect(mp.io.open('D:\\')).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    await lock.unlock()
    expect(await mp.io.list('D:\\')).toEqual([])
  })
})
