// SPDX-License-Identifier: MIT
//
// This module provides: tests of the table of Windows commands: what is started, what the end of it means, that each change is undone by another row, and that
// each row says from where it is known.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { CommandError, type Finished, lineOf } from '../../../src/cli/windows/command.js'
import { call, type CommandName, commandNames, commands } from '../../../src/cli/windows/commands.js'
import { readRules } from '../../conformance/rules.js'
import { recorded } from './recorded.js'

const DISK = 'C:\\ProgramData\\minipend\\vm\\ntfs.vhdx'
const SCRIPT = 'C:\\ProgramData\\minipend\\vm\\ntfs.txt'
const SHA1 = '00112233445566778899aabbccddeeff00112233'
const volume = { disk: DISK, script: SCRIPT, fileSystem: 'ntfs', letter: 'M', megabytes: 512 } as const

/** One of each row. */
const examples = {
  groups: [call('groups'), 'whoami /groups /fo csv /nh'],
  registry: [call('registry', { key: 'HKLM\\SYSTEM\\A B' }), 'reg query "HKLM\\SYSTEM\\A B"'],
  bootEntry: [call('bootEntry'), 'bcdedit /enum {current}'],
  drives: [call('drives'), 'fsutil fsinfo drives'],
  certificate: [call('certificate', { store: 'Root', sha1: SHA1 }), `certutil -store Root ${SHA1}`],
  addCertificate: [
    call('addCertificate', { store: 'TrustedPublisher', file: 'C:\\p\\minipend.cer' }),
    'certutil -f -addstore TrustedPublisher C:\\p\\minipend.cer',
  ],
  deleteCertificate: [call('deleteCertificate', { store: 'Root', sha1: SHA1 }), `certutil -delstore Root ${SHA1}`],
  packages: [call('packages'), 'pnputil /enum-drivers'],
  install: [call('install', { inf: 'C:\\p\\minipend.inf' }), 'pnputil /add-driver C:\\p\\minipend.inf /install'],
  uninstall: [call('uninstall', { published: 'oem12.inf' }), 'pnputil /delete-driver oem12.inf /uninstall'],
  deleteService: [call('deleteService', { service: 'minipend' }), 'sc delete minipend'],
  filters: [call('filters'), 'fltmc filters'],
  instances: [call('instances'), 'fltmc instances'],
  load: [call('load', { filter: 'minipend' }), 'fltmc load minipend'],
  unload: [call('unload', { filter: 'minipend' }), 'fltmc unload minipend'],
  attachDisk: [call('attachDisk', volume), `diskpart /s ${SCRIPT}`],
  detachDisk: [call('detachDisk', { disk: DISK, script: SCRIPT }), `diskpart /s ${SCRIPT}`],
  verifierSettings: [call('verifierSettings'), 'verifier /querysettings'],
  verifierActive: [call('verifierActive'), 'verifier /query'],
  verifierClasses: [
    call('verifierClasses', { classes: [1, 37], driver: 'minipend.sys' }),
    'verifier /ruleclasses 1 37 /driver minipend.sys',
  ],
  verifierFlags: [
    call('verifierFlags', { flags: 0x209bb, driver: 'minipend.sys' }),
    'verifier /flags 0x209bb /driver minipend.sys',
  ],
  verifierNow: [
    call('verifierNow', { classes: [1, 2], driver: 'minipend.sys' }),
    'verifier /dif 1 2 /now /driver minipend.sys',
  ],
  verifierReset: [call('verifierReset'), 'verifier /reset'],
} satisfies Record<CommandName, readonly [{ readonly program: string }, string]>

