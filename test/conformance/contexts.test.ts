// SPDX-License-Identifier: MIT
//
// In which context post-operations come (IRQL, thread, top-level IRP), and what the callback data says of the operation.

import { describe, expect } from 'vitest'
import { type EventRecord, FSCTL, type OperationName, type PostOperation, synchronize } from '../../src/index.js'
import { type Bench, conformance, PATIENCE, settled, take, VOLUMES, Watched } from './case.js'
import { trace, type TraceOptions } from './trace.js'

const PAGE = 4096

interface Context {
  readonly ids: string
  readonly what: string
  readonly operation: OperationName
  readonly options?: TraceOptions
  /** As in CaseOptions. */
  readonly chance?: boolean
  readonly prepare: (bench: Bench) => Promise<() => Promise<unknown>>
  /** Of each operation of that name. */
  readonly expected: Partial<PostOperation>
}

async function raw(bench: Bench): Promise<void> {
  await using file = await bench.file('file', { noBuffering: true })
  await file.write(new Uint8Array(4 * PAGE), { at: 0 })
}

/** Sources disagree about these [X05, X10]. */
const BELOW_DISPATCH = expect.stringMatching(/^(PASSIVE|APC)_LEVEL$/) as PostOperation['irql']

const CONTEXTS: readonly Context[] = [
  {
    ...{ ids: 'IRQL-02 INFO-07', what: 'a create', operation: 'create' },
    prepare: (bench) => Promise.resolve(() => bench.file('new')),
    expected: {
      ...{ irql: 'PASSIVE_LEVEL', thread: 'requestor', topLevelIrp: 'none' },
      irpFlags: ['IRP_SYNCHRONOUS_API', 'IRP_CREATE_OPERATION', 'IRP_DEFER_IO_COMPLETION'],
    },
  },
  {
    ...{ ids: 'IRQL-02 POST-13', what: 'a create on FAT', operation: 'create', options: { volume: VOLUMES.fat } },
    prepare: (bench) => Promise.resolve(() => bench.file('new', {}, VOLUMES.fat)),
    expected: { irql: 'PASSIVE_LEVEL', thread: 'requestor', topLevelIrp: 'none' },
  },
  {
    ...{ ids: 'POST-13', what: 'a write on FAT', operation: 'write', options: { volume: VOLUMES.fat } },
    prepare: async (bench) => {
      const file = await bench.file('file', {}, VOLUMES.fat)
      return () => file.write('x')
    },
    expected: { irql: 'PASSIVE_LEVEL', thread: 'requestor', topLevelIrp: 'irp' },
  },
  {
    ...{
      ids: 'POST-13',
      what: 'a directory query on FAT',
      operation: 'queryDirectory',
      options: { volume: VOLUMES.fat },
    },
    prepare: (bench) => Promise.resolve(() => bench.mp.io.list(bench.at('', VOLUMES.fat))),
    expected: { topLevelIrp: 'irp' },
  },
  {
    ...{ ids: 'POST-13', what: 'a cleanup on FAT', operation: 'cleanup', options: { volume: VOLUMES.fat } },
    prepare: async (bench) => {
      const file = await bench.file('file', {}, VOLUMES.fat)
      return () => file.close()
    },
    expected: { topLevelIrp: 'irp' },
  },
  {
    // Whether it can be pended is up to the thread that the DPC interrupts.
    ...{ ids: 'IRQL-01 BUF-04 INFO-07', what: 'an overlapped non-cached read', operation: 'read', chance: true },
    prepare: async (bench) => {
      await raw(bench)
      const file = await bench.file('file', { noBuffering: true, overlapped: true })
      return () => file.read(PAGE, { at: 0 })
    },
    expected: {
      ...{ irql: 'DISPATCH_LEVEL', synchronous: false },
      irpFlags: ['IRP_NOCACHE', 'IRP_READ_OPERATION', 'IRP_DEFER_IO_COMPLETION'],
    },
  },
  {
    ...{ ids: 'BUF-04', what: 'a non-cached read of a synchronous handle', operation: 'read' },
    prepare: async (bench) => {
      await raw(bench)
      const file = await bench.file('file', { noBuffering: true })
      return () => file.read(PAGE, { at: 0 })
    },
    expected: { irql: 'PASSIVE_LEVEL', synchronous: true, thread: 'requestor' },
  },
  {
    ...{ ids: 'BUF-04', what: 'an overlapped cached write', operation: 'write' },
    prepare: async (bench) => {
      const file = await bench.file('file', { overlapped: true })
      return () => file.write('x', { at: 0 })
    },
    expected: { synchronous: false, systemBuffer: false },
  },
  {
    ...{ ids: 'BUF-04 INFO-05', what: 'a buffered control call of an overlapped handle', operation: 'fsControl' },
    prepare: async (bench) => {
      const file = await bench.file('file', { overlapped: true })
      return () => file.fsctl(FSCTL.GET_REPARSE_POINT, { outputBytes: 100 }).catch(() => undefined)
    },
    expected: { synchronous: true, systemBuffer: true, generated: false, reissued: false },
  },
  {
    ...{ ids: 'BUF-04 FORM-03 INFO-07', what: 'the page-in of a view', operation: 'read' },
    prepare: async (bench) => {
      await raw(bench)
      const file = await bench.file('file')
      return () => file.map({ length: PAGE })
    },
    expected: { synchronous: true, irpFlags: ['IRP_NOCACHE', 'IRP_PAGING_IO', 'IRP_SYNCHRONOUS_PAGING_IO'] },
  },
  {
    ...{ ids: 'IRQL-04 BUF-04 X05 FORM-01', what: 'fast I/O', operation: 'write' },
    prepare: async (bench) => {
      const file = await bench.file('file')
      await file.write('first')
      return () => file.write('second')
    },
    expected: { irql: BELOW_DISPATCH, thread: 'requestor', synchronous: true, irpFlags: [], systemBuffer: false },
  },
  {
    ...{ ids: 'IRQL-05', what: 'the synchronisation of a section', operation: 'sectionSync' },
    prepare: async (bench) => {
      await raw(bench)
      const file = await bench.file('file')
      return () => file.map({ length: PAGE })
    },
    expected: { irql: 'PASSIVE_LEVEL', thread: 'requestor', irpFlags: [] },
  },
  {
    ...{ ids: 'X10 HAZ-01 INFO-07', what: 'a close', operation: 'close' },
    prepare: async (bench) => {
      const file = await bench.file('file')
      return () => file.close()
    },
    expected: {
      ...{ irql: BELOW_DISPATCH, kernelMode: true },
      irpFlags: ['IRP_SYNCHRONOUS_API', 'IRP_CLOSE_OPERATION'],
    },
  },
  {
    ...{ ids: 'INFO-05 INFO-07', what: 'a rename', operation: 'rename' },
    prepare: async (bench) => {
      const path = await bench.filled('file')
      return () => bench.mp.io.rename(path, 'new')
    },
    expected: {
      ...{ systemBuffer: true, generated: false, reissued: false, kernelMode: false },
      irpFlags: ['IRP_BUFFERED_IO', 'IRP_DEALLOCATE_BUFFER', 'IRP_DEFER_IO_COMPLETION'],
    },
  },
]

