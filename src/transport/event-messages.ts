// SPDX-License-Identifier: MIT
//
// This module provides: the commands about events and the bell as bytes, and their replies as values.

import {
  BELL,
  COMMAND,
  EVENT,
  PROTOCOL_VERSION,
  PULL_EVENTS_FLAG,
  PULL_EVENTS_REPLY,
  PULL_EVENTS_REQUEST,
  SUBSCRIBE_FLAG,
  SUBSCRIBE_REPLY,
  SUBSCRIBE_REQUEST,
} from '../generated/protocol.js'
import { type Decoded, decode, encode, viewOf } from './codec.js'
import type { Envelope } from './messages.js'

export interface Subscribe {
  /** Bit n: event kind n; 0 ends the subscription. */
  readonly kinds: number
  readonly allClients: boolean
  /** 0: the driver's default. */
  readonly ringEvents: number
}

export interface PullEvents {
  /** Sequence of the last event that has been delivered; 0: none. */
  readonly acknowledge: bigint
  /** Ring the bell when an event is added after the answer. */
  readonly arm: boolean
  readonly maxEvents: number
}

export interface PulledEvents {
  /** Events that found the ring full, since the connection's first ring. */
  readonly lost: bigint
  readonly count: number
  /** `count` structures. */
  readonly events: Uint8Array
}

export type EventEntry = Decoded<typeof EVENT>

export const subscribeReplyBytes = SUBSCRIBE_REPLY.size
export const pullEventsReplyBytes = (events: number): number => PULL_EVENTS_REPLY.size + events * EVENT.size
export const bellBytes = BELL.size

export function encodeSubscribe(head: Envelope, { kinds, allClients, ringEvents }: Subscribe): Uint8Array {
  const bytes = new Uint8Array(SUBSCRIBE_REQUEST.size)
  const flags = allClients ? SUBSCRIBE_FLAG.ALL_CLIENTS : 0
  encode(
    SUBSCRIBE_REQUEST,
    { ...head, sizeBytes: bytes.length, command: COMMAND.SUBSCRIBE, kinds, flags, ringEvents },
    viewOf(bytes),
  )
  return bytes
}

/** These: undefined when the reply does not have the size that it must have. */
export const decodeSubscribe = (reply: Uint8Array): Decoded<typeof SUBSCRIBE_REPLY> | undefined =>
  reply.length === SUBSCRIBE_REPLY.size ? decode(SUBSCRIBE_REPLY, viewOf(reply)) : undefined

export function encodePullEvents(head: Envelope, { acknowledge, arm, maxEvents }: PullEvents): Uint8Array {
  const bytes = new Uint8Array(PULL_EVENTS_REQUEST.size)
  const flags = arm ? PULL_EVENTS_FLAG.ARM : 0
  encode(
    PULL_EVENTS_REQUEST,
    { ...head, sizeBytes: bytes.length, command: COMMAND.PULL_EVENTS, acknowledge, flags, maxEvents },
    viewOf(bytes),
  )
  return bytes
}

export function decodePullEvents(reply: Uint8Array): PulledEvents | undefined {
  if (reply.length < PULL_EVENTS_REPLY.size) {
    return undefined
  }
  const { lost, count, eventBytes } = decode(PULL_EVENTS_REPLY, viewOf(reply))
  if (eventBytes !== EVENT.size || reply.length !== pullEventsReplyBytes(count)) {
    return undefined
  }
  return { lost, count, events: reply.subarray(PULL_EVENTS_REPLY.size) }
}

/** Whether these bytes are the driver's bell. */
export function isBell(message: Uint8Array): boolean {
  if (message.length !== BELL.size) {
    return false
  }
  const { sizeBytes, version } = decode(BELL, viewOf(message))
  return sizeBytes === BELL.size && version === PROTOCOL_VERSION
}
