// SPDX-License-Identifier: MIT
//
// What ends a held operation other than its release: detaching, dismounting, the end of its client; what is drained instead; several of them at once.

import { describe, expect } from 'vitest'
import { type File, pend, type ReleaseName, ReleaseError, synchronize } from '../../src/index.js'
import {
  BY_WORKER,
  type Bench,
  conformance,
  expectWaiting,
  heldBy,
  PATIENCE,
  settled,
  take,
  text,
  VOLUMES,
  waitingForStorage,
  Watched,
} from './case.js'

const PAGE = 4096

/** As the driver lets it last: longer than a case may. */
const forever = ({ mp }: Bench): number => mp.hello.limits.maxDelayMs

/** So many overlapped reads of one file, held. */
async function heldReads(bench: Bench, count: number): Promise<Watched<Uint8Array>[]> {
  await bench.filled(
    'a',
    new Uint8Array(count).map((_, index) => index),
  )
  const file = await bench.file('a', { overlapped: true })
  await bench.rules({ on: ['read'], action: pend({ delayMs: forever(bench) }) })
  const reads = Array.from({ length: count }, (_, at) => new Watched(file.read(1, { at })))
  await heldBy(bench.mp, BigInt(count))
  return reads
}

async function expectAllRead(reads: readonly Watched<Uint8Array>[]): Promise<void> {
  const bytes = await Promise.all(reads.map(({ promise }) => promise))
  expect(bytes.map(([byte]) => byte)).toEqual(reads.map((_, index) => index))
}

/** Operations below every filter, which a detach drains. */
async function stuckWrites(
  bench: Bench,
  count: number,
): Promise<{ readonly file: File; readonly end: () => Promise<void> }> {
  const file = await bench.file('raw', { noBuffering: true, overlapped: true })
  await file.write(new Uint8Array(PAGE * count), { at: 0 })
  bench.mp.model.setStorageDelay({ delayMs: 60_000 })
  const stop = new AbortController()
  const writes = Array.from({ length: count }, (_, index) =>
    file.write(new Uint8Array(PAGE).fill(1), { at: index * PAGE, signal: stop.signal }).catch(() => undefined),
  )
  await waitingForStorage(bench.mp, count)
  const end = async (): Promise<void> => {
    stop.abort()
    await Promise.all(writes)
    bench.mp.model.setStorageDelay({ delayMs: 0 })
  }
  return { file, end }
}

const causes = async (
  bench: Bench,
  count: number,
  act: () => Promise<unknown>,
): Promise<(ReleaseName | undefined)[]> => {
  await using events = await bench.mp.events({ kinds: ['completed'] })
  await act()
  return (await take(events, count)).map(({ cause }) => cause as ReleaseName | undefined)
}

const ONLY_MODEL = { lanes: ['embedded'] } as const