describe('the context of a post-operation', () => {
  for (const { ids, what, operation, options, chance = false, prepare, expected } of CONTEXTS) {
    const run = async (bench: Bench): Promise<void> => {
      const act = await prepare(bench)
      await bench.attach(options?.volume)
      const seen = (await trace(bench, act, options)).filter((each) => each.operation === operation)
      expect(seen.length).toBeGreaterThan(0)
      for (const { postOperation } of seen) {
        expect(postOperation).toMatchObject(expected)
      }
    }
    conformance(ids, `of ${what}`, run, { chance })
  }

  conformance(
    'IRQL-03 SYNC-01',
    'of a synchronised operation is its own thread, below DISPATCH_LEVEL',
    async (bench) => {
      await raw(bench)
      const file = await bench.file('file', { noBuffering: true })
      await bench.attach()
      await using events = await bench.mp.events({ kinds: ['completed'] })
      await bench.rules({ on: ['read'], action: synchronize() })
      await file.read(PAGE, { at: 0 })
      const [event] = await take(events, 1)
      expect(event?.postOperation).toMatchObject({
        thread: 'requestor',
        irql: expect.not.stringMatching('DISPATCH') as string,
      })
      expect((await settled(bench.mp)).byOperation.read.synchronized).toBe(1n)
    },
  )

  const who = 'is the caller, whoever gives back and in whose thread ever it ends'
  const requestor = async (bench: Bench): Promise<void> => {
    await raw(bench)
    const file = await bench.file('file', { noBuffering: true, overlapped: true })
    await bench.attach()
    const gate = await bench.gate({ on: ['create'] })
    const opening = new Watched(bench.file('other'))
    const held = await gate.next(PATIENCE)
    const { processId } = held
    expect(processId).not.toBe(4)
    await held.release()
    await opening.promise
    await gate.close()
    // It ends in a DPC.
    const seen = await trace(bench, () => file.read(PAGE, { at: 0 }))
    expect(seen.map((event) => event.processId)).toEqual([processId])
  }
  conformance('INFO-01', `the requestor ${who}`, requestor, { chance: true })
})

