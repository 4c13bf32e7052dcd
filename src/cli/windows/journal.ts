// SPDX-License-Identifier: MIT
//
// This module provides: the undo journal: what has to be undone on this machine, in a file that survives a crash.
//
// Invariants: the file only grows, by whole lines of JSON, each on the disk before the call returns. The line that says how a change is undone is there before
// the change is made (`intent`), the line that says that it has been undone after that (`undone`): whatever happens in between, what is in the file covers
// what was done to the machine. The last line may be torn, and then nothing that it announced has happened. When nothing is left the file is removed.

import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import type { UndoAction } from './undo.js'

/** Where a journal is kept; each change of it is on the disk when the call returns. */
export interface JournalStore {
  readonly where: string
  /** '' when there is none. */
  read(): string
  append(text: string): void
  truncate(bytes: number): void
  remove(): void
}

export function fileStore(file: string): JournalStore {
  const change = (flags: string, work: (descriptor: number) => void): void => {
    mkdirSync(path.dirname(file), { recursive: true })
    const descriptor = openSync(file, flags)
    try {
      work(descriptor)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  }
  return {
    where: file,
    read: () => (existsSync(file) ? readFileSync(file, 'utf8') : ''),
    append: (text) => change('a', (descriptor) => void writeSync(descriptor, text)),
    truncate: (bytes) => change('r+', (descriptor) => ftruncateSync(descriptor, bytes)),
    remove: () => rmSync(file, { force: true }),
  }
}

type JournalRecord =
  | { readonly kind: 'begin'; readonly at: string; readonly version: string; readonly process: number }
  | { readonly kind: 'intent'; readonly step: number; readonly undo: UndoAction }
  | { readonly kind: 'done'; readonly step: number }
  | { readonly kind: 'undone'; readonly step: number }
  /** The run goes on after a restart of the machine. */
  | { readonly kind: 'pause'; readonly at: string }
  | { readonly kind: 'resume' }

export interface PendingUndo {
  readonly step: number
  readonly undo: UndoAction
  /** The change was made to its end. */
  readonly done: boolean
}

const KINDS: readonly string[] = ['begin', 'intent', 'done', 'undone', 'pause', 'resume']

/** Whether a journal may ask for this: whoever plays it back is an administrator, whoever wrote the file may have been anybody. */
export type Accepts = (undo: unknown) => undo is UndoAction

function parse(line: string, accepts: Accepts): JournalRecord | undefined {
  let value: { readonly kind?: unknown; readonly step?: unknown; readonly undo?: unknown } | null
  try {
    value = JSON.parse(line) as typeof value
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || !KINDS.includes(String(value.kind))) {
    return undefined
  }
  const numbered = value.kind === 'intent' || value.kind === 'done' || value.kind === 'undone'
  if ((numbered && typeof value.step !== 'number') || (value.kind === 'intent' && !accepts(value.undo))) {
    return undefined
  }
  return value as JournalRecord
}

export class Journal {
  readonly #store: JournalStore
  readonly #pending = new Map<number, PendingUndo>()
  readonly #damaged: number[] = []
  #last = 0
  #isThere: boolean
  #pausedAt: string | undefined
  #begun: { readonly at: string; readonly version: string } | undefined

  private constructor(store: JournalStore, accepts: Accepts) {
    this.#store = store
    const text = store.read()
    this.#isThere = text !== ''
    const lines = text.split('\n')
    // Behind the last end of line is nothing, or a line whose writing was not finished.
    const torn = lines.pop() ?? ''
    let whole = Buffer.byteLength(text) - Buffer.byteLength(torn)
    for (const [index, line] of lines.entries()) {
      const record = parse(line, accepts)
      if (record !== undefined) {
        this.#take(record)
      } else if (index === lines.length - 1) {
        // Its writing was not finished either: parts of a line may reach a disk in any order.
        whole -= Buffer.byteLength(line) + 1
      } else {
        this.#damaged.push(index + 1)
      }
    }
    if (whole < Buffer.byteLength(text)) {
      store.truncate(whole)
    }
  }

  /** Reads what is there, and cuts a torn end off. */
  static open(store: JournalStore, accepts: Accepts): Journal {
    return new Journal(store, accepts)
  }

  get where(): string {
    return this.#store.where
  }

  /** What is to be undone, the oldest first. */
  get pending(): readonly PendingUndo[] {
    return [...this.#pending.values()]
  }

  /** Since when the run that wrote it waits for a restart of the machine; undefined: it does not. */
  get pausedAt(): Date | undefined {
    return this.#pausedAt === undefined ? undefined : new Date(this.#pausedAt)
  }

  /** When and by which version the oldest entry was made. */
  get begun(): { readonly at: string; readonly version: string } | undefined {
    return this.#begun
  }

  /** Numbers of lines that cannot be read. */
  get damaged(): readonly number[] {
    return this.#damaged
  }

  begin(at: Date, version: string): void {
    this.#write({ kind: 'begin', at: at.toISOString(), version, process: process.pid })
  }

  /** Before a change. Value: its number. */
  intend(undo: UndoAction): number {
    const step = this.#last + 1
    this.#write({ kind: 'intent', step, undo })
    return step
  }

  done(step: number): void {
    this.#write({ kind: 'done', step })
  }

  undone(step: number): void {
    this.#write({ kind: 'undone', step })
  }

  pause(at: Date): void {
    this.#write({ kind: 'pause', at: at.toISOString() })
  }

  resume(): void {
    this.#write({ kind: 'resume' })
  }

  /** Removes the file when it says nothing any more. */
  finish(): void {
    if (this.#isThere && this.#pending.size === 0 && this.#damaged.length === 0) {
      this.#store.remove()
      this.#isThere = false
    }
  }

  #write(record: JournalRecord): void {
    this.#isThere = true
    this.#store.append(`${JSON.stringify(record)}\n`)
    this.#take(record)
  }

  #take(record: JournalRecord): void {
    switch (record.kind) {
      case 'begin':
        this.#begun ??= { at: record.at, version: record.version }
        break
      case 'intent':
        this.#last = Math.max(this.#last, record.step)
        this.#pending.set(record.step, { step: record.step, undo: record.undo, done: false })
        break
      case 'done': {
        const entry = this.#pending.get(record.step)
        if (entry !== undefined) {
          this.#pending.set(record.step, { ...entry, done: true })
        }
        break
      }
      case 'undone':
        this.#pending.delete(record.step)
        break
      case 'pause':
        this.#pausedAt = record.at
        break
      case 'resume':
        this.#pausedAt = undefined
        break
    }
  }
}
