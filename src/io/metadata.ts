// SPDX-License-Identifier: MIT
//
// This module provides: times, attributes, sizes, position and streams of an open file, and what is asked by name.

import type { SignalOptions } from '../client/types.js'
import { viewOf } from '../transport/codec.js'
import { ATTRIBUTE, attributeMask } from './attributes.js'
import { entryOffsets, fileTimeOf, int64s, readTimes, readUtf16 } from './bytes.js'
import type { Calls } from './calls.js'
import { INFORMATION } from './layouts.js'
import type {
  AttributeName,
  FileAttributes,
  FileStatByName,
  FullFileAttributes,
  SetTimesOptions,
  StreamEntry,
} from './metadata-types.js'
import { FILE_CLASS, growing, ntCall, queryInformation, setInformation, STATUS } from './nt-services.js'
import { checkerFor } from './options.js'

const MAX_SIZE = 2n ** 63n - 1n

const BASIC_BYTES = 40

function basicInformation(times: readonly bigint[], attributes: number): Uint8Array {
  const bytes = new Uint8Array(BASIC_BYTES)
  bytes.set(int64s(...times))
  new DataView(bytes.buffer).setUint32(32, attributes, true)
  return bytes
}

const UNCHANGED = 0n

export async function setTimes(calls: Calls, options: SetTimesOptions): Promise<void> {
  const operation = 'File.setTimes'
  const check = checkerFor(operation)
  const fields = ['createdAt', 'accessedAt', 'modifiedAt', 'changedAt'] as const
  const given = check.object('options', options, [...fields, 'signal'])
  const times = fields.map((field) => {
    const value = given[field]
    if (value === undefined) {
      return UNCHANGED
    }
    if (value instanceof Date && !Number.isNaN(value.getTime())) {
      return check.bigint(field, fileTimeOf(value), MAX_SIZE)
    }
    return typeof value === 'bigint'
      ? check.bigint(field, value, MAX_SIZE)
      : check.expected(field, 'a valid Date, or a bigint of 100 ns since 1601', value)
  })
  const signal = check.signal('signal', given.signal)
  await calls.setByHandle(operation, signal, INFORMATION.BASIC, basicInformation(times, 0))
}

export async function setAttributes(
  calls: Calls,
  attributes: readonly AttributeName[] | number,
  options: SignalOptions,
): Promise<void> {
  const operation = 'File.setAttributes'
  const mask = attributeMask(operation, 'attributes', attributes)
  const information = basicInformation([UNCHANGED, UNCHANGED, UNCHANGED, UNCHANGED], mask)
  await calls.setByHandle(operation, options.signal, INFORMATION.BASIC, information)
}

export async function setAllocationSize(calls: Calls, value: number | bigint, options: SignalOptions): Promise<void> {
  const operation = 'File.setAllocationSize'
  const bytes = checkerFor(operation).bigint('bytes', value, MAX_SIZE)
  await calls.setByHandle(operation, options.signal, INFORMATION.ALLOCATION, int64s(bytes))
}

/** FileValidDataLengthInformation, FilePositionInformation: one 64-bit number each. */
export async function setSize(
  calls: Calls,
  operation: string,
  informationClass: number,
  field: string,
  value: number | bigint,
  options: SignalOptions,
): Promise<void> {
  const bytes = checkerFor(operation).bigint(field, value, MAX_SIZE)
  await setInformation(calls, operation, options.signal, informationClass, int64s(bytes))
}

export async function position(calls: Calls, options: SignalOptions): Promise<bigint> {
  const view = await queryInformation(calls, 'File.position', options.signal, FILE_CLASS.POSITION, 8)
  return view.getBigInt64(0, true)
}

export async function fileId(calls: Calls, options: SignalOptions): Promise<bigint> {
  const view = await queryInformation(calls, 'File.fileId', options.signal, FILE_CLASS.INTERNAL, 8)
  return view.getBigUint64(0, true)
}

const STREAMS_BYTES = 4096
const STREAM_NAME_OFFSET = 24

export async function streams(calls: Calls, options: SignalOptions): Promise<StreamEntry[]> {
  const answer = await growing(STREAMS_BYTES, async (output) => {
    const { status, information } = await ntCall(calls, 'File.streams', options.signal, 'NtQueryInformationFile', {
      numbers: [FILE_CLASS.STREAM],
      output,
      fine: [STATUS.BUFFER_OVERFLOW],
    })
    return status === STATUS.BUFFER_OVERFLOW ? { needed: 0 } : { bytes: information }
  })
  const view = viewOf(answer)
  return [...entryOffsets(view)].map((offset) => ({
    name: readUtf16(view, offset + STREAM_NAME_OFFSET, view.getUint32(offset + 4, true)),
    size: view.getBigInt64(offset + 8, true),
    allocationSize: view.getBigInt64(offset + 16, true),
  }))
}

const isDirectory = (attributes: number): boolean => (attributes & ATTRIBUTE.directory) !== 0

/** FILE_BASIC_INFORMATION */
export function decodeAttributes(view: DataView): FileAttributes {
  const attributes = view.getUint32(32, true)
  return { attributes, directory: isDirectory(attributes), ...readTimes(view, 0) }
}

/** FILE_NETWORK_OPEN_INFORMATION */
export function decodeFullAttributes(view: DataView): FullFileAttributes {
  const attributes = view.getUint32(48, true)
  return {
    attributes,
    directory: isDirectory(attributes),
    allocationSize: view.getBigInt64(32, true),
    size: view.getBigInt64(40, true),
    ...readTimes(view, 0),
  }
}

/** FILE_STAT_INFORMATION */
export function decodeStatByName(view: DataView): FileStatByName {
  const attributes = view.getUint32(56, true)
  return {
    fileId: view.getBigUint64(0, true),
    attributes,
    directory: isDirectory(attributes),
    allocationSize: view.getBigInt64(40, true),
    size: view.getBigInt64(48, true),
    reparseTag: view.getUint32(60, true),
    links: view.getUint32(64, true),
    effectiveAccess: view.getUint32(68, true),
    ...readTimes(view, 8),
  }
}
