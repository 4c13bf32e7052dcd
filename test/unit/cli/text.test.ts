// SPDX-License-Identifier: MIT

import { expect, test } from 'vitest'
import { balanceText, countersLine, countersTable, refusalText, timesText } from '../../../src/cli/counters-table.js'
import { describeError, errorDocument } from '../../../src/cli/problems.js'
import { LiveBlock, toJson, visibleWidth, wantsColors } from '../../../src/cli/terminal.js'
import { Histogram } from '../../../src/client/histogram.js'
import { HISTOGRAM_FLOORS_100NS } from '../../../src/generated/protocol.js'
import { IoError, ModelStoppedError } from '../../../src/index.js'
import { countersOf, operationCounters, rememberingTerminal } from './support.js'

const { colors } = rememberingTerminal()

const counters = countersOf({
  rename: { postOperations: 12n, pended: 10n, completed: 8n, inFlight: 2n, refused: { topLevelIrp: 1n, policy: 1n } },
  write: { postOperations: 4n, unmatched: 1n, refused: { paging: 3n } },
  queryDirectory: { postOperations: 5n, observed: 5n },
  read: { postOperations: 9n, unmatched: 9n },
})

test('the table has a row for each operation that met a rule', () => {
  const lines = countersTable(counters, colors).split('\n')
  expect(lines).toEqual([
    '  volume  operation       pended  held now  given back  observed  not pended',
    '  D:      write                0         0           0         0  paging 3',
    '  D:      rename              10         2           8         0  policy 1, topLevelIrp 1',
    '  D:      queryDirectory       0         0           0         5',
  ])
})

test('nothing has met a rule', () => {
  expect(countersTable(countersOf({ read: { postOperations: 1n, unmatched: 1n } }), colors)).toContain(
    'no operation has met a rule',
  )
})

test('what was synchronised or finished when safe was not pended, and waits while it waits', () => {
  const others = countersOf({
    lock: { whenSafe: 2n },
    rename: { synchronized: 1n, waiting: 3n, refused: { policy: 1n } },
  })
  expect(countersTable(others, colors).split('\n').slice(1)).toEqual([
    '  D:      rename          0         3           0         0  synchronized 1, policy 1',
    '  D:      lock            0         0           0         0  whenSafe 2',
  ])
})

test('the times as bounds', () => {
  const times = (counts: Record<number, bigint>): Histogram =>
    new Histogram(() => HISTOGRAM_FLOORS_100NS.map((_, bucket) => counts[bucket] ?? 0n))
  const held = countersOf({
    rename: { latencyNs: times({ 4: 5n, 31: 4n, 32: 1n }), failed: 2n },
    write: { latencyNs: times({ 63: 1n }) },
  })
  expect(timesText(held)).toMatch(
    /^ {2}write: given back 1; held half of them more than \d+ ms, 99 % more than \d+ ms, all more than \d+ ms\n {2}rename: given back 10; held half of them at most 1 ms, 99 % at most \d+ ms, all at most \d+ ms; 2 with a failure$/,
  )
  expect(timesText(countersOf({}))).toBe('')
})

test('what the audit found', () => {
  const found = countersOf({}, { contract: { unexpectedRefusal: 0n, unexpectedSuccess: 3n } })
  expect(balanceText(found, colors)).toContain('pended although a top-level IRP was set: 3')
})

test('the sums in one line', () => {
  expect(countersLine(counters)).toBe(
    'pended 10, held now 2, given back 8, not pended 5 (paging 3, policy 1, topLevelIrp 1)',
  )
  expect(refusalText(operationCounters().refused)).toBe('')
})

test('an exact balance', () => {
  expect(balanceText(counters, colors).split('\n')).toEqual([
    '  pended 10 = given back 8 + still held 2',
    '  post-operations 30 = unmatched 10 + observed 5 + pended 10 + refused 5',
    '  exact, for every operation of every instance',
  ])
})

test('a balance that is not exact says where', () => {
  const wrong = countersOf({ rename: { postOperations: 3n, pended: 3n, completed: 1n, inFlight: 1n } })
  expect(balanceText(wrong, colors)).toContain('  NOT exact:\n    D:, rename: pended 3 is not completed 1 + inFlight 1')
})

test('a block is drawn again over the rows that it took', () => {
  const terminal = rememberingTerminal({ columns: 10 })
  const block = new LiveBlock(terminal)
  block.draw('short\nlonger than ten')
  block.draw('end')
  expect(terminal.text.out).toBe('short\nlonger than ten\n\u001B[3A\u001B[0Jend\n')
  block.clear()
  expect(terminal.text.out.endsWith('end\n\u001B[1A\u001B[0J')).toBe(true)
  expect(visibleWidth('\u001B[31mred\u001B[39m')).toBe(3)
})

test('colours', () => {
  expect(wantsColors({}, true)).toBe(true)
  expect(wantsColors({}, false)).toBe(false)
  expect(wantsColors({ NO_COLOR: '1', FORCE_COLOR: '1' }, true)).toBe(false)
  expect(wantsColors({ FORCE_COLOR: '1' }, false)).toBe(true)
  expect(wantsColors({ TERM: 'dumb' }, true)).toBe(false)
})

test('64-bit values in JSON are exact', () => {
  expect(JSON.parse(toJson({ small: 7n, large: 2n ** 64n - 1n }))).toEqual({ small: 7, large: '18446744073709551615' })
})

test('a stopped model is shown with its history and its seed', () => {
  const report = {
    stopped: true,
    rule: 'R',
    call: 'FltX',
    text: 'why',
    callSite: 'MpPend (pend.c:118)',
    backtrace: ['MpPend (pend.c:118)', 'MpPostRecord (operations.c:240)'],
    operation: ['op 1 READ: queued'],
    history: ['one', 'two'],
    seed: '42',
    leaks: ['a'],
    absentRoutines: [],
    readings: {},
    waitingForStorage: 0,
  }
  const error = new ModelStoppedError('the model stopped: R', report, { hint: 'look' })
  expect(describeError(error, colors)).toBe(
    'minipend: the model stopped: R\n  seed: 42\n  stack:\n    MpPend (pend.c:118)\n    MpPostRecord (operations.c:240)\n' +
      '  the operation:\n    op 1 READ: queued\n  what happened last:\n    one\n    two\n  left behind: a\n  what to do: look\n',
  )
  expect(errorDocument(error)).toMatchObject({ ok: false, error: { code: 'MODEL_STOPPED', report } })
})

test("an error of ours is shown with the frames of the user's files only", () => {
  const error = new IoError('ERROR_DISK_FULL', 'File.write "D:\\a": full', 'D:\\a')
  error.stack =
    'IoError: x\n    at f (/home/u/s.ts:1:2)\n    at g (/home/u/node_modules/p/i.js:3:4)\n    at h (node:internal/x:1:1)'
  expect(describeError(error, colors, '/home/u')).toBe(
    'minipend: File.write "D:\\a": full\n  at f (/home/u/s.ts:1:2)\n',
  )
})
