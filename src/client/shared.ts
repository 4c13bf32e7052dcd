// SPDX-License-Identifier: MIT
//
// This module provides: one transport for several sessions.
//
// Invariant: it is closed with the last session that uses it, and not before: what persists in the driver, or in the model, outlives the session that made it as
// long as there is another one.

import type { Transport } from '../transport/transport.js'

export class SharedTransport {
  readonly #transport: Transport
  #users = 0

  constructor(transport: Transport) {
    this.#transport = transport
  }

  /** The transport for one session, which closes it once it needs it no more. Not after the last has closed it. */
  use(): Transport {
    const transport = this.#transport
    let closing: Promise<void> | undefined
    this.#users++
    const close = (): Promise<void> => (--this.#users === 0 ? transport.close() : Promise.resolve())
    return {
      name: transport.name,
      backend: transport.backend,
      seed: transport.seed,
      files: transport.files,
      clientThreads: () => transport.clientThreads(),
      filterLoad: (filter) => transport.filterLoad(filter),
      filterAttach: (filter, volume, instance, altitude) => transport.filterAttach(filter, volume, instance, altitude),
      filterDetach: (filter, volume, instance) => transport.filterDetach(filter, volume, instance),
      filterInstances: (filter, informationClass) => transport.filterInstances(filter, informationClass),
      queryDosDevice: (device) => transport.queryDosDevice(device),
      connect: (port) => transport.connect(port),
      report: () => transport.report(),
      setFault: (functionName, skip, count) => transport.setFault(functionName, skip, count),
      setStorageDelay: (delayMicroseconds) => transport.setStorageDelay(delayMicroseconds),
      close: () => (closing ??= close()),
    }
  }
}