describe('names', () => {
  /** What a refused event says of a write on FAT, where every write ends under a top-level IRP. */
  conformance('NAME-04', 'are collected before the completion: those of FAT are there as well', async (bench) => {
    const file = await bench.file('file', {}, VOLUMES.fat)
    await bench.attach(VOLUMES.fat)
    const seen: EventRecord[] = await trace(bench, () => file.write('x'), { volume: VOLUMES.fat })
    expect(seen.map(({ operation, path, postOperation }) => [operation, path, postOperation.topLevelIrp])).toEqual([
      ['write', bench.path('file'), 'irp'],
    ])
  })

  conformance(
    'NAME-02',
    'cannot be had where the file system may not be asked: a rule with a path leaves that alone',
    async (bench) => {
      await raw(bench)
      const view = await (await bench.file('file')).map({ length: PAGE, writable: true })
      await bench.attach()
      await bench.rules({ on: ['write', 'ccFlush'], action: { kind: 'observe' } })
      await view.write(0, 'x')
      await view.flush()
      const { write, ccFlush } = (await settled(bench.mp)).byOperation
      expect(write.nameUnavailable).toBeGreaterThan(0n)
      expect(ccFlush.nameUnavailable).toBeGreaterThan(0n)
      expect([write.observed, ccFlush.observed]).toEqual([0n, 0n])
    },
  )

  conformance('NAME-02', 'cannot be had of a file that has been closed', async (bench) => {
    const file = await bench.file('file')
    await bench.attach()
    await bench.rules({ on: ['close'], action: { kind: 'observe' } })
    await file.close()
    expect((await settled(bench.mp)).byOperation.close).toMatchObject({
      nameUnavailable: 1n,
      observed: 0n,
      unmatched: 1n,
    })
  })

  for (const status of ['STATUS_INSUFFICIENT_RESOURCES', 'STATUS_FLT_NAME_CACHE_MISS', 'STATUS_ACCESS_DENIED']) {
    conformance(
      'NAME-03',
      `that fail with ${status} leave the operation alone`,
      async (bench) => {
        const file = await bench.file('file')
        await bench.attach()
        await bench.rules({ on: ['write'], action: { kind: 'pend', failWith: 'STATUS_DISK_FULL' } })
        bench.mp.model.setFault(`FltGetFileNameInformation:${status}`, { count: 1 })
        expect(await file.write('x')).toBe(1)
        expect((await settled(bench.mp)).byOperation.write).toMatchObject({
          nameUnavailable: 1n,
          pended: 0n,
          unmatched: 1n,
        })
      },
      { lanes: ['embedded'] },
    )
  }

  for (const operation of ['rename', 'link'] as const) {
    conformance('NAME-06', `of a ${operation}'s target fit a rule before it happens`, async (bench) => {
      const path = await bench.filled('old')
      await bench.mp.io.mkdir(bench.at('dir'))
      await bench.attach()
      await bench.rules({ on: [operation], path: bench.path('dir\\*'), action: { kind: 'pend' } })
      await (operation === 'rename'
        ? bench.mp.io.rename(path, bench.at('dir\\new'))
        : bench.mp.io.link(path, bench.at('dir\\new')))
      expect((await settled(bench.mp)).byOperation[operation].pended).toBe(1n)
    })
  }
})
