// SPDX-License-Identifier: MIT
//
// This module provides: tests of the structures that io writes and reads, byte by byte, and of paths.

import { describe, expect, it } from 'vitest'
import { controlCode, controlCodeParts, FSCTL, IOCTL } from '../../../src/index.js'
import { chain, entryOffsets, fileTimeOf, readDate, utf16 } from '../../../src/io/bytes.js'
import { decodeItems } from '../../../src/io/directory.js'
import { decodeEas, encodeEas } from '../../../src/io/ea.js'
import { decodeReparse, encodeLink, encodeReparse, reparseFor } from '../../../src/io/links.js'
import { decodeBreak } from '../../../src/io/oplock.js'
import { longPath, ntPath } from '../../../src/io/paths.js'
import { decodeChanges } from '../../../src/io/watch.js'
import { dosPattern } from '../../../src/io/win32-find.js'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('lists', () => {
  it('say where the next entry is, aligned, and end with 0', () => {
    const list = chain([new Uint8Array(9).fill(0xff), new Uint8Array(5).fill(0xee)], 4)
    expect(list).toHaveLength(17)
    expect([...entryOffsets(new DataView(list.buffer))]).toEqual([0, 12])
    expect(new DataView(list.buffer).getUint32(12, true)).toBe(0)
    expect(chain([], 4)).toHaveLength(0)
    expect([...entryOffsets(new DataView(new ArrayBuffer(0)))]).toEqual([])
  })
})

describe('times', () => {
  it('are 100 ns since 1601', () => {
    expect(fileTimeOf(new Date(0))).toBe(116_444_736_000_000_000n)
    const view = new DataView(new ArrayBuffer(8))
    view.setBigInt64(0, 0n, true)
    expect(readDate(view, 0).toISOString()).toBe('1601-01-01T00:00:00.000Z')
  })
})

describe('extended attributes', () => {
  it('are written as FILE_FULL_EA_INFORMATION', () => {
    const list = encodeEas('File.setEas', [
      { name: 'AB', value: Uint8Array.of(1, 2), needed: true },
      { name: 'C', value: Uint8Array.of(3) },
    ])
    // Next 16, flags 0x80, name 2, value 2, "AB\0", 1 2, then at 16: next 0, flags 0, name 1, value 1, "C\0", 3.
    expect(hex(list)).toBe(
      '10000000' +
        '80' +
        '02' +
        '0200' +
        '414200' +
        '0102' +
        '000000' +
        '00000000' +
        '00' +
        '01' +
        '0100' +
        '4300' +
        '03',
    )
    expect(decodeEas(list)).toEqual([
      { name: 'AB', value: Uint8Array.of(1, 2), needed: true },
      { name: 'C', value: Uint8Array.of(3), needed: false },
    ])
  })

  it.each([
    [{ name: '', value: new Uint8Array(1) }, 'attributes[0].name: expected a text of 1 to 254 characters'],
    [{ name: 'é', value: new Uint8Array(1) }, 'attributes[0].name: expected ASCII without any of'],
    [{ name: 'A', value: 'text' }, 'attributes[0].value: expected a Uint8Array, got "text"'],
    [{ name: 'A', value: new Uint8Array(65_536) }, 'attributes[0].value: expected at most 65535 bytes, got 65536'],
    [{ name: 'A', vaule: 1 }, 'attributes[0].vaule: unknown key; did you mean "value"?'],
  ])('refuse %j', (attribute, message) => {
    expect(() => encodeEas('File.setEas', [attribute])).toThrow(`File.setEas: ${message}`)
  })
})

describe('reparse points', () => {
  it('of a relative symbolic link', () => {
    const data = encodeReparse('symlink', 'ab', 'ab', true)
    expect(hex(data)).toBe(
      '0c0000a0' +
        '1800' +
        '0000' +
        '0000' +
        '0400' +
        '0600' +
        '0400' +
        '01000000' +
        '61006200' +
        '0000' +
        '61006200' +
        '0000',
    )
    expect(decodeReparse(data)).toMatchObject({ kind: 'symlink', target: 'ab', printName: 'ab', relative: true })
  })

  it('of a junction lead to an NT path', () => {
    expect(decodeReparse(reparseFor('io.junction', 'junction', 'D:/real/../other'))).toMatchObject({
      kind: 'junction',
      tag: 0xa0000003,
      target: '\\??\\D:\\other',
      printName: 'D:\\real\\..\\other',
      relative: false,
    })
    expect(() => reparseFor('io.junction', 'junction', 'other')).toThrow(/target: a junction leads to a full path/)
  })

  it('of others keep their data', () => {
    const data = Uint8Array.of(0x13, 0, 0, 0x80, 2, 0, 0, 0, 0xaa, 0xbb, 0xcc)
    expect(decodeReparse(data)).toMatchObject({ kind: 'other', tag: 0x80000013, data: Uint8Array.of(0xaa, 0xbb) })
  })

  it("of others than Microsoft have their owner's GUID before the data, which no length counts", () => {
    const guid = Array.from({ length: 16 }, (_, index) => index + 1)
    const data = Uint8Array.of(0x13, 0, 0, 0, 2, 0, 0, 0, ...guid, 0xaa, 0xbb, 0xcc)
    expect(decodeReparse(data)).toMatchObject({ kind: 'other', tag: 0x13, data: Uint8Array.of(...guid, 0xaa, 0xbb) })
  })

  it('links and renames have the name at 20', () => {
    const link = encodeLink('\\??\\D:\\b', 3)
    const view = new DataView(link.buffer)
    expect(view.getUint32(0, true)).toBe(3)
    expect(view.getUint32(16, true)).toBe(16)
    expect(Buffer.from(link.subarray(20, 36)).toString('utf16le')).toBe('\\??\\D:\\b')
    expect(encodeLink('', 0)).toHaveLength(24)
  })
})

