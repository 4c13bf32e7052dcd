// SPDX-License-Identifier: MIT
//
// This module provides: tests of files' names, metadata and directories through io, on the model.

import { describe, expect, it } from 'vitest'
import { InvalidOptionError, type DirectoryClass } from '../../src/index.js'
import { world } from './world.js'

describe('opening', () => {
  it("the way of NtCreateFile says what it did, and takes that call's own parameters", async () => {
    const mp = await world()
    const created = await mp.io.open('D:\\nt.txt', {
      nt: {
        access: ['readData', 'writeData', 'readAttributes', 'delete', 'synchronize'],
        disposition: 'openIf',
        options: ['synchronousIoNonalert', 'nonDirectoryFile'],
        attributes: ['archive'],
        allocationSize: 8192,
      },
    })
    expect(created.openedAs).toBe('created')
    expect(await created.write('hello')).toBe(5)
    expect(await created.position()).toBe(5n)
    await created.seek(1)
    expect(Buffer.from(await created.read(10)).toString()).toBe('ello')
    expect((await created.stat()).allocationSize).toBeGreaterThanOrEqual(5n)
    await created.close()

    const opened = await mp.io.open('D:\\nt.txt', { nt: {} })
    expect(opened.openedAs).toBe('opened')
    const overlapped = await mp.io.open('D:\\nt.txt', { nt: { access: ['readData'], options: [] } })
    await expect(overlapped.read(1)).rejects.toThrow(/an overlapped handle has no position/)
    expect(await overlapped.read(1, { at: 0 })).toHaveLength(1)
    const over = await mp.io.open('D:\\nt.txt', {
      nt: { disposition: 'overwriteIf', access: ['writeData', 'synchronize'] },
    })
    expect(over.openedAs).toBe('overwritten')
  })

  it('relative to a directory, and by its number', async () => {
    const mp = await world()
    await mp.io.mkdir('D:\\root\\sub', { recursive: true })
    await mp.io.writeFile('D:\\root\\sub\\a', 'content')
    const directory = await mp.io.open('D:\\root', { directory: true })
    const relative = await mp.io.open('sub\\a', { nt: { rootDirectory: directory } })
    expect(relative.path).toBe('D:\\root\\sub\\a')
    expect(Buffer.from(await relative.read(10)).toString()).toBe('content')
    expect(await relative.fileId()).toBe((await mp.io.statByName('D:\\root\\sub\\a')).fileId)
  })

  it('fails with the names of both worlds', async () => {
    const mp = await world()
    await expect(mp.io.open('D:\\nothing', { nt: {} })).rejects.toMatchObject({
      code: 'ERROR_FILE_NOT_FOUND',
      ntstatus: { name: 'STATUS_OBJECT_NAME_NOT_FOUND' },
      operation: 'io.open',
    })
    await mp.io.mkdir('D:\\dir')
    await expect(
      mp.io.open('D:\\dir', { nt: { options: ['nonDirectoryFile', 'synchronousIoNonalert'] } }),
    ).rejects.toMatchObject({ ntstatus: { name: 'STATUS_FILE_IS_A_DIRECTORY' } })
    await expect(mp.io.open('D:\\dir', { nt: { disposition: 'create' } })).rejects.toMatchObject({
      ntstatus: { name: 'STATUS_OBJECT_NAME_COLLISION' },
    })
    await expect(mp.io.open('dir', { nt: {} })).rejects.toBeInstanceOf(InvalidOptionError)
  })

  it('with flags: delete on close, attributes, long paths', async () => {
    const mp = await world()
    const temporary = await mp.io.open('D:\\temporary', {
      access: ['read', 'write', 'delete'],
      create: 'create',
      deleteOnClose: true,
      attributes: ['hidden', 'temporary'],
    })
    expect((await temporary.stat()).attributes & 0x102).toBe(0x102)
    await temporary.close()
    expect(await mp.io.exists('D:\\temporary')).toBe(false)
    const deep = `D:\\${Array.from({ length: 8 }, (_, depth) => `${depth}${'é'.repeat(60)}`).join('\\')}`
    expect(deep.length).toBeGreaterThan(400)
    await mp.io.mkdir(deep, { recursive: true })
    await mp.io.writeFile(`${deep}\\a.txt`, 'deep')
    expect(await mp.io.readFile(`\\\\?\\${deep}\\a.txt`, { encoding: 'utf8' })).toBe('deep')
    expect((await mp.io.attributes(`${deep}\\a.txt`)).directory).toBe(false)
  })
})

