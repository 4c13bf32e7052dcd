// SPDX-License-Identifier: MIT
//
// This module provides: a session made over a transport: files seeded, driver loaded, connected, greeted; and more sessions over the same.

import { hresultFromWin32 } from '../errors/make.js'
import { FILTER_NAME } from '../generated/protocol.js'
import { createIo } from '../io/io.js'
import { seedFiles } from '../io/seed.js'
import type { Io } from '../io/types.js'
import type { Transport } from '../transport/transport.js'
import { greet } from './greet.js'
import { throwIfAborted } from './lifetime.js'
import { MinipendSession } from './minipend.js'
import { type CheckedOptions, OPERATION } from './options.js'
import { Session } from './session.js'
import { SharedTransport } from './shared.js'
import type { Minipend } from './types.js'

/** FilterLoad's ways to say that the driver is loaded already. */
const LOADED_ALREADY: ReadonlySet<number> = new Set([1056, 183].map(hresultFromWin32))

async function loadDriver(session: Session, image: string | undefined): Promise<void> {
  const hresult = await session.transport.filterLoad(FILTER_NAME)
  if (hresult !== 0 && !LOADED_ALREADY.has(hresult >>> 0)) {
    const from = image === undefined ? '' : ` from ${image}`
    throw session.filterError(OPERATION, `load the minipend driver${from}`, hresult)
  }
}

interface Opening {
  /** The name that errors carry. */
  readonly operation: string
  readonly signal: AbortSignal | undefined
  /** What comes between the transport and the connection. */
  readonly prepare?: ((session: Session, io: Io) => Promise<void>) | undefined
  readonly version?: number | undefined
}

/** One session over a transport that others may use too. */
async function openSession(shared: SharedTransport, opening: Opening): Promise<Minipend> {
  const session = new Session(shared.use(), opening.version)
  try {
    const io = createIo(session)
    await opening.prepare?.(session, io)
    throwIfAborted(opening.operation, opening.signal)
    await session.connect(opening.operation)
    const hello = await greet(session, opening.operation)
    const another = (signal: AbortSignal | undefined): Promise<Minipend> =>
      openSession(shared, { operation: 'connect', signal, version: opening.version })
    return new MinipendSession(session, hello, another, io)
  } catch (error) {
    session.lifetime.end()
    await session.disconnect()
    await session.transport.close()
    throw error
  }
}

/** Makes a session over a transport, which it owns from now on: it is closed when this fails. `version` is for tests. */
export async function openOver(
  transport: Transport,
  options: Pick<CheckedOptions, 'files' | 'load' | 'signal'> & Partial<Pick<CheckedOptions, 'driverImage'>>,
  version?: number,
): Promise<Minipend> {
  const { files, load, signal } = options
  const prepare = async (session: Session, io: Io): Promise<void> => {
    await seedFiles(io, files, signal)
    if (load) {
      await loadDriver(session, options.driverImage)
    }
  }
  return openSession(new SharedTransport(transport), { operation: OPERATION, signal, prepare, version })
}
