// SPDX-License-Identifier: MIT
//
// This module provides: tests of `io.win32`: what each call does, the error it gives, and what the driver sees of it, operation by operation, while it pends
// whatever can be pended [SEQ-02, 14, 15, 16, 21].

import { describe, expect, it, onTestFinished } from 'vitest'
import { type Counters, type EventStream, type Minipend, OPERATION_NAMES, pend } from '../../src/index.js'
import { settled, world } from './world.js'

const SYSTEM_PROCESS_ID = 4
const EVERYTHING = {
  id: 'everything',
  on: [...OPERATION_NAMES],
  allow: { kernelMode: true },
  action: pend({ fastIo: 'refuse' }),
} as const

const text = (mp: Minipend, path: string): Promise<string> => mp.io.readFile(path, { encoding: 'utf8' })

async function volumes(): Promise<Minipend> {
  const mp = await world()
  await mp.attach('D:')
  await mp.attach('E:')
  return mp
}

/** The next operations of this process, one that is not pended in brackets. */
async function take(events: EventStream, count: number): Promise<string[]> {
  const seen: string[] = []
  for (let read = 0; read < count;) {
    const batch = await events.next()
    expect(batch.lost).toBe(0n)
    read += batch.length
    for (const { kind, operation, processId } of batch) {
      // The lazy writer comes when it likes.
      if (processId !== SYSTEM_PROCESS_ID) {
        seen.push(kind === 'refused' ? `[${operation}]` : operation)
      }
    }
  }
  return seen
}

type Trace = (act: () => Promise<unknown>) => Promise<string>

/** A world, and what says which operations a call makes. */
async function traced(): Promise<{ readonly mp: Minipend; readonly trace: Trace }> {
  const mp = await volumes()
  const events = await mp.events({ kinds: ['taken', 'refused'], ring: 4096 })
  onTestFinished(() => events.close())
  const seen = ({ pended, refused }: Counters): bigint => pended + refused.total
  const trace: Trace = async (act) => {
    const before = seen(await settled(mp))
    await mp.rules.set([EVERYTHING])
    await act()
    await mp.rules.clear()
    return (await take(events, Number(seen(await settled(mp)) - before))).join(' ')
  }
  return { mp, trace }
}

type Act = (mp: Minipend) => Promise<unknown>
const CLOSED = 'cleanup close'
const CLOSED_ON_FAT = '[cleanup] [close]'

const TRACES: readonly (readonly [call: string, act: Act, trace: string])[] = [
  ['getFileAttributes', ({ io }) => io.win32.getFileAttributes('D:\\file'), '[queryOpen]'],
  ['getFileAttributesEx', ({ io }) => io.win32.getFileAttributesEx('D:\\file'), '[queryOpen]'],
  [
    'getFileAttributesEx on FAT',
    ({ io }) => io.win32.getFileAttributesEx('E:\\file'),
    `[queryOpen] create [queryInformation] ${CLOSED_ON_FAT}`,
  ],
  [
    'setFileAttributes',
    ({ io }) => io.win32.setFileAttributes('D:\\file', ['hidden']),
    `create setInformation ${CLOSED}`,
  ],
  ['deleteFile', ({ io }) => io.win32.deleteFile('D:\\file'), `create queryInformation delete ${CLOSED}`],
  // Neither the reparse tag nor POSIX semantics: the older class does it.
  [
    'deleteFile on FAT',
    ({ io }) => io.win32.deleteFile('E:\\file'),
    `create [queryInformation] [delete] [delete] ${CLOSED_ON_FAT}`,
  ],
  ['removeDirectory', ({ io }) => io.win32.removeDirectory('D:\\dir'), `create queryInformation delete ${CLOSED}`],
  ['createDirectory', ({ io }) => io.win32.createDirectory('D:\\new'), `create ${CLOSED}`],
  ['moveFile', ({ io }) => io.win32.moveFile('D:\\file', 'D:\\dir\\moved'), `create create rename ${CLOSED} ${CLOSED}`],
  [
    'createHardLink',
    ({ io }) => io.win32.createHardLink('D:\\dir\\linked', 'D:\\file'),
    `create create link ${CLOSED} ${CLOSED}`,
  ],
  ['createSymbolicLink', ({ io }) => io.win32.createSymbolicLink('D:\\link', 'file'), `create fsControl ${CLOSED}`],
  [
    'findFirstFile to the end',
    async ({ io }) => {
      for await (const { name } of await io.win32.findFirstFile('D:\\*')) {
        expect(name).toMatch(/^(dir|file)$/)
      }
    },
    `create queryDirectory queryDirectory queryDirectory ${CLOSED}`,
  ],
  [
    'findFirstFile alone',
    async ({ io }) => (await io.win32.findFirstFile('D:\\f*')).findClose(),
    `create queryDirectory ${CLOSED}`,
  ],
  [
    'copyFile',
    ({ io }) => io.win32.copyFile('D:\\file', 'D:\\copied'),
    // Basic and standard information by fast I/O, then sizes of the attributes and streams; the page that is written in part is read.
    'create [queryInformation] [queryInformation] queryInformation queryVolume queryInformation ' +
      'create setEndOfFile read [read] write [read] setInformation cleanup cleanup close',
  ],
  [
    'getVolumeInformation',
    ({ io }) => io.win32.getVolumeInformation('D:\\'),
    `create queryInformation queryVolume queryVolume ${CLOSED}`,
  ],
  ['getDiskFreeSpace', ({ io }) => io.win32.getDiskFreeSpace('D:\\'), `create queryVolume ${CLOSED}`],
  ['getDiskFreeSpaceEx', ({ io }) => io.win32.getDiskFreeSpaceEx('D:\\dir'), `create queryVolume ${CLOSED}`],
]