describe('metadata', () => {
  it('is asked by name without a handle', async () => {
    const mp = await world()
    await mp.io.writeFile('D:\\named', 'hello')
    expect(await mp.io.attributes('D:\\named')).toMatchObject({ directory: false })
    expect(await mp.io.fullAttributes('D:\\named')).toMatchObject({ size: 5n, directory: false })
    expect(await mp.io.statByName('D:\\named')).toMatchObject({ size: 5n, links: 1, reparseTag: 0 })
    expect(await mp.io.attributes('D:\\')).toMatchObject({ directory: true })
    for (const ask of ['attributes', 'fullAttributes', 'statByName'] as const) {
      await expect(mp.io[ask]('D:\\nothing')).rejects.toMatchObject({
        code: 'ERROR_FILE_NOT_FOUND',
        operation: `io.${ask}`,
      })
    }
  })

  it('is set: times, attributes, sizes', async () => {
    const mp = await world()
    const file = await mp.io.open('D:\\set', { access: 'readwrite', create: 'create' })
    await file.write(new Uint8Array(10_000))
    const createdAt = new Date('2001-02-03T04:05:06.789Z')
    await file.setTimes({ createdAt, modifiedAt: 125_911_584_000_000_000n })
    await file.setAttributes(['readonly', 'hidden'])
    const found = await file.stat()
    expect(found).toMatchObject({ createdAt, modifiedAt: new Date('2000-01-01T00:00:00Z'), size: 10_000n })
    expect(found.attributes).toBe(3)
    await file.setAttributes([])
    expect((await file.stat()).attributes).toBe(0x80)
    await file.setAllocationSize(4096)
    expect((await file.stat()).size).toBe(4096n)
    await file.setAllocationSize(1_000_000)
    expect((await file.stat()).size).toBe(4096n)
    await expect(file.setTimes({ createdAt: new Date(NaN) })).rejects.toThrow(/createdAt: expected a valid Date/)
    await expect(file.setAttributes(['readOnly' as 'readonly'])).rejects.toThrow(
      /attributes: expected one of "readonly"/,
    )
  })

  it('of a volume', async () => {
    const mp = await world()
    const root = await mp.io.open('D:\\', { directory: true })
    const volume = await root.volume()
    expect(volume.fileSystem).toBe('NTFS')
    expect(volume.totalBytes).toBeGreaterThanOrEqual(volume.availableBytes)
    expect(volume.bytesPerCluster % volume.bytesPerSector).toBe(0)
    await expect(root.setVolumeLabel('Däta')).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    const whole = await mp.io.openVolume('D:')
    await whole.setVolumeLabel('Däta')
    expect((await root.volume()).label).toBe('Däta')
  })
})

describe('a directory', () => {
  it.each(['directory', 'full', 'both', 'names', 'idFull', 'idBoth', 'idExtended'] as const)(
    'is listed in class %s, by pattern, in small pieces',
    async (asked: DirectoryClass) => {
      const mp = await world()
      await mp.io.mkdir('D:\\listed')
      for (let index = 0; index < 30; index++) {
        await mp.io.writeFile(`D:\\listed\\file ${index}.${index % 2 === 0 ? 'txt' : 'log'}`, 'x'.repeat(index))
      }
      const directory = await mp.io.open('D:\\listed', { directory: true })
      const items = []
      for await (const item of directory.entries({ class: asked, pattern: '*.txt', bufferBytes: 512 })) {
        items.push(item)
      }
      expect(items.map(({ name }) => name).sort()).toEqual(
        Array.from({ length: 15 }, (_, index) => `file ${2 * index}.txt`).sort(),
      )
      const twenty = items.find(({ name }) => name === 'file 20.txt')
      expect(twenty?.size).toBe(asked === 'names' ? undefined : 20n)
      const id = (await mp.io.statByName('D:\\listed\\file 20.txt')).fileId
      if (twenty?.fileId !== undefined) {
        expect(twenty.fileId).toBe(id)
      }
    },
  )

  it('without a match is empty; its entries come one by one when that is asked for', async () => {
    const mp = await world()
    await mp.io.mkdir('D:\\two')
    await mp.io.writeFile('D:\\two\\a', '')
    await mp.io.writeFile('D:\\two\\b', '')
    const directory = await mp.io.open('D:\\two', { directory: true })
    for await (const item of directory.entries({ pattern: 'c*' })) {
      expect.fail(`there is ${item.name}`)
    }
    const fresh = await mp.io.open('D:\\two', { directory: true })
    const names = []
    for await (const { name } of fresh.entries({ single: true, class: 'names' })) {
      names.push(name)
    }
    expect(names.filter((name) => !name.startsWith('.'))).toEqual(['a', 'b'])
    expect(() => fresh.entries({ bufferBytes: 1 })).toThrow(/bufferBytes: expected an integer from 256 to 1048576/)
  })
})

