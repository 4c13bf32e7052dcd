// SPDX-License-Identifier: MIT
//
// This module provides: the checks of a driver image's headers, sections and directories. Each returns what is wrong, in words.
// checks-code.ts has those that look at instructions and functions.

import { Format } from 'pe-library'

import { DLL, MACHINE, SECTION } from './image.js'
import type { Subject } from './subject.js'

export interface Check {
  readonly name: string
  readonly problems: (subject: Subject) => string[]
}

const SUBSYSTEM_NATIVE = 1
const LARGE_ADDRESS_AWARE = 0x20
const EXECUTABLE = 0x2
const PAGE_BYTES = 0x1000
const LOAD_CONFIG_BYTES = 280
const DEFAULT_COOKIE = 0x2b99_2ddf_a232n
const GUARD_INSTRUMENTED = 0x100
const GUARD_TABLE = 0x400
const GUARD_EH_CONTINUATION = 0x40_0000

const hex = (value: number): string => `0x${value.toString(16)}`
const when = (wrong: boolean, text: string): string[] => (wrong ? [text] : [])

function header({ image }: Subject): string[] {
  const { subsystem, majorSubsystemVersion, addressOfEntryPoint } = image.header
  const entry = image.sectionAt(addressOfEntryPoint)
  return [
    ...when(subsystem !== SUBSYSTEM_NATIVE, `subsystem is ${subsystem}, native is ${SUBSYSTEM_NATIVE}`),
    ...when(majorSubsystemVersion !== 10, `subsystem version is ${majorSubsystemVersion}, not 10`),
    ...when((image.fileCharacteristics & EXECUTABLE) === 0, 'not an executable image'),
    ...when((image.fileCharacteristics & LARGE_ADDRESS_AWARE) === 0, 'cannot be loaded above 2 GB'),
    ...when(((entry?.characteristics ?? 0) & SECTION.execute) === 0, 'the entry point is not in code'),
  ]
}

function characteristics({ image }: Subject): string[] {
  const flags = image.header.dllCharacteristics
  const wanted = ['dynamicBase', 'highEntropyVa', 'nxCompat', 'guardCf'] as const
  return [
    ...wanted.flatMap((name) => when((flags & DLL[name]) === 0, `${name} is not set`)),
    ...when((flags & DLL.terminalServerAware) !== 0, 'terminalServerAware is set, which is for programs'),
  ]
}

/** Memory integrity refuses an image that has one [HVCI-01, HVCI-02]. */
function writableCode({ image }: Subject): string[] {
  return image.sections.flatMap(({ name, characteristics: c }) =>
    when((c & SECTION.execute) !== 0 && (c & SECTION.write) !== 0, `${name} is writable and executable`),
  )
}

function alignment({ image }: Subject): string[] {
  const { sectionAlignment, fileAlignment } = image.header
  return [
    ...when(
      sectionAlignment % PAGE_BYTES !== 0 || sectionAlignment === 0,
      `sections are aligned to ${sectionAlignment}`,
    ),
    ...when(fileAlignment !== 512, `the file's sections are aligned to ${fileAlignment}`),
    ...image.sections.flatMap(({ name, start }) => when(start % PAGE_BYTES !== 0, `${name} starts at ${hex(start)}`)),
  ]
}

/** Code of INIT is thrown away after loading, pageable code is of no use to anything that must stay. */
function sections({ image }: Subject): string[] {
  const init = image.sections.find(({ name }) => name === 'INIT')
  const staying = image.sections.filter(({ name }) => !['INIT', '.reloc'].includes(name))
  return [
    ...when(init !== undefined && (init.characteristics & SECTION.discardable) === 0, 'INIT stays in memory'),
    ...staying.flatMap(({ name, characteristics: c }) =>
      when((c & SECTION.discardable) !== 0, `${name} is thrown away after loading`),
    ),
  ]
}

function importTable({ image }: Subject): string[] {
  const range = image.directory(Format.ImageDirectoryEntry.Iat)
  if (range === undefined) return ['there is no import address table']
  const section = image.sectionAt(range.start)
  const c = section?.characteristics ?? 0
  const name = section?.name ?? 'no section'
  return [
    ...when((c & SECTION.execute) !== 0, `the import address table is in ${name}, which is executable`),
    ...when((c & SECTION.write) !== 0, `the import address table is in ${name}, which stays writable`),
    ...when(name === 'PAGE' || (c & SECTION.discardable) !== 0, `the import address table is in ${name}`),
  ]
}

