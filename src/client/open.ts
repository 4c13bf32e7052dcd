// SPDX-License-Identifier: MIT
//
// This module provides: openMinipend().

import { randomBytes } from 'node:crypto'
import { InvalidOptionError, NotSupportedError } from '../errors/errors.js'
import { hresultFromWin32 } from '../errors/make.js'
import { FILTER_NAME } from '../generated/protocol.js'
import { createIo } from '../io/io.js'
import { checkSeedFiles, type SeedFiles, seedFiles } from '../io/seed.js'
import { openAddonTransport } from '../transport/addon.js'
import { openFfiTransport } from '../transport/ffi.js'
import type { Transport, TransportOptions } from '../transport/transport.js'
import { Checker } from './check.js'
import { abortable, throwIfAborted } from './lifetime.js'
import { greet, MinipendSession } from './minipend.js'
import { Session } from './session.js'
import type { BackendName, Minipend, OpenOptions, TransportName } from './types.js'

const OPERATION = 'openMinipend'
const check = new Checker(
  (field, expectation) =>
    new InvalidOptionError(field, `${OPERATION}: ${field}: ${expectation}`, { operation: OPERATION }),
)

const KEYS = ['backend', 'transport', 'seed', 'processors', 'files', 'load', 'signal'] as const
const EMBEDDED_ONLY = ['seed', 'processors', 'files'] as const
const MAX_SEED = 2n ** 64n - 1n
const MAX_PROCESSORS = 64

/** Options after checking. */
export interface CheckedOptions {
  readonly backend: BackendName
  readonly transport: TransportName
  readonly seed: bigint
  readonly processors: number
  readonly files: SeedFiles
  readonly load: boolean
  readonly signal: AbortSignal | undefined
}

/** @throws InvalidOptionError, NotSupportedError */
export function checkOptions(options: unknown): CheckedOptions {
  const given = check.object('options', options ?? {}, KEYS)
  if (given.backend === undefined) {
    throw new InvalidOptionError('backend', `${OPERATION}: backend is missing: name one, it is never guessed`, {
      operation: OPERATION,
      hint: "backend: 'embedded' (the model in this process, anywhere) or backend: 'windows' (the real driver of this machine)",
    })
  }
  const backend = check.oneOf('backend', given.backend, ['embedded', 'windows'])
  const transport = check.oneOf('transport', given.transport ?? 'addon', ['addon', 'ffi'])
  for (const key of EMBEDDED_ONLY) {
    if (backend === 'windows' && given[key] !== undefined) {
      check.fail(key, "is for backend: 'embedded' only")
    }
  }
  const files = checkSeedFiles(given.files, check)
  if (transport === 'ffi' && files.length > 0) {
    throw new NotSupportedError(`${OPERATION}: files: the ffi transport has no file I/O`, {
      operation: OPERATION,
      hint: "leave out files, or use transport: 'addon'",
    })
  }
  return {
    backend,
    transport,
    seed: given.seed === undefined ? randomBytes(8).readBigUInt64LE() : check.bigint('seed', given.seed, MAX_SEED),
    processors: given.processors === undefined ? 2 : check.integer('processors', given.processors, 2, MAX_PROCESSORS),
    files,
    load: given.load === undefined ? true : check.boolean('load', given.load),
    signal: check.signal('signal', given.signal),
  }
}

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

const TRANSPORTS: Readonly<Record<TransportName, (options: TransportOptions) => Promise<Transport>>> = {
  addon: (options) => openAddonTransport(options),
  ffi: (options) => openFfiTransport(options),
}

/**
 * Opens a session with the driver: the model in this process (`embedded`), or this machine's (`windows`).
 * @throws InvalidOptionError, InstallationError, DriverNotLoadedError, VersionMismatchError, FilterError, AbortedError
 */
export async function openMinipend(options: OpenOptions): Promise<Minipend> {
  const checked = checkOptions(options)
  throwIfAborted(OPERATION, checked.signal)
  const open = async (): Promise<Minipend> => openOver(await TRANSPORTS[checked.transport](checked), checked)
  return abortable(open(), { operation: OPERATION, signal: checked.signal, discard: (late) => late.close() })
}
