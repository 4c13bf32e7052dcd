// SPDX-License-Identifier: MIT

import { expect, test } from 'vitest'
import {
  checkEmbedded,
  checkFfi,
  checkNode,
  checkPart,
  checkPlatform,
  checkWindows,
} from '../../../src/cli/doctor/checks.js'
import { doctorText, embeddedWorks } from '../../../src/cli/doctor/doctor.js'
import { rememberingTerminal } from './support.js'

const { colors } = rememberingTerminal()
const works = { ok: true, detail: 'driver version 0.1.0' }

test.each([
  ['v20.17.0', 'ok'],
  ['v24.0.0', 'ok'],
  ['v20.16.9', 'failed'],
  ['v18.20.0', 'failed'],
])('Node %s: %s', (version, status) => {
  expect(checkNode(version).status).toBe(status)
})

test('a platform that nobody has tried says so', () => {
  expect(checkPlatform('aix')).toMatchObject({ status: 'unknown' })
})

test('a part that is not built', () => {
  expect(checkPart('addon', 'Addon', { path: '/p', exists: false })).toMatchObject({
    status: 'missing',
    fix: 'build it: npm run build',
  })
})

test('ffi is optional', () => {
  const parts = [
    { path: 'ffi-napi', exists: false },
    { path: '/n/ref-napi', exists: true },
  ]
  expect(checkFfi(parts, undefined)).toMatchObject({
    status: 'optional',
    detail: expect.stringContaining('ffi-napi not') as string,
  })
  expect(checkFfi(parts, { ok: false, detail: 'crashed' }).status).toBe('optional')
  expect(checkFfi(parts, works).status).toBe('ok')
})

test('windows: what cannot be checked here, what is missing there', () => {
  expect(checkWindows(undefined)).toMatchObject({ status: 'unknown' })
  expect(checkWindows({ ok: false, detail: 'x', code: 'DRIVER_NOT_LOADED', hint: 'load it' })).toMatchObject({
    status: 'missing',
    fix: 'load it',
  })
  expect(checkWindows({ ok: false, detail: 'x', code: 'ERROR_ACCESS_DENIED' }).status).toBe('failed')
})

test('the text says what to do, and whether the model works', () => {
  const good = [checkNode('v24.0.0'), checkEmbedded(works)]
  expect(embeddedWorks(good)).toBe(true)
  expect(doctorText(good, colors)).toBe(
    'ok       Node              v24.0.0\nok       Embedded backend  driver version 0.1.0\n\nThe embedded backend works.',
  )
  const bad = [checkEmbedded({ ok: false, detail: 'it crashed' })]
  expect(embeddedWorks(bad)).toBe(false)
  expect(doctorText(bad, colors)).toContain('FAILED   Embedded backend  it crashed\n')
  expect(doctorText(bad, colors)).toContain('what to do: build it again: npm run build')
})
