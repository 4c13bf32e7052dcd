// SPDX-License-Identifier: MIT
//
// This module provides: what a post-operation saw, and names of rules, as held operations and events show them.

import { type SEEN, SEEN_FLAG, THREADS, TOP_LEVEL_IRPS } from '../generated/protocol.js'
import type { Decoded } from '../transport/codec.js'
import type { PostOperation } from './held-types.js'
import type { ThreadName, TopLevelIrpName } from './types.js'

export type Seen = Decoded<typeof SEEN>

const IRQLS = ['PASSIVE_LEVEL', 'APC_LEVEL', 'DISPATCH_LEVEL'] as const

/** wdm.h. 0x40 has two names: IRP_SYNCHRONOUS_PAGING_IO with IRP_PAGING_IO, else IRP_INPUT_OPERATION. */
const IRP_FLAGS: readonly (readonly [number, string])[] = [
  [0x1, 'IRP_NOCACHE'],
  [0x2, 'IRP_PAGING_IO'],
  [0x4, 'IRP_SYNCHRONOUS_API'],
  [0x8, 'IRP_ASSOCIATED_IRP'],
  [0x10, 'IRP_BUFFERED_IO'],
  [0x20, 'IRP_DEALLOCATE_BUFFER'],
  [0x40, 'IRP_INPUT_OPERATION'],
  [0x80, 'IRP_CREATE_OPERATION'],
  [0x100, 'IRP_READ_OPERATION'],
  [0x200, 'IRP_WRITE_OPERATION'],
  [0x400, 'IRP_CLOSE_OPERATION'],
  [0x800, 'IRP_DEFER_IO_COMPLETION'],
  [0x1000, 'IRP_OB_QUERY_NAME'],
  [0x2000, 'IRP_HOLD_DEVICE_QUEUE'],
  [0x400000, 'IRP_UM_DRIVER_INITIATED_IO'],
]
const PAGING_IO = 0x2
const SYNCHRONOUS_PAGING_IO = 0x40

/** Names of the flags that are set; those without a name as one number. */
export function irpFlagNames(flags: number): string[] {
  const names = IRP_FLAGS.filter(([bit]) => (flags & bit) !== 0).map(([bit, name]) =>
    bit === SYNCHRONOUS_PAGING_IO && (flags & PAGING_IO) !== 0 ? 'IRP_SYNCHRONOUS_PAGING_IO' : name,
  )
  const rest = IRP_FLAGS.reduce((left, [bit]) => left & ~bit, flags) >>> 0
  return rest === 0 ? names : [...names, `IRP_0x${rest.toString(16)}`]
}

export const irqlName = (irql: number): string => IRQLS[irql] ?? `IRQL_${irql}`

export function postOperationOf(seen: Seen): PostOperation {
  const has = (flag: number): boolean => (seen.flags & flag) !== 0
  return {
    irql: irqlName(seen.irql),
    topLevelIrp: TOP_LEVEL_IRPS[seen.topLevelIrp]?.name ?? (`value ${seen.topLevelIrp}` as TopLevelIrpName),
    thread: THREADS[seen.thread]?.name ?? (`value ${seen.thread}` as ThreadName),
    kernelMode: has(SEEN_FLAG.KERNEL_MODE),
    synchronous: has(SEEN_FLAG.SYNCHRONOUS),
    irpFlags: irpFlagNames(seen.irpFlags),
    systemBuffer: has(SEEN_FLAG.SYSTEM_BUFFER),
    reissued: has(SEEN_FLAG.REISSUED),
    generated: has(SEEN_FLAG.GENERATED),
  }
}

export const nameCut = (seen: Seen): boolean => (seen.flags & SEEN_FLAG.NAME_CUT) !== 0

/** How many versions of a rule set are remembered after they were replaced: events about them may still come. */
const REMEMBERED_VERSIONS = 64

/** The names of one set's rules, from a generation of the driver's table on. */
interface Version {
  readonly generation: bigint
  readonly names: readonly string[]
}

/** Names of this session's rules. */
export class RuleNames {
  readonly #connectionId: bigint
  /** By set number, oldest first. */
  readonly #sets = new Map<number, Version[]>()

  constructor(connectionId: bigint) {
    this.#connectionId = connectionId
  }

  /** `generation`: of the table, since it has these rules; the rule of number n has name n - 1. */
  remember(setId: number, generation: bigint, names: readonly string[]): void {
    const versions = [...(this.#sets.get(setId) ?? []), { generation, names }]
    this.#sets.set(setId, versions.toSorted(byGeneration).slice(-REMEMBERED_VERSIONS))
  }

  /** Names that rules of the set have or had, latest first. */
  known(setId: number): string[] {
    const versions = this.#sets.get(setId)?.toReversed() ?? []
    return [...new Set(versions.flatMap(({ names }) => names))]
  }

  /** Undefined: not known to be a rule of this session. `ruleGeneration`: of the table that the operation was matched in. */
  nameOf(rule: {
    readonly connectionId: bigint
    readonly setId: number
    readonly ruleGeneration: bigint
    readonly ruleId: number
  }): string | undefined {
    const versions = rule.connectionId === this.#connectionId ? this.#sets.get(rule.setId) : undefined
    return versions?.findLast(({ generation }) => generation <= rule.ruleGeneration)?.names[rule.ruleId - 1]
  }

  /** The same for a rule of the set that this command set. Undefined also while that command's answer is on its way. */
  nameIn(rule: {
    readonly connectionId: bigint
    readonly setId: number
    readonly generation: bigint
    readonly ruleId: number
  }): string | undefined {
    const versions = rule.connectionId === this.#connectionId ? this.#sets.get(rule.setId) : undefined
    return versions?.find(({ generation }) => generation === rule.generation)?.names[rule.ruleId - 1]
  }
}

const byGeneration = (a: Version, b: Version): number =>
  a.generation < b.generation ? -1 : Number(a.generation > b.generation)
