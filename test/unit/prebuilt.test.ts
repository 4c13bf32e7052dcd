// SPDX-License-Identifier: MIT

import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkBinaries, checkDriverPackage } from '../../src/cli/doctor/binaries.js'
import { noBinaries } from '../../src/transport/installation.js'
import {
  buildHint,
  changedFiles,
  glibcProblem,
  type PrebuiltManifest,
  readPrebuiltManifest,
  thisPlatform,
} from '../../src/transport/prebuilt.js'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

let root = ''
beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'minipend-prebuilt-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function write(name: string, text: string): void {
  mkdirSync(path.dirname(path.join(root, name)), { recursive: true })
  writeFileSync(path.join(root, name), text)
}

const own = { 'minipend.node': { bytes: 5, sha256: sha256('addon') } }
const certificate = { sha256: 'AA:BB', validTo: 'Nov 29 2031' }
const manifest: PrebuiltManifest = {
  schema: 'minipend-binaries',
  schemaVersion: 1,
  version: '1.2.3',
  source: { commit: '0123456789abcdef', changed: false },
  platforms: { [thisPlatform()]: { builtBy: 'me', compiler: 'cc 1', glibc: '2.34', files: own } },
  drivers: { x64: { builtBy: 'me', certificate, files: { 'minipend.sys': { bytes: 6, sha256: sha256('driver') } } } },
}

describe('the manifest', () => {
  test('is read when it is one', () => {
    expect(readPrebuiltManifest(root)).toBeUndefined()
    write('prebuilt/manifest.json', '{')
    expect(readPrebuiltManifest(root)).toBeUndefined()
    write('prebuilt/manifest.json', JSON.stringify({ ...manifest, schemaVersion: 2 }))
    expect(readPrebuiltManifest(root)).toBeUndefined()
    write('prebuilt/manifest.json', JSON.stringify(manifest))
    expect(readPrebuiltManifest(root)).toEqual(manifest)
  })

  test('tells a changed file and a missing one', () => {
    const files = { ...own, other: { bytes: 1, sha256: sha256('x') } }
    write('minipend.node', 'addon')
    write('other', 'y')
    expect(changedFiles(root, { builtBy: 'me', files })).toEqual(['other is not the file that was packed'])
    rmSync(path.join(root, 'minipend.node'))
    expect(changedFiles(root, { builtBy: 'me', files: own })).toEqual(['minipend.node is missing'])
  })
})

test.each([
  [undefined, '2.31', undefined],
  ['2.34', '2.34', undefined],
  ['2.34', '2.100', undefined],
  ['2.34', '2.31', 'the binaries of this package need glibc 2.34 or newer; this system has 2.31'],
  ['2.34', undefined, 'the binaries of this package need glibc 2.34 or newer; this system has another C library'],
])('glibc %s wanted, %s found', (required, found, problem) => {
  expect(glibcProblem(required, found)).toBe(problem)
})

test('a platform that the package has nothing for', () => {
  expect(noBinaries(undefined, 'darwin-arm64')).toBeUndefined()
  expect(noBinaries(manifest, thisPlatform())).toBeUndefined()
  expect(noBinaries(manifest, 'plan9-mips')).toBe(
    `no binaries for plan9-mips in this package (it has them for ${thisPlatform()})`,
  )
})

test('how to build: in a clone, from a package', () => {
  write('package.json', JSON.stringify({ peerDependencies: { 'cmake-js': '8.0.0', 'node-addon-api': '1.0.0' } }))
  expect(buildHint(root)).toContain(
    'npm install cmake-js@8.0.0 node-addon-api@1.0.0 node-api-headers@latest && npm explore minipend -- npm run build',
  )
  write('tsconfig.build.json', '{}')
  expect(buildHint(root)).toBe('build it: npm run build')
})

describe('doctor', () => {
  const at = (source: 'built' | 'environment' | 'prebuilt' | 'none') => ({ source, directory: root })
  const look = (known: PrebuiltManifest | undefined, version = '1.2.3', glibc: string | undefined = '2.36') =>
    checkBinaries(at('prebuilt'), known, version, () => glibc)

  test('says where the binaries are from', () => {
    expect(checkBinaries(at('built'), undefined, '1.2.3')).toMatchObject({
      status: 'ok',
      detail: `built here: ${root}`,
    })
    expect(checkBinaries(at('none'), undefined, '1.2.3')).toMatchObject({ status: 'missing' })
    write('minipend.node', 'addon')
    expect(look(manifest)).toMatchObject({
      status: 'ok',
      detail: expect.stringContaining('commit 0123456789ab, by me, cc 1; hashes match; needs glibc 2.34') as string,
    })
  })

  test('sees that they are not those that were packed, or cannot work here', () => {
    write('minipend.node', 'addom')
    expect(look(undefined)).toMatchObject({ status: 'failed' })
    expect(look(manifest, '1.2.4').detail).toBe('prebuilt/ is of version 1.2.3, this package is 1.2.4')
    expect(look(manifest).detail).toBe(`${root}: minipend.node is not the file that was packed`)
    write('minipend.node', 'addon')
    expect(look(manifest, '1.2.3', '2.31')).toMatchObject({
      status: 'failed',
      detail: expect.stringContaining('this system has 2.31') as string,
    })
  })

  test('looks at the driver package', () => {
    expect(checkDriverPackage(undefined, root)).toMatchObject({ status: 'optional' })
    expect(checkDriverPackage(manifest, root)).toMatchObject({ status: 'failed' })
    write('prebuilt/driver/x64/minipend.sys', 'driver')
    expect(checkDriverPackage(manifest, root)).toMatchObject({
      status: 'ok',
      detail: expect.stringContaining('x64; a test signature, valid to Nov 29 2031') as string,
    })
  })
})
