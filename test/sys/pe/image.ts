// SPDX-License-Identifier: MIT
//
// This module provides: a Windows image as the checks look at it: headers, sections and directories through pe-library, and what that
// leaves to its user: imports, relocations, the load configuration, the debug directory.
//
// Invariant: an address is relative to the image base (RVA) unless its name says otherwise; reading outside every section throws.

import { calculateCheckSumForPE, Format, NtExecutable, NtExecutableResource } from 'pe-library'

export const SECTION = {
  code: 0x20,
  discardable: 0x0200_0000,
  execute: 0x2000_0000,
  read: 0x4000_0000,
  write: 0x8000_0000,
}
export const DLL = {
  highEntropyVa: 0x20,
  dynamicBase: 0x40,
  nxCompat: 0x100,
  guardCf: 0x4000,
  terminalServerAware: 0x8000,
}
export const MACHINE = { x64: 0x8664, arm64: 0xaa64 }
const RELOCATION_DIR64 = 10
const DEBUG_CODEVIEW = 2
const RT_VERSION = 16

export interface Section {
  readonly name: string
  readonly start: number
  /** First address behind it in memory. */
  readonly end: number
  readonly characteristics: number
  readonly data: Buffer
}

export interface LoadConfig {
  readonly size: number
  /** RVAs; 0 where the image has none. */
  readonly cookie: number
  readonly checkPointer: number
  readonly dispatchPointer: number
  /** RVAs of the functions that indirect calls may reach. */
  readonly guardFunctions: readonly number[]
  readonly guardFlags: number
  readonly ehContinuationCount: number
}

export interface DirectoryRange {
  readonly start: number
  readonly end: number
}

