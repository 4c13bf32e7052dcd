// SPDX-License-Identifier: MIT
//
// This module provides: prebuilt/manifest.json: which binaries the package carries, with their hashes, what they were made from, by whom, and what they
// need. src/transport/prebuilt.ts reads it.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

import * as paths from '../paths.mjs'

export const prebuiltDir = path.join(paths.root, 'prebuilt')
export const manifestFile = path.join(prebuiltDir, 'manifest.json')

const schema = 'minipend-binaries'
const schemaVersion = 1

function git(...args) {
  const result = spawnSync('git', args, { cwd: paths.root, encoding: 'utf8' })
  return result.status === 0 ? result.stdout.trim() : undefined
}

/** The commit, and whether the tree differs from it. Null outside a clone. */
export function sourceOf() {
  const commit = git('rev-parse', 'HEAD')
  return commit === undefined ? null : { commit, changed: git('status', '--porcelain') !== '' }
}

/** MINIPEND_BUILDER, else the account and the machine. */
export const builder = () => process.env['MINIPEND_BUILDER'] || `${os.userInfo().username}@${os.hostname()}`

const hashOf = (file) => createHash('sha256').update(readFileSync(file)).digest('hex')

/** Name, size and hash of the files of a directory, sorted. */
export function filesIn(directory) {
  const names = readdirSync(directory).sort()
  return Object.fromEntries(
    names.map((name) => {
      const file = path.join(directory, name)
      return [name, { bytes: readFileSync(file).length, sha256: hashOf(file) }]
    }),
  )
}

/** `platforms` and `drivers`: by platform-architecture and by architecture, whatever is known of each besides its files. */
export function makeManifest(platforms, drivers) {
  const withFiles = (facts, directory) => ({ ...facts, files: filesIn(directory) })
  const each = (entries, directoryOf) =>
    Object.fromEntries(Object.keys(entries).map((key) => [key, withFiles(entries[key], directoryOf(key))]))
  return {
    schema,
    schemaVersion,
    version: JSON.parse(readFileSync(path.join(paths.root, 'package.json'), 'utf8')).version,
    source: sourceOf(),
    platforms: each(platforms, (key) => path.join(prebuiltDir, key)),
    drivers: each(drivers, (key) => path.join(prebuiltDir, 'driver', key)),
  }
}

export function readManifest() {
  try {
    return JSON.parse(readFileSync(manifestFile, 'utf8'))
  } catch {
    return undefined // none yet, or not a whole one
  }
}

/** Files that are missing, changed or not named. */
function fileProblems(directory, files) {
  if (!existsSync(directory)) return [`${path.relative(paths.root, directory)} is missing`]
  const found = filesIn(directory)
  return [...new Set([...Object.keys(files), ...Object.keys(found)])]
    .filter((name) => files[name]?.sha256 !== found[name]?.sha256)
    .map((name) => `${path.relative(paths.root, path.join(directory, name))} is not what the manifest says`)
}

/** Why what lies in prebuilt/ and dist/ must not be packed; empty: it may. */
export function packingProblems() {
  const manifest = readManifest()
  if (manifest === undefined) return ['prebuilt/manifest.json is missing']
  const { version } = JSON.parse(readFileSync(path.join(paths.root, 'package.json'), 'utf8'))
  const source = sourceOf()
  const problems = []
  if (manifest.version !== version) problems.push(`prebuilt/ is of version ${manifest.version}, this is ${version}`)
  if (source !== null && manifest.source?.commit !== source.commit) {
    problems.push(`prebuilt/ was made from commit ${manifest.source?.commit ?? '(unknown)'}, this is ${source.commit}`)
  }
  for (const [key, { files }] of Object.entries(manifest.platforms)) {
    problems.push(...fileProblems(path.join(prebuiltDir, key), files))
  }
  for (const [key, { files }] of Object.entries(manifest.drivers)) {
    problems.push(...fileProblems(path.join(prebuiltDir, 'driver', key), files))
  }
  if (!existsSync(path.join(paths.distDir, 'index.js'))) problems.push('dist/ is missing')
  return problems
}
