// SPDX-License-Identifier: MIT
//
// This module provides: what `io` and `io.win32` both do by name: making directories and links.

import { abortable, throwIfAborted } from '../client/lifetime.js'
import { releasesTold } from '../client/releases.js'
import type { Session } from '../client/session.js'
import { filesOf, openNt } from './nt-file.js'
import { longPath } from './paths.js'

/** CreateDirectoryW. `fine`: Win32 errors that are no failure. @throws IoError, AbortedError, ClosedError */
export async function createDirectory(
  session: Session,
  operation: string,
  path: string,
  signal: AbortSignal | undefined,
  fine: readonly number[] = [],
): Promise<void> {
  const files = filesOf(session, operation)
  throwIfAborted(operation, signal)
  const create = async (): Promise<void> => {
    const [error, ntstatus] = await files.createDirectory(longPath(path))
    if (error !== 0 && !fine.includes(error)) {
      await releasesTold()
      throw session.ioError(operation, path, error, ntstatus)
    }
  }
  return abortable(create(), { operation, signal, cancel: () => undefined })
}

/** Makes what a link is made of; when it cannot become one, it is taken away again. */
export async function makeLink(
  session: Session,
  operation: string,
  path: string,
  data: Uint8Array,
  directory: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  const file = await openNt(session, operation, path, {
    nt: {
      access: ['readAttributes', 'writeAttributes', 'delete', 'synchronize'],
      disposition: 'create',
      options: [directory ? 'directoryFile' : 'nonDirectoryFile', 'openReparsePoint', 'synchronousIoNonalert'],
    },
    signal,
  })
  try {
    await file.setReparsePoint(data, { signal })
  } catch (error) {
    await file.delete().catch(() => undefined)
    throw error
  } finally {
    await file.close()
  }
}
