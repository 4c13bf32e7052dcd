// SPDX-License-Identifier: MIT
//
// This module provides: held operations as this session sees them: listing them, and giving them back.

import { InvalidOptionError, MinipendError, ReleaseError } from '../errors/errors.js'
import { DETAIL_HINTS } from '../errors/details.js'
import { ntstatusName } from '../errors/tables.js'
import { ACTION, DETAILS, HOLD, RELEASE_WHAT } from '../generated/protocol.js'
import {
  decodeListHeld,
  decodeRelease,
  encodeListHeld,
  encodeRelease,
  type HeldEntry,
  type HeldPage,
  type ListHeld,
  listHeldReplyBytes,
  MAX_HELD_ENTRIES,
  type Release,
  releaseReplyBytes,
} from '../transport/held-messages.js'
import { type ReplyHeader, RULES_SET } from '../transport/messages.js'
import { Checker } from './check.js'
import type { ForceOptions, HeldOperation, HeldOptions, ReleaseOptions, ReleaseResult } from './held-types.js'
import { abortable, throwIfAborted } from './lifetime.js'
import { operationName } from './operations.js'
import { releasing } from './releases.js'
import { MAX_ID_CHARS } from './rules.js'
import { nameCut, postOperationOf, type RuleNames } from './seen.js'
import type { Session } from './session.js'
import type { Volumes } from './volumes.js'

const checkerFor = (operation: string): Checker =>
  new Checker(
    (field, expectation) => new InvalidOptionError(field, `${operation}: ${field}: ${expectation}`, { operation }),
  )

interface CheckedRelease {
  readonly status: number
  readonly force: boolean
  readonly signal: AbortSignal | undefined
}

function checkRelease(operation: string, options: unknown, keys: readonly ('status' | 'force')[]): CheckedRelease {
  const check = checkerFor(operation)
  const { status, force = false, signal } = check.object('options', options, [...keys, 'signal'] as const)
  return {
    status: status === undefined ? 0 : check.failure('status', status) | 0,
    force: check.boolean('force', force),
    signal: check.signal('signal', signal),
  }
}

/** What this session does with held operations. */
export class HeldDesk {
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

  /** One answer of the driver. */
  async list(operation: string, list: ListHeld): Promise<HeldPage> {
    const room = listHeldReplyBytes(list.maxEntries)
    const reply = await this.#session.exchange(operation, (head) => encodeListHeld(head, list), room)
    const page = decodeListHeld(reply)
    if (page === undefined) {
      throw this.#session.malformed(operation, `a list of ${reply.length} bytes that does not fit together`)
    }
    return page
  }

  /** Held operations as the public API shows them. */
  async describe(page: HeldPage, entries: readonly HeldEntry[] = page.entries): Promise<HeldOperation[]> {
    await this.#volumes.resolve(entries.map(({ instanceId }) => instanceId))
    return entries.map((entry) => this.#describe(page, entry))
  }

  async all(options: HeldOptions): Promise<HeldOperation[]> {
    const operation = 'held'
    this.#session.lifetime.ensureOpen(operation)
    const check = checkerFor(operation)
    const { own = false, signal } = check.object('options', options, ['own', 'signal'])
    const only = check.boolean('own', own)
    const stop = check.signal('signal', signal)
    throwIfAborted(operation, stop)
    const read = async (): Promise<HeldOperation[]> => {
      const found: HeldOperation[] = []
      for await (const page of this.#pages(operation, only)) {
        found.push(...(await this.describe(page)))
      }
      return found
    }
    return abortable(read(), { operation, signal: stop })
  }

  /** Everything that is held, oldest first. */
  async *#pages(operation: string, own: boolean): AsyncGenerator<HeldPage, void, undefined> {
    let page: HeldPage | undefined
    do {
      const last: HeldEntry | undefined = page?.entries.at(-1)
      const afterParkSequence = last?.parkSequence ?? 0n
      page = await this.list(operation, { afterParkSequence, own, arm: false, maxEntries: MAX_HELD_ENTRIES })
      yield page
    } while (page.more && page.entries.length > 0)
  }

  /** @throws ReleaseError */
  async releaseOne(
    operation: string,
    id: bigint,
    options: ReleaseOptions & ForceOptions,
    released: () => void = () => undefined,
  ): Promise<void> {
    this.#session.lifetime.ensureOpen(operation)
    const { status, force, signal } = checkRelease(operation, options, ['status', 'force'])
    const heldId = checkerFor(operation).bigint('id', id, 2n ** 64n - 1n)
    throwIfAborted(operation, signal)
    const what = { what: RELEASE_WHAT.ONE, heldId, status, force }
    const release = this.#release(operation, what, (header) => refusalOf(operation, heldId, header)).then(released)
    return abortable(release, { operation, signal })
  }

