// SPDX-License-Identifier: MIT
//
// This module provides: openMinipend().

import { openAddonTransport } from '../transport/addon.js'
import { openFfiTransport } from '../transport/ffi.js'
import type { Transport, TransportOptions } from '../transport/transport.js'
import { abortable, throwIfAborted } from './lifetime.js'
import { checkOptions, OPERATION } from './options.js'
import { openOver } from './over.js'
import type { Minipend, OpenOptions, TransportName } from './types.js'

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
