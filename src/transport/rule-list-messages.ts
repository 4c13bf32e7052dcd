// SPDX-License-Identifier: MIT
//
// This module provides: the command that lists rules as bytes, and its reply as values.
//
// Entries have their own lengths. Each is checked against what is there before it is read, so that a reply of another driver is "malformed" and not
// a crash.

import {
  COMMAND,
  LIMIT,
  LIST_RULES_REPLY,
  LIST_RULES_REQUEST,
  RULE,
  RULE_ENTRY,
  SET_RULES_FLAG,
} from '../generated/protocol.js'
import { type Decoded, decode, encode, viewOf } from './codec.js'
import type { Envelope } from './messages.js'

export interface ListRules {
  /** 0: of the table in force. */
  readonly tableId: bigint
  /** Place of the first rule. */
  readonly first: number
  readonly maxEntries: number
}

/** A rule as the driver has compiled it, and what it has done. */
export interface RuleEntry extends Decoded<typeof RULE_ENTRY> {
  /** In capitals; '': any. */
  readonly path: string
  /** Device name, in capitals; '': any. */
  readonly volume: string
  readonly persistent: boolean
}

export interface RulePage {
  /** Interrupt time of the answer. */
  readonly time100ns: bigint
  readonly tableId: bigint
  readonly generation: bigint
  /** In the whole table. */
  readonly ruleCount: number
  /** Place of the rule after these; `ruleCount`: there is none. */
  readonly next: number
  readonly entries: readonly RuleEntry[]
}

export const MAX_RULE_ENTRIES = LIMIT.RULE_ENTRIES
/** Room for a page: a driver with more rules is asked again. */
export const LIST_RULES_ROOM = 256 * 1024

export function encodeListRules(head: Envelope, list: ListRules): Uint8Array {
  const bytes = new Uint8Array(LIST_RULES_REQUEST.size)
  encode(LIST_RULES_REQUEST, { ...head, sizeBytes: bytes.length, command: COMMAND.LIST_RULES, ...list }, viewOf(bytes))
  return bytes
}

const alignUp8 = (value: number): number => Math.ceil(value / 8) * 8
const RULE_OFFSET = RULE_ENTRY.fields.rule.offset

function readText(view: DataView, at: number, bytes: number): string {
  let text = ''
  for (let i = 0; i < bytes; i += 2) {
    text += String.fromCharCode(view.getUint16(at + i, true))
  }
  return text
}

/** Undefined: what is at `at` is no entry, or not all of one. */
function decodeEntry(view: DataView, at: number): RuleEntry | undefined {
  if (at + RULE_ENTRY.size > view.byteLength) {
    return undefined
  }
  const entry = decode(RULE_ENTRY, view, at)
  const { rule, sizeBytes } = entry
  const { pathBytes, volumeBytes } = rule
  const whole = alignUp8(RULE.size + pathBytes + volumeBytes)
  const odd = pathBytes % 2 !== 0 || volumeBytes % 2 !== 0
  if (odd || rule.sizeBytes !== whole || sizeBytes !== RULE_OFFSET + whole || at + sizeBytes > view.byteLength) {
    return undefined
  }
  const path = readText(view, at + RULE_ENTRY.size, pathBytes)
  const volume = readText(view, at + RULE_ENTRY.size + pathBytes, volumeBytes)
  return { ...entry, path, volume, persistent: (entry.setFlags & SET_RULES_FLAG.PERSIST) !== 0 }
}

/** Undefined: the reply does not have the size that it must have. */
export function decodeListRules(reply: Uint8Array): RulePage | undefined {
  if (reply.length < LIST_RULES_REPLY.size) {
    return undefined
  }
  const view = viewOf(reply)
  const { time100ns, tableId, generation, ruleCount, count, next } = decode(LIST_RULES_REPLY, view)
  const entries: RuleEntry[] = []
  let at: number = LIST_RULES_REPLY.size
  for (let i = 0; i < count; i++) {
    const entry = decodeEntry(view, at)
    if (entry === undefined) {
      return undefined
    }
    entries.push(entry)
    at += entry.sizeBytes
  }
  const consistent = at === reply.length && next <= ruleCount && count <= next
  return consistent ? { time100ns, tableId, generation, ruleCount, next, entries } : undefined
}
