// SPDX-License-Identifier: MIT
//
// This module provides: tests of the journal's file and of the lock, on this machine's own files and processes.

import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { fileStore, Journal } from '../../../src/cli/windows/journal.js'
import { acquireLock, lockAddress } from '../../../src/cli/windows/lock.js'
import { imagePath, perform, runProgram, thisMachine } from '../../../src/cli/windows/machine.js'
import { call } from '../../../src/cli/windows/commands.js'
import { openJournal } from '../../../src/cli/windows/state.js'
import { DIRECTORY, SHA1 } from './support.js'

const directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-journal-'))
afterAll(() => rmSync(directory, { recursive: true }))

const FILTER = { kind: 'filter', filter: 'minipend' } as const
const TRUST = { kind: 'certificate', store: 'Root', sha1: SHA1 } as const
let files = 0
const freshFile = (): string => path.join(directory, String(++files), 'undo.jsonl')
const open = (file: string): Journal => openJournal(fileStore(file), DIRECTORY)

describe('the file', () => {
  test('has each line before the next thing happens, and is gone when nothing is left', () => {
    const file = freshFile()
    const journal = open(file)
    expect(existsSync(file)).toBe(false)
    journal.begin(new Date(0), '1.2.3')
    const first = journal.intend(TRUST)
    expect(readFileSync(file, 'utf8')).toBe(
      `{"kind":"begin","at":"1970-01-01T00:00:00.000Z","version":"1.2.3","process":${process.pid}}\n` +
        `{"kind":"intent","step":1,"undo":{"kind":"certificate","store":"Root","sha1":"${SHA1}"}}\n`,
    )
    journal.done(first)
    const second = journal.intend(FILTER)
    journal.pause(new Date(5))
    const later = open(file)
    expect(later.pending).toEqual([
      { step: 1, undo: TRUST, done: true },
      { step: 2, undo: FILTER, done: false },
    ])
    expect({ paused: later.pausedAt, begun: later.begun?.version }).toEqual({ paused: new Date(5), begun: '1.2.3' })
    later.resume()
    expect(open(file).pausedAt).toBeUndefined()
    later.undone(second)
    later.finish()
    expect(open(file).pending).toHaveLength(1)
    later.undone(first)
    later.finish()
    expect(existsSync(file)).toBe(false)
  })

  test('a torn end is cut off at any byte, and what comes after it can be read', () => {
    const whole = freshFile()
    const journal = open(whole)
    journal.begin(new Date(0), 'ü')
    journal.intend(TRUST)
    const text = readFileSync(whole)
    const lines = text.toString().split('\n')
    const begin = Buffer.byteLength(`${lines[0] ?? ''}\n`)
    for (let bytes = 0; bytes <= text.length; bytes++) {
      const file = path.join(directory, 'torn.jsonl')
      writeFileSync(file, text.subarray(0, bytes))
      const torn = open(file)
      expect(torn.pending.length, String(bytes)).toBe(bytes === text.length ? 1 : 0)
      expect(readFileSync(file).length, String(bytes)).toBe(bytes === text.length ? bytes : bytes >= begin ? begin : 0)
      torn.intend(FILTER)
      expect(open(file).pending.at(-1)?.undo, String(bytes)).toEqual(FILTER)
      expect(open(file).damaged).toEqual([])
    }
  })

  test('a last line of zeros, as a machine that stopped may leave it, is a torn one', () => {
    const file = freshFile()
    open(file).intend(FILTER)
    appendFileSync(file, `${'\0'.repeat(40)}\n`)
    expect(open(file)).toMatchObject({ damaged: [], pending: [{ undo: FILTER }] })
    appendFileSync(file, '\0'.repeat(40))
    expect(open(file).pending).toHaveLength(1)
  })

  test('a line in the middle that nobody can read, or may not be asked for, is said', () => {
    const file = freshFile()
    open(file).intend(FILTER)
    const bad = '{"kind":"intent","step":2,"undo":{"kind":"directory","directory":"C:\\\\Windows"}}'
    appendFileSync(file, `${bad}\n{"kind":"intent","step":"3"}\n[]\n{"kind":"done","step":1}\n`)
    const journal = open(file)
    expect(journal.damaged).toEqual([2, 3, 4])
    journal.undone(1)
    journal.finish()
    expect(existsSync(file)).toBe(true)
  })
})

