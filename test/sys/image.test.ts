// SPDX-License-Identifier: MIT
//
// This module provides: the inspection of minipend.sys as `npm run build:driver` left it, and the proof that each check can fail: on the image
// with some bytes changed, or on a small driver that is built wrong.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { type BuiltImage, type ImageRequest, buildImage } from '../../scripts/driver/image.js'
import {
  type Architecture,
  architectures,
  driverSources,
  importDefinitions,
  importsDirectory,
  resourceScript,
  supportSources,
} from '../../scripts/driver/settings.js'
import * as paths from '../../scripts/paths.mjs'
import { codeChecks } from './pe/checks-code.js'
import { type Check, checks } from './pe/checks.js'
import { Image } from './pe/image.js'
import { guardedFunctions, placements } from './pe/sources.js'
import { type Expectation, type Subject, allowedImports, readSubject } from './pe/subject.js'

const inRoot = (...parts: string[]): string => path.join(paths.root, ...parts)
const header = readFileSync(inRoot('driver/include/minipend_protocol.h'), 'utf8')
const version = ['MAJOR', 'MINOR', 'PATCH'].map((part) =>
  Number(new RegExp(`^#define MINIPEND_DRIVER_VERSION_${part} (\\d+)`, 'm').exec(header)?.[1]),
)

function expectation(architecture: Architecture, sources: readonly string[]): Expectation {
  const files = sources.map((file) => inRoot(file))
  return {
    imports: allowedImports(importDefinitions(architecture).map((name) => inRoot(importsDirectory, `${name}.def`))),
    placements: placements(files),
    guarded: guardedFunctions(files),
    version,
    fileBytes: 80 * 1024,
    imageBytes: 160 * 1024,
  }
}

const everyCheck: Check[] = [...Object.values(checks), ...Object.values(codeChecks)]

describe.each(architectures)('minipend.sys for %s', (architecture) => {
  const built = (extension: string): string => inRoot('build', 'driver', architecture, `minipend.${extension}`)
  let subject: Subject
  beforeAll(() => {
    if (!existsSync(built('sys'))) throw new Error('there is no minipend.sys: npm run build:driver')
    const own = driverSources().map((file) => `driver/${file}`)
    subject = readSubject({ image: built('sys'), map: built('map') }, expectation(architecture, own))
  })

  it.each(everyCheck)('$name', ({ problems }) => {
    expect(problems(subject)).toEqual([])
  })

  it('has guarded copies and placed functions to be checked', () => {
    expect([...subject.expected.guarded.keys()]).toContain('MpCopyFromCaller')
    expect(subject.expected.placements.get('DriverEntry')).toBe('INIT')
    expect(subject.image.loadConfig()?.guardFunctions.map((rva) => subject.symbols.names.get(rva))).toContain(
      'MpDeferredRoutine',
    )
  })
})

