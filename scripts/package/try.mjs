// SPDX-License-Identifier: MIT
//
// This module provides: `npm run try:package`: makes the package, looks at it with publint and are-the-types-wrong, and uses it as a stranger does: from the
// tarball, in an empty project, with no compiler in PATH and no install script.
//
//   npm run try:package -- TARBALL   this one, without making it

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'

import * as paths from '../paths.mjs'
import { BuildProblem, runMain } from '../toolchain.mjs'
import { leastGlibc, portabilityProblems, readDemands } from './elf.mjs'
import { makePackage } from './package.mjs'
import { importProblems } from './pe.mjs'

const LIMIT_MS = 120_000

/** The whole path of a command of this machine. */
function which(command) {
  const found = (process.env['PATH'] ?? '')
    .split(path.delimiter)
    .map((directory) => path.join(directory, command))
    .find((file) => spawnSync('test', ['-x', file]).status === 0)
  assert(found !== undefined, `${command} is not in PATH`)
  return found
}

/** Runs a program. What it printed is shown when `expected`, its exit code, is another. */
function run(command, args, { expected = 0, ...options } = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', timeout: LIMIT_MS, ...options })
  if (result.error !== undefined) throw result.error
  if (result.status !== expected) {
    process.stderr.write(result.stdout + result.stderr)
    throw new BuildProblem(`${command} ${args.join(' ')}: exit code ${result.status ?? result.signal}, not ${expected}`)
  }
  return result.stdout + result.stderr
}

/** An environment in which there is no compiler, no CMake, and none of this clone's tools. */
function bareEnvironment(directory) {
  const bin = path.join(directory, 'bin')
  mkdirSync(bin)
  symlinkSync(process.execPath, path.join(bin, 'node'))
  for (const command of ['npm', 'npx', 'sh']) symlinkSync(realpathSync(which(command)), path.join(bin, command))
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(MINIPEND_|NODE_|CC$|CXX$|INIT_CWD$|npm_)/.test(name)),
  )
  const { npm_config_registry: registry } = process.env
  return {
    ...env,
    ...(registry === undefined ? {} : { npm_config_registry: registry }),
    npm_config_update_notifier: 'false',
    PATH: bin,
  }
}

function filesBelow(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
    .sort()
}

const firstDirectories = ['dist', 'docs', 'driver', 'native', 'prebuilt', 'scripts']

function checkContents(installed) {
  const files = filesBelow(installed).filter((file) => !file.startsWith('node_modules/'))
  const strange = files.filter((file) => file.includes('/') && !firstDirectories.includes(file.split('/')[0]))
  assert.deepEqual(strange, [], 'directories that do not belong into the package')
  assert.deepEqual(
    files.filter((file) => /\.(test\.ts|pem|pfx|key|pdb|tsbuildinfo|log)$/.test(file)),
    [],
    'files that do not belong into the package',
  )
  for (const file of files) {
    const bytes = readFileSync(path.join(installed, file)).toString('latin1')
    assert(!/-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]/.test(bytes), `${file} has a private key`)
    assert(!bytes.includes(paths.root), `${file} names a directory of this machine`)
  }
  return files.length
}

/** What this machine's binaries demand, by readelf, is what the manifest says. */
function checkBinaries(installed) {
  const manifest = JSON.parse(readFileSync(path.join(installed, 'prebuilt', 'manifest.json'), 'utf8'))
  const platform = `${process.platform}-${process.arch}`
  const { files, glibc } = manifest.platforms[platform]
  const demands = Object.keys(files).map((name) => readDemands(path.join(installed, 'prebuilt', platform, name)))
  assert.deepEqual(demands.flatMap(portabilityProblems), [])
  assert.equal(leastGlibc(demands.flatMap(({ versions }) => versions)), glibc)
  for (const name of Object.keys(manifest.platforms['win32-x64'].files)) {
    assert.deepEqual(importProblems(path.join(installed, 'prebuilt', 'win32-x64', name)), [])
  }
  for (const architecture of ['x64', 'arm64']) {
    const names = Object.keys(manifest.drivers[architecture].files)
    assert.deepEqual(names, ['minipend.cat', 'minipend.cer', 'minipend.inf', 'minipend.sys'])
  }
  return `glibc ${glibc}`
}

const SCRIPT = `import { openMinipend, pend } from 'minipend'

await using mp = await openMinipend({ backend: 'embedded' })
await using instance = await mp.attach('D:')
await mp.rules.set([{ on: ['rename'], volume: instance.volume, action: pend({ delayMs: 20 }) }])
await mp.io.writeFile('D:\\\\a.txt', 'hello')
await mp.io.rename('D:\\\\a.txt', 'D:\\\\b.txt')
const counters = await mp.counters()
const pended: bigint = counters.pended
console.log(\`pended \${pended}, completed \${counters.completed}\`)
`

const PLAIN = `import { inspectInstallation, openMinipend } from 'minipend'

const mp = await openMinipend({ backend: 'embedded' })
console.log(inspectInstallation().source, mp.hello.driverVersion)
await mp.close()
`

/** The types, as a strict project sees them that has neither Node's types nor skipLibCheck. */
function checkTypes(project) {
  const options = { target: 'es2022', module: 'nodenext', strict: true, exactOptionalPropertyTypes: true, noEmit: true }
  const compilerOptions = { ...options, lib: ['es2023', 'esnext.disposable', 'dom'], types: [], skipLibCheck: false }
  writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }))
  const tsc = paths.packageFile('typescript', 'bin', 'tsc')
  run(process.execPath, [tsc, '-p', project], { cwd: project })
  const wrong = `${SCRIPT}\nconst wrong: string = counters.pended\nconsole.log(wrong)\n`
  writeFileSync(path.join(project, 'wrong.ts'), wrong)
  writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['wrong.ts'] }))
  assert.match(run(process.execPath, [tsc, '-p', project], { cwd: project, expected: 2 }), /wrong\.ts.*TS2322/)
}

