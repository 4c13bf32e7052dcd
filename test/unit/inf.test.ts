// SPDX-License-Identifier: MIT
//
// This module provides: tests of what installs and names the driver: minipend.inf says the same in both of its forms and agrees with the
// model, the protocol header and the pages; minipend.rc says the header's version.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, it } from 'vitest'

const root = path.resolve(import.meta.dirname, '..', '..')
const read = (...parts: string[]): string => readFileSync(path.join(root, ...parts), 'utf8')
const header = read('driver', 'include', 'minipend_protocol.h')

/** A number or a text that the header defines. */
function defined(name: string): string {
  const text = new RegExp(`^#define ${name} L?"?([^"\\n]*)"?$`, 'm').exec(header)?.[1]
  if (text === undefined) throw new Error(`the protocol header does not define ${name}`)
  return text
}
const version = ['MAJOR', 'MINOR', 'PATCH'].map((part) => Number(defined(`MINIPEND_DRIVER_VERSION_${part}`)))

/** One line of a section: its key, if it has one, and its values. */
interface Line {
  readonly key: string | undefined
  readonly values: readonly string[]
}

/** Sections by their names in lower case, which is how INF files compare them. */
class Inf {
  readonly #sections = new Map<string, Line[]>()
  readonly #strings = new Map<string, string>()
  readonly names: string[] = []

  constructor(text: string) {
    const raw = new Map<string, string[]>()
    let current: string[] | undefined
    for (const line of text.split(/\r?\n/)) {
      const content = Inf.#withoutComment(line).trim()
      const name = /^\[(.+)\]$/.exec(content)?.[1]
      if (name !== undefined) {
        if (raw.has(name.toLowerCase())) throw new Error(`section [${name}] is there twice`)
        current = []
        raw.set(name.toLowerCase(), current)
        this.names.push(name)
      } else if (content !== '') {
        if (current === undefined) throw new Error(`a line outside of all sections: ${content}`)
        current.push(content)
      }
    }
    for (const line of raw.get('strings') ?? []) {
      const [, key = '', value = ''] = /^(\w+)\s*=\s*(.*)$/.exec(line) ?? []
      this.#strings.set(key.toLowerCase(), Inf.#unquoted(value))
    }
    for (const [name, lines] of raw) {
      this.#sections.set(
        name,
        lines.map((line) => this.#line(line)),
      )
    }
  }

  static #withoutComment(line: string): string {
    let quoted = false
    for (let i = 0; i < line.length; i++) {
      if (line[i] === '"') quoted = !quoted
      if (line[i] === ';' && !quoted) return line.slice(0, i)
    }
    if (quoted) throw new Error(`a quote is not closed: ${line}`)
    return line
  }

  /** Quotes go; what stands next to each other is one text. */
  static #unquoted = (text: string): string => text.trim().replaceAll('"', '')

  #substituted(text: string): string {
    return text.replaceAll(/%([A-Za-z]\w*)%/g, (_, key: string) => {
      const value = this.#strings.get(key.toLowerCase())
      if (value === undefined) throw new Error(`%${key}% is not in [Strings]`)
      return value
    })
  }

  #line(line: string): Line {
    const [, key, rest = line] = /^([^=",]+?)\s*=\s*(.*)$/.exec(line) ?? []
    const values = (rest.match(/(?:"[^"]*"|[^,"])+|(?<=^|,)(?=,|$)/g) ?? []).map((value) =>
      this.#substituted(Inf.#unquoted(value)),
    )
    return { key, values }
  }

  has(section: string): boolean {
    return this.#sections.has(section.toLowerCase())
  }

  lines(section: string): readonly Line[] {
    const lines = this.#sections.get(section.toLowerCase())
    if (lines === undefined) throw new Error(`there is no section [${section}]`)
    return lines
  }

  /** Values of the only line with this key. */
  values(section: string, key: string): readonly string[] {
    const found = this.lines(section).filter((line) => line.key?.toLowerCase() === key.toLowerCase())
    if (found.length !== 1) throw new Error(`[${section}] has ${found.length} lines "${key}"`)
    return found[0]?.values ?? []
  }

  value(section: string, key: string): string {
    return this.values(section, key).join(',')
  }

  get strings(): ReadonlySet<string> {
    return new Set(this.#strings.keys())
  }
}

const text = read('driver', 'minipend.inf')
const inf = new Inf(text)

