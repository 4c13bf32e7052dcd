// SPDX-License-Identifier: MIT
//
// This module provides: a test that every status of the kernel header has a name in the library, the same one and with the same number.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import * as paths from '../../../scripts/paths.mjs'
import { ntstatusName } from '../../../src/errors/tables.js'

const header = readFileSync(path.join(paths.nativeDir, 'ddk', 'include', 'ntstatus.h'), 'utf8')
const defined = [...header.matchAll(/^#define\s+(STATUS_\w+)\s+\(\(NTSTATUS\)(0x[0-9A-F]+)L?\)/gim)]
  .map(([, name = '', value = '']) => ({ name, value: Number(value) }))
  // Which object ended a wait, not how an operation ended.
  .filter(({ name }) => !name.startsWith('STATUS_WAIT_'))

test('the library names what the kernel header defines', () => {
  expect(defined.length).toBeGreaterThan(200)
  // Two names of one number are both right.
  const known = new Set(defined.map(({ name, value }) => `${name} ${value}`))
  const wrong = defined.filter(({ value }) => !known.has(`${ntstatusName(value).name} ${value}`))
  expect(wrong).toEqual([])
})