  /** Everything of this session, or everything. */
  async releaseAll(options: ReleaseOptions & ForceOptions): Promise<ReleaseResult> {
    const operation = 'releaseAll'
    this.#session.lifetime.ensureOpen(operation)
    const { status, force, signal } = checkRelease(operation, options, ['status', 'force'])
    throwIfAborted(operation, signal)
    return abortable(this.#release(operation, { what: RELEASE_WHAT.ALL, status, force }), { operation, signal })
  }

  /** Everything of one rule set of this session. */
  async releaseSet(operation: string, setId: number, options: ReleaseOptions = {}): Promise<ReleaseResult> {
    const { status, signal } = checkRelease(operation, options, ['status'])
    throwIfAborted(operation, signal)
    const what = { what: RELEASE_WHAT.SET, setId, status, force: false }
    return abortable(this.#release(operation, what), { operation, signal })
  }

  /** What rules of this name, of this session, hold now. One by one: the driver tells rules apart by their place, which changes with each rules.set(). */
  async releaseRule(id: string, options: ReleaseOptions): Promise<ReleaseResult> {
    const operation = 'rules.release'
    this.#session.lifetime.ensureOpen(operation)
    const { status, signal } = checkRelease(operation, options, ['status'])
    const check = checkerFor(operation)
    const known = this.#names.known(RULES_SET)
    const name = check.text('id', id, MAX_ID_CHARS)
    if (!known.includes(name)) {
      const rules = known.length === 0 ? 'this session has set none' : `known: ${known.join(', ')}`
      check.fail('id', `no rule of this session has the id "${name}"; ${rules}`)
    }
    throwIfAborted(operation, signal)
    const isIts = (entry: HeldEntry): boolean => entry.setId === RULES_SET && this.#names.nameOf(entry) === name
    const all = async (): Promise<ReleaseResult> => {
      const sum = { released: 0, statusNotApplied: 0 }
      for await (const page of this.#pages(operation, true)) {
        const results = await Promise.all(
          page.entries.filter(isIts).map(({ heldId }) => this.#releaseAnyway(operation, heldId, status)),
        )
        for (const { released, statusNotApplied } of results) {
          sum.released += released
          sum.statusNotApplied += statusNotApplied
        }
      }
      return sum
    }
    return abortable(all(), { operation, signal })
  }

  /** One operation; without the status when it cannot have it. Nothing when it has gone meanwhile. */
  async #releaseAnyway(operation: string, heldId: bigint, status: number): Promise<ReleaseResult> {
    const release = (given: number): Promise<ReleaseResult> =>
      this.#release(operation, { what: RELEASE_WHAT.ONE, heldId, status: given, force: false }, (header) =>
        refusalOf(operation, heldId, header),
      )
    try {
      return await release(status)
    } catch (error) {
      const code = error instanceof ReleaseError ? error.code : undefined
      if (code === 'releaseStatus') {
        const { released } = await this.#releaseAnyway(operation, heldId, 0)
        return { released, statusNotApplied: released }
      }
      if (code === 'heldUnknown') {
        return { released: 0, statusNotApplied: 0 }
      }
      throw error
    }
  }

  #release(
    operation: string,
    release: Release,
    refused?: (header: ReplyHeader) => MinipendError | undefined,
  ): Promise<ReleaseResult> {
    return releasing(this.#send(operation, release, refused))
  }

  async #send(
    operation: string,
    release: Release,
    refused?: (header: ReplyHeader) => MinipendError | undefined,
  ): Promise<ReleaseResult> {
    const encode = encodeRelease
    const reply = await this.#session.exchange(operation, (head) => encode(head, release), releaseReplyBytes, refused)
    const decoded = decodeRelease(reply)
    if (decoded === undefined) {
      throw this.#session.malformed(operation, `${reply.length} bytes instead of ${releaseReplyBytes}`)
    }
    return { released: decoded.released, statusNotApplied: decoded.statusNotApplied }
  }

  #describe(page: HeldPage, entry: HeldEntry): HeldOperation {
    let released = false
    const id = entry.heldId
    const { seen } = entry
    const release = (options: ReleaseOptions & ForceOptions = {}): Promise<void> =>
      this.releaseOne('HeldOperation.release', id, options, () => {
        released = true
      })
    return {
      id,
      operation: operationName(entry.operation),
      majorFunction: entry.majorFunction,
      minorFunction: entry.minorFunction,
      path: entry.nameChars === 0 ? undefined : entry.name,
      nameCut: nameCut(seen),
      rule: this.#names.nameOf(entry),
      ruleGeneration: entry.ruleGeneration,
      own: entry.connectionId === this.#connectionId,
      hold: entry.hold === HOLD.GATE ? 'gate' : 'delay',
      action: entry.action === ACTION.SYNCHRONIZE ? 'synchronize' : 'pend',
      instanceId: entry.instanceId,
      drive: this.#volumes.driveOfInstance(entry.instanceId),
      processId: seen.processId,
      threadId: seen.threadId,
      status: ntstatusName(seen.status),
      information: entry.information,
      postOperation: postOperationOf(seen),
      takenNs: entry.taken100ns * 100n,
      deadlineNs: entry.due100ns * 100n,
      seenNs: page.time100ns * 100n,
      get released(): boolean {
        return released
      },
      release,
    }
  }
}

/** The driver's reason for not releasing one operation. */
function refusalOf(operation: string, id: bigint, header: ReplyHeader): ReleaseError | undefined {
  const detail = DETAILS[header.detail]
  if (detail?.name !== 'heldUnknown' && detail?.name !== 'heldForeign' && detail?.name !== 'releaseStatus') {
    return undefined
  }
  return new ReleaseError(detail.name, `${operation}: operation ${id}: ${detail.what}`, id, {
    operation,
    ntstatus: ntstatusName(header.status),
    hint: DETAIL_HINTS[detail.name],
  })
}
