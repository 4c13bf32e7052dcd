// SPDX-License-Identifier: MIT

import { expect, test } from 'vitest'
import { EXIT } from '../../../src/cli/exit-codes.js'
import { packageVersion, runCommandLine } from '../../../src/cli/program.js'
import { InstallationError } from '../../../src/index.js'
import { rememberingTerminal, testContext } from './support.js'

async function commandLine(...args: string[]): Promise<{ code: number | undefined; out: string; err: string }> {
  const terminal = rememberingTerminal()
  const open = (): Promise<never> =>
    Promise.reject(new InstallationError('BUILD_MISSING', 'the addon is missing', { hint: 'build it: npm run build' }))
  const code = await runCommandLine(args, (json) => ({ ...testContext(), terminal, json, open }))
  return { code, ...terminal.text }
}

test('without a command: the help, on stderr, and the code for a wrong command line', async () => {
  const { code, out, err } = await commandLine()
  expect(code).toBe(EXIT.usage)
  expect(out).toBe('')
  expect(err).toContain('Usage: minipend')
})

test('--help lists the commands, examples and exit codes', async () => {
  const { code, out } = await commandLine('--help')
  expect(code).toBe(EXIT.ok)
  for (const word of [
    'demo',
    'run',
    'doctor',
    'stat',
    'rules',
    'instances',
    'host',
    'traffic',
    'validate',
    'undo',
    'compare',
    'Examples:',
    'Exit codes:',
    '130',
  ]) {
    expect(out).toContain(word)
  }
})

test('--version is that of the package', async () => {
  expect(await commandLine('--version')).toMatchObject({ code: EXIT.ok, out: `${packageVersion()}\n` })
})

test.each([
  [['dmeo'], "unknown command 'dmeo'", '(Did you mean demo?)'],
  [['demo', '--sede', '1'], "unknown option '--sede'", '(Did you mean --seed?)'],
  [['demo', '--seed', '-1'], "option '--seed <number>' argument '-1' is invalid", 'Expected an integer from 0'],
  [['demo', '--seed', '18446744073709551616'], 'is invalid', 'to 18446744073709551615'],
  [['demo', '--files', '0'], 'is invalid', 'Expected an integer from 1 to 200.'],
  [['demo', '--duration-ms', '1e3'], 'is invalid', 'Expected an integer from 0 to 60000.'],
  [['demo', 'extra'], 'too many arguments', "for 'demo'"],
  [['run'], "missing required argument 'script'", ''],
  [['stat', '--backend', 'windwos'], "argument 'windwos' is invalid", 'Allowed choices are windows, embedded.'],
  [['stat', '--watch', '5'], 'is invalid', 'Expected an integer from 50'],
  [['validate', '--reading', 'close-irq=apc'], 'There is no reading "close-irq".', 'There are read-write-flush, '],
  [['validate', '--reading', 'close-irql'], 'is invalid', 'Expected close-irql=apc or close-irql=passive.'],
  [['traffic'], "missing required argument 'workload'", ''],
  [
    ['traffic', 'game'],
    "argument value 'game' is invalid",
    'Allowed choices are editor-save, database-log, build-tree',
  ],
  [['validate', '--backend', 'model'], "argument 'model' is invalid", 'Allowed choices are embedded, windows.'],
  [['validate', '--filter'], "option '--filter <text>' argument missing", ''],
  [['validate', '--limit-minutes', '0'], 'is invalid', 'Expected an integer from 1 to 10000.'],
  [['validate', '--backend', 'windows', '--prepared', '--dry-run'], "option '--prepared' cannot be used with", ''],
  [['undo', 'extra'], 'too many arguments', "for 'undo'"],
  [['validate', 'extra'], 'too many arguments', "for 'validate'"],
  [['compare', 'a.json'], "missing required argument 'second'", ''],
  [['traffic', 'copy', '--operations', '0'], 'is invalid', 'Expected an integer from 1 to 100000000.'],
])('%j is a wrong command line, and says why', async (args, message, more) => {
  const { code, out, err } = await commandLine(...args)
  expect(code).toBe(EXIT.usage)
  expect(out).toBe('')
  expect(err).toContain(message)
  expect(err).toContain(more)
  expect(err).toContain('(minipend --help says more)')
})

test('an error is shown with what to do', async () => {
  const { code, out, err } = await commandLine('demo')
  expect({ code, out }).toEqual({ code: EXIT.environment, out: '' })
  expect(err).toBe('minipend: the addon is missing\n  what to do: build it: npm run build\n')
})

test.each([[['demo', '--json']], [['--json', 'demo']]])('%j: an error is one JSON document', async (args) => {
  const { code, out, err } = await commandLine(...args)
  expect({ code, err }).toEqual({ code: EXIT.environment, err: '' })
  expect(JSON.parse(out)).toEqual({
    ok: false,
    error: {
      name: 'InstallationError',
      code: 'BUILD_MISSING',
      message: 'the addon is missing',
      hint: 'build it: npm run build',
    },
  })
})

test('a script that is not there', async () => {
  const { code, err } = await commandLine('run', 'no-such-script.ts')
  expect(code).toBe(EXIT.input)
  expect(err).toContain('run: cannot find the script "no-such-script.ts"')
  expect(err).toContain('what to do: give the path of a .ts or .js file; looked for /')
})

test('a directory is no script', async () => {
  const { code, err } = await commandLine('run', import.meta.dirname)
  expect(code).toBe(EXIT.input)
  expect(err).toContain('is not a file')
})

test('what a run on a Windows test machine would do is shown anywhere', async () => {
  const { code, out, err } = await commandLine('validate', '--backend', 'windows', '--dry-run', '--verifier')
  expect({ code, err }).toEqual({ code: EXIT.ok, err: '' })
  expect(out).toContain('fltmc load minipend')
  expect(out).toContain('verifier /reset')
})

test.each([['validate', '--backend', 'windows'], ['undo']])('%s: not here', async (...args) => {
  expect(await commandLine(...args)).toMatchObject({ code: EXIT.unavailable, out: '' })
})
