// SPDX-License-Identifier: MIT
//
// This module provides: a batch of events: one buffer, decoded when it is looked at.

import { ntstatusName } from '../errors/tables.js'
import { EVENT, type ScalarField, SEEN } from '../generated/protocol.js'
import { decode, viewOf } from '../transport/codec.js'
import type { EventBatch, EventColumns, EventRecord } from './event-types.js'
import { EVENT_KINDS, operationName, REFUSAL_NAMES, RELEASE_NAMES } from './operations.js'
import { nameCut, postOperationOf, type RuleNames } from './seen.js'
import type { EventName, RefusalName, ReleaseName } from './types.js'
import type { Volumes } from './volumes.js'

const seenField = (field: ScalarField): number => EVENT.fields.seen.offset + field.offset

/** Columns are filled when they are first looked at. */
class Columns implements EventColumns {
  readonly #view: DataView
  readonly #length: number
  readonly #filled = new Map<string, BigUint64Array | Uint32Array | Uint16Array>()

  constructor(view: DataView, length: number) {
    this.#view = view
    this.#length = length
  }

  get sequence(): BigUint64Array {
    return this.#u64('sequence', EVENT.fields.sequence.offset)
  }
  get timeNs(): BigUint64Array {
    return this.#u64('timeNs', EVENT.fields.time100ns.offset, 100n)
  }
  get heldId(): BigUint64Array {
    return this.#u64('heldId', EVENT.fields.heldId.offset)
  }
  get instanceId(): BigUint64Array {
    return this.#u64('instanceId', EVENT.fields.instanceId.offset)
  }
  get connectionId(): BigUint64Array {
    return this.#u64('connectionId', EVENT.fields.connectionId.offset)
  }
  get ruleGeneration(): BigUint64Array {
    return this.#u64('ruleGeneration', EVENT.fields.ruleGeneration.offset)
  }
  get kind(): Uint16Array {
    return this.#u16('kind', EVENT.fields.kind.offset)
  }
  get operation(): Uint16Array {
    return this.#u16('operation', EVENT.fields.operation.offset)
  }
  get cause(): Uint16Array {
    return this.#u16('cause', EVENT.fields.cause.offset)
  }
  get status(): Uint32Array {
    return this.#u32('status', seenField(SEEN.fields.status))
  }
  get processId(): Uint32Array {
    return this.#u32('processId', seenField(SEEN.fields.processId))
  }
  get threadId(): Uint32Array {
    return this.#u32('threadId', seenField(SEEN.fields.threadId))
  }
  get irql(): Uint16Array {
    return this.#u16('irql', seenField(SEEN.fields.irql))
  }

  #u64(name: string, offset: number, factor = 1n): BigUint64Array {
    return this.#column(name, (length) =>
      BigUint64Array.from({ length }, (_, i) => this.#view.getBigUint64(i * EVENT.size + offset, true) * factor),
    )
  }
  #u32(name: string, offset: number): Uint32Array {
    return this.#column(name, (length) =>
      Uint32Array.from({ length }, (_, i) => this.#view.getUint32(i * EVENT.size + offset, true)),
    )
  }
  #u16(name: string, offset: number): Uint16Array {
    return this.#column(name, (length) =>
      Uint16Array.from({ length }, (_, i) => this.#view.getUint16(i * EVENT.size + offset, true)),
    )
  }
  #column<T extends BigUint64Array | Uint32Array | Uint16Array>(name: string, fill: (length: number) => T): T {
    const column = (this.#filled.get(name) as T | undefined) ?? fill(this.#length)
    this.#filled.set(name, column)
    return column
  }
}

export class Batch implements EventBatch {
  readonly length: number
  readonly lost: bigint
  readonly columns: EventColumns
  readonly #view: DataView
  readonly #volumes: Volumes
  readonly #names: RuleNames

  /** `events`: whole structures. */
  constructor(events: Uint8Array, lost: bigint, volumes: Volumes, names: RuleNames) {
    this.length = events.length / EVENT.size
    this.lost = lost
    this.#view = viewOf(events)
    this.#volumes = volumes
    this.#names = names
    this.columns = new Columns(this.#view, this.length)
  }

  at(index: number): EventRecord {
    if (!Number.isInteger(index) || index < 0 || index >= this.length) {
      throw new RangeError(`EventBatch.at: expected an index below ${this.length}, got ${index}`)
    }
    const event = decode(EVENT, this.#view, index * EVENT.size)
    const { seen } = event
    const kind = EVENT_KINDS[event.kind] ?? (`kind ${event.kind}` as EventName)
    const fields = {
      sequence: event.sequence,
      timeNs: event.time100ns * 100n,
      heldId: event.heldId,
      operation: operationName(event.operation),
      path: event.nameChars === 0 ? undefined : event.name,
      nameCut: nameCut(seen),
      rule: this.#names.nameOf(event),
      ruleGeneration: event.ruleGeneration,
      connectionId: event.connectionId,
      instanceId: event.instanceId,
      drive: this.#volumes.driveOfInstance(event.instanceId),
      processId: seen.processId,
      threadId: seen.threadId,
      status: ntstatusName(seen.status),
      postOperation: postOperationOf(seen),
    }
    switch (kind) {
      case 'released':
      case 'completed':
        return { ...fields, kind, cause: RELEASE_NAMES[event.cause] ?? (`cause ${event.cause}` as ReleaseName) }
      case 'refused':
        return { ...fields, kind, cause: REFUSAL_NAMES[event.cause] ?? (`cause ${event.cause}` as RefusalName) }
      case 'taken':
      case 'parked':
      default: // a kind that this client does not know is shown as it is, like any other number
        return { ...fields, kind, cause: undefined }
    }
  }

  *[Symbol.iterator](): Generator<EventRecord, void, undefined> {
    for (let i = 0; i < this.length; i++) {
      yield this.at(i)
    }
  }
}
