// SPDX-License-Identifier: MIT
//
// This module provides: watching a directory: NtNotifyChangeDirectoryFile again and again (ReadDirectoryChangesW).
//
// Invariants: from its first request on the system keeps changes for the handle, so none is lost between two requests; what did not
// fit is told as an overflow; at most one request of a watch is in flight.

import '../client/dispose.js'
import { viewOf } from '../transport/codec.js'
import { entryOffsets, readUtf16 } from './bytes.js'
import type { Calls } from './calls.js'
import type { ChangeFilterName, ChangeKind, DirectoryChange, Watch, WatchOptions } from './control-types.js'
import { type NtAnswer, ntCall, STATUS } from './nt-services.js'
import { checkerFor } from './options.js'

/** FILE_NOTIFY_CHANGE_* */
const FILTER: Readonly<Record<ChangeFilterName, number>> = {
  fileName: 0x1,
  directoryName: 0x2,
  attributes: 0x4,
  size: 0x8,
  lastWrite: 0x10,
  lastAccess: 0x20,
  creation: 0x40,
  ea: 0x80,
  security: 0x100,
  streamName: 0x200,
  streamSize: 0x400,
  streamWrite: 0x800,
}
const FILTER_NAMES = Object.keys(FILTER) as ChangeFilterName[]
const DEFAULT_FILTER: readonly ChangeFilterName[] = [
  'fileName',
  'directoryName',
  'attributes',
  'size',
  'lastWrite',
  'creation',
  'security',
]

/** FILE_ACTION_*, from 1 on. */
const ACTIONS: readonly ChangeKind[] = [
  'added',
  'removed',
  'modified',
  'renamedFrom',
  'renamedTo',
  'streamAdded',
  'streamRemoved',
  'streamModified',
]

const NAME_OFFSET = 12
const BUFFER_BYTES = 64 * 1024
const MOST_BUFFER_BYTES = 1024 * 1024

/** A FILE_NOTIFY_INFORMATION list. */
export function decodeChanges(bytes: Uint8Array): DirectoryChange[] {
  const view = viewOf(bytes)
  return [...entryOffsets(view)].map((offset) => ({
    kind: ACTIONS[view.getUint32(offset + 4, true) - 1] ?? 'other',
    name: readUtf16(view, offset + NAME_OFFSET, view.getUint32(offset + 8, true)),
  }))
}

interface Watched {
  readonly filter: number
  readonly recursive: boolean
  readonly bufferBytes: number
  readonly signal: AbortSignal | undefined
}

function checkWatch(operation: string, options: WatchOptions): Watched {
  const check = checkerFor(operation)
  const given = check.object('options', options, ['filter', 'recursive', 'bufferBytes', 'signal'])
  const names = given.filter ?? DEFAULT_FILTER
  if (!Array.isArray(names) || names.length === 0) {
    return check.expected('filter', `an array of ${FILTER_NAMES.map((name) => `"${name}"`).join(', ')}`, names)
  }
  return {
    filter: (names as unknown[]).reduce<number>(
      (mask, name) => mask | FILTER[check.oneOf<ChangeFilterName>('filter', name, FILTER_NAMES)],
      0,
    ),
    recursive: check.boolean('recursive', given.recursive ?? false),
    bufferBytes: check.integer('bufferBytes', given.bufferBytes ?? BUFFER_BYTES, 4, MOST_BUFFER_BYTES, 'bytes'),
    signal: check.signal('signal', given.signal),
  }
}

const OPERATION = 'File.watch'

export class DirectoryWatch implements Watch {
  readonly started: Promise<void>
  readonly #calls: Calls
  readonly #watched: Watched
  readonly #stop = new AbortController()
  #request: Promise<NtAnswer> | undefined
  #ready: DirectoryChange[] = []
  #ended = false

  /** @throws InvalidOptionError, ClosedError */
  constructor(calls: Calls, options: WatchOptions) {
    calls.ensureOpen(OPERATION)
    this.#calls = calls
    this.#watched = checkWatch(OPERATION, options)
    let tell: (started: Promise<void>) => void = () => undefined
    this.started = new Promise((resolve) => {
      tell = resolve
    })
    this.#ask((id) => {
      tell(this.#pending(id))
    })
    this.started.catch(() => undefined)
  }

  async next(): Promise<IteratorResult<DirectoryChange, undefined>> {
    for (;;) {
      const change = this.#ready.shift()
      if (change !== undefined) {
        return { done: false, value: change }
      }
      if (this.#ended) {
        return { done: true, value: undefined }
      }
      this.#ask()
      await this.#take()
    }
  }

  async return(): Promise<IteratorResult<DirectoryChange, undefined>> {
    await this.close()
    return { done: true, value: undefined }
  }

  async close(): Promise<void> {
    this.#ended = true
    this.#ready = []
    this.#stop.abort()
    await this.#request?.catch(() => undefined)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** The request that is in flight, a new one when there is none. */
  #ask(onStart?: (id: number) => void): void {
    if (this.#request !== undefined) {
      return
    }
    const { filter, recursive, bufferBytes, signal } = this.#watched
    const both = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal])
    this.#request = ntCall(this.#calls, OPERATION, both, 'NtNotifyChangeDirectoryFile', {
      numbers: [filter, recursive ? 1 : 0],
      output: new Uint8Array(bufferBytes),
      onStart,
      waits: true,
    })
    // Whoever asks for the next change is told.
    this.#request.catch(() => undefined)
  }

  async #pending(id: number): Promise<void> {
    if (!(await this.#calls.native.pending(id))) {
      // It ended at once, with changes or with a failure.
      await this.#request
    }
  }

  async #take(): Promise<void> {
    const request = this.#request
    if (request === undefined) {
      return
    }
    let answer: NtAnswer
    try {
      answer = await request
    } catch (error) {
      if (this.#stop.signal.aborted) {
        return // close()
      }
      this.#ended = true
      throw error
    }
    this.#request = undefined
    if (answer.status === STATUS.NOTIFY_CLEANUP) {
      this.#ended = true
    } else if (answer.status === STATUS.NOTIFY_ENUM_DIR || answer.information === 0) {
      this.#ready.push({ kind: 'overflow' })
    } else {
      this.#ready.push(...decodeChanges(answer.output.subarray(0, answer.information)))
    }
  }
}
