// SPDX-License-Identifier: MIT
//
// This module provides: what binding.gyp asks for, one path a line, relative to the directory that node-gyp works in: an absolute path
// may have spaces, which make does not take.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

import { nativeDir } from './paths.mjs'

const require = createRequire(import.meta.url)
const relative = (file) => path.relative(process.cwd(), file).replaceAll('\\', '/')

const addonDir = path.join(nativeDir, 'addon')
const lists = {
  sources: () =>
    readFileSync(path.join(addonDir, 'sources.txt'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => path.join(addonDir, line)),
  includes: () => [require('node-addon-api').include_dir, require('node-api-headers').include_dir],
}

const list = lists[process.argv[2]]
if (list === undefined) {
  console.error('usage: node scripts/gyp-paths.mjs sources | includes')
  process.exit(2)
}
for (const file of list()) console.log(relative(path.resolve(file)))
