// SPDX-License-Identifier: MIT
//
// The hazard table: what has taken effect already while an operation is held, who waits, and what a failure that is chosen for it does not undo.

import { describe, expect } from 'vitest'
import { controlCode, type File, type OperationName, ReleaseError } from '../../src/index.js'
import { type Bench, BY_WORKER, conformance, expectWaiting, PATIENCE, Watched } from './case.js'

const FSCTL_SET_SPARSE = controlCode({ deviceType: 9, function: 49, method: 'buffered', access: 'any' })
const SPARSE = 0x200
const HIDDEN = 0x2

interface Effect {
  readonly operation: OperationName
  readonly what: string
  /** It may not be given back with a failure. */
  readonly mayNotFail?: boolean
  readonly prepare?: (bench: Bench) => Promise<unknown>
  /** The call whose operation is held. */
  readonly act: (bench: Bench, file: File) => Promise<unknown>
  /** Fails unless it has taken effect. */
  readonly check: (bench: Bench) => Promise<void>
}

const information = async (bench: Bench): Promise<number> => (await bench.mp.io.attributes(bench.at('file'))).attributes

const EFFECTS: readonly Effect[] = [
  {
    ...{ operation: 'write', what: 'others read what was written' },
    act: (_, file) => file.write('written', { at: 0 }),
    check: async ({ mp, at }) => expect(await mp.io.readFile(at('file'), { encoding: 'utf8' })).toBe('written'),
  },
  {
    ...{ operation: 'rename', what: 'the new name is there, the old one is not' },
    act: (_, file) => file.rename('renamed'),
    check: async ({ mp, at }) =>
      expect([await mp.io.exists(at('file')), await mp.io.exists(at('renamed'))]).toEqual([false, true]),
  },
  {
    ...{ operation: 'link', what: 'both names are there' },
    act: ({ at }, file) => file.link(at('linked')),
    check: async ({ mp, at }) =>
      expect([await mp.io.exists(at('file')), await mp.io.exists(at('linked'))]).toEqual([true, true]),
  },
  {
    ...{ operation: 'delete', what: 'nobody can open it any more' },
    act: (_, file) => file.delete(),
    check: ({ mp, at }) =>
      expect(mp.io.open(at('file'))).rejects.toMatchObject({ ntstatus: { name: 'STATUS_DELETE_PENDING' } }),
  },
  {
    ...{ operation: 'setEndOfFile', what: 'others see the new size' },
    act: (_, file) => file.truncate(3),
    check: async ({ mp, at }) => expect(await mp.io.readFile(at('file'), { encoding: 'utf8' })).toBe('con'),
  },
  {
    ...{ operation: 'setInformation', what: 'others see the attribute' },
    act: (_, file) => file.setAttributes(['hidden']),
    check: async (bench) => expect((await information(bench)) & HIDDEN).toBe(HIDDEN),
  },
  {
    ...{ operation: 'setEa', what: 'others see the extended attribute' },
    act: (_, file) => file.setEas([{ name: 'A', value: Uint8Array.of(1) }]),
    check: async ({ mp, at }) => {
      await using other = await mp.io.open(at('file'), { access: 'readEa' })
      expect(await other.eas()).toMatchObject([{ name: 'A', value: Uint8Array.of(1) }])
    },
  },
  {
    ...{ operation: 'fsControl', what: 'the file is sparse' },
    act: (_, file) => file.fsctl(FSCTL_SET_SPARSE),
    check: async (bench) => expect((await information(bench)) & SPARSE).toBe(SPARSE),
  },
  {
    ...{ operation: 'lock', what: 'the range is locked, though its owner does not know' },
    act: (_, file) => file.lock({ offset: 0, length: 4 }),
    check: async (bench) => {
      const other = await bench.file('file', { overlapped: true })
      await expect(other.lock({ offset: 1, length: 1, wait: false })).rejects.toMatchObject({
        code: 'ERROR_LOCK_VIOLATION',
      })
    },
  },
  {
    ...{ operation: 'create', what: 'the sharing mode is taken, though nobody has a handle', mayNotFail: true },
    act: ({ mp, at }) => mp.io.open(at('exclusive'), { access: 'readwrite', create: 'create', share: [] }),
    check: async ({ mp, at }) => {
      await expect(mp.io.open(at('exclusive'))).rejects.toMatchObject({ code: 'ERROR_SHARING_VIOLATION' })
    },
  },
  {
    ...{ operation: 'cleanup', what: 'the sharing mode is free again, though the closer waits', mayNotFail: true },
    prepare: async (bench) => (exclusive = await bench.file('exclusive', { share: [] })),
    act: () => exclusive?.close() ?? Promise.reject(new Error('it was not opened')),
    check: async ({ mp, at }) => (await mp.io.open(at('exclusive'), { access: 'readwrite', share: [] })).close(),
  },
]

/** Of the case that runs: they run one after the other. */
let exclusive: File | undefined

const FILE_ACCESS = ['read', 'write', 'delete', 'writeAttributes', 'writeEa'] as const

/** The call, held; the gate takes one operation, so that looking at its effect is not held. */
async function held(
  bench: Bench,
  { operation, act, prepare }: Effect,
): Promise<{
  readonly call: Watched<unknown>
  readonly release: (status?: 'STATUS_DISK_FULL') => Promise<void>
}> {
  const file = await bench.mp.io.open(await bench.filled('file'), { access: FILE_ACCESS, overlapped: true })
  await prepare?.(bench)
  await bench.attach()
  const gate = await bench.gate({ on: [operation], maxHeld: 1, allow: { kernelMode: true } })
  const call = new Watched(act(bench, file))
  const taken = await gate.next(PATIENCE)
  expect(taken.operation).toBe(operation)
  const release = async (status?: 'STATUS_DISK_FULL'): Promise<void> => {
    await taken.release(status === undefined ? {} : { status })
    await gate.close()
  }
  return { call, release }
}

describe('what has happened while it is held', () => {
  for (const effect of EFFECTS) {
    const { operation, what, check, mayNotFail = false } = effect
    conformance('POST-20 POST-27', `${operation}: ${what}; the caller waits`, async (bench) => {
      const { call, release } = await held(bench, effect)
      await check(bench)
      expectWaiting(call)
      await release()
      await call.promise
    })

    if (mayNotFail) {
      conformance(
        operation === 'cleanup' ? 'BUF-07' : 'CRE-04',
        `${operation} cannot be failed by its release`,
        async (bench) => {
          const { call, release } = await held(bench, effect)
          const refused = await release('STATUS_DISK_FULL').catch((error: unknown) => error)
          expect(refused).toBeInstanceOf(ReleaseError)
          expect(refused).toMatchObject({ code: 'releaseStatus' })
          expectWaiting(call)
          await release()
          await call.promise
        },
      )
    } else {
      conformance(
        'POST-30 POST-32 X03',
        `${operation} that is failed: ${what} all the same`,
        async (bench) => {
          const { call, release } = await held(bench, effect)
          await release('STATUS_DISK_FULL')
          await expect(call.promise).rejects.toMatchObject({ code: 'ERROR_DISK_FULL' })
          await check(bench)
        },
        { unless: [BY_WORKER] },
      )
    }
  }
})
