// SPDX-License-Identifier: MIT
//
// This module provides: `npm test`: building what has changed, then vitest with the given arguments.

import { spawnSync } from 'node:child_process'

import { build } from './build.mjs'
import * as paths from './paths.mjs'
import { runMain } from './toolchain.mjs'

await runMain(() => {
  build()
  const args = [paths.packageFile('vitest', 'vitest.mjs'), 'run', ...process.argv.slice(2)]
  const result = spawnSync(process.execPath, args, { cwd: paths.root, stdio: 'inherit' })
  if (result.error !== undefined) throw result.error
  process.exitCode = result.status ?? 1
})
