// SPDX-License-Identifier: MIT
//
// This module provides: byte-range locks (LockFileEx, UnlockFileEx).

import '../client/dispose.js'
import type { SignalOptions } from '../client/types.js'
import type { Calls } from './calls.js'
import type { ByteRange, FileLock, LockOptions } from './control-types.js'
import { ntCall } from './nt-services.js'
import { checkerFor } from './options.js'

const MAX_64 = 2n ** 64n - 1n
const MAX_32 = 0xffffffff

interface Range {
  readonly offset: bigint
  readonly length: bigint
  readonly key: number
}

function checkRange(operation: string, options: Partial<Record<'offset' | 'length' | 'key', unknown>>): Range {
  const check = checkerFor(operation)
  const range = {
    offset: check.bigint('offset', options.offset, MAX_64),
    length: check.bigint('length', options.length, MAX_64),
    key: check.integer('key', options.key ?? 0, 0, MAX_32),
  }
  if (range.length > 0n && range.offset + range.length - 1n > MAX_64) {
    check.fail('length', 'offset + length must not go beyond 2^64')
  }
  return range
}

class HeldLock implements FileLock {
  readonly offset: bigint
  readonly length: bigint
  readonly key: number
  readonly exclusive: boolean
  readonly #calls: Calls
  #unlocked = false

  constructor(calls: Calls, range: Range, exclusive: boolean) {
    this.#calls = calls
    this.offset = range.offset
    this.length = range.length
    this.key = range.key
    this.exclusive = exclusive
  }

  get unlocked(): boolean {
    return this.#unlocked
  }

  async unlock(options: SignalOptions = {}): Promise<void> {
    if (!this.#unlocked) {
      this.#unlocked = true
      await unlock(this.#calls, 'FileLock.unlock', this, options.signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The end of the handle has unlocked everything.
    if (!this.#calls.closed) {
      await this.unlock()
    }
  }
}

async function unlock(calls: Calls, operation: string, range: Range, signal?: AbortSignal): Promise<void> {
  await ntCall(calls, operation, signal, 'NtUnlockFile', { numbers: [range.offset, range.length, range.key] })
}

export async function lockRange(calls: Calls, options: LockOptions): Promise<FileLock> {
  const operation = 'File.lock'
  const check = checkerFor(operation)
  const given = check.object('options', options, ['offset', 'length', 'key', 'exclusive', 'wait', 'signal'])
  const range = checkRange(operation, given)
  const exclusive = check.boolean('exclusive', given.exclusive ?? true)
  const wait = check.boolean('wait', given.wait ?? true)
  const signal = check.signal('signal', given.signal)
  await ntCall(calls, operation, signal, 'NtLockFile', {
    numbers: [range.offset, range.length, range.key, wait ? 0 : 1, exclusive ? 1 : 0],
    // Granted after the caller was told that it is not: nobody else would unlock it.
    discard: () => unlock(calls, operation, range),
    waits: true,
  })
  return new HeldLock(calls, range, exclusive)
}

export async function unlockRange(calls: Calls, options: ByteRange & SignalOptions): Promise<void> {
  const operation = 'File.unlock'
  const check = checkerFor(operation)
  const given = check.object('options', options, ['offset', 'length', 'key', 'signal'])
  await unlock(calls, operation, checkRange(operation, given), check.signal('signal', given.signal))
}