export class Image {
  readonly bytes: Buffer
  readonly machine: number
  readonly header: Format.ImageOptionalHeader64
  readonly fileCharacteristics: number
  readonly sections: readonly Section[]
  readonly #pe: NtExecutable

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.#pe = NtExecutable.from(bytes, { ignoreCert: true })
    const { fileHeader, optionalHeader } = this.#pe.newHeader
    if (!(optionalHeader instanceof Format.ImageOptionalHeader64)) throw new Error('not a 64-bit image')
    this.machine = fileHeader.machine
    this.fileCharacteristics = fileHeader.characteristics
    this.header = optionalHeader
    this.sections = this.#pe.getAllSections().map(({ info, data }) => ({
      name: info.name,
      start: info.virtualAddress,
      end: info.virtualAddress + info.virtualSize,
      characteristics: info.characteristics,
      data: Buffer.from(data ?? new ArrayBuffer(0)),
    }))
  }

  get base(): bigint {
    return this.header.imageBaseBigInt
  }

  /** What the header's checksum should be. */
  computedChecksum(): number {
    const copy = Uint8Array.from(this.bytes)
    return calculateCheckSumForPE(copy.buffer)
  }

  directory(entry: Format.ImageDirectoryEntry): DirectoryRange | undefined {
    const { virtualAddress, size } = this.#pe.newHeader.optionalHeaderDataDirectory.get(entry)
    return size === 0 ? undefined : { start: virtualAddress, end: virtualAddress + size }
  }

  sectionAt(rva: number): Section | undefined {
    return this.sections.find((section) => rva >= section.start && rva < section.end)
  }

  /** Bytes of the image as they are in memory before relocation; what the file leaves out is zero. */
  read(rva: number, length: number): Buffer {
    const section = this.sectionAt(rva)
    if (section === undefined || rva + length > section.end) {
      throw new Error(`nothing at 0x${rva.toString(16)}, ${length} bytes`)
    }
    const out = Buffer.alloc(length)
    section.data.copy(out, 0, rva - section.start, rva - section.start + length)
    return out
  }

  u32(rva: number): number {
    return this.read(rva, 4).readUInt32LE()
  }

  u64(rva: number): bigint {
    return this.read(rva, 8).readBigUInt64LE()
  }

  /** RVA of what an absolute pointer in the image points to; 0 for none. */
  pointer(rva: number): number {
    const value = this.u64(rva)
    return value === 0n ? 0 : Number(value - this.base)
  }

  text(rva: number): string {
    const section = this.sectionAt(rva)
    if (section === undefined) throw new Error(`no text at 0x${rva.toString(16)}`)
    const at = rva - section.start
    return section.data.toString('latin1', at, section.data.indexOf(0, at))
  }

  /** Names by module, as spelled; an import by number is `#N`. */
  imports(): Map<string, string[]> {
    const found = new Map<string, string[]>()
    const range = this.directory(Format.ImageDirectoryEntry.Import)
    for (let at = range?.start ?? 0; range !== undefined && this.u32(at + 12) !== 0; at += 20) {
      const names: string[] = []
      for (let slot = this.u32(at); this.u64(slot) !== 0n; slot += 8) {
        const value = this.u64(slot)
        names.push(value >> 63n === 1n ? `#${value & 0xffffn}` : this.text(Number(value) + 2))
      }
      const module = this.text(this.u32(at + 12))
      found.set(module, [...(found.get(module) ?? []), ...names])
    }
    return found
  }

  /** RVAs of the 64-bit pointers that move with the image. Another kind of relocation throws: a 64-bit image has none. */
  relocations(): number[] {
    const found: number[] = []
    const range = this.directory(Format.ImageDirectoryEntry.BaseRelocation)
    for (let at = range?.start ?? 0; range !== undefined && at < range.end; at += this.u32(at + 4)) {
      const page = this.u32(at)
      const size = this.u32(at + 4)
      if (size < 8) throw new Error(`relocation block at 0x${at.toString(16)} has ${size} bytes`)
      const entries = this.read(at + 8, size - 8)
      for (let i = 0; i < entries.length; i += 2) {
        const entry = entries.readUInt16LE(i)
        const type = entry >> 12
        if (type === RELOCATION_DIR64) found.push(page + (entry & 0xfff))
        else if (type !== 0) throw new Error(`relocation of type ${type} at 0x${(page + (entry & 0xfff)).toString(16)}`)
      }
    }
    return found
  }

  loadConfig(): LoadConfig | undefined {
    const range = this.directory(Format.ImageDirectoryEntry.LoadConfig)
    if (range === undefined) return undefined
    const size = this.u32(range.start)
    const has = (offset: number): boolean => size >= offset + 8
    const table = has(128) ? this.pointer(range.start + 128) : 0
    const count = has(136) ? Number(this.u64(range.start + 136)) : 0
    const guardFlags = has(144) ? this.u32(range.start + 144) : 0
    // Each entry is an RVA and as many further bytes as the top four bits of the flags say.
    const stride = 4 + (guardFlags >>> 28)
    return {
      size,
      cookie: has(88) ? this.pointer(range.start + 88) : 0,
      checkPointer: has(112) ? this.pointer(range.start + 112) : 0,
      dispatchPointer: has(120) ? this.pointer(range.start + 120) : 0,
      guardFunctions: Array.from({ length: table === 0 ? 0 : count }, (_, i) => this.u32(table + i * stride)),
      guardFlags,
      ehContinuationCount: has(272) ? Number(this.u64(range.start + 272)) : 0,
    }
  }

  /** The PDB's name as the image has it. */
  pdbName(): string | undefined {
    const range = this.directory(Format.ImageDirectoryEntry.Debug)
    for (let at = range?.start ?? 0; range !== undefined && at < range.end; at += 28) {
      if (this.u32(at + 12) === DEBUG_CODEVIEW) return this.text(this.u32(at + 20) + 24)
    }
    return undefined
  }

  /** The version resource, raw. */
  version(): Buffer | undefined {
    const { entries } = NtExecutableResource.from(this.#pe)
    const entry = entries.find(({ type }) => type === RT_VERSION)
    return entry === undefined ? undefined : Buffer.from(entry.bin)
  }
}
