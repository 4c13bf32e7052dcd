// SPDX-License-Identifier: MIT
//
// This module provides: tests of what `minipend sign` does by itself: the test certificate and its file, the catalog, the package's place, and what
// it says when something is missing or wrong. Signing itself needs programs: test/sys/sign.test.ts.

import { createPrivateKey, createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
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
import { NtExecutable } from 'pe-library'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { imageHash } from '../../../src/cli/sign/authenticode.js'
import { catalogMembers, makeCatalog } from '../../../src/cli/sign/catalog.js'
import { defaultKeyDirectory, KEY_FILE, testCertificate } from '../../../src/cli/sign/certificate.js'
import { children, decode } from '../../../src/cli/sign/der.js'
import { replaceDirectory } from '../../../src/cli/sign/package.js'
import { sign, type SignMachine } from '../../../src/cli/sign/sign.js'
import { type Command, findWindowsKit, osslsigncode, windowsKit } from '../../../src/cli/sign/tools.js'
import { testContext } from './support.js'

const now = new Date('2026-03-01T00:00:00Z')
const isRoot = process.getuid?.() === 0
let directory = ''
beforeEach(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-sign-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

const within = (...parts: string[]): string => path.join(directory, ...parts)

/** An image with nothing in it but headers: native, or a program. */
function emptyImage(subsystem = 1): Buffer {
  const image = NtExecutable.createEmpty(false, false)
  image.newHeader.fileHeader.machine = 0x8664
  image.newHeader.optionalHeader.subsystem = subsystem
  return Buffer.from(image.generate())
}

const INF = `[Version]
CatalogFile = minipend.cat

[SourceDisksFiles]
minipend.sys = 1,,

[Strings]
x = "y"
`

function driverDirectory(image = emptyImage(), inf = INF): string {
  const driver = within('driver')
  mkdirSync(driver, { recursive: true })
  writeFileSync(path.join(driver, 'minipend.inf'), inf)
  writeFileSync(path.join(driver, 'minipend.sys'), image)
  return driver
}

const machine = (change: Partial<SignMachine> = {}): SignMachine => ({
  environment: {},
  now,
  tools: () => osslsigncode,
  run: () => Promise.reject(Object.assign(new Error('no such program'), { code: 'ENOENT' })),
  ...change,
})
const trySign = (driver: string, change: Partial<SignMachine> = {}): Promise<unknown> =>
  sign(testContext(), driver, { keyDir: within('keys') }, machine(change))

describe('the test certificate', () => {
  it('is made once, for its owner alone, and used again', () => {
    const first = testCertificate(within('keys'), now, 'linux')
    const second = testCertificate(within('keys'), now, 'linux')
    expect([first.fresh, second.fresh]).toEqual([true, false])
    expect(second.certificate.fingerprint256).toBe(first.certificate.fingerprint256)
    expect(statSync(first.file).mode & 0o777).toBe(0o600)
    expect(statSync(within('keys')).mode & 0o777).toBe(0o700)
    expect(readdirSync(within('keys'))).toEqual([KEY_FILE])
  })

  it('signs code and nothing else, for five years', () => {
    const { certificate, keyPem } = testCertificate(within('keys'), now, 'linux')
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.3'])
    expect(certificate.ca).toBe(false)
    expect(certificate.verify(certificate.publicKey)).toBe(true)
    expect(certificate.checkPrivateKey(createPrivateKey(keyPem))).toBe(true)
    expect(new Date(certificate.validTo).getUTCFullYear()).toBe(2031)
  })

  it('is refused when it has expired', () => {
    const { file } = testCertificate(within('keys'), now, 'linux')
    const later = new Date('2032-01-01T00:00:00Z')
    expect(() => testCertificate(within('keys'), later, 'linux')).toThrow(
      `the test certificate in ${file} is valid from`,
    )
  })

  it('is refused when others can read its key', () => {
    const { file } = testCertificate(within('keys'), now, 'linux')
    chmodSync(file, 0o640)
    expect(() => testCertificate(within('keys'), now, 'linux')).toThrow(`${file} can be read by others (mode 640)`)
  })

  it('is refused when its file holds something else', () => {
    mkdirSync(within('keys'))
    writeFileSync(within('keys', KEY_FILE), 'nothing', { mode: 0o600 })
    expect(() => testCertificate(within('keys'), now, 'linux')).toThrow('does not hold a key and a certificate')
  })

  it('is refused when key and certificate are of two makings', () => {
    const one = testCertificate(within('one'), now, 'linux')
    const two = testCertificate(within('two'), now, 'linux')
    writeFileSync(one.file, `${two.keyPem}${one.certificatePem}`, { mode: 0o600 })
    expect(() => testCertificate(within('one'), now, 'linux')).toThrow('do not belong together')
  })

  it('is never put into a repository', () => {
    mkdirSync(within('clone', '.git'), { recursive: true })
    expect(() => testCertificate(within('clone', 'keys'), now, 'linux')).toThrow('is inside of a repository')
    expect(existsSync(within('clone', 'keys'))).toBe(false)
  })

  it('has a place on each system', () => {
    expect(defaultKeyDirectory('linux', {}, '/home/a')).toBe('/home/a/.local/state/minipend')
    expect(defaultKeyDirectory('linux', { XDG_STATE_HOME: '/state' }, '/home/a')).toBe('/state/minipend')
    expect(defaultKeyDirectory('linux', { XDG_STATE_HOME: 'state' }, '/home/a')).toBe('/home/a/.local/state/minipend')
    expect(defaultKeyDirectory('darwin', {}, '/Users/a')).toBe('/Users/a/Library/Application Support/minipend')
    expect(defaultKeyDirectory('win32', { LOCALAPPDATA: 'C:\\l' }, 'C:\\a')).toBe('C:\\l\\minipend')
    expect(defaultKeyDirectory('win32', {}, 'C:\\a')).toBe('C:\\a\\AppData\\Local\\minipend')
  })
})

describe('the catalog', () => {
  it('knows its files by hash and name, and is the same each time', () => {
    const files = [
      { name: 'Minipend.sys', bytes: emptyImage() },
      { name: 'minipend.inf', bytes: Buffer.from(INF) },
    ]
    const der = makeCatalog(files, 'x64', now)
    expect(makeCatalog([...files].reverse(), 'x64', now).equals(der)).toBe(true)
    const list = children(children(children(children(children(decode(der))[1])[0])[2])[1])[0]
    if (list === undefined) throw new Error('the catalog has no list')
    const members = catalogMembers(list)
    const hashOf = (name: string): string | undefined =>
      members.find((each) => each.name === name)?.hash.toString('hex')
    expect(members).toHaveLength(2)
    expect(hashOf('minipend.inf')).toBe(createHash('sha256').update(INF).digest('hex'))
    expect(hashOf('minipend.sys')).toBe(imageHash(emptyImage()).toString('hex'))
  })

  it('has the names of its attributes in UTF-16', () => {
    const name = Buffer.from('\x1e\x0c\0O\0S\0A\0t\0t\0r\x02\x04', 'latin1')
    expect(makeCatalog([{ name: 'a', bytes: Buffer.from('a') }], 'x64', now).includes(name)).toBe(true)
  })

  it('says which systems it is for', () => {
    const name = Buffer.from('_v100_ARM64', 'utf16le')
    expect(makeCatalog([], 'arm64', now).includes(name)).toBe(true)
    expect(makeCatalog([], 'x64', now).includes(name)).toBe(false)
  })
})

describe('the hash of an image', () => {
  it('leaves the checksum out, and nothing else', () => {
    const image = emptyImage()
    const pe = image.readUInt32LE(0x3c)
    const changedAt = (at: number): string => {
      const copy = Buffer.from(image)
      copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
      return imageHash(copy).toString('hex')
    }
    expect(changedAt(pe + 24 + 64)).toBe(imageHash(image).toString('hex'))
    expect(changedAt(pe + 24 + 63)).not.toBe(imageHash(image).toString('hex'))
    expect(changedAt(pe + 24 + 68)).not.toBe(imageHash(image).toString('hex'))
  })
})

describe('minipend sign', () => {
  it('says which package a missing program is in', async () => {
    await expect(trySign(driverDirectory())).rejects.toMatchObject({
      name: 'InstallationError',
      message: 'osslsigncode was not found',
      hint: expect.stringContaining('apt install osslsigncode') as string,
    })
    expect(readdirSync(within('driver'))).toEqual(['minipend.inf', 'minipend.sys'])
  })

  it('shows what a program said when it failed', async () => {
    const run = (): Promise<{ code: number; output: string }> => Promise.resolve({ code: 7, output: 'no room' })
    await expect(trySign(driverDirectory(), { run })).rejects.toThrow(
      'osslsigncode sign failed (exit code 7):\nno room',
    )
    expect(readdirSync(within('driver'))).toEqual(['minipend.inf', 'minipend.sys'])
  })

  it.each([
    ['no directory', () => within('nothing'), 'there is no directory'],
    ['a file', () => path.join(driverDirectory(), 'minipend.inf'), 'there is no directory'],
    ['an empty directory', () => directory, 'holds 0 INF files, not one'],
    ['a text', () => driverDirectory(Buffer.from('hello')), 'minipend.sys: it is not a Windows image'],
    ['a program', () => driverDirectory(emptyImage(3)), 'minipend.sys: it is a program, not a driver'],
    [
      'an INF without a catalog',
      () => driverDirectory(emptyImage(), INF.replace(/^Cat.*$/m, '')),
      'does not name a CatalogFile',
    ],
    [
      'an INF without an image',
      () => driverDirectory(emptyImage(), INF.replace(/^mini.*$/m, '')),
      'does not name a .sys file',
    ],
  ])('refuses %s', async (_what, make, problem) => {
    await expect(trySign(make())).rejects.toThrow(problem)
  })

  it('refuses an image of another machine', async () => {
    const image = emptyImage()
    image.writeUInt16LE(0x14c, image.readUInt32LE(0x3c) + 4)
    await expect(trySign(driverDirectory(image))).rejects.toThrow('minipend.sys: it is not for x64 or arm64')
  })

  it('refuses an image that is signed', async () => {
    const image = emptyImage()
    image.writeUInt32LE(512, image.readUInt32LE(0x3c) + 24 + 112 + 32)
    await expect(trySign(driverDirectory(image))).rejects.toThrow('minipend.sys: it is signed already')
  })

  it('refuses to replace what is no package of its own', async () => {
    const driver = driverDirectory()
    mkdirSync(path.join(driver, 'package'))
    await expect(trySign(driver)).rejects.toThrow('is there, and is no driver package')
    const context = testContext()
    await expect(sign(context, driver, { out: driver, keyDir: within('keys') }, machine())).rejects.toThrow(
      'cannot replace',
    )
  })

  it.skipIf(isRoot)('says which file it cannot read', async () => {
    const driver = driverDirectory()
    chmodSync(path.join(driver, 'minipend.sys'), 0)
    await expect(trySign(driver)).rejects.toThrow('cannot read')
  })
})

describe('the Windows kit', () => {
  const kit = windowsKit({ signtool: 'C:\\kit\\signtool.exe', inf2cat: 'C:\\kit\\Inf2Cat.exe' })
  const key = { file: 'C:\\p\\key.pfx', password: 'secret' }

  it('is called with the same files', () => {
    const calls: readonly Command[] = [
      ...kit.signImage('C:\\d\\minipend.sys', 'C:\\p\\minipend.sys', key),
      ...(kit.makeCatalog === undefined ? [] : [kit.makeCatalog('C:\\p', 'x64'), kit.makeCatalog('C:\\p', 'arm64')]),
      ...kit.signCatalog('C:\\p\\minipend.cat', 'C:\\p\\minipend.cat', key),
    ]
    const signed = (file: string): string =>
      `C:\\kit\\signtool.exe sign /fd sha256 /f C:\\p\\key.pfx /p secret /d minipend (test signed) ${file}`
    expect(calls.map(({ program, args }) => [program, ...args].join(' '))).toEqual([
      signed('C:\\p\\minipend.sys'),
      'C:\\kit\\Inf2Cat.exe /driver:C:\\p /os:10_VB_X64',
      'C:\\kit\\Inf2Cat.exe /driver:C:\\p /os:10_VB_ARM64',
      signed('C:\\p\\minipend.cat'),
    ])
  })

  it('is found in its newest version, installed or as packages', () => {
    const put = (...parts: string[]): string => {
      const file = within(...parts)
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, '')
      return file
    }
    const installed = ['Windows Kits', '10', 'bin']
    put(...installed, '10.0.9.0', 'x64', 'signtool.exe')
    const signtool = put(...installed, '10.0.26100.0', 'x64', 'signtool.exe')
    const inf2cat = put(...installed, '10.0.22000.0', 'x86', 'Inf2Cat.exe')
    expect(findWindowsKit({ 'ProgramFiles(x86)': directory })).toEqual({ signtool, inf2cat })
    const fromPackages = {
      signtool: put('nuget', 'Microsoft.Windows.SDK.CPP.1', 'c', 'bin', '10.0.26100.0', 'x64', 'signtool.exe'),
      inf2cat: put('nuget', 'Microsoft.Windows.WDK.x64.1', 'c', 'bin', '10.0.26100.0', 'x86', 'Inf2Cat.exe'),
    }
    expect(findWindowsKit({}, within('nuget'))).toEqual(fromPackages)
  })

  it('says what to install when it is not there', () => {
    expect(() => findWindowsKit({ 'ProgramFiles(x86)': within('none') })).toThrow(
      expect.objectContaining({
        message: expect.stringContaining('signtool.exe and Inf2Cat.exe not found under') as string,
        hint: expect.stringContaining('winget install Microsoft.WindowsWDK') as string,
      }) as Error,
    )
  })
})

describe('the package', () => {
  it('is replaced as a whole', async () => {
    const target = within('package')
    await replaceDirectory(target, (fresh) => {
      writeFileSync(path.join(fresh, 'a'), '1')
      return Promise.resolve()
    })
    await replaceDirectory(target, (fresh) => {
      writeFileSync(path.join(fresh, 'b'), '2')
      expect(readdirSync(target)).toEqual(['a'])
      return Promise.resolve()
    })
    expect(readdirSync(directory)).toEqual(['package'])
    expect(readFileSync(path.join(target, 'b'), 'utf8')).toBe('2')
    expect(existsSync(path.join(target, 'a'))).toBe(false)
  })

  it('stays as it was when the new one fails', async () => {
    const target = within('package')
    mkdirSync(target)
    writeFileSync(path.join(target, 'a'), '1')
    const failed = replaceDirectory(target, (fresh) => {
      writeFileSync(path.join(fresh, 'half'), '')
      return Promise.reject(new Error('no'))
    })
    await expect(failed).rejects.toThrow('no')
    expect(readdirSync(directory)).toEqual(['package'])
    expect(readdirSync(target)).toEqual(['a'])
  })

  it('takes away what a killed command left, and not what another one is making', async () => {
    const dead = '4194300'
    mkdirSync(within(`package.new-${dead}-0123abcd`))
    mkdirSync(within(`package.new-${process.pid}-0123abcd`))
    mkdirSync(within('package.new-ideas'))
    await replaceDirectory(within('package'), () => Promise.resolve())
    expect(readdirSync(directory).sort()).toEqual(
      ['package', 'package.new-ideas', `package.new-${process.pid}-0123abcd`].sort(),
    )
  })
})
