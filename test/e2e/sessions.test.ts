// SPDX-License-Identifier: MIT
//
// Several sessions with one driver: what each has for itself, what they see of each other, and what outlives them.
import { describe, expect, it } from 'vitest'
import { AbortedError, ClosedError, FilterError, type Minipend, pend, ReleaseError } from '../../src/index.js'
import { expectBalance, settled, world } from './world.js'

const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

/** A model with D: attached, and so many sessions more. */
async function sessions(count: number): Promise<readonly [Minipend, ...Minipend[]]> {
  const mp = await world()
  await mp.attach('D:')
  return [mp, ...(await Promise.all(Array.from({ length: count }, () => mp.connect())))]
}

describe('connect', () => {
  it('opens another client of the same driver, in the same model', async () => {
    const [mp, other] = await sessions(1)
    expect(other?.hello.connectionId).not.toBe(mp.hello.connectionId)
    expect(other?.model.seed).toBe(mp.model.seed)
    await mp.io.writeFile('D:\\a', 'shared')
    expect(await other?.io.readFile('D:\\a', { encoding: 'utf8' })).toBe('shared')
    await other?.close()
    expect(mp.closed).toBe(false)
    expect(await caught(other?.connect() ?? Promise.resolve())).toBeInstanceOf(ClosedError)
    expect((await mp.counters()).inFlight).toBe(0n)
  })

  it('leaves the model to the last session, whichever was first', async () => {
    const [mp, second] = await sessions(1)
    const third = await second?.connect()
    await mp.close()
    await second?.io.writeFile('D:\\a', 'x')
    await second?.close()
    expect(await third?.io.readFile('D:\\a', { encoding: 'utf8' })).toBe('x')
    expect(third?.model.report()).toMatchObject({ stopped: false, leaks: [] })
    await third?.close()
    await third?.close()
  })

  it('says that the driver takes no more than 16', async () => {
    const [mp, ...others] = await sessions(15)
    const error = await caught(mp.connect())
    expect(error).toBeInstanceOf(FilterError)
    expect(error).toMatchObject({ code: 'ERROR_CONNECTION_COUNT_LIMIT', operation: 'connect' })
    await others[3]?.close()
    await using again = await mp.connect()
    expect(again.closed).toBe(false)
  })

  it('can be aborted', async () => {
    const [mp] = await sessions(0)
    const before = AbortSignal.abort('no')
    expect(await caught(mp.connect({ signal: before }))).toBeInstanceOf(AbortedError)
    const during = new AbortController()
    const connecting = caught(mp.connect({ signal: during.signal }))
    during.abort()
    expect(await connecting).toBeInstanceOf(AbortedError)
    // The late session was closed again: there is room for 15 others.
    const others = await Promise.all(Array.from({ length: 15 }, () => mp.connect()))
    expect(others).toHaveLength(15)
  })
})

describe('a persistent rule set', () => {
  it('outlives the session that made it, and is removed by another', async () => {
    const [mp, maker] = await sessions(1)
    await mp.io.writeFile('D:\\a', 'x')
    await maker?.rules.set([{ id: 'full', on: ['rename'], action: pend({ failWith: 'STATUS_DISK_FULL' }) }], {
      persist: true,
    })
    await maker?.close()
    expect(await caught(mp.io.rename('D:\\a', 'b'))).toMatchObject({ code: 'ERROR_DISK_FULL' })
    await mp.rules.clear() // this session's own
    expect(await caught(mp.io.rename('D:\\b', 'a'))).toMatchObject({ code: 'ERROR_DISK_FULL' })
    await mp.rules.clear({ persistent: true })
    await mp.io.rename('D:\\a', 'b')
    expectBalance(await settled(mp))
  })
})

describe('eight clients at once', () => {
  it('have each a gate, see all that is held, and release their own', async () => {
    const all = await sessions(7)
    const [watcher] = all
    const held = await Promise.all(
      all.map(async (mp, number) => {
        await mp.io.writeFile(`D:\\file${number}`, 'x')
        const gate = await mp.gate({ id: `gate of ${number}`, on: ['rename'], path: `\\file${number}` })
        const renaming = mp.io.rename(`D:\\file${number}`, `renamed${number}`)
        return { mp, gate, renaming, operation: await gate.next() }
      }),
    )
    for (const { mp, operation } of held) {
      const seen = await mp.held()
      expect(seen).toHaveLength(8)
      expect(seen.filter(({ own }) => own).map(({ id }) => id)).toEqual([operation.id])
      expect(await mp.held({ own: true })).toHaveLength(1)
    }
    for (const { mp } of held) {
      expect(await mp.releaseAll()).toEqual({ released: 1, statusNotApplied: 0 })
    }
    await Promise.all(held.map(({ renaming }) => renaming))
    expect(await watcher.held()).toEqual([])
    expectBalance(await settled(watcher))
  })

  it('release each other’s only by force', async () => {
    const [owner, stranger] = await sessions(7)
    await owner.io.writeFile('D:\\a', 'x')
    await owner.io.writeFile('D:\\b', 'x')
    const gate = await owner.gate({ on: ['rename'] })
    const renames = [owner.io.rename('D:\\a', 'c'), owner.io.rename('D:\\b', 'd')]
    const [first] = [await gate.next(), await gate.next()]
    const [seen] = (await stranger?.held()) ?? []
    expect(seen).toMatchObject({ id: first.id, own: false, rule: undefined })
    const refused = await caught(seen?.release() ?? Promise.resolve())
    expect(refused).toBeInstanceOf(ReleaseError)
    expect(refused).toMatchObject({ code: 'heldForeign' })
    expect(await stranger?.releaseAll()).toEqual({ released: 0, statusNotApplied: 0 })
    await seen?.release({ force: true })
    expect(await caught(first.release())).toMatchObject({ code: 'heldUnknown' })
    expect(await stranger?.releaseAll({ force: true })).toEqual({ released: 1, statusNotApplied: 0 })
    await Promise.all(renames)
    expectBalance(await settled(owner))
  })

  it('go one by one, and each takes its own along', async () => {
    const [watcher, ...others] = await sessions(7)
    // In an object: an async function waits for a promise that it returns.
    const renames = await Promise.all(
      others.map(async (mp, number) => {
        await watcher.io.writeFile(`D:\\${number}`, 'x')
        const gate = await mp.gate({ on: ['rename'], path: `\\${number}` })
        const renaming = watcher.io.rename(`D:\\${number}`, `r${number}`)
        await gate.next()
        return { renaming }
      }),
    )
    for (const [gone, mp] of others.entries()) {
      await mp.close()
      await renames[gone]?.renaming
      expect(await watcher.held()).toHaveLength(6 - gone)
    }
    expectBalance(await settled(watcher))
  })
})
