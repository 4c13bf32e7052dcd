// SPDX-License-Identifier: MIT
//
// This module provides: a session made over a transport: files seeded, driver loaded, connected, greeted.

import { hresultFromWin32 } from '../errors/make.js'
import { FILTER_NAME } from '../generated/protocol.js'
import { createIo } from '../io/io.js'
import { seedFiles } from '../io/seed.js'
import type { Transport } from '../transport/transport.js'
import { greet } from './greet.js'
import { throwIfAborted } from './lifetime.js'
import { MinipendSession } from './minipend.js'
import { type CheckedOptions, OPERATION } from './options.js'
import { Session } from './session.js'
import type { Minipend } from './types.js'

/** FilterLoad's ways to say that the driver is loaded already. */
const LOADED_ALREADY: ReadonlySet<number> = new Set([1056, 183].map(hresultFromWin32))

async function loadDriver(session: Session): Promise<void> {
  const hresult = await session.transport.filterLoad(FILTER_NAME)
  if (hresult !== 0 && !LOADED_ALREADY.has(hresult >>> 0)) {
    throw session.filterError(OPERATION, 'load the minipend driver', hresult)
  }
}

/** Makes a session over a transport, which it owns from now on: it is closed when this fails. `version` is for tests. */
export async function openOver(
  transport: Transport,
  options: Pick<CheckedOptions, 'files' | 'load' | 'signal'>,
  version?: number,
): Promise<Minipend> {
  const session = new Session(transport, version)
  try {
    const io = createIo(session)
    await seedFiles(io, options.files, options.signal)
    if (options.load) {
      await loadDriver(session)
    }
    throwIfAborted(OPERATION, options.signal)
    await session.connect()
    return new MinipendSession(session, await greet(session), io)
  } catch (error) {
    session.lifetime.end()
    await session.disconnect()
    await transport.close()
    throw error
  }
}
