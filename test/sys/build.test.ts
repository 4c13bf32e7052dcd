// SPDX-License-Identifier: MIT
//
// This module provides: tests of `npm run build:driver`: the same bytes every time and everywhere, warnings are errors, imports come from
// the lists, and what it says when a tool is missing.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { buildImage, copySources, driverImage } from '../../scripts/driver/image.js'
import { architectures, importsDirectory, supportSources } from '../../scripts/driver/settings.js'
import * as paths from '../../scripts/paths.mjs'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-sys-'))
})
afterAll(() => {
  rmSync(directory, { recursive: true, force: true })
})

const fixture = (name: string): Promise<unknown> =>
  buildImage({
    architecture: 'x64',
    outputDirectory: path.join(directory, name),
    name,
    sources: [`test/sys/fixtures/${name}.c`, ...supportSources],
  })

describe.each(architectures)('minipend.sys for %s', (architecture) => {
  const built = path.join(paths.buildDir, 'driver', architecture)

  it('has the same bytes when another copy of the sources is built in another place', async () => {
    const elsewhere = path.join(directory, `elsewhere ${architecture} é`)
    mkdirSync(elsewhere)
    copySources(elsewhere)
    const { image, pdb } = await buildImage({
      ...driverImage(architecture, path.join(elsewhere, 'out')),
      root: elsewhere,
    })
    expect(readFileSync(image).equals(readFileSync(path.join(built, 'minipend.sys')))).toBe(true)
    expect(readFileSync(pdb).equals(readFileSync(path.join(built, 'minipend.pdb')))).toBe(true)
  })

  it.each(['minipend.sys', 'minipend.pdb'])('%s names no directory of this machine', (file) => {
    const text = readFileSync(path.join(built, file), 'latin1')
    expect(text).not.toContain(paths.root)
    expect(text).not.toContain(os.homedir())
    expect(text).not.toContain('minipend.work')
  })
})

describe('the build', () => {
  it('stops at a warning', async () => {
    await expect(fixture('warning')).rejects.toThrow(/unused parameter 'DriverObject' \[-Werror,-Wunused-parameter\]/)
    expect(readdirSync(path.join(directory, 'warning')).filter((file) => file.endsWith('.sys'))).toEqual([])
  })

  it('stops at an import that is not listed, and says where the list is', async () => {
    await expect(fixture('unlisted-import')).rejects.toThrow(/undefined symbol: KeBugCheckEx[\s\S]*imports\/\*\.def/)
  })

  it('says what to install when a tool is missing', () => {
    const bin = path.join(directory, 'bin')
    mkdirSync(bin)
    const clang = execFileSync('sh', ['-c', 'command -v clang-19'], { encoding: 'utf8' }).trim()
    symlinkSync(clang, path.join(bin, 'clang-19'))
    const args = ['--import', 'tsx', path.join(paths.root, 'scripts', 'driver', 'build.ts'), 'x64']
    const result = spawnSync(process.execPath, args, { cwd: paths.root, encoding: 'utf8', env: { PATH: bin } })
    expect(result.stderr.trim()).toBe(
      'minipend build: lld-link, llvm-dlltool, llvm-rc of LLVM 19 not found. Install it (Debian: apt install lld-19 llvm-19), then run the command again.',
    )
    expect(result.status).toBe(1)
  })

  it('knows its architectures', () => {
    const args = ['--import', 'tsx', path.join(paths.root, 'scripts', 'driver', 'build.ts'), 'x86']
    const result = spawnSync(process.execPath, args, { cwd: paths.root, encoding: 'utf8' })
    expect(result.stderr.trim()).toBe('minipend build: no such architecture: x86. There are: x64, arm64.')
    expect(result.status).toBe(1)
  })
})

describe('the lists of imports', () => {
  const facts = JSON.parse(readFileSync(path.join(paths.root, 'test/abi/facts.json'), 'utf8')) as {
    imports: Record<string, string>
    functions: Record<string, { arm64?: string }>
  }
  it.each(readdirSync(path.join(paths.root, importsDirectory)))('%s: each name is an export of that module', (file) => {
    const text = readFileSync(path.join(paths.root, importsDirectory, file), 'utf8')
    const module = /^LIBRARY (\S+)$/m.exec(text)?.[1]?.toLowerCase()
    const names = [...text.matchAll(/^ {4}(\w+)(?: DATA)?$/gm)].map((match) => match[1] ?? '')
    expect(names.length).toBeGreaterThan(0)
    const exported = (name: string): boolean =>
      facts.imports[name] === module || (file.endsWith('.arm64.def') && facts.functions[name]?.arm64 === 'extern')
    expect(names.filter((name) => !exported(name))).toEqual([])
  })
})
