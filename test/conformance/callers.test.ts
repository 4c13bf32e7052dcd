// SPDX-License-Identifier: MIT
//
// What a caller notices while its operation is held: synchronous, overlapped, with a completion port; and who else does.

import { describe, expect } from 'vitest'
import { AbortedError, type File, pend } from '../../src/index.js'
import {
  BY_WORKER,
  type Bench,
  conformance,
  expectWaiting,
  heldBy,
  PATIENCE,
  settled,
  text,
  turns,
  Watched,
} from './case.js'

const PAGE = 4096

describe('callers of held operations', () => {
  conformance(
    'POST-27 POST-20 SIM-08',
    'a synchronous write returns when it is given back, not before',
    async (bench) => {
      await bench.attach()
      const file = await bench.file('a')
      await using gate = await bench.gate({ on: ['write'] })
      const write = new Watched(file.write('hello'))
      const held = await gate.next(PATIENCE)
      expect(held.postOperation).toMatchObject({ synchronous: true, thread: 'requestor' })
      // The file system is done: others see what was written.
      expect(await bench.mp.io.readFile(bench.at('a'), { encoding: 'utf8' })).toBe('hello')
      expectWaiting(write)
      await held.release()
      expect(await write.promise).toBe(5)
    },
  )

  conformance(
    'POST-20',
    'a failure that was chosen for it is not told before it is given back',
    async (bench) => {
      await bench.attach()
      const file = await bench.file('a')
      await using gate = await bench.gate({ on: ['write'], failWith: 'STATUS_DISK_FULL' })
      const write = new Watched(file.write('hello'))
      const held = await gate.next(PATIENCE)
      await bench.mp.io.exists(bench.at('a'))
      expectWaiting(write)
      await held.release()
      await expect(write.promise).rejects.toMatchObject({ code: 'ERROR_DISK_FULL' })
    },
    { unless: [BY_WORKER] },
  )

  conformance('POST-27 CRE-01 IRQL-02', 'an opener has no handle until its create is given back', async (bench) => {
    await bench.attach()
    await using gate = await bench.gate({ on: ['create'], path: bench.path('new') })
    const opening = new Watched(bench.file('new'))
    const held = await gate.next(PATIENCE)
    expect(held.postOperation).toMatchObject({ irql: 'PASSIVE_LEVEL', thread: 'requestor' })
    expect(held.information, 'FILE_CREATED').toBe(2n)
    expectWaiting(opening)
    await held.release()
    const file = await opening.promise
    expect(await file.write('x')).toBe(1)
  })

  /** What an overlapped read that ends inline without the driver does with it: data, nothing at the end of the file. */
  const READS = [
    ['data', 0, PAGE],
    ['the end of the file', 16 * PAGE, 0],
  ] as const
  for (const [what, at, bytes] of READS) {
    conformance(
      'POST-28 POST-27',
      `an overlapped cached read of ${what} is pending while it is held, and has a packet then`,
      async (bench) => {
        await bench.attach()
        await bench.filled('a', new Uint8Array(PAGE))
        const file = await bench.file('a', { overlapped: true })
        await file.read(PAGE, { at: 0 }) // what comes is in the cache
        await using port = await bench.mp.io.completionPort()
        await port.associate(file, { key: 7, skipOnSuccess: true })
        expect((await file.read(PAGE, { at })).length).toBe(bytes)
        const without = (await port.next({ timeoutMs: 1 })).length
        await using gate = await bench.gate({ on: ['read'] })
        const read = new Watched(file.read(PAGE, { at }))
        const held = await gate.next(PATIENCE)
        expectWaiting(read)
        expect(await port.next({ timeoutMs: 1 })).toEqual([])
        await held.release()
        expect((await read.promise).length).toBe(bytes)
        // The same call, and a packet that did not come before: it had succeeded at once, or failed at once.
        expect(without).toBe(0)
        const [packet] = await port.next(PATIENCE)
        expect(packet).toMatchObject({ key: 7n, operation: 'File.read', bytes })
        expect(packet?.status.name).toBe(bytes === 0 ? 'STATUS_END_OF_FILE' : 'STATUS_SUCCESS')
      },
    )
  }

  conformance(
    'POST-28',
    'the packet of a held write carries the failure that it is given back with',
    async (bench) => {
      await bench.attach()
      const file = await bench.file('a', { overlapped: true })
      await using port = await bench.mp.io.completionPort()
      await port.associate(file, { key: 1 })
      await using gate = await bench.gate({ on: ['write'] })
      const write = new Watched(file.write('hello', { at: 0 }))
      const held = await gate.next(PATIENCE)
      await held.release({ status: 'STATUS_IO_DEVICE_ERROR' })
      await expect(write.promise).rejects.toMatchObject({ code: 'ERROR_IO_DEVICE' })
      expect(await port.next(PATIENCE)).toMatchObject([{ status: { name: 'STATUS_IO_DEVICE_ERROR' }, bytes: 0 }])
    },
    { unless: [BY_WORKER] },
  )

  /** Two reads; the first is held. Value: whether the second one came through meanwhile. */
  async function second(bench: Bench, first: File, other: File): Promise<boolean> {
    await using gate = await bench.gate({ on: ['read'], maxHeld: 1 })
    const one = new Watched(first.read(1, { at: 0 }))
    const held = await gate.next(PATIENCE)
    const two = new Watched(other.read(1, { at: 0 }))
    await turns(bench)
    const through = two.settled
    expectWaiting(one)
    await held.release()
    await gate.close()
    await Promise.all([one.promise, two.promise])
    return through
  }

  conformance('POST-29', 'a held read keeps the next call of its synchronous handle waiting', async (bench) => {
    await bench.attach()
    await bench.filled('a')
    const file = await bench.file('a')
    expect(await second(bench, file, file)).toBe(false)
  })

  conformance('POST-29', 'a held read keeps no call of another handle of the file waiting', async (bench) => {
    await bench.attach()
    await bench.filled('a')
    expect(await second(bench, await bench.file('a'), await bench.file('a'))).toBe(true)
  })

  conformance('POST-29', 'a held read keeps no call of its own overlapped handle waiting', async (bench) => {
    await bench.attach()
    await bench.filled('a')
    const file = await bench.file('a', { overlapped: true })
    expect(await second(bench, file, file)).toBe(true)
  })

  conformance('CANC-06 T31 SIM-08', 'cancelling does not reach a held overlapped read', async (bench) => {
    await bench.attach()
    await bench.filled('a')
    const file = await bench.file('a', { overlapped: true })
    await using gate = await bench.gate({ on: ['read'] })
    const stop = new AbortController()
    const buffer = new Uint8Array(7)
    const reading = new Watched(file.read(buffer, { at: 0, signal: stop.signal }))
    const held = await gate.next(PATIENCE)
    stop.abort()
    const error = await reading.promise.catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(AbortedError)
    expect(error).toMatchObject({ stillHeld: true })
    // The driver has it all the same.
    expect((await bench.mp.held({ own: true })).map(({ id }) => id)).toEqual([held.id])
    await held.release()
    const { byOperation } = await settled(bench.mp)
    expect(byOperation.read).toMatchObject({ pended: 1n, completed: 1n })
    expect(text(buffer), 'an aborted call leaves its buffer untouched').toBe('\0'.repeat(7))
  })

  conformance('CANC-06', 'cancelling does not reach a held synchronous rename, which has happened', async (bench) => {
    await bench.attach()
    const path = await bench.filled('old')
    await using gate = await bench.gate({ on: ['rename'] })
    const stop = new AbortController()
    const renaming = new Watched(bench.mp.io.rename(path, 'new', { signal: stop.signal }))
    await gate.next(PATIENCE)
    stop.abort()
    await expect(renaming.promise).rejects.toMatchObject({ code: 'ABORT_ERR', stillHeld: true })
    expect((await bench.mp.counters()).byOperation.rename).toMatchObject({ pended: 1n, inFlight: 1n })
    await gate.close()
    await settled(bench.mp)
    expect(await bench.mp.io.exists(bench.at('new'))).toBe(true)
  })

  conformance('T03 POST-27', 'a delay lasts as long as it says, for its own file alone', async (bench) => {
    await bench.attach()
    const slow = await bench.file('slow')
    const quick = await bench.file('quick')
    await bench.rules({ on: ['write'], path: bench.path('slow'), action: pend({ delayMs: 400 }) })
    const started = performance.now()
    const write = new Watched(slow.write('x'))
    await heldBy(bench.mp, 1n)
    expect(await quick.write('x')).toBe(1)
    await write.promise
    // The clock of the driver moves in ticks.
    expect(performance.now() - started).toBeGreaterThanOrEqual(380)
    expect((await settled(bench.mp)).byOperation.write).toMatchObject({ pended: 1n, unmatched: 1n })
  })
})
