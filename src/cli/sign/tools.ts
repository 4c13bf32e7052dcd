// SPDX-License-Identifier: MIT
//
// This module provides: the programs that sign, as one table for each platform: osslsigncode where there is no WDK, signtool and Inf2Cat
// where there is. Both get the same files; what they make is judged by the same code (authenticode.ts, catalog.ts).

import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'

import { InstallationError } from '../../index.js'
import { InputError } from '../problems.js'

export interface Command {
  readonly program: string
  readonly args: readonly string[]
}

export interface Finished {
  readonly code: number
  readonly output: string
}

/** Runs one program; ENOENT is thrown as it comes. */
export type Runner = (command: Command) => Promise<Finished>

export const runProgram: Runner = ({ program, args }) =>
  new Promise((resolve, reject) => {
    execFile(program, [...args], { windowsHide: true, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code
      const notStarted: Error | null = typeof code === 'number' ? null : error
      if (notStarted !== null) reject(notStarted)
      else resolve({ code: Number(code), output: `${stdout}${stderr}`.trim() })
    })
  })

export interface SigningKey {
  /** Key and certificate: PEM for osslsigncode, PFX for signtool. */
  readonly file: string
  /** Of the PFX. */
  readonly password: string
}

/** What a platform's programs do. `makeCatalog` undefined: no program, catalog.ts does it. */
export interface SigningTools {
  readonly key: 'pem' | 'pfx'
  signImage(from: string, to: string, key: SigningKey): readonly Command[]
  makeCatalog: ((directory: string, architecture: 'x64' | 'arm64') => Command) | undefined
  signCatalog(from: string, to: string, key: SigningKey): readonly Command[]
  /** A second opinion about what was made; the first is ours. */
  verify(files: { image: string; catalog: string; certificate: string }): readonly Command[]
}

const DESCRIPTION = 'minipend (test signed)'

const ossl = (from: string, to: string, key: SigningKey): Command => ({
  program: 'osslsigncode',
  args: ['sign', '-certs', key.file, '-key', key.file, '-h', 'sha256', '-n', DESCRIPTION, '-in', from, '-out', to],
})

export const osslsigncode: SigningTools = {
  key: 'pem',
  signImage: (from, to, key) => [ossl(from, to, key)],
  makeCatalog: undefined,
  signCatalog: (from, to, key) => [ossl(from, to, key)],
  verify: ({ image, catalog, certificate }) => {
    const verify = (...args: string[]): Command => ({
      program: 'osslsigncode',
      args: ['verify', '-CAfile', certificate, ...args],
    })
    return [verify('-in', image), verify('-in', catalog), verify('-catalog', catalog, '-in', image)]
  },
}

/** signtool changes a file in place, so it gets the copy. */
export function windowsKit(kit: { signtool: string; inf2cat: string }): SigningTools {
  const sign = (file: string, key: SigningKey): Command => ({
    program: kit.signtool,
    args: ['sign', '/fd', 'sha256', '/f', key.file, '/p', key.password, '/d', DESCRIPTION, file],
  })
  return {
    key: 'pfx',
    signImage: (_from, to, key) => [sign(to, key)],
    makeCatalog: (directory, architecture) => ({
      program: kit.inf2cat,
      args: [`/driver:${directory}`, `/os:${architecture === 'x64' ? '10_VB_X64' : '10_VB_ARM64'}`],
    }),
    signCatalog: (_from, to, key) => [sign(to, key)],
    // signtool's own verification asks whether the root is trusted, which it is on the test machine alone.
    verify: () => [],
  }
}

/** Directories that hold VERSION/ARCHITECTURE/PROGRAM: of the installed kits, or of the packages that NuGet put into `kit`. */
function kitDirectories(environment: NodeJS.ProcessEnv, kit: string | undefined): string[] {
  if (kit === undefined) {
    return [path.join(environment['ProgramFiles(x86)'] ?? 'C:\\Program Files (x86)', 'Windows Kits', '10', 'bin')]
  }
  const packages = existsSync(kit) ? readdirSync(kit).sort() : []
  return packages.map((name) => path.join(kit, name, 'c', 'bin')).filter((directory) => existsSync(directory))
}

/** The newest signtool and Inf2Cat of the installed Windows kits, or of the NuGet packages in the directory `kit`. */
export function findWindowsKit(environment: NodeJS.ProcessEnv, kit?: string): { signtool: string; inf2cat: string } {
  const directories = kitDirectories(environment, kit)
  const versions = directories
    .filter((directory) => existsSync(directory))
    .flatMap((directory) => readdirSync(directory).map((version) => ({ version, at: path.join(directory, version) })))
    .filter(({ version }) => version.startsWith('10.'))
  const newestFirst = versions.sort((a, b) => b.version.localeCompare(a.version, 'en', { numeric: true }))
  const find = (program: string, architectures: readonly string[]): string | undefined =>
    newestFirst
      .flatMap(({ at }) => architectures.map((each) => path.join(at, each, program)))
      .find((file) => existsSync(file))
  const signtool = find('signtool.exe', ['x64', 'arm64', 'x86'])
  const inf2cat = find('Inf2Cat.exe', ['x86'])
  if (signtool === undefined || inf2cat === undefined) {
    const missing = [
      ...(signtool === undefined ? ['signtool.exe'] : []),
      ...(inf2cat === undefined ? ['Inf2Cat.exe'] : []),
    ]
    const where = kit ?? directories.join(', ')
    throw new InstallationError('DEPENDENCY_MISSING', `${missing.join(' and ')} not found under ${where}`, {
      hint: 'install the Windows Driver Kit (winget install Microsoft.WindowsWDK), or name a directory of NuGet packages with --kit',
    })
  }
  return { signtool, inf2cat }
}

const INSTALL_OSSLSIGNCODE =
  'install osslsigncode: Debian or Ubuntu: apt install osslsigncode; Fedora: dnf install osslsigncode; macOS: brew install osslsigncode'

/** Runs them in order; the first that fails is thrown, with what it said. */
export async function runAll(commands: readonly Command[], run: Runner): Promise<void> {
  for (const command of commands) {
    const name = path.win32.basename(command.program)
    let finished: Finished
    try {
      finished = await run(command)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      throw new InstallationError('DEPENDENCY_MISSING', `${name} was not found`, {
        hint: INSTALL_OSSLSIGNCODE,
        cause: error,
      })
    }
    if (finished.code !== 0) {
      throw new InputError(`${name} ${command.args[0] ?? ''} failed (exit code ${finished.code}):\n${finished.output}`)
    }
  }
}
