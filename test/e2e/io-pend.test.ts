// SPDX-License-Identifier: MIT
//
// This module provides: operations beyond reading and writing, held by the driver and seen in its counters.

import { describe, expect, it } from 'vitest'
import { FSCTL, type File, type Minipend, type OperationName, pend } from '../../src/index.js'
import { expectBalance, settled, world } from './world.js'

interface Case {
  readonly operation: OperationName
  readonly make: (mp: Minipend, file: File, directory: File) => Promise<unknown>
}

const CASES: readonly Case[] = [
  { operation: 'lock', make: (_, file) => file.lock({ offset: 0, length: 1 }) },
  { operation: 'fsControl', make: (_, file) => file.fsctl(FSCTL.GET_REPARSE_POINT, { outputBytes: 100 }) },
  { operation: 'setEa', make: (_, file) => file.setEas([{ name: 'A', value: Uint8Array.of(1) }]) },
  { operation: 'queryEa', make: (_, file) => file.eas() },
  { operation: 'link', make: (_, file) => file.link('D:\\dir\\linked') },
  {
    operation: 'queryDirectory',
    make: async (_, _file, directory) => {
      for await (const item of directory.entries()) {
        expect(item.name).not.toBe('')
      }
    },
  },
  { operation: 'queryVolume', make: (_, file) => file.volume() },
  { operation: 'setInformation', make: (_, file) => file.setAttributes(['hidden']) },
]

async function prepared(): Promise<{ mp: Minipend; file: File; directory: File }> {
  const mp = await world()
  await mp.attach('D:')
  await mp.io.mkdir('D:\\dir')
  const file = await mp.io.open('D:\\dir\\file', {
    access: ['read', 'write', 'writeAttributes'],
    create: 'create',
    overlapped: true,
  })
  const directory = await mp.io.open('D:\\dir', { directory: true, overlapped: true })
  return { mp, file, directory }
}

describe('held by a gate, until it is released', () => {
  it.each(CASES)('$operation', async ({ operation, make }) => {
    const { mp, file, directory } = await prepared()
    let ended = false
    {
      await using gate = await mp.gate({ on: [operation] })
      const made = make(mp, file, directory)
        .catch(() => undefined)
        .then(() => (ended = true))
      const held = await gate.next({ timeoutMs: 15_000 })
      expect(held.operation).toBe(operation)
      expect(ended).toBe(false)
      await gate.close()
      await made
    }
    const counters = await settled(mp)
    expect(counters.byOperation[operation].pended).toBeGreaterThan(0n)
    expectBalance(counters)
  })
})

describe('a request for changes', () => {
  it('is refused in the thread that made the change, and pended when the change was there before it', async () => {
    const { mp, directory } = await prepared()
    const watch = directory.watch({ filter: ['fileName'] })
    await watch.started
    await mp.io.writeFile('D:\\dir\\first', '')
    // The first request met no rule on its way down.
    expect((await watch.next()).value).toEqual({ kind: 'added', name: 'first' })
    await mp.rules.set([{ on: ['notifyDirectory'], action: pend({ delayMs: 5 }) }])
    await mp.io.writeFile('D:\\dir\\kept', '')
    // It is answered at once, in its own thread.
    expect((await watch.next()).value).toEqual({ kind: 'added', name: 'kept' })
    expect((await settled(mp)).byOperation.notifyDirectory).toMatchObject({ pended: 1n, completed: 1n })
    await watch.close()

    const second = directory.watch({ filter: ['fileName'] })
    await second.started
    await mp.io.writeFile('D:\\dir\\late', '')
    expect((await second.next()).value).toEqual({ kind: 'added', name: 'late' })
    await second.close()
    const counters = await settled(mp)
    expect(counters.byOperation.notifyDirectory).toMatchObject({ pended: 1n, refused: { topLevelIrp: 1n } })
    expectBalance(counters)
  })
})
