// SPDX-License-Identifier: MIT
//
// This module provides: tests that keep the documentation true: files and test cases that it names exist, everything that is not modelled is
// listed, and the README's refusals are the protocol's.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

import { readingsPage, readReadings } from '../../scripts/generate-readings.mjs'
import { REFUSALS } from '../../src/generated/protocol.js'
import { generatePage } from '../fidelity/generate.js'
import { readSources } from '../fidelity/sources.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

function filesUnder(path: string, endings: readonly string[]): string[] {
  return readdirSync(join(root, path), { recursive: true, encoding: 'utf8' })
    .map((name) => join(path, name))
    .filter((name) => endings.some((ending) => name.endsWith(ending)))
}

const FIDELITY = read('docs/FIDELITY.md')
/** Without code blocks: what stands in backticks. */
function inBackticks(page: string): string[] {
  const prose = page.replaceAll(/^```[^]*?^```/gm, '')
  return [...prose.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '')
}

/** A page says "`flt/port.cpp`" of the model, and gives only the name of a file where its place is plain. */
const HOMES = ['', 'native/fltsim/src']
const NAMES = new Set(
  ['driver', 'native', 'src', 'test'].flatMap((home) => filesUnder(home, ['']).map((path) => basename(path))),
)
/** Files that a reader makes. */
const EXAMPLES = ['demo.ts']
const BUILT = ['src/generated/', 'build/', 'dist/']
const FILE_ENDING = /\w\.(c|h|cpp|hpp|inc|ts|mjs|md|json|gyp|yml)$/
/** Made by a build elsewhere. */
const OUTPUTS = ['minipend.sys']

function namesAFile(text: string): boolean {
  if (
    /[\s<>(),;'"=\\$:]/.test(text.replaceAll(/\{[^}]*\}/g, '')) ||
    text.startsWith('@') ||
    text.startsWith('-') ||
    OUTPUTS.includes(text)
  ) {
    return false
  }
  const directory = /^[\w.{},/-]+\/$/.test(text) || /^(src|test|docs|driver|native|scripts)\/[\w./{},*-]+$/.test(text)
  return directory || FILE_ENDING.test(text.replace(/\}$/, ''))
}

function expandBraces(text: string): string[] {
  const match = /^(.*)\{([^}]*)\}(.*)$/.exec(text)
  return match === null
    ? [text]
    : (match[2] ?? '').split(',').map((part) => `${match[1] ?? ''}${part}${match[3] ?? ''}`)
}

function fileExists(path: string): boolean {
  if (BUILT.some((prefix) => path.startsWith(prefix)) || EXAMPLES.includes(path)) {
    return true
  }
  if (!path.includes('/') && !existsSync(join(root, path))) {
    return NAMES.has(path)
  }
  const star = path.indexOf('*')
  const fixed = star < 0 ? path : path.slice(0, path.lastIndexOf('/', star))
  return HOMES.some((home) => existsSync(join(root, home, fixed)))
}

function missingFiles(page: string): string[] {
  return inBackticks(page)
    .filter((text) => namesAFile(text) && !citedNativeCase(text))
    .flatMap((text) => expandBraces(text))
    .filter((path) => !fileExists(path))
}

