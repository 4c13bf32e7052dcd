// SPDX-License-Identifier: MIT
//
// What rules may say, over the real driver and the model.
import { describe, expect, it } from 'vitest'
import { type Minipend, observe, openMinipend, pend, type Rule, whenSafe } from '../../src/index.js'
import { expectBalance, heldBy, settled, world } from './world.js'

async function attached(volume = 'D:'): Promise<Minipend> {
  const mp = await world()
  await mp.attach(volume)
  return mp
}

/** Sets the rule, writes so many files, and returns how many writes it selected. */
async function selected(mp: Minipend, conditions: Partial<Rule>, writes = 1): Promise<number> {
  await mp.rules.set([{ ...conditions, on: ['write'], action: observe() }])
  await mp.resetCounters()
  for (let i = 0; i < writes; i++) {
    await mp.io.writeFile('D:\\a', 'x')
  }
  return Number((await mp.counters()).byOperation.write.observed)
}

describe('conditions', () => {
  it('by requestor', async () => {
    const mp = await attached()
    const gate = await mp.gate({ on: ['write'] })
    const writing = mp.io.writeFile('D:\\a', 'x')
    const { processId } = await gate.next()
    await gate.close()
    await writing
    expect(await selected(mp, { processId })).toBe(1)
    expect(await selected(mp, { processId: processId + 1 })).toBe(0)
    expect(await selected(mp, { requestorMode: 'user' })).toBe(1)
    expect(await selected(mp, { requestorMode: 'kernel' })).toBe(0)
  })

  it('by kind of data I/O', async () => {
    const mp = await attached()
    expect(await selected(mp, { io: ['cached'] })).toBe(1)
    expect(await selected(mp, { io: ['nonCached'] })).toBe(0)
    expect(await selected(mp, { io: ['nonCached', 'cached'] })).toBe(1)
  })

  it('by status', async () => {
    const mp = await attached()
    await mp.rules.set([
      { id: 'none', on: ['create'], status: 'STATUS_OBJECT_NAME_NOT_FOUND', action: observe() },
      { id: 'good', on: ['create'], status: 'success', action: pend() },
    ])
    expect(await mp.io.exists('D:\\nothing')).toBe(false)
    expect((await settled(mp)).byOperation.create).toMatchObject({ observed: 1n, pended: 0n, unmatched: 0n })
    await mp.io.writeFile('D:\\a', 'x')
    const counters = await settled(mp)
    expect(counters.byOperation.create).toMatchObject({ observed: 1n, pended: 1n })
    expectBalance(counters)
  })

  it('by sampling, the same with the same seed', async () => {
    const mp = await attached()
    expect(await selected(mp, { everyNth: 3 }, 10)).toBe(3)
    expect(await selected(mp, { atMost: 4 }, 10)).toBe(4)
    const once = await selected(mp, { probability: 0.5, seed: 7 }, 40)
    expect(once).toBeGreaterThan(0)
    expect(once).toBeLessThan(40)
    expect(await selected(mp, { probability: 0.5, seed: 7 }, 40)).toBe(once)
    expect(await selected(mp, { probability: 1 }, 5)).toBe(5)
  })

  it("by the kernel's names", async () => {
    const mp = await attached()
    await mp.rules.set([{ on: ['IRP_MJ_WRITE'], action: observe() }])
    await mp.io.writeFile('D:\\a', 'x')
    expect((await settled(mp)).byOperation.write.observed).toBe(1n)
  })

  it("fit a rename's new name as well", async () => {
    const mp = await attached()
    await mp.io.mkdir('D:\\inbox')
    await mp.io.writeFile('D:\\a', 'x')
    await mp.rules.set([{ on: ['rename'], path: '\\inbox\\*', action: observe() }])
    await mp.io.rename('D:\\a', 'D:\\inbox\\b')
    expect((await settled(mp)).byOperation.rename.observed).toBe(1n)
  })
})

