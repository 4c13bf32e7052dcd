// SPDX-License-Identifier: MIT
//
// Final statuses: which may be chosen, when they are told, what Information says, and the creates that need FltCancelFileOpen. And work queues.

import { describe, expect } from 'vitest'
import { type Action, InvalidRuleError, type OperationName, pend, synchronize, whenSafe } from '../../src/index.js'
import {
  BY_WORKER,
  type Bench,
  conformance,
  conformanceOf,
  openBench,
  PATIENCE,
  settled,
  take,
  VOLUMES,
  Watched,
} from './case.js'

const PAGE = 4096

describe('a status that is chosen', () => {
  for (const status of [
    'STATUS_PENDING',
    'STATUS_FLT_DISALLOW_FAST_IO',
    'STATUS_FLT_NOT_SAFE_TO_POST_OPERATION',
    'STATUS_SUCCESS',
    'STATUS_REPARSE',
    'STATUS_MORE_PROCESSING_REQUIRED',
  ] as const) {
    conformance('POST-32', `is not ${status}: a rule with it is refused`, async (bench) => {
      await bench.attach()
      const set = bench.rules({ on: ['write'], action: pend({ failWith: status }) })
      await expect(set).rejects.toBeInstanceOf(InvalidRuleError)
      const file = await bench.file('a')
      expect(await file.write('x')).toBe(1)
    })
  }

  for (const status of ['STATUS_PENDING', 'STATUS_FLT_DISALLOW_FAST_IO'] as const) {
    conformance(
      'POST-32',
      `is not ${status}: a release with it is refused, and the operation stays held`,
      async (bench) => {
        await bench.attach()
        const file = await bench.file('a')
        await using gate = await bench.gate({ on: ['write'] })
        const write = new Watched(file.write('x'))
        const held = await gate.next(PATIENCE)
        await expect(held.release({ status })).rejects.toThrow()
        expect(await bench.mp.held({ own: true })).toHaveLength(1)
        await held.release()
        expect(await write.promise).toBe(1)
      },
    )
  }

  const ACTIONS: readonly (readonly [ids: string, who: string, action: Action])[] = [
    ['POST-30 X03', 'a worker', pend({ failWith: 'STATUS_ACCESS_DENIED' })],
    ['SAFE-02', 'the callback of a safe completion', whenSafe({ failWith: 'STATUS_ACCESS_DENIED' })],
    ['SYNC-01', 'the thread of the operation', synchronize({ failWith: 'STATUS_ACCESS_DENIED' })],
  ]
  for (const [ids, who, action] of ACTIONS) {
    const told = async (bench: Bench): Promise<void> => {
      await bench.attach()
      const file = await bench.file('a')
      await bench.rules({ on: ['write'], action })
      await expect(file.write('x')).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED', win32: { value: 5 } })
      expect((await settled(bench.mp)).byOperation.write.failed).toBe(1n)
    }
    conformance(ids, `by ${who} is what the caller gets`, told, { unless: action.kind === 'pend' ? [BY_WORKER] : [] })
  }

  conformance(
    'T05 POST-30 POST-32',
    'for a query is told with no information',
    async (bench) => {
      const file = await bench.file('a', { overlapped: true })
      await bench.attach()
      await using port = await bench.mp.io.completionPort()
      await port.associate(file)
      await using gate = await bench.gate({ on: ['queryEa', 'read'] })
      await file.write('hello', { at: 0 })
      await port.next(PATIENCE)
      const reading = new Watched(file.read(5, { at: 0 }))
      const held = await gate.next(PATIENCE)
      expect(held.information).toBe(5n)
      await held.release({ status: 'STATUS_ACCESS_DENIED' })
      await expect(reading.promise).rejects.toMatchObject({ win32: { name: 'ERROR_ACCESS_DENIED', value: 5 } })
      expect(await port.next(PATIENCE)).toMatchObject([{ bytes: 0, status: { name: 'STATUS_ACCESS_DENIED' } }])
    },
    { unless: [BY_WORKER] },
  )
})