/** What one form of the installation puts where, the difference between the forms taken out. */
function installed(architecture: string, build: string, directory: string, parameters: string): unknown {
  const install = `DefaultInstall.NT${architecture}${build}`
  const files = inf.value(install, 'CopyFiles')
  expect(inf.value('DestinationDirs', files)).toBe(directory)
  const [service, flags, section = ''] = inf.values(`${install}.Services`, 'AddService')
  expect(flags, 'a minifilter has no device: no SPSVCINST_ASSOCSERVICE').toBe('')
  const registry = inf.lines(inf.value(section, 'AddReg')).map(({ values }) => {
    const [base, key = '', ...rest] = values
    const relative = parameters === '' ? key : key.replace(new RegExp(`^${parameters}(\\\\|$)`), '')
    expect(key.startsWith(parameters), `${key} is under "${parameters}"`).toBe(true)
    return [base, relative, ...rest]
  })
  const settings = inf
    .lines(section)
    .filter(({ key }) => key !== 'AddReg')
    .map(({ key, values }) => [key, values.join(',').replace(`%${directory}%`, '%directory%')])
  return {
    service,
    settings,
    registry,
    files: inf.lines(files).map(({ values }) => values.join(',')),
    description: inf.value(install, 'OptionDesc'),
  }
}

const forms = ['amd64', 'arm64'].flatMap((architecture) => [
  { architecture, build: '.10.0...25952', directory: '13', parameters: 'Parameters' },
  { architecture, build: '', directory: '12', parameters: '' },
])

describe('minipend.inf', () => {
  it('is a primitive driver package of the activity monitor class', () => {
    expect(inf.value('Version', 'Signature').toUpperCase()).toBe('$WINDOWS NT$')
    expect(inf.value('Version', 'Class')).toBe('ActivityMonitor')
    expect(inf.value('Version', 'ClassGuid')).toBe('{b86dff51-a31e-4bac-b3cf-e8cfe75c9fc2}')
    expect(inf.value('Version', 'Provider')).not.toBe('')
    expect(inf.value('Version', 'CatalogFile')).toBe('minipend.cat')
    expect(inf.value('Version', 'PnpLockdown')).toBe('1')
    expect(inf.has('Manufacturer')).toBe(false)
    // An undecorated section would make it something else than a primitive driver [INF-07].
    expect(inf.names.filter((name) => /^Default(Un)?install(\.Services)?$/i.test(name))).toEqual([])
  })

  it('has the version of the protocol header', () => {
    const [date = '', number] = inf.values('Version', 'DriverVer')
    expect(date).toMatch(/^\d\d\/\d\d\/\d{4}$/)
    expect(number).toBe([...version, 0].join('.'))
  })

  it.each(forms)(
    'installs the same for $architecture, decoration "$build"',
    ({ architecture, build, directory, parameters }) => {
      expect(installed(architecture, build, directory, parameters)).toEqual({
        service: defined('MINIPEND_FILTER_NAME'),
        description: inf.value('Strings', 'ServiceDescription'),
        files: ['minipend.sys'],
        settings: [
          ['DisplayName', 'minipend'],
          ['Description', inf.value('Strings', 'ServiceDescription')],
          ['ServiceBinary', '%directory%\\minipend.sys'],
          ['ServiceType', '2'],
          ['StartType', '3'],
          ['ErrorControl', '1'],
          ['LoadOrderGroup', 'FSFilter Activity Monitor'],
          ['Dependencies', 'FltMgr'],
        ],
        registry: [
          ['HKR', '', 'SupportedFeatures', '0x00010001', '0x7'],
          ['HKR', 'Instances', 'DefaultInstance', '0x00000000', 'minipend'],
          ['HKR', 'Instances\\minipend', 'Altitude', '0x00000000', inf.value('Strings', 'InstanceAltitude')],
          ['HKR', 'Instances\\minipend', 'Flags', '0x00010001', '0x1'],
        ],
      })
    },
  )

  it('is taken back on systems that do not know primitive drivers only', () => {
    for (const architecture of ['amd64', 'arm64']) {
      const uninstall = `DefaultUninstall.NT${architecture}`
      expect(inf.value(uninstall, 'LegacyUninstall')).toBe('1')
      expect(inf.value(uninstall, 'DelFiles')).toBe(inf.value(`DefaultInstall.NT${architecture}`, 'CopyFiles'))
      expect(inf.values(`${uninstall}.Services`, 'DelService')).toEqual(['minipend', '0x200'])
      expect(inf.has(`${uninstall}.10.0...25952`)).toBe(false)
    }
  })

  it('refers to sections and strings that are there, and has no others', () => {
    const referred = new Set<string>()
    for (const name of inf.names) {
      for (const { key, values } of inf.lines(name)) {
        if (['CopyFiles', 'DelFiles', 'AddReg'].includes(key ?? '')) values.forEach((value) => referred.add(value))
        if (key === 'AddService') referred.add(values[2] ?? '')
        if (name === 'DestinationDirs') referred.add(key ?? '')
      }
    }
    for (const name of referred) expect(inf.has(name), `[${name}] is there`).toBe(true)
    const known = /^(Version|SourceDisksNames|SourceDisksFiles|DestinationDirs|Strings|Default(Un)?Install\..+)$/i
    expect(inf.names.filter((name) => !known.test(name) && !referred.has(name))).toEqual([])

    const used = new Set([...text.matchAll(/%([A-Za-z]\w*)%/g)].map(([, key = '']) => key.toLowerCase()))
    expect([...inf.strings].filter((key) => !used.has(key))).toEqual([])

    for (const { key, values } of inf.lines('SourceDisksFiles')) {
      expect(key).toBe('minipend.sys')
      expect(inf.lines('SourceDisksNames').map((line) => line.key)).toContain(values[0])
    }
  })

  it('has the altitude of the model and of the pages, in the range of its load order group', () => {
    const altitude = inf.value('Strings', 'InstanceAltitude')
    expect(Number(altitude)).toBeGreaterThanOrEqual(360_000)
    expect(Number(altitude)).toBeLessThan(390_000)
    const model = /add_filter_service\(u"minipend", u"(.+)", u"(.+)", (\d)\)/.exec(
      read('native', 'fltsim', 'src', 'core', 'world.cpp'),
    )
    expect(model?.slice(1)).toEqual([inf.value('Strings', 'InstanceName'), altitude, '1'])
    expect(read('docs', 'DRIVER.md').includes(altitude), 'docs/DRIVER.md names the altitude').toBe(true)
  })

  it('names the registry values that the driver reads', () => {
    const limits = /typedef struct _MP_LIMITS \{(.*?)\} MP_LIMITS;/s.exec(read('driver', 'minipend.h'))?.[1] ?? ''
    const names = [...limits.matchAll(/^\s*(?:ULONG\s+)?(\w+);/gm)].map(([, name = '']) => name)
    expect(names).toContain('MaxHeld')
    const comment = /^; {3}MaxHeld.*$/m.exec(text)?.[0] ?? ''
    expect(comment.replace(/^;\s*/, '').split(', ')).toEqual(names)
  })
})

