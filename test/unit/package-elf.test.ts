// SPDX-License-Identifier: MIT

import { expect, test } from 'vitest'
import { demandsOf, leastGlibc, portabilityProblems } from '../../scripts/package/elf.mjs'

const READELF = `
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x0000000000000001 (NEEDED)             Shared library: [libstdc++.so.6]
 0x000000000000001d (RUNPATH)            Library runpath: [/home/somebody/build]
  000000: Version: 1  File: libc.so.6  Cnt: 2
  0x0010:   Name: GLIBC_2.4  Flags: none  Version: 20
  0x0020:   Name: GLIBC_2.34  Flags: none  Version: 13
  0x0030:   Name: GLIBCXX_3.4.30  Flags: none  Version: 12
`

test('what readelf says a binary demands', () => {
  const demands = demandsOf(READELF)
  expect(leastGlibc(demands.versions)).toBe('2.34')
  expect(portabilityProblems(demands)).toEqual([
    'it needs libstdc++.so.6',
    'it looks for libraries in /home/somebody/build',
    'it needs GLIBCXX_3.4.30',
  ])
  expect(portabilityProblems({ libraries: ['libc.so.6'], searchPaths: ['$ORIGIN'], versions: ['GLIBC_2.4'] })).toEqual(
    [],
  )
})
