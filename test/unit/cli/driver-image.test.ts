// SPDX-License-Identifier: MIT

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { describeDriverImage } from '../../../src/cli/validate/driver-image.js'

const directory = mkdtempSync(path.join(tmpdir(), 'minipend-driver-image-'))
afterAll(() => rmSync(directory, { recursive: true }))

const PE = 0x80
const SECTION = PE + 24 + 240
const DEBUG_AT = 0x400
const RECORD_AT = 0x440

/** A 64-bit image with one section and a PDB record. */
function windowsImage({ rich = false, signed = false } = {}): Buffer {
  const image = Buffer.alloc(0x600)
  image.write('MZ')
  if (rich) image.write('Rich', 0x60)
  image.writeUInt32LE(PE, 0x3c)
  image.write('PE', PE)
  image.writeUInt16LE(0x8664, PE + 4)
  image.writeUInt16LE(1, PE + 6)
  image.writeUInt16LE(0x20b, PE + 24)
  image.writeUInt16LE(240, PE + 20)
  image.writeUInt8(14, PE + 26)
  image.writeUInt8(38, PE + 27)
  const directories = PE + 24 + 112
  image.writeUInt32LE(signed ? 0x580 : 0, directories + 4 * 8)
  image.writeUInt32LE(0x1000, directories + 6 * 8)
  image.writeUInt32LE(28, directories + 6 * 8 + 4)
  image.writeUInt32LE(0x1000, SECTION + 12)
  image.writeUInt32LE(0x200, SECTION + 16)
  image.writeUInt32LE(DEBUG_AT, SECTION + 20)
  image.writeUInt32LE(2, DEBUG_AT + 12)
  image.writeUInt32LE(RECORD_AT, DEBUG_AT + 24)
  image.write('RSDS', RECORD_AT)
  image.write('00112233445566778899aabbccddeeff', RECORD_AT + 4, 'hex')
  image.writeUInt32LE(3, RECORD_AT + 20)
  image.write('minipend.pdb', RECORD_AT + 24)
  return image
}

function described(content: Buffer): ReturnType<typeof describeDriverImage> {
  const file = path.join(directory, 'minipend.sys')
  writeFileSync(file, content)
  return describeDriverImage(file)
}

test('the host build says nothing about itself', () => {
  expect(described(Buffer.from('\x7fELF and so on'))).toEqual({
    ...{ file: 'minipend.sys', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string, kind: 'host build' },
    ...{ linker: null, signed: null, pdb: null },
  })
})

test('a Windows image says who linked it', () => {
  expect(described(windowsImage())).toMatchObject({ kind: 'cross build', linker: '14.38', signed: false })
  expect(described(windowsImage({ rich: true, signed: true }))).toMatchObject({ kind: 'WDK build', signed: true })
  expect(described(windowsImage()).sha256).not.toBe(described(windowsImage({ rich: true })).sha256)
})

test('a Windows image names its debug information', () => {
  expect(described(windowsImage()).pdb).toBe('00112233445566778899AABBCCDDEEFF-3 minipend.pdb')
})

test('an image that ends before its debug information has none', () => {
  expect(described(windowsImage().subarray(0, DEBUG_AT + 8))).toMatchObject({ kind: 'cross build', pdb: null })
})

test('a file that ends in its headers is no Windows image', () => {
  expect(described(windowsImage().subarray(0, PE + 8))).toMatchObject({ kind: 'host build', linker: null })
})
