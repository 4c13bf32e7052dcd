// SPDX-License-Identifier: MIT
//
// This module provides: one run at a time on a machine. The lock is a pipe that its owner listens on (elsewhere than on Windows a socket): the system takes it
// away when the owner dies, however it dies, so a dead owner is never taken for a living one, and no number of a process is ever compared.

import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { MachineError } from '../machine-error.js'

export interface Lock {
  release(): Promise<void>
}

/** On Windows one for the machine, whatever directory is used: there is one driver. */
export function lockAddress(platform: NodeJS.Platform, directory: string): string {
  if (platform === 'win32') {
    return '\\\\.\\pipe\\minipend-machine'
  }
  // Paths of sockets must be short.
  const name = createHash('sha256').update(path.resolve(directory)).digest('hex').slice(0, 16)
  return path.join(os.tmpdir(), `minipend-${name}.sock`)
}

const ANSWER_MS = 5_000

type Owner = { readonly alive: true; readonly process: string } | { readonly alive: false }

/** Asks who listens there. */
function ask(address: string): Promise<Owner> {
  return new Promise((resolve) => {
    let said = ''
    const socket = net.connect(address)
    const settle = (owner: Owner): void => {
      socket.destroy()
      resolve(owner)
    }
    socket.setTimeout(ANSWER_MS, () => settle({ alive: true, process: 'which does not answer' }))
    socket.setEncoding('utf8').on('data', (text: string) => (said += text))
    socket.on('end', () => settle({ alive: true, process: said.trim() }))
    socket.on('error', () => settle({ alive: false }))
  })
}

/** undefined: somebody has it. */
function listen(address: string): Promise<net.Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => socket.destroy())
      socket.end(`process ${process.pid}\n`)
    })
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    server.listen(address, () => {
      // It lasts as long as the process, and does not keep it.
      server.unref()
      resolve(server)
    })
  })
}

const ATTEMPTS = 5

/** @throws MachineError: another run has it */
export async function acquireLock(address: string): Promise<Lock> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const server = await listen(address)
    if (server !== undefined) {
      return {
        release: () =>
          new Promise((resolve) => {
            server.close(() => resolve())
          }),
      }
    }
    const owner = await ask(address)
    if (owner.alive) {
      throw new MachineError(`another minipend works on this machine (${owner.process})`, {
        hint: 'wait for it, or end it with Ctrl-C: it puts the machine back first',
        exitCode: 3,
      })
    }
    // What a dead owner leaves of a socket. A pipe leaves nothing.
    if (!address.startsWith('\\\\')) {
      rmSync(address, { force: true })
    }
  }
  throw new MachineError(`cannot tell whether another minipend works on this machine (${address})`, { exitCode: 3 })
}
