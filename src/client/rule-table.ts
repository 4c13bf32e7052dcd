// SPDX-License-Identifier: MIT
//
// This module provides: setting one of the session's rule sets in the driver.

import { InvalidRuleError, type MinipendError } from '../errors/errors.js'
import { DETAIL_HINTS } from '../errors/details.js'
import { DETAILS } from '../generated/protocol.js'
import {
  decodeSetRules,
  encodeRules,
  type ReplyHeader,
  setRulesReplyBytes,
  type WireSet,
} from '../transport/messages.js'
import { type CheckedRule, noSuchVolume } from './rules.js'
import type { RulesResult } from './rule-types.js'
import type { RuleNames } from './seen.js'
import type { Session } from './session.js'
import type { Volumes } from './volumes.js'

export class RuleTable {
  readonly #session: Session
  readonly #volumes: Volumes
  readonly #names: RuleNames

  constructor(session: Session, volumes: Volumes, names: RuleNames) {
    this.#session = session
    this.#volumes = volumes
    this.#names = names
  }

  /** Replaces a rule set; no rules: removes it. `fieldOf`: how a rule is named in messages. */
  async set(
    operation: string,
    rules: readonly CheckedRule[],
    set: WireSet,
    fieldOf: (index: number) => string,
  ): Promise<RulesResult> {
    const wire = await Promise.all(
      rules.map(async (rule, index) => ({ ...rule, volume: await this.#device(rule.volume, fieldOf(index)) })),
    )
    const reply = await this.#session.exchange(
      operation,
      (head) => encodeRules(head, wire, set),
      setRulesReplyBytes,
      (header) => ruleRefusal(operation, header, rules, fieldOf),
    )
    const decoded = decodeSetRules(reply)
    if (decoded === undefined) {
      throw this.#session.malformed(operation, `${reply.length} bytes instead of ${setRulesReplyBytes}`)
    }
    this.#names.remember(
      set.setId,
      decoded.generation,
      rules.map(({ id }) => id),
    )
    return { generation: decoded.generation }
  }

  async #device(volume: string, field: string): Promise<string> {
    if (!volume.endsWith(':')) {
      return volume
    }
    const device = await this.#volumes.deviceOf(volume.toUpperCase())
    if (device === undefined) {
      throw noSuchVolume(field === 'gate' ? 'volume' : `${field}.volume`, volume)
    }
    return device
  }
}

/** The driver's own check found something that ours did not. */
function ruleRefusal(
  operation: string,
  header: ReplyHeader,
  rules: readonly CheckedRule[],
  fieldOf: (index: number) => string,
): MinipendError | undefined {
  const detail = DETAILS[header.detail]
  const rule = rules[header.index]
  if (detail === undefined || rule === undefined || !detail.name.startsWith('rule') || detail.name === 'ruleCount') {
    return undefined
  }
  const field = fieldOf(header.index)
  return new InvalidRuleError(field, `${field} ("${rule.id}"): the driver refused it: ${detail.what}`, {
    operation,
    hint: DETAIL_HINTS[detail.name],
  })
}