describe('a changed image', () => {
  let subject: Subject
  beforeAll(() => {
    const built = (extension: string): string => inRoot('build', 'driver', 'x64', `minipend.${extension}`)
    subject = readSubject({ image: built('sys'), map: built('map') }, expectation('x64', []))
  })

  const peHeader = (bytes: Buffer): number => bytes.readUInt32LE(0x3c)
  const optional = (bytes: Buffer): number => peHeader(bytes) + 24
  const sectionHeader = (bytes: Buffer, name: string): number => {
    const first = optional(bytes) + bytes.readUInt16LE(peHeader(bytes) + 20)
    const count = bytes.readUInt16LE(peHeader(bytes) + 6)
    const at = Array.from({ length: count }, (_, i) => first + i * 40)
    return at.find((offset) => bytes.toString('latin1', offset, offset + 8).startsWith(name)) ?? -1
  }
  const addTo = (name: string, flags: number) => (bytes: Buffer) => {
    const at = sectionHeader(bytes, name) + 36
    bytes.writeUInt32LE((bytes.readUInt32LE(at) | flags) >>> 0, at)
  }
  const clear = (flag: number) => (bytes: Buffer) => {
    const at = optional(bytes) + 70
    bytes.writeUInt16LE(bytes.readUInt16LE(at) & ~flag, at)
  }
  /** Where an address is in the file. */
  const at = (image: Image, rva: number): number => {
    const section = image.sectionAt(rva)
    const bytes = image.bytes
    return rva - (section?.start ?? 0) + bytes.readUInt32LE(sectionHeader(bytes, section?.name ?? '') + 20)
  }
  const loadConfig = (image: Image, offset: number): number => {
    const directory = image.bytes.readUInt32LE(optional(image.bytes) + 112 + 10 * 8)
    return at(image, directory + offset)
  }

  const cases: [string, keyof typeof checks, RegExp, (bytes: Buffer, image: Image) => void][] = [
    ['a program', 'header', /subsystem is 3/, (b) => b.writeUInt16LE(3, optional(b) + 68)],
    ['an old subsystem', 'header', /version is 6/, (b) => b.writeUInt16LE(6, optional(b) + 48)],
    [
      'an entry point in data',
      'header',
      /entry point/,
      (b, i) => b.writeUInt32LE(i.loadConfig()?.cookie ?? 0, optional(b) + 16),
    ],
    ['a fixed address', 'characteristics', /dynamicBase/, clear(0x40)],
    ['low addresses', 'characteristics', /highEntropyVa/, clear(0x20)],
    ['executable data', 'characteristics', /nxCompat/, clear(0x100)],
    ['no control flow guard', 'characteristics', /guardCf/, clear(0x4000)],
    ['writable code', 'writableCode', /INIT is writable and executable/, addTo('INIT', 0x8000_0000)],
    ['executable data', 'writableCode', /\.data is writable and executable/, addTo('.data', 0x2000_0000)],
    ['small alignment', 'alignment', /aligned to 512/, (b) => b.writeUInt32LE(512, optional(b) + 32)],
    ['data that goes', 'sections', /\.rdata is thrown away/, addTo('.rdata', 0x0200_0000)],
    ['an executable import table', 'importTable', /in \.rdata, which is executable/, addTo('.rdata', 0x2000_0000)],
    ['a writable import table', 'importTable', /stays writable/, addTo('.rdata', 0x8000_0000)],
    ['no cookie', 'loadConfig', /cookie cannot be written/, (b, i) => b.writeBigUInt64LE(0n, loadConfig(i, 88))],
    [
      'a used cookie',
      'loadConfig',
      /cookie is 1,/,
      (b, i) => b.writeBigUInt64LE(1n, at(i, i.loadConfig()?.cookie ?? 0)),
    ],
    ['no call targets', 'loadConfig', /no table of call targets/, (b, i) => b.writeBigUInt64LE(0n, loadConfig(i, 136))],
    ['a short load configuration', 'loadConfig', /has 96 bytes/, (b, i) => b.writeUInt32LE(96, loadConfig(i, 0))],
    [
      'empty exception targets',
      'loadConfig',
      /promised and empty/,
      (b, i) => b.writeUInt32LE(b.readUInt32LE(loadConfig(i, 144)) | 0x40_0000, loadConfig(i, 144)),
    ],
    [
      'no load configuration',
      'loadConfig',
      /no load configuration/,
      (b) => b.writeUInt32LE(0, optional(b) + 112 + 10 * 8 + 4),
    ],
    ['no relocations', 'relocations', /no relocations/, (b) => b.writeUInt32LE(0, optional(b) + 112 + 5 * 8 + 4)],
    [
      'a relocation over a page',
      'relocations',
      /reaches into the next page/,
      (b) => {
        const reloc = b.readUInt32LE(sectionHeader(b, '.reloc') + 20)
        b.writeUInt16LE(0xaffc, reloc + 8)
      },
    ],
    [
      'a relocation of code',
      'relocations',
      /changes code/,
      (b) => {
        const reloc = b.readUInt32LE(sectionHeader(b, '.reloc') + 20)
        b.writeUInt32LE(b.readUInt32LE(sectionHeader(b, '.text') + 12), reloc)
      },
    ],
    [
      'another import',
      'imports',
      /imports FltFreeDeferredIoWorkItex of fltmgr\.sys, which is not listed/,
      (b) => {
        b.write('FltFreeDeferredIoWorkItex', b.indexOf('FltFreeDeferredIoWorkItem'), 'latin1')
      },
    ],
    ['a changed byte', 'checksum', /the checksum is/, (b) => b.writeUInt8(b.readUInt8(0x500) ^ 1, 0x500)],
    [
      'another version',
      'version',
      /the version is 0\.9\./,
      (b) => {
        b.writeUInt16LE(9, b.indexOf(Buffer.from([0xbd, 0x04, 0xef, 0xfe])) + 8)
      },
    ],
    ['no version', 'version', /no version resource/, (b) => b.writeBigUInt64LE(0n, optional(b) + 112 + 2 * 8)],
    ['a PDB with a directory', 'pdb', /is called \/a\/b/, (b) => b.write('/a/b', b.indexOf('minipend.pdb'), 'latin1')],
    ['a large file', 'size', /the file has \d+ bytes of 81920/, () => undefined],
  ]

  it.each(cases)('with %s fails "%s"', (what, check, problem, change) => {
    const bytes =
      what === 'a large file'
        ? Buffer.concat([subject.image.bytes, Buffer.alloc(80 * 1024)])
        : Buffer.from(subject.image.bytes)
    change(bytes, new Image(bytes))
    expect(checks[check].problems({ ...subject, image: new Image(bytes) }).join('\n')).toMatch(problem)
  })

  it('that imports less than is listed fails "imports"', () => {
    const imports = new Map([...subject.expected.imports, ['hal.dll', new Set(['KeStallExecutionProcessor'])]])
    expect(checks.imports.problems({ ...subject, expected: { ...subject.expected, imports } })).toEqual([
      'does not import KeStallExecutionProcessor of hal.dll, which is listed',
    ])
  })

  it('has a case for each check of headers and sections', () => {
    expect(new Set(cases.map(([, check]) => check))).toEqual(new Set(Object.keys(checks)))
  })
})

