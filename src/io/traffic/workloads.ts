// SPDX-License-Identifier: MIT
//
// This module provides: the workloads by name. Each is what a kind of program is known to do, call by call.

import type { TrafficWorkload } from './types.js'
import type { Worker, Workload } from './worker.js'

const KIB = 1024
const PAGE_BYTES = 4096

/** Write a temporary file, flush it, put the document aside, give the new one its name. */
const editorSave: Workload = async (worker) => {
  const document = worker.path('document.txt')
  const temporary = worker.path('document.txt.tmp')
  const backup = worker.path('document.txt.bak')
  await worker.io.writeFile(document, worker.random.bytes(4 * KIB))
  return async () => {
    const { random } = worker
    await worker.stat(document)
    let left = random.integer(1, 64 * KIB)
    await worker.withFile(temporary, { access: 'write', create: 'createAlways' }, async (file) => {
      while (left > 0) {
        const bytes = random.bytes(Math.min(left, random.integer(1, 16 * KIB)))
        left -= bytes.length
        await worker.write(file, bytes)
      }
      await worker.flush(file)
    })
    await worker.rename(document, backup, { replace: true })
    await worker.rename(temporary, document)
    if (random.oneIn(4)) {
      await worker.delete(backup)
    }
  }
}

const LOG_DEPTH = 4
const LOG_BYTES = 4 * KIB * KIB

/** Appends of whole pages, some at once, each commit under the lock of its range and flushed; now and then one is read back. */
const databaseLog: Workload = async (worker) => {
  const log = worker.path('log.bin')
  const file = await worker.io.open(log, {
    access: 'readwrite',
    create: 'createAlways',
    overlapped: true,
    noBuffering: true,
    writeThrough: true,
    signal: worker.signal,
  })
  worker.defer(() => file.close())
  let end = 0
  return async () => {
    const { random, signal } = worker
    const writes = Array.from({ length: random.integer(1, LOG_DEPTH) }, () =>
      random.bytes(PAGE_BYTES * random.integer(1, 4)),
    )
    const length = writes.reduce((sum, bytes) => sum + bytes.length, 0)
    if (end + length > LOG_BYTES) {
      // A checkpoint: the log begins again.
      end = 0
      await worker.call('setSize', () => file.truncate(0, { signal }))
    }
    const range = { offset: end, length }
    const lock = await worker.call('lock', () => file.lock({ ...range, signal }))
    try {
      await together(
        writes.map((bytes) => {
          const at = end
          end += bytes.length
          return () => worker.write(file, bytes, at)
        }),
      )
      await worker.flush(file)
    } finally {
      if (lock !== undefined) {
        await unlockAlways(worker, () => lock.unlock())
      }
    }
    if (random.oneIn(8)) {
      await worker.read(file, PAGE_BYTES, PAGE_BYTES * random.integer(0, end / PAGE_BYTES - 1))
    }
  }
}

/** Begins all, waits for all, and fails as the first that failed. */
async function together(calls: readonly (() => Promise<unknown>)[]): Promise<void> {
  const results = await Promise.allSettled(calls.map(async (call) => call()))
  for (const result of results) {
    if (result.status === 'rejected') {
      throw result.reason
    }
  }
}

/** Counted while the traffic goes on; at its end the lock goes all the same. */
async function unlockAlways(worker: Worker, unlock: () => Promise<void>): Promise<void> {
  try {
    await worker.call('unlock', unlock)
  } catch (error) {
    await unlock()
    throw error
  }
}

/** A directory of small files is made, its attributes are asked for again and again, some are read, then all of it goes. */
const buildTree: Workload = (worker) => {
  let round = 0
  return Promise.resolve(async () => {
    const { random } = worker
    const directory = worker.path(`module-${round++}`)
    await worker.mkdir(directory)
    const files = Array.from({ length: random.integer(3, 16) }, (_, index) => `${directory}\\unit-${index}.obj`)
    for (const path of files) {
      await worker.withFile(path, { access: 'write', create: 'create' }, async (file) => {
        await worker.write(file, random.bytes(random.integer(64, 4 * KIB)))
      })
    }
    for (let asked = random.integer(10, 60); asked > 0; asked--) {
      // Half of them are headers on a search path: they are not there.
      const there = files[random.integer(0, files.length - 1)] ?? directory
      await worker.attributes(random.oneIn(2) ? there : `${directory}\\header-${random.integer(0, 99)}.h`)
    }
    await worker.list(directory)
    for (const path of files) {
      if (random.oneIn(2)) {
        await worker.withFile(path, {}, async (file) => {
          await worker.read(file, 4 * KIB)
        })
      }
    }
    for (const path of files) {
      await worker.delete(path)
    }
    await worker.delete(directory)
  })
}

