// SPDX-License-Identifier: MIT

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { EXIT, exitCodeOf } from '../../../src/cli/exit-codes.js'
import { InputError, StoppedError } from '../../../src/cli/problems.js'
import { instances, readRulesFile, requireRunningDriver, rules, stat } from '../../../src/cli/running-driver.js'
import { countersOf, fakeOpen, testContext } from './support.js'

const directory = mkdtempSync(path.join(tmpdir(), 'minipend-rules-'))
afterAll(() => {
  rmSync(directory, { recursive: true })
})

const counters = countersOf({ rename: { postOperations: 2n, pended: 2n, completed: 1n, inFlight: 1n } })

test.each(['stat', 'rules', 'instances'])('%s: the embedded model lives in one process', (command) => {
  const look = (): void => requireRunningDriver(command, 'embedded', 'linux')
  expect(look).toThrow(`${command}: the embedded model lives in one process`)
  expect(exitCodeOf(thrownBy(look))).toBe(EXIT.unavailable)
})

test.each(['stat', 'rules', 'instances'])('%s: the windows backend needs Windows', (command) => {
  const look = (): void => requireRunningDriver(command, 'windows', 'linux')
  expect(look).toThrow(`${command}: --backend windows needs Windows with the minipend driver loaded; this is linux`)
  expect(exitCodeOf(thrownBy(look))).toBe(EXIT.unavailable)
  expect(() => requireRunningDriver(command, 'windows', 'win32')).not.toThrow()
})

function thrownBy(action: () => void): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return undefined
}

test('stat looks once, and does not load the driver', async () => {
  const { open, opened } = fakeOpen(() => counters)
  const context = testContext({ open, platform: 'win32' })
  expect(await stat(context, { backend: 'windows' })).toBe(EXIT.ok)
  expect(context.terminal.text.out).toContain('pended 2 = given back 1 + still held 1')
  expect(opened).toEqual([{ backend: 'windows', load: false, signal: context.stop }])
})

test('stat --watch --json prints a document a line until it is stopped', async () => {
  const stopper = new AbortController()
  let looks = 0
  const { open } = fakeOpen(() => {
    if (++looks === 3) {
      stopper.abort(new StoppedError(130))
    }
    return counters
  })
  const context = testContext({ open, platform: 'win32', json: true, stop: stopper.signal })
  await expect(stat(context, { backend: 'windows', watch: 1 })).rejects.toBeInstanceOf(StoppedError)
  const lines = context.terminal.text.out.trimEnd().split('\n')
  expect(lines.map((line) => (JSON.parse(line) as { pended: number }).pended)).toEqual([2, 2, 2])
})

test('instances', async () => {
  const { open } = fakeOpen(() => counters)
  const text = testContext({ open, platform: 'win32' })
  expect(await instances(text, { backend: 'windows' })).toBe(EXIT.ok)
  expect(text.terminal.text.out).toMatch(/HarddiskVolume2 .* minipend Instance .* 370020.5 .* 1 /)

  const json = testContext({ open, platform: 'win32', json: true })
  await instances(json, { backend: 'windows' })
  expect(JSON.parse(json.terminal.text.out)).toMatchObject({ instances: [{ altitude: '370020.5', heldNow: 1 }] })

  const none = testContext({ open: fakeOpen(() => ({ ...counters, byInstance: [] })).open, platform: 'win32' })
  await instances(none, { backend: 'windows' })
  expect(none.terminal.text.out).toBe('minipend is attached to no volume\n')
})

test('rules without a file', async () => {
  const context = testContext({ open: fakeOpen(() => counters).open, platform: 'win32' })
  expect(await rules(context, { backend: 'windows' })).toBe(EXIT.ok)
  expect(context.terminal.text.out).toContain('rule generation 3; 1 connected')
})

test('rules from a file are set until Ctrl-C', async () => {
  const file = path.join(directory, 'rules.json')
  const wanted = [{ on: ['rename'], action: { kind: 'pend', delayMs: 5 } }]
  writeFileSync(file, JSON.stringify(wanted))
  const stopper = new AbortController()
  const fake = fakeOpen(() => counters)
  const context = testContext({ open: fake.open, platform: 'win32', stop: stopper.signal })
  const running = rules(context, { backend: 'windows' }, file)
  setTimeout(() => stopper.abort(new StoppedError(130)), 20)
  await expect(running).rejects.toBeInstanceOf(StoppedError)
  expect(fake.rules).toEqual([wanted])
  expect(context.terminal.text.out).toContain('1 rules are set')
})

test('persistent rules are set, and cleared, at once', async () => {
  const file = path.join(directory, 'persist.json')
  writeFileSync(file, '[]')
  const fake = fakeOpen(() => counters)
  const setting = testContext({ open: fake.open, platform: 'win32' })
  expect(await rules(setting, { backend: 'windows', persist: true }, file)).toBe(EXIT.ok)
  expect(setting.terminal.text.out).toContain('until `minipend rules --clear-persistent`')
  const clearing = testContext({ open: fake.open, platform: 'win32' })
  expect(await rules(clearing, { backend: 'windows', clearPersistent: true })).toBe(EXIT.ok)
  expect(fake.options).toEqual([{ persist: true }, { persistent: true }])
})

test.each([
  ['missing.json', undefined, /cannot read .*missing\.json.*ENOENT/],
  ['broken.json', '[{', /cannot read .*broken\.json.*JSON/],
  ['object.json', '{}', /holds no array of rules/],
])('%s is no file of rules', (name, text, message) => {
  const file = path.join(directory, name)
  if (text !== undefined) {
    writeFileSync(file, text)
  }
  const read = (): unknown => readRulesFile(file)
  expect(read).toThrow(InputError)
  expect(read).toThrow(message)
})