async function filled(mp: Minipend): Promise<void> {
  for (const drive of ['D:', 'E:']) {
    await mp.io.win32.createDirectory(`${drive}\\dir`)
    await mp.io.writeFile(`${drive}\\file`, 'content')
  }
}

it.each(TRACES)('%s is the sequence of operations that it is known for', async (_, act, expected) => {
  const { mp, trace } = await traced()
  await filled(mp)
  expect(await trace(() => act(mp))).toBe(expected)
})

const ERRORS: readonly (readonly [call: string, code: string, act: Act])[] = [
  ['getFileAttributes of nothing', 'ERROR_FILE_NOT_FOUND', ({ io }) => io.win32.getFileAttributes('D:\\none')],
  [
    'getFileAttributesEx below nothing',
    'ERROR_PATH_NOT_FOUND',
    ({ io }) => io.win32.getFileAttributesEx('D:\\none\\a'),
  ],
  ['setFileAttributes of nothing', 'ERROR_FILE_NOT_FOUND', ({ io }) => io.win32.setFileAttributes('D:\\none', [])],
  ['deleteFile of nothing', 'ERROR_FILE_NOT_FOUND', ({ io }) => io.win32.deleteFile('D:\\none')],
  ['deleteFile of a directory', 'ERROR_ACCESS_DENIED', ({ io }) => io.win32.deleteFile('D:\\dir')],
  [
    'deleteFile of a read-only file',
    'ERROR_ACCESS_DENIED',
    async ({ io }) => {
      await io.win32.setFileAttributes('D:\\file', ['readonly'])
      await io.win32.deleteFile('D:\\file')
    },
  ],
  [
    'deleteFile of a file that nobody else may delete',
    'ERROR_SHARING_VIOLATION',
    async ({ io }) => {
      await io.open('D:\\file', { share: ['read', 'write'] })
      await io.win32.deleteFile('D:\\file')
    },
  ],
  [
    'deleteFile of a mapped file',
    'ERROR_ACCESS_DENIED',
    async ({ io }) => {
      const file = await io.open('D:\\file')
      await file.map({ length: 1 })
      await io.win32.deleteFile('D:\\file')
    },
  ],
  ['removeDirectory of a file', 'ERROR_DIRECTORY', ({ io }) => io.win32.removeDirectory('D:\\file')],
  [
    'removeDirectory of a full one',
    'ERROR_DIR_NOT_EMPTY',
    async ({ io }) => {
      await io.win32.createDirectory('D:\\dir\\sub')
      await io.win32.removeDirectory('D:\\dir')
    },
  ],
  ['createDirectory again', 'ERROR_ALREADY_EXISTS', ({ io }) => io.win32.createDirectory('D:\\dir')],
  ['createDirectory below nothing', 'ERROR_PATH_NOT_FOUND', ({ io }) => io.win32.createDirectory('D:\\none\\dir')],
  ['moveFile onto a file', 'ERROR_ALREADY_EXISTS', ({ io }) => io.win32.moveFile('D:\\dir', 'D:\\file')],
  [
    'moveFileEx to another volume',
    'ERROR_NOT_SAME_DEVICE',
    ({ io }) => io.win32.moveFileEx('D:\\file', 'E:\\moved', { replaceExisting: true }),
  ],
  [
    'moveFile onto a file of another volume',
    'ERROR_FILE_EXISTS',
    ({ io }) => io.win32.moveFile('D:\\file', 'E:\\file'),
  ],
  [
    'moveFile of a directory to another volume',
    'ERROR_ACCESS_DENIED',
    ({ io }) => io.win32.moveFile('D:\\dir', 'E:\\to'),
  ],
  ['createHardLink onto a file', 'ERROR_ALREADY_EXISTS', ({ io }) => io.win32.createHardLink('D:\\file', 'D:\\file')],
  ['createHardLink of a directory', 'ERROR_ACCESS_DENIED', ({ io }) => io.win32.createHardLink('D:\\link', 'D:\\dir')],
  [
    'createHardLink to another volume',
    'ERROR_NOT_SAME_DEVICE',
    ({ io }) => io.win32.createHardLink('E:\\link', 'D:\\file'),
  ],
  ['createHardLink on FAT', 'ERROR_INVALID_FUNCTION', ({ io }) => io.win32.createHardLink('E:\\link', 'E:\\file')],
  [
    'createSymbolicLink onto a file',
    'ERROR_ALREADY_EXISTS',
    ({ io }) => io.win32.createSymbolicLink('D:\\file', 'target'),
  ],
  ['findFirstFile of nothing', 'ERROR_FILE_NOT_FOUND', ({ io }) => io.win32.findFirstFile('D:\\none*')],
  ['findFirstFile below nothing', 'ERROR_PATH_NOT_FOUND', ({ io }) => io.win32.findFirstFile('D:\\none\\*')],
  ['findFirstFile below a file', 'ERROR_DIRECTORY', ({ io }) => io.win32.findFirstFile('D:\\file\\*')],
  ['findFirstFile without a name', 'ERROR_FILE_NOT_FOUND', ({ io }) => io.win32.findFirstFile('D:\\dir\\')],
  [
    'findNextFile behind the last one',
    'ERROR_NO_MORE_FILES',
    async ({ io }) => {
      await using search = await io.win32.findFirstFile('D:\\file')
      expect(search.first.name).toBe('file')
      await search.findNextFile()
    },
  ],
  ['copyFile of nothing', 'ERROR_FILE_NOT_FOUND', ({ io }) => io.win32.copyFile('D:\\none', 'D:\\copied')],
  ['copyFile of a directory', 'ERROR_ACCESS_DENIED', ({ io }) => io.win32.copyFile('D:\\dir', 'D:\\copied')],
  [
    'copyFile with FAIL_IF_EXISTS',
    'ERROR_FILE_EXISTS',
    ({ io }) => io.win32.copyFile('D:\\file', 'E:\\file', { failIfExists: true }),
  ],
  ['copyFile onto itself', 'ERROR_SHARING_VIOLATION', ({ io }) => io.win32.copyFile('D:\\file', 'D:\\file')],
  [
    'copyFile onto a hidden file',
    'ERROR_ACCESS_DENIED',
    async ({ io }) => {
      await io.win32.setFileAttributes('E:\\file', ['hidden'])
      await io.win32.copyFile('D:\\file', 'E:\\file')
    },
  ],
  ['getVolumeInformation without a backslash', 'ERROR_INVALID_NAME', ({ io }) => io.win32.getVolumeInformation('D:')],
  ['getVolumeInformation of a directory', 'ERROR_DIR_NOT_ROOT', ({ io }) => io.win32.getVolumeInformation('D:\\dir\\')],
  ['getDiskFreeSpace of a file', 'ERROR_DIRECTORY', ({ io }) => io.win32.getDiskFreeSpace('D:\\file')],
]

