// SPDX-License-Identifier: MIT
//
// This module provides: the driver's counters as values, their sums, differences and the check of their balance.
//
// Invariant: the balance is that of the driver's own numbers, also when differences are shown.

import { INSTANCE_FLAG, OPERATIONS, REFUSALS } from '../generated/protocol.js'
import type { CountersReply, InstanceReply } from '../transport/messages.js'
import type {
  Balance,
  Counters,
  CountersByOperation,
  InstanceCounters,
  OperationCounters,
  RefusalCounters,
} from './counter-types.js'
import { Histogram, subtractHistograms, sumHistograms } from './histogram.js'
import type { OperationName, RefusalName } from './types.js'

/** They only grow. */
const COUNTS = [
  'postOperations',
  'unmatched',
  'observed',
  'pended',
  'completed',
  'whenSafe',
  'synchronized',
  'failed',
  'draining',
  'nameUnavailable',
  'fastIoDisallowed',
] as const satisfies readonly (keyof OperationCounters)[]
/** How it is now. */
const GAUGES = ['inFlight', 'waiting', 'inCallback'] as const satisfies readonly (keyof OperationCounters)[]

type Plain = Exclude<keyof OperationCounters, 'refused' | 'latencyNs' | 'queueNs'>

interface Counted extends OperationCounters {
  readonly latencyNs: Histogram
  readonly queueNs: Histogram
}

/** One instance, or the sum of those that are gone: counters by the operation's number. */
type Part = readonly Counted[]

/** What the driver answered at one moment. */
export interface Snapshot {
  readonly reply: CountersReply
  readonly live: readonly { readonly raw: InstanceReply; readonly part: Part }[]
  readonly retired: Part
}

function refusals(raw: readonly bigint[]): RefusalCounters {
  const named = Object.fromEntries(REFUSALS.map(({ name }, index) => [name, raw[index] ?? 0n])) as Record<
    RefusalName,
    bigint
  >
  return { ...named, total: raw.reduce((sum, each) => sum + each, 0n) }
}

const plain = (pick: (name: Plain) => bigint): Record<Plain, bigint> =>
  Object.fromEntries([...COUNTS, ...GAUGES, 'inFlightHighWater' as const].map((name) => [name, pick(name)])) as Record<
    Plain,
    bigint
  >

const partOf = (raw: InstanceReply): Part =>
  raw.operations.map((counters, operation) => ({
    ...plain((name) => counters[name]),
    refused: refusals(counters.refused),
    latencyNs: new Histogram(() => raw.histogram(operation, 'hold')),
    queueNs: new Histogram(() => raw.histogram(operation, 'queue')),
  }))

function sumCounted(parts: readonly Counted[]): Counted {
  const add = (pick: (part: Counted) => bigint): bigint => parts.reduce((sum, part) => sum + pick(part), 0n)
  const most = parts.reduce((so, { inFlightHighWater }) => (inFlightHighWater > so ? inFlightHighWater : so), 0n)
  return {
    ...plain((name) => (name === 'inFlightHighWater' ? most : add((part) => part[name]))),
    refused: refusals(REFUSALS.map(({ name }) => add((part) => part.refused[name]))),
    latencyNs: sumHistograms(parts.map(({ latencyNs }) => latencyNs)),
    queueNs: sumHistograms(parts.map(({ queueNs }) => queueNs)),
  }
}

/** The sum of some counters; of high-water marks the highest. */
export const sumCounters = (parts: readonly OperationCounters[]): OperationCounters =>
  sumCounted(parts as readonly Counted[])

function subtractCounted(now: Counted, earlier: Counted): Counted {
  const counts: readonly Plain[] = COUNTS
  return {
    ...plain((name) => (counts.includes(name) ? now[name] - earlier[name] : now[name])),
    refused: refusals(REFUSALS.map(({ name }) => now.refused[name] - earlier.refused[name])),
    latencyNs: subtractHistograms(now.latencyNs, earlier.latencyNs),
    queueNs: subtractHistograms(now.queueNs, earlier.queueNs),
  }
}

const combine = (parts: readonly Part[], how: (each: readonly Counted[]) => Counted): Part =>
  OPERATIONS.map((_, index) => how(parts.map((part) => part[index] ?? sumCounted([]))))

const sumParts = (parts: readonly Part[]): Part => combine(parts, sumCounted)
const subtractParts = (now: Part, earlier: Part): Part =>
  combine([now, earlier], ([a, b]) => subtractCounted(a ?? sumCounted([]), b ?? sumCounted([])))

