// SPDX-License-Identifier: MIT
//
// Events over the real driver and the model.
import { describe, expect, it } from 'vitest'
import { type EventRecord, type EventStream, type Minipend, observe, pend } from '../../src/index.js'
import { settled, world } from './world.js'

/** Events until `done` says so. */
async function until(events: EventStream, done: (all: readonly EventRecord[]) => boolean): Promise<EventRecord[]> {
  const all: EventRecord[] = []
  while (!done(all)) {
    const batch = await events.next()
    expect(batch.lost).toBe(0n)
    all.push(...batch)
  }
  return all
}

const has =
  (kind: EventRecord['kind'], count = 1) =>
  (all: readonly EventRecord[]): boolean =>
    all.filter((event) => event.kind === kind).length >= count

async function attached(): Promise<Minipend> {
  const mp = await world()
  await mp.attach('D:')
  return mp
}

describe('events', () => {
  it('tell the life of a held operation in order', async () => {
    const mp = await attached()
    const slow = { id: 'slow', on: ['write'], names: true, action: pend({ delayMs: 10 }) } as const
    const { generation } = await mp.rules.set([slow])
    const events = await mp.events()
    await mp.io.writeFile('D:\\a', 'x')
    const all = await until(events, has('completed'))
    expect(all).toMatchObject([
      { kind: 'taken', cause: undefined, operation: 'write', path: '\\a', rule: 'slow', drive: 'D:' },
      { kind: 'parked', cause: undefined },
      { kind: 'released', cause: 'due' },
      { kind: 'completed', cause: 'due', status: { name: 'STATUS_SUCCESS' } },
    ])
    expect(new Set(all.map(({ heldId }) => heldId)).size).toBe(1)
    expect(new Set(all.map(({ ruleGeneration }) => ruleGeneration))).toEqual(new Set([generation]))
    expect(all.map(({ sequence }) => sequence - (all[0]?.sequence ?? 0n))).toEqual([0n, 1n, 2n, 3n])
    const times = all.map(({ timeNs }) => timeNs)
    expect(times).toEqual(times.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)))
  })

  it('say with what a released operation was given back', async () => {
    const mp = await attached()
    const gate = await mp.gate({ on: ['write'] })
    const events = await mp.events({ kinds: ['completed'] })
    const writing = mp.io.writeFile('D:\\a', 'x').catch((error: unknown) => error)
    await (await gate.next()).release({ status: 'STATUS_DISK_FULL' })
    expect(await until(events, has('completed'))).toMatchObject([
      { kind: 'completed', cause: 'client', rule: 'gate 1', status: { name: 'STATUS_DISK_FULL', value: 0xc000007f } },
    ])
    expect(await writing).toMatchObject({ code: 'ERROR_DISK_FULL' })
  })

  it('say why an operation was refused', async () => {
    const mp = await attached()
    const file = await mp.io.open('D:\\a', { access: 'readwrite', create: 'create' })
    await file.write('first')
    await mp.rules.set([{ on: ['write'], action: pend({ fastIo: 'refuse' }) }])
    const events = await mp.events({ kinds: ['refused'] })
    await file.write('second')
    expect(await until(events, has('refused'))).toMatchObject([{ kind: 'refused', cause: 'notIrp', heldId: 0n }])
  })

  it('wait for the next one, again and again', async () => {
    const mp = await attached()
    await mp.rules.set([{ on: ['write'], action: pend() }])
    const events = await mp.events({ kinds: ['completed'] })
    for (let i = 0; i < 10; i++) {
      const next = events.next()
      await mp.io.writeFile(`D:\\f${i}`, 'x')
      expect(await next).toMatchObject({ length: 1, lost: 0n })
    }
  })

  it('that find the ring full are lost, and counted', async () => {
    const mp = await attached()
    await mp.rules.set([{ on: ['write'], action: pend() }])
    const events = await mp.events({ ring: 16, kinds: ['completed'] })
    for (let i = 0; i < 40; i++) {
      await mp.io.writeFile(`D:\\f${i}`, 'x')
    }
    await settled(mp)
    let [seen, lost] = [0, 0n]
    while (seen + Number(lost) < 40) {
      const batch = await events.next()
      seen += batch.length
      lost += batch.lost
    }
    expect([seen, lost]).toEqual([16, 24n])
  })

  it('end with their stream, and a new one begins afresh', async () => {
    const mp = await attached()
    await mp.rules.set([{ on: ['write'], action: pend() }])
    const first = await mp.events()
    await mp.io.writeFile('D:\\a', 'x')
    await first.close()
    await mp.io.writeFile('D:\\b', 'x')
    await settled(mp)
    const second = await mp.events({ kinds: ['completed'] })
    await mp.io.writeFile('D:\\c', 'x')
    expect(await until(second, has('completed'))).toHaveLength(1)
  })

  it('are not about what is only observed', async () => {
    const mp = await attached()
    await mp.rules.set([
      { on: ['write'], path: '*.txt', action: observe() },
      { on: ['write'], action: pend() },
    ])
    const events = await mp.events({ kinds: ['taken'] })
    await mp.io.writeFile('D:\\a.txt', 'x')
    await mp.io.writeFile('D:\\b', 'x')
    expect(await until(events, has('taken'))).toMatchObject([{ rule: 'rule 1' }])
  })
})
