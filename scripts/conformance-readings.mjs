// SPDX-License-Identifier: MIT
//
// This module provides: `npm run conformance:readings`: the conformance cases on the model with the last reading of each question of docs/READINGS.md, all at
// once; `-- name=value,...`: with these. Two that refuse whole kinds of operations are left to the native scenes, which play every reading by itself: most cases
// would have nothing to look at.

import { spawnSync } from 'node:child_process'

import { readReadings } from './generate-readings.mjs'
import * as paths from './paths.mjs'

const REFUSING = ['read-write-flush', 'pended-create']

const all = readReadings()
  .filter(({ name }) => !REFUSING.includes(name))
  .map(({ name, values }) => `${name}=${values.at(-1).name}`)
const [chosen = all.join(',')] = process.argv.slice(2)
console.log(`MINIPEND_READINGS=${chosen}`)
const { status } = spawnSync(process.execPath, [paths.packageFile('vitest', 'vitest.mjs'), 'run', 'test/conformance'], {
  cwd: paths.root,
  env: { ...process.env, MINIPEND_READINGS: chosen },
  stdio: 'inherit',
})
process.exitCode = status ?? 1
