// SPDX-License-Identifier: MIT
//
// This module provides: tests of what waits: locks, watches, oplocks, control calls, completion ports, on the model.

import { describe, expect, it } from 'vitest'
import {
  AbortedError,
  controlCode,
  type ControlCode,
  type File,
  FSCTL,
  IOCTL,
  type Minipend,
  NotSupportedError,
} from '../../src/index.js'
import { world } from './world.js'

const overlapped = (mp: Minipend, path: string): Promise<File> =>
  mp.io.open(path, { access: 'readwrite', create: 'openAlways', overlapped: true })

const UNKNOWN: ControlCode = { deviceType: 9, function: 0xffe, method: 'buffered', access: 'any' }

describe('byte-range locks', () => {
  it('keep others out until they are unlocked', async () => {
    const mp = await world()
    const mine = await overlapped(mp, 'D:\\locked')
    const other = await overlapped(mp, 'D:\\locked')
    await mine.write(new Uint8Array(100), { at: 0 })
    const lock = await mine.lock({ offset: 10, length: 20 })
    expect(lock).toMatchObject({ offset: 10n, length: 20n, exclusive: true, unlocked: false })
    await expect(other.lock({ offset: 29, length: 1, wait: false })).rejects.toMatchObject({
      code: 'ERROR_LOCK_VIOLATION',
      ntstatus: { name: 'STATUS_LOCK_NOT_GRANTED' },
      operation: 'File.lock',
    })
    await expect(other.read(5, { at: 12 })).rejects.toMatchObject({ code: 'ERROR_LOCK_VIOLATION' })
    await using beside = await other.lock({ offset: 30, length: 1, wait: false })
    expect(beside.length).toBe(1n)
    await lock.unlock()
    expect(lock.unlocked).toBe(true)
    await using shared = await other.lock({ offset: 0, length: 50, exclusive: false, wait: false })
    expect(shared.exclusive).toBe(false)
    expect(await mine.read(5, { at: 12 })).toHaveLength(5)
    await expect(mine.write('x', { at: 12 })).rejects.toMatchObject({ code: 'ERROR_LOCK_VIOLATION' })
  })

  it('that wait are granted when they can be, in their turn', async () => {
    const mp = await world()
    const mine = await overlapped(mp, 'D:\\waiting')
    const other = await overlapped(mp, 'D:\\waiting')
    const lock = await mine.lock({ offset: 0, length: 10 })
    let granted = false
    const waiting = other.lock({ offset: 5, length: 10 }).then((theirs) => {
      granted = true
      return theirs
    })
    expect(await mine.lock({ offset: 100, length: 1 })).toBeDefined()
    expect(granted).toBe(false)
    await lock.unlock()
    await (await waiting).unlock()
    await expect(mine.unlock({ offset: 0, length: 10 })).rejects.toMatchObject({ code: 'ERROR_NOT_LOCKED' })
  })

  it('stop waiting when they are aborted, and when their handle is closed', async () => {
    const mp = await world()
    const mine = await overlapped(mp, 'D:\\aborted')
    const other = await overlapped(mp, 'D:\\aborted')
    await mine.lock({ offset: 0, length: 10 })
    const controller = new AbortController()
    const waiting = other.lock({ offset: 0, length: 10, signal: controller.signal })
    controller.abort()
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError', stillHeld: false })
    const closing = other.lock({ offset: 0, length: 10 })
    const refused = expect(closing).rejects.toMatchObject({ code: 'ERROR_OPERATION_ABORTED' })
    await other.close()
    await refused
    await mine.close()
    const third = await overlapped(mp, 'D:\\aborted')
    await third.lock({ offset: 0, length: 10, wait: false })
  })
})

describe('a watch', () => {
  it('tells what happened since it started, and ends with its loop', async () => {
    const mp = await world()
    await mp.io.mkdir('D:\\watched\\sub', { recursive: true })
    const directory = await mp.io.open('D:\\watched', { directory: true, overlapped: true })
    const watch = directory.watch({ recursive: true, filter: ['fileName', 'directoryName'] })
    await watch.started
    await mp.io.writeFile('D:\\watched\\a.txt', 'a')
    await mp.io.rename('D:\\watched\\a.txt', 'D:\\watched\\b.txt')
    await mp.io.mkdir('D:\\watched\\sub\\deep')
    await mp.io.delete('D:\\watched\\b.txt')
    const seen: string[] = []
    for await (const change of watch) {
      seen.push(change.kind === 'overflow' ? 'overflow' : `${change.kind} ${change.name}`)
      if (seen.length === 5) {
        break
      }
    }
    expect(seen).toEqual(['added a.txt', 'renamedFrom a.txt', 'renamedTo b.txt', 'added sub\\deep', 'removed b.txt'])
    expect(await watch.next()).toEqual({ done: true, value: undefined })
    await directory.close()
  })

  it('says when there was more than its buffer took', async () => {
    const mp = await world()
    await mp.io.mkdir('D:\\full')
    const directory = await mp.io.open('D:\\full', { directory: true, overlapped: true })
    const watch = directory.watch({ filter: ['fileName'], bufferBytes: 32 })
    await watch.started
    for (let index = 0; index < 20; index++) {
      await mp.io.writeFile(`D:\\full\\file number ${index}`, '')
    }
    const kinds: string[] = []
    for await (const change of watch) {
      kinds.push(change.kind)
      if (change.kind === 'overflow') {
        break
      }
    }
    expect(kinds).toContain('overflow')
    await directory.close()
  })

  it('ends with an AbortedError by its signal, and with its handle', async () => {
    const mp = await world()
    const controller = new AbortController()
    const directory = await mp.io.open('D:\\', { directory: true, overlapped: true })
    const watch = directory.watch({ signal: controller.signal })
    await watch.started
    const next = watch.next()
    controller.abort()
    await expect(next).rejects.toBeInstanceOf(AbortedError)
    const second = directory.watch()
    await second.started
    const waiting = second.next()
    const refused = expect(waiting).rejects.toMatchObject({ code: 'ERROR_OPERATION_ABORTED' })
    await directory.close()
    await refused
  })
})

