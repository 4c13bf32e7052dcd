// SPDX-License-Identifier: MIT
//
// This module provides: `npm run format` (--write) and `npm run format:check` (--check): prettier for TypeScript, JavaScript and JSON,
// clang-format 19 for C and C++.

import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'

import * as paths from './paths.mjs'
import { BuildProblem, runMain } from './toolchain.mjs'

const clangFormatMajor = 19

function run(command, args) {
  const result = spawnSync(command, args, { cwd: paths.root, stdio: 'inherit' })
  if (result.error !== undefined) throw result.error
  return result.status === 0
}

/** Another version formats differently, so only this one will do. */
function clangFormat() {
  const candidates = [`clang-format-${clangFormatMajor}`, 'clang-format']
  const found = candidates.find((candidate) => {
    const result = spawnSync(candidate, ['--version'], { encoding: 'utf8' })
    return result.status === 0 && new RegExp(`version ${clangFormatMajor}\\.`).test(result.stdout)
  })
  if (found === undefined) {
    throw new BuildProblem(
      `minipend format: clang-format ${clangFormatMajor} was not found. Install it, then run the command again.`,
    )
  }
  return found
}

function cFiles() {
  return ['driver', 'native', 'test']
    .flatMap((directory) =>
      readdirSync(path.join(paths.root, directory), { recursive: true, withFileTypes: true }).filter((entry) =>
        entry.isFile(),
      ),
    )
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => /\.(c|h|cpp|hpp)$/.test(file))
}

await runMain(() => {
  const mode = process.argv[2]
  if (mode !== '--write' && mode !== '--check')
    throw new BuildProblem('usage: node scripts/format.mjs --write | --check')
  const prettier = run(process.execPath, [
    paths.packageFile('prettier', 'bin', 'prettier.cjs'),
    mode,
    '--log-level',
    'warn',
    '.',
  ])
  const clang = run(clangFormat(), [...(mode === '--write' ? ['-i'] : ['--dry-run', '-Werror']), ...cFiles()])
  if (!prettier || !clang) process.exitCode = 1
})