describe('changes', () => {
  it('are read as FILE_NOTIFY_INFORMATION', () => {
    const entry = (action: number, name: string): Uint8Array => {
      const text = utf16(name)
      const bytes = new Uint8Array(12 + text.length)
      const view = new DataView(bytes.buffer)
      view.setUint32(4, action, true)
      view.setUint32(8, text.length, true)
      bytes.set(text, 12)
      return bytes
    }
    expect(decodeChanges(chain([entry(4, 'old'), entry(5, 'new.txt'), entry(99, 'x')], 4))).toEqual([
      { kind: 'renamedFrom', name: 'old' },
      { kind: 'renamedTo', name: 'new.txt' },
      { kind: 'other', name: 'x' },
    ])
  })
})

describe('patterns', () => {
  it.each([
    ['*', '*'],
    ['*.*', '*'],
    ['*.txt', '<.txt'],
    ['*.', '<'],
    ['a?.b', 'a>.b'],
    ['a.?', 'a">'],
    ['a.*', 'a"*'],
    ['*.*x', '<"*x'],
    ['*.*.*', '<"<"*'],
    ['plain.txt', 'plain.txt'],
  ])('%s is asked for as %s', (pattern, asked) => {
    expect(dosPattern(pattern)).toBe(asked)
  })
})

describe('directory entries', () => {
  it('have the name, the number and the short name where their class has them', () => {
    const name = utf16('long name.txt')
    const bytes = new Uint8Array(104 + name.length)
    const view = new DataView(bytes.buffer)
    view.setBigInt64(40, 5n, true)
    view.setUint32(56, 0x20, true)
    view.setUint32(60, name.length, true)
    view.setUint8(68, 12)
    bytes.set(utf16('LONGNA'), 70)
    view.setBigUint64(96, 77n, true)
    bytes.set(name, 104)
    expect(decodeItems(bytes, 'idBoth')).toMatchObject([
      { name: 'long name.txt', size: 5n, attributes: 0x20, directory: false, shortName: 'LONGNA', fileId: 77n },
    ])
  })
})

describe('oplock breaks', () => {
  const answer = (information: number, output = new Uint8Array(0)) => ({ status: 0, information, output })

  it('of classic oplocks are in the information', () => {
    expect(decodeBreak('batch', answer(7))).toMatchObject({ level: 'level2', acknowledgeRequired: true })
    expect(decodeBreak('level1', answer(8))).toMatchObject({ level: 'none', acknowledgeRequired: true })
    expect(decodeBreak('level2', answer(8))).toMatchObject({ level: 'none', acknowledgeRequired: false })
  })

  it('of others are in the output', () => {
    const output = new Uint8Array(24)
    const view = new DataView(output.buffer)
    view.setUint32(4, 7, true)
    view.setUint32(8, 3, true)
    view.setUint32(12, 1, true)
    expect(decodeBreak('rwh', answer(24, output))).toMatchObject({ level: 'rh', acknowledgeRequired: true })
    view.setUint32(8, 0, true)
    view.setUint32(12, 0, true)
    expect(decodeBreak('r', answer(24, output))).toMatchObject({ level: 'none', acknowledgeRequired: false })
  })
})

describe('paths', () => {
  it.each([
    ['D:\\a\\b', '\\??\\D:\\a\\b'],
    ['d:/a/./b/../c', '\\??\\d:\\a\\c'],
    ['D:\\', '\\??\\D:\\'],
    ['D:\\a\\', '\\??\\D:\\a\\'],
    ['\\\\?\\D:\\a/b\\..', '\\??\\D:\\a/b\\..'],
    ['\\\\.\\D:', '\\??\\D:'],
    ['\\\\server\\share\\a', '\\??\\UNC\\server\\share\\a'],
    ['\\??\\D:\\a', '\\??\\D:\\a'],
    ['\\Device\\HarddiskVolume2\\a', '\\Device\\HarddiskVolume2\\a'],
  ])('%s is %s', (path, expected) => {
    expect(ntPath('io.open', 'path', path)).toBe(expected)
  })

  it.each(['a', 'D:a', 'D:', ''])('%s is none', (path) => {
    expect(() => ntPath('io.open', 'path', path)).toThrow(/io\.open: path: expected a full path/)
  })

  it('that are long get their prefix', () => {
    const long = `D:/${'a'.repeat(250)}/../b`
    expect(longPath(long)).toBe('\\\\?\\D:\\b')
    expect(longPath('D:\\short')).toBe('D:\\short')
    expect(longPath(`\\\\?\\D:\\${'a'.repeat(300)}`)).toBe(`\\\\?\\D:\\${'a'.repeat(300)}`)
  })
})

describe('control codes', () => {
  it('are made of their parts', () => {
    expect(controlCode({ deviceType: 9, function: 6, method: 'buffered', access: 'any' })).toBe(FSCTL.LOCK_VOLUME)
    expect(controlCodeParts(FSCTL.SET_COMPRESSION)).toEqual({
      deviceType: 9,
      function: 16,
      method: 'buffered',
      access: 'readWrite',
    })
    for (const code of [...Object.values(FSCTL), ...Object.values(IOCTL)]) {
      expect(controlCode(controlCodeParts(code))).toBe(code)
    }
    expect(() => controlCode({ deviceType: 9, function: 0x1000, method: 'buffered', access: 'any' })).toThrow(
      /controlCode: function: expected an integer from 0 to 4095/,
    )
  })
})
