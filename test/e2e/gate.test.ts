// SPDX-License-Identifier: MIT
//
// Gates over the real driver and the model.
import { describe, expect, it } from 'vitest'
import { ClosedError, openMinipend, pend, ReleaseError, synchronize, TimeoutError } from '../../src/index.js'
import { expectBalance, heldBy, settled, world } from './world.js'

const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

describe('the sample', () => {
  it('runs as it stands in the documentation', async () => {
    await using mp = await openMinipend({ backend: 'embedded' })
    await using instance = await mp.attach('D:')
    await mp.rules.set([{ id: 'slow-renames', on: ['rename'], path: '\\inbox\\*', action: pend({ delayMs: 50 }) }])
    const file = await mp.io.open('D:\\app.log', { access: 'readwrite', create: 'create' })

    await using gate = await mp.gate({ on: ['write'], path: '*.log' })
    const write = file.write('hello')
    const held = await gate.next({ timeoutMs: 1000 })
    expect(held.postOperation).toMatchObject({ irql: 'PASSIVE_LEVEL', topLevelIrp: 'none' })
    await held.release({ status: 'STATUS_DISK_FULL' })
    await expect(write).rejects.toMatchObject({ code: 'ERROR_DISK_FULL' })

    const c = await mp.counters()
    expect(c.pended).toBe(c.completed + c.inFlight)
    expect(c.refused.topLevelIrp).toBe(0n)
    expect(c.byOperation.write.latencyNs.p99?.atLeast).toBeGreaterThanOrEqual(0n)
    expect(instance.detached).toBe(false)
    // What the operation did to the file stays done.
    expect(await mp.io.readFile('D:\\app.log', { encoding: 'utf8' })).toBe('hello')
  })
})

describe('a gate', () => {
  it('holds a write that is in the file already, and says all about it', async () => {
    const mp = await world()
    await mp.attach('D:')
    const file = await mp.io.open('D:\\app.log', { access: 'readwrite', create: 'create' })
    const gate = await mp.gate({ id: 'logs', on: ['write'], path: '*.log' })
    const writing = file.write('hello')
    const held = await gate.next()
    expect(held).toMatchObject({
      ...{
        operation: 'write',
        path: '\\app.log',
        nameCut: false,
        rule: 'logs',
        own: true,
        hold: 'gate',
        action: 'pend',
      },
      ...{
        drive: 'D:',
        status: { name: 'STATUS_SUCCESS', value: 0 },
        information: 5n,
        majorFunction: 4,
        released: false,
      },
      postOperation: { irql: 'PASSIVE_LEVEL', topLevelIrp: 'none', thread: 'requestor', kernelMode: false },
    })
    expect(held.deadlineNs - held.takenNs).toBe(30_000_000_000n)
    expect(held.seenNs).toBeGreaterThanOrEqual(held.takenNs)
    expect(await mp.held()).toMatchObject([{ id: held.id }])
    expect((await mp.counters()).byInstance.find(({ drive }) => drive === 'D:')?.id).toBe(held.instanceId)
    await held.release()
    expect(held.released).toBe(true)
    expect(await writing).toBe(5)
    expect(await mp.held()).toEqual([])
    expectBalance(await settled(mp))
  })

  it('wakes who waits when something comes', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.io.writeFile('D:\\a', 'x')
    const gate = await mp.gate({ on: ['rename'] })
    for (let round = 0; round < 20; round++) {
      const [held, renaming] = [
        gate.next(),
        mp.io.rename(round % 2 === 0 ? 'D:\\a' : 'D:\\b', round % 2 === 0 ? 'b' : 'a'),
      ]
      await (await held).release()
      await renaming
    }
    expectBalance(await settled(mp))
  })

  it('gives back by itself at its deadline; a release after that says so', async () => {
    const mp = await world()
    await mp.attach('D:')
    const gate = await mp.gate({ on: ['write'], deadlineMs: 250 })
    const file = await mp.io.open('D:\\a', { access: 'readwrite', create: 'create' })
    const writing = file.write('x')
    const held = await gate.next()
    expect(await writing).toBe(1)
    const error = await caught(held.release())
    expect(error).toBeInstanceOf(ReleaseError)
    expect(error).toMatchObject({ code: 'heldUnknown', ntstatus: { name: 'STATUS_NOT_FOUND' }, id: held.id })
    await file.write('y')
    expect(await caught(gate.next({ timeoutMs: 0 })), 'what is over is never delivered').toBeInstanceOf(TimeoutError)
  })

  it('is closed: what it holds goes on, and nothing more is held', async () => {
    const mp = await world()
    await mp.attach('D:')
    const file = await mp.io.open('D:\\a', { access: 'readwrite', create: 'create' })
    const gate = await mp.gate({ on: ['write'] })
    const writing = file.write('x')
    const held = await gate.next()
    await gate.close()
    expect(await writing).toBe(1)
    expect(await file.write('y')).toBe(1)
    expect(await caught(held.release())).toMatchObject({ code: 'heldUnknown' })
    expect(await caught(gate.next())).toBeInstanceOf(ClosedError)
    expectBalance(await settled(mp))
  })

  it('keeps control free with a hundred operations held on synchronous handles', async () => {
    const mp = await world()
    await mp.attach('D:')
    const files = await Promise.all(
      Array.from({ length: 100 }, (_, i) => mp.io.open(`D:\\f${i}`, { access: 'readwrite', create: 'create' })),
    )
    const gate = await mp.gate({ on: ['write'] })
    const writes = files.map((file) => file.write('x'))
    const ids = new Set<bigint>()
    for (let i = 0; i < 50; i++) {
      const held = await gate.next()
      ids.add(held.id)
      await held.release()
    }
    expect(ids.size).toBe(50)
    await heldBy(mp, 50n)
    expect(await gate.releaseAll()).toMatchObject({ released: 50 })
    expect(await Promise.all(writes)).toHaveLength(100)
    expectBalance(await settled(mp))
  })

  it('holds so many and no more', async () => {
    const mp = await world()
    await mp.attach('D:')
    const gate = await mp.gate({ on: ['write'], maxHeld: 1 })
    const first = mp.io.writeFile('D:\\a', 'x')
    const held = await gate.next()
    await mp.io.writeFile('D:\\b', 'x')
    await held.release()
    await first
    expect((await settled(mp)).byOperation.write).toMatchObject({ pended: 1n, refused: { capacity: 1n } })
  })

  it('is asked before rules, and gates side by side have what is theirs', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.rules.set([{ on: ['write'], action: pend() }])
    const logs = await mp.gate({ on: ['write'], path: '*.log' })
    const texts = await mp.gate({ on: ['write'], path: '*.txt' })
    const writes = [mp.io.writeFile('D:\\a.txt', 'x'), mp.io.writeFile('D:\\a.log', 'x'), mp.io.writeFile('D:\\b', 'x')]
    const [log, text] = await Promise.all([logs.next(), texts.next()])
    expect([log.path, text.path]).toEqual(['\\a.log', '\\a.txt'])
    await writes[2]
    expect(await mp.releaseAll()).toMatchObject({ released: 2 })
    await Promise.all(writes)
    expectBalance(await settled(mp))
  })

  it('holds a rename on FAT in its own thread, where it cannot be pended', async () => {
    const mp = await world()
    await mp.attach('E:')
    await mp.io.writeFile('E:\\a', 'x')
    const gate = await mp.gate({ on: ['rename'], synchronize: true })
    const renaming = mp.io.rename('E:\\a', 'b')
    const held = await gate.next()
    expect(held).toMatchObject({ action: 'synchronize', path: '\\a', drive: 'E:' })
    expect(await mp.io.exists('E:\\b')).toBe(true)
    expect((await mp.counters()).byOperation.rename).toMatchObject({ waiting: 1n, inFlight: 0n })
    await held.release({ status: 'STATUS_ACCESS_DENIED' })
    await expect(renaming).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    expect((await settled(mp)).byOperation.rename).toMatchObject({ synchronized: 1n, waiting: 0n, failed: 1n })
  })

  it('does not outlive its session, nor does its wait', async () => {
    const mp = await world()
    await mp.attach('D:')
    const gate = await mp.gate({ on: ['write'] })
    const writing = mp.io.writeFile('D:\\a', 'x')
    const held = await gate.next()
    const waiting = caught(gate.next())
    await Promise.all([mp.close(), caught(writing)])
    expect(await waiting).toBeInstanceOf(ClosedError)
    expect(gate.closed).toBe(true)
    expect(await caught(held.release())).toBeInstanceOf(ClosedError)
  })
})