describe('an oplock', () => {
  it('is granted, breaks, and is acknowledged before the breaker goes on', async () => {
    const mp = await world()
    await mp.io.writeFile('D:\\oplocked', 'content')
    const owner = await overlapped(mp, 'D:\\oplocked')
    const oplock = await owner.oplock('rwh')
    let opened = false
    const breaker = mp.io.open('D:\\oplocked', { access: 'readwrite', create: 'truncate' }).then((file) => {
      opened = true
      return file
    })
    const broken = await oplock.broken
    expect(broken.acknowledgeRequired).toBe(true)
    expect(broken.level).not.toBe('rwh')
    expect(opened).toBe(false)
    await oplock.acknowledge()
    await (await breaker).close()
  })

  it('is refused while others have the file open, and on synchronous handles', async () => {
    const mp = await world()
    await mp.io.writeFile('D:\\shared', 'content')
    const owner = await overlapped(mp, 'D:\\shared')
    const other = await overlapped(mp, 'D:\\shared')
    await expect(owner.oplock('batch')).rejects.toMatchObject({
      code: 'ERROR_OPLOCK_NOT_GRANTED',
      ntstatus: { name: 'STATUS_OPLOCK_NOT_GRANTED' },
    })
    await other.close()
    const oplock = await owner.oplock('batch')
    await oplock.release()
    await expect(oplock.broken).rejects.toBeInstanceOf(AbortedError)
    const synchronous = await mp.io.open('D:\\shared')
    await expect(synchronous.oplock('level2')).rejects.toBeInstanceOf(NotSupportedError)
  })
})

describe('control calls', () => {
  it('carry their buffers both ways and say what the driver said', async () => {
    const mp = await world()
    const volume = await mp.io.openVolume('D:')
    const { output, status } = await volume.ioctl(IOCTL.DISK_GET_DRIVE_GEOMETRY, { outputBytes: 100 })
    expect(output).toHaveLength(24)
    expect(status.name).toBe('STATUS_SUCCESS')
    expect(new DataView(output.buffer).getUint32(20, true) % 512).toBe(0)
    await expect(volume.ioctl(IOCTL.DISK_GET_DRIVE_GEOMETRY, { outputBytes: 23 })).rejects.toMatchObject({
      operation: 'File.ioctl',
      code: 'ERROR_INSUFFICIENT_BUFFER',
    })
    expect((await volume.fsctl(FSCTL.IS_VOLUME_MOUNTED)).output).toHaveLength(0)
    await expect(volume.fsctl(controlCode(UNKNOWN))).rejects.toMatchObject({
      code: 'ERROR_INVALID_FUNCTION',
      ntstatus: { name: 'STATUS_INVALID_DEVICE_REQUEST' },
      hint: expect.stringContaining('check the code') as string,
    })
  })

  it('lock a volume against others until it is unlocked', async () => {
    const mp = await world()
    const volume = await mp.io.openVolume('E:')
    await mp.io.writeFile('E:\\before', '')
    const open = await mp.io.open('E:\\before')
    await expect(volume.lockVolume()).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    await open.close()
    const lock = await volume.lockVolume()
    await expect(mp.io.open('E:\\before')).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    await lock.unlock()
    expect(await mp.io.exists('E:\\before')).toBe(true)
  })
})

describe('a completion port', () => {
  it('gets a packet for each call of its files, and those that are posted', async () => {
    const mp = await world()
    await using port = await mp.io.completionPort()
    const file = await overlapped(mp, 'D:\\ported')
    await port.associate(file, { key: 7 })
    await file.write('hello', { at: 0 })
    await file.read(5, { at: 0 })
    await port.post({ key: 9n, value: 0x1234n, bytes: 3 })
    const packets = []
    while (packets.length < 3) {
      packets.push(...(await port.next()))
    }
    expect(packets).toMatchObject([
      { key: 7n, operation: 'File.write', path: 'D:\\ported', bytes: 5, status: { name: 'STATUS_SUCCESS' } },
      { key: 7n, operation: 'File.read', bytes: 5 },
      { key: 9n, operation: undefined, value: 0x1234n, bytes: 3 },
    ])
    expect(await port.next({ timeoutMs: 1 })).toEqual([])
  })

  it('gets none for a call that succeeds at once when that is asked for', async () => {
    const mp = await world()
    await using port = await mp.io.completionPort()
    const file = await overlapped(mp, 'D:\\skipped')
    await file.write('hello', { at: 0 })
    await port.associate(file, { skipOnSuccess: true })
    await file.read(5, { at: 0 })
    expect(await port.next({ timeoutMs: 1 })).toEqual([])
  })

  it('stops waiting when it is aborted or closed', async () => {
    const mp = await world()
    const port = await mp.io.completionPort()
    const controller = new AbortController()
    const waiting = port.next({ signal: controller.signal })
    controller.abort()
    await expect(waiting).rejects.toBeInstanceOf(AbortedError)
    await expect.poll(() => port.next({ timeoutMs: 1 }).catch(() => undefined)).toEqual([])
    const second = port.next()
    const refused = expect(second).rejects.toMatchObject({ code: 'ERROR_OPERATION_ABORTED' })
    await port.close()
    await refused
  })
})
