// SPDX-License-Identifier: MIT
//
// Each refusal by real I/O; only the failing allocation needs a fault switch. Every operation ends, and every one is accounted for.
import { describe, expect, it } from 'vitest'
import { type Minipend, pend, type RefusalName } from '../../src/index.js'
import { expectBalance, settled, world } from './world.js'

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

  it('when its instance goes away meanwhile: draining or tearingDown', async () => {
    const mp = await world()
    await mp.io.writeFile('D:\\raw.bin', new Uint8Array(64 * 4096))
    const file = await mp.io.open('D:\\raw.bin', { access: 'readwrite', noBuffering: true, overlapped: true })
    let seen = 0n
    // Which operations are below the filter when the teardown starts is a matter of time: a few rounds.
    for (let round = 0; round < 20 && seen === 0n; round++) {
      const instance = await mp.attach('D:')
      await mp.rules.set([{ on: ['write'], path: 'raw.bin', action: pend() }])
      const writes = Array.from({ length: 32 }, (_, i) =>
        file.write(new Uint8Array(4096).fill(round), { at: i * 4096 }),
      )
      await instance.detach()
      expect(await Promise.all(writes)).toEqual(writes.map(() => 4096))
      const counters = await settled(mp)
      expectBalance(counters)
      seen = counters.refused.draining + counters.refused.tearingDown
    }
    expect(seen).toBeGreaterThan(0n)
    await file.close()
  })
})

describe('detaching', () => {
  it('gives back at once what is held', async () => {
    const mp = await world()
    const instance = await mp.attach('D:')
    await mp.io.writeFile('D:\\a.txt', 'hello')
    await mp.rules.set([{ on: ['rename'], action: pend({ delayMs: 20_000 }) }])
    const started = performance.now()
    const renaming = mp.io.rename('D:\\a.txt', 'b.txt')
    while ((await mp.counters()).held === 0n);
    await instance.detach()
    await renaming
    expect(performance.now() - started).toBeLessThan(5000)
    const counters = await settled(mp)
    expectBalance(counters)
    expect(counters.byOperation.rename).toMatchObject({ pended: 1n, completed: 1n })
  })
})
