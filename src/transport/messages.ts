// SPDX-License-Identifier: MIT
//
// This module provides: hello, rules and counters as bytes, and their replies as values; held-messages.ts and event-messages.ts have the
// other commands.
//
// All arrays are made by `new Uint8Array(n)`, whose memory is aligned for the driver's check.

import {
  COMMAND,
  COUNTERS_REPLY,
  HELLO_REPLY,
  HELLO_REQUEST,
  HISTOGRAMS,
  INSTANCE,
  MESSAGE_HEADER,
  PROTOCOL_VERSION,
  REPLY_HEADER,
  RULE,
  SET_RULES_FLAG,
  SET_RULES_REPLY,
  SET_RULES_REQUEST,
} from '../generated/protocol.js'
import { type Decoded, decode, decodeFields, encode, viewOf } from './codec.js'
import type { ClientThreads } from './transport.js'

/** A rule as the driver takes it. */
export interface WireRule {
  readonly number: number
  readonly operations: bigint
  readonly action: number
  readonly queue: number
  readonly hold: number
  readonly delayMs: number
  readonly flags: number
  readonly conditions: number
  /** Bit n: minor function n; 0: any. */
  readonly minorFunctions: number
  /** 0: any. */
  readonly processId: number
  readonly statusFilter: number
  readonly matchStatus: number
  /** Signed; 0: none. */
  readonly failStatus: number
  readonly everyNth: number
  readonly atMost: number
  readonly probabilityPpm: number
  readonly maxHeld: number
  readonly seed: bigint
  /** '': any. */
  readonly path: string
  /** Device name; '': any. */
  readonly volume: string
}

/** Which of a connection's rule sets is replaced. */
export interface WireSet {
  readonly setId: number
  readonly persist: boolean
}

export interface Envelope {
  readonly version: number
  readonly token: bigint
}

export type ReplyHeader = Decoded<typeof REPLY_HEADER>
export type HelloReply = Decoded<typeof HELLO_REPLY>

const INSTANCE_HEAD = ['instanceId', 'flags', 'altitude', 'name', 'volume', 'operations'] as const

export type HistogramKind = keyof typeof HISTOGRAMS.fields

/** An instance's counters; its histograms are read from the reply when they are asked for. */
export interface InstanceReply extends Pick<Decoded<typeof INSTANCE>, (typeof INSTANCE_HEAD)[number]> {
  /** `operation`: the driver's number. */
  histogram(operation: number, kind: HistogramKind): bigint[]
}

export interface CountersReply extends Decoded<typeof COUNTERS_REPLY> {
  readonly instances: readonly InstanceReply[]
}

/** Room for a reply with so many instances, the retired sum included. */
export const countersReplyBytes = (instances: number): number => COUNTERS_REPLY.size + instances * INSTANCE.size
export const helloReplyBytes = HELLO_REPLY.size
export const setRulesReplyBytes = SET_RULES_REPLY.size

export const envelope = (token: bigint, version: number = PROTOCOL_VERSION): Envelope => ({ token, version })

export function encodeHello(head: Envelope, threads: ClientThreads): Uint8Array {
  const bytes = new Uint8Array(HELLO_REQUEST.size)
  encode(
    HELLO_REQUEST,
    {
      ...head,
      sizeBytes: bytes.length,
      command: COMMAND.HELLO,
      controlThreadId: threads.control,
      scriptThreadId: threads.script,
    },
    viewOf(bytes),
  )
  return bytes
}

export function encodeCounters(head: Envelope): Uint8Array {
  const bytes = new Uint8Array(MESSAGE_HEADER.size)
  encode(MESSAGE_HEADER, { ...head, sizeBytes: bytes.length, command: COMMAND.COUNTERS }, viewOf(bytes))
  return bytes
}

const alignUp8 = (value: number): number => Math.ceil(value / 8) * 8
const ruleBytes = (rule: WireRule): number => alignUp8(RULE.size + 2 * (rule.path.length + rule.volume.length))