/** Size first, then the content in pieces, then the times. */
const copy: Workload = async (worker) => {
  const source = worker.path('source.bin')
  await worker.io.writeFile(source, worker.random.bytes(worker.random.integer(64 * KIB, KIB * KIB)))
  return async () => {
    const { random, signal } = worker
    const target = worker.path(`copy-${random.integer(0, 3)}.bin`)
    const piece = 4 * KIB * random.integer(1, 16)
    await worker.withFile(source, { sequentialScan: true }, async (from) => {
      const found = await worker.call('stat', () => from.stat({ signal }))
      if (found === undefined) {
        return
      }
      await worker.withFile(target, { access: 'readwrite', create: 'createAlways' }, async (to) => {
        await worker.call('setSize', () => to.truncate(found.size, { signal }))
        for (let at = 0; at < Number(found.size); at += piece) {
          const bytes = await worker.read(from, piece, at)
          if (bytes === undefined) {
            return
          }
          await worker.write(to, bytes, at)
        }
        await worker.call('setTimes', () => to.setTimes({ modifiedAt: found.modifiedAt, signal }))
      })
    })
    if (random.oneIn(4)) {
      await worker.delete(target)
    }
  }
}

const STREAM_BYTES = 4 * KIB * KIB
const STREAM_DEPTH = 4

/** Reads ahead of the player, some at once; sometimes the viewer jumps. */
const mediaStream: Workload = async (worker) => {
  const film = worker.path('film.bin')
  await worker.io.writeFile(film, worker.random.bytes(STREAM_BYTES))
  const file = await worker.io.open(film, { overlapped: true, sequentialScan: true, signal: worker.signal })
  worker.defer(() => file.close())
  const piece = 16 * KIB * worker.random.integer(4, 16)
  const pieces = Math.ceil(STREAM_BYTES / piece)
  let next = 0
  return async () => {
    const { random } = worker
    if (random.oneIn(10)) {
      next = random.integer(0, pieces - 1)
    }
    const offsets = Array.from({ length: STREAM_DEPTH }, (_, index) => ((next + index) % pieces) * piece)
    await together(offsets.map((offset) => () => worker.read(file, piece, offset)))
    next = (next + STREAM_DEPTH) % pieces
  }
}

/** Files come, change, move and go under the eyes of a watch. */
const directoryWatch: Workload = async (worker) => {
  const { io, changes } = worker
  const directory = await io.open(worker.directory, { directory: true, overlapped: true, signal: worker.signal })
  worker.defer(() => directory.close())
  const watch = directory.watch({ recursive: true })
  const told = (async () => {
    for await (const change of watch) {
      changes[change.kind === 'overflow' ? 'overflows' : 'told']++
    }
  })()
  told.catch(() => undefined)
  worker.defer(async () => {
    await watch.close()
    await told
  })
  await watch.started
  return async () => {
    const { random } = worker
    const name = worker.path(`file-${random.integer(0, 31)}.txt`)
    const other = worker.path(`file-${random.integer(32, 63)}.txt`)
    await worker.withFile(name, { access: 'write', create: 'openAlways' }, async (file) => {
      await worker.write(file, random.bytes(random.integer(1, 2 * KIB)))
    })
    await worker.rename(name, other, { replace: true })
    if (random.oneIn(2)) {
      await worker.delete(other)
    }
  }
}

export const WORKLOADS: Readonly<Record<TrafficWorkload, Workload>> = {
  'editor-save': editorSave,
  'database-log': databaseLog,
  'build-tree': buildTree,
  copy,
  'media-stream': mediaStream,
  'directory-watch': directoryWatch,
}
