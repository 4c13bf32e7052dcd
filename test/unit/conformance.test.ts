// SPDX-License-Identifier: MIT
//
// This module provides: tests of the conformance suite's own books: every rule that a case claims is in the list, and every rule of the list has a case or
// a reason.

import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { claimedIds, idsIn, readRules } from '../conformance/rules.js'

const EVIDENCE = ['page', 'H', 'S', 'B', 'G', 'E', 'X']
const rules = readRules()
const known = new Set(rules.map(({ id }) => id))
const claimed = new Set([...claimedIds().values()].flat())

describe('the list of rules', () => {
  test('has each once, with a title and evidence', () => {
    expect(known.size).toBe(rules.length)
    expect(rules.filter(({ title }) => title.length < 3 || title.length > 130)).toEqual([])
    expect(rules.filter(({ evidence }) => evidence.some((tag) => !EVIDENCE.includes(tag)))).toEqual([])
  })

  test('has every id that a case claims', () => {
    expect([...claimed].filter((id) => !known.has(id))).toEqual([])
    expect(claimed.size).toBeGreaterThan(30)
  })

  test('has a case or a reason for each, not both', () => {
    expect(rules.filter(({ id, reason }) => !claimed.has(id) && (reason ?? '') === '').map(({ id }) => id)).toEqual([])
    expect(rules.filter(({ id, reason }) => claimed.has(id) && reason !== undefined).map(({ id }) => id)).toEqual([])
  })

  test('names native tests that exist', () => {
    const directory = fileURLToPath(new URL('../native', import.meta.url))
    const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.cpp'))
    const missing = rules.filter(({ reason = '' }) => {
      const named = /^native: (\w+)\.(\w+)$/.exec(reason)
      const file = files.find((name) => basename(name) === `${named?.[1] ?? ''}.cpp`)
      const exists =
        file !== undefined && readFileSync(join(directory, file), 'utf8').includes(`TEST(${named?.[2] ?? ''})`)
      return reason.startsWith('native: ') && !exists
    })
    expect(missing).toEqual([])
  })
})

test('ids are found where conformance() gets them, and nowhere else', () => {
  const source = `conformance('POST-27 T01', 'title POST-28', run) // 'not POST-29'\nconst a = 'V4'\nconst b = 'CANC-06a X01'`
  expect(idsIn(source)).toEqual(['POST-27', 'T01', 'V4', 'CANC-06a', 'X01'])
})
