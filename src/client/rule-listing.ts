// SPDX-License-Identifier: MIT
//
// This module provides: the driver's rule table as the public API shows it.
//
// Invariant: what one call gives is one table. A page of another one is never mixed in: then the listing begins again.

import { InvalidOptionError, MinipendError, ProtocolError } from '../errors/errors.js'
import { ntstatusName } from '../errors/tables.js'
import { ACTION, CONDITION, HOLD, QUEUE, RULE_FLAG, STATUS_FILTER } from '../generated/protocol.js'
import {
  decodeListRules,
  encodeListRules,
  LIST_RULES_ROOM,
  type ListRules,
  MAX_RULE_ENTRIES,
  type RuleEntry,
  type RulePage,
} from '../transport/rule-list-messages.js'
import { Checker } from './check.js'
import { abortable, throwIfAborted } from './lifetime.js'
import { MINOR_FUNCTIONS, OPERATION_NAMES } from './operations.js'
import type { ListedAction, ListedHold, ListedRule, ListRulesOptions, MinorName, RuleListing } from './rule-types.js'
import type { RuleNames } from './seen.js'
import type { Session } from './session.js'
import type { Volumes } from './volumes.js'

const OPERATION = 'rules.list'
/** A table of more than one page that is replaced this often while it is read. */
const MAX_TRIES = 50
const PPM = 1_000_000

const check = new Checker(
  (field, expectation) =>
    new InvalidOptionError(field, `${OPERATION}: ${field}: ${expectation}`, { operation: OPERATION }),
)

const ACTIONS = new Map<number, ListedAction>([
  [ACTION.OBSERVE, 'observe'],
  [ACTION.PEND, 'pend'],
  [ACTION.WHEN_SAFE, 'whenSafe'],
  [ACTION.SYNCHRONIZE, 'synchronize'],
])
const HOLDS = new Map<number, ListedHold>([
  [HOLD.NONE, 'none'],
  [HOLD.DELAY, 'delay'],
  [HOLD.GATE, 'gate'],
])
const IO_KINDS = [
  [CONDITION.PAGING, 'paging'],
  [CONDITION.CACHED, 'cached'],
  [CONDITION.NON_CACHED, 'nonCached'],
] as const

type WireRule = RuleEntry['rule']

function requestorModeOf({ conditions }: WireRule): ListedRule['requestorMode'] {
  switch (conditions & (CONDITION.USER_MODE | CONDITION.KERNEL_MODE)) {
    case CONDITION.USER_MODE:
      return 'user'
    case CONDITION.KERNEL_MODE:
      return 'kernel'
    default:
      return undefined
  }
}

function statusOf({ statusFilter, matchStatus }: WireRule): ListedRule['status'] {
  switch (statusFilter) {
    case STATUS_FILTER.SUCCESS:
      return 'success'
    case STATUS_FILTER.FAILURE:
      return 'failure'
    case STATUS_FILTER.EXACT:
      return ntstatusName(matchStatus)
    default:
      return undefined
  }
}

/** What the driver says by 0: none. */
const unlessZero = (value: number): number | undefined => (value === 0 ? undefined : value)

/** What is not in the rule itself. */
type AroundIt = 'id' | 'own' | 'owner' | 'setId' | 'generation' | 'persistent' | 'path' | 'volume' | 'drive' | 'counts'

function namesOf({ operations, minorFunctions }: WireRule): ListedRule['on'] {
  const names = OPERATION_NAMES.filter((_name, index) => ((operations >> BigInt(index)) & 1n) === 1n)
  if (minorFunctions === 0) {
    return names
  }
  return (Object.keys(MINOR_FUNCTIONS) as MinorName[]).filter((name) => {
    const { operation, minorFunction } = MINOR_FUNCTIONS[name]
    return names.includes(operation) && ((minorFunctions >>> minorFunction) & 1) === 1
  })
}

/** The rule's conditions and what it does. */
function describeRule(rule: WireRule): Omit<ListedRule, AroundIt> {
  const flag = (bit: number): boolean => (rule.flags & bit) !== 0
  return {
    number: rule.id,
    on: namesOf(rule),
    action: ACTIONS.get(rule.action) ?? (`action ${rule.action}` as ListedAction),
    hold: HOLDS.get(rule.hold) ?? (`hold ${rule.hold}` as ListedHold),
    delayMs: rule.delayMs,
    queue: rule.queue === QUEUE.NONE ? undefined : rule.queue === QUEUE.CRITICAL ? 'critical' : 'delayed',
    fastIo: flag(RULE_FLAG.FAST_IO_TO_IRP) ? 'toIrp' : 'refuse',
    failWith: rule.failStatus === 0 ? undefined : ntstatusName(rule.failStatus),
    processId: unlessZero(rule.processId),
    requestorMode: requestorModeOf(rule),
    io: IO_KINDS.filter(([bit]) => (rule.conditions & bit) !== 0).map(([, name]) => name),
    status: statusOf(rule),
    everyNth: rule.everyNth,
    atMost: unlessZero(rule.atMost),
    probability: rule.probabilityPpm / PPM,
    seed: rule.seed,
    maxHeld: unlessZero(rule.maxHeld),
    allow: {
      kernelMode: flag(RULE_FLAG.KERNEL_MODE),
      bootVolume: flag(RULE_FLAG.BOOT_VOLUME),
      pagingFile: flag(RULE_FLAG.PAGING_FILE),
    },
    names: flag(RULE_FLAG.NAME),
    audit: flag(RULE_FLAG.AUDIT_TOP_LEVEL_IRP),
  }
}