describe('the table', () => {
  test.each(commandNames)('%s is started as it should be, as separate arguments', (name) => {
    const [made, line] = examples[name]
    expect(lineOf(made)).toBe(line)
    expect(made.program).toMatch(/^[a-z]+$/)
    expect(made.limitMs).toBeGreaterThan(0)
  })

  test('each change is undone by a change of the table, and what only looks has nothing to undo', () => {
    for (const [name, row] of Object.entries(commands)) {
      const { changes } = row as { readonly changes?: { readonly what: string; readonly undoneBy: string } }
      if (changes !== undefined) {
        const other = commands[changes.undoneBy as CommandName] as { readonly changes?: { readonly what: string } }
        expect(other.changes?.what, name).toBeDefined()
      }
    }
  })

  test('each row says what its end means and from where that is: a rule that is listed, or a page', () => {
    const known = new Set(readRules().map(({ id }) => id))
    for (const [name, { sources, means }] of Object.entries(commands)) {
      expect(sources.length, name).toBeGreaterThan(0)
      expect(means.length, name).toBeGreaterThan(10)
      const unknown = sources.filter((source) => !source.startsWith('https://') && !known.has(source))
      expect(unknown, name).toEqual([])
    }
  })

  test('docs/VM.md has each row', () => {
    const page = readFileSync(path.join(import.meta.dirname, '..', '..', '..', 'docs', 'VM.md'), 'utf8')
    const documented = [...page.matchAll(/^\| `(\w+)` \| `(\w+)/gm)].map(([, name, program]) => [name, program])
    expect(documented).toEqual(commandNames.map((name) => [name, commands[name].program]))
  })

  test('diskpart gets its commands as a file', () => {
    expect(call('attachDisk', volume).script).toEqual({
      file: SCRIPT,
      text: [
        `create vdisk file="${DISK}" maximum=512 type=expandable`,
        `select vdisk file="${DISK}"`,
        'attach vdisk',
        'create partition primary',
        'format fs=ntfs label=minipend quick',
        'assign letter=M',
        '',
      ].join('\r\n'),
    })
    expect(call('detachDisk', { disk: DISK, script: SCRIPT }).script?.text).toBe(
      `select vdisk file="${DISK}"\r\ndetach vdisk noerr\r\n`,
    )
  })
})

const output = (name: string, code = 0): Finished => ({ code, output: recorded(name) })
const failureOf = (work: () => unknown): CommandError => {
  try {
    work()
  } catch (error) {
    if (error instanceof CommandError) return error
    throw error
  }
  throw new Error('it did not fail')
}

describe('what the end means', () => {
  test('certutil: there, not there, something else', () => {
    const [made] = examples.certificate
    expect(made.read(output('certutil-store.en'))).toBe(true)
    expect(made.read(output('certutil-store-none.en', 1))).toBe(false)
    expect(made.read(output('certutil-store-none.de', -2146893807))).toBe(false)
    expect(made.read({ code: -2146893807, output: '' })).toBe(false)
    expect(failureOf(() => made.read(output('certutil-denied.en', 1))).code).toBe(0x80070005)
  })

  test('fltmc: the printed number decides, not the exit code', () => {
    const [made] = examples.load
    expect(() => made.read({ code: 1, output: '\r\n' })).not.toThrow()
    const error = failureOf(() => made.read(output('fltmc-load-signature.de', 0)))
    expect(error.message).toContain('fltmc load minipend: failed with ERROR_INVALID_IMAGE_HASH (0x80070241)')
    expect(error.message).toContain('test-signing mode is off')
    const vetoed = failureOf(() => examples.unload[0].read(output('fltmc-unload-vetoed.en', 0)))
    expect(vetoed.message).toContain('the driver refused to be unloaded')
    expect(vetoed.message).toContain('it said: Unload failed with error: 0x801f0010 / Do not detach')
  })

  test('pnputil: done, at the next start, nothing done', () => {
    const [made] = examples.install
    expect(made.read(output('pnputil-add.en'))).toEqual({ restartNeeded: false, published: 'oem12.inf' })
    expect(made.read(output('pnputil-add.en', 3010))).toMatchObject({ restartNeeded: true })
    expect(failureOf(() => made.read(output('pnputil-add-refused.en', 259))).code).toBe(259)
    expect(failureOf(() => made.read(output('pnputil-add-refused.en', 1641))).message).toContain('failed with 1641')
  })

  test('sc: a service that is not there is gone', () => {
    const [made] = examples.deleteService
    expect(() => made.read({ code: 1060, output: '' })).not.toThrow()
    expect(failureOf(() => made.read({ code: 5, output: '' })).code).toBe(5)
  })

  test('verifier: done, at the next start, failed', () => {
    const [made] = examples.verifierClasses
    expect(made.read({ code: 0, output: '' })).toEqual({ restartNeeded: false })
    expect(made.read({ code: 2, output: '' })).toEqual({ restartNeeded: true })
    expect(failureOf(() => made.read({ code: 1, output: '' })).code).toBe(1)
  })

  test('diskpart, whoami and the others: 0 or failed', () => {
    expect(() => examples.attachDisk[0].read(output('diskpart-attach.en'))).not.toThrow()
    expect(failureOf(() => examples.attachDisk[0].read(output('diskpart-failed.en', 4))).message).toContain(
      'A virtual disk support provider for the specified file was not found',
    )
    expect(failureOf(() => examples.groups[0].read({ code: 1, output: '' })).code).toBe(1)
    expect(examples.registry[0].read(output('reg-missing.en', 1))).toBeUndefined()
    expect(examples.bootEntry[0].read(output('bcdedit.de'))).toEqual({ testSigning: true })
  })
})
