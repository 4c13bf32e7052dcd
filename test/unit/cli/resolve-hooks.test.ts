// SPDX-License-Identifier: MIT

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { asWritten, initialize, resolve, resolveSync } from '../../../src/cli/run/resolve-hooks.js'

const directory = mkdtempSync(path.join(tmpdir(), 'minipend hooks é'))
afterAll(() => {
  rmSync(directory, { recursive: true })
})

function script(name: string, text: string): string {
  const file = path.join(directory, name)
  writeFileSync(file, text)
  return pathToFileURL(file).href
}

test.each([
  ['a.ts', 'const x = 1', 'module'],
  ['b.tsx', 'const x = 1', 'module'],
  ['c.js', "import fs from 'node:fs'", 'module'],
  ['d.js', 'export { x }', 'module'],
  ['e.js', "const fs = require('node:fs')", 'commonjs'],
  ['f.cts', 'export {}', 'commonjs'],
  ['g.cjs', 'import x from "y"', 'commonjs'],
])('%s with %j is taken as %s', (name, text, format) => {
  expect(asWritten({ url: script(name, text), format: 'commonjs' }).format).toBe(format)
})

test("tsx's marks for CommonJS go", () => {
  const url = script('marked.ts', '')
  expect(asWritten({ url: `${url}%3Ftsx-commonjs-x=1?tsx-commonjs-x=1`, format: 'commonjs' })).toEqual({
    url,
    format: 'module',
  })
})

test('what others have decided stays', () => {
  for (const resolution of [
    { url: 'node:fs' },
    { url: 'file:///p/node_modules/q/i.ts', format: 'commonjs' },
    { url: 'file:///p/i.json', format: 'json' },
  ]) {
    expect(asWritten(resolution)).toBe(resolution)
  }
})

test('minipend is this package', async () => {
  initialize({ packageUrl: 'file:///here/index.js' })
  const found = { url: 'file:///here/index.js', format: 'module', shortCircuit: true }
  expect(resolveSync('minipend', {}, () => ({ url: 'elsewhere' }))).toEqual(found)
  expect(await resolve('minipend', {}, () => Promise.resolve({ url: 'elsewhere' }))).toEqual(found)
  expect(resolveSync('minipend-other', {}, () => ({ url: 'elsewhere:x' }))).toEqual({ url: 'elsewhere:x' })
})
