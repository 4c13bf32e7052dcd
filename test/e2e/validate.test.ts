// SPDX-License-Identifier: MIT
//
// `minipend validate` with vitest: some of the real cases through the program, and cases made for this that fail in every way.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { DOMParser } from '@xmldom/xmldom'
import { afterAll, expect, test, vi } from 'vitest'
import type { CaseResult, ResultDocument } from '../../src/cli/validate/document.js'

// It starts a vitest of its own, on a machine that is busy with this one.
vi.setConfig({ testTimeout: 120_000 })

const root = fileURLToPath(new URL('../..', import.meta.url))
// Inside the package, where cases find vitest.
const directory = mkdtempSync(path.join(root, 'build', 'validate-'))
afterAll(() => rmSync(directory, { recursive: true }))

function node(...args: string[]): { status: number | null; out: string; err: string } {
  const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: '1' }
  // It is not a worker of this vitest.
  delete env['VITEST']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, env, encoding: 'utf8' })
  return { status, out: stdout, err: stderr }
}

test('runs the cases that a filter selects, and writes what became of them', () => {
  const [junit, out] = [path.join(directory, 'junit.xml'), path.join(directory, 'out.json')]
  const program = path.join(root, 'dist', 'cli', 'main.js')
  const ran = node(program, 'validate', '--filter', 'post-29', '--json', '--junit', junit, '--out', out)
  expect(ran).toMatchObject({ status: 0, err: '' })
  const document = JSON.parse(ran.out) as ResultDocument
  expect(document).toEqual(JSON.parse(readFileSync(out, 'utf8')))
  expect(document.summary).toMatchObject({ failed: 0, skipped: 0 })
  expect(document.summary.passed).toBeGreaterThan(1)
  for (const { ids, outcome, counters, file, lanes } of document.cases) {
    expect({ ids, outcome, file, lanes }).toMatchObject({ outcome: 'passed', lanes: ['embedded', 'windows'] })
    expect(ids).toContain('POST-29')
    expect(counters?.after['pended']).toBeGreaterThan(0)
  }
  const xml = new DOMParser().parseFromString(readFileSync(junit, 'utf8'), 'text/xml')
  const names = [...xml.getElementsByTagName('testcase')].map((each) => each.getAttribute('name') ?? '')
  expect(names.filter((name) => name.includes('POST-29'))).toHaveLength(document.summary.passed)
})

test('says of cases that fail, are skipped or do not load what became of them', () => {
  const cases = path.join(directory, 'test', 'conformance')
  mkdirSync(cases, { recursive: true })
  const source = `import { describe, expect, it } from 'vitest'
    describe('topic', () => {
      it('passes', { meta: { conformance: { ids: ['POST-27'], evidence: ['E'], lanes: ['embedded'] } } }, () => {})
      it('fails', () => expect(1).toBe(2))
      it.skip('is skipped', () => {})
    })`
  writeFileSync(path.join(cases, 'a.test.ts'), source)
  writeFileSync(path.join(cases, 'b.test.ts'), `throw new Error('it does not load')`)
  const script = path.join(directory, 'run.ts')
  const suite = pathToFileURL(path.join(root, 'src', 'cli', 'validate', 'suite.ts')).href
  const options = `{ backend: 'embedded', stop: new AbortController().signal, onCase: () => {}, onStart: (name) => started.push(name), root: ${JSON.stringify(directory)} }`
  writeFileSync(
    script,
    `import { runSuite } from ${JSON.stringify(suite)}
     const started = []
     runSuite(${options}).then((cases) => process.stdout.write(JSON.stringify({ cases, started })))`,
  )
  const ran = node('--import', 'tsx', script)
  const { cases: found, started } = JSON.parse(ran.out) as { cases: CaseResult[]; started: string[] }
  expect(ran.status, 'vitest does not decide').toBe(0)
  expect(found).toMatchObject([
    { topic: 'topic', name: 'passes', outcome: 'passed', ids: ['POST-27'], file: 'test/conformance/a.test.ts' },
    { topic: 'topic', name: 'fails', outcome: 'failed', ids: [] },
    { topic: 'topic', name: 'is skipped', outcome: 'skipped' },
    { topic: 'test/conformance/b.test.ts', name: 'the file runs', outcome: 'failed', error: 'it does not load' },
  ])
  expect(started).toEqual(expect.arrayContaining(['topic: passes', 'topic: fails']))
  expect(found[1]?.error).toContain('expected 1 to be 2')
})