describe('what ends a held operation', () => {
  conformance(
    'LIFE-11 LIFE-13 LIFE-14 T26',
    'a detach gives back all that is held, and ends after that',
    async (bench) => {
      const instance = await bench.mp.attach(VOLUMES.ntfs)
      const reads = await heldReads(bench, 20)
      const detached = await causes(bench, 20, () => instance.detach())
      expect(detached).toEqual(Array.from({ length: 20 }, () => 'teardown'))
      const { held, byInstance, retired } = await bench.mp.counters()
      expect({ held, instances: byInstance.length }).toEqual({ held: 0n, instances: 0 })
      expect(retired.byOperation.read).toMatchObject({ pended: 20n, completed: 20n })
      await expectAllRead(reads)
    },
  )

  conformance('LIFE-12', 'after a detach the driver sees nothing more of the volume', async (bench) => {
    const instance = await bench.mp.attach(VOLUMES.ntfs)
    const file = await bench.file('a')
    await bench.rules({ on: ['write'], action: pend() })
    await file.write('x')
    await instance.detach()
    const before = await settled(bench.mp)
    await file.write('y')
    await file.close()
    const { postOperations, pended } = await settled(bench.mp)
    expect([postOperations, pended]).toEqual([before.postOperations, 1n])
  })

  conformance('LIFE-11 SYNC-05', 'a detach wakes the thread that waits in a synchronised operation', async (bench) => {
    const instance = await bench.mp.attach(VOLUMES.fat)
    const path = await bench.filled('old', 'content', VOLUMES.fat)
    await using gate = await bench.gate({ on: ['rename'], synchronize: true })
    const renaming = new Watched(bench.mp.io.rename(path, 'new'))
    expect(await gate.next(PATIENCE)).toMatchObject({ action: 'synchronize' })
    expectWaiting(renaming)
    await instance.detach()
    await renaming.promise
    expect((await settled(bench.mp)).retired.byOperation.rename).toMatchObject({ synchronized: 1n, waiting: 0n })
  })

  conformance(
    'LIFE-16 SEQ-23 T30',
    'a dismount tears the instance down, and gives back what is held',
    async (bench) => {
      await bench.attach()
      const reads = await heldReads(bench, 3)
      await using volume = await bench.mp.io.openVolume(VOLUMES.ntfs)
      expect(await causes(bench, 3, () => volume.dismountVolume())).toEqual(['teardown', 'teardown', 'teardown'])
      await expectAllRead(reads)
      expect((await settled(bench.mp)).byInstance).toEqual([])
    },
  )

  conformance('PORT-04 T23', 'the end of a session gives back what it holds, and nothing of others', async (bench) => {
    await bench.attach()
    const other = await bench.mp.connect()
    const [mine, theirs] = [await bench.filled('mine'), await bench.filled('theirs')]
    await using gate = await bench.gate({ on: ['rename'], path: bench.path('mine') })
    const lost = await other.gate({ on: ['rename'], path: bench.path('theirs') })
    const renaming = new Watched(bench.mp.io.rename(mine, 'renamed'))
    const held = await gate.next(PATIENCE)
    const freed = new Watched(bench.mp.io.rename(theirs, 'freed'))
    await lost.next(PATIENCE)
    expect(await causes(bench, 0, () => other.close())).toEqual([])
    await freed.promise
    expectWaiting(renaming)
    expect((await bench.mp.held()).map(({ id }) => id)).toEqual([held.id])
    await held.release()
    await renaming.promise
    expect(await bench.mp.io.exists(bench.at('freed'))).toBe(true)
  })

  conformance(
    'POST-23 T25',
    'release, deadline, closed gate and detach at once: one of them gives it back',
    async (bench) => {
      const instance = await bench.mp.attach(VOLUMES.ntfs)
      await bench.filled('a')
      const file = await bench.file('a', { overlapped: true })
      await using events = await bench.mp.events({ kinds: ['completed'], ring: 4096 })
      const rounds = 30
      for (let round = 0; round < rounds; round++) {
        const gate = await bench.gate({ on: ['read'], deadlineMs: 1 + (round % 3) })
        const read = file.read(1, { at: 0 })
        const ends = [
          bench.mp.releaseAll(),
          gate.close(),
          gate.releaseAll().catch(() => undefined),
          ...(round === rounds - 1 ? [instance.detach()] : []),
        ]
        expect(text(await read)).toBe('c')
        await Promise.all(ends)
      }
      const { byOperation } = await settled(bench.mp)
      const { pended } = byOperation.read
      const seen = pended === 0n ? [] : await take(events, Number(pended))
      expect(new Set(seen.map(({ heldId }) => heldId)).size).toBe(Number(pended))
      expect(byOperation.read.completed).toBe(pended)
    },
    { chance: true },
  )

  conformance('POST-23', 'what has been given back cannot be given back again', async (bench) => {
    await bench.attach()
    const path = await bench.filled('old')
    await using gate = await bench.gate({ on: ['rename'] })
    const renaming = bench.mp.io.rename(path, 'new')
    const held = await gate.next(PATIENCE)
    await held.release()
    await renaming
    for (const again of [() => held.release(), () => bench.mp.release(held.id, { force: true })]) {
      const error = await again().catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(ReleaseError)
      expect(error).toMatchObject({ code: 'heldUnknown' })
    }
    expect(await bench.mp.releaseAll({ force: true })).toMatchObject({ released: 0 })
  })

  conformance(
    'T32',
    'rules that are replaced leave alone what is held by the ones before',
    async (bench) => {
      await bench.attach()
      await bench.filled('a')
      const file = await bench.file('a', { overlapped: true })
      const failing = pend({ delayMs: forever(bench), failWith: 'STATUS_DISK_FULL' })
      await bench.rules({ id: 'before', on: ['read'], action: failing })
      const first = new Watched(file.read(1, { at: 0 }))
      await heldBy(bench.mp, 1n)
      await bench.rules({ id: 'after', on: ['read'], action: pend() })
      expect(text(await file.read(1, { at: 1 }))).toBe('o')
      expectWaiting(first)
      expect(await bench.mp.held({ own: true })).toMatchObject([{ rule: 'before' }])
      await bench.mp.rules.release('before')
      await expect(first.promise).rejects.toMatchObject({ code: 'ERROR_DISK_FULL' })
    },
    { unless: [BY_WORKER] },
  )

  conformance('T36', 'of a flood so many are held as may be, and the rest goes on', async (bench) => {
    await bench.attach()
    await bench.filled('a', new Uint8Array(200))
    const file = await bench.file('a', { overlapped: true })
    await using gate = await bench.gate({ on: ['read'], maxHeld: 50 })
    const reads = Array.from({ length: 200 }, (_, at) => new Watched(file.read(1, { at })))
    await heldBy(bench.mp, 50n)
    while (reads.filter((read) => read.settled).length < 150) {
      await bench.mp.counters()
    }
    expect(await gate.releaseAll()).toMatchObject({ released: 50 })
    await Promise.all(reads.map(({ promise }) => promise))
    expect((await settled(bench.mp)).byOperation.read).toMatchObject({ pended: 50n, refused: { capacity: 150n } })
  })
})