describe('a failing release', () => {
  it('is told before the failure that it gives, so that the caller can look at that afterwards', async () => {
    const mp = await world()
    await mp.attach('D:')
    const file = await mp.io.open('D:\\a', { access: 'readwrite', create: 'create' })
    const gate = await mp.gate({ on: ['write'] })
    // Either can reach JavaScript first. An unhandled rejection would fail the run.
    for (let round = 0; round < 100; round++) {
      const write = file.write('x')
      await (await gate.next()).release({ status: 'STATUS_DISK_FULL' })
      await expect(write).rejects.toMatchObject({ code: 'ERROR_DISK_FULL' })
    }
    expectBalance(await settled(mp))
  })
})

describe('a held operation', () => {
  it('may not be failed when it is a create that succeeded', async () => {
    const mp = await world()
    await mp.attach('D:')
    const gate = await mp.gate({ on: ['create'], path: '\\new' })
    const opening = mp.io.open('D:\\new', { access: 'readwrite', create: 'create' })
    const held = await gate.next()
    const error = await caught(held.release({ status: 'STATUS_DISK_FULL' }))
    expect(error).toMatchObject({ code: 'releaseStatus', ntstatus: { name: 'STATUS_INVALID_PARAMETER' } })
    await held.release()
    await opening
  })

  it("of somebody else's rule is released by force only", async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.rules.set([{ id: 'kept', on: ['write'], action: pend({ delayMs: 25_000 }) }], { persist: true })
    const writing = mp.io.writeFile('D:\\a', 'x')
    await heldBy(mp, 1n)
    let [held] = await mp.held()
    while (held === undefined) {
      ;[held] = await mp.held()
    }
    expect(held).toMatchObject({ own: false, rule: undefined, hold: 'delay' })
    expect(await mp.held({ own: true })).toEqual([])
    expect(await caught(held.release())).toMatchObject({ code: 'heldForeign' })
    expect(await mp.releaseAll()).toMatchObject({ released: 0 })
    await mp.release(held.id, { force: true })
    await writing
    await mp.rules.clear({ persistent: true })
  })

  it('waits in its own thread for as long as its rule says', async () => {
    const mp = await world()
    await mp.attach('E:')
    await mp.io.writeFile('E:\\a', 'x')
    await mp.rules.set([{ on: ['rename'], action: synchronize({ delayMs: 30 }) }])
    const started = performance.now()
    await mp.io.rename('E:\\a', 'b')
    expect(performance.now() - started).toBeGreaterThanOrEqual(29)
    expect((await settled(mp)).byOperation.rename).toMatchObject({ synchronized: 1n, refused: { total: 0n } })
  })
})
