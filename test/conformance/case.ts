// SPDX-License-Identifier: MIT
//
// This module provides: conformance cases: each says which rules of the Filter Manager it checks, where it can run, and leaves the driver's counters
// before and after it for the result document.
//
// What may be claimed is in rules.json. A case that names a rule must fail when the rule is broken; that the driver and the model merely run is no check.

import { expect, it } from 'vitest'
import type {
  Counters,
  EventRecord,
  EventStream,
  File,
  FileOpenOptions,
  Gate,
  GateOptions,
  Minipend,
  Rule,
} from '../../src/index.js'
import { expectBalance, READINGS_HERE, settled } from '../e2e/world.js'
import { type Lane, LANE, LANES, PATIENCE, session, VOLUMES } from './lane.js'
import { readRules } from './rules.js'

export { heldBy, settled, waitingForStorage } from '../e2e/world.js'
export { LANE, PATIENCE, VOLUMES } from './lane.js'

/** What counters of a case are kept: those that the same case gives again. */
export type KeptCounters = Readonly<Record<string, number>>

/** What a case says about itself; reporters read it. */
export interface ConformanceMeta {
  readonly ids: readonly string[]
  /** How well the rules are known, all tags of all ids. */
  readonly evidence: readonly string[]
  readonly lanes: readonly Lane[]
  counters?: { readonly before: KeptCounters; readonly after: KeptCounters } | undefined
}

declare module 'vitest' {
  interface TaskMeta {
    conformance?: ConformanceMeta
  }
}

const KEPT = ['pended', 'completed', 'observed', 'whenSafe', 'synchronized', 'failed', 'draining', 'fastIoDisallowed']

/** Paging I/O comes when the cache manager likes, so what it adds is left out. */
export function keptCounters(counters: Counters): KeptCounters {
  const all = counters as unknown as Readonly<Record<string, unknown>>
  const kept = KEPT.map((name) => [name, Number(all[name])] as const)
  const refused = Object.entries(counters.refused)
    .filter(([cause]) => cause !== 'total' && cause !== 'paging')
    .map(([cause, count]) => [`refused.${cause}`, Number(count)] as const)
  return Object.fromEntries([...kept, ...refused].filter(([, count]) => count !== 0))
}

const rules = new Map(readRules().map((rule) => [rule.id, rule]))

function metaOf(ids: readonly string[], lanes: readonly Lane[]): ConformanceMeta {
  const unknown = ids.filter((id) => !rules.has(id))
  if (unknown.length > 0 || ids.length === 0) {
    throw new Error(`conformance: test/conformance/rules.json has no rule ${unknown.join(', ') || '(none is named)'}`)
  }
  const evidence = [...new Set(ids.flatMap((id) => rules.get(id)?.evidence ?? []))].sort()
  return { ids, evidence, lanes }
}

export interface CaseOptions {
  /** Default: all. `embedded`: it needs what only the model has (fault switches, slow storage), or what only it makes certain. */
  readonly lanes?: readonly Lane[]
  /** Readings (docs/READINGS.md) under which the Filter Manager is meant to do something else: 'name=value'. It is skipped there. */
  readonly unless?: readonly string[]
  /** What becomes of its operations is chance in part: its counters are not kept, they would differ from run to run. */
  readonly chance?: boolean
}

/** Whether the model goes by this reading: 'name=value'. */
export const isReadingHere = (text: string): boolean =>
  LANE === 'embedded' && Object.entries(READINGS_HERE).some((pair) => pair.join('=') === text)

/** For cases in which a pended operation is failed when it is given back [X03]. */
export const BY_WORKER = 'status-changed-by-worker=ignored'

/** The rules that a case checks, separated by spaces: 'POST-27 T01'. */
export type Ids = string

function register(ids: Ids, title: string, run: (meta: ConformanceMeta) => Promise<void>, options: CaseOptions): void {
  const named = ids.split(' ')
  const meta = metaOf(named, options.lanes ?? LANES)
  const name = `${title} [${named.join(' ')}]`
  const leftOut = (options.unless ?? []).some(isReadingHere)
  it.skipIf(leftOut || !meta.lanes.includes(LANE))(name, { meta: { conformance: meta } }, async (context) => {
    await run(meta)
    context.task.meta.conformance = meta
  })
}

