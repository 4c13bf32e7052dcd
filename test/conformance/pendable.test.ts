// SPDX-License-Identifier: MIT
//
// What may be pended: the product of what an operation can be (form, paging, top-level IRP, draining), what can fail (the allocation of the work item, the
// queue call) and what a rule asks for. Each cell that can come about is a case; the others are in IMPOSSIBLE, with the reason.

import { describe, expect, it } from 'vitest'
import {
  type Action,
  type File,
  observe,
  type OperationCounters,
  type OperationName,
  pend,
  REFUSAL_NAMES,
  type RefusalName,
  synchronize,
  whenSafe,
} from '../../src/index.js'
import { type Bench, conformanceOf, openBench, settled, VOLUMES, waitingForStorage } from './case.js'

const FORMS = ['irp', 'fastIo', 'fsFilter'] as const
const FAULTS = ['none', 'allocation', 'notSafe', 'deleting'] as const
const ACTIONS = ['pend', 'gate', 'observe', 'whenSafe', 'synchronize'] as const
type Form = (typeof FORMS)[number]
type Fault = (typeof FAULTS)[number]
type ActionName = (typeof ACTIONS)[number]

interface Kind {
  readonly form: Form
  readonly paging: boolean
  readonly topLevelIrp: boolean
  readonly draining: boolean
}

/** A way to make operations of one kind, and no other operation of that name. */
interface Situation extends Kind {
  readonly title: string
  /** No name is to be had there, so the rule is for the whole volume [NAME-02]. */
  readonly nameless?: boolean
  readonly operation: OperationName
  readonly volume: string
  /** Before the rule is set. Value: makes them. */
  readonly prepare: (bench: Bench) => Promise<() => Promise<void>>
}

const PAGE = 4096

async function mapped(bench: Bench): Promise<File> {
  const file = await bench.file('mapped', { noBuffering: true })
  await file.write(new Uint8Array(PAGE), { at: 0 })
  return file
}

const renaming =
  (volume: string) =>
  async (bench: Bench): Promise<() => Promise<void>> => {
    const path = await bench.filled('old', 'content', volume)
    return async () => {
      await bench.mp.io.rename(path, 'new')
      expect(await bench.mp.io.readFile(bench.at('new', volume), { encoding: 'utf8' })).toBe('content')
    }
  }

const SITUATIONS: readonly Situation[] = [
  {
    ...{ title: 'a rename', form: 'irp', paging: false, topLevelIrp: false, draining: false },
    ...{ operation: 'rename', volume: VOLUMES.ntfs },
    prepare: renaming(VOLUMES.ntfs),
  },
  {
    ...{ title: 'a rename on FAT', form: 'irp', paging: false, topLevelIrp: true, draining: false },
    ...{ operation: 'rename', volume: VOLUMES.fat },
    prepare: renaming(VOLUMES.fat),
  },
  {
    ...{ title: 'the flush of a view', form: 'irp', paging: true, topLevelIrp: true, draining: false },
    ...{ nameless: true, operation: 'write', volume: VOLUMES.ntfs },
    prepare: async (bench) => {
      const view = await (await mapped(bench)).map({ length: PAGE, writable: true })
      return async () => {
        await view.write(10, 'changed')
        await view.flush()
        await view.close()
      }
    },
  },
  {
    ...{ title: 'the page-in of a view', form: 'irp', paging: true, topLevelIrp: false, draining: false },
    ...{ nameless: true, operation: 'read', volume: VOLUMES.ntfs },
    prepare: async (bench) => {
      const file = await mapped(bench)
      return async () => {
        const view = await file.map({ length: PAGE })
        expect(await view.read(0, PAGE)).toEqual(new Uint8Array(PAGE))
      }
    },
  },
  {
    ...{ title: 'a second cached write', form: 'fastIo', paging: false, topLevelIrp: false, draining: false },
    ...{ operation: 'write', volume: VOLUMES.ntfs },
    prepare: async (bench) => {
      const file = await bench.file('cached')
      await file.write('first')
      return async () => {
        expect(await file.write('second')).toBe(6)
      }
    },
  },
  {
    ...{ title: 'the making of a section', form: 'fsFilter', paging: false, topLevelIrp: false, draining: false },
    ...{ operation: 'sectionSync', volume: VOLUMES.ntfs },
    prepare: async (bench) => {
      const file = await mapped(bench)
      return async () => {
        expect(await (await file.map({ length: PAGE })).read(0, 1)).toEqual(Uint8Array.of(0))
      }
    },
  },
  {
    ...{ title: 'the cache flush in a flush', form: 'fsFilter', paging: false, topLevelIrp: true, draining: false },
    ...{ nameless: true, operation: 'ccFlush', volume: VOLUMES.ntfs },
    prepare: async (bench) => {
      const file = await bench.file('flushed')
      await file.write('content')
      return () => file.flush()
    },
  },
  {
    ...{ title: 'a write that is drained', form: 'irp', paging: false, topLevelIrp: false, draining: true },
    ...{ operation: 'write', volume: VOLUMES.ntfs },
    prepare: async (bench) => {
      const file = await bench.file('raw', { noBuffering: true, overlapped: true })
      return async () => {
        bench.mp.model.setStorageDelay({ delayMs: 60_000 })
        const end = new AbortController()
        const writing = file.write(new Uint8Array(PAGE), { at: 0, signal: end.signal }).catch(() => 'aborted')
        try {
          await waitingForStorage(bench.mp, 1)
          const [instance] = (await bench.mp.counters()).byInstance
          await bench.mp.detach({ volume: VOLUMES.ntfs, name: instance?.name ?? '' })
          // It goes on below.
          expect(bench.mp.model.report().waitingForStorage).toBe(1)
        } finally {
          end.abort()
        }
        expect(await writing).toBe('aborted')
      }
    },
  },
]

