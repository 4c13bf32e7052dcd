// SPDX-License-Identifier: MIT
//
// This module provides: tests of reading what Windows programs print, in English and in other languages. From where the outputs are: recorded/sources.json.

import { describe, expect, test } from 'vitest'
import { printedHresult } from '../../../src/cli/windows/command.js'
import {
  bootElement,
  drivesOf,
  dword,
  filtersOf,
  HIGH_INTEGRITY,
  instancesOf,
  integrityLevel,
  packagesOf,
  publishedName,
  registryValues,
  verifierState,
} from '../../../src/cli/windows/outputs.js'
import { recorded, recordedNames, sources } from './recorded.js'

test('each recorded output has a source, and each source an output', () => {
  expect(Object.keys(sources().files).sort()).toEqual(recordedNames().sort())
  for (const { of, form, source } of Object.values(sources().files)) {
    expect(['page', 'report', 'assumed', 'machine']).toContain(form)
    expect(of.length * source.length).toBeGreaterThan(0)
  }
})

describe('fltmc', () => {
  test('filters, legacy ones and fractions too', () => {
    const rows = filtersOf(recorded('fltmc-filters.en'))
    expect(rows).toHaveLength(7)
    expect(rows[1]).toEqual({ name: 'UCPD', instances: 5, altitude: '385250.5', frame: '0' })
    expect(rows[2]).toEqual({ name: 'AVLegacy', instances: undefined, altitude: '389998.99', frame: '<Legacy>' })
    expect(rows.find(({ name }) => name === 'minipend')).toMatchObject({ instances: 2, altitude: '370199.5' })
  })

  test('filters under a French head', () => {
    expect(filtersOf(recorded('fltmc-filters.fr')).map(({ name, instances }) => [name, instances])).toEqual([
      ['bindflt', 1],
      ['minipend', 0],
      ['FileInfo', 4],
    ])
  })

  test('a table is a table only below its dashes', () => {
    expect(filtersOf('minipend 1 2 0\r\n')).toEqual([])
    expect(filtersOf(recorded('fltmc-denied.en'))).toEqual([])
  })

  test('instances, also of a volume without a name', () => {
    const rows = instancesOf(recorded('fltmc-instances.en'))
    expect(rows).toHaveLength(5)
    expect(rows[1]).toEqual({ filter: 'FileInfo', volume: '', altitude: '40500', instance: 'FileInfo' })
    expect(rows.filter(({ filter }) => filter === 'minipend')).toEqual([
      { filter: 'minipend', volume: 'M:', altitude: '370199.5', instance: 'minipend' },
      { filter: 'minipend', volume: 'N:', altitude: '370199.5', instance: 'minipend Instance' },
    ])
  })

  test.each([
    ['fltmc-denied.en', 0x80070005],
    ['fltmc-unload-vetoed.en', 0x801f0010],
    ['fltmc-load-signature.de', 0x80070241],
    ['fltmc-filters.en', undefined],
  ])('%s: the failure is the number', (name, hresult) => {
    expect(printedHresult(recorded(name))).toBe(hresult)
  })
})

describe('bcdedit', () => {
  test.each([
    ['bcdedit.en', true],
    ['bcdedit.de', true],
    ['bcdedit-no.de', false],
    ['bcdedit-off.de', false],
  ])('%s: testsigning %s', (name, on) => {
    expect(bootElement(recorded(name), 'testsigning')).toBe(on)
  })
})

describe('reg', () => {
  test('values of the key alone, with their spaces inside', () => {
    const values = registryValues(recorded('reg-control.en'))
    expect([...values.keys()]).toHaveLength(5)
    expect(values.get('SystemStartOptions')).toBe('TESTSIGNING  NOEXECUTE=OPTIN  NOVGA')
    expect(dword(values, 'BootDriverFlags')).toBe(0x1c)
    expect(dword(values, 'SystemStartOptions')).toBeUndefined()
  })

  test('a German one', () => {
    expect(dword(registryValues(recorded('reg-secureboot.de')), 'UEFISecureBootEnabled')).toBe(1)
  })

  test('a key that is not there', () => {
    expect(registryValues(recorded('reg-missing.en')).size).toBe(0)
  })
})

describe('the others', () => {
  test('whoami: the level, not its name', () => {
    expect(integrityLevel(recorded('whoami-elevated.en'))).toBe(HIGH_INTEGRITY)
    expect(integrityLevel(recorded('whoami-plain.de'))).toBe(8192)
    expect(integrityLevel('')).toBeUndefined()
  })

  test('fsutil: letters', () => {
    expect(drivesOf(recorded('fsutil-drives.en'))).toEqual(['A', 'C', 'D'])
    expect(drivesOf(recorded('fsutil-drives.de'))).toEqual(['C', 'D', 'M'])
  })

  test.each(['en', 'de'])('pnputil in %s: packages', (language) => {
    expect(packagesOf(recorded(`pnputil-enum.${language}`))).toEqual([
      { published: 'oem3.inf', original: 'netkvm.inf' },
      { published: 'oem12.inf', original: 'minipend.inf' },
    ])
  })

  test('pnputil: the name in the store, if it came there', () => {
    expect(publishedName(recorded('pnputil-add.en'))).toBe('oem12.inf')
    expect(publishedName(recorded('pnputil-add-refused.en'))).toBeUndefined()
  })

  test.each([
    ['verifier-settings.en', 0x209bb, ['fltmgr.sys', 'minipend.sys']],
    ['verifier-settings-none.it', 0, []],
    ['verifier-query.en', 0x209bb, ['minipend.sys']],
    ['verifier-query-none.en', 0, []],
  ])('%s', (name, flags, drivers) => {
    expect(verifierState(recorded(name))).toEqual({ flags, drivers })
  })
})
