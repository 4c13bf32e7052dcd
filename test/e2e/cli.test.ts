// SPDX-License-Identifier: MIT
//
// The program as a user starts it: dist/cli/main.js in a process of its own, with the model.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test, vi } from 'vitest'

// Starting processes takes long on a busy machine, and there the demo tries again for up to about a minute.
vi.setConfig({ testTimeout: 240_000 })

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const directory = mkdtempSync(path.join(tmpdir(), 'minipend cli é'))
afterAll(() => {
  rmSync(directory, { recursive: true })
})

interface Result {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

interface StartOptions {
  readonly env?: NodeJS.ProcessEnv
  /** Called with everything written so far. */
  readonly onOut?: (text: string, child: ReturnType<typeof spawn>) => void
}

function start(args: readonly string[], options: StartOptions = {}): Promise<Result> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, NO_COLOR: '1', ...options.env }
    const child = spawn(process.execPath, [program, ...args], {
      cwd: directory,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let out = ''
    let err = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text
      options.onOut?.(out, child)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, out, err }))
  })
}

const minipend = (...args: string[]): Promise<Result> => start(args)

function script(name: string, lines: readonly string[]): string {
  writeFileSync(path.join(directory, name), `${lines.join('\n')}\n`)
  return name
}

interface DemoDocument {
  ok: boolean
  seed: string
  heldRename: { visibleWhileCallerWaited: boolean; callerWaitedMs: number }
  refusals: { cause: string; counted: number }[]
  balance: { exact: boolean; problems: string[] }
  counters: { pended: number; completed: number; inFlight: number }
}

test('demo --json: everything is shown, and the balance is exact', async () => {
  const { code, out, err } = await minipend('demo', '--json', '--seed', '0x2a', '--duration-ms', '300')
  expect(err).toBe('')
  const shown = JSON.parse(out) as DemoDocument
  expect(shown).toMatchObject({ ok: true, seed: '42', balance: { exact: true, problems: [] } })
  expect(shown.heldRename.visibleWhileCallerWaited).toBe(true)
  expect(shown.heldRename.callerWaitedMs).toBeGreaterThanOrEqual(199)
  expect(shown.counters.pended).toBeGreaterThan(10)
  expect(shown.counters).toMatchObject({ completed: shown.counters.pended, inFlight: 0 })
  const counted = Object.fromEntries(shown.refusals.map(({ cause, counted }) => [cause, counted]))
  for (const cause of ['notIrp', 'paging', 'policy', 'topLevelIrp', 'allocation', 'unsafe', 'draining']) {
    expect(counted[cause], cause).toBeGreaterThan(0)
  }
  expect(code).toBe(0)
})

test('demo as text', async () => {
  const { code, out, err } = await minipend('demo', '--duration-ms', '200', '--files', '1')
  expect(err).toBe('')
  expect(out).toContain('report.done is there, while the caller of rename() still waits')
  expect(out).toMatch(/D: +rename +\d+ /)
  expect(out).toContain('exact, for every operation of every instance')
  expect(out).not.toContain('\u001B')
  expect(code).toBe(0)
})

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends the demo in order', async (signal, expected) => {
  let sent = false
  const result = await start(['demo', '--duration-ms', '60000'], {
    onOut: (text, child) => {
      if (!sent && text.includes('Files are written')) {
        sent = child.kill(signal)
      }
    },
  })
  expect(result).toMatchObject({ code: expected, signal: null, err: 'minipend: stopping; once more stops at once\n' })
})

test('a reader that goes away ends the demo', async () => {
  const result = await start(['demo', '--duration-ms', '60000'], {
    onOut: (_text, child) => {
      child.stdout?.destroy()
    },
  })
  expect(result).toMatchObject({ code: 141, err: '' })
})

test('run: TypeScript, await using, imports, and "minipend" outside of any package', async () => {
  script('helper.ts', [
    "import { OPERATION_NAMES } from 'minipend'",
    'export const operations: number = OPERATION_NAMES.length',
  ])
  const name = script('rename.ts', [
    "import { openMinipend, pend, type Counters } from 'minipend'",
    "import { operations } from './helper.js'",
    'enum Exact { no, yes }',
    "await using mp = await openMinipend({ backend: 'embedded', seed: 1 })",
    "await using instance = await mp.attach('D:')",
    "await mp.rules.set([{ on: ['rename'], action: pend({ delayMs: 10 }) }])",
    "await mp.io.writeFile('D:\\\\a', 'hello')",
    "await mp.io.rename('D:\\\\a', 'D:\\\\b')",
    'const c: Counters = await mp.counters()',
    'console.log(JSON.stringify([Exact[Number(c.balance.exact)], String(c.pended), operations > 0, process.argv.slice(2)]))',
  ])
  expect(await minipend('run', name, '--json', 'x', '-y')).toEqual({
    code: 0,
    signal: null,
    out: '["yes","1",true,["--json","x","-y"]]\n',
    err: '',
  })
})