describe('Information', () => {
  interface Said {
    readonly what: string
    readonly operation: OperationName
    readonly act: (bench: Bench) => Promise<unknown>
    readonly status: string
    readonly information: bigint
  }
  const SAID: readonly Said[] = [
    {
      ...{ what: 'of a create that made the file is FILE_CREATED', operation: 'create', information: 2n },
      ...{ status: 'STATUS_SUCCESS', act: (bench) => bench.file('new') },
    },
    {
      ...{ what: 'of a create that opened it is FILE_OPENED', operation: 'create', information: 1n },
      ...{ status: 'STATUS_SUCCESS', act: (bench) => bench.file('file') },
    },
    {
      ...{ what: 'of a create that overwrote it is FILE_OVERWRITTEN', operation: 'create', information: 3n },
      ...{ status: 'STATUS_SUCCESS', act: (bench) => bench.file('file', { create: 'createAlways' }) },
    },
    {
      ...{ what: 'of a create that superseded it is FILE_SUPERSEDED', operation: 'create', information: 0n },
      ...{ status: 'STATUS_SUCCESS' },
      act: ({ mp, at }) =>
        mp.io.open(at('file'), { nt: { disposition: 'supersede', access: ['read', 'delete', 'synchronize'] } }),
    },
    {
      ...{ what: 'of a create through a junction is its tag', operation: 'create', information: 0xa0000003n },
      ...{ status: 'STATUS_REPARSE', act: ({ mp, at }) => mp.io.open(at('junction\\none')).catch(() => undefined) },
    },
    {
      ...{ what: 'of a read is what was read', operation: 'read', information: 7n },
      ...{ status: 'STATUS_SUCCESS', act: async (bench) => (await bench.file('file')).read(100, { at: 0 }) },
    },
    {
      ...{ what: 'of a read behind the end is nothing', operation: 'read', information: 0n },
      ...{ status: 'STATUS_END_OF_FILE', act: async (bench) => (await bench.file('file')).read(100, { at: 100 }) },
    },
    {
      ...{ what: 'of a write is what was written', operation: 'write', information: 3n },
      ...{ status: 'STATUS_SUCCESS', act: async (bench) => (await bench.file('file')).write('abc') },
    },
  ]
  for (const { what, operation, act, status, information } of SAID) {
    conformance('POST-33', what, async (bench) => {
      await bench.filled('file')
      await bench.mp.io.junction(bench.at(''), bench.at('junction'))
      await bench.attach()
      await using gate = await bench.gate({ on: [operation], maxHeld: 1 })
      const call = act(bench)
      const held = await gate.next(PATIENCE)
      expect(held).toMatchObject({ status: { name: status }, information })
      await gate.close()
      await call
    })
  }
})

describe('a create', () => {
  conformance(
    'CRE-02 CRE-03',
    'that is failed by a rule leaves no open file behind, but what it made',
    async (bench) => {
      await bench.attach()
      await bench.rules({ on: ['create'], action: pend({ failWith: 'STATUS_ACCESS_DENIED' }) })
      await expect(bench.file('new', { share: [] })).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
      await bench.mp.rules.clear()
      await using file = await bench.mp.io.open(bench.at('new'), { share: [] })
      expect(await file.read(1)).toHaveLength(0)
    },
  )

  conformance('CRE-03', 'that is failed has overwritten its file all the same', async (bench) => {
    const path = await bench.filled('file')
    await bench.attach()
    await bench.rules({ on: ['create'], action: pend({ failWith: 'STATUS_ACCESS_DENIED' }) })
    await expect(bench.file('file', { create: 'createAlways' })).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    await bench.mp.rules.clear()
    expect(await bench.mp.io.readFile(path)).toHaveLength(0)
  })

  conformance(
    'CRE-04',
    'that failed by itself is not cancelled, and gets the status of the rule',
    async (bench) => {
      await bench.attach()
      await bench.rules({ on: ['create'], status: 'failure', action: pend({ failWith: 'STATUS_DISK_FULL' }) })
      await expect(bench.mp.io.open(bench.at('none'))).rejects.toMatchObject({ code: 'ERROR_DISK_FULL' })
    },
    { unless: [BY_WORKER] },
  )

  conformance('POST-34 CRE-04 T07', 'through a junction is not failed on the way, but where it ends', async (bench) => {
    await bench.mp.io.mkdir(bench.at('dir'))
    await bench.filled('dir\\file')
    await bench.mp.io.junction(bench.at('dir'), bench.at('junction'))
    await bench.attach()
    const failing = pend({ failWith: 'STATUS_ACCESS_DENIED' })
    await bench.rules({ on: ['create'], path: bench.path('junction\\*'), action: failing })
    await using file = await bench.mp.io.open(bench.at('junction\\file'))
    expect((await settled(bench.mp)).byOperation.create).toMatchObject({ pended: 1n, failed: 0n })
    await bench.rules({ on: ['create'], path: bench.path('dir\\*'), action: failing })
    await expect(bench.mp.io.open(bench.at('junction\\file'))).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    expect(file.closed).toBe(false)
  })

  for (const operation of ['cleanup', 'close'] as const) {
    conformance('BUF-07', `has a ${operation} that no rule may fail`, async (bench) => {
      await bench.attach()
      const set = bench.rules({ on: [operation], action: pend({ failWith: 'STATUS_DISK_FULL' }) })
      await expect(set).rejects.toBeInstanceOf(InvalidRuleError)
    })

    conformance('BUF-07', `has a ${operation} that may be pended`, async (bench) => {
      const file = await bench.file('a')
      await bench.attach()
      // Of a file that is closed there is no name.
      await bench.mp.rules.set([{ on: [operation], volume: VOLUMES.ntfs, action: pend(), allow: { kernelMode: true } }])
      await file.close()
      expect((await settled(bench.mp)).byOperation[operation].pended).toBe(1n)
    })
  }
})