describe.each([
  ['when nothing is pended', false],
  ['when everything is pended', true],
])('%s', (_, pended) => {
  it.each(ERRORS)('%s is %s', async (_call, code, act) => {
    const mp = await volumes()
    await filled(mp)
    await mp.rules.set(pended ? [EVERYTHING] : [])
    await expect(act(mp)).rejects.toMatchObject({ code, win32: { name: code } })
    // A refusal changes nothing.
    expect(await text(mp, 'D:\\file')).toBe('content')
    expect(await text(mp, 'E:\\file')).toBe('content')
  })

  it('files are copied with all that they have', async () => {
    const mp = await volumes()
    const { io } = mp
    await mp.rules.set(pended ? [EVERYTHING] : [])
    const long = Uint8Array.from({ length: 200_000 }, (_, index) => index % 251)
    await io.writeFile('D:\\from', long)
    await io.writeFile('D:\\from:stream', 'of its own')
    {
      await using file = await io.open('D:\\from', { access: ['write', 'writeAttributes', 'writeEa'] })
      await file.setEas([{ name: 'KEPT', value: Uint8Array.of(1, 2) }])
      await file.setTimes({ modifiedAt: new Date('2001-02-03T04:05:06Z') })
      await file.setAttributes(['hidden', 'archive'])
    }
    await io.win32.copyFile('D:\\from', 'D:\\to')
    expect(await io.readFile('D:\\to')).toEqual(long)
    expect(await text(mp, 'D:\\to:stream')).toBe('of its own')
    const { attributes, modifiedAt, size } = await io.win32.getFileAttributesEx('D:\\to')
    expect([attributes, modifiedAt, size]).toEqual([0x22, new Date('2001-02-03T04:05:06Z'), 200_000n])
    await using copied = await io.open('D:\\to', { access: 'readEa' })
    expect(await copied.eas()).toMatchObject([{ name: 'KEPT', value: Uint8Array.of(1, 2) }])
    // FAT has neither streams nor extended attributes: only what cannot do without the attributes stays where it is.
    await io.win32.copyFile('D:\\from', 'E:\\to')
    expect(await io.readFile('E:\\to')).toEqual(long)
    {
      await using file = await io.open('D:\\from', { access: 'writeEa' })
      await file.setEas([{ name: 'NEEDED', value: Uint8Array.of(3), needed: true }])
    }
    await expect(io.win32.copyFile('D:\\from', 'E:\\other')).rejects.toMatchObject({ code: 'ERROR_EAS_NOT_SUPPORTED' })
    expect(await io.exists('E:\\other')).toBe(false)
  })

  it('a file moves to another volume when copying is allowed', async () => {
    const mp = await volumes()
    const { io } = mp
    await filled(mp)
    await io.writeFile('D:\\file:stream', 'stays behind')
    await mp.rules.set(pended ? [EVERYTHING] : [])
    await io.win32.moveFileEx('D:\\file', 'E:\\file', { replaceExisting: true, copyAllowed: true, writeThrough: true })
    expect(await text(mp, 'E:\\file')).toBe('content')
    expect(await io.exists('D:\\file')).toBe(false)
    await io.win32.moveFile('E:\\file', 'E:\\dir\\renamed')
    expect(await text(mp, 'E:\\dir\\renamed')).toBe('content')
    await io.win32.moveFileEx('E:\\dir\\renamed', 'E:\\third')
    await io.writeFile('E:\\dir\\renamed', 'in the way')
    await io.win32.moveFileEx('E:\\third', 'E:\\dir\\renamed', { replaceExisting: true })
    expect(await text(mp, 'E:\\dir\\renamed')).toBe('content')
    // By the older class, which FAT has.
    await io.win32.deleteFile('E:\\dir\\renamed')
    await io.win32.removeDirectory('E:\\dir')
    expect(await io.exists('E:\\dir')).toBe(false)
  })

  it('links are made, followed, and deleted by themselves', async () => {
    const mp = await volumes()
    const { io } = mp
    await filled(mp)
    await mp.rules.set(pended ? [EVERYTHING] : [])
    await io.win32.createHardLink('D:\\hard', 'D:\\file')
    await io.win32.createSymbolicLink('D:\\soft', 'dir', { directory: true })
    await io.writeFile('D:\\soft\\a', 'in the directory')
    await io.win32.deleteFile('D:\\file')
    expect(await text(mp, 'D:\\hard')).toBe('content')
    await using search = await io.win32.findFirstFile('D:\\so?t')
    expect(search.first).toMatchObject({ name: 'soft', reparseTag: 0xa000000c, directory: true })
    await io.win32.removeDirectory('D:\\soft')
    expect(await text(mp, 'D:\\dir\\a')).toBe('in the directory')
  })

  it('a search finds what its pattern says, and each once', async () => {
    const mp = await volumes()
    const { io } = mp
    for (const name of ['one.txt', 'two.txt', 'three.txt.old', 'four', 'five.tx']) {
      await io.writeFile(`D:\\${name}`, name)
    }
    await mp.rules.set(pended ? [EVERYTHING] : [])
    const found = async (pattern: string): Promise<string[]> => {
      const names: string[] = []
      for await (const { name, size } of await io.win32.findFirstFile(`D:\\${pattern}`)) {
        expect(size).toBe(BigInt(name.length))
        names.push(name)
      }
      return names
    }
    expect(await found('*.txt')).toEqual(['one.txt', 'two.txt'])
    expect(await found('*.*')).toHaveLength(5)
    expect(await found('*.')).toEqual(['four'])
    expect(await found('*.tx?')).toEqual(['five.tx', 'one.txt', 'two.txt'])
    expect(await found('t*.old')).toEqual(['three.txt.old'])
    const search = await io.win32.findFirstFile('D:\\*')
    await search.findClose()
    await expect(search.findNextFile()).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('a volume says the same by name as by handle', async () => {
    const mp = await volumes()
    const { io } = mp
    await mp.rules.set(pended ? [EVERYTHING] : [])
    for (const [root, fileSystem] of [
      ['D:\\', 'NTFS'],
      ['E:\\', 'FAT32'],
    ] as const) {
      await using directory = await io.open(root, { directory: true })
      const byHandle = await directory.volume()
      expect(await io.win32.getVolumeInformation(root)).toEqual({
        label: byHandle.label,
        serialNumber: byHandle.serialNumber,
        maximumComponentLength: byHandle.maximumNameLength,
        fileSystemFlags: byHandle.fileSystemFlags,
        fileSystem,
      })
      const { sectorsPerCluster, bytesPerSector, freeClusters, totalClusters } = await io.win32.getDiskFreeSpace(root)
      expect(sectorsPerCluster * bytesPerSector).toBe(byHandle.bytesPerCluster)
      expect([totalClusters, freeClusters].map((clusters) => clusters * BigInt(byHandle.bytesPerCluster))).toEqual([
        byHandle.totalBytes,
        byHandle.availableBytes,
      ])
      expect(await io.win32.getDiskFreeSpaceEx(root)).toEqual({
        total: byHandle.totalBytes,
        free: byHandle.availableBytes,
        availableToCaller: byHandle.availableBytes,
      })
    }
  })
})

it('a copy that fails leaves nothing behind, and its error is the one that was met', async () => {
  const mp = await volumes()
  await filled(mp)
  await mp.rules.set([{ on: ['write'], path: '\\target', action: pend({ failWith: 'STATUS_DISK_FULL' }) }])
  await expect(mp.io.win32.copyFile('D:\\file', 'D:\\target')).rejects.toMatchObject({
    code: 'ERROR_DISK_FULL',
  })
  expect(await mp.io.exists('D:\\target')).toBe(false)
})

it('a call that is aborted while it is held says so, and the driver gives it back', async () => {
  const mp = await volumes()
  await filled(mp)
  const stop = new AbortController()
  {
    await using gate = await mp.gate({ on: ['delete'] })
    const deleting = mp.io.win32.deleteFile('D:\\file', { signal: stop.signal })
    await gate.next()
    stop.abort()
    await expect(deleting).rejects.toMatchObject({ code: 'ABORT_ERR', stillHeld: true })
  }
  await settled(mp)
  // The call's handle is closed a moment after the operation has come back; until then the file waits to be deleted.
  await expect.poll(() => mp.io.exists('D:\\file'), { timeout: 15_000 }).toBe(false)
})