function loadConfig(subject: Subject): string[] {
  const { image } = subject
  const config = image.loadConfig()
  if (config === undefined) return ['there is no load configuration']
  const protection = (rva: number): number => image.sectionAt(rva)?.characteristics ?? 0
  const isCode = (rva: number): boolean => (protection(rva) & SECTION.execute) !== 0
  const pointers: [string, number][] = [['check', config.checkPointer]]
  if (image.machine === MACHINE.x64) pointers.push(['dispatch', config.dispatchPointer])
  const cookieIs = config.cookie === 0 ? 0n : image.u64(config.cookie)
  const sorted = config.guardFunctions.every((rva, i, all) => i === 0 || rva > (all[i - 1] ?? 0))
  return [
    ...when(config.size < LOAD_CONFIG_BYTES, `the load configuration has ${config.size} bytes`),
    ...when((protection(config.cookie) & SECTION.write) === 0, 'the stack cookie cannot be written'),
    ...when(
      cookieIs !== DEFAULT_COOKIE,
      `the stack cookie is ${cookieIs.toString(16)}, not the value that a loader replaces`,
    ),
    ...pointers.flatMap(([name, rva]) => [
      ...when(
        (protection(rva) & (SECTION.read | SECTION.write)) !== SECTION.read,
        `the ${name} pointer is not read-only`,
      ),
      ...when(rva === 0 || !isCode(image.pointer(rva)), `the ${name} pointer does not point to code`),
    ]),
    ...when((config.guardFlags & GUARD_INSTRUMENTED) === 0, 'the code does not check its indirect calls'),
    ...when((config.guardFlags & GUARD_TABLE) === 0 || config.guardFunctions.length === 0, 'no table of call targets'),
    ...when(!sorted || !config.guardFunctions.every(isCode), 'the table of call targets is not one'),
    ...when(
      (config.guardFlags & GUARD_EH_CONTINUATION) !== 0 && config.ehContinuationCount === 0,
      'a table of exception targets is promised and empty: no handler could be reached',
    ),
  ]
}

function relocations({ image }: Subject): string[] {
  const found = image.relocations()
  const at = new Set(found)
  const range = image.directory(Format.ImageDirectoryEntry.LoadConfig)
  const pointers = range === undefined ? [] : [88, 112, 128].map((offset) => range.start + offset)
  return [
    ...when(found.length === 0, 'there are no relocations'),
    ...found.flatMap((rva) => [
      ...when(rva % PAGE_BYTES > PAGE_BYTES - 8, `the relocation at ${hex(rva)} reaches into the next page`),
      ...when(
        ((image.sectionAt(rva)?.characteristics ?? 0) & SECTION.execute) !== 0,
        `the relocation at ${hex(rva)} changes code`,
      ),
    ]),
    ...pointers.flatMap((rva) => when(!at.has(rva), `the pointer at ${hex(rva)} is not relocated`)),
  ]
}

function imports({ image, expected }: Subject): string[] {
  const seen = new Map([...image.imports()].map(([module, names]) => [module.toLowerCase(), new Set(names)]))
  const extra = [...seen].flatMap(([module, names]) =>
    [...names].filter((name) => expected.imports.get(module)?.has(name) !== true).map((name) => `${name} of ${module}`),
  )
  const stale = [...expected.imports].flatMap(([module, names]) =>
    [...names].filter((name) => seen.get(module)?.has(name) !== true).map((name) => `${name} of ${module}`),
  )
  return [
    ...extra.map((name) => `imports ${name}, which is not listed`),
    ...stale.map((name) => `does not import ${name}, which is listed`),
  ]
}

function checksum({ image }: Subject): string[] {
  const right = image.computedChecksum()
  return when(image.header.checkSum !== right, `the checksum is ${hex(image.header.checkSum)}, not ${hex(right)}`)
}

function size({ image, expected }: Subject): string[] {
  return [
    ...when(
      image.bytes.length > expected.fileBytes,
      `the file has ${image.bytes.length} bytes of ${expected.fileBytes}`,
    ),
    ...when(
      image.header.sizeOfImage > expected.imageBytes,
      `the image takes ${image.header.sizeOfImage} bytes of ${expected.imageBytes}`,
    ),
  ]
}

/** VS_FIXEDFILEINFO follows its signature; the texts are UTF-16. */
function version({ image, expected }: Subject): string[] {
  const resource = image.version()
  if (resource === undefined) return ['there is no version resource']
  const at = resource.indexOf(Buffer.from([0xbd, 0x04, 0xef, 0xfe]))
  const word = (offset: number): number => resource.readUInt16LE(at + offset)
  const found = [word(10), word(8), word(14)]
  return [
    ...when(found.join('.') !== expected.version.join('.'), `the version is ${found.join('.')}`),
    ...when(!resource.toString('utf16le').includes('minipend.sys'), 'the version resource does not name minipend.sys'),
    ...when((resource.readUInt32LE(at + 28) & 1) !== 0, 'the version resource says that this is a debug build'),
  ]
}

function pdb({ image }: Subject): string[] {
  const name = image.pdbName()
  return when(name === undefined || !/^\w+\.pdb$/.test(name), `the PDB is called ${name ?? 'nothing'}`)
}

export const checks = {
  header: { name: 'a native 64-bit executable', problems: header },
  characteristics: { name: 'dynamic base, high entropy, NX, control flow guard', problems: characteristics },
  writableCode: { name: 'no section is writable and executable', problems: writableCode },
  alignment: { name: 'sections start on pages', problems: alignment },
  sections: { name: 'INIT alone goes', problems: sections },
  importTable: { name: 'the import address table is read-only data', problems: importTable },
  loadConfig: { name: 'load configuration: cookie, guard pointers, call targets', problems: loadConfig },
  relocations: { name: 'relocations', problems: relocations },
  imports: { name: 'imports are the listed ones', problems: imports },
  checksum: { name: 'checksum', problems: checksum },
  size: { name: 'size', problems: size },
  version: { name: 'version resource', problems: version },
  pdb: { name: 'the PDB has a name and no directory', problems: pdb },
} satisfies Record<string, Check>