describe('work queues', () => {
  for (const queue of ['critical', 'delayed'] as const) {
    conformance(
      'POST-03 POST-02 POST-06',
      `the ${queue} one runs the deferred routine, then it is given back`,
      async (bench) => {
        await bench.attach()
        const path = await bench.filled('old')
        await using events = await bench.mp.events()
        await bench.rules({ on: ['rename'], action: pend({ queue, delayMs: 1 }) })
        await bench.mp.io.rename(path, 'new')
        const seen = await take(events, 4)
        expect(seen.map(({ kind }) => kind)).toEqual(['taken', 'parked', 'released', 'completed'])
        expect(new Set(seen.map(({ heldId }) => heldId)).size).toBe(1)
        const { queueNs, latencyNs } = (await settled(bench.mp)).byOperation.rename
        expect([queueNs.count, latencyNs.count]).toEqual([1n, 1n])
      },
    )
  }

  conformance('POST-03', 'no other one can be asked for', async (bench) => {
    const hyper = { kind: 'pend', queue: 'hyperCritical' } as unknown as Action
    await expect(bench.rules({ on: ['write'], action: hyper })).rejects.toBeInstanceOf(InvalidRuleError)
  })

  /** READ, WRITE and FLUSH: what an older page forbade. */
  for (const operation of ['read', 'write', 'flush'] as const) {
    conformance(
      operation === 'read' ? 'POST-18 X01 T01' : 'POST-18 X01',
      `a ${operation} may be deferred like anything else`,
      async (bench) => {
        await bench.filled('a')
        await bench.attach()
        const file = await bench.file('a')
        await bench.rules({ on: [operation], action: pend({ delayMs: 1 }) })
        if (operation === 'read') {
          expect(await file.read(100, { at: 0 })).toHaveLength(7)
        } else if (operation === 'write') {
          expect(await file.write('x')).toBe(1)
        } else {
          await file.flush()
        }
        expect((await settled(bench.mp)).byOperation[operation]).toMatchObject({ pended: 1n, completed: 1n })
      },
    )
  }
})

describe('completion when it is safe', () => {
  conformance(
    'SAFE-02 SAFE-03',
    'is posted from DISPATCH_LEVEL, and resumed by the Filter Manager',
    async (bench) => {
      const file = await bench.file('raw', { noBuffering: true, overlapped: true })
      await file.write(new Uint8Array(PAGE), { at: 0 })
      await bench.attach()
      await bench.rules({ on: ['read'], action: whenSafe({ failWith: 'STATUS_DISK_FULL' }) })
      // Under the top-level IRP of a thread that the DPC interrupts it is not safe: then the read ends as it was.
      let safe = 0n
      for (let reads = 1n; safe === 0n; reads++) {
        const came = await file.read(PAGE, { at: 0 }).catch((error: unknown) => error)
        const { byOperation } = await settled(bench.mp)
        safe = byOperation.read.whenSafe
        expect(safe + byOperation.read.refused.topLevelIrp).toBe(reads)
        if (safe === 1n) {
          expect(came).toMatchObject({ code: 'ERROR_DISK_FULL' })
        } else {
          expect(came).toHaveLength(PAGE)
        }
      }
    },
    { chance: true },
  )

  conformanceOf(
    'SAFE-02 SAFE-04',
    'that is refused never runs, and the operation ends as it was',
    async () => {
      const bench = await openBench()
      const file = await bench.file('raw', { noBuffering: true, overlapped: true })
      await file.write(new Uint8Array(PAGE), { at: 0 })
      await bench.attach()
      await bench.rules({ on: ['read'], action: whenSafe({ failWith: 'STATUS_DISK_FULL' }) })
      bench.mp.model.setFault('FltDoCompletionProcessingWhenSafe', { count: 1 })
      expect(await file.read(PAGE, { at: 0 })).toHaveLength(PAGE)
      const { byOperation, balance } = await settled(bench.mp)
      const { whenSafe: safe, failed, refused } = byOperation.read
      expect([safe, failed, refused.unsafe + refused.topLevelIrp]).toEqual([0n, 0n, 1n])
      expect(balance.problems).toEqual([])
    },
    { lanes: ['embedded'] },
  )
})

