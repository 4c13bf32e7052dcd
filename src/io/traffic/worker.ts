// SPDX-License-Identifier: MIT
//
// This module provides: what a workload works with: one worker's random numbers, directory and calls.
//
// Invariants: which calls a worker makes follows from its random numbers alone, as long as none fails; it makes no more than its share;
// files that it has open are closed also when it ends in the middle.

import type { DirectoryEntry, File, FileOpenOptions, FileStat, Io, RenameOptions } from '../types.js'
import type { Random } from './random.js'
import { type Recorder, TrafficEnd } from './recorder.js'
import type { TrafficOperationName } from './types.js'

/** Makes what the workload needs, not counted, and gives one round of it. */
export type Workload = (worker: Worker) => Promise<() => Promise<void>>

export class Worker {
  readonly io: Io
  readonly random: Random
  /** Its own. */
  readonly directory: string
  readonly changes = { told: 0, overflows: 0 }
  readonly #recorder: Recorder
  readonly #atEnd: (() => Promise<unknown>)[] = []
  #left: number

  constructor(io: Io, random: Random, directory: string, recorder: Recorder, share: number) {
    this.io = io
    this.random = random
    this.directory = directory
    this.#recorder = recorder
    this.#left = share
  }

  path(name: string): string {
    return `${this.directory}\\${name}`
  }

  get signal(): AbortSignal | undefined {
    return this.#recorder.signal
  }

  /** For what is to be closed when the worker ends. */
  defer(end: () => Promise<unknown>): void {
    this.#atEnd.push(end)
  }

  /** Rounds of `workload` until the worker's share is done, or the traffic ends. */
  async run(workload: Workload): Promise<void> {
    try {
      const round = await workload(this)
      for (;;) {
        this.#proceed()
        await round()
      }
    } catch (error) {
      if (!(error instanceof TrafficEnd) && !this.#recorder.ends(error)) {
        throw error
      }
    } finally {
      for (const end of this.#atEnd.reverse()) {
        await end()
      }
    }
  }

  #proceed(): void {
    if (this.#left === 0) {
      throw new TrafficEnd()
    }
    this.#recorder.proceed()
  }

  call<T>(
    operation: TrafficOperationName,
    work: () => Promise<T>,
    bytesOf?: (value: T) => number,
  ): Promise<T | undefined> {
    this.#proceed()
    this.#left--
    return this.#recorder.call(operation, work, bytesOf)
  }

  /** Opens, does and closes. Nothing is done when opening fails. */
  async withFile(path: string, options: FileOpenOptions, use: (file: File) => Promise<void>): Promise<void> {
    const { signal } = this
    const file = await this.call('open', () => this.io.open(path, { ...options, signal }))
    if (file === undefined) {
      return
    }
    const state = { closing: false }
    try {
      await use(file)
      await this.call('close', () => {
        state.closing = true
        return file.close()
      })
    } finally {
      if (!state.closing) {
        await file.close()
      }
    }
  }

  read(file: File, length: number, at?: number): Promise<Uint8Array | undefined> {
    const { signal } = this
    return this.call(
      'read',
      () => file.read(length, { at, signal }),
      (bytes) => bytes.length,
    )
  }

  write(file: File, bytes: Uint8Array, at?: number): Promise<number | undefined> {
    const { signal } = this
    return this.call(
      'write',
      () => file.write(bytes, { at, signal }),
      (written) => written,
    )
  }

  async flush(file: File): Promise<void> {
    const { signal } = this
    await this.call('flush', () => file.flush({ signal }))
  }

  stat(path: string): Promise<FileStat | undefined> {
    const { signal } = this
    return this.call('stat', () => this.io.stat(path, { signal }))
  }

  async attributes(path: string): Promise<void> {
    const { signal } = this
    await this.call('attributes', () => this.io.fullAttributes(path, { signal }))
  }

  async rename(from: string, to: string, options: RenameOptions = {}): Promise<void> {
    const { signal } = this
    await this.call('rename', () => this.io.rename(from, to, { ...options, signal }))
  }

  async delete(path: string): Promise<void> {
    const { signal } = this
    await this.call('delete', () => this.io.delete(path, { signal }))
  }

  async mkdir(path: string): Promise<void> {
    const { signal } = this
    await this.call('mkdir', () => this.io.mkdir(path, { signal }))
  }

  list(path: string): Promise<DirectoryEntry[] | undefined> {
    const { signal } = this
    return this.call('list', () => this.io.list(path, { signal }))
  }
}