/** Kinds that no call makes. */
const IMPOSSIBLE: readonly (Partial<Kind> & { readonly why: string })[] = [
  { form: 'fastIo', paging: true, why: 'paging I/O is always an IRP' },
  { form: 'fsFilter', paging: true, why: 'paging I/O is always an IRP' },
  { form: 'fastIo', draining: true, why: 'a fast I/O call ends in its own thread before a teardown looks' },
  { form: 'fsFilter', draining: true, why: 'an FS-filter call ends in its own thread before a teardown looks' },
  { form: 'fastIo', topLevelIrp: true, why: 'fast I/O is tried before any IRP of its thread' },
  { form: 'irp', paging: true, draining: true, why: 'paging I/O never waits for the storage of the model' },
  { form: 'irp', topLevelIrp: true, draining: true, why: 'a draining call is on the thread that tears down' },
]

type Outcome = 'pended' | 'observed' | 'whenSafe' | 'synchronized' | 'draining' | `refused ${RefusalName}`

/** README.md: the first cause that applies is the one that counts. */
function expected(kind: Kind, fault: Fault, action: ActionName): Outcome {
  if (action === 'observe') {
    return kind.draining ? 'draining' : 'observed'
  }
  if (kind.draining) {
    return 'refused draining'
  }
  if (kind.form !== 'irp') {
    // These two actions send fast I/O back, and have it as an IRP.
    const again = kind.form === 'fastIo' && (action === 'whenSafe' || action === 'synchronize')
    return again ? (action === 'whenSafe' ? 'whenSafe' : 'synchronized') : 'refused notIrp'
  }
  if (kind.paging) {
    return 'refused paging'
  }
  if (action === 'whenSafe') {
    return 'whenSafe'
  }
  if (action === 'synchronize') {
    return 'synchronized'
  }
  switch (fault) {
    case 'allocation':
      return 'refused allocation'
    case 'none':
      return kind.topLevelIrp ? 'refused topLevelIrp' : 'pended'
    case 'notSafe':
      return kind.topLevelIrp ? 'refused topLevelIrp' : 'refused unsafe'
    case 'deleting':
      return kind.topLevelIrp ? 'refused topLevelIrp' : 'refused tearingDown'
  }
}

const OUTCOMES = ['pended', 'observed', 'whenSafe', 'synchronized', 'draining'] as const

/** Every outcome that was counted. */
function outcomesOf(counters: OperationCounters): string[] {
  return [
    ...OUTCOMES.filter((name) => counters[name] > 0n),
    ...REFUSAL_NAMES.filter((name) => counters.refused[name] > 0n).map((name) => `refused ${name}`),
  ]
}

const SWITCHES: Readonly<Record<Exclude<Fault, 'none'>, string>> = {
  allocation: 'FltAllocateDeferredIoWorkItem',
  notSafe: 'FltQueueDeferredIoWorkItem:STATUS_FLT_NOT_SAFE_TO_POST_OPERATION',
  deleting: 'FltQueueDeferredIoWorkItem:STATUS_FLT_DELETING_OBJECT',
}

