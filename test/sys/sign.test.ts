// SPDX-License-Identifier: MIT
//
// This module provides: tests of `minipend sign` on the driver that `npm run build:driver` left, with the real signing program; then the same
// files judged by openssl and osslsigncode, which know nothing of this code. The Windows kit is played by the same programs, called as its own.

import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import * as paths from '../../scripts/paths.mjs'
import { architectures } from '../../scripts/driver/settings.js'
import { verifyImage, verifyMessage } from '../../src/cli/sign/authenticode.js'
import { makeCatalog } from '../../src/cli/sign/catalog.js'
import { KEY_FILE, testCertificate } from '../../src/cli/sign/certificate.js'
import { readSources } from '../../src/cli/sign/package.js'
import { sign, thisMachine, verifyPackage } from '../../src/cli/sign/sign.js'
import { type Runner, runProgram, windowsKit } from '../../src/cli/sign/tools.js'
import { testContext } from '../unit/cli/support.js'
import { checks } from './pe/checks.js'
import { Image } from './pe/image.js'
import type { Subject } from './pe/subject.js'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-signed-'))
})
afterAll(() => {
  rmSync(directory, { recursive: true, force: true })
})
const within = (...parts: string[]): string => path.join(directory, ...parts)
const built = (architecture: string): string => path.join(paths.buildDir, 'driver', architecture)
const keyDir = (): string => within('keys')

async function signed(architecture: string, name: string): Promise<string> {
  const out = within(name)
  await sign(testContext({ platform: process.platform }), built(architecture), { out, keyDir: keyDir() })
  return out
}

function changed(file: string, at: number): string {
  const bytes = readFileSync(file)
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  const to = within(`changed-${randomBytes(4).toString('hex')}`)
  writeFileSync(to, bytes)
  return to
}

describe.each(architectures)('minipend sign, %s', (architecture) => {
  let out = ''
  let pem = ''
  beforeAll(async () => {
    out = await signed(architecture, `signed-${architecture}`)
    pem = within(`${architecture}.pem`)
    execFileSync('openssl', ['x509', '-inform', 'DER', '-in', path.join(out, 'minipend.cer'), '-out', pem])
  })
  const file = (name: string): string => path.join(out, name)
  const osslsigncode = (...args: string[]): { status: number | null; output: string } => {
    const { status, stdout, stderr } = spawnSync('osslsigncode', ['verify', '-CAfile', pem, ...args], {
      encoding: 'utf8',
    })
    return { status, output: stdout + stderr }
  }

  it('makes a package of four files', () => {
    expect(readdirSync(out).sort()).toEqual(['minipend.cat', 'minipend.cer', 'minipend.inf', 'minipend.sys'])
    expect(
      readFileSync(file('minipend.inf')).equals(readFileSync(path.join(built(architecture), 'minipend.inf'))),
    ).toBe(true)
  })

  it('makes an image and a catalog that another program finds right', () => {
    expect(osslsigncode('-in', file('minipend.sys')).status).toBe(0)
    expect(osslsigncode('-in', file('minipend.cat')).status).toBe(0)
    expect(osslsigncode('-catalog', file('minipend.cat'), '-in', file('minipend.sys')).status).toBe(0)
  })

  it('has the unsigned image in the catalog as well: they have one hash', () => {
    const unsigned = path.join(built(architecture), 'minipend.sys')
    expect(osslsigncode('-catalog', file('minipend.cat'), '-in', unsigned).status).toBe(0)
  })

  it('keeps the checksum right', () => {
    const image = new Image(readFileSync(file('minipend.sys')))
    expect(checks.checksum.problems({ image } as Subject)).toEqual([])
  })

  it('sees each byte that was changed', () => {
    const image = changed(file('minipend.sys'), 0x600)
    expect(osslsigncode('-in', image).status).not.toBe(0)
    expect(() => verifyImage(readFileSync(image))).toThrow('it was changed after it was signed')
    expect(osslsigncode('-catalog', file('minipend.cat'), '-in', image).status).not.toBe(0)
    const inCatalog = readFileSync(file('minipend.cat')).indexOf(Buffer.from('OSAttr', 'utf16le').swap16())
    const catalog = readFileSync(changed(file('minipend.cat'), inCatalog))
    expect(() => verifyMessage(catalog)).toThrow('its content was changed after it was signed')
    const signature = readFileSync(changed(file('minipend.cat'), statSync(file('minipend.cat')).size - 20))
    expect(() => verifyMessage(signature)).toThrow('its signature is not right')
  })

  it('sees a package whose INF, catalog or signer is another one', async () => {
    const sources = readSources(built(architecture))
    const { certificate } = testCertificate(keyDir(), new Date(), process.platform)
    const copy = within(`copy-${architecture}`)
    mkdirSync(copy)
    for (const name of readdirSync(out)) copyFileSync(file(name), path.join(copy, name))
    verifyPackage(copy, sources, certificate)
    const other = testCertificate(within('other-keys'), new Date(), process.platform).certificate
    expect(() => verifyPackage(copy, sources, other)).toThrow('another certificate signed it')
    writeFileSync(path.join(copy, 'minipend.inf'), '; another')
    expect(() => verifyPackage(copy, sources, certificate)).toThrow(
      'minipend.cat was signed, and is wrong: it does not know minipend.inf',
    )
    copyFileSync(file('minipend.sys'), path.join(copy, 'minipend.cat'))
    expect(() => verifyPackage(copy, sources, certificate)).toThrow('minipend.cat was signed, and is wrong')
    await signed(architecture, `signed-${architecture}`)
  })
})