/** A case that needs no session, or makes its own. */
export function conformanceOf(ids: Ids, title: string, run: () => Promise<void>, options: CaseOptions = {}): void {
  register(ids, title, () => run(), options)
}

/** A case with a session of its own. At its end nothing may be held, and the counters must balance. */
export function conformance(
  ids: Ids,
  title: string,
  run: (bench: Bench) => Promise<void>,
  options: CaseOptions = {},
): void {
  const body = async (meta: ConformanceMeta): Promise<void> => {
    const bench = await openBench()
    const before = keptCounters(await bench.mp.counters())
    await run(bench)
    if (!bench.mp.closed) {
      const after = await settled(bench.mp)
      expectBalance(after)
      meta.counters = options.chance === true ? undefined : { before, after: keptCounters(after) }
    }
  }
  register(ids, title, body, options)
}

let cases = 0

/** A session and a directory of its own on each volume. */
export class Bench {
  readonly mp: Minipend
  readonly #directory = `conformance-${process.pid}-${++cases}`

  constructor(mp: Minipend) {
    this.mp = mp
  }

  /** @internal */
  async prepare(): Promise<void> {
    for (const volume of Object.values(VOLUMES)) {
      await this.mp.io.mkdir(`${volume}\\${this.#directory}`)
    }
  }

  /** Attaches to the ntfs volume, or to the one that is named. */
  async attach(volume: string = VOLUMES.ntfs): Promise<void> {
    await this.mp.attach(volume)
  }

  /** A full path in the directory of this case. */
  readonly at = (name: string, volume: string = VOLUMES.ntfs): string =>
    name === '' ? `${volume}\\${this.#directory}` : `${volume}\\${this.#directory}\\${name}`

  /** The same as rules and held operations have it: from the volume's root. */
  readonly path = (name: string): string => this.at(name, '')

  /** All that is in the directory of this case, for a rule's path. */
  get everything(): string {
    return this.path('*')
  }

  /** Sets rules that are for this directory alone. */
  async rules(...given: readonly (Omit<Rule, 'path'> & { readonly path?: string })[]): Promise<void> {
    await this.mp.rules.set(given.map((rule) => ({ path: this.everything, ...rule })))
  }

  gate(options: GateOptions): Promise<Gate> {
    return this.mp.gate({ path: this.everything, ...options })
  }

  /** Opens a file for reading and writing that is made when it is not there. */
  file(name: string, options: FileOpenOptions = {}, volume: string = VOLUMES.ntfs): Promise<File> {
    return this.mp.io.open(this.at(name, volume), { access: 'readwrite', create: 'openAlways', ...options })
  }

  /** A file with this content, closed again. */
  async filled(name: string, content: string | Uint8Array = 'content', volume?: string): Promise<string> {
    const path = this.at(name, volume)
    await this.mp.io.writeFile(path, content)
    return path
  }
}

export async function openBench(): Promise<Bench> {
  const bench = new Bench(await session())
  await bench.prepare()
  return bench
}

/** A promise, and whether it has settled: what a held operation's caller knows. */
export class Watched<T> {
  settled = false
  readonly promise: Promise<T>

  constructor(promise: Promise<T>) {
    this.promise = promise.finally(() => (this.settled = true))
    // Whoever looks at it later sees the failure.
    this.promise.catch(() => undefined)
  }
}

/** Fails unless the caller is still waiting: nothing else has to happen for it to be told. */
export const expectWaiting = (watched: Watched<unknown>): void =>
  expect(watched.settled, 'the caller was told before the operation was given back').toBe(false)

export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

/** The next events, so many, none of which was lost. */
export async function take(events: EventStream, count: number): Promise<EventRecord[]> {
  const records: EventRecord[] = []
  while (records.length < count) {
    const batch = await events.next(PATIENCE)
    expect(batch.lost).toBe(0n)
    records.push(...batch)
  }
  return records
}

/** Lets everything that can go on go on: calls on another volume, one after the other. For what no answer tells of. */
export async function turns({ mp }: Bench): Promise<void> {
  for (let round = 0; round < 30; round++) {
    await mp.io.exists('C:\\nothing')
  }
}
