// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest'
import { openOver } from '../../../src/client/over.js'
import {
  AbortedError,
  ClosedError,
  type File,
  type FileOpenOptions,
  InvalidOptionError,
  IoError,
  type Minipend,
} from '../../../src/index.js'
import { FakeFile, type FakeScript, fakeTransport } from './fake.js'

const options = { files: [], load: false, signal: undefined }
const PATH = 'D:\\inbox\\a.txt'

async function open(
  file: FakeFile,
  how: FileOpenOptions = {},
  script: FakeScript = {},
): Promise<{ mp: Minipend; opened: File }> {
  const mp = await openOver(fakeTransport({ file, ...script }), options)
  return { mp, opened: await mp.io.open(PATH, how) }
}

describe('an aborted call', () => {
  it('that does not end is still held; its buffer stays its own', async () => {
    const file = new FakeFile()
    const { opened } = await open(file)
    const controller = new AbortController()
    const mine = new Uint8Array(4)
    const reading = opened.read(mine, { signal: controller.signal })
    controller.abort()
    const error: unknown = await reading.catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(AbortedError)
    expect(error).toMatchObject({ stillHeld: true, name: 'AbortError' })
    expect(file.cancelled).toEqual([1])
    file.buffers[0]?.fill(9)
    file.settle([0, 0, 4])
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect([...mine]).toEqual([0, 0, 0, 0])
  })

  it('that the system cancelled is not held', async () => {
    const file = new FakeFile()
    const { opened } = await open(file)
    const controller = new AbortController()
    const reading = opened.read(4, { signal: controller.signal })
    controller.abort(new Error('no time'))
    file.settle([995, 0xc0000120, 0])
    await expect(reading).rejects.toMatchObject({ name: 'AbortError', stillHeld: false, cause: { message: 'no time' } })
  })

  it('that ended all the same gives its value', async () => {
    const file = new FakeFile()
    const { opened } = await open(file)
    const controller = new AbortController()
    const writing = opened.write('abc', { signal: controller.signal })
    controller.abort()
    file.settle([0, 0, 3])
    await expect(writing).resolves.toBe(3)
  })
})

describe('buffers', () => {
  it('of a write are copied when it starts', async () => {
    const file = new FakeFile()
    const { opened } = await open(file)
    const mine = Uint8Array.of(1, 2, 3)
    const writing = opened.write(mine)
    mine.fill(0)
    expect([...(file.buffers[0] ?? [])]).toEqual([1, 2, 3])
    file.settle([0, 0, 3])
    await writing
  })

  it('of a read give what was read', async () => {
    const file = new FakeFile()
    const { opened } = await open(file)
    const reading = opened.read(8)
    file.buffers[0]?.set([5, 6])
    file.settle([0, 0, 2])
    expect([...(await reading)]).toEqual([5, 6])
  })

  it('at the end of the file are empty', async () => {
    const file = new FakeFile()
    const { opened } = await open(file)
    const reading = opened.read(8)
    file.settle([38, 0xc0000011, 0])
    expect(await reading).toHaveLength(0)
  })
})

describe('a failure', () => {
  it('has the Win32 name, the status and a hint', async () => {
    const transport = fakeTransport({ open: [32, 0xc0000043, undefined] })
    const mp = await openOver(transport, options)
    const error: unknown = await mp.io.open(PATH).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(IoError)
    expect(error).toMatchObject({
      code: 'ERROR_SHARING_VIOLATION',
      win32: { name: 'ERROR_SHARING_VIOLATION', value: 32 },
      ntstatus: { name: 'STATUS_SHARING_VIOLATION', value: 0xc0000043 },
      path: PATH,
      message: `io.open "${PATH}": ERROR_SHARING_VIOLATION (32, STATUS_SHARING_VIOLATION)`,
    })
  })

  it('without a name keeps its number', async () => {
    const file = new FakeFile()
    const { opened } = await open(file)
    const writing = opened.write('x')
    file.settle([4000, 0, 0])
    await expect(writing).rejects.toMatchObject({ code: 'WIN32_4000' })
  })
})

describe('arguments', () => {
  it.each<[FileOpenOptions | Record<string, unknown>, string]>([
    [{ access: 'run' }, 'io.open: access: expected one of "read", "write"'],
    [{ create: 'new' }, 'io.open: create: expected one of "create", "createAlways", "open"'],
    [{ share: 'all' }, 'io.open: share: expected an array of "read", "write", "delete", got "all"'],
    [{ overlaped: true }, 'io.open: options.overlaped: unknown key; did you mean "overlapped"?'],
    [{ noBuffering: 1 }, 'io.open: noBuffering: expected true or false, got 1'],
  ])('of open: %j', async (how, message) => {
    const mp = await openOver(fakeTransport({ file: new FakeFile() }), options)
    const error: unknown = await mp.io.open(PATH, how).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(InvalidOptionError)
    expect(String(error)).toContain(message)
  })

  it('an overlapped handle needs an offset', async () => {
    const { opened } = await open(new FakeFile(), { overlapped: true })
    await expect(opened.read(1)).rejects.toThrow('an overlapped handle has no position')
  })

  it.each([-1, 1.5, '0'])('an offset is not %s', async (at) => {
    const { opened } = await open(new FakeFile())
    await expect(opened.read(1, { at: at as number })).rejects.toThrow('File.read: at: expected an integer from 0 to')
  })
})

describe('rename', () => {
  it('takes a name in the same directory', async () => {
    const file = new FakeFile()
    const { opened } = await open(file)
    await opened.rename('b.txt', { replace: true })
    const [sent] = file.informations
    expect(sent?.informationClass).toBe(3)
    const bytes = Buffer.from(sent?.bytes ?? [])
    expect(bytes.readUInt8(0)).toBe(1)
    const length = bytes.readUInt32LE(16)
    expect(bytes.subarray(20, 20 + length).toString('utf16le')).toBe('D:\\inbox\\b.txt')
    expect(opened.path).toBe('D:\\inbox\\b.txt')
  })
})

describe('closing', () => {
  it('twice closes once, and then nothing works', async () => {
    const file = new FakeFile()
    const { opened } = await open(file)
    await Promise.all([opened.close(), opened.close()])
    await opened[Symbol.asyncDispose]()
    expect(file.closed).toBe(1)
    for (const call of [
      opened.read(1),
      opened.write('x'),
      opened.stat(),
      opened.flush(),
      opened.delete(),
      opened.list(),
      opened.truncate(0),
      opened.rename('x'),
      opened.map({ length: 1 }),
    ]) {
      await expect(call).rejects.toBeInstanceOf(ClosedError)
    }
  })

  it('the session closes its files', async () => {
    const file = new FakeFile()
    const { mp, opened } = await open(file)
    await mp.close()
    expect(file.closed).toBe(1)
    expect(opened.closed).toBe(true)
  })
})
