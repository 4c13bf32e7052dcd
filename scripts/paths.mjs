// SPDX-License-Identifier: MIT
//
// This module provides: where things are in this package. build/ belongs to CMake; build/Release holds what is used at run time:
// minipend.node, the fltsim library and the driver's host image.

import { createRequire } from 'node:module'
import path from 'node:path'

const require = createRequire(import.meta.url)

export const root = path.resolve(import.meta.dirname, '..')
export const nativeDir = path.join(root, 'native')
export const buildDir = path.join(root, 'build')
export const configuration = 'Release'
export const protocolModule = path.join(root, 'src', 'generated', 'protocol.ts')
export const readingsTable = path.join(nativeDir, 'fltsim', 'src', 'core', 'readings.inc')
export const readingsModule = path.join(root, 'src', 'generated', 'readings.ts')
export const readingsPage = path.join(root, 'docs', 'READINGS.md')
export const distDir = path.join(root, 'dist')

const executableSuffix = process.platform === 'win32' ? '.exe' : ''
export const layoutProgram = path.join(buildDir, 'tools', `protocol_layout${executableSuffix}`)
export const nativeTestsDir = path.join(root, 'test', 'native')
export const testsDir = path.join(buildDir, 'tests')
export const nativeTests = path.join(testsDir, `minipend_native_tests${executableSuffix}`)
export const addon = path.join(buildDir, configuration, 'minipend.node')

/** File of an installed package, whatever its "exports" say. */
export function packageFile(name, ...rest) {
  return path.join(path.dirname(require.resolve(`${name}/package.json`)), ...rest)
}

/** What a package's package.json says its version is. */
export function packageVersion(name) {
  return require(`${name}/package.json`).version
}

export function hasPackage(name) {
  try {
    return packageVersion(name) !== ''
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error
    return false
  }
}
