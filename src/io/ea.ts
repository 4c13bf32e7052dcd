// SPDX-License-Identifier: MIT
//
// This module provides: extended attributes: FILE_FULL_EA_INFORMATION and FILE_GET_EA_INFORMATION lists, read and written.

import type { SignalOptions } from '../client/types.js'
import { viewOf } from '../transport/codec.js'
import { chain, entryOffsets } from './bytes.js'
import type { Calls } from './calls.js'
import type { EaOptions, ExtendedAttribute } from './metadata-types.js'
import { growing, ntCall, STATUS } from './nt-services.js'
import { checkerFor, copyBytes } from './options.js'

const ALIGNMENT = 4
const NAME_OFFSET = 8
const GET_NAME_OFFSET = 5
const NEED_EA = 0x80
const MAX_NAME_BYTES = 254
const MAX_VALUE_BYTES = 0xffff
/** More than all of a file's attributes may have together. */
const ANSWER_BYTES = 65536 + 4096

function nameBytes(operation: string, field: string, value: unknown): Buffer {
  const check = checkerFor(operation)
  const name = check.text(field, value, MAX_NAME_BYTES)
  // Printable ASCII without the characters that the file system library calls illegal in an EA's name.
  if (!/^[\x20-\x7e]+$/.test(name) || /["*+,/:;<=>?[\\\]|]/.test(name)) {
    check.fail(field, `expected ASCII without any of " * + , / : ; < = > ? [ \\ ] |, got ${JSON.stringify(name)}`)
  }
  return Buffer.from(name, 'latin1')
}

function encodeEntry(operation: string, field: string, attribute: unknown): Uint8Array {
  const check = checkerFor(operation)
  const given = check.object(field, attribute, ['name', 'value', 'needed'])
  const name = nameBytes(operation, `${field}.name`, given.name)
  const value = copyBytes(operation, `${field}.value`, given.value)
  if (value.length > MAX_VALUE_BYTES) {
    check.fail(`${field}.value`, `expected at most ${MAX_VALUE_BYTES} bytes, got ${value.length}`)
  }
  const needed = check.boolean(`${field}.needed`, given.needed ?? false)
  const bytes = new Uint8Array(NAME_OFFSET + name.length + 1 + value.length)
  const view = new DataView(bytes.buffer)
  view.setUint8(4, needed ? NEED_EA : 0)
  view.setUint8(5, name.length)
  view.setUint16(6, value.length, true)
  bytes.set(name, NAME_OFFSET)
  bytes.set(value, NAME_OFFSET + name.length + 1)
  return bytes
}

/** A FILE_FULL_EA_INFORMATION list. @throws InvalidOptionError */
export function encodeEas(operation: string, attributes: unknown): Uint8Array {
  if (!Array.isArray(attributes)) {
    return checkerFor(operation).expected('attributes', 'an array of { name, value }', attributes)
  }
  return chain(
    attributes.map((attribute, index) => encodeEntry(operation, `attributes[${index}]`, attribute)),
    ALIGNMENT,
  )
}

export function decodeEas(bytes: Uint8Array): ExtendedAttribute[] {
  const view = viewOf(bytes)
  return [...entryOffsets(view)].map((offset) => {
    const length = view.getUint8(offset + 5)
    const value = offset + NAME_OFFSET + length + 1
    return {
      name: Buffer.from(bytes.subarray(offset + NAME_OFFSET, offset + NAME_OFFSET + length)).toString('latin1'),
      value: bytes.slice(value, value + view.getUint16(offset + 6, true)),
      needed: (view.getUint8(offset + 4) & NEED_EA) !== 0,
    }
  })
}

function encodeNames(operation: string, names: unknown): Uint8Array {
  if (!Array.isArray(names)) {
    return checkerFor(operation).expected('names', 'an array of names', names)
  }
  const entries = names.map((value: unknown, index) => {
    const name = nameBytes(operation, `names[${index}]`, value)
    const bytes = new Uint8Array(GET_NAME_OFFSET + name.length + 1)
    bytes[4] = name.length
    bytes.set(name, GET_NAME_OFFSET)
    return bytes
  })
  return chain(entries, ALIGNMENT)
}

export async function eas(calls: Calls, options: EaOptions): Promise<ExtendedAttribute[]> {
  const operation = 'File.eas'
  const check = checkerFor(operation)
  const given = check.object('options', options, ['names', 'signal'])
  const input = given.names === undefined ? new Uint8Array(0) : encodeNames(operation, given.names)
  const signal = check.signal('signal', given.signal)
  const answer = await growing(ANSWER_BYTES, async (output) => {
    const { status, information } = await ntCall(calls, operation, signal, 'NtQueryEaFile', {
      numbers: [0, 1, 0],
      input,
      output,
      fine: [STATUS.NO_EAS_ON_FILE, STATUS.NO_MORE_EAS, STATUS.BUFFER_OVERFLOW],
    })
    const none = status === STATUS.NO_EAS_ON_FILE || status === STATUS.NO_MORE_EAS
    return status === STATUS.BUFFER_OVERFLOW ? { needed: 0 } : { bytes: none ? 0 : information }
  })
  return decodeEas(answer)
}

export async function setEas(
  calls: Calls,
  attributes: readonly ExtendedAttribute[],
  options: SignalOptions,
): Promise<void> {
  const operation = 'File.setEas'
  await ntCall(calls, operation, options.signal, 'NtSetEaFile', { input: encodeEas(operation, attributes) })
}
