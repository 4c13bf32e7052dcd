// SPDX-License-Identifier: MIT
//
// This module provides: the binaries that the package carries: which there are, what they need, whether they are still what was packed.
//
// prebuilt/<platform>-<architecture>/ has the compiled files, prebuilt/driver/<architecture>/ the driver package, prebuilt/manifest.json their hashes. A clone
// has none of them until somebody has run `npm run package`.

import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

export interface PrebuiltFiles {
  readonly builtBy: string
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>
}
export interface PrebuiltPlatform extends PrebuiltFiles {
  readonly compiler: string
  /** The oldest glibc with which they load. Only on Linux. */
  readonly glibc?: string
}
export interface PrebuiltDriver extends PrebuiltFiles {
  readonly certificate: { readonly sha256: string; readonly validTo: string }
}
export interface PrebuiltManifest {
  readonly schema: 'minipend-binaries'
  readonly schemaVersion: 1
  readonly version: string
  readonly source: { readonly commit: string; readonly changed: boolean } | null
  readonly platforms: Readonly<Record<string, PrebuiltPlatform>>
  readonly drivers: Readonly<Record<string, PrebuiltDriver>>
}

/** This machine's kind, as the directories are called. */
export const thisPlatform = (): string => `${process.platform}-${process.arch}`

export const prebuiltDirectory = (root: string): string => path.join(root, 'prebuilt')

/** Undefined: this package carries no binaries, or none that this version knows how to read. */
export function readPrebuiltManifest(root: string): PrebuiltManifest | undefined {
  try {
    const text = readFileSync(path.join(prebuiltDirectory(root), 'manifest.json'), 'utf8')
    const manifest = JSON.parse(text) as Partial<PrebuiltManifest>
    return manifest.schema === 'minipend-binaries' && manifest.schemaVersion === 1
      ? (manifest as PrebuiltManifest)
      : undefined
  } catch {
    return undefined
  }
}

/** The files of `expected` that are missing from `directory`, or are others than were packed. */
export function changedFiles(directory: string, expected: PrebuiltFiles): string[] {
  return Object.entries(expected.files).flatMap(([name, { sha256 }]) => {
    const file = path.join(directory, name)
    if (!existsSync(file)) {
      return [`${name} is missing`]
    }
    const found = createHash('sha256').update(readFileSync(file)).digest('hex')
    return found === sha256 ? [] : [`${name} is not the file that was packed`]
  })
}

const older = (a: string, b: string): boolean => a.localeCompare(b, 'en', { numeric: true }) < 0

/** This system's glibc; undefined: it has another C library. Looking takes a few milliseconds. */
export function systemGlibc(): string | undefined {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime
}

/** What of the C library is in the way, where that is known. */
export function glibcProblem(required: string | undefined, found: string | undefined): string | undefined {
  if (required === undefined) {
    return undefined
  }
  if (found === undefined) {
    return `the binaries of this package need glibc ${required} or newer; this system has another C library`
  }
  return older(found, required)
    ? `the binaries of this package need glibc ${required} or newer; this system has ${found}`
    : undefined
}

/** How to build in place. A clone has what it takes, an installed package does not. */
export function buildHint(root: string): string {
  if (existsSync(path.join(root, 'tsconfig.build.json'))) {
    return 'build it: npm run build'
  }
  const { peerDependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    peerDependencies: Readonly<Record<string, string>>
  }
  const packages = ['cmake-js', 'node-addon-api', 'node-api-headers']
  const versions = packages.map((name) => `${name}@${peerDependencies[name] ?? 'latest'}`)
  return `build from source, with CMake and a C++ compiler: npm install ${versions.join(' ')} && npm explore minipend -- npm run build`
}
