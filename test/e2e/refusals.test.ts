// SPDX-License-Identifier: MIT
//
// Each refusal by real I/O; only the failing allocation needs a fault switch. Every operation ends, and every one is accounted for.
import { describe, expect, it, onTestFinished } from 'vitest'
import { AbortedError, type Minipend, pend, type RefusalName } from '../../src/index.js'
import { expectBalance, settled, waitingForStorage, world } from './world.js'

async function expectRefused(mp: Minipend, cause: RefusalName, pended: 'some' | 'none' = 'none'): Promise<void> {
  const counters = await settled(mp)
  expectBalance(counters)
  expect(counters.refused[cause]).toBeGreaterThan(0n)
  if (pended === 'none') {
    expect(
      counters.refused.total,
      JSON.stringify(counters.refused, (_, v: unknown) => (typeof v === 'bigint' ? `${v}` : v)),
    ).toBe(counters.refused[cause])
  }
}

describe('an operation is not pended', () => {
  it('when it is fast I/O: notIrp', async () => {
    const mp = await world()
    await mp.attach('D:')
    const file = await mp.io.open('D:\\log.txt', { access: 'readwrite', create: 'create' })
    await file.write('first')
    await mp.rules.set([{ on: ['write'], action: pend({ fastIo: 'refuse' }) }])
    expect(await file.write('second')).toBe(6)
    await file.close()
    await expectRefused(mp, 'notIrp')
  })

  it('but it is when its fast I/O is sent back, to come again as an IRP', async () => {
    const mp = await world()
    await mp.attach('D:')
    const file = await mp.io.open('D:\\log.txt', { access: 'readwrite', create: 'create' })
    await file.write('first')
    await mp.rules.set([{ on: ['write'], action: pend() }])
    await file.write('second')
    await file.close()
    const counters = await settled(mp)
    expectBalance(counters)
    expect(counters.byOperation.write).toMatchObject({ pended: 1n, fastIoDisallowed: 1n, refused: { total: 0n } })
  })

  it('when it is paging I/O, as the flush of a mapped view is: paging', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.io.writeFile('D:\\map.bin', 'x'.repeat(8192))
    await mp.rules.set([{ on: ['write'], action: pend({ delayMs: 50 }) }])
    const file = await mp.io.open('D:\\map.bin', { access: 'readwrite' })
    const view = await file.map({ length: 8192, writable: true })
    await view.write(10, 'changed')
    await view.flush()
    expect(Buffer.from(await view.read(8, 10)).toString()).toBe('xxchangedx')
    await view.close()
    await file.close()
    await expectRefused(mp, 'paging')
    expect((await mp.io.readFile('D:\\map.bin', { encoding: 'utf8' })).slice(8, 18)).toBe('xxchangedx')
  })

  it('when the thread has a top-level IRP, as on FAT: topLevelIrp', async () => {
    const mp = await world()
    await mp.attach('E:')
    await mp.io.writeFile('E:\\a.txt', 'hello')
    await mp.rules.set([{ on: ['rename'], action: pend({ delayMs: 50 }) }])
    await mp.io.rename('E:\\a.txt', 'b.txt')
    expect(await mp.io.exists('E:\\b.txt')).toBe(true)
    await expectRefused(mp, 'topLevelIrp')
  })

  it('on the boot volume, unless a rule says so: policy', async () => {
    const mp = await world()
    await mp.attach('C:')
    await mp.io.writeFile('C:\\a.txt', 'hello')
    await mp.rules.set([{ on: ['rename'], action: pend() }])
    await mp.io.rename('C:\\a.txt', 'b.txt')
    await expectRefused(mp, 'policy')
    await mp.rules.set([{ on: ['rename'], action: pend(), allow: { bootVolume: true } }])
    await mp.io.rename('C:\\b.txt', 'c.txt')
    expect((await settled(mp)).byOperation.rename.pended).toBe(1n)
  })

  it('when there is no memory for the work item: allocation', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.io.writeFile('D:\\a.txt', 'hello')
    await mp.rules.set([{ on: ['rename'], action: pend() }])
    mp.model.setFault('FltAllocateDeferredIoWorkItem', { count: 1 })
    await mp.io.rename('D:\\a.txt', 'b.txt')
    await mp.io.rename('D:\\b.txt', 'c.txt')
    const counters = await settled(mp)
    expectBalance(counters)
    expect(counters.byOperation.rename).toMatchObject({ pended: 1n, refused: { allocation: 1n, total: 1n } })
  })

  it('when its instance goes away meanwhile: draining', async () => {
    const mp = await world()
    await mp.io.writeFile('D:\\raw.bin', new Uint8Array(16 * 4096))
    const file = await mp.io.open('D:\\raw.bin', { access: 'readwrite', noBuffering: true, overlapped: true })
    const instance = await mp.attach('D:')
    await mp.rules.set([{ on: ['write'], path: 'raw.bin', action: pend() }])
    // Longer than a test may take: nothing below waits for it.
    mp.model.setStorageDelay({ delayMs: 60_000 })
    const end = new AbortController()
    const { signal } = end
    // Closing waits for what is under way, also when something below fails.
    onTestFinished(() => {
      end.abort()
    })
    const writes = Array.from({ length: 16 }, (_, i) =>
      file.write(new Uint8Array(4096).fill(1), { at: i * 4096, signal }).catch((error: unknown) => error),
    )
    await waitingForStorage(mp, writes.length)
    await instance.detach()
    const counters = await settled(mp)
    expectBalance(counters)
    // What the cache still had was written first, as paging I/O.
    const { pended, refused } = counters.retired.byOperation.write
    expect({ pended, draining: refused.draining, others: refused.total - refused.draining - refused.paging }).toEqual({
      pended: 0n,
      draining: 16n,
      others: 0n,
    })
    // Drained operations are still under way.
    expect(mp.model.report().waitingForStorage).toBe(16)
    mp.model.setStorageDelay({ delayMs: 0 })
    expect(await file.write(new Uint8Array(4096).fill(2), { at: 0 })).toBe(4096)
    end.abort()
    for (const error of await Promise.all(writes)) {
      expect(error).toBeInstanceOf(AbortedError)
    }
    expect(mp.model.report().waitingForStorage).toBe(0)
    const written = await mp.io.readFile('D:\\raw.bin')
    expect([written[0], written[4096]]).toEqual([2, 0])
  })
})