/** A command that can compile or preprocess the resource script here. */
function firstThatRuns(commands: readonly string[]): string | undefined {
  return commands.find((command) => {
    const { error, status } = spawnSync(command, ['--version'], { stdio: 'ignore' })
    return error === undefined && (status === 0 || command.includes('llvm-rc'))
  })
}

describe('minipend.rc', () => {
  const script = path.join(root, 'driver', 'minipend.rc')
  const dotted = [...version, 0].join('.')

  it.skipIf(firstThatRuns(['cc', 'gcc', 'clang']) === undefined)('says the version of the protocol header', () => {
    const compiler = firstThatRuns(['cc', 'gcc', 'clang']) ?? ''
    const result = spawnSync(compiler, ['-E', '-P', '-x', 'c', '-DRC_INVOKED', script], { encoding: 'utf8' })
    expect(result.stderr).toBe('')
    const resource = result.stdout.slice(result.stdout.indexOf('1 VERSIONINFO'))
    for (const key of ['FILEVERSION', 'PRODUCTVERSION']) {
      expect(resource).toMatch(new RegExp(`^${key} ${[...version, 0].join(', ?')}$`, 'm'))
    }
    for (const key of ['FileVersion', 'ProductVersion']) {
      expect(resource).toContain(`VALUE "${key}", "${dotted}"`)
    }
    expect(resource).not.toContain('MP_')
    expect(resource).not.toContain('MINIPEND_')
  })

  const resourceCompiler = firstThatRuns(['llvm-rc-19', 'llvm-rc-20', 'llvm-rc-18'])
  it.skipIf(resourceCompiler === undefined)('compiles to a resource of a driver', () => {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-rc-'))
    try {
      const file = path.join(directory, 'minipend.res')
      const result = spawnSync(resourceCompiler ?? '', ['/FO', file, '--', script], { encoding: 'utf8' })
      expect([result.status, result.stderr]).toEqual([0, ''])
      const bytes = readFileSync(file)
      const at = bytes.indexOf(Buffer.from([0xbd, 0x04, 0xef, 0xfe])) // VS_FIXEDFILEINFO.dwSignature
      const word = (index: number): number => bytes.readUInt32LE(at + 4 * index)
      const [major = 0, minor = 0, patch = 0] = version
      expect([word(2), word(3)]).toEqual([(major << 16) | minor, patch << 16]) // dwFileVersion
      expect([word(4), word(5)]).toEqual([(major << 16) | minor, patch << 16]) // dwProductVersion
      expect([word(9), word(10)]).toEqual([3, 7]) // VFT_DRV, VFT2_DRV_SYSTEM
      expect(bytes.includes(Buffer.from(dotted, 'utf16le'))).toBe(true)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
