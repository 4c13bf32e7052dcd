// SPDX-License-Identifier: MIT
//
// This module provides: files opened with NtCreateFile, and closing what a call by name has opened.

import { abortable, throwIfAborted } from '../client/lifetime.js'
import type { Session } from '../client/session.js'
import { AbortedError, IoError, NotSupportedError } from '../errors/errors.js'
import type { TransportFiles } from '../transport/transport.js'
import { callsOf, OpenFile } from './file.js'
import type { NtOpenOptions } from './nt-open-types.js'
import { ntCreate, ntCreateArguments } from './nt-open.js'
import type { File } from './types.js'

/** @throws NotSupportedError, ClosedError */
export function filesOf(session: Session, operation: string): TransportFiles {
  session.lifetime.ensureOpen(operation)
  const { files, name } = session.transport
  if (files === undefined) {
    throw new NotSupportedError(`${operation}: the ${name} transport has no file I/O`, {
      operation,
      hint: "open the session with transport: 'addon'",
    })
  }
  return files
}

/** A handle that came after its caller had given up is closed. */
export function opening(
  operation: string,
  open: Promise<OpenFile>,
  signal: AbortSignal | undefined,
): Promise<OpenFile> {
  return abortable(open, {
    operation,
    signal,
    // An open cannot be cancelled by its number; it counts as held when it does not end soon.
    cancel: () => undefined,
    discard: (late) => late.close(),
  })
}

export interface NtFileOptions {
  readonly nt: NtOpenOptions
  readonly signal?: AbortSignal | undefined
  /** Win32 errors that this call gives another one for. */
  readonly reword?: ReadonlyMap<number, number> | undefined
}

/** @throws InvalidOptionError, IoError, NotSupportedError, AbortedError, ClosedError */
export async function openNt(
  session: Session,
  operation: string,
  path: string,
  { nt, signal, reword }: NtFileOptions,
): Promise<OpenFile> {
  const files = filesOf(session, operation)
  const create = ntCreateArguments(path, nt, callsOf, operation)
  throwIfAborted(operation, signal)
  const open = async (): Promise<OpenFile> => {
    const { native, openedAs } = await ntCreate(session, files, create, operation, reword)
    const file = new OpenFile(session, native, create.path, create.overlapped, openedAs)
    return session.lifetime.adopt(file, operation)
  }
  return opening(operation, open(), signal)
}

/** Uses a file and closes it. */
export async function closing<F extends File, T>(file: F, use: (file: F) => Promise<T>): Promise<T> {
  let value: T
  try {
    value = await use(file)
  } catch (error) {
    const closed = file.close()
    if (error instanceof AbortedError && error.stillHeld) {
      // Closing waits for what is held; the caller asked not to. The session's lifetime has the handle until it is closed.
      closed.catch(() => undefined)
    } else {
      await closed.catch(() => undefined)
    }
    throw error
  }
  await file.close()
  return value
}

/** Whether a call failed with this Win32 error. */
export const isWin32 = (error: unknown, win32: number): error is IoError =>
  error instanceof IoError && error.win32?.value === win32