/** Another table is in force than the one that the page before was of. */
class TableReplaced extends Error {}

export class RuleListings {
  readonly #session: Session
  readonly #connectionId: bigint
  readonly #volumes: Volumes
  readonly #names: RuleNames

  constructor(session: Session, connectionId: bigint, volumes: Volumes, names: RuleNames) {
    this.#session = session
    this.#connectionId = connectionId
    this.#volumes = volumes
    this.#names = names
  }

  async list(options: ListRulesOptions): Promise<RuleListing> {
    this.#session.lifetime.ensureOpen(OPERATION)
    const { own = false, signal } = check.object('options', options, ['own', 'signal'])
    const only = check.boolean('own', own)
    const stop = check.signal('signal', signal)
    throwIfAborted(OPERATION, stop)
    return abortable(this.#read(only, stop), { operation: OPERATION, signal: stop })
  }

  async #read(own: boolean, stop: AbortSignal | undefined): Promise<RuleListing> {
    const pages = await this.#table(stop)
    const last = pages.at(-1)
    const entries = pages.flatMap((page) => page.entries)
    const wanted = own ? entries.filter(({ connectionId }) => connectionId === this.#connectionId) : entries
    return {
      generation: last?.generation ?? 0n,
      seenNs: (last?.time100ns ?? 0n) * 100n,
      rules: wanted.map((entry) => this.#describe(entry)),
    }
  }

  /** All pages of one table. */
  async #table(stop: AbortSignal | undefined): Promise<RulePage[]> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      throwIfAborted(OPERATION, stop)
      try {
        return await this.#pages()
      } catch (error) {
        if (!(error instanceof ProtocolError && error.detail === 'rulesChanged') && !(error instanceof TableReplaced)) {
          throw error
        }
      }
    }
    throw new MinipendError(
      'RULES_BUSY',
      `${OPERATION}: the rules were replaced ${MAX_TRIES} times while they were read`,
      {
        operation: OPERATION,
        hint: 'another client sets rules all the time: try again when it does not',
      },
    )
  }

  async #pages(): Promise<RulePage[]> {
    const pages: RulePage[] = []
    let page: RulePage | undefined
    do {
      page = await this.#page({
        tableId: page?.tableId ?? 0n,
        first: page?.next ?? 0,
        maxEntries: MAX_RULE_ENTRIES,
      })
      pages.push(page)
    } while (page.next < page.ruleCount)
    return pages
  }

  async #page(list: ListRules): Promise<RulePage> {
    const reply = await this.#session.exchange(OPERATION, (head) => encodeListRules(head, list), LIST_RULES_ROOM)
    const page = decodeListRules(reply)
    // Without an entry it would be asked for again and again.
    if (page === undefined || (page.entries.length === 0 && page.next < page.ruleCount)) {
      throw this.#session.malformed(OPERATION, `a list of ${reply.length} bytes that does not fit together`)
    }
    if (list.tableId !== 0n && page.tableId !== list.tableId) {
      throw new TableReplaced()
    }
    return page
  }

  #describe(entry: RuleEntry): ListedRule {
    const { connectionId, processId, setId, rule } = entry
    return {
      ...describeRule(rule),
      id: this.#names.nameIn({ connectionId, setId, generation: entry.setGeneration, ruleId: rule.id }),
      own: connectionId === this.#connectionId,
      owner: connectionId === 0n ? undefined : { connectionId, processId },
      setId,
      generation: entry.setGeneration,
      persistent: entry.persistent,
      path: entry.path === '' ? undefined : entry.path,
      volume: entry.volume === '' ? undefined : entry.volume,
      drive: entry.volume === '' ? undefined : this.#volumes.driveOf(entry.volume),
      counts: {
        selected: entry.selected,
        refused: entry.refused,
        taken: entry.taken,
        heldNow: entry.heldNow,
        sampled: entry.fitted,
        applied: entry.applied,
      },
    }
  }
}
