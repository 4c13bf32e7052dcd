// SPDX-License-Identifier: MIT
//
// This module provides: one connection to the driver: messages and their replies, and errors made with what the session knows.
//
// Invariants: every message carries a token of its own, and a reply with another one is refused; a reply is looked at only after its size,
// version and command have been checked.

import {
  ClosedError,
  type MinipendError,
  ModelStoppedError,
  ProtocolError,
  VersionMismatchError,
} from '../errors/errors.js'
import { connectError, ERROR_SHUTDOWN_IN_PROGRESS, filterError, hresultFromWin32, ioError } from '../errors/make.js'
import { DETAIL_HINTS } from '../errors/details.js'
import { formatNumber, ntstatusName } from '../errors/tables.js'
import { DETAILS, PORT_NAME, PROTOCOL_VERSION } from '../generated/protocol.js'
import { decodeReplyHeader, envelope, type Envelope, type ReplyHeader } from '../transport/messages.js'
import type { MessageWait, Transport, TransportPort } from '../transport/transport.js'
import { Lifetime } from './lifetime.js'
import { parseReport } from './model.js'

export class Session {
  readonly transport: Transport
  readonly lifetime = new Lifetime('session')
  readonly #version: number
  #port: TransportPort | undefined
  #token = 0n

  /** `version`: the protocol version to send; another one than ours is for tests of the mismatch. */
  constructor(transport: Transport, version: number = PROTOCOL_VERSION) {
    this.transport = transport
    this.#version = version
  }

  async connect(operation: string): Promise<void> {
    const [hresult, port] = await this.transport.connect(PORT_NAME)
    if (port === undefined) {
      throw this.#shutDown(operation, hresult) ?? connectError(operation, hresult)
    }
    this.#port = port
  }

  /** Ends the connection: the driver drops this session's rules and gives back what they hold. */
  async disconnect(): Promise<void> {
    await this.#port?.close()
  }

  /**
   * Begins to wait for a message of the driver's, one wait at a time. Undefined: this transport cannot.
   * @throws ClosedError
   */
  listen(output: Uint8Array): MessageWait | undefined {
    this.lifetime.ensureOpen('wait for the driver')
    return this.#port?.getMessage?.(output)
  }

  filterError(operation: string, what: string, hresult: number): MinipendError {
    return this.#shutDown(operation, hresult) ?? filterError(operation, what, hresult)
  }

  ioError(operation: string, path: string, win32: number, ntstatus: number): MinipendError {
    return this.#shutDown(operation, hresultFromWin32(win32)) ?? ioError(operation, path, win32, ntstatus)
  }

  /**
   * Sends a message and returns its reply, which says success. A reply that is too large for `replyBytes` is asked for again.
   * @throws ProtocolError (the driver's detail), VersionMismatchError, FilterError, ModelStoppedError
   */
  async exchange(
    operation: string,
    encode: (head: Envelope) => Uint8Array,
    replyBytes: number,
    refused?: (header: ReplyHeader) => MinipendError | undefined,
  ): Promise<Uint8Array> {
    let capacity = replyBytes
    for (;;) {
      const { reply, header } = await this.#send(operation, encode, capacity)
      if (header.status >= 0) {
        return reply
      }
      if (DETAILS[header.detail]?.name === 'replyBuffer' && header.requiredBytes > capacity) {
        capacity = header.requiredBytes
      } else {
        throw refused?.(header) ?? this.#refusal(operation, header)
      }
    }
  }

  async #send(
    operation: string,
    encode: (head: Envelope) => Uint8Array,
    capacity: number,
  ): Promise<{ reply: Uint8Array; header: ReplyHeader }> {
    this.lifetime.ensureOpen(operation)
    if (this.#port === undefined) {
      throw new ClosedError(`${operation}: not connected`, { operation })
    }
    const token = ++this.#token
    const request = encode(envelope(token, this.#version))
    const output = new Uint8Array(capacity)
    const [hresult, returned] = await this.#port.sendMessage(request, output)
    if (hresult !== 0) {
      throw this.filterError(operation, 'send a message to the driver', hresult)
    }
    const reply = output.subarray(0, returned)
    const header = decodeReplyHeader(reply)
    if (header !== undefined && header.version !== this.#version) {
      throw this.#versionMismatch(operation, header.version)
    }
    if (header?.token !== token) {
      throw this.malformed(
        operation,
        header === undefined ? `${returned} bytes that are no reply` : 'the reply to another message',
      )
    }
    return { reply, header }
  }

  malformed(operation: string, what: string): ProtocolError {
    return new ProtocolError('malformedReply', `${operation}: the driver answered with ${what}`, {
      operation,
      hint: 'driver and library were built from different sources: build both from the same',
    })
  }

  #versionMismatch(operation: string, driver: number): VersionMismatchError {
    return new VersionMismatchError(
      `the driver speaks protocol version ${driver}, this library version ${this.#version}`,
      { driver, client: this.#version },
      { operation, hint: 'install the driver and the library of the same release' },
    )
  }

  #refusal(operation: string, header: ReplyHeader): ProtocolError {
    const detail = DETAILS[header.detail]
    const name = detail?.name ?? `detail ${header.detail}`
    const where = name.startsWith('rule') && name !== 'ruleCount' ? ` (rule ${header.index})` : ''
    const ntstatus = ntstatusName(header.status)
    return new ProtocolError(
      name,
      `${operation}: the driver refused it: ${detail?.what ?? name}${where}: ${formatNumber(ntstatus)}`,
      { operation, ntstatus, hint: detail === undefined ? undefined : DETAIL_HINTS[detail.name] },
    )
  }

  /** The model answers "shutting down" when it has stopped on a broken rule, and when its session was closed. */
  #shutDown(operation: string, hresult: number): MinipendError | undefined {
    if (hresult >>> 0 !== hresultFromWin32(ERROR_SHUTDOWN_IN_PROGRESS) || this.transport.backend !== 'embedded') {
      return undefined
    }
    const report = this.lifetime.closed ? undefined : parseReport(this.transport.report())
    if (report?.stopped === true) {
      const rule = report.rule ?? 'a broken rule'
      return new ModelStoppedError(
        `the model stopped: ${rule}: ${report.text ?? ''} (in ${report.call ?? 'a call'}${report.callSite === undefined ? '' : ` by ${report.callSite}`}, seed ${report.seed})`,
        report,
        {
          operation,
          hint: 'report.history says what happened before; the same seed gives the same schedule',
        },
      )
    }
    return new ClosedError(`${operation}: the session was closed meanwhile`, { operation })
  }
}
