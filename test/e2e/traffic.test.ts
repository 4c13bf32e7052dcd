// SPDX-License-Identifier: MIT
//
// This module provides: tests of generated traffic on the model: each workload does what it says, the same for the same seed, and leaves
// nothing behind.

import { describe, expect, it } from 'vitest'
import { pend, TRAFFIC_WORKLOADS, type TrafficReport } from '../../src/index.js'
import { expectBalance, heldBy, settled, world } from './world.js'

/** What follows from the seed. */
const done = ({ operations, bytesRead, bytesWritten, byOperation }: TrafficReport): unknown => ({
  operations,
  bytesRead,
  bytesWritten,
  counts: Object.fromEntries(
    Object.entries(byOperation).map(([operation, { count, bytes, statuses }]) => [
      operation,
      { count, bytes, statuses },
    ]),
  ),
})

describe('traffic', () => {
  it.each(TRAFFIC_WORKLOADS)('%s does exactly as much as asked, and takes away what it made', async (workload) => {
    const mp = await world()
    await mp.io.mkdir('D:\\traffic')
    const options = { workload, directory: 'D:\\traffic', seed: 42n, operations: 250, concurrency: 3 } as const
    const first = await mp.io.traffic(options)
    expect(first).toMatchObject({ workload, seed: 42n, operations: 250, endedBy: 'operations', stillHeld: 0 })
    expect(first.cleanup.left).toEqual([])
    expect(first.cleanup.removed).toBeGreaterThan(3)
    expect(first.bytesRead + first.bytesWritten).toBeGreaterThan(0n)
    const counts = Object.values(first.byOperation)
    expect(counts.reduce((sum, { count }) => sum + count, 0)).toBe(250)
    for (const { count, failed, statuses, latencyNs } of counts) {
      expect(latencyNs.count).toBe(BigInt(count))
      expect(Object.values(statuses).reduce((sum, each) => sum + each, 0)).toBe(count)
      expect(count - failed).toBe(statuses['OK'] ?? 0)
    }
    expect(await mp.io.list('D:\\traffic')).toEqual([])

    expect(done(await mp.io.traffic(options))).toEqual(done(first))
    expect(done(await mp.io.traffic({ ...options, seed: 43n }))).not.toEqual(done(first))
  })

  it('asks for names that are not there, and counts the failures by their code', async () => {
    const mp = await world()
    const { byOperation } = await mp.io.traffic({ workload: 'build-tree', directory: 'D:\\', seed: 1, operations: 200 })
    expect(byOperation.attributes?.statuses['ERROR_FILE_NOT_FOUND']).toBeGreaterThan(0)
    expect(byOperation.attributes?.failed).toBe(byOperation.attributes?.statuses['ERROR_FILE_NOT_FOUND'])
  })

  it('tells the changes of a watched directory', async () => {
    const mp = await world()
    const { changes } = await mp.io.traffic({
      workload: 'directory-watch',
      directory: 'D:\\',
      seed: 1,
      operations: 100,
    })
    expect(changes?.told).toBeGreaterThan(10)
  })

  it('ends by time, by abort, and refuses a directory that is in use', async () => {
    const mp = await world()
    const options = { workload: 'editor-save', directory: 'D:\\', seed: 7n } as const
    expect((await mp.io.traffic({ ...options, durationMs: 20 })).endedBy).toBe('duration')
    const controller = new AbortController()
    const running = mp.io.traffic({ ...options, operations: 10_000_000, signal: controller.signal })
    await expect.poll(() => mp.io.exists('D:\\minipend-traffic-7\\worker-0\\document.txt')).toBe(true)
    await expect(mp.io.traffic(options)).rejects.toMatchObject({ code: 'ERROR_ALREADY_EXISTS', operation: 'io.mkdir' })
    controller.abort()
    const report = await running
    expect(report).toMatchObject({ endedBy: 'abort', cleanup: { left: [] } })
    expect(await mp.io.exists('D:\\minipend-traffic-7')).toBe(false)
    await expect(mp.io.traffic({ ...options, signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('that is held is pended like any other, and says so when it is aborted', async () => {
    const mp = await world()
    await mp.attach('D:')
    await mp.rules.set([{ on: ['rename'], action: pend({ delayMs: 1500 }) }])
    const controller = new AbortController()
    const running = mp.io.traffic({
      workload: 'editor-save',
      directory: 'D:\\',
      operations: 10_000,
      signal: controller.signal,
    })
    await heldBy(mp, 1n)
    controller.abort()
    expect(await running).toMatchObject({ endedBy: 'abort', stillHeld: 1, cleanup: { left: [] } })
    expectBalance(await settled(mp))
  })

  it('checks its options', async () => {
    const mp = await world()
    const bad = async (options: object): Promise<string> =>
      String(await mp.io.traffic({ workload: 'copy', directory: 'D:\\', ...options }).catch((error: unknown) => error))
    expect(await bad({ workload: 'game' })).toContain('io.traffic: workload: expected one of "editor-save", ')
    expect(await bad({ operations: 0 })).toContain(
      'io.traffic: operations: expected an integer from 1 to 100000000, got 0',
    )
    expect(await bad({ concurrency: 300 })).toContain('io.traffic: concurrency: expected an integer from 1 to 256')
    expect(await bad({ duration: 5 })).toContain('did you mean "durationMs"')
    expect(await bad({ directory: 'D:\\nowhere' })).toContain('ERROR_PATH_NOT_FOUND')
  })
})