describe('minipend sign', () => {
  it('uses the same key the next time, and shows where it is', async () => {
    const context = testContext({ platform: process.platform, json: true })
    await sign(context, built('x64'), { out: within('again'), keyDir: keyDir() })
    const document = JSON.parse(context.terminal.text.out) as { certificate: { fresh: boolean; file: string } }
    expect(document).toMatchObject({
      ok: true,
      architecture: 'x64',
      certificate: { fresh: false, file: path.join(keyDir(), KEY_FILE) },
    })
    const text = testContext({ platform: process.platform })
    await sign(text, built('x64'), { out: within('again'), keyDir: within('new keys') })
    expect(text.terminal.text.out).toContain(`a new test key, in ${within('new keys', KEY_FILE)}`)
  })

  it('killed halfway leaves what was there, and the next one cleans up', () => {
    const bin = within('bin')
    mkdirSync(bin)
    // A signing program that makes half an image and takes the command that called it with it.
    const program = '#!/bin/sh\nfor last; do :; done\necho half > "$last"\nkill -9 $PPID\n'
    writeFileSync(path.join(bin, 'osslsigncode'), program)
    chmodSync(path.join(bin, 'osslsigncode'), 0o755)
    const out = within('killed')
    const args = [
      '--import',
      'tsx',
      path.join(paths.root, 'src/cli/main.ts'),
      'sign',
      built('x64'),
      '--key-dir',
      keyDir(),
      '--out',
      out,
    ]
    const run = (PATH: string): { status: number | null; signal: string | null; output: string } => {
      const result = spawnSync(process.execPath, args, {
        cwd: paths.root,
        env: { ...process.env, PATH },
        encoding: 'utf8',
      })
      return { status: result.status, signal: result.signal, output: result.stdout + result.stderr }
    }
    const beside = (): string[] => readdirSync(directory).filter((name) => name.startsWith('killed'))

    expect(run(`${bin}:${process.env['PATH'] ?? ''}`)).toMatchObject({ signal: 'SIGKILL' })
    expect(beside()).toEqual([expect.stringMatching(/^killed\.new-\d+-/)])
    expect(run(process.env['PATH'] ?? '')).toMatchObject({ status: 0 })
    expect(beside()).toEqual(['killed'])
    expect(run(`${bin}:${process.env['PATH'] ?? ''}`)).toMatchObject({ signal: 'SIGKILL' })
    expect(readdirSync(out).sort()).toEqual(['minipend.cat', 'minipend.cer', 'minipend.inf', 'minipend.sys'])
    verifyImage(readFileSync(path.join(out, 'minipend.sys')))
    expect(run('/nowhere')).toMatchObject({
      status: 3,
      output: expect.stringContaining('apt install osslsigncode') as string,
    })
  })

  it('calls the Windows kit so that its key and its files can be used', async () => {
    const argument = (args: readonly string[], name: string): string => args[args.indexOf(name) + 1] ?? ''
    const calls: string[] = []
    const run: Runner = async ({ program, args }) => {
      calls.push(program)
      if (program === 'Inf2Cat.exe') {
        const package_ = (args[0] ?? '').replace('/driver:', '')
        const files = readdirSync(package_).filter((name) => /\.(sys|inf)$/.test(name))
        const members = files.map((name) => ({ name, bytes: readFileSync(path.join(package_, name)) }))
        writeFileSync(path.join(package_, 'minipend.cat'), makeCatalog(members, 'x64', new Date()))
        return { code: 0, output: '' }
      }
      const file = args.at(-1) ?? ''
      const from = `${file}.unsigned`
      copyFileSync(file, from)
      rmSync(file)
      const pfx = ['-pkcs12', argument(args, '/f'), '-pass', argument(args, '/p')]
      const result = await runProgram({
        program: 'osslsigncode',
        args: ['sign', ...pfx, '-h', 'sha256', '-in', from, '-out', file],
      })
      rmSync(from)
      return result
    }
    const tools = (): ReturnType<typeof windowsKit> => windowsKit({ signtool: 'signtool.exe', inf2cat: 'Inf2Cat.exe' })
    const machine = { ...thisMachine('linux'), tools, run }
    await sign(testContext(), built('x64'), { out: within('windows'), keyDir: keyDir() }, machine)
    expect(calls).toEqual(['signtool.exe', 'Inf2Cat.exe', 'signtool.exe'])
    expect(readdirSync(within('windows')).sort()).toEqual([
      'minipend.cat',
      'minipend.cer',
      'minipend.inf',
      'minipend.sys',
    ])
  })
})