describe('what may not be synchronised', () => {
  interface Refused {
    readonly ids: string
    readonly operation: OperationName
    readonly act: (bench: Bench) => Promise<unknown>
  }
  const REFUSED: readonly Refused[] = [
    {
      ...{ ids: 'SYNC-02', operation: 'read' },
      act: async (bench) => (await bench.file('a', { overlapped: true })).read(1, { at: 0 }),
    },
    {
      ...{ ids: 'SYNC-02', operation: 'write' },
      act: async (bench) => (await bench.file('a', { overlapped: true })).write('x', { at: 0 }),
    },
    {
      ...{ ids: 'SYNC-03', operation: 'lock' },
      act: async (bench) => (await bench.file('a', { overlapped: true })).lock({ offset: 0, length: 1 }),
    },
    {
      ...{ ids: 'SYNC-03', operation: 'notifyDirectory' },
      act: async ({ mp, at }) => {
        const directory = await mp.io.open(at(''), { directory: true, overlapped: true })
        const watch = directory.watch({ filter: ['fileName'] })
        await watch.started
        await mp.io.writeFile(at('new'), '')
        await watch.next()
        await watch.close()
      },
    },
    {
      ...{ ids: 'SYNC-03', operation: 'fsControl' },
      act: async (bench) => {
        const oplock = await (await bench.file('a', { overlapped: true })).oplock('rwh')
        await oplock.release()
        await oplock.broken.catch(() => undefined)
      },
    },
  ]
  for (const { ids, operation, act } of REFUSED) {
    conformance(ids, `${operation}: a rule that asks for it leaves it alone`, async (bench) => {
      await bench.filled('a')
      await bench.attach()
      await bench.mp.rules.set([{ on: [operation], volume: VOLUMES.ntfs, action: synchronize() }])
      await act(bench)
      const { synchronized, waiting, refused } = (await settled(bench.mp)).byOperation[operation]
      expect([synchronized, waiting]).toEqual([0n, 0n])
      expect(refused.total).toBeGreaterThan(0n)
    })
  }

  conformance('SYNC-01', 'is all that; a rename is', async (bench) => {
    const path = await bench.filled('old')
    await bench.attach()
    await bench.rules({ on: ['rename'], action: synchronize() })
    await bench.mp.io.rename(path, 'new')
    expect((await settled(bench.mp)).byOperation.rename).toMatchObject({ synchronized: 1n, refused: { total: 0n } })
  })
})

describe('what is left alone by default', () => {
  conformance('HAZ-01', 'operations of kernel components: cleanup and close of everybody', async (bench) => {
    const file = await bench.file('a')
    await bench.attach()
    await bench.rules({ on: ['cleanup', 'close'], action: pend() })
    await file.close()
    const { cleanup, close } = (await settled(bench.mp)).byOperation
    expect([cleanup, close].map(({ pended, refused }) => [pended, refused.policy])).toEqual([
      [0n, 1n],
      [0n, 1n],
    ])
  })

  conformance(
    'HAZ-02',
    'the boot volume',
    async (bench) => {
      await bench.mp.io.writeFile('C:\\a', 'x')
      await bench.attach('C:')
      await bench.mp.rules.set([{ on: ['rename'], action: pend() }])
      await bench.mp.io.rename('C:\\a', 'b')
      expect((await settled(bench.mp)).byOperation.rename).toMatchObject({ pended: 0n, refused: { policy: 1n } })
    },
    { lanes: ['embedded'] },
  )

  conformance(
    'FORM-02 PRE-04',
    'nothing that is sent back: one call is two operations, and counted once',
    async (bench) => {
      const file = await bench.file('a')
      await file.write('first')
      await bench.attach()
      await bench.rules({ on: ['write'], action: pend() })
      expect(await file.write('second')).toBe(6)
      expect((await settled(bench.mp)).byOperation.write).toMatchObject({
        ...{ pended: 1n, fastIoDisallowed: 1n, postOperations: 1n, refused: { total: 0n } },
      })
    },
  )
})
