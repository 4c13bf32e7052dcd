// SPDX-License-Identifier: MIT
//
// This module provides: doctor's look at the compiled files: built here or carried by the package, whether they are what was packed, and the
// driver package for Windows.

import path from 'node:path'
import type { Installation } from '../../index.js'
import { missingHint, noBinaries, packageRoot } from '../../transport/installation.js'
import {
  changedFiles,
  glibcProblem,
  prebuiltDirectory,
  type PrebuiltManifest,
  readPrebuiltManifest,
  systemGlibc,
  thisPlatform,
} from '../../transport/prebuilt.js'
import { packageManifest } from '../package-manifest.js'
import type { Check } from './checks.js'

const REINSTALL = 'install the package again'

const madeFrom = ({ version, source }: PrebuiltManifest): string =>
  `version ${version}, ${source === null ? 'commit unknown' : `commit ${source.commit.slice(0, 12)}${source.changed ? ', with changes' : ''}`}`

/** `manifest`: undefined when the package carries nothing. `glibc`: this system's. */
export function checkBinaries(
  { source, directory }: Pick<Installation, 'source' | 'directory'>,
  manifest: PrebuiltManifest | undefined,
  version: string,
  glibc: () => string | undefined = systemGlibc,
): Check {
  const common = { id: 'binaries', title: 'Binaries' }
  if (source === 'built' || source === 'environment') {
    const from = source === 'built' ? 'built here' : 'MINIPEND_BUILD_DIR'
    return { ...common, status: 'ok', detail: `${from}: ${directory}` }
  }
  if (source === 'none') {
    const detail = noBinaries(manifest) ?? 'nothing was built, and this package carries none'
    return { ...common, status: 'missing', detail, fix: missingHint() }
  }
  const platform = manifest?.platforms[thisPlatform()]
  if (manifest === undefined || platform === undefined) {
    const detail = `${directory} is there, but prebuilt/manifest.json does not tell of it`
    return { ...common, status: 'failed', detail, fix: REINSTALL }
  }
  if (manifest.version !== version) {
    const detail = `prebuilt/ is of version ${manifest.version}, this package is ${version}`
    return { ...common, status: 'failed', detail, fix: REINSTALL }
  }
  const changed = changedFiles(directory, platform)
  if (changed.length > 0) {
    return { ...common, status: 'failed', detail: `${directory}: ${changed.join(', ')}`, fix: REINSTALL }
  }
  const problem = platform.glibc === undefined ? undefined : glibcProblem(platform.glibc, glibc())
  if (problem !== undefined) {
    return { ...common, status: 'failed', detail: problem, fix: missingHint() }
  }
  const needs = platform.glibc === undefined ? '' : `; needs glibc ${platform.glibc}`
  return {
    ...common,
    status: 'ok',
    detail: `prebuilt ${thisPlatform()}, ${madeFrom(manifest)}, by ${platform.builtBy}, ${platform.compiler}; hashes match${needs}`,
  }
}

/** The signed driver that the package brings for a test machine. */
export function checkDriverPackage(manifest: PrebuiltManifest | undefined, root: string): Check {
  const common = { id: 'driverPackage', title: 'Driver package' }
  const drivers = Object.entries(manifest?.drivers ?? {})
  if (drivers.length === 0) {
    return {
      ...common,
      status: 'optional',
      detail: 'none; only a Windows test machine needs it',
      fix: 'in a clone: npm run build:driver && npx minipend sign build/driver/x64',
    }
  }
  const directory = path.join(prebuiltDirectory(root), 'driver')
  const changed = drivers.flatMap(([architecture, driver]) =>
    changedFiles(path.join(directory, architecture), driver).map((problem) => `${architecture}: ${problem}`),
  )
  if (changed.length > 0) {
    return { ...common, status: 'failed', detail: `${directory}: ${changed.join(', ')}`, fix: REINSTALL }
  }
  const names = drivers.map(([architecture]) => architecture).join(', ')
  const until = drivers[0]?.[1].certificate.validTo ?? ''
  return { ...common, status: 'ok', detail: `${directory}: ${names}; a test signature, valid to ${until}` }
}

export function binaryChecks(installed: Installation): readonly Check[] {
  const manifest = readPrebuiltManifest(packageRoot)
  return [checkBinaries(installed, manifest, packageManifest().version), checkDriverPackage(manifest, packageRoot)]
}
