// SPDX-License-Identifier: MIT
//
// This module provides: where this library's compiled files are.
//
// The build puts them into build/Release next to src/ and dist/. MINIPEND_ADDON names another addon (one that node-gyp built, say),
// MINIPEND_BUILD_DIR another directory for all of them (an instrumented build).

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { InstallationError } from '../errors/errors.js'

export interface InstalledPart {
  readonly path: string
  readonly exists: boolean
}

export interface Installation {
  /** The compiled addon. */
  readonly addon: InstalledPart
  /** The model. */
  readonly model: InstalledPart
  /** The driver as the model loads it. */
  readonly driverImage: InstalledPart
  /** The packages of the ffi transport; `path` is the package's name when it is not installed. */
  readonly ffiNapi: InstalledPart
  readonly refNapi: InstalledPart
}

const packageRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..')
const requireHere = createRequire(import.meta.url)

const librarySuffix = (): string =>
  process.platform === 'win32' ? '.dll' : process.platform === 'darwin' ? '.dylib' : '.so'

const part = (file: string): InstalledPart => ({ path: file, exists: existsSync(file) })

function packagePart(name: string): InstalledPart {
  try {
    return { path: requireHere.resolve(name), exists: true }
  } catch {
    return { path: name, exists: false }
  }
}

/** Where everything is, and whether it is there. Loads nothing. */
export function inspectInstallation(): Installation {
  const { MINIPEND_ADDON: addon, MINIPEND_BUILD_DIR: buildDir } = process.env
  const directory = path.resolve(packageRoot, buildDir ?? path.join('build', 'Release'))
  return {
    addon: part(addon === undefined ? path.join(directory, 'minipend.node') : path.resolve(addon)),
    model: part(path.join(directory, `libfltsim${librarySuffix()}`)),
    driverImage: part(path.join(directory, 'minipend.host.so')),
    ffiNapi: packagePart('ffi-napi'),
    refNapi: packagePart('ref-napi'),
  }
}

/** The file's path. @throws InstallationError when it is not there. */
export function requirePart(installed: InstalledPart, what: string): string {
  if (!installed.exists) {
    throw new InstallationError('BUILD_MISSING', `${what} is missing: ${installed.path}`, {
      operation: 'openMinipend',
      hint: 'build it: npm run build',
    })
  }
  return installed.path
}

/** Loads a CommonJS module or an addon. */
export const loadModule = (file: string): unknown => requireHere(file)
