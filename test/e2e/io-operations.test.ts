// SPDX-License-Identifier: MIT
//
// This module provides: tests that an operation is selected by its name, and what becomes of it: IRPs are pended, the forms that are never pended are
// counted as observed, and refused when a rule asks for more. Cleanup, close, directories and setting quotas have cases elsewhere (test/native/spine,
// io-pend.test.ts, io-seldom.test.ts), and so have those that only the kernel sends (classify_test.cpp).

import { expect, it } from 'vitest'
import { type File, type Minipend, observe, type OperationName, pend } from '../../src/index.js'
import { expectBalance, settled, world } from './world.js'

interface Scene {
  readonly mp: Minipend
  readonly file: File
  readonly volume: File
}
type Act = (scene: Scene) => Promise<unknown>

/** Under one rule for the operation alone. */
async function scene(on: OperationName, action: ReturnType<typeof pend> | ReturnType<typeof observe>): Promise<Scene> {
  const mp = await world()
  await mp.attach('D:')
  const file = await mp.io.open('D:\\file', {
    access: ['read', 'write', 'readControl', 'writeDac', 'delete'],
    create: 'create',
  })
  await file.write(new Uint8Array(8192), { at: 0 })
  const volume = await mp.io.openVolume('D:')
  await mp.rules.set([{ id: 'only', on: [on], action }])
  return { mp, file, volume }
}

const LABEL = 'x' // the shortest
const GEOMETRY = 0x70000 // IOCTL_DISK_GET_DRIVE_GEOMETRY
const IS_VOLUME_MOUNTED = 0x90028 // FSCTL_IS_VOLUME_MOUNTED

const IRPS: readonly (readonly [OperationName, Act])[] = [
  ['create', ({ mp }) => mp.io.open('D:\\other', { create: 'create' })],
  ['read', ({ file }) => file.read(10, { at: 0 })],
  ['write', ({ file }) => file.write('x', { at: 0 })],
  ['flush', ({ file }) => file.flush()],
  ['queryInformation', ({ file }) => file.stat()],
  ['setInformation', ({ file }) => file.setAttributes(['hidden'])],
  ['rename', ({ file }) => file.rename('D:\\renamed')],
  ['link', ({ file }) => file.link('D:\\linked')],
  ['delete', ({ file }) => file.delete()],
  ['setEndOfFile', ({ file }) => file.truncate(100)],
  ['setAllocation', ({ file }) => file.setAllocationSize(100)],
  ['queryEa', ({ file }) => file.eas()],
  ['setEa', ({ file }) => file.setEas([{ name: 'A', value: Uint8Array.of(1) }])],
  ['queryVolume', ({ volume }) => volume.volume()],
  ['setVolume', ({ volume }) => volume.setVolumeLabel(LABEL)],
  ['fsControl', ({ volume }) => volume.fsctl(IS_VOLUME_MOUNTED)],
  ['deviceControl', ({ volume }) => volume.ioctl(GEOMETRY, { outputBytes: 100 })],
  ['lock', ({ file }) => file.lock({ offset: 0, length: 1, wait: false })],
  ['querySecurity', ({ file }) => file.security()],
  ['setSecurity', async ({ file }) => file.setSecurity(await file.security({ parts: ['dacl'] }), { parts: ['dacl'] })],
  ['queryQuota', ({ volume }) => volume.quota()],
]

it.each(IRPS)('%s is selected by its name, and pended', async (operation, act) => {
  const { mp, ...rest } = await scene(operation, pend())
  expect((await settled(mp)).pended).toBe(0n)
  await act({ mp, ...rest })
  const counters = await settled(mp)
  expectBalance(counters)
  expect(counters.byOperation[operation].pended).toBeGreaterThanOrEqual(1n)
  // Nothing else was taken for it.
  expect(counters.pended).toBe(counters.byOperation[operation].pended)
})

/** Writes through a mapping: the section is announced, and its flush is the cache manager's. */
const mapped: Act = async ({ file }) => {
  await using view = await file.map({ length: 4096, writable: true })
  await view.write(0, 'changed')
  await view.flush()
}
const FORMS: readonly (readonly [OperationName, Act])[] = [
  ['queryOpen', ({ mp }) => mp.io.fullAttributes('D:\\file')],
  ['sectionSync', mapped],
  ['ccFlush', ({ file }) => file.flush()],
  [
    'fastIoCheck',
    async ({ file }) => {
      await file.lock({ offset: 0, length: 10, wait: false })
      await file.read(5, { at: 0 })
    },
  ],
]

it.each(FORMS)('%s is counted when it is observed', async (operation, act) => {
  const { mp, ...rest } = await scene(operation, observe())
  await act({ mp, ...rest })
  const counters = await settled(mp)
  expectBalance(counters)
  expect(counters.byOperation[operation].observed).toBeGreaterThanOrEqual(1n)
  expect(counters.observed).toBe(counters.byOperation[operation].observed)
})

it.each(FORMS)('%s is never pended', async (operation, act) => {
  const { mp, ...rest } = await scene(operation, pend({ fastIo: 'refuse' }))
  await act({ mp, ...rest })
  const counters = await settled(mp)
  expectBalance(counters)
  expect(counters.pended).toBe(0n)
  expect(counters.byOperation[operation].refused.notIrp).toBeGreaterThanOrEqual(1n)
})

it('one minor function is selected by its name', async () => {
  const mp = await world()
  await mp.attach('D:')
  const file = await mp.io.open('D:\\file', { access: 'readwrite', create: 'create' })
  await mp.rules.set([{ id: 'unlock', on: ['IRP_MJ_LOCK_CONTROL/IRP_MN_UNLOCK_SINGLE'], action: pend() }])
  await file.lock({ offset: 0, length: 10, wait: false })
  await file.lock({ offset: 10, length: 10, wait: false })
  await file.unlock({ offset: 0, length: 10 })
  const { lock } = (await settled(mp)).byOperation
  expect(lock).toMatchObject({ pended: 1n, unmatched: 2n, fastIoDisallowed: 1n })
})

it('a lock whose call was made to fail is granted all the same', async () => {
  const mp = await world()
  await mp.attach('D:')
  const open = (): Promise<File> => mp.io.open('D:\\file', { access: 'readwrite', create: 'openAlways' })
  const [mine, other] = [await open(), await open()]
  await mp.rules.set([{ id: 'refused', on: ['lock'], action: pend({ failWith: 'STATUS_INSUFFICIENT_RESOURCES' }) }])
  await expect(mine.lock({ offset: 0, length: 10, wait: false })).rejects.toMatchObject({
    ntstatus: { name: 'STATUS_INSUFFICIENT_RESOURCES' },
  })
  await mp.rules.clear()
  await expect(other.lock({ offset: 5, length: 1, wait: false })).rejects.toMatchObject({
    code: 'ERROR_LOCK_VIOLATION',
  })
  await mine.unlock({ offset: 0, length: 10 })
  await using lock = await other.lock({ offset: 5, length: 1, wait: false })
  expect(lock.unlocked).toBe(false)
  expectBalance(await settled(mp))
})
