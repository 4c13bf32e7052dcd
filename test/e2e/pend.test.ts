// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest'
import { pend, observe } from '../../src/index.js'
import { expectBalance, heldBy, settled, world } from './world.js'

describe('a rename held for 200 ms', () => {
  // Real time: on a machine that stands still for 200 ms it says nothing, so it may be tried again.
  it('is visible at once; its caller waits; other files do not', { retry: 2 }, async () => {
    const mp = await world()
    await mp.io.mkdir('D:\\inbox')
    await mp.io.writeFile('D:\\inbox\\a.txt', 'hello')
    await mp.io.writeFile('D:\\other.txt', 'other')
    await mp.attach('D:')
    await mp.rules.set([{ id: 'slow', on: ['rename'], path: '\\inbox\\*', action: pend({ delayMs: 3000 }) }])

    const started = performance.now()
    let returned: number | undefined
    const renaming = mp.io.rename('D:\\inbox\\a.txt', 'b.txt').then(() => {
      returned = performance.now() - started
    })
    await heldBy(mp, 1n)
    expect((await mp.io.list('D:\\inbox')).map(({ name }) => name)).toEqual(['b.txt'])
    expect(await mp.io.readFile('D:\\inbox\\b.txt', { encoding: 'utf8' })).toBe('hello')
    expect(returned).toBeUndefined()

    await mp.io.rename('D:\\other.txt', 'another.txt')
    await mp.io.writeFile('D:\\inbox\\c.txt', 'new')
    expect(returned, 'the held rename came back before the others were through').toBeUndefined()
    expect((await mp.counters()).byOperation.rename).toMatchObject({ pended: 1n, inFlight: 1n })

    await renaming
    expect(returned).toBeGreaterThanOrEqual(2990)
    const counters = await settled(mp)
    expectBalance(counters)
    expect(counters.byOperation.rename).toMatchObject({ pended: 1n, completed: 1n, unmatched: 1n })
    expect(counters.heldHighWater).toBe(1n)
  })
})

describe('many held operations', () => {
  it('delay no control call, and all come back', async () => {
    const mp = await world()
    await mp.attach('D:')
    const files = await Promise.all(
      Array.from({ length: 100 }, (_, i) => mp.io.open(`D:\\f${i}`, { access: 'readwrite', create: 'create' })),
    )
    await mp.rules.set([{ on: ['write'], path: 'f*', action: pend({ delayMs: mp.hello.limits.maxDelayMs }) }])
    const writes = files.map((file, i) => file.write(`text ${i}`))
    await heldBy(mp, 100n)
    // The rules of a session hold what they pended; without them, nothing new is held.
    await mp.rules.clear()
    expect((await mp.counters()).held).toBe(100n)
    // Closing the session gives back what it holds, which would else last longer than a test may.
    const closing = mp.close()
    expect(await Promise.all(writes)).toHaveLength(100)
    await closing
  })

  it('of one synchronous handle wait for each other, those of an overlapped handle do not', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.rules.set([{ on: ['write'], path: '*.bin', action: pend({ delayMs: 100 }) }])
    const mostAtOnce = async (overlapped: boolean): Promise<bigint> => {
      const file = await mp.io.open(`D:\\${overlapped}.bin`, { access: 'write', create: 'create', overlapped })
      await Promise.all([file.write('a', { at: 0 }), file.write('b', { at: 1 }), file.write('c', { at: 2 })])
      await file.close()
      return (await mp.counters()).heldHighWater
    }
    expect(await mostAtOnce(false)).toBe(1n)
    expect(await mostAtOnce(true)).toBe(3n)
    expectBalance(await settled(mp))
  })
})

