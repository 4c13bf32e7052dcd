// SPDX-License-Identifier: MIT

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { EXIT, exitCodeOf } from '../../../src/cli/exit-codes.js'
import { heldTable } from '../../../src/cli/held-table.js'
import { InputError, StoppedError } from '../../../src/cli/problems.js'
import { instances, readRulesFile, requireRunningDriver, rules, stat } from '../../../src/cli/running-driver.js'
import { type HeldOperation, type ListedRule, OPERATION_NAMES } from '../../../src/index.js'
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

const held: HeldOperation = {
  ...{ id: 7n, operation: 'rename', majorFunction: 6, minorFunction: 0, path: '\\inbox\\a', nameCut: false },
  ...{
    rule: undefined,
    ruleGeneration: 1n,
    own: false,
    hold: 'gate',
    action: 'pend',
    instanceId: 3n,
    drive: undefined,
    released: false,
  },
  ...{ processId: 412, threadId: 9, status: { name: 'STATUS_SUCCESS', value: 0 }, information: 0n },
  ...{ takenNs: 1_000_000_000n, seenNs: 1_250_000_000n, deadlineNs: 31_000_000_000n },
  postOperation: {
    ...{ irql: 'PASSIVE_LEVEL', topLevelIrp: 'none', thread: 'requestor', kernelMode: false, synchronous: true },
    ...{ irpFlags: [], systemBuffer: false, reissued: false, generated: false },
  },
  release: () => Promise.reject(new Error('a look releases nothing')),
}

test('stat shows what is held, for whom and how long', async () => {
  const text = testContext({ open: fakeOpen(() => counters, [held]).open, platform: 'win32' })
  expect(await stat(text, { backend: 'windows' })).toBe(EXIT.ok)
  expect(text.terminal.text.out).toMatch(
    / 7 .*instance 3 .*rename.*\\inbox\\a .*gate of another client.* 412 .* 250 .* 29750 /,
  )

  const json = testContext({ open: fakeOpen(() => counters, [held]).open, platform: 'win32', json: true })
  await stat(json, { backend: 'windows' })
  expect(JSON.parse(json.terminal.text.out)).toMatchObject({
    pended: 2,
    heldOperations: [{ id: 7, path: '\\inbox\\a', hold: 'gate', own: false, heldForMs: 250, leftMs: 29_750 }],
  })
})

test('of many held operations the first are shown, and how many there are', () => {
  const many = Array.from({ length: 25 }, (_, at) => ({ ...held, id: BigInt(at), deadlineNs: 0n }))
  const table = heldTable(many, testContext().terminal.colors)
  expect(table).toContain('and 5 more')
  expect(table).not.toContain(' 20 ')
  expect(heldTable([], testContext().terminal.colors)).toBe('')
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
  expect(text.terminal.text.out).toMatch(/HarddiskVolume2 .* ntfs .* minipend Instance .* 370020.5 .* 0 .* 1 .* 1 /)

  const json = testContext({ open, platform: 'win32', json: true })
  await instances(json, { backend: 'windows' })
  expect(JSON.parse(json.terminal.text.out)).toMatchObject({
    instances: [{ id: 1, altitude: '370020.5', frame: 0, fileSystem: 'ntfs', heldNow: 1, tearingDown: false }],
  })

  const none = testContext({ open: fakeOpen(() => ({ ...counters, byInstance: [] })).open, platform: 'win32' })
  await instances(none, { backend: 'windows' })
  expect(none.terminal.text.out).toBe('minipend is attached to no volume\n')
})

test('rules without a file', async () => {
  const context = testContext({ open: fakeOpen(() => counters).open, platform: 'win32' })
  expect(await rules(context, { backend: 'windows' })).toBe(EXIT.ok)
  expect(context.terminal.text.out).toBe(
    'no rules are in force\nrule generation 3; 1 connected, this command included\n',
  )
})

const listedRule: ListedRule = {
  ...{ id: undefined, number: 2, own: false, owner: { connectionId: 9n, processId: 812 }, setId: 0, generation: 3n },
  ...{ persistent: false, on: ['rename', 'delete'], action: 'pend', hold: 'delay', delayMs: 200, queue: 'delayed' },
  ...{ fastIo: 'toIrp', failWith: { name: 'STATUS_DISK_FULL', value: 0xc000007f }, path: '*\\INBOX\\*' },
  ...{
    volume: '\\DEVICE\\HARDDISKVOLUME2',
    drive: 'D:',
    processId: 77,
    requestorMode: 'user',
    io: ['cached', 'paging'],
  },
  ...{ status: 'failure', everyNth: 3, atMost: 5, probability: 0.5, seed: 2n ** 64n - 1n, maxHeld: undefined },
  ...{ allow: { kernelMode: true, bootVolume: false, pagingFile: false }, names: false, audit: false },
  counts: { selected: 4n, refused: 1n, taken: 3n, heldNow: 1, sampled: 12n, applied: 4 },
}

test('rules lists what is in force, whose it is and what it has done', async () => {
  const gate: ListedRule = {
    ...listedRule,
    ...{ owner: undefined, persistent: true, setId: 4, hold: 'gate', delayMs: 30_000, failWith: undefined },
    ...{ on: OPERATION_NAMES, path: undefined, volume: undefined, processId: undefined, requestorMode: undefined },
    ...{ io: [], status: undefined, everyNth: 1, atMost: undefined, probability: 1, maxHeld: 7 },
    allow: { kernelMode: false, bootVolume: false, pagingFile: false },
  }
  const own: ListedRule = { ...gate, id: 'logs', own: true, owner: { connectionId: 7n, processId: 1 } }
  const { open } = fakeOpen(() => counters, [], [listedRule, gate, own])
  const text = testContext({ open, platform: 'win32' })
  expect(await rules(text, { backend: 'windows' })).toBe(EXIT.ok)
  const [, , ...lines] = text.terminal.text.out.split('\n')
  const cells = lines.map((line) =>
    line
      .split('│')
      .map((cell) => cell.trim())
      .filter((cell) => cell !== ''),
  )
  expect(cells.filter((row) => row.length > 5)).toEqual([
    [
      ...['process 812', 'rule 2', 'rename, delete', '*\\INBOX\\*'],
      'D:, process 77, user mode, cached or paging, failure, one in 3, probability 0.5, 4 of 5, allows kernelMode',
      ...['pend 200 ms, fails with STATUS_DISK_FULL (0xC000007F)', '4', '1', '3', '1'],
    ],
    [
      ...['nobody, stays', 'gate 4.2', `${OPERATION_NAMES.length} operations`, 'any', '7 at once'],
      ...['pend until released, 30000 ms at most', '4', '1', '3', '1'],
    ],
    [
      ...['this command, stays', 'logs', `${OPERATION_NAMES.length} operations`, 'any', '7 at once'],
      ...['pend until released, 30000 ms at most', '4', '1', '3', '1'],
    ],
  ])

  const json = testContext({ open, platform: 'win32', json: true })
  await rules(json, { backend: 'windows' })
  const document = JSON.parse(json.terminal.text.out) as { rules: unknown[] }
  expect(document).toMatchObject({ ruleGeneration: 3, connections: 1 })
  expect(document.rules).toHaveLength(3)
  expect(document.rules[0]).toMatchObject({
    ...{ owner: { connectionId: 9, processId: 812 }, on: ['rename', 'delete'], failWith: 'STATUS_DISK_FULL' },
    ...{ status: 'failure', seed: '18446744073709551615', counts: { selected: 4, taken: 3, heldNow: 1 } },
  })
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
