// SPDX-License-Identifier: MIT
//
// This module provides: `npm run build:gyp`: the addon built by node-gyp from binding.gyp, as build/gyp/build/Release/minipend.node. Set
// MINIPEND_ADDON to that path to use it.
// Invariants: nothing is downloaded. node-gyp wants Node's own headers; the addon needs those of Node-API alone, so a directory
// that looks like Node's is made from node-api-headers. (On Windows node-gyp needs node.lib too and fetches it by itself.)

import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'

import * as paths from './paths.mjs'
import { BuildProblem, checkToolchain, runMain } from './toolchain.mjs'

const require = createRequire(import.meta.url)

/** What Node's common.gypi has to say about an addon that uses Node-API alone. */
const commonGypi = `{
  'target_defaults': {
    'default_configuration': 'Release',
    'configurations': {
      'Release': {'cflags': ['-O2', '-fPIC'], 'defines': ['NDEBUG']},
      'Debug': {'cflags': ['-O0', '-g', '-fPIC']},
    },
    'cflags': ['-Wall', '-Wextra', '-Wno-unused-parameter', '-pthread'],
    'ldflags': ['-pthread'],
    'conditions': [
      ['OS=="mac"', {'xcode_settings': {'OTHER_LDFLAGS': ['-Wl,-undefined,dynamic_lookup']}}],
    ],
  },
}
`

function makeNodeDir(directory) {
  const include = path.join(directory, 'include', 'node')
  mkdirSync(include, { recursive: true })
  cpSync(require('node-api-headers').include_dir, include, { recursive: true })
  writeFileSync(path.join(include, 'common.gypi'), commonGypi)
}

/** Runs node-gyp in `directory`. */
function nodeGyp(directory, nodeDir) {
  const args = [paths.packageFile('node-gyp', 'bin', 'node-gyp.js'), 'rebuild', '--loglevel', 'warn']
  if (nodeDir !== undefined) args.push('--nodedir', nodeDir, '--force-process-config')
  const root = path.relative(directory, paths.root).replaceAll('\\', '/')
  const env = { ...process.env }
  delete env['npm_config_nodedir'] // whatever npm was told, this build has its own
  const result = spawnSync(process.execPath, [...args, '--', `-Droot=${root}`], {
    cwd: directory,
    stdio: 'inherit',
    env,
  })
  if (result.status !== 0) {
    throw new BuildProblem(
      'minipend build: node-gyp failed; its output is above. It needs Python 3 beside the compiler.',
    )
  }
}

await runMain(() => {
  checkToolchain()
  const directory = path.join(paths.buildDir, 'gyp')
  mkdirSync(directory, { recursive: true })
  copyFileSync(path.join(paths.root, 'binding.gyp'), path.join(directory, 'binding.gyp'))
  if (process.platform === 'win32') {
    nodeGyp(directory)
  } else {
    // Not in here: node-gyp gives make this path as it is, and ours may have spaces.
    const nodeDir = mkdtempSync(path.join(os.tmpdir(), 'minipend-node-'))
    try {
      makeNodeDir(nodeDir)
      nodeGyp(directory, nodeDir)
    } finally {
      rmSync(nodeDir, { recursive: true, force: true })
    }
  }
  console.log(`minipend build: ${path.join(directory, 'build', 'Release', 'minipend.node')}`)
})
