// SPDX-License-Identifier: MIT
//
// This module provides: the transport through the compiled addon.

import type { BackendName } from '../client/types.js'
import { InstallationError, NotSupportedError } from '../errors/errors.js'
import { brokenHint, inspectInstallation, loadModule, requirePart } from './installation.js'
import type { NativeBackend, NativeModule, NativePort } from './native.js'
import { applyReadings, type Transport, type TransportOptions, type TransportPort } from './transport.js'

/** Loads the addon. @throws InstallationError */
export function loadAddon(): NativeModule {
  const file = requirePart(inspectInstallation().addon, 'the compiled addon')
  try {
    return loadModule(file) as NativeModule
  } catch (cause) {
    throw new InstallationError('BUILD_BROKEN', `the compiled addon does not load: ${file}: ${String(cause)}`, {
      operation: 'openMinipend',
      hint: brokenHint(),
      cause,
    })
  }
}

function openBackend(native: NativeModule, options: TransportOptions): Promise<NativeBackend | string> {
  if (options.backend === 'windows') {
    return native.openWindows()
  }
  const { model, driverImage } = inspectInstallation()
  return native.openEmbedded({
    library: requirePart(model, 'the model'),
    driverImage: options.driverImage ?? requirePart(driverImage, 'the driver image of the model'),
    seed: options.seed,
    processorCount: options.processors,
  })
}

function addonPort(port: NativePort): TransportPort {
  let calls = 0
  return {
    sendMessage: (input, output) => port.sendMessage(input, output),
    getMessage: (output) => {
      const id = (calls = (calls + 1) >>> 0)
      return { promise: port.getMessage(id, output), cancel: () => void port.cancel(id) }
    },
    close: () => port.close(),
  }
}

/** A transport over a backend that the addon opened. */
export function addonTransport(
  native: NativeModule,
  backend: NativeBackend,
  name: BackendName,
  seed: bigint | undefined,
): Transport {
  return {
    name: 'addon',
    backend: name,
    seed,
    files: backend,
    clientThreads: async () => ({
      control: await backend.controlThreadId(),
      // In the model the JavaScript thread does no I/O and has no number.
      script: name === 'windows' ? native.currentThreadId() : 0,
    }),
    filterLoad: (filter) => backend.filterLoad(filter),
    filterAttach: (filter, volume, instance, altitude) => backend.filterAttach(filter, volume, instance, altitude),
    filterDetach: (filter, volume, instance) => backend.filterDetach(filter, volume, instance),
    filterInstances: (filter, informationClass) => backend.filterInstances(filter, informationClass),
    queryDosDevice: (device) => backend.queryDosDevice(device),
    connect: async (name) => {
      const [hresult, port] = await backend.connect(name, new Uint8Array(0))
      return [hresult, port === undefined ? undefined : addonPort(port)]
    },
    report: () => backend.report(),
    setFault: (functionName, skip, count) => backend.setFault(functionName, skip, count),
    setStorageDelay: (delayMicroseconds) => backend.setStorageDelay(delayMicroseconds),
    close: () => backend.close(),
  }
}

/** @throws InstallationError, NotSupportedError */
export async function openAddonTransport(
  options: TransportOptions,
  native: NativeModule = loadAddon(),
): Promise<Transport> {
  const backend = await openBackend(native, options)
  if (typeof backend === 'string') {
    const hint =
      options.backend === 'windows'
        ? "the windows backend needs Windows with the Filter Manager; backend: 'embedded' works anywhere"
        : brokenHint()
    throw new NotSupportedError(`cannot open the ${options.backend} backend: ${backend}`, {
      operation: 'openMinipend',
      hint,
    })
  }
  if (options.backend === 'embedded') {
    try {
      applyReadings(options.readings, (name, value) => backend.setReading(name, value))
    } catch (error) {
      await backend.close()
      throw error
    }
  }
  return addonTransport(native, backend, options.backend, options.backend === 'embedded' ? options.seed : undefined)
}