describe('files', () => {
  test.each([
    'README.md',
    'docs/ARCHITECTURE.md',
    'docs/FIDELITY.md',
    'docs/PROTOCOL.md',
    'docs/CLI.md',
    'docs/CONFORMANCE.md',
    'docs/VM.md',
  ])('that %s names exist', (page) => {
    expect(missingFiles(read(page))).toEqual([])
  })

  test.each([
    'README.md',
    'docs/ARCHITECTURE.md',
    'docs/FIDELITY.md',
    'docs/PROTOCOL.md',
    'docs/CLI.md',
    'docs/CONFORMANCE.md',
    'docs/VM.md',
  ])('that %s links to exist', (page) => {
    const targets = [...read(page).matchAll(/\]\(([^)#]+)/g)].map((match) => match[1] ?? '')
    const local = targets.filter((target) => !target.includes('://'))
    expect(local.filter((target) => !existsSync(join(root, page, '..', target)))).toEqual([])
  })

  test('the check finds what is not there', () => {
    const wrong = ['src/nowhere/x.ts', 'nowhere.c', 'native/fltsim/src/{flt,nowhere}/', 'test/nowhere/']
    expect(missingFiles(wrong.map((name) => `\`${name}\``).join(' '))).toHaveLength(4)
  })
})

const NATIVE_SOURCES = filesUnder('test/native', ['.cpp'])
const STEMS = new Map(NATIVE_SOURCES.map((path) => [basename(path, '.cpp'), path]))

function citedNativeCase(text: string): { path: string; name: string } | undefined {
  const match = /^(\w+)\.(\w+)$/.exec(text)
  const path = STEMS.get(match?.[1] ?? '')
  return path === undefined || FILE_ENDING.test(text) ? undefined : { path, name: match?.[2] ?? '' }
}

function missingCases(page: string): string[] {
  const native = inBackticks(page).filter(
    (text) => /^[a-z_]+\.[a-z_0-9]+$/.test(text) && !FILE_ENDING.test(text) && !OUTPUTS.includes(text),
  )
  const wrongNative = native.filter((text) => {
    const cited = citedNativeCase(text)
    return cited === undefined || !new RegExp(`TEST\\(${cited.name}\\)`).test(read(cited.path))
  })
  const vitest = [...page.matchAll(/`(test\/[\w./-]+\.test\.ts)`: \*([^*]+)\*/g)]
  const wrongVitest = vitest
    .filter(([, path = '', name = '']) => !existsSync(join(root, path)) || !read(path).includes(`'${name}'`))
    .map((match) => match[0])
  return [...wrongNative, ...wrongVitest]
}

describe('docs/FIDELITY.md', () => {
  test('is what it is made from: after a change, npm run fidelity', () => {
    expect(FIDELITY).toBe(generatePage(readSources()))
  })

  test.each([
    ['a rule that nobody knows', '\n## What is modelled\n\n| x | POST-99 | y |\n', /names the rule POST-99/],
    ['a part that there is not', '\n{{nothing}}\n', /there is no part {{nothing}}; there are numbers, rules, calls/],
    ['a page without the rules', '\n{{numbers}}\n{{calls}}\n', /leaves out {{rules}}/],
  ])('is not made from %s', (_, page, message) => {
    expect(() => generatePage({ ...readSources(), page })).toThrow(message)
  })

  test('cites test cases that exist', () => {
    expect(inBackticks(FIDELITY).filter((text) => citedNativeCase(text)).length).toBeGreaterThan(80)
    expect(missingCases(FIDELITY)).toEqual([])
    const wrong = '`pend.no_such_case`, `nowhere.both_orders`, `test/e2e/files.test.ts`: *no such case*'
    expect(missingCases(wrong)).toHaveLength(3)
  })

  test('lists everything that stops as not modelled', () => {
    const start = FIDELITY.indexOf('## What is not modelled')
    const list = FIDELITY.slice(start, FIDELITY.indexOf('\n## ', start + 1))
    const wanted = new Set<string>()
    for (const path of filesUnder('native/fltsim/src', ['.cpp'])) {
      for (const match of read(path).matchAll(
        /unmodelled\(\s*(?:"([^"]+)"|[^",]+)\s*(?:,\s*(?:std::string\()?"([^"]+)")?/g,
      )) {
        const what = match[2]?.replace(/:.*$/, '').trim()
        for (const text of [match[1], what]) {
          if (text !== undefined) {
            wanted.add(text)
          }
        }
      }
      for (const match of read(path).matchAll(/^FLTSIM_NO_CONTEXT\((\w+)/gm)) {
        wanted.add(match[1] ?? '')
      }
    }
    expect(wanted.size).toBeGreaterThan(40)
    expect([...wanted].filter((text) => !list.includes(text))).toEqual([])
  })

  test('counts the KMDF functions that stop', () => {
    const all = read('native/fltsim/src/wdf/function_names.inc').match(/^WDF_FUNCTION\(\w+\)/gm)?.length ?? 0
    const served = read('native/fltsim/src/wdf/table.cpp').match(/^ {4}set(<\w+>)?\(/gm)?.length ?? 0
    expect(served).toBeGreaterThan(0)
    expect(FIDELITY).toContain(`**KMDF: ${String(all - served)} of the ${String(all)} functions**`)
    expect(FIDELITY).toContain(`Of the ${String(served)} others`)
  })

  test("names each of the verifier's rules", () => {
    const verifier = FIDELITY.slice(FIDELITY.indexOf('## The verifier'))
    const rules = new Set<string>()
    for (const path of filesUnder('native/fltsim/src', ['.cpp', '.hpp'])) {
      for (const match of read(path).matchAll(
        /\b(?:bugcheck|bad_pre|stop|report_stuck)\(\s*(?:std::string\()?"([A-Z][\w/-]+)/g,
      )) {
        rules.add(match[1] ?? '')
      }
      for (const match of read(path).matchAll(/leak\([^;]*?[([](V\d+)[)\]]/g)) {
        rules.add(match[1] ?? '')
      }
    }
    expect(rules.size).toBeGreaterThan(30)
    expect([...rules].filter((rule) => !new RegExp(`(^|[^\\w])${rule}($|[^\\w])`, 'm').test(verifier))).toEqual([])
  })

  test("says of Driver Verifier's codes only rules that there are", () => {
    const sources = filesUnder('native/fltsim/src', ['.cpp', '.hpp']).map(read).join('\n')
    const table = FIDELITY.slice(
      FIDELITY.indexOf("What Driver Verifier's bug check 0xC4"),
      FIDELITY.indexOf('What Windows and its verifiers'),
    )
    const names = [...table.matchAll(/^\| [\dA-F., ]+\| [^|]+\| ([^|]+) \|$/gm)].flatMap(
      (row) => (row[1] ?? '').split(';')[0]?.split(', ') ?? [],
    )
    expect(names.length).toBeGreaterThan(30)
    expect(names.filter((name) => !sources.includes(`"${name}`))).toEqual([])
  })
})

test('README.md has the refusals of the protocol, in their order', () => {
  const page = read('README.md')
  const start = page.indexOf('## Why an operation was not pended')
  const section = page.slice(start, page.indexOf('\n## ', start + 1))
  const rows = [...section.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1])
  expect(rows).toEqual(REFUSALS.map((refusal) => refusal.name))
})

describe('docs/READINGS.md', () => {
  const page = read('docs/READINGS.md')

  test('has the table of readings', () => {
    expect(readingsPage(page)).toBe(page)
  })

  test('accounts for every question that sources answer differently', () => {
    const switched = readReadings().flatMap(({ rules }) => rules)
    const without = [...page.matchAll(/^\| (X\d\d): /gm)].map((match) => match[1] ?? '')
    const all = [...without, ...switched.filter((id) => id.startsWith('X'))].sort()
    expect(all).toEqual(Array.from({ length: 25 }, (_, index) => `X${String(index + 1).padStart(2, '0')}`))
  })
})

describe('DRIVER.md', () => {
  test('gives the IRQL of every function that a header of the driver declares', () => {
    const page = read('docs/DRIVER.md')
    const documented = [...page.matchAll(/^\| `(\w+\.h)` \| (\w+) \| (.*) \|$/gm)].flatMap(([, header, irql, names]) =>
      inBackticks(names ?? '').map((name) => `${header}: ${name} at ${irql}`),
    )
    const declared = filesUnder('driver', ['.h']).flatMap((path) =>
      [...read(path).matchAll(/_IRQL_requires_max_\((\w+)\)[^;{]*?\b(Mp\w+)\(/g)].map(
        ([, irql, name]) => `${basename(path)}: ${name} at ${irql}`,
      ),
    )
    expect(declared.length).toBeGreaterThan(50)
    expect(documented.sort()).toEqual(declared.sort())
  })
})
