// SPDX-License-Identifier: MIT
//
// `minipend validate` without its cases: what they gave is made up here. The real ones: test/e2e/validate.test.ts.

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DOMParser } from '@xmldom/xmldom'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { EXIT, exitCodeOf } from '../../../src/cli/exit-codes.js'
import { describeError } from '../../../src/cli/problems.js'
import { type CaseResult, readResultDocument, type ResultDocument } from '../../../src/cli/validate/document.js'
import { escapeHtml, htmlOf } from '../../../src/cli/validate/html.js'
import { runSuite, type SuiteOptions } from '../../../src/cli/validate/suite.js'
import { checkLane, validate } from '../../../src/cli/validate/validate.js'
import { rememberingTerminal, testContext } from './support.js'

const directory = mkdtempSync(path.join(tmpdir(), 'minipend-validate-'))
afterAll(() => rmSync(directory, { recursive: true }))
const file = (name: string): string => path.join(directory, name)

const CASE: CaseResult = {
  ...{ topic: 'topic', name: 'a case [POST-27]', file: 'test/conformance/a.test.ts', ids: ['POST-27'] },
  ...{ evidence: ['E'], lanes: ['embedded'], outcome: 'passed', durationMs: 3, error: null },
  counters: { before: {}, after: { pended: 1 } },
}
const FAILED: CaseResult = { ...CASE, name: 'another <b>', outcome: 'failed', error: 'expected 1\nreceived "<2>"' }
const SKIPPED: CaseResult = { ...CASE, name: 'a third', topic: 'later', outcome: 'skipped', counters: null }

const giving =
  (...cases: CaseResult[]) =>
  (options: SuiteOptions): Promise<readonly CaseResult[]> => {
    cases.forEach(options.onCase)
    return Promise.resolve(cases)
  }

const messageOf = (error: unknown): string => describeError(error, rememberingTerminal().colors)
const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

describe('the command', () => {
  test('shows failures, topics and the sum, and ends with 1', async () => {
    const context = testContext()
    const code = await validate(context, { backend: 'embedded' }, { run: giving(CASE, FAILED, SKIPPED) })
    expect(code).toBe(EXIT.failed)
    expect(context.terminal.text.out.split('\n')).toEqual([
      'failed  topic: another <b>',
      '        expected 1',
      'topic  1 passed, 1 failed, 0 skipped',
      'later  0 passed, 0 failed, 1 skipped',
      '1 passed, 1 failed, 1 skipped',
      '',
    ])
  })

  test('ends with 0 when none failed, and gives the same document to a file and to stdout', async () => {
    const context = testContext({ json: true })
    const options = { backend: 'embedded', out: file('out.json'), html: file('out.html'), filter: 'POST' } as const
    expect(await validate(context, options, { run: giving(CASE, SKIPPED) })).toBe(EXIT.ok)
    expect(context.terminal.text.out).toBe(readFileSync(file('out.json'), 'utf8'))
    const document = readResultDocument('compare', file('out.json'))
    expect(document).toMatchObject({
      ...{ schema: 'minipend-conformance', schemaVersion: 1, backend: 'embedded', filter: 'POST' },
      ...{ summary: { passed: 1, failed: 0, skipped: 1 }, cases: [CASE, SKIPPED], node: process.version },
      machine: { platform: 'linux', arch: process.arch },
    })
    expect(document.driver?.sha256).toMatch(/^[0-9a-f]{64}$/)
    expect(readFileSync(file('out.html'), 'utf8')).toContain('1 passed, 0 failed, 1 skipped')
  })

  test('passes readings on, to the document too', async () => {
    const context = testContext({ json: true })
    const reading = { 'close-irql': 'passive', 'unqueued-pend': 'fatal' } as const
    const options = { backend: 'embedded', reading, html: file('out.html'), out: file('read.json') } as const
    let given: unknown
    const run = (suite: SuiteOptions): Promise<readonly CaseResult[]> => {
      given = suite.readings
      return giving(CASE)(suite)
    }
    expect(await validate(context, options, { run })).toBe(EXIT.ok)
    expect(given).toEqual(reading)
    expect(readResultDocument('compare', file('read.json')).readings).toEqual(reading)
    expect(readFileSync(file('out.html'), 'utf8')).toContain('close-irql=passive,unqueued-pend=fatal')
  })

  test('has readings for the model alone', async () => {
    const environment = { backend: 'windows', reading: { 'close-irql': 'passive' } } as const
    vi.stubEnv('MINIPEND_NTFS', 'V:')
    vi.stubEnv('MINIPEND_FAT', 'W:')
    const context = { ...testContext(), platform: 'win32' } as const
    const error = await caught(validate(context, environment, { run: giving(CASE) }))
    vi.unstubAllEnvs()
    expect(exitCodeOf(error)).toBe(EXIT.usage)
    expect(messageOf(error)).toContain('validate: --reading is for the model')
  })

  test.each(['out', 'html'] as const)('says that --%s cannot be written', async (option) => {
    const options = { backend: 'embedded', [option]: file('none/x') } as const
    const error = await caught(validate(testContext(), options, { run: giving(CASE) }))
    expect(exitCodeOf(error)).toBe(EXIT.input)
    expect(messageOf(error)).toContain(`minipend: validate: --${option}: cannot write "${file('none/x')}": ENOENT`)
    expect(messageOf(error)).toContain('what to do: name a file in a directory that exists')
  })

  test('says that the filter fits nothing', async () => {
    const error = await caught(validate(testContext(), { backend: 'embedded', filter: 'POST-99' }, { run: giving() }))
    expect(exitCodeOf(error)).toBe(EXIT.usage)
    expect(messageOf(error)).toBe(
      'minipend: validate: no case has "POST-99" in its topic, its name or its rules\n' +
        '  what to do: --filter takes a part of one: an id such as POST-27, or a word of a name\n',
    )
  })
})

