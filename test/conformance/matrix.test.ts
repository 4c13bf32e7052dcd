// SPDX-License-Identifier: MIT
//
// Each kind of operation, once as it is and once while it is pended: it ends the same.

import { describe, expect } from 'vitest'
import { type File, FSCTL, IOCTL, type IoError, type OperationName, pend } from '../../src/index.js'
import { type Bench, conformance, settled, text, VOLUMES } from './case.js'

interface Kind {
  readonly operation: OperationName
  readonly what: string
  /** The call, in a fresh directory that has `file` with "content" and `dir`. Value: what it gave. */
  readonly act: (bench: Bench) => Promise<unknown>
}

/** Of the call that runs: what it leaves open is closed before its directory is looked at. */
const handles: File[] = []

async function opened({ mp, at }: Bench): Promise<File> {
  const access = ['read', 'write', 'delete', 'writeAttributes', 'readEa', 'writeEa', 'writeDac'] as const
  const file = await mp.io.open(at('file'), { access })
  handles.push(file)
  return file
}

const KINDS: readonly Kind[] = [
  { operation: 'create', what: 'opening', act: async (bench) => (await opened(bench)).closed },
  { operation: 'create', what: 'opening what is not there', act: ({ mp, at }) => mp.io.open(at('none')) },
  { operation: 'close', what: 'closing', act: async (bench) => (await opened(bench)).close() },
  { operation: 'cleanup', what: 'closing', act: async (bench) => (await opened(bench)).close() },
  { operation: 'read', what: 'reading', act: async (bench) => text(await (await opened(bench)).read(100, { at: 0 })) },
  {
    operation: 'read',
    what: 'reading behind the end',
    act: async (bench) => (await opened(bench)).read(1, { at: 100 }),
  },
  { operation: 'write', what: 'writing', act: async (bench) => (await opened(bench)).write('other', { at: 1 }) },
  {
    operation: 'queryInformation',
    what: 'asking for the id',
    act: async (bench) => typeof (await (await opened(bench)).fileId()),
  },
  {
    operation: 'setInformation',
    what: 'setting attributes',
    act: async (bench) => (await opened(bench)).setAttributes(['hidden']),
  },
  { operation: 'rename', what: 'renaming', act: async (bench) => (await opened(bench)).rename('new') },
  {
    operation: 'rename',
    what: 'renaming onto a file',
    act: async (bench) => (await opened(bench)).rename(bench.at('dir')),
  },
  { operation: 'link', what: 'linking', act: async (bench) => (await opened(bench)).link(bench.at('dir\\linked')) },
  { operation: 'delete', what: 'deleting', act: async (bench) => (await opened(bench)).delete() },
  {
    ...{ operation: 'delete', what: 'deleting a directory that is not empty' },
    act: async (bench) => {
      await bench.filled('dir\\inside')
      await bench.mp.io.delete(bench.at('dir'))
    },
  },
  { operation: 'setEndOfFile', what: 'truncating', act: async (bench) => (await opened(bench)).truncate(3) },
  {
    operation: 'setAllocation',
    what: 'allocating',
    act: async (bench) => (await opened(bench)).setAllocationSize(10_000),
  },
  { operation: 'queryEa', what: 'asking for extended attributes', act: async (bench) => (await opened(bench)).eas() },
  {
    ...{ operation: 'setEa', what: 'setting an extended attribute' },
    act: async (bench) => (await opened(bench)).setEas([{ name: 'A', value: Uint8Array.of(1) }]),
  },
  { operation: 'flush', what: 'flushing', act: async (bench) => (await opened(bench)).flush() },
  {
    operation: 'queryVolume',
    what: 'asking about the volume',
    act: async (bench) => (await (await opened(bench)).volume()).fileSystem,
  },
  {
    ...{ operation: 'setVolume', what: 'setting the label' },
    act: async ({ mp }) => (await mp.io.openVolume(VOLUMES.ntfs)).setVolumeLabel('conformance'),
  },
  {
    ...{ operation: 'queryDirectory', what: 'listing' },
    act: async ({ mp, at }) => (await mp.io.list(at(''))).map(({ name }) => name),
  },
  {
    ...{ operation: 'notifyDirectory', what: 'watching' },
    act: async (bench) => {
      const directory = await bench.mp.io.open(bench.at(''), { directory: true, overlapped: true })
      const watch = directory.watch({ filter: ['fileName'] })
      await watch.started
      await bench.file('new')
      const change = (await watch.next()).value
      await watch.close()
      return change
    },
  },
  {
    ...{ operation: 'fsControl', what: 'a control call' },
    act: async (bench) => (await opened(bench)).fsctl(FSCTL.GET_REPARSE_POINT, { outputBytes: 100 }),
  },
  {
    ...{ operation: 'deviceControl', what: 'a device control call' },
    act: async ({ mp }) =>
      (await (await mp.io.openVolume(VOLUMES.ntfs)).ioctl(IOCTL.DISK_GET_DRIVE_GEOMETRY, { outputBytes: 100 })).output,
  },
  {
    ...{ operation: 'lock', what: 'locking' },
    act: async (bench) => (await (await opened(bench)).lock({ offset: 0, length: 1 })).exclusive,
  },
  {
    ...{ operation: 'lock', what: 'locking what is locked' },
    act: async (bench) => {
      await (await opened(bench)).lock({ offset: 0, length: 1 })
      await (await opened(bench)).lock({ offset: 0, length: 1, wait: false })
    },
  },
  {
    ...{ operation: 'querySecurity', what: 'asking for the security descriptor' },
    act: async (bench) => (await (await opened(bench)).security({ parts: ['dacl'] })).length > 0,
  },
  {
    ...{ operation: 'setSecurity', what: 'setting it' },
    act: async (bench) => {
      const file = await opened(bench)
      await file.setSecurity(await file.security({ parts: ['dacl'] }))
    },
  },
  {
    operation: 'queryQuota',
    what: 'asking for quotas',
    act: async ({ mp }) => (await mp.io.openVolume(VOLUMES.ntfs)).quota(),
  },
]

