// SPDX-License-Identifier: MIT
//
// This module provides: the commands about held operations as bytes, and their replies as values.

import {
  COMMAND,
  HELD_ENTRY,
  LIMIT,
  LIST_HELD_FLAG,
  LIST_HELD_REPLY,
  LIST_HELD_REQUEST,
  RELEASE_FLAG,
  RELEASE_REPLY,
  RELEASE_REQUEST,
} from '../generated/protocol.js'
import { type Decoded, decode, encode, viewOf } from './codec.js'
import type { Envelope } from './messages.js'

export interface ListHeld {
  /** 0: from the first. */
  readonly afterParkSequence: bigint
  readonly own: boolean
  /** Ring the bell when something is parked after the answer. */
  readonly arm: boolean
  readonly maxEntries: number
}

export type HeldEntry = Decoded<typeof HELD_ENTRY>

export interface HeldPage {
  /** Interrupt time of the answer. */
  readonly time100ns: bigint
  readonly heldNow: bigint
  /** There are others behind these. */
  readonly more: boolean
  readonly entries: readonly HeldEntry[]
}

export const MAX_HELD_ENTRIES = LIMIT.HELD_ENTRIES
export const listHeldReplyBytes = (entries: number): number => LIST_HELD_REPLY.size + entries * HELD_ENTRY.size
export const releaseReplyBytes = RELEASE_REPLY.size

export function encodeListHeld(head: Envelope, list: ListHeld): Uint8Array {
  const bytes = new Uint8Array(LIST_HELD_REQUEST.size)
  const { afterParkSequence, maxEntries } = list
  const flags = (list.own ? LIST_HELD_FLAG.OWN : 0) | (list.arm ? LIST_HELD_FLAG.ARM : 0)
  encode(
    LIST_HELD_REQUEST,
    { ...head, sizeBytes: bytes.length, command: COMMAND.LIST_HELD, afterParkSequence, flags, maxEntries },
    viewOf(bytes),
  )
  return bytes
}

/** Undefined: the reply does not have the size that it must have. */
export function decodeListHeld(reply: Uint8Array): HeldPage | undefined {
  if (reply.length < LIST_HELD_REPLY.size) {
    return undefined
  }
  const view = viewOf(reply)
  const { time100ns, heldNow, count, entryBytes, more } = decode(LIST_HELD_REPLY, view)
  if (entryBytes !== HELD_ENTRY.size || reply.length !== listHeldReplyBytes(count)) {
    return undefined
  }
  const entries = Array.from({ length: count }, (_, i) => decode(HELD_ENTRY, view, listHeldReplyBytes(i)))
  return { time100ns, heldNow, more: more !== 0, entries }
}

export interface Release {
  /** RELEASE_WHAT */
  readonly what: number
  readonly heldId?: bigint
  readonly setId?: number
  /** Signed; 0: as it is. */
  readonly status: number
  readonly force: boolean
}

export function encodeRelease(head: Envelope, release: Release): Uint8Array {
  const bytes = new Uint8Array(RELEASE_REQUEST.size)
  const { what, heldId = 0n, setId = 0, status } = release
  encode(
    RELEASE_REQUEST,
    {
      ...head,
      sizeBytes: bytes.length,
      command: COMMAND.RELEASE,
      heldId,
      what,
      flags: release.force ? RELEASE_FLAG.FORCE : 0,
      setId,
      status,
    },
    viewOf(bytes),
  )
  return bytes
}

/** Undefined: the reply does not have the size that it must have. */
export const decodeRelease = (reply: Uint8Array): Decoded<typeof RELEASE_REPLY> | undefined =>
  reply.length === RELEASE_REPLY.size ? decode(RELEASE_REPLY, viewOf(reply)) : undefined