describe('rules', () => {
  it('are tried in order; the first that matches decides', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.rules.set([
      { id: 'spare', on: ['write'], path: '\\quick.txt', action: observe() },
      { id: 'rest', on: ['write'], action: pend() },
    ])
    await mp.io.writeFile('D:\\quick.txt', 'x')
    await mp.io.writeFile('D:\\slow.txt', 'x')
    const counters = await settled(mp)
    expect(counters.byOperation.write.observed).toBe(1n)
    expect(counters.byOperation.write.pended).toBe(1n)
    expectBalance(counters)
  })

  it('with a volume leave the others alone', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.attach('E:')
    await mp.rules.set([{ on: ['write'], volume: 'E:', action: observe() }])
    await mp.io.writeFile('D:\\a', 'x')
    await mp.io.writeFile('E:\\a', 'x')
    const { byInstance, byOperation } = await settled(mp)
    expect(byInstance.find(({ drive }) => drive === 'D:')?.byOperation.write.observed).toBe(0n)
    expect(byInstance.find(({ drive }) => drive === 'E:')?.byOperation.write.observed).toBeGreaterThan(0n)
    expect(byOperation.write.observed).toBeGreaterThan(0n)
  })

  it('go with their session', async () => {
    const mp = await world()
    await mp.attach('D:')
    const first = await mp.rules.set([{ on: ['write'], action: pend({ delayMs: 50 }) }])
    const second = await mp.rules.clear()
    expect(second.generation).toBeGreaterThan(first.generation)
    await mp.io.writeFile('D:\\a', 'x')
    expect((await settled(mp)).pended).toBe(0n)
  })
})

describe('instances', () => {
  it('have the altitude and name that were asked for, and their counters outlive them', async () => {
    const mp = await world()
    const instance = await mp.attach('D:', { altitude: '370020.5', instanceName: 'recorder' })
    expect(instance).toMatchObject({ volume: 'D:', name: 'recorder', altitude: '370020.5' })
    await mp.io.writeFile('D:\\a', 'x')
    const before = await settled(mp)
    expect(before.byInstance).toHaveLength(1)
    expect(before.byInstance[0]).toMatchObject({ name: 'recorder', drive: 'D:', bootVolume: false, tearingDown: false })
    await instance.detach()
    const after = await settled(mp)
    expect(after.byInstance).toHaveLength(0)
    expect(after.retired.postOperations).toBeGreaterThanOrEqual(before.postOperations)
    expectBalance(after)
  })

  it('are listed by the Filter Manager, whoever attached them, with what the driver counts', async () => {
    const mp = await world()
    expect(await mp.instances()).toEqual([])
    const other = await mp.connect()
    await other.attach('E:', { altitude: '370021', instanceName: 'theirs' })
    await mp.attach('D:', { altitude: '370020.5', instanceName: 'mine' })
    await mp.io.writeFile('D:\\a', 'x')
    await settled(mp)
    const [theirs, mine, ...more] = await mp.instances()
    expect(more).toEqual([])
    expect(theirs).toMatchObject({ name: 'theirs', altitude: '370021', drive: undefined, fileSystem: 'fat', frame: 0 })
    expect(theirs?.volume).toMatch(/^\\Device\\/)
    expect(mine).toMatchObject({ name: 'mine', altitude: '370020.5', drive: 'D:', fileSystem: 'ntfs' })
    expect(mine?.counters).toMatchObject({ name: 'mine', volume: mine?.volume, bootVolume: false, tearingDown: false })
    expect(mine?.counters?.id).not.toBe(theirs?.counters?.id)
    expect(mine?.counters?.postOperations).toBeGreaterThan(0n)
    await mp.detach({ volume: 'E:', name: 'theirs' })
    expect(await mp.instances()).toMatchObject([{ name: 'mine' }])
  })

  it('that cannot be attached say why', async () => {
    const mp = await world()
    await mp.attach('D:', { instanceName: 'one', altitude: '100' })
    await expect(mp.attach('X:')).rejects.toMatchObject({ code: 'ERROR_FLT_VOLUME_NOT_FOUND' })
    await expect(mp.attach('D:', { instanceName: 'one', altitude: '101' })).rejects.toMatchObject({
      code: 'ERROR_FLT_INSTANCE_NAME_COLLISION',
    })
    await expect(mp.attach('D:', { instanceName: 'two', altitude: '100' })).rejects.toMatchObject({
      code: 'ERROR_FLT_INSTANCE_ALTITUDE_COLLISION',
    })
    await expect(mp.detach({ volume: 'D:', name: 'three' })).rejects.toMatchObject({
      code: 'ERROR_FLT_INSTANCE_NOT_FOUND',
    })
  })
})

describe('worlds', () => {
  it('do not know of each other', async () => {
    const [one, two] = [await world(), await world()]
    await one.io.writeFile('D:\\only', 'x')
    expect(await one.io.exists('D:\\only')).toBe(true)
    expect(await two.io.exists('D:\\only')).toBe(false)
  })
})
