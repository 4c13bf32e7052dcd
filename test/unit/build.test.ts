// SPDX-License-Identifier: MIT
//
// What `npm run build` says when a tool is missing: one line, with what to install, and nothing of the build is touched.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const root = path.join(import.meta.dirname, '..', '..')

describe.skipIf(process.platform === 'win32')('npm run build', () => {
  let directory = ''

  beforeEach(() => {
    directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-path-'))
  })

  afterEach(() => {
    rmSync(directory, { recursive: true })
  })

  /** Runs the build with only these commands to be found. */
  function build(commands: readonly string[], environment: Record<string, string> = {}) {
    for (const command of commands) {
      const found = execFileSync('sh', ['-c', `command -v ${command}`], { encoding: 'utf8' }).trim()
      symlinkSync(found, path.join(directory, command))
    }
    const result = spawnSync(process.execPath, [path.join(root, 'scripts', 'build.mjs')], {
      cwd: root,
      encoding: 'utf8',
      env: { PATH: directory, HOME: directory, ...environment },
    })
    return { status: result.status, lines: result.stderr.trim().split('\n') }
  }

  test('without CMake', () => {
    const { status, lines } = build([])
    expect(status).toBe(1)
    expect(lines).toEqual([expect.stringMatching(/^minipend build: CMake was not found\. Install it \(.+\)/)])
  })

  test('without a compiler', () => {
    const { status, lines } = build(['cmake'])
    expect(status).toBe(1)
    expect(lines).toEqual([
      expect.stringMatching(
        /^minipend build: A C compiler was not found \(gcc 12 or newer, or clang\)\. Install it \(.+\)/,
      ),
    ])
  })

  test('with a compiler that does not run', () => {
    const { status, lines } = build(['cmake'], { CC: 'no-such-compiler' })
    expect(status).toBe(1)
    expect(lines).toEqual(['minipend build: CC=no-such-compiler does not run. Set it to a C compiler, or unset it.'])
  })
})