describe('the lock', () => {
  test('is had once', async () => {
    const address = lockAddress('linux', freshFile())
    const lock = await acquireLock(address)
    await expect(acquireLock(address)).rejects.toThrow(
      `another minipend works on this machine (process ${process.pid})`,
    )
    await lock.release()
    await (await acquireLock(address)).release()
  })

  test('a dead owner does not have it, however it died', async () => {
    const address = lockAddress('linux', freshFile())
    const module = pathToFileURL(fileURLToPath(new URL('../../../src/cli/windows/lock.ts', import.meta.url))).href
    const program = `import { acquireLock } from ${JSON.stringify(module)}
      await acquireLock(${JSON.stringify(address)})
      process.stdout.write('mine')
      setInterval(() => undefined, 1000)`
    const owner = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program])
    await new Promise((resolve) => owner.stdout.once('data', resolve))
    await expect(acquireLock(address)).rejects.toThrow(`(process ${owner.pid ?? 0})`)
    const gone = new Promise((resolve) => owner.once('exit', resolve))
    owner.kill('SIGKILL')
    await gone
    await (await acquireLock(address)).release()
  })

  test('on Windows it is the machine that has one', () => {
    expect(lockAddress('win32', 'C:\\a')).toBe(lockAddress('win32', 'D:\\b'))
    expect(lockAddress('linux', '/a')).not.toBe(lockAddress('linux', '/b'))
  })
})

describe('the machine itself', () => {
  test('says which program is not there', async () => {
    await expect(perform(thisMachine(), call('filters'))).rejects.toThrow('fltmc: there is no such program')
  })

  test('has what a program says, byte for byte, and how it ends', async () => {
    const script = "process.stdout.write(Buffer.from([0x81, 65])); process.stderr.write('!'); process.exitCode = 3010"
    const ended = await runProgram(process.execPath, ['-e', script], 60_000)
    // Exit codes have 8 bits here.
    expect(ended).toEqual({ code: 3010 % 256, output: '\u0081A!' })
  })

  test.skipIf(process.platform === 'win32')('kills a program that does not end', async () => {
    const pidFile = path.join(directory, 'pid')
    expect(await runProgram('/bin/sh', ['-c', `echo $$ > '${pidFile}'; exec sleep 1000`], 3_000)).toBe('slow')
    const pid = Number(readFileSync(pidFile, 'utf8'))
    expect(() => process.kill(pid, 0), 'it was killed').toThrow('ESRCH')
  })

  test('leaves no program waiting for input', async () => {
    const reads = "process.stdin.on('end', () => console.log('end')).resume()"
    expect(await runProgram(process.execPath, ['-e', reads], 60_000)).toMatchObject({ code: 0, output: 'end\n' })
  })

  test('removes, finds and measures', () => {
    const machine = thisMachine()
    const file = path.join(directory, 'a', 'b')
    expect(machine.freeBytes(file)).toBeGreaterThan(0)
    machine.makeDirectory(path.dirname(file))
    machine.write(file, 'x')
    expect(machine.read(file).toString()).toBe('x')
    machine.remove(path.dirname(file))
    machine.remove(path.dirname(file))
    expect(machine.exists(file)).toBe(false)
  })

  test.each([
    ['\\SystemRoot\\System32\\a.sys', 'D:\\Win\\System32\\a.sys'],
    ['System32\\drivers\\a.sys', 'D:\\Win\\System32\\drivers\\a.sys'],
    ['\\??\\C:\\x\\a.sys', 'C:\\x\\a.sys'],
    ['"C:\\x\\a.sys"', 'C:\\x\\a.sys'],
  ])('the path of an image: %s', (text, file) => {
    expect(imagePath(text, { SystemRoot: 'D:\\Win' })).toBe(file)
  })
})