describe('slow storage', () => {
  it('takes as long as it was told, for non-cached requests only', async () => {
    const mp = await world()
    await mp.io.writeFile('D:\\raw.bin', new Uint8Array(4096))
    await using file = await mp.io.open('D:\\raw.bin', { noBuffering: true })
    mp.model.setStorageDelay({ delayMs: 300 })
    const started = performance.now()
    expect(await file.read(4096, { at: 0 })).toHaveLength(4096)
    expect(performance.now() - started).toBeGreaterThanOrEqual(299)
    mp.model.setStorageDelay({ delayMs: 60_000 })
    expect(await mp.io.readFile('D:\\raw.bin')).toHaveLength(4096)
  })
})

describe('detaching', () => {
  it('gives back at once what is held', async () => {
    const mp = await world()
    const instance = await mp.attach('D:')
    await mp.io.writeFile('D:\\a.txt', 'hello')
    await mp.rules.set([
      { on: ['rename'], action: pend({ delayMs: mp.hello.limits.maxDelayMs }) /* longer than a test may take */ },
    ])
    const renaming = mp.io.rename('D:\\a.txt', 'b.txt')
    while ((await mp.counters()).held === 0n);
    await instance.detach()
    await renaming
    const counters = await settled(mp)
    expectBalance(counters)
    expect(counters.byOperation.rename).toMatchObject({ pended: 1n, completed: 1n })
  })
})
