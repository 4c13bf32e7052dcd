// SPDX-License-Identifier: MIT
//
// Callbacks of several filters: two instances of the driver on one volume, each of which sees what a filter at its altitude sees.

import { describe, expect } from 'vitest'
import { observe, pend } from '../../src/index.js'
import type { InstanceCounters } from '../../src/index.js'
import { BY_WORKER, type Bench, conformance, expectWaiting, PATIENCE, settled, take, VOLUMES, Watched } from './case.js'

interface Pair {
  /** By id. */
  readonly nameOf: (id: bigint) => string
}

async function attachTwo({ mp }: Bench, lower: string, upper: string): Promise<Pair> {
  await mp.attach(VOLUMES.ntfs, { altitude: upper, instanceName: 'upper' })
  await mp.attach(VOLUMES.ntfs, { altitude: lower, instanceName: 'lower' })
  const { byInstance } = await mp.counters()
  return { nameOf: (id) => byInstance.find((each) => each.id === id)?.name ?? `instance ${id}` }
}

async function countersOf({ mp }: Bench, name: string): Promise<InstanceCounters> {
  const found = (await settled(mp)).byInstance.find((each) => each.name === name)
  if (found === undefined) {
    throw new Error(`there is no instance ${name}`)
  }
  return found
}

describe('filters above and below each other', () => {
  conformance(
    'T08 POST-05 ALT-02',
    "the upper one's post-operation comes after the lower one has given back, and on the thread that gave back",
    async (bench) => {
      const path = await bench.filled('old')
      const { nameOf } = await attachTwo(bench, '100', '200')
      await using gate = await bench.gate({ on: ['rename'] })
      const renaming = new Watched(bench.mp.io.rename(path, 'new'))
      const below = await gate.next(PATIENCE)
      expect(nameOf(below.instanceId)).toBe('lower')
      expect(below.postOperation).toMatchObject({ thread: 'requestor' })
      expect(await bench.mp.held({ own: true })).toHaveLength(1)
      await below.release()
      const above = await gate.next(PATIENCE)
      expect(nameOf(above.instanceId)).toBe('upper')
      expect(above.postOperation).toMatchObject({ thread: 'system', irql: 'PASSIVE_LEVEL', topLevelIrp: 'none' })
      expect(above.takenNs).toBeGreaterThanOrEqual(below.takenNs)
      expectWaiting(renaming)
      await above.release()
      await renaming.promise
    },
  )

  conformance(
    'POST-30 ALT-02',
    'what the lower one has failed, the upper one sees failed',
    async (bench) => {
      const path = await bench.filled('old')
      const { nameOf } = await attachTwo(bench, '100', '200')
      await using gate = await bench.gate({ on: ['rename'] })
      const renaming = new Watched(bench.mp.io.rename(path, 'new'))
      const below = await gate.next(PATIENCE)
      await below.release({ status: 'STATUS_DISK_FULL' })
      const above = await gate.next(PATIENCE)
      expect(nameOf(above.instanceId)).toBe('upper')
      expect(above).toMatchObject({ status: { name: 'STATUS_DISK_FULL' }, information: 0n })
      await above.release()
      await expect(renaming.promise).rejects.toMatchObject({ code: 'ERROR_DISK_FULL' })
    },
    { unless: [BY_WORKER] },
  )

  conformance('ALT-02 POST-05', 'a create comes back through both in its own thread', async (bench) => {
    const { nameOf } = await attachTwo(bench, '100', '200')
    await using gate = await bench.gate({ on: ['create'], path: bench.path('new') })
    const opening = new Watched(bench.file('new'))
    for (const name of ['lower', 'upper']) {
      const held = await gate.next(PATIENCE)
      expect(nameOf(held.instanceId)).toBe(name)
      expect(held.postOperation).toMatchObject({ thread: 'requestor', irql: 'PASSIVE_LEVEL' })
      expectWaiting(opening)
      await held.release()
    }
    await opening.promise
  })

  /** Lower, then higher. */
  const ALTITUDES: readonly (readonly [string, string])[] = [
    ['9', '10'],
    ['100', '100.5'],
    ['100.123456', '03333'],
    ['0370020', '370020.0000000001'],
    ['370020.09', '370020.1'],
    ['99999999999999999999', '100000000000000000000'],
    ['9007199254740993', '9007199254740993.5'],
    ['9007199254740992', '9007199254740993'],
  ]
  for (const [lower, upper] of ALTITUDES) {
    conformance('ALT-01', `altitude ${lower} is below ${upper}`, async (bench) => {
      const path = await bench.filled('old')
      const { nameOf } = await attachTwo(bench, lower, upper)
      const events = await bench.mp.events({ kinds: ['completed'] })
      await bench.rules({ on: ['rename'], action: pend() })
      await bench.mp.io.rename(path, 'new')
      const seen = await take(events, 2)
      expect(seen.map(({ instanceId }) => nameOf(instanceId))).toEqual(['lower', 'upper'])
    })
  }

  for (const [one, same] of [
    ['100', '0100'],
    ['100', '100.0'],
    ['100.50', '100.5'],
  ] as const) {
    conformance('ALT-01 LIFE-02', `altitudes ${one} and ${same} are the same, and collide`, async ({ mp }) => {
      await mp.attach(VOLUMES.ntfs, { altitude: one, instanceName: 'one' })
      await expect(mp.attach(VOLUMES.ntfs, { altitude: same, instanceName: 'two' })).rejects.toMatchObject({
        code: 'ERROR_FLT_INSTANCE_ALTITUDE_COLLISION',
      })
    })
  }
})

