// SPDX-License-Identifier: MIT
//
// This module provides: tests of calls that few programs make (quota, valid data, dismount, supersede, opening in the middle of an oplock's break),
// each seen by the driver.

import { describe, expect, it } from 'vitest'
import { ADMINISTRATORS, quotaEntry } from './quota.js'
import { pended, pending, settled, world } from './world.js'

describe('quota', () => {
  it('is set, read back whole, and removed; each change is pended', async () => {
    const mp = await pending('setQuota')
    const volume = await mp.io.openVolume('D:')
    expect(await volume.quota()).toHaveLength(0)
    await volume.setQuota(quotaEntry({ sid: ADMINISTRATORS, threshold: 100n, limit: 200n }))
    expect(await volume.quota({ startSid: ADMINISTRATORS })).toEqual(await volume.quota())
    const found = await volume.quota()
    const view = new DataView(found.buffer, found.byteOffset, found.byteLength)
    expect([view.getBigInt64(24, true), view.getBigInt64(32, true)]).toEqual([100n, 200n])
    expect(found.slice(40)).toEqual(ADMINISTRATORS)
    await expect(
      volume.setQuota(quotaEntry({ sid: ADMINISTRATORS, threshold: 100n, limit: 200n }).slice(0, 40)),
    ).rejects.toMatchObject({
      ntstatus: { name: 'STATUS_QUOTA_LIST_INCONSISTENT' },
      operation: 'File.setQuota',
    })
    await volume.setQuota(quotaEntry({ sid: ADMINISTRATORS, threshold: 0n, limit: -2n }))
    expect(await volume.quota()).toHaveLength(0)
    // With the one that was refused.
    expect(await pended(mp, 'setQuota')).toBe(3n)
  })

  it('is nothing that FAT knows', async () => {
    const mp = await world()
    const volume = await mp.io.openVolume('E:')
    await expect(volume.setQuota(quotaEntry({ sid: ADMINISTRATORS, threshold: 1n, limit: 2n }))).rejects.toMatchObject({
      ntstatus: { name: 'STATUS_INVALID_DEVICE_REQUEST' },
    })
  })
})

describe('valid data', () => {
  it('goes forward to the end of the file, never back or beyond', async () => {
    const mp = await pending('setInformation')
    const file = await mp.io.open('D:\\valid', { access: 'readwrite', create: 'create' })
    await file.truncate(100)
    await file.setValidDataLength(50)
    await expect(file.setValidDataLength(20)).rejects.toMatchObject({ code: 'ERROR_INVALID_PARAMETER' })
    await expect(file.setValidDataLength(101)).rejects.toMatchObject({ code: 'ERROR_INVALID_PARAMETER' })
    expect((await file.stat()).size).toBe(100n)
    expect(await pended(mp, 'setInformation')).toBeGreaterThanOrEqual(1n)
  })
})

describe('a reparse point', () => {
  it('is removed, and the directory is itself again', async () => {
    const mp = await pending('fsControl')
    await mp.io.mkdir('D:\\real')
    await mp.io.writeFile('D:\\real\\a', 'behind')
    await mp.io.junction('D:\\real', 'D:\\junction')
    expect(await mp.io.exists('D:\\junction\\a')).toBe(true)
    const before = await pended(mp, 'fsControl')
    const link = await mp.io.open('D:\\junction', {
      nt: {
        access: ['writeData', 'readAttributes', 'synchronize'],
        options: ['openReparsePoint', 'synchronousIoNonalert'],
      },
    })
    await link.removeReparsePoint()
    await expect(link.removeReparsePoint()).rejects.toMatchObject({ ntstatus: { name: 'STATUS_NOT_A_REPARSE_POINT' } })
    await link.close()
    expect(await mp.io.exists('D:\\junction\\a')).toBe(false)
    expect(await mp.io.readLink('D:\\junction')).toBeUndefined()
    expect(await pended(mp, 'fsControl')).toBeGreaterThan(before)
  })
})

describe('superseding', () => {
  it('leaves a new file with the name of the old one', async () => {
    const mp = await pending('create')
    await mp.io.writeFile('D:\\old', 'the old content')
    await mp.io.writeFile('D:\\old:stream', 'goes too')
    const before = await pended(mp, 'create')
    const file = await mp.io.open('D:\\old', {
      nt: { disposition: 'supersede', access: ['readData', 'writeData', 'readAttributes', 'delete', 'synchronize'] },
    })
    expect(file.openedAs).toBe('superseded')
    expect((await file.stat()).size).toBe(0n)
    expect((await file.streams()).map(({ name }) => name)).toEqual(['::$DATA'])
    const fresh = await mp.io.open('D:\\fresh', {
      nt: { disposition: 'supersede', access: ['writeData', 'synchronize'] },
    })
    expect(fresh.openedAs).toBe('created')
    expect(await pended(mp, 'create')).toBeGreaterThanOrEqual(before + 2n)
  })
})

describe("opening in the middle of an oplock's break", () => {
  it('does not wait for the owner, but what needs the oplock gone does', async () => {
    const mp = await pending('create')
    await mp.io.writeFile('D:\\oplocked', 'content')
    const owner = await mp.io.open('D:\\oplocked', { access: 'readwrite', overlapped: true })
    const oplock = await owner.oplock('batch')
    const before = await pended(mp, 'create')
    const breaker = await mp.io.open('D:\\oplocked', {
      nt: { access: ['readData', 'synchronize'], options: ['completeIfOplocked', 'synchronousIoNonalert'] },
    })
    expect(breaker.openedAs).toBe('oplockBreak')
    expect(await pended(mp, 'create')).toBe(before + 1n)
    expect(await oplock.broken).toMatchObject({ level: 'level2', acknowledgeRequired: true })
    let read = false
    const reading = breaker.read(7, { at: 0 }).then((bytes) => {
      read = true
      return Buffer.from(bytes).toString()
    })
    expect(await owner.write('C', { at: 0 })).toBe(1)
    expect(read).toBe(false)
    await oplock.acknowledge()
    expect(await reading).toBe('Content')
  })
})

describe('dismounting', () => {
  it('takes the instance and every handle with it; the next open mounts the volume again', async () => {
    const mp = await pending('read')
    await mp.io.writeFile('D:\\kept', 'content')
    const file = await mp.io.open('D:\\kept')
    const volume = await mp.io.openVolume('D:')
    expect(await file.read(1, { at: 0 })).toHaveLength(1)
    const before = await pended(mp, 'read')
    await volume.dismountVolume()
    await expect(file.read(1, { at: 0 })).rejects.toMatchObject({ ntstatus: { name: 'STATUS_VOLUME_DISMOUNTED' } })
    await expect(volume.dismountVolume()).rejects.toMatchObject({ ntstatus: { name: 'STATUS_VOLUME_DISMOUNTED' } })
    expect(await mp.io.readFile('D:\\kept', { encoding: 'utf8' })).toBe('content')
    expect(before).toBe(1n)
    const { byInstance, retired } = await settled(mp)
    expect(byInstance).toEqual([])
    expect(retired.byOperation.read.pended).toBe(1n)
  })
})
