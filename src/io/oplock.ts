// SPDX-License-Identifier: MIT
//
// This module provides: opportunistic locks: asking for one, its break, the answer to a break.
//
// Invariant: an oplock is granted for exactly as long as its request is pending in the system; `broken` is that request's end.

import '../client/dispose.js'
import { throwIfAborted } from '../client/lifetime.js'
import type { SignalOptions } from '../client/types.js'
import { NotSupportedError } from '../errors/errors.js'
import { ntstatusName } from '../errors/tables.js'
import type { Calls } from './calls.js'
import { FSCTL } from './control-codes.js'
import type { AcknowledgeOptions, Oplock, OplockBreak, OplockLevel } from './control-types.js'
import { type NtAnswer, ntCall } from './nt-services.js'
import { checkerFor } from './options.js'

const CLASSIC = {
  level1: FSCTL.REQUEST_OPLOCK_LEVEL_1,
  level2: FSCTL.REQUEST_OPLOCK_LEVEL_2,
  batch: FSCTL.REQUEST_BATCH_OPLOCK,
  filter: FSCTL.REQUEST_FILTER_OPLOCK,
} as const
type ClassicLevel = keyof typeof CLASSIC

/** OPLOCK_LEVEL_CACHE_READ 1, _HANDLE 2, _WRITE 4. */
const CACHING = { r: 1, rh: 3, rw: 5, rwh: 7 } as const
type CachingLevel = keyof typeof CACHING

const LEVELS: readonly OplockLevel[] = ['level1', 'level2', 'batch', 'filter', 'r', 'rh', 'rw', 'rwh']
const isClassic = (level: OplockLevel): level is ClassicLevel => level in CLASSIC

const FLAG_REQUEST = 1
const FLAG_ACK = 2
const INPUT_BYTES = 12
const OUTPUT_BYTES = 24
const ACK_REQUIRED = 1
/** FILE_OPLOCK_BROKEN_TO_LEVEL_2 */
const BROKEN_TO_LEVEL_2 = 7

/** REQUEST_OPLOCK_INPUT_BUFFER */
function requestInput(level: CachingLevel | undefined, flag: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(INPUT_BYTES))
  view.setUint16(0, 1, true)
  view.setUint16(2, INPUT_BYTES, true)
  view.setUint32(4, level === undefined ? 0 : CACHING[level], true)
  view.setUint32(8, flag, true)
  return new Uint8Array(view.buffer)
}

const cachingName = (bits: number): CachingLevel | undefined =>
  (Object.keys(CACHING) as CachingLevel[]).find((name) => CACHING[name] === bits)

/** How a request that ended says what became of its oplock. */
export function decodeBreak(level: OplockLevel, { status, information, output }: NtAnswer): OplockBreak {
  const named = ntstatusName(status)
  if (isClassic(level)) {
    const to = information === BROKEN_TO_LEVEL_2 ? 'level2' : 'none'
    // A level 2 oplock is gone without asking.
    return { level: to, acknowledgeRequired: level !== 'level2', status: named }
  }
  const view = new DataView(output.buffer, output.byteOffset, output.byteLength)
  return {
    level: cachingName(view.getUint32(8, true)) ?? 'none',
    acknowledgeRequired: (view.getUint32(12, true) & ACK_REQUIRED) !== 0,
    status: named,
  }
}

/** Sends a request that may stay pending. Value: its oplock when it does, undefined when it ended at once. */
async function request(
  calls: Calls,
  operation: string,
  code: number,
  input: Uint8Array,
  level: OplockLevel,
): Promise<Oplock | undefined> {
  const stop = new AbortController()
  let number = 0
  const ended = ntCall(calls, operation, stop.signal, 'NtFsControlFile', {
    numbers: [code],
    input,
    output: new Uint8Array(isClassic(level) ? 0 : OUTPUT_BYTES),
    waits: true,
    onStart: (id) => {
      number = id
    },
  })
  ended.catch(() => undefined)
  if (await calls.native.pending(number)) {
    return new GrantedOplock(calls, level, ended, stop)
  }
  await ended // a refusal rejects
  return undefined
}

class GrantedOplock implements Oplock {
  readonly level: OplockLevel
  readonly broken: Promise<OplockBreak>
  readonly #calls: Calls
  readonly #ended: Promise<NtAnswer>
  readonly #stop: AbortController

  constructor(calls: Calls, level: OplockLevel, ended: Promise<NtAnswer>, stop: AbortController) {
    this.#calls = calls
    this.level = level
    this.#ended = ended
    this.#stop = stop
    this.broken = ended.then((answer) => decodeBreak(level, answer))
    // Nobody has to wait for it.
    this.broken.catch(() => undefined)
  }

  async acknowledge(options: AcknowledgeOptions = {}): Promise<Oplock | undefined> {
    const operation = 'Oplock.acknowledge'
    const check = checkerFor(operation)
    const given = check.object('options', options, ['as', 'signal'])
    const as = check.oneOf('as', given.as ?? 'accept', ['accept', 'none', 'closePending'] as const)
    throwIfAborted(operation, check.signal('signal', given.signal))
    const { level: to } = await this.broken
    if (isClassic(this.level)) {
      const codes = {
        accept: FSCTL.OPLOCK_BREAK_ACKNOWLEDGE,
        none: FSCTL.OPLOCK_BREAK_ACK_NO_2,
        closePending: FSCTL.OPBATCH_ACK_CLOSE_PENDING,
      }
      return request(this.#calls, operation, codes[as], new Uint8Array(0), 'level2')
    }
    if (as !== 'accept') {
      check.fail('as', `"${as}" is an answer for classic oplocks; this one is "${this.level}"`)
    }
    const kept = to === 'none' || to === 'level2' ? undefined : to
    return request(this.#calls, operation, FSCTL.REQUEST_OPLOCK, requestInput(kept, FLAG_ACK), kept ?? this.level)
  }

  async release(): Promise<void> {
    this.#stop.abort()
    await this.#ended.catch(() => undefined)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }
}

/** @throws NotSupportedError on a synchronous handle, IoError (ERROR_OPLOCK_NOT_GRANTED), InvalidOptionError */
export async function requestOplock(calls: Calls, level: OplockLevel, options: SignalOptions): Promise<Oplock> {
  const operation = 'File.oplock'
  const check = checkerFor(operation)
  const wanted = check.oneOf('level', level, LEVELS)
  throwIfAborted(operation, options.signal)
  if (!calls.overlapped) {
    throw new NotSupportedError(`${operation} "${calls.path}": the handle is synchronous`, {
      operation,
      hint: 'open the file with overlapped: true: a granted request stays pending, and would block a synchronous handle',
    })
  }
  const granted = isClassic(wanted)
    ? await request(calls, operation, CLASSIC[wanted], new Uint8Array(0), wanted)
    : await request(calls, operation, FSCTL.REQUEST_OPLOCK, requestInput(wanted, FLAG_REQUEST), wanted)
  if (granted === undefined) {
    throw calls.session.malformed(operation, 'an oplock request that succeeded at once')
  }
  return granted
}
