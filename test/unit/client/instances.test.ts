// SPDX-License-Identifier: MIT

import { expect, test } from 'vitest'
import { decodeInstance, FILE_SYSTEMS } from '../../../src/transport/instance-information.js'

/** An INSTANCE_AGGREGATE_STANDARD_INFORMATION with these texts behind it. */
function instance(texts: { name: string; altitude: string; volume: string }, flags = 1): Uint8Array {
  const parts = [texts.name, texts.altitude, texts.volume, 'minipend'].map((text) => Buffer.from(text, 'utf16le'))
  const bytes = Buffer.alloc(40)
  bytes.writeUInt32LE(flags, 4)
  bytes.writeUInt32LE(1, 12)
  bytes.writeUInt32LE(28, 16)
  bytes.writeUInt32LE(7, 36)
  let offset = bytes.length
  parts.forEach((part, at) => {
    bytes.writeUInt16LE(part.length, 20 + 4 * at)
    bytes.writeUInt16LE(offset, 22 + 4 * at)
    offset += part.length
  })
  return Uint8Array.from(Buffer.concat([bytes, ...parts]))
}

const good = instance({ name: 'mine', altitude: '370020.5', volume: '\\Device\\HarddiskVolume2' })

test('an instance is decoded', () => {
  expect(decodeInstance(good)).toEqual({
    ...{ name: 'mine', altitude: '370020.5', volume: '\\Device\\HarddiskVolume2' },
    ...{ frame: 1, fileSystem: 28, supportedFeatures: 7 },
  })
  expect(FILE_SYSTEMS[28]).toBe('refs')
  expect([FILE_SYSTEMS[2], FILE_SYSTEMS[3], FILE_SYSTEMS[22], FILE_SYSTEMS.length]).toEqual([
    'ntfs',
    'fat',
    'exfat',
    30,
  ])
})

test('what is no instance is not taken for one', () => {
  expect(decodeInstance(good.subarray(0, 39))).toBeUndefined()
  expect(decodeInstance(instance({ name: 'a', altitude: '1', volume: 'v' }, 2))).toBeUndefined() // a legacy filter
  // Cut in the volume's name; the filter's is not looked at.
  expect(decodeInstance(good.subarray(0, good.length - 18))).toBeUndefined()
  const outside = Uint8Array.from(good)
  outside[22] = 0xff
  outside[23] = 0xff
  expect(decodeInstance(outside)).toBeUndefined()
})
