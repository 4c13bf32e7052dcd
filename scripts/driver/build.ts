// SPDX-License-Identifier: MIT
//
// This module provides: `npm run build:driver [x64] [arm64]`: build/driver/<architecture>/minipend.sys, its PDB and its INF, for Windows,
// with clang and lld. Both architectures without arguments.

import { createHash } from 'node:crypto'
import { copyFileSync, readFileSync } from 'node:fs'
import path from 'node:path'

import * as paths from '../paths.mjs'
import { BuildProblem, runMain } from '../toolchain.mjs'
import { buildImage, driverImage } from './image.js'
import { architectures } from './settings.js'

await runMain(async () => {
  const wanted = process.argv.slice(2)
  const unknown = wanted.find((name) => !(architectures as readonly string[]).includes(name))
  if (unknown !== undefined) {
    throw new BuildProblem(`minipend build: no such architecture: ${unknown}. There are: ${architectures.join(', ')}.`)
  }
  for (const architecture of architectures.filter((name) => wanted.length === 0 || wanted.includes(name))) {
    const directory = path.join(paths.buildDir, 'driver', architecture)
    const { image } = await buildImage(driverImage(architecture, directory))
    copyFileSync(path.join(paths.root, 'driver', 'minipend.inf'), path.join(directory, 'minipend.inf'))
    const bytes = readFileSync(image)
    const hash = createHash('sha256').update(bytes).digest('hex')
    console.log(`${path.relative(process.cwd(), image)}: ${bytes.length} bytes, SHA-256 ${hash}`)
  }
})
