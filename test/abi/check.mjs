// SPDX-License-Identifier: MIT
//
// This module provides: `node test/abi/check.mjs [--ddk DIR] [--only TARGET]`, which compares the headers of native/ddk with
// facts.json. Prints "N assertions" and exits 0 when all hold; prints what differs and exits 1 otherwise.
//
// Targets: host (the default C compiler, must be there), clang (the same with clang), x64 and arm64 (clang for the Windows
// targets, arm64 with the facts that differ there), c++ (the headers compile as C++20). Without clang only the host's run.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Assertions } from './assertions.mjs'
import { scanHeaders } from './scan.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const { values: options } = parseArgs({ options: { ddk: { type: 'string' }, only: { type: 'string' } } })
const ddk = resolve(options.ddk ?? join(here, '..', '..', 'native', 'ddk'))
const include = join(ddk, 'include')

const works = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
const firstWorking = (...commands) => commands.find((command) => command && works(command))
const cc = firstWorking(process.env.CC, 'cc', 'gcc', 'clang')
const cxx = firstWorking(process.env.CXX, 'c++', 'g++', 'clang++')
const clang = firstWorking(process.env.CLANG, 'clang-19', 'clang')

const DEFINES = ['-D_KERNEL_MODE=1', '-DNTDDI_VERSION=0x0A000004', '-D_WIN32_WINNT=0x0A00']
const HOST = ['-fshort-wchar', '-fms-extensions']
const windows = (machine) => [
  `--target=${machine}-pc-windows-msvc`,
  ...['-fms-extensions', '-fgnuc-version=4.2.1', '-ffreestanding', '-fasync-exceptions'],
]
const targets = [
  { name: 'host', compiler: cc, flags: HOST, user: true },
  { name: 'clang', compiler: clang, flags: HOST, user: true },
  { name: 'x64', compiler: clang, flags: windows('x86_64') },
  { name: 'arm64', compiler: clang, flags: windows('aarch64') },
].filter((target) => options.only === undefined || options.only === target.name)

if (!cc || !cxx) {
  console.error('abi: no C and C++ compiler found; install gcc or clang, or set CC and CXX')
  process.exit(1)
}

const facts = JSON.parse(readFileSync(join(here, 'facts.json'), 'utf8'))
const own = JSON.parse(readFileSync(join(here, 'own.json'), 'utf8'))
const work = mkdtempSync(join(tmpdir(), 'minipend-abi-'))
const MAX_ERRORS = 12
let total = 0
const failures = []

/** The first errors of a compiler's output, without the macro backtraces. */
function digest(stderr) {
  const errors = stderr.split('\n').filter((line) => /\b(error|warning):/.test(line))
  const shown = (errors.length > 0 ? errors : stderr.split('\n')).slice(0, MAX_ERRORS)
  const rest = errors.length - shown.length
  return shown.map((line) => `  ${line}`).join('\n') + (rest > 0 ? `\n  ... and ${rest} more` : '')
}

/** Headers that no Windows build uses: the exceptions of hosts, and what the model offers to programs. */
const HOST_HEADERS = new Set(['seh_host.h', 'fltsim_user.h', 'fltsim_user_names.h', 'fltsim_nt.h'])

/** Every header must be one that the check of a Windows target has seen. */
function uncovered(target, text) {
  const path = join(work, `${target.name}-covered.c`)
  writeFileSync(path, text)
  const result = spawnSync(target.compiler, [...DEFINES, ...target.flags, '-M', '-I', include, path], { encoding: 'utf8' })
  const seen = new Set(result.stdout.split(/\s+/).map((file) => basename(file)))
  return readdirSync(include).filter((file) => !HOST_HEADERS.has(file) && !seen.has(file))
}

function compile(target, compiler, standard, file, text, more = []) {
  const path = join(work, file)
  writeFileSync(path, text)
  const warnings = ['-Wall', '-Wextra', '-Werror', '-Wno-multichar', '-Wno-unused-function']
  const result = spawnSync(
    compiler,
    [`-std=${standard}`, ...warnings, ...DEFINES, ...target.flags, ...more, '-I', include, '-fsyntax-only', path],
    { encoding: 'utf8' },
  )
  if (result.error) failures.push(`${target.name}: cannot run ${compiler}: ${result.error.message}`)
  else if (result.status !== 0) failures.push(`${target.name}: ${compiler} on ${file}:\n${digest(result.stderr)}`)
}

try {
  const declared = scanHeaders(include)
  const problems = new Set()
  for (const target of targets) {
    if (!target.compiler) {
      console.log(`${target.name}: left out, clang is not installed`)
      continue
    }
    const kernel = new Assertions(facts, own, declared, target.name)
    const text = kernel.kernel()
    compile(target, target.compiler, 'gnu17', `${target.name}-kernel.c`, text)
    if (kernel.windows) {
      for (const file of uncovered(target, text)) problems.add(`${file}: no check on ${target.name} includes it`)
    }
    let count = kernel.count
    for (const problem of kernel.problems) problems.add(problem)
    if (target.user) {
      const user = new Assertions(facts, own, declared, target.name)
      const header = readFileSync(join(include, 'fltsim_user.h'), 'utf8')
      user.userCalls = [...header.matchAll(/^\s*\w*\s*HRESULT\s+(\w+)\(/gm)].map((match) => match[1])
      if (user.userCalls.length === 0) problems.add('fltsim_user.h declares no call of fltlib that this check can see')
      compile(target, target.compiler, 'gnu17', `${target.name}-user.c`, user.user())
      for (const problem of user.problems) problems.add(problem)
      count += user.count
    }
    compile(target, target.compiler, 'gnu17', `${target.name}-inline.c`, readFileSync(join(here, 'inline.c'), 'utf8'))
    console.log(`${target.name}: ${count} assertions`)
    total += count
  }
  if (options.only === undefined) {
    const headers = ['fltkernel.h', 'wdf.h', 'wdf_loader.h', 'fltsim_user.h', 'fltuser.h']
    const text = headers.map((header) => `#include <${header}>\n`).join('')
    compile({ name: 'c++', flags: [] }, cxx, 'gnu++20', 'all.cpp', text)
  }
  failures.unshift(...problems)
} catch (error) {
  failures.unshift(error.message)
} finally {
  rmSync(work, { recursive: true, force: true })
}

for (const failure of failures) console.error(`abi: ${failure}`)
if (failures.length > 0) {
  console.error(`abi: ${failures.length} difference(s) between native/ddk and test/abi/facts.json`)
  process.exit(1)
}
console.log(`${total} assertions`)
