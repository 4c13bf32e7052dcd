// SPDX-License-Identifier: MIT

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { compare } from '../../../src/cli/compare.js'
import { EXIT } from '../../../src/cli/exit-codes.js'
import { runCommandLine } from '../../../src/cli/program.js'
import { testContext } from './support.js'

const directory = mkdtempSync(path.join(tmpdir(), 'minipend-compare-'))
afterAll(() => rmSync(directory, { recursive: true }))

let files = 0
function written(content: unknown): string {
  const file = path.join(directory, `${++files}.json`)
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

const CASE = {
  ...{ topic: 'topic', name: 'one', file: 'a.test.ts', ids: ['POST-27'], evidence: ['page'], lanes: ['embedded'] },
  ...{ outcome: 'passed', counters: { before: {}, after: { pended: 1 } }, durationMs: 1, error: null },
}
const DOCUMENT = {
  ...{ schema: 'minipend-conformance', schemaVersion: 1, backend: 'embedded', node: 'v20', filter: null },
  ...{ package: { name: 'minipend', version: '0.1.0' }, driver: { file: 'minipend.host.so', sha256: 'a'.repeat(64) } },
  cases: [CASE],
}

function compared(first: unknown, second: unknown): { code: number; out: string } {
  const context = testContext()
  const code = compare(context, written(first), written(second))
  return { code, out: context.terminal.text.out }
}

describe('two results', () => {
  test('that are the same', () => {
    const slower = { ...DOCUMENT, cases: [{ ...CASE, durationMs: 99 }] }
    expect(compared(DOCUMENT, slower)).toEqual({ code: EXIT.ok, out: 'the same: 1 cases\n' })
  })

  test('that differ in outcome, with the first line of the error', () => {
    const failed = { ...CASE, outcome: 'failed', error: 'expected 1\nmore' }
    expect(compared(DOCUMENT, { ...DOCUMENT, cases: [failed] })).toEqual({
      code: EXIT.failed,
      out:
        'outcome: topic: one\n  passed -> failed (expected 1)\n' +
        'what differs between the runs:\n  nothing: lane, driver image and versions are the same\n1 cases differ\n',
    })
  })

  test('that have other cases, and other counters', () => {
    const two = { ...CASE, name: 'two' }
    const counted = { ...CASE, counters: { before: {}, after: { pended: 2, failed: 1 } } }
    const other = { ...DOCUMENT, cases: [counted, { ...CASE, name: 'three' }], driver: null, filter: 'POST' }
    expect(compared({ ...DOCUMENT, cases: [CASE, two] }, other).out).toBe(
      'counters: topic: one\n  pended 1 -> 2, failed 0 -> 1\n' +
        'only in the first: topic: two\n  passed\n' +
        'only in the second: topic: three\n  passed\n' +
        'what differs between the runs:\n  driver image: minipend.host.so aaaaaaaaaaaa and unknown\n' +
        '  filter: none and POST\n3 cases differ\n',
    )
  })

  test.each([
    [['page'], ''],
    [['E', 'page'], ' (inferred, not documented: the model may be wrong)'],
    [['E', 'X'], ' (sources disagree here: the model had to choose)'],
  ])('of two lanes: what rests on %j', (evidence, said) => {
    const first = { ...DOCUMENT, cases: [{ ...CASE, evidence }] }
    const second = { ...DOCUMENT, backend: 'windows', cases: [{ ...CASE, evidence, outcome: 'failed' }] }
    const { out } = compared(first, second)
    expect(out).toContain(`  passed -> failed${said}\n`)
    expect(out).toContain('  lane: embedded and windows\n')
  })

  test('as one document', () => {
    const context = testContext({ json: true })
    const code = compare(context, written(DOCUMENT), written({ ...DOCUMENT, cases: [], node: 'v22' }))
    expect(code).toBe(EXIT.failed)
    expect(JSON.parse(context.terminal.text.out)).toEqual({
      same: false,
      differences: [
        {
          ...{ topic: 'topic', name: 'one', ids: ['POST-27'], evidence: ['page'] },
          ...{ kind: 'only in the first', what: 'passed' },
        },
      ],
      reasons: ['Node.js: v20 and v22'],
    })
  })
})

describe('a file that is of no use', () => {
  const MAKE = 'make one: minipend validate --out result.json'
  test.each<[string, unknown, string, string]>([
    ['no JSON', '{', ': cannot read "FILE": ', MAKE],
    ['another document', { schema: 'other' }, ': "FILE" is no result of minipend validate', MAKE],
    ['an array', [], ': "FILE" is no result of minipend validate', MAKE],
    [
      'another schema version',
      { ...DOCUMENT, schemaVersion: 2 },
      ': "FILE" has schema version 2, this minipend reads 1',
      'make both files with the same version of minipend',
    ],
    ['no cases', { ...DOCUMENT, cases: {} }, ': "FILE": cases is missing or malformed', MAKE],
    ['no driver', { ...DOCUMENT, driver: 7 }, ': "FILE": driver is missing or malformed', MAKE],
    [
      'a wrong case',
      { ...DOCUMENT, cases: [CASE, { ...CASE, outcome: 'perhaps' }] },
      ': "FILE": cases[1].outcome is missing or malformed',
      MAKE,
    ],
    [
      'wrong counters',
      { ...DOCUMENT, cases: [{ ...CASE, counters: { before: {}, after: { pended: '1' } } }] },
      ': "FILE": cases[0].counters is missing or malformed',
      MAKE,
    ],
  ])('%s', async (_, content, message, hint) => {
    const file = written(content)
    const context = testContext()
    const code = await runCommandLine(['compare', written(DOCUMENT), file], () => context)
    expect(code).toBe(EXIT.usage)
    expect(context.terminal.text.out).toBe('')
    expect(context.terminal.text.err).toContain(`minipend: compare${message.replace('FILE', file)}`)
    expect(context.terminal.text.err).toMatch(new RegExp(`\n  what to do: ${hint}\n$`))
  })

  test('one that is not there', async () => {
    const context = testContext()
    const file = path.join(directory, 'none.json')
    expect(await runCommandLine(['compare', file, file], () => context)).toBe(EXIT.usage)
    expect(context.terminal.text.err).toMatch(/^minipend: compare: cannot read ".*none\.json": ENOENT: no such file/)
  })
})