/** What came of it, in a directory of its own. */
async function outcome(bench: Bench, act: Kind['act']): Promise<unknown> {
  await bench.filled('file')
  await bench.mp.io.mkdir(bench.at('dir'))
  const came = await act(bench).then(
    (value) => ({ value }),
    (error: unknown) => ({ code: (error as IoError).code, status: (error as IoError).ntstatus?.name }),
  )
  await Promise.all(handles.splice(0).map((file) => file.close()))
  return came
}

/** Everything that is in the directory afterwards. */
async function contents({ mp, at }: Bench): Promise<unknown> {
  const entries = await mp.io.list(at(''))
  return entries.map(({ name, size, attributes, directory }) => ({ name, size, attributes, directory }))
}

async function emptied({ mp, at }: Bench): Promise<void> {
  for (const { name, directory } of await mp.io.list(at(''))) {
    if (directory) {
      for (const inside of await mp.io.list(at(name))) {
        await mp.io.delete(at(`${name}\\${inside.name}`))
      }
    }
    await mp.io.delete(at(name), { posix: true })
  }
}

describe('each kind of operation ends the same, pended or not', () => {
  for (const { operation, what, act } of KINDS) {
    conformance('T04', `${operation}: ${what}`, async (bench) => {
      const without = [await outcome(bench, act), await contents(bench)]
      await emptied(bench)
      await bench.attach()
      await bench.mp.rules.set([
        { on: [operation], volume: VOLUMES.ntfs, allow: { kernelMode: true }, action: pend({ delayMs: 1 }) },
      ])
      const pended = await outcome(bench, act)
      const counters = await settled(bench.mp)
      await bench.mp.rules.clear()
      expect([pended, await contents(bench)]).toEqual(without)
      const { pended: count, completed, refused } = counters.byOperation[operation]
      // A notification ends in the thread that creates, which is inside the file system [SEQ-17].
      expect(count + (operation === 'notifyDirectory' ? refused.topLevelIrp : 0n)).toBeGreaterThan(0n)
      expect(completed).toBe(count)
    })
  }
})
