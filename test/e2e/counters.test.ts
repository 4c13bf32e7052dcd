// SPDX-License-Identifier: MIT
//
// Counters over the real driver and the model.
import { describe, expect, it } from 'vitest'
import { pend } from '../../src/index.js'
import { expectBalance, heldBy, settled, world } from './world.js'

describe('counters', () => {
  it('have the times of pended operations as bounds', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.rules.set([{ on: ['write'], action: pend({ delayMs: 20 }) }])
    for (let i = 0; i < 5; i++) {
      await mp.io.writeFile(`D:\\f${i}`, 'x')
    }
    const { byOperation, byInstance, latencyNs } = await settled(mp)
    const { write, read } = byOperation
    expect([write.latencyNs.count, write.queueNs.count, read.latencyNs.count]).toEqual([5n, 5n, 0n])
    expect(read.latencyNs.p99).toBeUndefined()
    // No time was shorter than the delay: the bounds cannot lie below it.
    const { p50, max } = write.latencyNs
    expect(p50?.atMost).toBeGreaterThanOrEqual(19_000_000n)
    expect(max?.atLeast).toBeGreaterThanOrEqual(p50?.atLeast ?? 0n)
    expect(latencyNs.count).toBe(5n)
    expect(byInstance[0]?.byOperation.write.latencyNs.count).toBe(5n)
  })

  it('outlive their instance, times included', async () => {
    const mp = await world()
    const instance = await mp.attach('D:')
    await mp.rules.set([{ on: ['write'], action: pend() }])
    await mp.io.writeFile('D:\\a', 'x')
    await settled(mp)
    await instance.detach()
    const { retired, byOperation } = await settled(mp)
    expect(retired.byOperation.write.latencyNs.count).toBe(1n)
    expect(byOperation.write).toMatchObject({ pended: 1n, inFlightHighWater: 1n })
  })

  it('count from where the caller says', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.rules.set([{ on: ['write'], action: pend() }])
    await mp.io.writeFile('D:\\a', 'x')
    const before = await settled(mp)
    await mp.io.writeFile('D:\\b', 'x')
    await settled(mp)
    const since = await mp.counters({ since: before })
    expect(since.byOperation.write).toMatchObject({ pended: 1n, completed: 1n, inFlightHighWater: 1n })
    expect(since.byOperation.write.latencyNs.count).toBe(1n)
    await mp.resetCounters()
    expect((await mp.counters()).postOperations).toBe(0n)
    await mp.io.writeFile('D:\\c', 'x')
    const counters = await settled(mp)
    expect(counters.byOperation.write).toMatchObject({ pended: 1n, completed: 1n })
    expect(counters.balance).toEqual({ exact: true, problems: [] })
  })

  it('show what is held while it is', async () => {
    const mp = await world()
    await mp.attach('D:')
    const files = await Promise.all(
      ['a', 'b', 'c'].map((name) => mp.io.open(`D:\\${name}`, { access: 'readwrite', create: 'create' })),
    )
    const gate = await mp.gate({ on: ['write'] })
    const writes = files.map((file) => file.write('x'))
    await heldBy(mp, 3n)
    const { write } = (await mp.counters()).byOperation
    expect(write).toMatchObject({ pended: 3n, inFlight: 3n, inFlightHighWater: 3n, completed: 0n })
    await gate.close()
    await Promise.all(writes)
    const counters = await settled(mp)
    expectBalance(counters)
    expect(counters.byOperation.write).toMatchObject({ inFlight: 0n, inFlightHighWater: 3n, completed: 3n })
    expect(counters.contract).toEqual({ unexpectedRefusal: 0n, unexpectedSuccess: 0n })
  })
})