describe('failing', () => {
  it('a write by its rule', async () => {
    const mp = await attached()
    await mp.rules.set([{ on: ['write'], action: pend({ failWith: 'STATUS_DISK_FULL' }) }])
    await expect(mp.io.writeFile('D:\\a', 'x')).rejects.toMatchObject({ code: 'ERROR_DISK_FULL' })
    await mp.rules.clear()
    expect(await mp.io.readFile('D:\\a', { encoding: 'utf8' }), 'it has taken effect').toBe('x')
    const counters = await settled(mp)
    expect(counters.byOperation.write).toMatchObject({ pended: 1n, failed: 1n })
    expectBalance(counters)
  })

  it('a create that succeeded: no handle is left open', async () => {
    const mp = await attached()
    await mp.rules.set([{ on: ['create'], path: '\\a', action: pend({ failWith: 'STATUS_ACCESS_DENIED' }) }])
    const opening = mp.io.open('D:\\a', { access: 'readwrite', create: 'create', share: [] })
    await expect(opening).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    await mp.rules.clear()
    await using file = await mp.io.open('D:\\a', { access: 'readwrite', share: [] })
    expect(await file.write('mine')).toBe(4)
    expectBalance(await settled(mp))
  })

  it('when it is safe', async () => {
    const mp = await attached()
    await mp.rules.set([{ on: ['write'], action: whenSafe({ failWith: 'STATUS_IO_DEVICE_ERROR' }) }])
    await expect(mp.io.writeFile('D:\\a', 'x')).rejects.toMatchObject({ code: 'ERROR_IO_DEVICE' })
    const counters = await settled(mp)
    expect(counters.byOperation.write).toMatchObject({ whenSafe: 1n, failed: 1n })
    expectBalance(counters)
  })
})

describe('persistent rules', () => {
  it('stay until they are cleared; other rules of the session replace the ones it set', async () => {
    const mp = await attached()
    await mp.rules.set([{ on: ['write'], action: observe() }], { persist: true })
    await mp.io.writeFile('D:\\a', 'x')
    expect((await mp.counters()).byOperation.write.observed).toBe(1n)
    await mp.rules.clear({ persistent: true })
    await mp.io.writeFile('D:\\a', 'x')
    expect((await mp.counters()).byOperation.write.observed).toBe(1n)
  })
})

describe('a session over ffi', () => {
  it('opens gates and hears of events too, by asking', async () => {
    const opened = openMinipend({ backend: 'embedded', transport: 'ffi' }).catch((error: unknown) => error)
    const mp = await opened
    if (mp instanceof Error) {
      expect(mp).toMatchObject({ code: 'DEPENDENCY_MISSING' })
      return
    }
    await using session = mp as Minipend
    const gate = await session.gate({ on: ['write'] })
    await expect(gate.next({ timeoutMs: 120 })).rejects.toMatchObject({ code: 'TIMEOUT' })
    const events = await session.events()
    await expect(events.next({ timeoutMs: 10 })).rejects.toMatchObject({ code: 'TIMEOUT' })
    await events.close()
    await gate.close()
  })
})

describe('release by rule', () => {
  const held = (mp: Minipend, rule: string): Promise<number> =>
    mp.held().then((all) => all.filter((each) => each.rule === rule).length)

  it('gives back what a rule holds, and nothing of another, also when the rules have changed places', async () => {
    const mp = await world()
    await mp.attach('D:')
    const a = await mp.io.open('D:\\a', { access: 'readwrite', create: 'create' })
    const b = await mp.io.open('D:\\b', { access: 'readwrite', create: 'create' })
    const slow = (id: string): Rule => ({ id, on: ['write'], path: `\\${id}`, action: pend({ delayMs: 30_000 }) })
    const first = await mp.rules.set([slow('a'), slow('b')])
    const writing = [a.write('1', { at: 0 }), b.write('2', { at: 0 })] as const
    await heldBy(mp, 2n)
    expect((await mp.held()).map(({ ruleGeneration }) => ruleGeneration)).toEqual([first.generation, first.generation])
    await mp.rules.set([slow('b')])
    expect(await mp.rules.release('b')).toEqual({ released: 1, statusNotApplied: 0 })
    expect(await writing[1]).toBe(1)
    expect([await held(mp, 'a'), await held(mp, 'b')]).toEqual([1, 0])
    const failed = expect(writing[0]).rejects.toMatchObject({ code: 'ERROR_DISK_FULL' })
    expect(await mp.rules.release('a', { status: 'STATUS_DISK_FULL' })).toEqual({ released: 1, statusNotApplied: 0 })
    await failed
    expect(await mp.rules.release('a')).toEqual({ released: 0, statusNotApplied: 0 })
    expectBalance(await settled(mp))
  })

  it('gives back without the status what cannot have it, and says so', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.rules.set([{ id: 'opens', on: ['create'], path: '\\new', action: pend({ delayMs: 30_000 }) }])
    const opening = mp.io.open('D:\\new', { create: 'create' })
    await heldBy(mp, 1n)
    expect(await mp.rules.release('opens', { status: 'STATUS_ACCESS_DENIED' })).toEqual({
      released: 1,
      statusNotApplied: 1,
    })
    await (await opening).close()
  })

  it('says which rules there are', async () => {
    const mp = await world()
    await expect(mp.rules.release('a')).rejects.toThrow(
      'rules.release: id: no rule of this session has the id "a"; this session has set none',
    )
    await mp.rules.set([{ id: 'writes', on: ['write'], action: pend() }])
    await expect(mp.rules.release('write')).rejects.toThrow(
      'rules.release: id: no rule of this session has the id "write"; known: writes',
    )
    await expect(mp.rules.release('writes', { force: true } as object)).rejects.toThrow(/options\.force: unknown key/)
  })
})