function useIt(project, env) {
  const options = { cwd: project, env }
  const npx = (args, expected = 0) => run('npx', ['--no-install', 'minipend', ...args], { ...options, expected })
  step('npx minipend demo', () => {
    const { balance } = JSON.parse(npx(['demo', '--json', '--duration-ms', '500']))
    assert.equal(balance?.exact, true)
  })
  step('npx minipend doctor', () => {
    const { ok, checks } = JSON.parse(npx(['doctor', '--json']))
    assert(ok)
    const byId = Object.fromEntries(checks.map((check) => [check.id, check]))
    for (const id of ['binaries', 'driverPackage', 'embedded']) assert.equal(byId[id].status, 'ok', byId[id].detail)
    for (const id of ['cmake', 'compiler']) assert.equal(byId[id].status, 'optional', 'a compiler is in PATH')
    return byId.binaries.detail
  })
  step('npx minipend run script.ts', () => {
    writeFileSync(path.join(project, 'consumer.ts'), SCRIPT)
    assert.match(npx(['run', 'consumer.ts']), /^pended 1, completed 1$/m)
  })
  step('npx minipend validate', () => {
    assert.match(npx(['validate'], 3), /in a clone of the repository/)
  })
  step('a script in plain Node', () => {
    writeFileSync(path.join(project, 'plain.mjs'), PLAIN)
    assert.match(run('node', ['plain.mjs'], options), /^prebuilt \d/m)
  })
  step('types', () => checkTypes(project))
}

/** What is said when something is wrong with the binaries. */
function spoilIt(project, installed, env) {
  const options = { cwd: project, env }
  const own = path.join(installed, 'prebuilt', `${process.platform}-${process.arch}`)
  const doctor = (expected) => run('npx', ['--no-install', 'minipend', 'doctor', '--json'], { ...options, expected })
  const image = path.join(own, 'minipend.host.so')
  step('a changed file', () => {
    copyFileSync(image, `${image}.good`)
    appendFileSync(image, 'x')
    assert.match(doctor(0), /minipend\.host\.so is not the file that was packed/)
    renameSync(`${image}.good`, image)
  })
  step('a platform without binaries', () => {
    renameSync(own, path.join(path.dirname(own), 'hidden'))
    const manifest = path.join(installed, 'prebuilt', 'manifest.json')
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace(`"${path.basename(own)}"`, '"plan9-mips"'))
    assert.match(run('node', ['plain.mjs'], { ...options, expected: 1 }), /no binaries for .* in this package \(it has/)
    assert.match(doctor(1), /npm install cmake-js@/)
    const build = run('npm', ['explore', 'minipend', '--', 'npm', 'run', 'build'], { ...options, expected: 1 })
    assert.match(build, /cmake-js, node-addon-api, node-api-headers not installed\. Run: npm install cmake-js@\d/)
  })
}

function step(what, work) {
  const started = Date.now()
  const said = work()
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  console.log(`ok  ${what}${said === undefined ? '' : `: ${said}`} (${seconds} s)`)
  return said
}

/** Two packs of one tree are one file. */
function checkSameBytes(tarball, directory) {
  const again = path.join(directory, 'again')
  mkdirSync(again)
  run('npm', ['pack', '--ignore-scripts', '--pack-destination', again], { cwd: paths.root })
  const other = path.join(again, path.basename(tarball))
  assert(readFileSync(tarball).equals(readFileSync(other)), 'a second npm pack made other bytes')
}

await runMain(() => {
  const given = process.argv[2]
  const tarball = given === undefined ? makePackage() : path.resolve(given)
  const directory = mkdtempSync(path.join(os.tmpdir(), 'minipend try package '))
  try {
    if (given === undefined) step('npm pack again: the same bytes', () => checkSameBytes(tarball, directory))
    const tool = (name, ...args) => run(path.join(paths.root, 'node_modules', '.bin', name), args)
    step('publint', () => assert.match(tool('publint', tarball, '--strict'), /All good!/))
    // "esm-only": that CommonJS gets ES modules is meant. Node 20.19 and newer can require() them, older ones import().
    step('are the types wrong', () => void tool('attw', tarball, '--profile', 'esm-only', '--no-emoji'))
    const env = bareEnvironment(directory)
    const project = path.join(directory, 'project')
    const installed = path.join(project, 'node_modules', 'minipend')
    mkdirSync(project)
    writeFileSync(path.join(project, 'package.json'), JSON.stringify({ name: 'stranger', type: 'module' }))
    step('npm install TARBALL', () => {
      run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', tarball], {
        cwd: project,
        env,
      })
      return `${readdirSync(path.join(project, 'node_modules')).length} directories in node_modules`
    })
    step('contents', () => `${checkContents(installed)} files`)
    step('binaries', () => checkBinaries(installed))
    useIt(project, env)
    spoilIt(project, installed, env)
  } catch (error) {
    if (error instanceof assert.AssertionError) throw new BuildProblem(`minipend try: ${error.message}`)
    throw error
  } finally {
    rmSync(directory, { force: true, recursive: true })
  }
})
