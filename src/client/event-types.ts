// SPDX-License-Identifier: MIT
//
// This module provides: the public types of events. Types only.

import type { NamedNumber } from '../errors/errors.js'
import type { EventName, OperationName, RefusalName, ReleaseName } from '../generated/protocol.js'
import type { NextOptions, PostOperation } from './held-types.js'
import type { SignalOptions } from './types.js'

interface EventFields {
  /** Of this session, without gaps but where events were lost. */
  readonly sequence: bigint
  /** Interrupt time, in nanoseconds. */
  readonly timeNs: bigint
  /** 0: refused before it was taken. */
  readonly heldId: bigint
  readonly operation: OperationName
  /** From the volume's root; undefined: no name was asked for, or none was to be had safely. */
  readonly path: string | undefined
  /** Only the end of `path` is there. */
  readonly nameCut: boolean
  /** Name of the rule or gate; undefined: another client's, or a persistent one. */
  readonly rule: string | undefined
  /** Of the driver's rule table that it was matched in, as in RulesResult. */
  readonly ruleGeneration: bigint
  readonly connectionId: bigint
  readonly instanceId: bigint
  /** As in HeldOperation. */
  readonly drive: string | undefined
  readonly processId: number
  readonly threadId: number
  /** IoStatus.Status; of a completed event, what it was given back with. */
  readonly status: NamedNumber
  readonly postOperation: PostOperation
}

export interface HeldEvent extends EventFields {
  readonly kind: 'taken' | 'parked'
  readonly cause: undefined
}

export interface ReleaseEvent extends EventFields {
  readonly kind: 'released' | 'completed'
  /** Why it was given back. */
  readonly cause: ReleaseName
}

export interface RefusalEvent extends EventFields {
  readonly kind: 'refused'
  /** Why it was not pended. */
  readonly cause: RefusalName
}

/** What happened to an operation that a rule selected. `kind` says which. */
export type EventRecord = HeldEvent | ReleaseEvent | RefusalEvent

/** Columns: element i belongs to event i. Names are in EVENT_KINDS and OPERATION_NAMES, at the index given. */
export interface EventColumns {
  readonly sequence: BigUint64Array
  readonly timeNs: BigUint64Array
  readonly heldId: BigUint64Array
  readonly instanceId: BigUint64Array
  readonly connectionId: BigUint64Array
  readonly ruleGeneration: BigUint64Array
  /** Index in EVENT_KINDS. */
  readonly kind: Uint16Array
  /** Index in OPERATION_NAMES. */
  readonly operation: Uint16Array
  /** Of released and completed: index in RELEASE_NAMES; of refused: in REFUSAL_NAMES; of others 0. */
  readonly cause: Uint16Array
  /** Unsigned NTSTATUS. */
  readonly status: Uint32Array
  readonly processId: Uint32Array
  readonly threadId: Uint32Array
  readonly irql: Uint16Array
}

/** Some events in one buffer, decoded when they are looked at. */
export interface EventBatch extends Iterable<EventRecord> {
  readonly length: number
  /** Events lost (the ring was full) since the batch before; they came after the ones that are here and before later ones. */
  readonly lost: bigint
  /** @throws RangeError */
  at(index: number): EventRecord
  readonly columns: EventColumns
}

export interface EventsOptions extends SignalOptions {
  /** Default: all. */
  readonly kinds?: readonly EventName[] | undefined
  /** Events of all clients' rules, not only of this session's. Default false. */
  readonly allClients?: boolean | undefined
  /** Events that the driver keeps until they are fetched, 16 to 65,536; default 1,024. A full ring loses new ones, and says so. */
  readonly ring?: number | undefined
}

/**
 * Events from the moment of mp.events() on. A batch is acknowledged, and leaves the driver's ring, with the request for the next one.
 * Leaving a loop over it closes it, and so does disposing of it.
 */
export interface EventStream extends AsyncDisposable, AsyncIterable<EventBatch> {
  readonly closed: boolean
  /** Waits until there is an event, or one was lost. @throws TimeoutError, AbortedError, ClosedError */
  next(options?: NextOptions): Promise<EventBatch>
  close(): Promise<void>
}
