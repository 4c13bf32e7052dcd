// SPDX-License-Identifier: MIT
//
// This module provides: where this library's compiled files are.
//
// The build puts them into build/Release next to src/ and dist/; a package carries them for some platforms in prebuilt/ (prebuilt.ts), which is looked at
// when nothing was built. MINIPEND_ADDON names another addon (one that node-gyp built, say), MINIPEND_BUILD_DIR another directory for all
// of them (an instrumented build), MINIPEND_DRIVER_IMAGE another driver for the model (minipend.sys).

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { InstallationError } from '../errors/errors.js'
import {
  buildHint,
  glibcProblem,
  prebuiltDirectory,
  type PrebuiltManifest,
  readPrebuiltManifest,
  systemGlibc,
  thisPlatform,
} from './prebuilt.js'

export interface InstalledPart {
  readonly path: string
  readonly exists: boolean
}

export interface Installation {
  /** Where the compiled files are from: MINIPEND_BUILD_DIR, a build in this directory, or the package as it came. */
  readonly source: 'environment' | 'built' | 'prebuilt' | 'none'
  readonly directory: string
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

export const packageRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..')
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

function findDirectory(): Pick<Installation, 'source' | 'directory'> {
  const { MINIPEND_BUILD_DIR: buildDir } = process.env
  if (buildDir !== undefined) {
    return { source: 'environment', directory: path.resolve(packageRoot, buildDir) }
  }
  const built = path.join(packageRoot, 'build', 'Release')
  if (existsSync(path.join(built, 'minipend.node'))) {
    return { source: 'built', directory: built }
  }
  const prebuilt = path.join(prebuiltDirectory(packageRoot), thisPlatform())
  return existsSync(prebuilt) ? { source: 'prebuilt', directory: prebuilt } : { source: 'none', directory: built }
}

/** Where everything is, and whether it is there. Loads nothing. */
export function inspectInstallation(): Installation {
  const { MINIPEND_ADDON: addon, MINIPEND_DRIVER_IMAGE: image } = process.env
  const { source, directory } = findDirectory()
  return {
    source,
    directory,
    addon: part(addon === undefined ? path.join(directory, 'minipend.node') : path.resolve(addon)),
    model: part(path.join(directory, `libfltsim${librarySuffix()}`)),
    driverImage: part(image === undefined ? path.join(directory, 'minipend.host.so') : path.resolve(image)),
    ffiNapi: packagePart('ffi-napi'),
    refNapi: packagePart('ref-napi'),
  }
}

/** What is the matter when something is missing, if it is that the package has nothing for this platform. */
export function noBinaries(manifest: PrebuiltManifest | undefined, platform = thisPlatform()): string | undefined {
  if (manifest === undefined || manifest.platforms[platform] !== undefined) {
    return undefined
  }
  return `no binaries for ${platform} in this package (it has them for ${Object.keys(manifest.platforms).join(', ')})`
}

/** The file's path. @throws InstallationError when it is not there. */
export function requirePart(installed: InstalledPart, what: string): string {
  if (!installed.exists) {
    const foreign = findDirectory().source === 'none' ? noBinaries(readPrebuiltManifest(packageRoot)) : undefined
    throw new InstallationError('BUILD_MISSING', foreign ?? `${what} is missing: ${installed.path}`, {
      operation: 'openMinipend',
      hint: missingHint(),
    })
  }
  return installed.path
}

/** What to do when a compiled file is missing. */
export function missingHint(): string {
  const { source } = findDirectory()
  return source === 'prebuilt' ? `install the package again, or ${buildHint(packageRoot)}` : buildHint(packageRoot)
}

/** What to do when a compiled file is there and does not load. */
export function brokenHint(): string {
  if (findDirectory().source !== 'prebuilt') {
    return 'build it again: npm run build'
  }
  const required = readPrebuiltManifest(packageRoot)?.platforms[thisPlatform()]?.glibc
  const problem = required === undefined ? undefined : glibcProblem(required, systemGlibc())
  const build = buildHint(packageRoot)
  return problem === undefined
    ? `\`minipend doctor\` says whether the files are those that were packed; or ${build}`
    : `${problem}; ${build}`
}

/** Loads a CommonJS module or an addon. */
export const loadModule = (file: string): unknown => requireHere(file)
