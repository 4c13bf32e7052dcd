// SPDX-License-Identifier: MIT
//
// This module provides: which build of the driver an image file is: its hash, and what the file says about who made it.
//
// A Windows image of the vendor's linker has a "Rich" record before its PE header, which lists the tools; lld writes none.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { imageFacts } from '../sign/authenticode.js'
import type { DriverImage, DriverKind } from './document.js'

const PE_OFFSET_AT = 0x3c
const RICH = Buffer.from('Rich', 'latin1')
const DATA_DIRECTORIES = 24 + 112
const DEBUG = 6
const DEBUG_ENTRY_BYTES = 28
const CODEVIEW = 2

interface WindowsFacts {
  readonly kind: DriverKind
  readonly linker: string
  readonly signed: boolean
  readonly pdb: string | null
}

/** Where in the file this RVA is; -1: in no section. */
function fileOffset(image: Buffer, pe: number, rva: number): number {
  const sections = pe + 24 + image.readUInt16LE(pe + 20)
  for (let index = 0; index < image.readUInt16LE(pe + 6); index += 1) {
    const at = sections + index * 40
    const within = rva - image.readUInt32LE(at + 12)
    if (within >= 0 && within < image.readUInt32LE(at + 16)) {
      return image.readUInt32LE(at + 20) + within
    }
  }
  return -1
}

/** The PDB's identity and name, as a debugger compares them: "1B2C...-1 minipend.pdb". */
function pdbOf(image: Buffer, pe: number): string | null {
  const directory = pe + DATA_DIRECTORIES + DEBUG * 8
  const entries = Math.floor(image.readUInt32LE(directory + 4) / DEBUG_ENTRY_BYTES)
  const first = fileOffset(image, pe, image.readUInt32LE(directory))
  for (let index = 0; first >= 0 && index < entries; index += 1) {
    const entry = first + index * DEBUG_ENTRY_BYTES
    const at = image.readUInt32LE(entry + 24)
    if (image.readUInt32LE(entry + 12) !== CODEVIEW || image.toString('latin1', at, at + 4) !== 'RSDS') {
      continue
    }
    const end = image.indexOf(0, at + 24)
    const identity = image.toString('hex', at + 4, at + 20).toUpperCase()
    return `${identity}-${image.readUInt32LE(at + 20)} ${image.toString('utf8', at + 24, end)}`
  }
  return null
}

/** The same; null also of an image that ends before its debug information does. */
function pdbOrNull(image: Buffer, pe: number): string | null {
  try {
    return pdbOf(image, pe)
  } catch (error) {
    if (error instanceof RangeError) {
      return null
    }
    throw error
  }
}

function signedOf(image: Buffer): boolean | undefined {
  try {
    return imageFacts(image).signed
  } catch {
    return undefined // it is no 64-bit Windows image
  }
}

function windowsFacts(image: Buffer): WindowsFacts | undefined {
  const signed = signedOf(image)
  if (signed === undefined) {
    return undefined
  }
  const pe = image.readUInt32LE(PE_OFFSET_AT)
  const rich = image.subarray(0, pe).includes(RICH)
  return {
    kind: rich ? 'WDK build' : 'cross build',
    linker: `${image.readUInt8(pe + 26)}.${image.readUInt8(pe + 27)}`,
    signed,
    pdb: pdbOrNull(image, pe),
  }
}

/** What is known of an image that exists. */
export function describeDriverImage(file: string): DriverImage {
  const bytes = readFileSync(file)
  const known = { file: path.basename(file), sha256: createHash('sha256').update(bytes).digest('hex') }
  return { ...known, ...(windowsFacts(bytes) ?? { kind: 'host build', linker: null, signed: null, pdb: null }) }
}
