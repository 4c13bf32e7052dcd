// SPDX-License-Identifier: MIT
//
// This module provides: I/O completion ports.
//
// Invariant: what is remembered about calls whose packets are to come is bounded.

import '../client/dispose.js'
import { abortable, throwIfAborted } from '../client/lifetime.js'
import type { Session } from '../client/session.js'
import type { SignalOptions } from '../client/types.js'
import { ClosedError, InvalidOptionError, NotSupportedError } from '../errors/errors.js'
import { ntstatusName } from '../errors/tables.js'
import type { FileResult, NativeCompletionPort, NativePacket } from '../transport/native.js'
import type { TransportFiles } from '../transport/transport.js'
import type { CallName, Calls } from './calls.js'
import type {
  AssociateOptions,
  CompletionPacket,
  CompletionPort,
  NextPacketsOptions,
  PostOptions,
} from './control-types.js'
import { checkerFor } from './options.js'
import type { File } from './types.js'

const ERROR_PROC_NOT_FOUND = 127
const WAIT_TIMEOUT = 258
const FOREVER = 0xffffffff
const MAX_TIMEOUT_MS = 0x7fffffff
const MOST_PACKETS = 4096
const PACKETS = 64
const MAX_64 = 2n ** 64n - 1n
const MAX_32 = 0xffffffff
const SKIP_ON_SUCCESS = 1
/** Calls without a packet yet; of older ones the packet says its status alone. */
const MOST_REMEMBERED = 65_536

const WHERE = 'completion port'

export class OpenCompletionPort implements CompletionPort {
  readonly #session: Session
  readonly #native: NativeCompletionPort
  readonly #callsOf: (file: File) => Calls | undefined
  readonly #remembered = new Map<number, CallName>()
  #waiting = false
  #closing: Promise<void> | undefined

  constructor(session: Session, native: NativeCompletionPort, callsOf: (file: File) => Calls | undefined) {
    this.#session = session
    this.#native = native
    this.#callsOf = callsOf
    session.lifetime.add(this)
  }

  get closed(): boolean {
    return this.#closing !== undefined
  }

  async associate(file: File, options: AssociateOptions = {}): Promise<void> {
    const operation = 'CompletionPort.associate'
    const check = checkerFor(operation)
    const given = check.object('options', options, ['key', 'skipOnSuccess', 'signal'])
    const key = check.bigint('key', given.key ?? 0, MAX_64)
    const skip = check.boolean('skipOnSuccess', given.skipOnSuccess ?? false)
    throwIfAborted(operation, check.signal('signal', given.signal))
    const calls = this.#callsOf(file)
    if (calls === undefined) {
      throw new InvalidOptionError('file', `${operation}: file: expected a file of this session`, { operation })
    }
    this.#ensureOpen(operation)
    calls.ensureOpen(operation)
    // First what needs the system's consent without consequences.
    if (skip) {
      this.#fine(operation, calls.path, await calls.native.setCompletionModes(SKIP_ON_SUCCESS))
    }
    this.#fine(operation, calls.path, await this.#native.associate(calls.native, key))
    calls.onCall = (id, name) => {
      this.#remember(id, name)
    }
  }

  async next(options: NextPacketsOptions = {}): Promise<CompletionPacket[]> {
    const operation = 'CompletionPort.next'
    const check = checkerFor(operation)
    const given = check.object('options', options, ['most', 'timeoutMs', 'signal'])
    const most = check.integer('most', given.most ?? PACKETS, 1, MOST_PACKETS)
    const timeoutMs =
      given.timeoutMs === undefined ? FOREVER : check.integer('timeoutMs', given.timeoutMs, 0, MAX_TIMEOUT_MS, 'ms')
    const signal = check.signal('signal', given.signal)
    this.#ensureOpen(operation)
    throwIfAborted(operation, signal)
    if (this.#waiting) {
      throw new NotSupportedError(`${operation}: another call waits already`, {
        operation,
        hint: 'one wait at a time; ask for more packets at once with `most`',
      })
    }
    this.#waiting = true
    const wait = async (): Promise<CompletionPacket[]> => {
      try {
        const [error, ntstatus, packets] = await this.#native.get(most, timeoutMs)
        if (error === WAIT_TIMEOUT) {
          return []
        }
        this.#fine(operation, WHERE, [error, ntstatus, undefined])
        return packets.map((packet) => this.#packet(packet))
      } finally {
        this.#waiting = false
      }
    }
    return abortable(wait(), { operation, signal, cancel: () => void this.#native.cancel() })
  }

  async post(options: PostOptions = {}): Promise<void> {
    const operation = 'CompletionPort.post'
    const check = checkerFor(operation)
    const given = check.object('options', options, ['key', 'value', 'bytes', 'signal'])
    const key = check.bigint('key', given.key ?? 0, MAX_64)
    const value = check.bigint('value', given.value ?? 0, MAX_64)
    const bytes = check.integer('bytes', given.bytes ?? 0, 0, MAX_32)
    throwIfAborted(operation, check.signal('signal', given.signal))
    this.#ensureOpen(operation)
    this.#fine(operation, WHERE, await this.#native.post(key, value, bytes))
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const result = await this.#native.close()
    this.#session.lifetime.delete(this)
    this.#fine('CompletionPort.close', WHERE, result)
  }

  #ensureOpen(operation: string): void {
    if (this.closed) {
      throw new ClosedError(`${operation}: the completion port is closed`, { operation, hint: 'make a new one' })
    }
    this.#session.lifetime.ensureOpen(operation)
  }

  #fine(operation: string, where: string, [error, ntstatus]: FileResult<void>): void {
    if (error === ERROR_PROC_NOT_FOUND) {
      throw noCompletionPorts(operation)
    }
    if (error !== 0) {
      throw this.#session.ioError(operation, where, error, ntstatus)
    }
  }

  #remember(id: number, name: CallName): void {
    this.#remembered.set(id, name)
    if (this.#remembered.size > MOST_REMEMBERED) {
      const [oldest] = this.#remembered.keys()
      if (oldest !== undefined) {
        this.#remembered.delete(oldest)
      }
    }
  }

  #packet([key, call, value, ntstatus, bytes]: NativePacket): CompletionPacket {
    const name = call === undefined ? undefined : this.#remembered.get(call)
    if (call !== undefined) {
      this.#remembered.delete(call)
    }
    return { key, operation: name?.operation, path: name?.path, value, status: ntstatusName(ntstatus), bytes }
  }
}

const noCompletionPorts = (operation: string): NotSupportedError =>
  new NotSupportedError(`${operation}: this backend does not have I/O completion ports`, {
    operation,
    hint: 'the model lists what it has in docs/FIDELITY.md',
  })

/** @throws IoError, NotSupportedError, AbortedError */
export async function createCompletionPort(
  session: Session,
  files: TransportFiles,
  callsOf: (file: File) => Calls | undefined,
  options: SignalOptions,
): Promise<CompletionPort> {
  const operation = 'io.completionPort'
  throwIfAborted(operation, options.signal)
  const [error, ntstatus, native] = await files.createCompletionPort()
  if (native === undefined) {
    throw error === ERROR_PROC_NOT_FOUND
      ? noCompletionPorts(operation)
      : session.ioError(operation, WHERE, error, ntstatus)
  }
  return session.lifetime.adopt(new OpenCompletionPort(session, native, callsOf), operation)
}
