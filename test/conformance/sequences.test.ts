// SPDX-License-Identifier: MIT
//
// The operations that common calls are made of: docs/FIDELITY.md has the same traces. Each is what the driver's post-operations see, in the order of
// completion: form, IRP flags, IRQL and top-level IRP. Everything that may be pended is.

import { describe, expect } from 'vitest'
import { type Bench, conformance, turns, VOLUMES } from './case.js'
import { shown, trace, type TraceOptions, traceText } from './trace.js'

const PAGE = 4096
const CLOSED = 'cleanup(I,0x404)@0[none] close(I,0x404)@-[none]'
const CREATE = 'create(I,0x884)@0[none]'

type Act = () => Promise<unknown>

interface Sequence {
  readonly ids: string
  readonly call: string
  readonly options?: TraceOptions
  readonly expected: string
  /** Value: the call. */
  readonly prepare: (bench: Bench) => Promise<Act>
}

/** A file none of which is in the cache. */
async function uncached(bench: Bench, volume: string = VOLUMES.ntfs): Promise<void> {
  await using file = await bench.file('file', { noBuffering: true }, volume)
  await file.write(new Uint8Array(64 * PAGE), { at: 0 })
}

const SEQUENCES: readonly Sequence[] = [
  {
    ...{ ids: 'SEQ-02', call: 'GetFileAttributes', expected: 'queryOpen(F)@-[none]' },
    prepare: async (bench) => {
      const path = await bench.filled('file')
      return () => bench.mp.io.win32.getFileAttributes(path)
    },
  },
  {
    ...{ ids: 'SEQ-02 PRE-04', call: 'GetFileAttributes, its fast I/O sent back', options: { asIrps: true } },
    expected: `${CREATE} queryInformation(I,0x874)@0[none] ${CLOSED}`,
    prepare: async (bench) => {
      const path = await bench.filled('file')
      return () => bench.mp.io.win32.getFileAttributes(path)
    },
  },
  {
    ...{ ids: 'SEQ-03 FORM-03', call: 'the first cached read' },
    expected: 'read(I,0x43)@1[irp] read(I,0x900)@0[none]',
    prepare: async (bench) => {
      await uncached(bench)
      const file = await bench.file('file', { randomAccess: true })
      return () => file.read(100, { at: 0 })
    },
  },
  {
    ...{ ids: 'SEQ-03 POST-13', call: 'the first cached read on FAT', options: { volume: VOLUMES.fat } },
    expected: 'read(I,0x43)@1[irp] read(I,0x900)@0[irp]',
    prepare: async (bench) => {
      await uncached(bench, VOLUMES.fat)
      const file = await bench.file('file', { randomAccess: true }, VOLUMES.fat)
      return () => file.read(100, { at: 0 })
    },
  },
  {
    ...{ ids: 'SEQ-04 FORM-01', call: 'a cached read that hits', expected: 'read(F)@-[none]' },
    prepare: async (bench) => {
      await uncached(bench)
      const file = await bench.file('file', { randomAccess: true })
      await file.read(100, { at: 0 })
      return () => file.read(100, { at: 0 })
    },
  },
  {
    ...{ ids: 'SEQ-04 POST-15', call: 'a later cached read that misses' },
    expected: 'read(I,0x43)@1[fastIo] read(F)@-[none]',
    prepare: async (bench) => {
      await uncached(bench)
      const file = await bench.file('file', { randomAccess: true })
      await file.read(100, { at: 0 })
      return () => file.read(100, { at: 40 * PAGE })
    },
  },
  {
    ...{ ids: 'SEQ-05 POST-15', call: 'an overlapped cached read that misses', options: { system: true } },
    expected: 'read(I,0x43)@1[other] read(I,0x900)@0[other]',
    prepare: async (bench) => {
      await uncached(bench)
      const file = await bench.file('file', { overlapped: true, randomAccess: true })
      return () => file.read(100, { at: 0 })
    },
  },
  {
    ...{ ids: 'SEQ-05 POST-15', call: 'the same on FAT', options: { system: true, volume: VOLUMES.fat } },
    expected: 'read(I,0x43)@1[fsp] read(I,0x900)@0[fsp]',
    prepare: async (bench) => {
      await uncached(bench, VOLUMES.fat)
      const file = await bench.file('file', { overlapped: true, randomAccess: true }, VOLUMES.fat)
      return () => file.read(100, { at: 0 })
    },
  },
  {
    ...{ ids: 'SEQ-06', call: 'a non-cached read', expected: 'read(I,0x901)@0[none]' },
    prepare: async (bench) => {
      await uncached(bench)
      const file = await bench.file('file', { noBuffering: true })
      return () => file.read(PAGE, { at: 0 })
    },
  },
  {
    ...{ ids: 'SEQ-07 POST-15', call: 'a cached write, and the lazy writer', options: { system: true, atLeast: 3 } },
    expected: 'write(I,0xa00)@0[none] write(I,0x43)@0[cache] setEndOfFile(I,0x42)@0[cache]',
    prepare: async (bench) => {
      const file = await bench.file('file')
      return () => file.write('hello')
    },
  },
  {
    ...{ ids: 'SEQ-08', call: 'a write through the cache' },
    expected: 'ccFlush(S)@0[irp] write(I,0x43)@0[irp] ccFlush(S)@0[irp] write(I,0xa00)@0[none]',
    prepare: async (bench) => {
      const file = await bench.file('file', { writeThrough: true })
      return () => file.write('hello')
    },
  },
  {
    ...{ ids: 'SEQ-09', call: 'FlushFileBuffers' },
    expected: 'ccFlush(S)@0[irp] write(I,0x43)@0[irp] ccFlush(S)@0[irp] flush(I,0x4)@0[none]',
    prepare: async (bench) => {
      const file = await bench.file('file')
      await file.write('hello')
      return () => file.flush()
    },
  },
  {
    ...{ ids: 'SEQ-10', call: 'the mapping of a file' },
    expected: 'sectionSync(S)@0[none] queryInformation(F)@-[none] sectionSync(S)@0[none] read(I,0x43)@1[none]',
    prepare: async (bench) => {
      await uncached(bench)
      const file = await bench.file('file')
      return () => file.map({ length: PAGE })
    },
  },
  {
    ...{ ids: 'SEQ-11 POST-15', call: 'FlushViewOfFile' },
    expected: 'ccFlush(S)@0[modWrite] write(I,0x43)@0[modWrite] ccFlush(S)@0[modWrite]',
    prepare: async (bench) => {
      await uncached(bench)
      const view = await (await bench.file('file')).map({ length: PAGE, writable: true })
      await view.write(0, 'changed')
      return () => view.flush()
    },
  },
  {
    ...{ ids: 'SEQ-14', call: 'DeleteFile' },
    expected: `${CREATE} queryInformation(I,0x870)@0[none] delete(I,0x830)@0[none] ${CLOSED}`,
    prepare: async (bench) => {
      const path = await bench.filled('file')
      return () => bench.mp.io.win32.deleteFile(path)
    },
  },
  {
    ...{ ids: 'SEQ-14', call: 'FILE_FLAG_DELETE_ON_CLOSE', expected: `${CREATE} ${CLOSED}` },
    prepare: async (bench) => {
      const path = await bench.filled('file')
      return async () => (await bench.mp.io.open(path, { access: 'delete', deleteOnClose: true })).close()
    },
  },
  {
    ...{ ids: 'SEQ-15', call: 'MoveFile' },
    expected: `${CREATE} ${CREATE} rename(I,0x830)@0[none] ${CLOSED} ${CLOSED}`,
    prepare: async (bench) => {
      const path = await bench.filled('file')
      await bench.mp.io.mkdir(bench.at('dir'))
      return () => bench.mp.io.win32.moveFile(path, bench.at('dir\\moved'))
    },
  },
  {
    ...{ ids: 'SEQ-15', call: 'CreateHardLink' },
    expected: `${CREATE} ${CREATE} link(I,0x830)@0[none] ${CLOSED} ${CLOSED}`,
    prepare: async (bench) => {
      const path = await bench.filled('file')
      await bench.mp.io.mkdir(bench.at('dir'))
      return () => bench.mp.io.win32.createHardLink(bench.at('dir\\linked'), path)
    },
  },
  {
    ...{ ids: 'SEQ-16', call: 'FindFirstFile to the end' },
    expected: `${CREATE} queryDirectory(I,0x800)@0[none] queryDirectory(I,0x800)@0[none] ${CLOSED}`,
    prepare: async (bench) => {
      await bench.filled('file')
      return async () => {
        for await (const { name } of await bench.mp.io.win32.findFirstFile(bench.at('f*'))) {
          expect(name).toBe('file')
        }
      }
    },
  },
  {
    ...{ ids: 'SEQ-17 T35', call: 'a notification: it ends in the thread that creates, before the create' },
    expected: `notifyDirectory(I,0x0)@0[irp] ${CREATE}`,
    prepare: async (bench) => {
      const directory = await bench.mp.io.open(bench.at(''), { directory: true, overlapped: true })
      return async () => {
        const watch = directory.watch({ filter: ['fileName'] })
        await watch.started
        await bench.file('new')
        expect((await watch.next()).value).toEqual({ kind: 'added', name: 'new' })
        // Its next request would be cancelled.
        await watch.close()
      }
    },
  },
  {
    ...{ ids: 'SEQ-18', call: 'a lock that is free', expected: 'lock(F)@-[none]' },
    prepare: async (bench) => {
      const file = await bench.file('file', { overlapped: true })
      return () => file.lock({ offset: 0, length: 1 })
    },
  },
  {
    ...{ ids: 'SEQ-18 POST-35', call: 'a lock that waits, and the unlock that grants it' },
    expected: 'lock(F)@-[none] lock(I,0x0)@0[fastIo] lock(F)@-[none]',
    prepare: async (bench) => {
      const [first, second] = [
        await bench.file('file', { overlapped: true }),
        await bench.file('file', { overlapped: true }),
      ]
      const lock = await first.lock({ offset: 0, length: 1 })
      return async () => {
        const waiting = second.lock({ offset: 0, length: 1 })
        // Its fast I/O is turned away before it waits.
        while ((await bench.mp.counters()).byOperation.lock.refused.notIrp === 0n);
        await turns(bench)
        await lock.unlock()
        await waiting
      }
    },
  },
  {
    ...{ ids: 'SEQ-20', call: 'CloseHandle', expected: CLOSED },
    prepare: async (bench) => {
      const file = await bench.file('file')
      return () => file.close()
    },
  },
  {
    ...{ ids: 'SEQ-20', call: 'CloseHandle with locks', expected: `lock(F)@-[none] ${CLOSED}` },
    prepare: async (bench) => {
      const file = await bench.file('file')
      await file.lock({ offset: 0, length: 1 })
      return () => file.close()
    },
  },
  {
    ...{ ids: 'SEQ-22', call: 'a create that fails', expected: CREATE },
    prepare: (bench) =>
      Promise.resolve(() =>
        expect(bench.mp.io.open(bench.at('none'))).rejects.toMatchObject({ code: 'ERROR_FILE_NOT_FOUND' }),
      ),
  },
]

