// SPDX-License-Identifier: MIT
//
// This module provides: calls of the ntdll services on an open handle, their failures as errors, and the numbers that they speak in.
//
// Invariant: a service that the backend lacks is an error that names it, not one of the file's.

import { releasesTold } from '../client/releases.js'
import type { Session } from '../client/session.js'
import { type MinipendError, NotSupportedError } from '../errors/errors.js'
import type { FileResult, NativeFile, NtResult, NtServiceName } from '../transport/native.js'
import type { Calls } from './calls.js'

export const STATUS = {
  PENDING: 0x00000103,
  NOTIFY_CLEANUP: 0x0000010b,
  NOTIFY_ENUM_DIR: 0x0000010c,
  BUFFER_OVERFLOW: 0x80000005,
  NO_MORE_FILES: 0x80000006,
  NO_MORE_EAS: 0x80000012,
  NO_MORE_ENTRIES: 0x8000001a,
  INVALID_INFO_CLASS: 0xc0000003,
  INVALID_PARAMETER: 0xc000000d,
  NO_SUCH_FILE: 0xc000000f,
  INVALID_DEVICE_REQUEST: 0xc0000010,
  BUFFER_TOO_SMALL: 0xc0000023,
  NO_EAS_ON_FILE: 0xc0000052,
  PROCEDURE_NOT_FOUND: 0xc000007a,
  NOT_SUPPORTED: 0xc00000bb,
  NOT_A_REPARSE_POINT: 0xc0000275,
} as const

/** FILE_INFORMATION_CLASS: the kernel's numbers. */
export const FILE_CLASS = {
  BASIC: 4,
  STANDARD: 5,
  INTERNAL: 6,
  EA: 7,
  NAME: 9,
  RENAME: 10,
  LINK: 11,
  DISPOSITION: 13,
  POSITION: 14,
  END_OF_FILE: 20,
  STREAM: 22,
  ATTRIBUTE_TAG: 35,
  VALID_DATA_LENGTH: 39,
  DISPOSITION_EX: 64,
  STAT: 68,
  LINK_EX: 72,
} as const

/** FS_INFORMATION_CLASS */
export const FS_CLASS = { VOLUME: 1, LABEL: 2, SIZE: 3, DEVICE: 4, ATTRIBUTE: 5, FULL_SIZE: 7 } as const

export interface NtAnswer {
  /** Success, information, or one of those that were `fine`. */
  readonly status: number
  readonly information: number
  /** All of the output buffer. */
  readonly output: Uint8Array
}

export interface NtCallOptions {
  /** What the service takes, in the order of NtServiceName. */
  readonly numbers?: readonly (number | bigint)[] | undefined
  readonly input?: Uint8Array | undefined
  readonly output?: Uint8Array | undefined
  /** Statuses that are answers, not failures. */
  readonly fine?: readonly number[] | undefined
  /** A file whose handle is put into the input. */
  readonly related?: { readonly native: NativeFile; readonly offset: number } | undefined
  /** Called with the call's number as soon as it has been made. */
  readonly onStart?: ((id: number) => void) | undefined
  /** Undoes what came about after the caller was told that it did not. */
  readonly discard?: (() => Promise<unknown>) | undefined
  /** It may wait for ever: the end of the handle cancels it. */
  readonly waits?: boolean | undefined
}

const NOTHING = new Uint8Array(0)

/** The error for a service's failure. */
export function ntError(
  session: Session,
  operation: string,
  path: string,
  service: string,
  [status, , error]: NtResult,
): MinipendError {
  return status === STATUS.PROCEDURE_NOT_FOUND
    ? new NotSupportedError(`${operation} "${path}": this backend does not have ${service}`, {
        operation,
        hint: 'the model lists what it has in docs/FIDELITY.md; Windows has it from the version on that introduced it',
      })
    : session.ioError(operation, path, error, status)
}

/** @throws IoError, NotSupportedError, AbortedError, ClosedError */
export async function ntCall(
  calls: Calls,
  operation: string,
  signal: AbortSignal | undefined,
  service: NtServiceName,
  options: NtCallOptions = {},
): Promise<NtAnswer> {
  const { numbers = [], input = NOTHING, output = NOTHING, fine = [], related, onStart, discard, waits } = options
  const words = BigUint64Array.from(numbers, (value) => BigInt.asUintN(64, BigInt(value)))
  const start = async (id: number): Promise<FileResult<NtAnswer>> => {
    const call =
      related === undefined
        ? calls.native.nt(id, service, words, input, output)
        : calls.native.nt(id, service, words, input, output, related.native, related.offset)
    onStart?.(id)
    const result = await call
    const [status, information, error] = result
    if (error !== 0 && !fine.includes(status)) {
      await releasesTold()
      throw ntError(calls.session, operation, calls.path, service, result)
    }
    return [0, 0, { status, information, output }]
  }
  const [, answer] = await calls.run(operation, signal, start, { discard, waits })
  return answer
}

/** NtSetInformationFile. */
export async function setInformation(
  calls: Calls,
  operation: string,
  signal: AbortSignal | undefined,
  informationClass: number,
  input: Uint8Array,
): Promise<void> {
  await ntCall(calls, operation, signal, 'NtSetInformationFile', { numbers: [informationClass], input })
}

/** NtQueryInformationFile of a structure with a fixed size. */
export async function queryInformation(
  calls: Calls,
  operation: string,
  signal: AbortSignal | undefined,
  informationClass: number,
  bytes: number,
): Promise<DataView> {
  const output = new Uint8Array(bytes)
  await ntCall(calls, operation, signal, 'NtQueryInformationFile', { numbers: [informationClass], output })
  return new DataView(output.buffer)
}

const LARGEST_ANSWER_BYTES = 16 * 1024 * 1024

/**
 * Asks again with a larger buffer for as long as the answer does not fit. `ask` says whether it fitted, or how many bytes it takes.
 * Value: the answer's bytes.
 */
export async function growing(
  leastBytes: number,
  ask: (output: Uint8Array) => Promise<{ readonly bytes: number } | { readonly needed: number }>,
): Promise<Uint8Array> {
  let bytes = leastBytes
  for (;;) {
    const output = new Uint8Array(bytes)
    const answer = await ask(output)
    if ('bytes' in answer) {
      return output.subarray(0, answer.bytes)
    }
    bytes = Math.max(bytes * 2, answer.needed)
    if (bytes > LARGEST_ANSWER_BYTES) {
      throw new RangeError(`an answer of more than ${LARGEST_ANSWER_BYTES} bytes`)
    }
  }
}