/** What a cell with this outcome shows. */
function idsOf(kind: Kind, action: ActionName, outcome: Outcome): string {
  switch (outcome) {
    case 'pended':
      return 'POST-06'
    case 'observed':
      return kind.form === 'fsFilter' ? 'T11' : kind.paging ? 'FORM-03' : 'FORM-01'
    case 'whenSafe':
      return kind.form === 'fastIo' ? 'PRE-04' : kind.topLevelIrp ? 'SAFE-02 SAFE-06' : 'SAFE-02'
    case 'synchronized':
      return kind.form === 'fastIo' ? 'PRE-04 SYNC-01' : 'SYNC-01'
    case 'draining':
      return 'DRAIN-01'
    case 'refused draining':
      return 'DRAIN-01 DRAIN-04'
    case 'refused notIrp':
      return action === 'whenSafe'
        ? 'SAFE-01'
        : kind.form === 'fastIo'
          ? 'POST-10 POST-21 X02 T09'
          : 'POST-10 POST-21 X02 T11'
    case 'refused paging':
      return action === 'whenSafe' ? 'SAFE-01' : 'POST-11 FORM-03 T10'
    case 'refused allocation':
      return 'POST-01 POST-16 T13'
    case 'refused topLevelIrp':
      return 'POST-12 POST-13 T12'
    case 'refused unsafe':
      return 'POST-16 T14'
    case 'refused tearingDown':
      return 'POST-14 POST-16 LIFE-15 T15'
    case 'refused policy':
    case 'refused capacity':
      throw new Error(`no rule is known for ${outcome}`)
  }
}

const ACTION_OF: Readonly<Record<Exclude<ActionName, 'gate'>, Action>> = {
  pend: pend({ fastIo: 'refuse' }),
  observe: observe(),
  whenSafe: whenSafe(),
  synchronize: synchronize(),
}

async function setAction(bench: Bench, situation: Situation, action: ActionName): Promise<void> {
  const { operation, volume, nameless = false } = situation
  const where = nameless ? { volume } : { path: bench.everything }
  if (action === 'gate') {
    // Given back by its deadline: nobody has to release it.
    await bench.mp.gate({ on: [operation], ...where, deadlineMs: 1, fastIo: 'refuse' })
  } else {
    await bench.mp.rules.set([{ on: [operation], ...where, action: ACTION_OF[action] }])
  }
}

/** What only faults bring about is for the model; the rest any file system may show. */
const LANES_OF = (situation: Situation, fault: Fault): { readonly lanes?: readonly ['embedded'] } =>
  fault === 'none' && !situation.draining ? {} : { lanes: ['embedded'] }

describe('what may be pended', () => {
  for (const situation of SITUATIONS) {
    for (const action of ACTIONS) {
      for (const fault of FAULTS) {
        const outcome = expected(situation, fault, action)
        const title = `${situation.title}, ${action}, ${fault === 'none' ? 'nothing fails' : `${fault} fails`}: ${outcome}`
        conformanceOf(
          idsOf(situation, action, outcome),
          title,
          async () => {
            const bench = await openBench()
            const { mp } = bench
            const act = await situation.prepare(bench)
            await mp.attach(situation.volume)
            await setAction(bench, situation, action)
            if (fault !== 'none') {
              mp.model.setFault(SWITCHES[fault], { count: 1000 })
            }
            await act()
            const { byOperation, balance } = await settled(mp)
            expect(outcomesOf(byOperation[situation.operation])).toEqual([outcome])
            expect(balance.problems).toEqual([])
          },
          LANES_OF(situation, fault),
        )
      }
    }
  }

  it('has a case or a reason for each kind of operation', () => {
    const kinds = FORMS.flatMap((form) =>
      [false, true].flatMap((paging) =>
        [false, true].flatMap((topLevelIrp) =>
          [false, true].map((draining): Kind => ({ form, paging, topLevelIrp, draining })),
        ),
      ),
    )
    const fits = (kind: Kind, pattern: Partial<Kind>): boolean =>
      (Object.keys(kind) as (keyof Kind)[]).every((key) => pattern[key] === undefined || pattern[key] === kind[key])
    const covered = (kind: Kind): number => SITUATIONS.filter((situation) => fits(kind, situation)).length
    const excluded = (kind: Kind): number => IMPOSSIBLE.filter((pattern) => fits(kind, pattern)).length
    expect(kinds.filter((kind) => covered(kind) > 0 === excluded(kind) > 0)).toEqual([])
  })
})
