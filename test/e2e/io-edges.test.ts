// SPDX-License-Identifier: MIT
//
// This module provides: tests of the refusals and side effects of calls that few programs make, and of the driver holding them: quota, valid data,
// reparse points of other owners.

import { describe, expect, it } from 'vitest'
import { type File, InvalidOptionError, type Minipend, pend } from '../../src/index.js'
import { ADMINISTRATORS, GUESTS, type Quota, quotaEntry, USERS } from './quota.js'
import { pended, pending, settled, world } from './world.js'

/** A FILE_GET_QUOTA_INFORMATION list. */
function sidList(...sids: Uint8Array[]): Uint8Array {
  const bytes = sids.flatMap((sid, index) => {
    const entry = new Uint8Array(8 + sid.length)
    const view = new DataView(entry.buffer)
    view.setUint32(0, index + 1 < sids.length ? entry.length : 0, true)
    view.setUint32(4, sid.length, true)
    entry.set(sid, 8)
    return [...entry]
  })
  return Uint8Array.from(bytes)
}

/** What a query answered: the entries of the chain. */
function quotas(bytes: Uint8Array): (Quota & { readonly used: bigint })[] {
  const found = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0, next = bytes.length === 0 ? 0 : 1; next !== 0; at += next) {
    next = view.getUint32(at, true)
    found.push({
      sid: bytes.slice(at + 40, at + 40 + view.getUint32(at + 4, true)),
      used: view.getBigInt64(at + 16, true),
      threshold: view.getBigInt64(at + 24, true),
      limit: view.getBigInt64(at + 32, true),
    })
  }
  return found
}

describe('quota', () => {
  it('is asked for by owner, in the order of the list; who has none has no limit', async () => {
    const mp = await pending('queryQuota')
    const volume = await mp.io.openVolume('D:')
    await volume.setQuota(quotaEntry({ sid: ADMINISTRATORS, threshold: 1n, limit: 2n }))
    await volume.setQuota(quotaEntry({ sid: USERS, threshold: 3n, limit: -1n }))
    expect(quotas(await volume.quota({ sids: sidList(USERS, GUESTS) }))).toEqual([
      { sid: USERS, used: 0n, threshold: 3n, limit: -1n },
      { sid: GUESTS, used: 0n, threshold: -1n, limit: -1n },
    ])
    expect(quotas(await volume.quota()).map(({ limit }) => limit)).toEqual([2n, -1n])
    // Each query starts again, however little it had room for.
    for (let round = 0; round < 2; round++) {
      expect(quotas(await volume.quota({ outputBytes: 60 }))).toMatchObject([{ limit: 2n }])
    }
    await expect(volume.quota({ outputBytes: 20 })).rejects.toMatchObject({
      code: 'ERROR_INSUFFICIENT_BUFFER',
      ntstatus: { name: 'STATUS_BUFFER_TOO_SMALL' },
      operation: 'File.quota',
    })
    await expect(volume.quota({ sids: sidList(USERS).subarray(0, 16) })).rejects.toMatchObject({
      ntstatus: { name: 'STATUS_INVALID_SID' },
    })
    const { queryQuota, setQuota } = (await settled(mp)).byOperation
    expect([queryQuota.pended, setQuota.pended]).toEqual([6n, 0n])
  })

  it('counts what an owner has, who cannot be removed for as long', async () => {
    const mp = await pending('setQuota')
    const volume = await mp.io.openVolume('D:')
    const file = await mp.io.open('D:\\owned', { access: ['read', 'write', 'delete'], create: 'create' })
    await file.write(new Uint8Array(10_000))
    const { allocationSize } = await file.stat()
    await volume.setQuota(quotaEntry({ sid: ADMINISTRATORS, threshold: -1n, limit: -1n }))
    expect(quotas(await volume.quota())).toEqual([
      { sid: ADMINISTRATORS, used: allocationSize, threshold: -1n, limit: -1n },
    ])
    const remove = quotaEntry({ sid: ADMINISTRATORS, threshold: 0n, limit: -2n })
    await expect(volume.setQuota(remove)).rejects.toMatchObject({
      code: 'ERROR_ACCESS_DENIED',
      ntstatus: { name: 'STATUS_CANNOT_DELETE' },
    })
    await expect(volume.setQuota(quotaEntry({ sid: ADMINISTRATORS, threshold: 0n, limit: -3n }))).rejects.toMatchObject(
      { code: 'ERROR_INVALID_PARAMETER' },
    )
    await file.delete()
    await file.close()
    await volume.setQuota(remove)
    expect(await volume.quota()).toHaveLength(0)
    expect(await pended(mp, 'setQuota')).toBe(4n)
  })

  it('is set while the driver holds it, and stays so when the caller is told otherwise', async () => {
    const mp = await pending('flush')
    const volume = await mp.io.openVolume('D:')
    const other = await mp.io.openVolume('D:')
    await using gate = await mp.gate({ on: ['setQuota'] })
    const setting = volume.setQuota(quotaEntry({ sid: USERS, threshold: 5n, limit: 6n }))
    const refused = expect(setting).rejects.toMatchObject({ code: 'ERROR_DISK_FULL', operation: 'File.setQuota' })
    const held = await gate.next({ timeoutMs: 15_000 })
    expect(held).toMatchObject({ operation: 'setQuota', status: { name: 'STATUS_SUCCESS' } })
    expect(quotas(await other.quota())).toMatchObject([{ sid: USERS, limit: 6n }])
    await held.release({ status: 'STATUS_DISK_FULL' })
    await refused
    expect(quotas(await volume.quota())).toMatchObject([{ sid: USERS, limit: 6n }])
    expect(await pended(mp, 'setQuota')).toBe(1n)
  })
})

