// SPDX-License-Identifier: MIT
//
// This module provides: hello, the first message of a connection.

import { VersionMismatchError } from '../errors/errors.js'
import { OPERATIONS, PROTOCOL_VERSION, REFUSALS } from '../generated/protocol.js'
import { decodeHello, encodeHello, helloReplyBytes } from '../transport/messages.js'
import type { Session } from './session.js'
import type { HelloInfo } from './types.js'

/** Says hello. The connection takes no other message before. */
export async function greet(session: Session, operation: string): Promise<HelloInfo> {
  const threads = await session.transport.clientThreads()
  const reply = await session.exchange(operation, (head) => encodeHello(head, threads), helloReplyBytes)
  const hello = decodeHello(reply)
  if (hello === undefined) {
    throw session.malformed(operation, `a hello of ${reply.length} bytes instead of ${helloReplyBytes}`)
  }
  if (hello.operationCount !== OPERATIONS.length || hello.refusalCount !== REFUSALS.length) {
    throw new VersionMismatchError(
      `the driver knows ${hello.operationCount} operations and ${hello.refusalCount} refusal causes, this library ${OPERATIONS.length} and ${REFUSALS.length}`,
      { driver: hello.version, client: PROTOCOL_VERSION },
      { operation, hint: 'install the driver and the library of the same release' },
    )
  }
  const { maxHeld, maxDelayMs, maxRules, maxSets } = hello
  return {
    driverVersion: hello.driverVersion.join('.'),
    protocolVersion: hello.version,
    connectionId: hello.connectionId,
    processorCount: hello.processorCount,
    limits: { maxHeld, maxDelayMs, maxRules, maxSets },
  }
}
