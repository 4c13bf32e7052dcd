// SPDX-License-Identifier: MIT
//
// This module provides: the driver's counters as values, their sums and the check of their balance.

import { INSTANCE_FLAG, OPERATIONS, REFUSALS } from '../generated/protocol.js'
import type { CountersReply, InstanceReply } from '../transport/messages.js'
import type {
  Balance,
  Counters,
  CountersByOperation,
  InstanceCounters,
  OperationCounters,
  OperationName,
  RefusalCounters,
  RefusalName,
} from './types.js'

const PLAIN = [
  'postOperations',
  'unmatched',
  'observed',
  'pended',
  'completed',
  'inFlight',
  'whenSafe',
  'synchronized',
  'draining',
  'inCallback',
  'nameUnavailable',
  'fastIoDisallowed',
] as const satisfies readonly (keyof OperationCounters)[]

type Raw = InstanceReply['operations'][number]

function refusals(raw: readonly bigint[]): RefusalCounters {
  const named = Object.fromEntries(REFUSALS.map(({ name }, index) => [name, raw[index] ?? 0n])) as Record<
    RefusalName,
    bigint
  >
  return { ...named, total: raw.reduce((sum, each) => sum + each, 0n) }
}

function operationCounters(raw: Raw): OperationCounters {
  const plain = Object.fromEntries(PLAIN.map((name) => [name, raw[name]])) as Omit<OperationCounters, 'refused'>
  return { ...plain, refused: refusals(raw.refused) }
}

/** The sum of some counters. */
export function sumCounters(parts: readonly OperationCounters[]): OperationCounters {
  const add = (pick: (part: OperationCounters) => bigint): bigint => parts.reduce((sum, part) => sum + pick(part), 0n)
  const plain = Object.fromEntries(PLAIN.map((name) => [name, add((part) => part[name])])) as Omit<
    OperationCounters,
    'refused'
  >
  return { ...plain, refused: refusals(REFUSALS.map(({ name }) => add((part) => part.refused[name]))) }
}

function byName(make: (index: number) => OperationCounters): CountersByOperation {
  return Object.fromEntries(OPERATIONS.map(({ name }, index) => [name, make(index)])) as Record<
    OperationName,
    OperationCounters
  >
}

type Part = OperationCounters & { readonly byOperation: CountersByOperation }

function part(raw: InstanceReply): Part {
  const all = raw.operations.map(operationCounters)
  return { ...sumCounters(all), byOperation: byName((index) => all[index] ?? sumCounters([])) }
}

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

/** `driveOf`: the DOS name that this session knows a device by. */
export function countersFrom(reply: CountersReply, driveOf: (device: string) => string | undefined): Counters {
  const all = reply.instances.map((raw) => ({ raw, ...part(raw) }))
  const live = all.filter(({ raw }) => (raw.flags & INSTANCE_FLAG.RETIRED) === 0)
  const gone = all.filter(({ raw }) => (raw.flags & INSTANCE_FLAG.RETIRED) !== 0)
  const sumByName = (parts: readonly Part[]): CountersByOperation =>
    byName((index) => {
      const name = OPERATIONS[index]?.name
      return sumCounters(name === undefined ? [] : parts.map((each) => each.byOperation[name]))
    })
  const byInstance = live.map(({ raw, ...counters }): InstanceCounters => ({
    ...counters,
    id: raw.instanceId,
    name: raw.name,
    altitude: raw.altitude,
    volume: raw.volume,
    drive: driveOf(raw.volume),
    bootVolume: (raw.flags & INSTANCE_FLAG.BOOT_VOLUME) !== 0,
    tearingDown: (raw.flags & INSTANCE_FLAG.TEARING_DOWN) !== 0,
  }))
  return {
    ...sumCounters(all),
    byOperation: sumByName(all),
    byInstance,
    retired: { ...sumCounters(gone), byOperation: sumByName(gone) },
    held: reply.heldNow,
    heldHighWater: reply.heldHighWater,
    ruleGeneration: reply.ruleGeneration,
    connections: reply.connectionCount,
    contract: { unexpectedRefusal: reply.unexpectedRefusals },
    balance: balanceOf(
      all.map(({ raw, byOperation }) => ({
        where: (raw.flags & INSTANCE_FLAG.RETIRED) !== 0 ? 'retired instances' : `${raw.volume} ${raw.name}`,
        byOperation,
      })),
    ),
  }
}
