// SPDX-License-Identifier: MIT
//
// This module provides: the list of the driver's instances: the Filter Manager's, with the driver's counters.

import { FILTER_NAME } from '../generated/protocol.js'
import {
  decodeInstance,
  FILE_SYSTEMS,
  INSTANCE_AGGREGATE,
  type InstanceInformation,
} from '../transport/instance-information.js'
import type { InstanceInfo } from './instance-types.js'
import type { Session } from './session.js'
import type { Counters } from './types.js'

/** `operation`: for errors. @throws FilterError ERROR_FLT_FILTER_NOT_FOUND; ProtocolError */
async function ask(session: Session, operation: string): Promise<InstanceInformation[]> {
  const [hresult, found] = await session.transport.filterInstances(FILTER_NAME, INSTANCE_AGGREGATE)
  if (hresult !== 0) {
    throw session.filterError(operation, `list the instances of ${FILTER_NAME}`, hresult)
  }
  return found.map((bytes) => {
    const instance = decodeInstance(bytes)
    if (instance === undefined) {
      throw session.malformed(operation, `an instance of ${bytes.length} bytes that do not fit together`)
    }
    return instance
  })
}

const same = (a: string, b: string): boolean => a.toUpperCase() === b.toUpperCase()

/** In the Filter Manager's order. */
export async function listInstances(session: Session, readCounters: () => Promise<Counters>): Promise<InstanceInfo[]> {
  const found = await ask(session, 'instances')
  const { byInstance } = await readCounters()
  return found.map(({ name, altitude, volume, frame, fileSystem, supportedFeatures }) => {
    const counters = byInstance.find((each) => same(each.name, name) && same(each.volume, volume))
    return {
      ...{ name, altitude, volume, drive: counters?.drive, frame, supportedFeatures, counters },
      fileSystem: FILE_SYSTEMS[fileSystem] ?? 'unknown',
    }
  })
}