export function snapshotOf(reply: CountersReply): Snapshot {
  const isRetired = ({ flags }: InstanceReply): boolean => (flags & INSTANCE_FLAG.RETIRED) !== 0
  return {
    reply,
    live: reply.instances.filter((raw) => !isRetired(raw)).map((raw) => ({ raw, part: partOf(raw) })),
    retired: sumParts(reply.instances.filter(isRetired).map(partOf)),
  }
}

/** What was counted since `base`. What an instance that is gone by now had counted then is no part of it. */
function since(now: Snapshot, base: Snapshot): Pick<Snapshot, 'live' | 'retired'> {
  const idOf = ({ raw }: Snapshot['live'][number]): bigint => raw.instanceId
  const before = new Map(base.live.map((each) => [idOf(each), each.part]))
  const stillThere = new Set(now.live.map(idOf))
  const gone = base.live.filter((each) => !stillThere.has(idOf(each))).map(({ part }) => part)
  return {
    live: now.live.map((each) => {
      const earlier = before.get(idOf(each))
      return earlier === undefined ? each : { ...each, part: subtractParts(each.part, earlier) }
    }),
    retired: subtractParts(now.retired, sumParts([base.retired, ...gone])),
  }
}

function named(part: Part): CountersByOperation {
  const entries = OPERATIONS.map(({ name }, index): [string, OperationCounters] => [
    name,
    part[index] ?? sumCounted([]),
  ])
  return Object.fromEntries(entries) as Record<OperationName, OperationCounters>
}

const summary = (part: Part): OperationCounters & { readonly byOperation: CountersByOperation } => ({
  ...sumCounted(part),
  byOperation: named(part),
})

function problemsOf(where: string, c: OperationCounters): string[] {
  const problems: string[] = []
  if (c.pended !== c.completed + c.inFlight) {
    problems.push(`${where}: pended ${c.pended} is not completed ${c.completed} + inFlight ${c.inFlight}`)
  }
  const outcomes =
    c.unmatched + c.observed + c.pended + c.whenSafe + c.synchronized + c.refused.total + c.draining + c.inCallback
  if (c.postOperations !== outcomes) {
    problems.push(
      `${where}: postOperations ${c.postOperations} is not the sum of the outcomes ${outcomes} (unmatched ${c.unmatched}, observed ${c.observed}, ` +
        `pended ${c.pended}, whenSafe ${c.whenSafe}, synchronized ${c.synchronized}, refused ${c.refused.total}, draining ${c.draining}, inCallback ${c.inCallback})`,
    )
  }
  return problems
}

/** Checks both identities for every operation of every part. */
export function balanceOf(parts: readonly { where: string; byOperation: CountersByOperation }[]): Balance {
  const problems = parts.flatMap(({ where, byOperation }) =>
    Object.entries(byOperation).flatMap(([operation, counters]) => problemsOf(`${where}, ${operation}`, counters)),
  )
  return { exact: problems.length === 0, problems }
}

const snapshots = new WeakMap<Counters, Snapshot>()

/** The snapshot that counters were made from; undefined: they are of no session. */
export const snapshotBehind = (counters: Counters): Snapshot | undefined => snapshots.get(counters)

/** `driveOf`: the DOS name that this session knows a device by. */
export function countersFrom(
  snapshot: Snapshot,
  driveOf: (device: string) => string | undefined,
  base?: Snapshot,
): Counters {
  const { reply } = snapshot
  const { live, retired } = base === undefined ? snapshot : since(snapshot, base)
  const byInstance = live.map(({ raw, part }): InstanceCounters => ({
    ...summary(part),
    id: raw.instanceId,
    name: raw.name,
    altitude: raw.altitude,
    volume: raw.volume,
    drive: driveOf(raw.volume),
    bootVolume: (raw.flags & INSTANCE_FLAG.BOOT_VOLUME) !== 0,
    tearingDown: (raw.flags & INSTANCE_FLAG.TEARING_DOWN) !== 0,
  }))
  const counters: Counters = {
    ...summary(sumParts([...live.map(({ part }) => part), retired])),
    byInstance,
    retired: summary(retired),
    held: reply.heldNow,
    heldHighWater: reply.heldHighWater,
    ruleGeneration: reply.ruleGeneration,
    connections: reply.connectionCount,
    timeNs: reply.time100ns * 100n,
    contract: {
      unexpectedRefusal: reply.unexpectedRefusals - (base?.reply.unexpectedRefusals ?? 0n),
      unexpectedSuccess: reply.unexpectedSuccesses - (base?.reply.unexpectedSuccesses ?? 0n),
    },
    balance: balanceOf([
      ...snapshot.live.map(({ raw, part }) => ({ where: `${raw.volume} ${raw.name}`, byOperation: named(part) })),
      { where: 'retired instances', byOperation: named(snapshot.retired) },
    ]),
  }
  snapshots.set(counters, snapshot)
  return counters
}
