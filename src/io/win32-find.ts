// SPDX-License-Identifier: MIT
//
// This module provides: FindFirstFileW, FindNextFileW and FindClose [SEQ-16].
//
// Invariant: the directory's handle is the search's, and closes with it.

import '../client/dispose.js'
import type { Session } from '../client/session.js'
import type { SignalOptions } from '../client/types.js'
import { utf16 } from './bytes.js'
import type { Calls } from './calls.js'
import { ATTRIBUTE } from './attributes.js'
import { decodeItems } from './directory.js'
import { callsOf, type OpenFile } from './file.js'
import { ERROR } from './layouts.js'
import type { DirectoryItem } from './metadata-types.js'
import { isWin32, openNt } from './nt-file.js'
import { ntCall } from './nt-services.js'
import { ntPath } from './paths.js'
import type { FileSearch, FindData } from './win32-types.js'

const FILE_BOTH_DIRECTORY_INFORMATION = 3
const RETURN_SINGLE_ENTRY = 2
const BUFFER_BYTES = 4096
/** The structure with the longest name. */
const ONE_ENTRY_BYTES = 94 + 255 * 2
const EPOCH = new Date(0)

/**
 * A pattern as the file system is asked for it. DOS meanings that * and ? do not have: a * before a dot stops at the last one (DOS_STAR <), a ? is
 * one character or the end of a name (DOS_QM >), and the dot before either is a dot or the end of the name (DOS_DOT "). "*." finds names without a dot.
 */
export function dosPattern(pattern: string): string {
  if (pattern === '*.*') {
    return '*'
  }
  return pattern
    .replace(/\*\.$/, '<')
    .replaceAll(/\*(?=\.)/g, '<')
    .replaceAll(/\.(?=[*<?])/g, '"')
    .replaceAll('?', '>')
}

const findData = (item: DirectoryItem): FindData => {
  const { name, attributes = 0, size = 0n, eaSize = 0, shortName = '', directory = false } = item
  const { createdAt = EPOCH, accessedAt = EPOCH, modifiedAt = EPOCH } = item
  return {
    name,
    alternateName: shortName,
    attributes,
    directory,
    size,
    createdAt,
    accessedAt,
    modifiedAt,
    // A reparse point has its tag where others have the size of their extended attributes.
    reparseTag: (attributes & ATTRIBUTE.reparsePoint) !== 0 ? eaSize : 0,
  }
}

async function query(
  calls: Calls,
  operation: string,
  signal: AbortSignal | undefined,
  flags: number,
  pattern: Uint8Array,
  bytes: number,
): Promise<FindData[]> {
  const { information, output } = await ntCall(calls, operation, signal, 'NtQueryDirectoryFileEx', {
    numbers: [FILE_BOTH_DIRECTORY_INFORMATION, flags],
    input: pattern,
    output: new Uint8Array(bytes),
  })
  return decodeItems(output.subarray(0, information), 'both').map(findData)
}

/** Takes the first one. */
function one(found: FindData[]): FindData {
  const first = found.shift()
  if (first === undefined) {
    throw new TypeError('minipend native: a directory query without a failure, and without an entry')
  }
  return first
}

class OpenSearch implements FileSearch {
  readonly first: FindData
  readonly #directory: OpenFile
  readonly #calls: Calls
  readonly #found: FindData[] = []

  constructor(directory: OpenFile, calls: Calls, first: FindData) {
    this.#directory = directory
    this.#calls = calls
    this.first = first
  }

  get closed(): boolean {
    return this.#directory.closed
  }

  async findNextFile({ signal }: SignalOptions = {}): Promise<FindData> {
    this.#calls.ensureOpen('FileSearch.findNextFile')
    if (this.#found.length === 0) {
      const pattern = new Uint8Array(0)
      this.#found.push(...(await query(this.#calls, 'FileSearch.findNextFile', signal, 0, pattern, BUFFER_BYTES)))
    }
    return one(this.#found)
  }

  findClose(): Promise<void> {
    return this.#directory.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.findClose()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<FindData, void, undefined> {
    try {
      yield this.first
      for (;;) {
        const next = await this.#nextOrEnd()
        if (next === undefined) {
          return
        }
        yield next
      }
    } finally {
      await this.findClose()
    }
  }

  async #nextOrEnd(): Promise<FindData | undefined> {
    try {
      return await this.findNextFile()
    } catch (error) {
      if (isWin32(error, ERROR.NO_MORE_FILES)) {
        return undefined
      }
      throw error
    }
  }
}

export async function findFirstFile(
  session: Session,
  path: string,
  signal: AbortSignal | undefined,
): Promise<FileSearch> {
  const operation = 'io.win32.findFirstFile'
  const full = ntPath(operation, 'path', path)
  const end = full.lastIndexOf('\\') + 1
  const pattern = full.slice(end)
  if (pattern === '') {
    throw session.ioError(operation, path, ERROR.FILE_NOT_FOUND, 0)
  }
  const directory = await openNt(session, operation, full.slice(0, end), {
    nt: {
      access: ['readData', 'synchronize'],
      options: ['directoryFile', 'synchronousIoNonalert', 'openForBackupIntent'],
    },
    // The name is the pattern: what is not there is a directory on the way to it.
    reword: new Map([[ERROR.FILE_NOT_FOUND, ERROR.PATH_NOT_FOUND]]),
    signal,
  })
  try {
    const calls = callsOf(directory)
    const asked = utf16(dosPattern(pattern))
    return new OpenSearch(
      directory,
      calls,
      one(await query(calls, operation, signal, RETURN_SINGLE_ENTRY, asked, ONE_ENTRY_BYTES)),
    )
  } catch (error) {
    await directory.close().catch(() => undefined)
    throw error
  }
}
