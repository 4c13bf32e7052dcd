// SPDX-License-Identifier: MIT
//
// This module provides: building what has changed, then the command line with the given arguments (`npm start` = demo). One script,
// because npm skips "prestart" where install scripts are switched off.

import { spawnSync } from 'node:child_process'
import path from 'node:path'

import { build } from './build.mjs'
import * as paths from './paths.mjs'
import { runMain } from './toolchain.mjs'

await runMain(() => {
  build()
  const program = path.join(paths.distDir, 'cli', 'main.js')
  const result = spawnSync(process.execPath, [program, ...process.argv.slice(2)], { stdio: 'inherit' })
  if (result.error !== undefined) throw result.error
  process.exitCode = result.status ?? 1
})
