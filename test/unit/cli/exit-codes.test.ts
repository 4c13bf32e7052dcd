// SPDX-License-Identifier: MIT

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { EXIT, EXIT_CODES, exitCodeOf, exitCodesHelp } from '../../../src/cli/exit-codes.js'
import { InputError, StoppedError } from '../../../src/cli/problems.js'
import {
  DriverNotLoadedError,
  FilterError,
  InstallationError,
  InvalidRuleError,
  ModelStoppedError,
  NotSupportedError,
  VersionMismatchError,
} from '../../../src/index.js'

test('the table, the help and docs/CLI.md say the same', () => {
  const page = readFileSync(new URL('../../../docs/CLI.md', import.meta.url), 'utf8')
  const documented = [...page.matchAll(/^\| (\d+) \| (.+?) \|$/gm)].map(([, code, meaning]) => ({
    code: Number(code),
    meaning,
  }))
  expect(documented).toEqual(EXIT_CODES)
  for (const { code, meaning } of EXIT_CODES) {
    expect(exitCodesHelp()).toContain(`${String(code).padEnd(4)} ${meaning}`)
  }
  expect(EXIT_CODES.map(({ code }) => code).sort()).toEqual(Object.values(EXIT).sort())
})

const report = {
  stopped: true,
  backtrace: [],
  operation: [],
  history: [],
  seed: '1',
  leaks: [],
  absentRoutines: [],
  readings: {},
  waitingForStorage: 0,
}
test.each([
  [new InputError('no such file'), EXIT.input],
  [new InvalidRuleError('rules[0]', 'bad'), EXIT.input],
  [new InstallationError('BUILD_MISSING', 'not built'), EXIT.environment],
  [new DriverNotLoadedError('not loaded'), EXIT.unavailable],
  [new VersionMismatchError('other version', { driver: 2, client: 1 }), EXIT.unavailable],
  [new NotSupportedError('cannot'), EXIT.unavailable],
  [new ModelStoppedError('stopped', report), EXIT.modelStopped],
  [new FilterError('ERROR_ACCESS_DENIED', 'denied'), EXIT.failed],
  [new Error('anything'), EXIT.failed],
  ['a text', EXIT.failed],
  [new StoppedError(130), EXIT.interrupted],
])('%s has its code', (error, code) => {
  expect(exitCodeOf(error)).toBe(code)
})

test('of a failure and a failure to close after it, the first one counts', () => {
  const both = Object.assign(new Error('both'), {
    name: 'SuppressedError',
    error: new Error('close failed'),
    suppressed: new DriverNotLoadedError('not loaded'),
  })
  expect(exitCodeOf(both)).toBe(EXIT.unavailable)
})