describe('names', () => {
  it('are linked, and a file has as many as links', async () => {
    const mp = await world()
    await mp.io.writeFile('D:\\one', 'content')
    await mp.io.link('D:\\one', 'D:\\two')
    expect((await mp.io.stat('D:\\one')).links).toBe(2)
    await expect(mp.io.link('D:\\one', 'D:\\two')).rejects.toMatchObject({ code: 'ERROR_ALREADY_EXISTS' })
    await mp.io.writeFile('D:\\three', 'other')
    await mp.io.link('D:\\one', 'three', { replace: true })
    await mp.io.delete('D:\\one')
    expect(await mp.io.readFile('D:\\three', { encoding: 'utf8' })).toBe('content')
  })

  it('that are POSIX go at once, although the file is open', async () => {
    const mp = await world()
    await mp.io.writeFile('D:\\open', 'content')
    const reader = await mp.io.open('D:\\open')
    await mp.io.delete('D:\\open', { posix: true })
    expect(await mp.io.exists('D:\\open')).toBe(false)
    expect(await reader.read(3)).toHaveLength(3)
    await mp.io.writeFile('D:\\a', 'a')
    await mp.io.writeFile('D:\\b', 'b')
    const b = await mp.io.open('D:\\b')
    await mp.io.rename('D:\\a', 'D:\\b', { replace: true, posix: true })
    expect(Buffer.from(await b.read(1)).toString()).toBe('b')
    expect(await mp.io.readFile('D:\\b', { encoding: 'utf8' })).toBe('a')
  })

  it('that are being deleted come back', async () => {
    const mp = await world()
    const file = await mp.io.open('D:\\back', { access: ['write', 'delete'], create: 'create' })
    await file.delete()
    await file.undelete()
    await file.close()
    expect(await mp.io.exists('D:\\back')).toBe(true)
  })
})

describe('links', () => {
  it('lead where they say: symbolic ones and junctions', async () => {
    const mp = await world()
    await mp.io.mkdir('D:\\real\\sub', { recursive: true })
    await mp.io.writeFile('D:\\real\\sub\\a', 'content')
    await mp.io.junction('D:\\real', 'D:\\junction')
    expect(await mp.io.readFile('D:\\junction\\sub\\a', { encoding: 'utf8' })).toBe('content')
    expect(await mp.io.readLink('D:\\junction')).toMatchObject({
      kind: 'junction',
      tag: 0xa0000003,
      target: '\\??\\D:\\real',
      printName: 'D:\\real',
    })
    await mp.io.symlink('real\\sub\\a', 'D:\\symlink')
    expect(await mp.io.readLink('D:\\symlink')).toMatchObject({
      kind: 'symlink',
      target: 'real\\sub\\a',
      relative: true,
    })
    expect(await mp.io.readFile('D:\\symlink', { encoding: 'utf8' })).toBe('content')
    await mp.io.symlink('D:\\real', 'D:\\directory link', { directory: true })
    expect(await mp.io.readFile('D:\\directory link\\sub\\a', { encoding: 'utf8' })).toBe('content')
    await mp.io.delete('D:\\symlink')
    expect(await mp.io.exists('D:\\real\\sub\\a')).toBe(true)
    expect(await mp.io.readLink('D:\\real')).toBeUndefined()
    await expect(mp.io.junction('real', 'D:\\bad')).rejects.toThrow(/a junction leads to a full path/)
    expect(await mp.io.exists('D:\\bad')).toBe(false)
  })
})