describe('the listing', () => {
  it('has the rules of all sessions, as they were compiled, and what they have done', async () => {
    const mp = await attached()
    expect(await mp.rules.list()).toMatchObject({ generation: 0n, rules: [] })
    const other = await mp.connect()
    const { generation } = await mp.rules.set([
      { id: 'first', on: ['write'], path: 'a', volume: 'D:', status: 'success', everyNth: 2, action: pend() },
      { id: 'rest', on: ['write', 'read'], action: observe() },
    ])
    const minor = 'IRP_MJ_LOCK_CONTROL/IRP_MN_UNLOCK_ALL'
    await other.rules.set([{ id: 'theirs', on: [minor], action: whenSafe() }], { persist: true })
    for (let i = 0; i < 4; i++) {
      await mp.io.writeFile('D:\\a', 'x')
    }
    await settled(mp)
    const { rules, generation: now } = await mp.rules.list()
    expect(now).toBe((await mp.counters()).ruleGeneration)
    expect(rules).toMatchObject([
      {
        ...{ id: 'first', own: true, generation, persistent: false, on: ['write'], action: 'pend', hold: 'none' },
        ...{ path: '*\\A', drive: 'D:', status: 'success', everyNth: 2, probability: 1, queue: 'delayed' },
        ...{ owner: { connectionId: mp.hello.connectionId } },
        counts: { selected: 2n, refused: 0n, taken: 2n, heldNow: 0, sampled: 4n },
      },
      { id: 'rest', path: undefined, counts: { selected: 2n, taken: 0n, sampled: 0n } },
      { id: undefined, own: false, on: [minor], persistent: true, owner: { connectionId: other.hello.connectionId } },
    ])
    expect((await other.rules.list({ own: true })).rules).toMatchObject([{ id: 'theirs', own: true }])
    await other.close()
    expect((await mp.rules.list()).rules.at(-1)).toMatchObject({ owner: undefined, persistent: true })
  })

  it('of a large table is one table, while another session sets rules', async () => {
    const mp = await attached()
    const other = await mp.connect()
    const many = (count: number): Rule[] =>
      Array.from({ length: count }, (_, i) => ({ on: ['rename'], path: `\\${count}\\${i}`, action: observe() }))
    await mp.rules.set(many(1500))
    const setting = (async () => {
      for (let i = 1; i <= 10; i++) {
        await other.rules.set(many(i))
      }
    })()
    for (let i = 0; i < 5; i++) {
      const { rules } = await mp.rules.list()
      const theirs = rules.filter(({ own }) => !own)
      expect(rules.length - theirs.length).toBe(1500)
      expect(theirs.every(({ path }) => path?.startsWith(`\\${theirs.length}\\`))).toBe(true)
    }
    await setting
    expect((await mp.rules.list()).rules).toHaveLength(1510)
  })
})
