// SPDX-License-Identifier: MIT
//
// This module provides: directory queries (FindFirstFileEx and NtQueryDirectoryFileEx): by pattern, in the structure that is asked for,
// as many queries as it takes.
//
// Invariant: one handle has one place in its directory, so a second iteration starts over.

import { viewOf } from '../transport/codec.js'
import { ATTRIBUTE } from './attributes.js'
import { entryOffsets, readTimes, readUtf16, utf16 } from './bytes.js'
import type { Calls } from './calls.js'
import type { DirectoryClass, DirectoryItem, EntriesOptions } from './metadata-types.js'
import { ntCall, STATUS } from './nt-services.js'
import { checkerFor } from './options.js'

interface ClassLayout {
  /** FILE_INFORMATION_CLASS */
  readonly number: number
  readonly nameOffset: number
  readonly has: readonly ('ea' | 'shortName' | 'fileId')[]
  readonly fileIdOffset?: number
}

const CLASSES: Readonly<Record<DirectoryClass, ClassLayout>> = {
  directory: { number: 1, nameOffset: 64, has: [] },
  full: { number: 2, nameOffset: 68, has: ['ea'] },
  both: { number: 3, nameOffset: 94, has: ['ea', 'shortName'] },
  names: { number: 12, nameOffset: 12, has: [] },
  idBoth: { number: 37, nameOffset: 104, has: ['ea', 'shortName', 'fileId'], fileIdOffset: 96 },
  idFull: { number: 38, nameOffset: 80, has: ['ea', 'fileId'], fileIdOffset: 72 },
  idExtended: { number: 60, nameOffset: 88, has: ['ea', 'fileId'], fileIdOffset: 72 },
}
const CLASS_NAMES = Object.keys(CLASSES) as DirectoryClass[]

const NAMES_LENGTH_OFFSET = 8
const LENGTH_OFFSET = 60
const EA_OFFSET = 64
const SHORT_NAME_OFFSET = 70
const RESTART_SCAN = 1
const RETURN_SINGLE_ENTRY = 2

function decodeItem(view: DataView, offset: number, asked: DirectoryClass): DirectoryItem {
  const layout = CLASSES[asked]
  const nameLength = view.getUint32(offset + (asked === 'names' ? NAMES_LENGTH_OFFSET : LENGTH_OFFSET), true)
  const name = readUtf16(view, offset + layout.nameOffset, nameLength)
  if (asked === 'names') {
    return { name }
  }
  const attributes = view.getUint32(offset + 56, true)
  const idOffset = offset + (layout.fileIdOffset ?? 0)
  const low = layout.fileIdOffset === undefined ? 0n : view.getBigUint64(idOffset, true)
  return {
    name,
    attributes,
    directory: (attributes & ATTRIBUTE.directory) !== 0,
    size: view.getBigInt64(offset + 40, true),
    allocationSize: view.getBigInt64(offset + 48, true),
    ...readTimes(view, offset + 8),
    ...(layout.has.includes('ea') ? { eaSize: view.getUint32(offset + EA_OFFSET, true) } : {}),
    ...(layout.has.includes('shortName')
      ? { shortName: readUtf16(view, offset + SHORT_NAME_OFFSET, view.getUint8(offset + 68)) }
      : {}),
    ...(asked === 'idExtended'
      ? {
          reparseTag: view.getUint32(offset + 68, true),
          fileId: (view.getBigUint64(idOffset + 8, true) << 64n) | low,
        }
      : layout.has.includes('fileId')
        ? { fileId: low }
        : {}),
  }
}

/** The entries in a query's answer. */
export const decodeItems = (bytes: Uint8Array, asked: DirectoryClass): DirectoryItem[] => {
  const view = viewOf(bytes)
  return [...entryOffsets(view)].map((offset) => decodeItem(view, offset, asked))
}

const LEAST_BUFFER_BYTES = 256
const MOST_BUFFER_BYTES = 1024 * 1024
const BUFFER_BYTES = 64 * 1024
const MAX_PATTERN_CHARS = 255

interface Asked {
  readonly pattern: Uint8Array
  readonly class: DirectoryClass
  readonly bufferBytes: number
  readonly single: boolean
  readonly signal: AbortSignal | undefined
}

function checkEntries(operation: string, options: EntriesOptions): Asked {
  const check = checkerFor(operation)
  const given = check.object('options', options, ['pattern', 'class', 'bufferBytes', 'single', 'signal'])
  return {
    pattern: utf16(given.pattern === undefined ? '' : check.text('pattern', given.pattern, MAX_PATTERN_CHARS)),
    class: check.oneOf('class', given.class ?? 'full', CLASS_NAMES),
    bufferBytes: check.integer(
      'bufferBytes',
      given.bufferBytes ?? BUFFER_BYTES,
      LEAST_BUFFER_BYTES,
      MOST_BUFFER_BYTES,
      'bytes',
    ),
    single: check.boolean('single', given.single ?? false),
    signal: check.signal('signal', given.signal),
  }
}

async function* queryAll(
  calls: Calls,
  operation: string,
  asked: Asked,
): AsyncGenerator<DirectoryItem, void, undefined> {
  let flags = RESTART_SCAN | (asked.single ? RETURN_SINGLE_ENTRY : 0)
  for (;;) {
    const { status, information, output } = await ntCall(calls, operation, asked.signal, 'NtQueryDirectoryFileEx', {
      numbers: [CLASSES[asked.class].number, flags],
      input: asked.pattern,
      output: new Uint8Array(asked.bufferBytes),
      fine: [STATUS.NO_MORE_FILES, STATUS.NO_SUCH_FILE],
    })
    if (status === STATUS.NO_MORE_FILES || status === STATUS.NO_SUCH_FILE) {
      return
    }
    yield* decodeItems(output.subarray(0, information), asked.class)
    flags &= ~RESTART_SCAN
  }
}

/** Checks its options at once; the first query comes with the first entry that is asked for. */
export function entries(calls: Calls, options: EntriesOptions): AsyncGenerator<DirectoryItem, void, undefined> {
  const operation = 'File.entries'
  calls.ensureOpen(operation)
  return queryAll(calls, operation, checkEntries(operation, options))
}
