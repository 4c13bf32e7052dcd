// SPDX-License-Identifier: MIT

import { expect, test } from 'vitest'
import { demo, problemsOf } from '../../../src/cli/demo/demo.js'
import { NOT_SHOWN, SCENARIOS, type ShownRefusal } from '../../../src/cli/demo/refusals.js'
import { demoRules } from '../../../src/cli/demo/scene.js'
import { heldRenameText, refusalLine } from '../../../src/cli/demo/view.js'
import { checkRules } from '../../../src/client/rules.js'
import { REFUSALS } from '../../../src/generated/protocol.js'
import { NotSupportedError } from '../../../src/index.js'
import { countersOf, rememberingTerminal, testContext } from './support.js'

const { colors } = rememberingTerminal()

const held = {
  from: 'D:\\inbox\\report.txt',
  to: 'D:\\inbox\\report.done',
  holdMs: 200,
  visibleWhileCallerWaited: true,
  visibleAfterMs: 2,
  otherRenameMs: 0.5,
  callerWaitedMs: 201,
}
const refusal: ShownRefusal = { cause: 'paging', how: 'a flush', counted: 3n, finished: 3, shown: true, required: true }
const balanced = countersOf({ rename: { postOperations: 2n, pended: 2n, completed: 2n } })

test('its rules are well formed', () => {
  expect(checkRules(demoRules(200), { maxDelayMs: 30_000, maxRules: 16 })).toHaveLength(demoRules(200).length)
})

test('each cause is shown, or said not to be', () => {
  const causes = [...SCENARIOS.map((scenario) => scenario.cause), NOT_SHOWN.cause]
  expect(causes.sort()).toEqual(REFUSALS.map(({ name }) => name).sort())
})

test('nothing is wrong', () => {
  expect(problemsOf(held, [refusal], balanced)).toEqual([])
  expect(problemsOf(held, [{ ...refusal, counted: 0n, shown: false, required: false }], balanced)).toEqual([])
})

test('whatever is wrong is said', () => {
  const counters = countersOf({ rename: { postOperations: 2n, pended: 2n, inFlight: 1n } })
  expect(problemsOf({ ...held, visibleWhileCallerWaited: false }, [{ ...refusal, shown: false }], counters)).toEqual([
    'D:, rename: pended 2 is not completed 0 + inFlight 1',
    'still held after everything was detached: 1 (in flight 1)',
    'D:\\inbox\\report.done was not seen while its rename was held',
    'no refusal was counted as paging: a flush',
  ])
})

test('its text', () => {
  expect(heldRenameText(held, colors)).toContain(
    'after 2 ms report.done is there, while the caller of rename() still waits',
  )
  expect(heldRenameText({ ...held, visibleWhileCallerWaited: false }, colors)).toContain(
    'report.done was not seen before',
  )
  expect(refusalLine(refusal, colors)).toBe('  paging           3  a flush')
  expect(refusalLine({ ...refusal, counted: 0n, shown: false, required: false }, colors)).toBe(
    '  paging           0  a flush',
  )
})

test('a session that cannot be opened fails it', async () => {
  const open = (): Promise<never> => Promise.reject(new NotSupportedError('no model'))
  await expect(demo(testContext({ open }), { durationMs: 0, files: 1 })).rejects.toThrow('no model')
})