describe('valid data', () => {
  it.each(['D:', 'E:'])('leaves the content and the size alone, on %s', async (drive) => {
    const mp = await world()
    await mp.attach(drive)
    const file = await mp.io.open(`${drive}\\valid`, { access: 'readwrite', create: 'create' })
    await file.write('abc')
    await file.truncate(10)
    await mp.rules.set([{ on: ['setInformation'], action: pend() }])
    await file.setValidDataLength(8)
    expect((await file.stat()).size).toBe(10n)
    expect(Buffer.from(await file.read(20, { at: 0 })).toString()).toBe('abc\0\0\0\0\0\0\0')
    const { setInformation } = (await settled(mp)).byOperation
    // FAT completes it under its own TopLevelIrp.
    expect([setInformation.pended, setInformation.refused.topLevelIrp]).toEqual(drive === 'D:' ? [1n, 0n] : [0n, 1n])
  })

  it('is nothing that a directory, a mapped file or a reader can set', async () => {
    const mp = await world()
    await mp.io.mkdir('D:\\dir')
    const directory = await mp.io.open('D:\\dir', { access: ['write', 'readAttributes'], directory: true })
    await expect(directory.setValidDataLength(0)).rejects.toMatchObject({ code: 'ERROR_INVALID_PARAMETER' })
    const file = await mp.io.open('D:\\mapped', { access: 'readwrite', create: 'create' })
    await file.truncate(10)
    const view = await file.map({ length: 10, writable: true })
    await expect(file.setValidDataLength(10)).rejects.toMatchObject({
      code: 'ERROR_USER_MAPPED_FILE',
      ntstatus: { name: 'STATUS_USER_MAPPED_FILE' },
      operation: 'File.setValidDataLength',
    })
    await view.close()
    await file.setValidDataLength(10)
    const reader = await mp.io.open('D:\\mapped', { access: 'read' })
    await expect(reader.setValidDataLength(10)).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    await expect((async () => file.setValidDataLength(-1))()).rejects.toBeInstanceOf(InvalidOptionError)
  })
})

describe('a reparse point', () => {
  const openLink = (mp: Minipend, path: string, write = true): Promise<File> =>
    mp.io.open(path, {
      nt: {
        access: [...(write ? (['writeAttributes'] as const) : []), 'readAttributes', 'readData', 'synchronize'],
        options: ['openReparsePoint', 'synchronousIoNonalert'],
      },
    })

  it('of another owner names its owner, and goes as the others do', async () => {
    const mp = await pending('fsControl')
    await mp.io.writeFile('D:\\foreign', 'behind')
    const link = await openLink(mp, 'D:\\foreign')
    // REPARSE_GUID_DATA_BUFFER
    const guid = Uint8Array.from({ length: 16 }, (_, index) => index + 1)
    await link.setReparsePoint(Uint8Array.of(0xef, 0xbe, 0, 0, 4, 0, 0, 0, ...guid, 0xa, 0xb, 0xc, 0xd))
    await expect(mp.io.readFile('D:\\foreign')).rejects.toMatchObject({
      ntstatus: { name: 'STATUS_IO_REPARSE_TAG_NOT_HANDLED' },
    })
    expect(await link.reparsePoint()).toEqual({
      kind: 'other',
      tag: 0xbeef,
      target: undefined,
      printName: undefined,
      relative: false,
      data: Uint8Array.of(...guid, 0xa, 0xb, 0xc, 0xd),
    })
    await link.removeReparsePoint()
    expect(await link.reparsePoint()).toBeUndefined()
    expect(await mp.io.readFile('D:\\foreign', { encoding: 'utf8' })).toBe('behind')
    // Set, asked for, removed (which asks first), asked for.
    expect(await pended(mp, 'fsControl')).toBe(5n)
  })

  it('that is a link gives its file back, while the driver still holds the call', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.io.writeFile('D:\\target', 'where it leads')
    await mp.io.symlink('target', 'D:\\link')
    const link = await openLink(mp, 'D:\\link')
    expect(await mp.io.readFile('D:\\link', { encoding: 'utf8' })).toBe('where it leads')
    await using gate = await mp.gate({ on: ['fsControl'] })
    let removed = false
    const removing = link.removeReparsePoint().then(() => (removed = true))
    await (await gate.next({ timeoutMs: 15_000 })).release() // it asks for the tag first
    const held = await gate.next({ timeoutMs: 15_000 })
    expect(await mp.io.readFile('D:\\link', { encoding: 'utf8' })).toBe('')
    expect(removed).toBe(false)
    await held.release()
    await removing
    expect(await mp.io.readFile('D:\\target', { encoding: 'utf8' })).toBe('where it leads')
    expect(await pended(mp, 'fsControl')).toBe(2n)
  })

  it('stays where its handle may not write, and FAT has none', async () => {
    const mp = await world()
    await mp.io.symlink('target', 'D:\\link')
    const reader = await openLink(mp, 'D:\\link', false)
    await expect(reader.removeReparsePoint()).rejects.toMatchObject({
      code: 'ERROR_ACCESS_DENIED',
      operation: 'File.removeReparsePoint',
    })
    expect(await reader.reparsePoint()).toMatchObject({ kind: 'symlink', target: 'target' })
    await mp.io.writeFile('E:\\plain', '')
    const plain = await openLink(mp, 'E:\\plain')
    await expect(plain.removeReparsePoint()).rejects.toMatchObject({
      code: 'ERROR_INVALID_FUNCTION',
      ntstatus: { name: 'STATUS_INVALID_DEVICE_REQUEST' },
    })
  })
})