describe('a create that is failed', () => {
  const SEE = { id: 'see', on: ['create', 'cleanup', 'close'], allow: { kernelMode: true }, action: observe() } as const

  conformance(
    'T06 CRE-02 CRE-03',
    'by the upper one is an open, a cleanup and a close below it',
    async (bench) => {
      await attachTwo(bench, '100', '200')
      const path = bench.path('new')
      // Each instance asks in its turn; the second is the upper one [ALT-02].
      const fail = {
        id: 'fail',
        on: ['create'],
        path,
        everyNth: 2,
        action: pend({ failWith: 'STATUS_ACCESS_DENIED' }),
      } as const
      await bench.rules(fail, { ...SEE, path })
      await expect(bench.file('new', { share: [] })).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
      const [lower, upper] = [await countersOf(bench, 'lower'), await countersOf(bench, 'upper')]
      const seen = ({ byOperation: { create, cleanup, close } }: InstanceCounters): unknown =>
        [create, cleanup, close].map(({ observed }) => observed)
      expect(seen(lower)).toEqual([1n, 1n, 1n])
      expect(seen(upper)).toEqual([0n, 0n, 0n])
      expect(upper.byOperation.create).toMatchObject({ pended: 1n, failed: 1n })
      await bench.mp.rules.clear()
      // What was created stays, and nobody has it open.
      await using file = await bench.mp.io.open(bench.at('new'), { access: 'readwrite', share: [] })
      expect(await file.write('mine')).toBe(4)
    },
    { unless: ['cancelled-open-below=close'] },
  )

  conformance('CRE-03', 'by the lower one is a failed create above, without cleanup and close', async (bench) => {
    await attachTwo(bench, '100', '200')
    const path = bench.path('new')
    const fail = {
      id: 'fail',
      on: ['create'],
      path,
      atMost: 1,
      action: pend({ failWith: 'STATUS_ACCESS_DENIED' }),
    } as const
    await bench.rules(fail, { ...SEE, path, status: 'failure' })
    await expect(bench.file('new', { share: [] })).rejects.toMatchObject({ code: 'ERROR_ACCESS_DENIED' })
    const { byOperation } = await countersOf(bench, 'upper')
    expect(byOperation.create.observed, 'it sees the failure').toBe(1n)
    const all = (await settled(bench.mp)).byOperation
    expect([all.cleanup.postOperations, all.close.postOperations]).toEqual([0n, 0n])
  })
})