describe('streams and extended attributes', () => {
  it('streams are opened by name and listed', async () => {
    const mp = await world()
    await mp.io.writeFile('D:\\streams', 'main')
    await mp.io.writeFile('D:\\streams:second', 'longer than main')
    const file = await mp.io.open('D:\\streams')
    expect((await file.streams()).map(({ name, size }) => [name, size])).toEqual([
      ['::$DATA', 4n],
      [':second:$DATA', 16n],
    ])
    expect(await mp.io.readFile('D:\\streams:second', { encoding: 'utf8' })).toBe('longer than main')
  })

  it('attributes are set, read by name, and removed', async () => {
    const mp = await world()
    const file = await mp.io.open('D:\\attributed', { access: 'readwrite', create: 'create' })
    expect(await file.eas()).toEqual([])
    await file.setEas([
      { name: 'FIRST', value: Uint8Array.of(1, 2, 3) },
      { name: 'SECOND', value: new Uint8Array(300).fill(7) },
    ])
    expect(await file.eas()).toEqual([
      { name: 'FIRST', value: Uint8Array.of(1, 2, 3), needed: false },
      { name: 'SECOND', value: new Uint8Array(300).fill(7), needed: false },
    ])
    expect(await file.eas({ names: ['second'] })).toMatchObject([{ name: 'SECOND' }])
    await file.setEas([{ name: 'FIRST', value: new Uint8Array(0) }])
    expect((await file.eas()).map(({ name }) => name)).toEqual(['SECOND'])
    await expect(file.setEas([{ name: 'a*b', value: new Uint8Array(1) }])).rejects.toThrow(
      /attributes\[0\]\.name: expected ASCII without any of/,
    )
  })

  it('a security descriptor goes out and in as it is', async () => {
    const mp = await world()
    const file = await mp.io.open('D:\\secured', { access: ['read', 'readControl', 'writeDac'], create: 'openAlways' })
    const descriptor = await file.security({ parts: ['owner', 'dacl'] })
    expect(descriptor[0]).toBe(1)
    await file.setSecurity(descriptor)
    expect(await file.security({ parts: ['owner', 'dacl'] })).toEqual(descriptor)
  })
})

/** A program of one section of 512 bytes, "code", which is at 0x1000 in memory and at 0x200 in the file. */
function program(): Buffer {
  const bytes = Buffer.alloc(0x400)
  bytes.write('MZ', 0)
  bytes.writeUInt32LE(0x40, 60)
  bytes.write('PE', 0x40)
  bytes.writeUInt16LE(1, 0x46)
  bytes.writeUInt16LE(0xf0, 0x54)
  bytes.writeUInt16LE(0x20b, 0x58)
  bytes.writeUInt32LE(0x1000, 0x58 + 32)
  bytes.writeUInt32LE(0x2000, 0x58 + 56)
  bytes.writeUInt32LE(0x200, 0x58 + 60)
  bytes.writeUInt32LE(0x200, 0x148 + 8)
  bytes.writeUInt32LE(0x1000, 0x148 + 12)
  bytes.writeUInt32LE(0x200, 0x148 + 16)
  bytes.writeUInt32LE(0x200, 0x148 + 20)
  bytes.write('code', 0x200)
  return bytes
}

describe('images', () => {
  it('are laid out, and keep their file from being written, deleted and cut', async () => {
    const mp = await world()
    const path = 'D:\\program.exe'
    await mp.io.writeFile(path, program())
    const before = await mp.io.open(path, { access: 'readwrite', share: ['read', 'write', 'delete'] })
    const file = await mp.io.open(path, { share: ['read', 'write', 'delete'] })
    const view = await file.map({ length: 0x2000, image: true })
    expect(Buffer.from(await view.read(0x1000, 4)).toString()).toBe('code')
    expect(Buffer.from(await view.read(0, 2)).toString()).toBe('MZ')
    await expect(mp.io.open(path, { access: 'write' })).rejects.toMatchObject({ code: 'ERROR_SHARING_VIOLATION' })
    await expect(mp.io.win32.deleteFile(path)).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    await expect(before.truncate(1)).rejects.toMatchObject({ code: 'ERROR_USER_MAPPED_FILE' })
    await expect(view.flush()).rejects.toMatchObject({ code: 'ERROR_INVALID_ADDRESS' })
    await view.close()
    await before.truncate(1)
    await expect(file.map({ length: 1, image: true })).rejects.toMatchObject({ code: 'ERROR_BAD_EXE_FORMAT' })
    await expect(file.map({ length: 1, image: true, writable: true })).rejects.toBeInstanceOf(InvalidOptionError)
  })
})
