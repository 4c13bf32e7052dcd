// SPDX-License-Identifier: MIT
//
// This module provides: CopyFileW, step by step [SEQ-21].
//
// Invariant: a copy that fails after its target was opened leaves no target behind.

import type { Session } from '../client/session.js'
import { int64s, uint32s } from './bytes.js'
import type { Calls } from './calls.js'
import { callsOf, type OpenFile } from './file.js'
import { ERROR } from './layouts.js'
import type { ExtendedAttribute, StreamEntry } from './metadata-types.js'
import { closing, isWin32, openNt } from './nt-file.js'
import { FILE_CLASS, FS_CLASS, ntCall, queryInformation, setInformation } from './nt-services.js'
import type { ShareName } from './types.js'

const CHUNK_BYTES = 64 * 1024
const ATTRIBUTE_ANSWER_BYTES = 1024
const FILE_NAMED_STREAMS = 0x00040000
/** What a file is made with: the rest of a source's attributes are its file system's own. */
const CREATED_WITH = 0x1 | 0x2 | 0x4 | 0x20 | 0x80 | 0x100 | 0x1000 | 0x2000
const BASIC_BYTES = 40
const STANDARD_BYTES = 24
const CONTENT = '::$DATA'

export interface Copy {
  readonly session: Session
  /** Of the call that copies. */
  readonly operation: string
  readonly signal: AbortSignal | undefined
}

interface Source {
  readonly lastWriteTime: bigint
  readonly attributes: number
  readonly size: bigint
  readonly eas: ExtendedAttribute[]
  readonly streams: StreamEntry[]
}

const SOURCE_SHARES: readonly (readonly ShareName[])[] = [
  ['read', 'delete'],
  ['read', 'write', 'delete'],
]
const TARGET_SHARES: readonly (readonly ShareName[])[] = [[], ['read', 'write']]

/** Opens it so that nobody else writes meanwhile, if that can be had. */
async function openSharing(
  shares: readonly (readonly ShareName[])[],
  open: (share: readonly ShareName[]) => Promise<OpenFile>,
): Promise<OpenFile> {
  const [first = [], second = []] = shares
  try {
    return await open(first)
  } catch (error) {
    if (!isWin32(error, ERROR.SHARING_VIOLATION)) {
      throw error
    }
    return open(second)
  }
}

const openSource = ({ session, operation, signal }: Copy, path: string): Promise<OpenFile> =>
  openSharing(SOURCE_SHARES, (share) =>
    openNt(session, operation, path, {
      nt: {
        access: ['read', 'synchronize'],
        share,
        options: ['nonDirectoryFile', 'sequentialOnly', 'synchronousIoNonalert'],
      },
      signal,
    }),
  )

const openTarget = (
  { session, operation, signal }: Copy,
  path: string,
  failIfExists: boolean,
  attributes: number,
  eas: ExtendedAttribute[],
): Promise<OpenFile> =>
  openSharing(TARGET_SHARES, (share) =>
    openNt(session, operation, path, {
      nt: {
        access: ['read', 'write', 'delete', 'synchronize'],
        share,
        disposition: failIfExists ? 'create' : 'overwriteIf',
        attributes: attributes & CREATED_WITH,
        eas,
        options: ['nonDirectoryFile', 'sequentialOnly', 'synchronousIoNonalert'],
      },
      reword: new Map([[ERROR.ALREADY_EXISTS, ERROR.FILE_EXISTS]]),
      signal,
    }),
  )

/** Extended attributes that nothing depends on are left out where the target's file system has none. */
async function openWithEas(copy: Copy, path: string, failIfExists: boolean, source: Source): Promise<OpenFile> {
  const { attributes, eas } = source
  try {
    return await openTarget(copy, path, failIfExists, attributes, eas)
  } catch (error) {
    if (eas.some(({ needed }) => needed) || !isWin32(error, ERROR.EAS_NOT_SUPPORTED)) {
      throw error
    }
    return openTarget(copy, path, failIfExists, attributes, [])
  }
}

async function hasStreams(calls: Calls, { operation, signal }: Copy): Promise<boolean> {
  const output = new Uint8Array(ATTRIBUTE_ANSWER_BYTES)
  await ntCall(calls, operation, signal, 'NtQueryVolumeInformationFile', { numbers: [FS_CLASS.ATTRIBUTE], output })
  return (new DataView(output.buffer).getUint32(0, true) & FILE_NAMED_STREAMS) !== 0
}

async function describe(file: OpenFile, copy: Copy): Promise<Source> {
  const { operation, signal } = copy
  const calls = callsOf(file)
  const basic = await queryInformation(calls, operation, signal, FILE_CLASS.BASIC, BASIC_BYTES)
  const standard = await queryInformation(calls, operation, signal, FILE_CLASS.STANDARD, STANDARD_BYTES)
  const ea = await queryInformation(calls, operation, signal, FILE_CLASS.EA, 4)
  const streams = await hasStreams(calls, copy)
  return {
    lastWriteTime: basic.getBigInt64(16, true),
    attributes: basic.getUint32(32, true),
    size: standard.getBigInt64(8, true),
    eas: ea.getUint32(0, true) === 0 ? [] : await file.eas({ signal }),
    streams: streams ? (await file.streams({ signal })).filter(({ name }) => name !== CONTENT) : [],
  }
}

async function copyContent(from: OpenFile, to: OpenFile, size: bigint, { operation, signal }: Copy): Promise<void> {
  if (size > 0n) {
    await setInformation(callsOf(to), operation, signal, FILE_CLASS.END_OF_FILE, int64s(size))
  }
  for (;;) {
    const chunk = await from.read(CHUNK_BYTES, { signal })
    if (chunk.length === 0) {
      return
    }
    await to.write(chunk, { signal })
  }
}

async function copyStreams(copy: Copy, source: Source, existing: string, to: OpenFile, path: string): Promise<void> {
  if (source.streams.length === 0 || !(await hasStreams(callsOf(to), copy))) {
    return
  }
  for (const { name, size } of source.streams) {
    await closing(await openSource(copy, `${existing}${name}`), async (from) => {
      const stream = await openTarget(copy, `${path}${name}`, false, 0, [])
      await closing(stream, (opened) => copyContent(from, opened, size, copy))
    })
  }
}

/** What is there of a copy that failed; the failure is what the caller is told. */
async function discard(file: OpenFile): Promise<void> {
  await setInformation(callsOf(file), 'io.win32.copyFile', undefined, FILE_CLASS.DISPOSITION, Uint8Array.of(1)).catch(
    () => undefined,
  )
}

export interface CopyChoices {
  readonly failIfExists: boolean
  /** FlushFileBuffers at the end. */
  readonly flush: boolean
}

export async function copyFile(copy: Copy, existing: string, path: string, choices: CopyChoices): Promise<void> {
  await closing(await openSource(copy, existing), async (from) => {
    const source = await describe(from, copy)
    const target = await openWithEas(copy, path, choices.failIfExists, source)
    await closing(target, async (to) => {
      try {
        await copyContent(from, to, source.size, copy)
        await copyStreams(copy, source, existing, to, path)
        const times = int64s(0n, 0n, source.lastWriteTime, 0n)
        const basic = Uint8Array.of(...times, ...uint32s(0, 0))
        await setInformation(callsOf(to), copy.operation, copy.signal, FILE_CLASS.BASIC, basic)
        if (choices.flush) {
          await to.flush({ signal: copy.signal })
        }
      } catch (error) {
        await discard(to)
        throw error
      }
    })
  })
}