describe('a driver that is built wrong', () => {
  const source = 'test/sys/fixtures/variants.c'
  let directory = ''
  beforeAll(() => {
    directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-variants-'))
  })
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true })
  })

  let count = 0
  async function variant(architecture: Architecture, change: Partial<ImageRequest>): Promise<Subject> {
    const built: BuiltImage = await buildImage({
      architecture,
      outputDirectory: path.join(directory, String(count++)),
      name: 'minipend',
      sources: [source, ...supportSources],
      resource: resourceScript,
      ...change,
    })
    return readSubject(built, expectation(architecture, [source]))
  }
  const failing = (subject: Subject): string[] =>
    everyCheck.filter(({ name }) => name !== checks.imports.name).flatMap(({ problems }) => problems(subject))

  const tailCall = 'VariantWorker ends in a tail call of FltFreeDeferredIoWorkItem'

  it.each(architectures)(
    'for %s: a worker that ends in the free of its item is the only thing found',
    async (architecture) => {
      expect(failing(await variant(architecture, {}))).toEqual([tailCall])
    },
  )

  it('without the tail call nothing is found', async () => {
    expect(failing(await variant('x64', { compile: ['-fno-optimize-sibling-calls'] }))).toEqual([])
  })

  const cases: [string, Partial<ImageRequest>, string][] = [
    [
      'without asynchronous exceptions',
      { without: ['-fasync-exceptions'] },
      'VariantGuarded has a guarded block and no exception handler',
    ],
    [
      'without unwind tables',
      { without: ['-fasynchronous-unwind-tables', '-fasync-exceptions'], compile: ['-fno-asynchronous-unwind-tables'] },
      'VariantPaged calls, and has no unwind information',
    ],
    ['with INIT as old linkers made it', { link: ['/section:INIT,ERWD'] }, 'INIT is writable and executable'],
    ['with pageable code beside the other', { link: ['/merge:PAGE=.text'] }, 'VariantPaged is in .text, not in PAGE'],
    [
      'with constants merged into the code',
      { link: ['/merge:.rdata=.text'] },
      'the import address table is in .text, which is executable',
    ],
    ['without control flow guard', { without: ['/guard:cf'] }, 'guardCf is not set'],
    ['with another entry point', { link: ['/entry:FxDriverEntry'] }, 'the entry point is FxDriverEntry'],
    ['without stack cookies', { without: ['-fstack-protector-strong'] }, 'no function checks a stack cookie'],
    ['with AVX', { compile: ['-mavx2'] }, 'uses AVX'],
    [
      'without a load configuration',
      { sources: [source, ...supportSources.slice(0, 2)], without: ['/guard:cf'] },
      'there is no load configuration',
    ],
  ]

  it.each(cases)('%s', async (_what, change, problem) => {
    expect(failing(await variant('x64', change)).join('\n')).toContain(problem)
  })

  it('is not taken for whole when its code is not read to the end', async () => {
    const subject = await variant('x64', {})
    const half = subject.instructions.slice(0, subject.instructions.length / 2)
    expect(codeChecks.readWhole.problems({ ...subject, instructions: half })).not.toEqual([])
  })
})