describe('a detach in the middle of traffic', () => {
  conformance(
    'T27 LIFE-13 DRAIN-06',
    'loses no operation: each is pended and given back, refused, or not seen',
    async (bench) => {
      await bench.filled('a', new Uint8Array(64))
      const file = await bench.file('a', { overlapped: true })
      await bench.rules({ on: ['read', 'rename'], action: pend({ delayMs: 1 }) })
      for (let round = 0; round < 10; round++) {
        const instance = await bench.mp.attach(VOLUMES.ntfs)
        const path = await bench.filled(`f${round}`)
        const reads = Array.from({ length: 40 }, (_, at) => file.read(1, { at }))
        const renaming = bench.mp.io.rename(path, `r${round}`)
        await instance.detach()
        expect(await Promise.all(reads)).toHaveLength(40)
        await renaming
        expect((await settled(bench.mp)).held).toBe(0n)
      }
      const { read } = (await settled(bench.mp)).retired.byOperation
      expect(read.postOperations).toBe(read.unmatched + read.pended + read.refused.total)
      expect(read.completed).toBe(read.pended)
    },
    { chance: true },
  )
})

describe('draining', () => {
  conformance(
    'DRAIN-01 DRAIN-02 DRAIN-04 T17',
    'lets go of what is below, which goes on and ends later',
    async (bench) => {
      const instance = await bench.mp.attach(VOLUMES.ntfs)
      await bench.rules({ on: ['write'], action: pend() })
      const { file, end } = await stuckWrites(bench, 8)
      await instance.detach()
      expect(bench.mp.model.report().waitingForStorage).toBe(8)
      const { retired } = await settled(bench.mp)
      expect(retired.byOperation.write).toMatchObject({ refused: { draining: 8n }, completed: 1n })
      await end()
      expect(await file.write(new Uint8Array(PAGE).fill(2), { at: 0 })).toBe(PAGE)
    },
    ONLY_MODEL,
  )

  conformance(
    'DRAIN-03 DRAIN-06 IRQL-06',
    'comes at APC_LEVEL at most, not in the thread of the caller, and once for each operation',
    async (bench) => {
      const instance = await bench.mp.attach(VOLUMES.ntfs)
      const { end } = await stuckWrites(bench, 1)
      await end()
      await using events = await bench.mp.events()
      await bench.rules({ on: ['write'], action: pend({ delayMs: forever(bench) }) })
      const later = await stuckWritesAgain(bench, 4)
      await instance.detach()
      const drained = await take(events, 4)
      expect(drained.map(({ kind, cause }) => `${kind} ${cause ?? ''}`)).toEqual(
        Array.from({ length: 4 }, () => 'refused draining'),
      )
      for (const { postOperation } of drained) {
        expect(postOperation.irql).toMatch(/^(PASSIVE|APC)_LEVEL$/)
        expect(postOperation.thread).not.toBe('requestor')
      }
      await later()
      const { postOperations, refused } = (await settled(bench.mp)).retired.byOperation.write
      // Each has had its one post-operation.
      expect(refused.draining).toBe(4n)
      expect(postOperations).toBe((await bench.mp.counters()).retired.byOperation.write.postOperations)
    },
    ONLY_MODEL,
  )

  conformance(
    'DRAIN-06 LIFE-13',
    'is for what is still below; what is pended already is given back instead',
    async (bench) => {
      const instance = await bench.mp.attach(VOLUMES.ntfs)
      const reads = await heldReads(bench, 5)
      await bench.rules({ on: ['read', 'write'], action: pend({ delayMs: forever(bench) }) })
      const stuck = await stuckWritesAgain(bench, 3)
      const counters = await bench.mp.counters()
      expect(counters.held).toBe(5n)
      await instance.detach()
      const { read, write } = (await settled(bench.mp)).retired.byOperation
      expect(read).toMatchObject({ pended: 5n, completed: 5n, refused: { draining: 0n } })
      expect(write).toMatchObject({ pended: 0n, refused: { draining: 3n } })
      await expectAllRead(reads)
      await stuck()
    },
    ONLY_MODEL,
  )

  conformance(
    'DRAIN-01 SYNC-05',
    'of a synchronised operation lets it go on without the driver',
    async (bench) => {
      const instance = await bench.mp.attach(VOLUMES.ntfs)
      const file = await bench.file('raw', { noBuffering: true })
      await bench.rules({ on: ['write'], action: synchronize({ delayMs: forever(bench) }) })
      bench.mp.model.setStorageDelay({ delayMs: 1000 })
      const write = new Watched(file.write(new Uint8Array(PAGE), { at: 0 }))
      await waitingForStorage(bench.mp, 1)
      await instance.detach()
      expect(await write.promise).toBe(PAGE)
      expect((await settled(bench.mp)).retired.byOperation.write).toMatchObject({
        synchronized: 0n,
        refused: { draining: 1n },
      })
    },
    ONLY_MODEL,
  )
})

/** The same without what prepares them, under the rules that are set. Value: ends them. */
async function stuckWritesAgain(bench: Bench, count: number): Promise<() => Promise<void>> {
  const { mp } = bench
  const file = await bench.file('stuck', { noBuffering: true, overlapped: true })
  mp.model.setStorageDelay({ delayMs: 60_000 })
  const stop = new AbortController()
  const writes = Array.from({ length: count }, (_, index) =>
    file.write(new Uint8Array(PAGE), { at: index * PAGE, signal: stop.signal }).catch(() => undefined),
  )
  await waitingForStorage(mp, count)
  return async () => {
    stop.abort()
    await Promise.all(writes)
    mp.model.setStorageDelay({ delayMs: 0 })
  }
}