describe('the operations of a call', () => {
  for (const { ids, call, options, expected, prepare } of SEQUENCES) {
    conformance(ids, call, async (bench) => {
      const act = await prepare(bench)
      await bench.attach(options?.volume)
      expect(await traceText(bench, act, options)).toBe(expected)
    })
  }

  conformance('SEQ-01 T07 POST-34', 'an open through a junction is two creates', async (bench) => {
    await bench.mp.io.mkdir(bench.at('dir'))
    await bench.filled('dir\\file')
    await bench.mp.io.junction(bench.at('dir'), bench.at('junction'))
    await bench.attach()
    const seen = await trace(bench, () => bench.mp.io.open(bench.at('junction\\file')))
    expect(seen.map(({ operation, path, status }) => [operation, path, status.name])).toEqual([
      ['create', bench.path('junction\\file'), 'STATUS_REPARSE'],
      ['create', bench.path('dir\\file'), 'STATUS_SUCCESS'],
    ])
  })

  conformance(
    'SEQ-06 IRQL-01 T02',
    'an overlapped non-cached read ends at DISPATCH_LEVEL',
    async (bench) => {
      await uncached(bench)
      const file = await bench.file('file', { noBuffering: true, overlapped: true })
      await bench.attach()
      // In whose thread, and so under which top-level IRP, is chance.
      expect(await traceText(bench, () => file.read(PAGE, { at: 0 }))).toMatch(/^read\(I,0x901\)@2\[\w+\]$/)
    },
    { chance: true },
  )

  conformance(
    'SEQ-19 POST-35 T35',
    'an oplock request ends when it breaks, in the thread of the breaker, who waits',
    async (bench) => {
      const path = await bench.filled('file')
      const owner = await bench.file('file', { overlapped: true })
      await bench.attach()
      const seen = await trace(bench, async () => {
        const oplock = await owner.oplock('rwh')
        const breaking = bench.mp.io.open(path, { access: 'readwrite', create: 'truncate' })
        await oplock.broken
        await oplock.acknowledge()
        await breaking
      })
      const [request, ...others] = seen
      expect(request).toMatchObject({ kind: 'refused', postOperation: { thread: 'arbitrary' } })
      expect(seen.map(shown)[0]).toBe('fsControl(I,0x870)@0[irp]')
      // The acknowledgement lets the breaker go on: which of the two ends first is chance.
      expect(others.map(shown).sort()).toEqual([CREATE, 'fsControl(I,0x870)@0[none]'])
    },
  )

  conformance(
    'SEQ-12',
    'the mapped page writer writes what a view has changed, between MOD_WRITE calls',
    async (bench) => {
      await uncached(bench)
      const file = await bench.file('file')
      const view = await file.map({ length: PAGE, writable: true })
      await bench.attach()
      const seen = await trace(
        bench,
        async () => {
          await view.write(0, 'changed')
          await view.close()
          await file.close()
        },
        { system: true, atLeast: 5 },
      )
      const written = seen.filter(({ operation }) => operation === 'modWrite' || operation === 'write')
      expect(written.map(({ operation }) => operation)).toEqual(['modWrite', 'write', 'modWrite'])
      expect(written[1]?.postOperation).toMatchObject({
        ...{ irql: 'DISPATCH_LEVEL', synchronous: false, irpFlags: ['IRP_NOCACHE', 'IRP_PAGING_IO'] },
      })
    },
  )

  conformance('SEQ-21', 'a copy opens both, copies piece by piece, sets times and closes both', async (bench) => {
    const path = await bench.filled('file')
    await bench.attach()
    const seen = await trace(bench, () => bench.mp.io.win32.copyFile(path, bench.at('copy')))
    expect(seen.map(({ operation }) => operation).join(' ')).toMatch(
      /^create (queryInformation )+queryVolume (queryInformation )*create setEndOfFile (read |write )+setInformation cleanup cleanup/,
    )
    expect(await bench.mp.io.readFile(bench.at('copy'), { encoding: 'utf8' })).toBe('content')
  })

  conformance(
    'POST-35',
    'what waits below has no post-operation until it ends, and never ends as pending',
    async (bench) => {
      await bench.attach()
      const directory = await bench.mp.io.open(bench.at(''), { directory: true, overlapped: true })
      await using events = await bench.mp.events({ kinds: ['taken', 'refused'] })
      await bench.mp.rules.set([{ on: ['notifyDirectory'], volume: VOLUMES.ntfs, action: { kind: 'pend' } }])
      const watch = directory.watch({ filter: ['fileName'] })
      await watch.started
      expect((await bench.mp.counters()).byOperation.notifyDirectory.postOperations).toBe(0n)
      await bench.file('new')
      await watch.next()
      const [first] = await events.next({ timeoutMs: 15_000 })
      expect(first).toMatchObject({ operation: 'notifyDirectory', status: { name: 'STATUS_SUCCESS' } })
      await watch.close()
    },
  )
})