describe('what is missing', () => {
  const options: SuiteOptions = {
    ...{ backend: 'embedded', filter: undefined, junit: undefined, root: directory },
    stop: new AbortController().signal,
    onCase: () => undefined,
  }
  const CLONE = '  what to do: in a clone of the repository: npm ci, npm run build, npx minipend validate\n'

  test('the cases', async () => {
    const error = await caught(runSuite(options))
    expect(exitCodeOf(error)).toBe(EXIT.environment)
    expect(messageOf(error)).toBe(`minipend: validate: the conformance cases (test/conformance) are not here\n${CLONE}`)
  })

  test('vitest', async () => {
    mkdirSync(file('test/conformance'), { recursive: true })
    const loadVitest = (): Promise<never> => Promise.reject(new Error('ERR_MODULE_NOT_FOUND'))
    const error = await caught(runSuite({ ...options, loadVitest }))
    expect(exitCodeOf(error)).toBe(EXIT.environment)
    expect(messageOf(error)).toBe(`minipend: validate: the package vitest is not installed\n${CLONE}`)
  })

  test('Windows', async () => {
    const error = await caught(validate(testContext(), { backend: 'windows' }))
    expect(exitCodeOf(error)).toBe(EXIT.unavailable)
    expect(messageOf(error)).toBe(
      'minipend: validate: --backend windows needs a Windows test machine; this is linux\n' +
        '  what to do: run it there (docs/VM.md); --dry-run shows here what it would do. Here there is the model: minipend validate, without --backend\n',
    )
  })

  test.each([
    [{}, 'MINIPEND_NTFS and MINIPEND_FAT'],
    [{ MINIPEND_NTFS: 'V:' }, 'MINIPEND_FAT'],
    [{ MINIPEND_NTFS: 'V:\\', MINIPEND_FAT: 'W:' }, 'MINIPEND_NTFS'],
  ])('the volumes: %j', (environment, missing) => {
    let error: unknown
    try {
      checkLane({ backend: 'windows', prepared: true }, 'win32', environment)
    } catch (thrown) {
      error = thrown
    }
    expect(exitCodeOf(error)).toBe(EXIT.usage)
    expect(messageOf(error)).toContain(
      `validate: --prepared: ${missing} must name a spare volume, as in "V:"\n  what to do: set MINIPEND_NTFS to`,
    )
  })

  test.each([
    ['--prepared', { prepared: true }],
    ['--verifier', { verifier: true }],
    ['--dry-run', { dryRun: true }],
    ['--package', { package: 'build' }],
    ['--state-dir', { stateDir: 'C:\\state' }],
    ['--limit-minutes', { limitMinutes: 5 }],
  ])('%s belongs to windows', async (option, given) => {
    const error = await caught(validate(testContext(), { backend: 'embedded', ...given }, { run: giving(CASE) }))
    expect(exitCodeOf(error)).toBe(EXIT.usage)
    expect(messageOf(error)).toContain(`validate: ${option} is for --backend windows`)
  })

  test('nothing', () => {
    expect(() =>
      checkLane({ backend: 'windows', prepared: true }, 'win32', { MINIPEND_NTFS: 'v:', MINIPEND_FAT: 'W:' }),
    ).not.toThrow()
    expect(() => checkLane({ backend: 'embedded' }, 'linux', {})).not.toThrow()
  })
})

describe('the page', () => {
  const document: ResultDocument = {
    ...{ schema: 'minipend-conformance', schemaVersion: 1, backend: 'embedded', startedAt: '2020-01-01T00:00:00.000Z' },
    ...{ durationMs: 5, package: { name: 'minipend', version: '0' }, node: 'v20', driver: null, filter: '<i>' },
    machine: { platform: 'linux', release: '6', arch: 'x64', processors: 2, memoryBytes: 1 },
    ...{ summary: { passed: 1, failed: 1, skipped: 1 }, cases: [CASE, SKIPPED, FAILED] },
  }
  const page = htmlOf(document)

  test('has failures first, each topic, and needs nothing else', () => {
    expect(page.indexOf('<h2>Failures</h2>')).toBeLessThan(page.indexOf('<h2>topic (2'))
    expect(page).toContain('<h2>later (1)</h2>')
    expect(page).not.toMatch(/src=|href=|@import|url\(/)
  })

  test('is well formed and escapes what cases say', () => {
    expect(page).not.toContain('<b>')
    expect(page).not.toContain('<i>')
    const errors: string[] = []
    const xml = page.replace('<!doctype html>', '').replaceAll(/<meta[^>]*>/g, '')
    new DOMParser({ onError: (_level, message) => void errors.push(message) }).parseFromString(xml, 'text/xml')
    expect(errors).toEqual([])
    expect(escapeHtml(`<a href="x">'&'</a>`)).toBe('&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;')
  })
})
