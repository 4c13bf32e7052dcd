// SPDX-License-Identifier: MIT
//
// This module provides: the small drivers that the model is tested with as Windows images: what they are built from, and building them.

import { readdirSync } from 'node:fs'
import path from 'node:path'

import * as paths from '../paths.mjs'
import { type BuiltImage, buildImage } from './image.js'

const SOURCES = 'test/image/drivers'
const IMPORTS = 'test/image/imports'

/** One image for each mistake of wrong.c. */
const MISTAKES = [
  'UNGUARDED_FAULT',
  'FAULT_AT_DISPATCH',
  'CORRUPT_LIST',
  'STACK_OVERRUN',
  'PRIVILEGED',
  'DISCARDED_CODE',
  'UNGUARDED_RAISE',
  'WRITES_CODE',
  'LOCKS_IN_BOTH_ORDERS',
  'OVERLAPPING_COPY',
]

export const testDriverDirectory = path.join(paths.buildDir, 'driver', 'x64', 'tests')

interface TestDriver {
  readonly name: string
  readonly source: string
  readonly compile?: readonly string[]
  readonly link?: readonly string[]
}

const drivers: readonly TestDriver[] = [
  { name: 'seh', source: 'seh.c' },
  { name: 'asker', source: 'asker.c' },
  { name: 'asker-miscalls', source: 'asker.c', compile: ['-DMISCALLS'] },
  { name: 'inventory', source: 'inventory.c' },
  { name: 'inventory-forgets', source: 'inventory.c', compile: ['-DFORGETS'] },
  { name: 'keeper', source: 'keeper.c' },
  { name: 'keeper-forgets', source: 'keeper.c', compile: ['-DFORGETS'] },
  { name: 'keeper-frees', source: 'keeper.c', compile: ['-DFREES'] },
  { name: 'passthrough', source: 'passthrough.c' },
  { name: 'pender', source: 'pender.c' },
  { name: 'delayer', source: 'delayer.c' },
  { name: 'delayer-forgets', source: 'delayer.c', compile: ['-DFORGETS'] },
  { name: 'swapper', source: 'swapper.c' },
  { name: 'swapper-frees', source: 'swapper.c', compile: ['-DFREES'] },
  { name: 'unmodelled', source: 'unmodelled.c' },
  { name: 'contexts', source: 'contexts.c' },
  { name: 'contexts-forgotten', source: 'contexts.c', compile: ['-DFORGETS'] },
  { name: 'scanner', source: 'scanner.c' },
  { name: 'scanner-forgetful', source: 'scanner.c', compile: ['-DFORGETS'] },
  { name: 'scanner-stranger', source: 'scanner.c', compile: ['-DSTRANGER'] },
  { name: 'logger', source: 'logger.c' },
  { name: 'logger-guarded', source: 'logger.c', compile: ['-DGUARDED'] },
  { name: 'watcher', source: 'watcher.c', link: ['/integritycheck'] },
  { name: 'watcher-unchecked', source: 'watcher.c' },
  { name: 'watcher-forgets', source: 'watcher.c', compile: ['-DFORGETS'], link: ['/integritycheck'] },
  { name: 'watcher-stranger', source: 'watcher.c', compile: ['-DSTRANGER'], link: ['/integritycheck'] },
  ...MISTAKES.map((mistake) => ({
    name: `wrong-${mistake.toLowerCase().replaceAll('_', '-')}`,
    source: 'wrong.c',
    compile: [`-DMISTAKE=${mistake}`],
  })),
]

/** x64 images without KMDF: the model's loader calls their FxDriverEntry. */
export async function buildTestDrivers(): Promise<readonly BuiltImage[]> {
  const imports = readdirSync(path.join(paths.root, IMPORTS)).map((file) => `${IMPORTS}/${file}`)
  const built: BuiltImage[] = []
  for (const { name, source, compile = [], link = [] } of drivers) {
    built.push(
      await buildImage({
        ...{ architecture: 'x64', outputDirectory: testDriverDirectory, name, imports, compile, link },
        sources: [`${SOURCES}/${source}`, 'native/ddk/windows/guard.c', 'native/ddk/windows/load_config.S'],
      }),
    )
  }
  return built
}