test('run: JavaScript, as a module and as CommonJS', async () => {
  const asModule = script('m.js', [
    "import { pend } from 'minipend'",
    'console.log(await Promise.resolve(pend().kind))',
  ])
  expect(await minipend('run', asModule)).toMatchObject({ code: 0, out: 'pend\n' })
  const common = script('c.cjs', ["console.log(require('node:path').posix.sep)"])
  expect(await minipend('run', common)).toMatchObject({ code: 0, out: '/\n' })
})

test('run: an error of the library is shown with its place and what to do', async () => {
  const name = script('bad-rule.ts', [
    "import { openMinipend, pend } from 'minipend'",
    "await using mp = await openMinipend({ backend: 'embedded' })",
    "await mp.rules.set([{ on: ['renmae' as 'rename'], action: pend() }])",
  ])
  const text = await minipend('run', name)
  expect(text).toMatchObject({ code: 1, out: '' })
  expect(text.err).toContain('rules[0].on[0]: unknown operation "renmae"; did you mean "rename"?')
  expect(text.err).toMatch(/at .*bad-rule\.ts:3/)
  expect(text.err).toContain('what to do: ')

  const json = await minipend('run', '--json', name)
  expect(json).toMatchObject({ code: 1, out: '' })
  expect(JSON.parse(json.err)).toMatchObject({ ok: false, error: { code: 'INVALID_RULE' } })
})

test.each([
  ['own exit code', ['process.exitCode = 7'], 7, ''],
  ['process.exit() while it waits', ['setTimeout(() => process.exit(0), 5)', 'await new Promise(() => {})'], 0, ''],
  ['throws', ["throw new Error('boom')"], 1, 'minipend: Error: boom\n'],
  ['throws later', ["setTimeout(() => { throw new Error('late') }, 5)"], 1, 'Error: late'],
  ['unhandled rejection', ["void Promise.reject(new Error('nobody'))"], 1, 'Error: nobody'],
  ['waits for nothing', ['await new Promise(() => {})'], 1, 'ended while it was waiting'],
  ['is no TypeScript', ['const a: = 1'], 5, ':1:9: ERROR: Unexpected "="'],
  ['imports what is not there', ["import { x } from './nowhere.js'", 'console.log(x)'], 5, 'nowhere.js'],
])('run: a script that %s', async (what, lines, code, message) => {
  const name = script(`${what.replace(/\W+/g, '-')}.ts`, [...lines, 'export {}'])
  const result = await minipend('run', name)
  expect(result).toMatchObject({ code, signal: null, out: '' })
  expect(result.err).toContain(message)
})

test('run: a file that is not there', async () => {
  const { code, err } = await minipend('run', 'nowhere.ts')
  expect(code).toBe(5)
  expect(err).toContain('cannot find the script "nowhere.ts"')
})

test('doctor: the embedded backend works', async () => {
  const { code, out } = await minipend('doctor', '--json')
  const { ok, checks } = JSON.parse(out) as { ok: boolean; checks: { id: string; status: string }[] }
  const status = Object.fromEntries(checks.map(({ id, status }) => [id, status]))
  expect(status).toMatchObject({ node: 'ok', addon: 'ok', model: 'ok', driverImage: 'ok', embedded: 'ok' })
  expect({ ok, code }).toEqual({ ok: true, code: 0 })
})

test('doctor and demo without a build say what to do', async () => {
  const env = {
    MINIPEND_BUILD_DIR: path.join(directory, 'empty'),
    MINIPEND_ADDON: path.join(directory, 'empty', 'no.node'),
  }
  const doctor = await start(['doctor'], { env })
  expect(doctor.code).toBe(1)
  expect(doctor.out).toContain('FAILED   Embedded backend  the compiled addon is missing')
  expect(doctor.out).toContain('what to do: build it: npm run build')
  const demo = await start(['demo'], { env })
  expect(demo).toMatchObject({ code: 3, out: '' })
  expect(demo.err).toContain('the compiled addon is missing')
})

test.runIf(process.platform !== 'win32')('stat needs a driver outside of this process', async () => {
  expect(await minipend('stat', '--backend', 'embedded')).toMatchObject({
    code: 4,
    err: expect.stringContaining('the embedded model lives in one process') as string,
  })
  expect(await minipend('instances')).toMatchObject({
    code: 4,
    err: expect.stringContaining('needs Windows with the minipend driver loaded') as string,
  })
})

test('a wrong command line', async () => {
  expect(await minipend('demoo')).toMatchObject({
    code: 2,
    out: '',
    err: expect.stringContaining('Did you mean demo?') as string,
  })
})

test('what is tried first on a Windows machine works on the model', async () => {
  const attempt = fileURLToPath(new URL('../../scripts/windows/try.ts', import.meta.url))
  const { code, out, err } = await minipend('run', attempt, 'embedded', 'D:')
  expect(err).toBe('')
  expect(out).toContain('2 operations pended and given back on D:, the balance is exact')
  expect(code).toBe(0)
  const elsewhere = await minipend('run', attempt, 'elsewhere')
  expect(elsewhere.err).toContain('usage: try.ts windows|embedded [VOLUME]')
  expect(elsewhere.code).not.toBe(0)
})