function writeText(view: DataView, offset: number, text: string): number {
  for (let i = 0; i < text.length; i++) {
    view.setUint16(offset + 2 * i, text.charCodeAt(i), true)
  }
  return offset + 2 * text.length
}

/** Number of the set that rules.set() sets; gates have others. */
export const RULES_SET = 0
const RULES: WireSet = { setId: RULES_SET, persist: false }

/** No rules: the set is removed. */
export function encodeRules(head: Envelope, rules: readonly WireRule[], set: WireSet = RULES): Uint8Array {
  const total = rules.reduce<number>((sum, rule) => sum + ruleBytes(rule), SET_RULES_REQUEST.size)
  const bytes = new Uint8Array(total)
  const view = viewOf(bytes)
  encode(
    SET_RULES_REQUEST,
    {
      ...head,
      sizeBytes: total,
      command: COMMAND.SET_RULES,
      count: rules.length,
      setId: set.setId,
      flags: set.persist ? SET_RULES_FLAG.PERSIST : 0,
    },
    view,
  )
  let offset: number = SET_RULES_REQUEST.size
  for (const rule of rules) {
    const size = ruleBytes(rule)
    encode(
      RULE,
      {
        sizeBytes: size,
        id: rule.number,
        operations: rule.operations,
        action: rule.action,
        queue: rule.queue,
        hold: rule.hold,
        delayMs: rule.delayMs,
        flags: rule.flags,
        conditions: rule.conditions,
        minorFunctions: rule.minorFunctions,
        processId: rule.processId,
        matchStatus: rule.matchStatus,
        statusFilter: rule.statusFilter,
        failStatus: rule.failStatus,
        everyNth: rule.everyNth,
        atMost: rule.atMost,
        probabilityPpm: rule.probabilityPpm,
        maxHeld: rule.maxHeld,
        seed: rule.seed,
        pathBytes: 2 * rule.path.length,
        volumeBytes: 2 * rule.volume.length,
      },
      view,
      offset,
    )
    writeText(view, writeText(view, offset + RULE.size, rule.path), rule.volume)
    offset += size
  }
  return bytes
}

/** Undefined: the bytes are too few for a reply header, or disagree with their own size. */
export function decodeReplyHeader(reply: Uint8Array): ReplyHeader | undefined {
  if (reply.length < REPLY_HEADER.size) {
    return undefined
  }
  const header = decode(REPLY_HEADER, viewOf(reply))
  return header.sizeBytes === reply.length ? header : undefined
}

/** These three: undefined when the reply does not have the size that it must have. */
export function decodeHello(reply: Uint8Array): HelloReply | undefined {
  return reply.length === HELLO_REPLY.size ? decode(HELLO_REPLY, viewOf(reply)) : undefined
}

export function decodeSetRules(reply: Uint8Array): Decoded<typeof SET_RULES_REPLY> | undefined {
  return reply.length === SET_RULES_REPLY.size ? decode(SET_RULES_REPLY, viewOf(reply)) : undefined
}

function decodeInstance(view: DataView, at: number): InstanceReply {
  const { offset, stride } = INSTANCE.fields.histograms
  return {
    ...decodeFields(INSTANCE, INSTANCE_HEAD, view, at),
    histogram: (operation, kind) => decodeFields(HISTOGRAMS, [kind], view, at + offset + operation * stride)[kind],
  }
}

export function decodeCounters(reply: Uint8Array): CountersReply | undefined {
  if (reply.length < COUNTERS_REPLY.size) {
    return undefined
  }
  const view = viewOf(reply)
  const head = decode(COUNTERS_REPLY, view)
  const sized = head.instanceBytes === INSTANCE.size && reply.length === countersReplyBytes(head.instanceCount)
  if (!sized || head.instanceCount === 0) {
    return undefined
  }
  const instances = Array.from({ length: head.instanceCount }, (_, i) =>
    decodeInstance(view, COUNTERS_REPLY.size + i * INSTANCE.size),
  )
  return { ...head, instances }
}
