// SPDX-License-Identifier: MIT
//
// This module provides: the machine that is worked on, as few calls as possible, so that a test can put another in its place; and one command on it, bounded.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type Call, type Finished, type Invocation, notThere, tookTooLong } from './command.js'

export type Architecture = 'x64' | 'arm64'

/** 'slow': it has not ended in time; 'missing': there is no such program. */
export type Ending = Finished | 'slow' | 'missing'

export interface WindowsMachine {
  readonly architecture: string
  readonly environment: NodeJS.ProcessEnv
  /** Resolves at the latest shortly after the limit; what has not ended then is killed if that is possible, and left alone. */
  run(invocation: Invocation, limitMs: number): Promise<Ending>
  /** When the system was started last. */
  startedAt(): Date
  exists(file: string): boolean
  read(file: string): Buffer
  write(file: string, text: string): void
  makeDirectory(directory: string): void
  /** A file or a directory with all in it; nothing there is no failure. */
  remove(file: string): void
  /** On the volume of the nearest directory that exists. */
  freeBytes(directory: string): number
}

const systemRoot = (environment: NodeJS.ProcessEnv): string => environment['SystemRoot'] ?? 'C:\\Windows'

/** By full path: an elevated process does not start what happens to be found first. */
const programFile = (program: string, environment: NodeJS.ProcessEnv): string =>
  path.win32.join(systemRoot(environment), 'System32', `${program}.exe`)

/** A path as services and the kernel write it: \SystemRoot\..., \??\C:\..., System32\... */
export function imagePath(text: string, environment: NodeJS.ProcessEnv): string {
  const root = systemRoot(environment)
  const plain = text.replace(/^"(.*)"$/, '$1').replace(/^\\\?\?\\/, '')
  if (/^\\SystemRoot\\/i.test(plain)) {
    return path.win32.join(root, plain.slice('\\SystemRoot\\'.length))
  }
  return path.win32.isAbsolute(plain) ? plain : path.win32.join(root, plain)
}

/** A process that waits in the kernel cannot be killed: how long it is given to go. */
const KILL_GRACE_MS = 3_000

/** Starts a program and waits for its end, but no longer than the limit and what it takes to kill it. */
export function runProgram(file: string, args: readonly string[], limitMs: number): Promise<Ending> {
  return new Promise((resolve) => {
    let slow = false
    let grace: NodeJS.Timeout | undefined
    // With a (hidden) window of its own, so that a Ctrl-C in ours does not end it half way. Known from libuv's source, not tried on Windows.
    const options = { windowsHide: true, encoding: 'latin1', maxBuffer: 16 * 1024 * 1024 } as const
    const child = execFile(file, [...args], options, (error, stdout, stderr) => {
      clearTimeout(limit)
      clearTimeout(grace)
      const code: unknown = error === null ? 0 : error.code
      const ended = { code: typeof code === 'number' ? code : -1, output: `${stdout}${stderr}` }
      // EACCES: PATH has a directory that this account may not look into.
      resolve(slow ? 'slow' : code === 'ENOENT' || code === 'EACCES' ? 'missing' : ended)
    })
    child.stdin?.end()
    const limit = setTimeout(() => {
      slow = true
      child.kill('SIGKILL')
      grace = setTimeout(() => resolve('slow'), KILL_GRACE_MS)
    }, limitMs)
  })
}

function nearestDirectory(directory: string): string {
  let at = directory
  while (!existsSync(at) && path.dirname(at) !== at) {
    at = path.dirname(at)
  }
  return at
}

/** The machine that this process runs on. */
export function thisMachine(): WindowsMachine {
  const { env: environment } = process
  return {
    architecture: process.arch,
    environment,
    run: ({ program, args }, limitMs) => runProgram(programFile(program, environment), args, limitMs),
    startedAt: () => new Date(Date.now() - os.uptime() * 1000),
    exists: (file) => existsSync(file),
    read: (file) => readFileSync(file),
    write: (file, text) => writeFileSync(file, text),
    makeDirectory: (directory) => void mkdirSync(directory, { recursive: true }),
    remove: (file) => rmSync(file, { recursive: true, force: true, maxRetries: 3, retryDelay: 200 }),
    freeBytes: (directory) => {
      const { bavail, bsize } = statfsSync(nearestDirectory(directory))
      return bavail * bsize
    },
  }
}

/** One call of the table. @throws CommandError */
export async function perform<R>(machine: WindowsMachine, made: Call<R>): Promise<R> {
  if (made.script !== undefined) {
    machine.write(made.script.file, made.script.text)
  }
  const ending = await machine.run(made, made.limitMs)
  if (ending === 'slow') {
    throw tookTooLong(made, made.limitMs)
  }
  if (ending === 'missing') {
    throw notThere(made)
  }
  return made.read(ending)
}
