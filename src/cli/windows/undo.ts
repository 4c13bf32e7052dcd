// SPDX-License-Identifier: MIT
//
// This module provides: how each kind of change to the machine is undone, and playing a journal back.
//
// Invariants: an undo looks first and does nothing when there is nothing to do, so it may be repeated after any crash; it looks again afterwards and fails when
// the change is still there. The newest change is undone first; one that could not be undone stays in the journal, and what it stands on stays as well.

import path from 'node:path'
import { MachineError } from '../machine-error.js'
import type { Call } from './command.js'
import { call } from './commands.js'
import type { Journal, PendingUndo } from './journal.js'
import { perform, type WindowsMachine } from './machine.js'

/** What is to be undone: plain data, since it is read back by another process. */
export type UndoAction =
  | { readonly kind: 'directory'; readonly directory: string }
  | { readonly kind: 'verifier'; readonly driver: string }
  | { readonly kind: 'certificate'; readonly store: 'Root' | 'TrustedPublisher'; readonly sha1: string }
  | { readonly kind: 'package'; readonly inf: string }
  | { readonly kind: 'volume'; readonly disk: string; readonly letter: string }
  | { readonly kind: 'filter'; readonly filter: string }

export const FILTER = 'minipend'
export const INF = 'minipend.inf'
export const IMAGE = 'minipend.sys'

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()

/** Where scratch files are, below the directory of the journal. */
export const scratchDirectory = (directory: string): string => path.win32.join(directory, 'vm')

/**
 * Only what minipend itself does to a machine, and files only in its own directory: a journal that somebody else put there must not make an administrator
 * remove anything else.
 */
export function isUndoAction(value: unknown, directory: string): value is UndoAction {
  if (typeof value !== 'object' || value === null) {
    return false
  }
  const each = value as Readonly<Record<string, unknown>>
  const isScratch = (file: string): boolean => same(file, scratchDirectory(directory))
  switch (each['kind'] as UndoAction['kind']) {
    case 'directory':
      return typeof each['directory'] === 'string' && isScratch(each['directory'])
    case 'verifier':
      return each['driver'] === IMAGE
    case 'certificate':
      return (
        (each['store'] === 'Root' || each['store'] === 'TrustedPublisher') &&
        typeof each['sha1'] === 'string' &&
        /^[0-9a-f]{40}$/.test(each['sha1'])
      )
    case 'package':
      return each['inf'] === INF
    case 'volume':
      return (
        typeof each['disk'] === 'string' &&
        isScratch(path.win32.dirname(each['disk'])) &&
        /^[a-z]+\.vhdx$/.test(path.win32.basename(each['disk'])) &&
        typeof each['letter'] === 'string' &&
        /^[A-Z]$/.test(each['letter'])
      )
    case 'filter':
      return each['filter'] === FILTER
    default:
      return false
  }
}

type Of<K extends UndoAction['kind']> = Extract<UndoAction, { readonly kind: K }>

interface Way<A extends UndoAction> {
  readonly title: (action: A) => string
  /** The change, or a part of it, is there. */
  readonly isThere: (machine: WindowsMachine, action: A) => Promise<boolean>
  /** Calls, or what is done without one. `found`: names that only the machine knows. */
  readonly calls: (action: A, found?: readonly string[]) => readonly Call<unknown>[]
  readonly find?: (machine: WindowsMachine, action: A) => Promise<readonly string[]>
  /** A file or directory that is removed at the end. */
  readonly removes?: (action: A) => string
  /** It is done even when it looks as if there were nothing to do: how far the look can be trusted has not been seen yet. */
  readonly always?: boolean
  /** What is below must not be touched while this is there. */
  readonly blocks?: boolean
}

const storePackages = async (machine: WindowsMachine, inf: string): Promise<readonly string[]> =>
  (await perform(machine, call('packages')))
    .filter(({ original }) => same(original, inf))
    .map(({ published }) => published)

export const SERVICE_KEY = `HKLM\\SYSTEM\\CurrentControlSet\\Services\\${FILTER}`

const hasService = async (machine: WindowsMachine): Promise<boolean> =>
  (await perform(machine, call('registry', { key: SERVICE_KEY }))) !== undefined

const ways: { readonly [K in UndoAction['kind']]: Way<Of<K>> } = {
  directory: {
    title: ({ directory }) => `the directory ${directory}`,
    isThere: (machine, { directory }) => Promise.resolve(machine.exists(directory)),
    calls: () => [],
    removes: ({ directory }) => directory,
  },
  verifier: {
    title: ({ driver }) => `Driver Verifier for ${driver}`,
    isThere: async (machine, { driver }) =>
      (await perform(machine, call('verifierSettings'))).drivers.includes(driver.toLowerCase()),
    calls: () => [call('verifierReset')],
    always: true,
  },
  certificate: {
    title: ({ store }) => `the test certificate in ${store}`,
    isThere: (machine, { store, sha1 }) => perform(machine, call('certificate', { store, sha1 })),
    calls: ({ store, sha1 }) => [call('deleteCertificate', { store, sha1 })],
  },
  package: {
    title: ({ inf }) => `the driver package ${inf}`,
    isThere: async (machine, { inf }) => (await storePackages(machine, inf)).length > 0 || (await hasService(machine)),
    find: (machine, { inf }) => storePackages(machine, inf),
    calls: (_action, found = ['oemN.inf']) =>
      found.length > 0
        ? found.map((published) => call('uninstall', { published }))
        : // An installation or its removal was cut off in the middle.
          [call('deleteService', { service: FILTER })],
  },
  volume: {
    title: ({ letter }) => `the volume ${letter}:`,
    isThere: (machine, { disk }) => Promise.resolve(machine.exists(disk)),
    calls: ({ disk }) => [
      call('detachDisk', { disk, script: path.win32.join(path.win32.dirname(disk), 'detach.txt') }),
    ],
    removes: ({ disk }) => disk,
  },
  filter: {
    title: ({ filter }) => `the loaded driver ${filter}`,
    isThere: async (machine, { filter }) =>
      (await perform(machine, call('filters'))).some(({ name }) => same(name, filter)),
    calls: ({ filter }) => [call('unload', { filter })],
    blocks: true,
  },
}

const wayOf = <A extends UndoAction>(action: A): Way<A> => ways[action.kind] as unknown as Way<A>

export const titleOf = (action: UndoAction): string => wayOf(action).title(action)
export const isThere = (machine: WindowsMachine, action: UndoAction): Promise<boolean> =>
  wayOf(action).isThere(machine, action)
/** The commands for it, with placeholders for what only the machine knows. */
export const undoCalls = (action: UndoAction): readonly Call<unknown>[] => wayOf(action).calls(action)
export const undoRemoves = (action: UndoAction): string | undefined => wayOf(action).removes?.(action)

/** Of one pass a part may be left that only the next one can see. */
const PASSES = 2

/** @throws CommandError, MachineError. Value: it is done at the next start only. */
async function undoOne(machine: WindowsMachine, action: UndoAction): Promise<boolean> {
  const way = wayOf(action)
  let restartNeeded = false
  for (let pass = 1; (pass === 1 && way.always === true) || (await way.isThere(machine, action)); pass++) {
    if (pass > PASSES) {
      throw new MachineError(`${way.title(action)} is still there`)
    }
    for (const made of way.calls(action, await way.find?.(machine, action))) {
      const result = await perform(machine, made)
      restartNeeded ||= (result as { readonly restartNeeded?: boolean } | undefined)?.restartNeeded === true
    }
    const file = way.removes?.(action)
    if (file !== undefined) {
      machine.remove(file)
    }
  }
  return restartNeeded
}

export interface PlayedBack {
  readonly undone: readonly PendingUndo[]
  readonly failures: readonly { readonly entry: PendingUndo; readonly error: Error }[]
  /** Not tried, since something above it is still there. */
  readonly kept: readonly PendingUndo[]
  readonly restartNeeded: boolean
}

export interface PlayBackOptions {
  /** Told before each one. */
  readonly onUndo?: (entry: PendingUndo) => void
  /** Told when one does not end, before anything else is done. */
  readonly onFailure?: (entry: PendingUndo, error: Error) => Promise<void>
}

/** Undoes all that the journal has, the newest first, and removes it when nothing is left. */
export async function playBack(
  machine: WindowsMachine,
  journal: Journal,
  { onUndo, onFailure }: PlayBackOptions = {},
): Promise<PlayedBack> {
  const undone: PendingUndo[] = []
  const failures: { entry: PendingUndo; error: Error }[] = []
  const kept: PendingUndo[] = []
  let restartNeeded = false
  let blocked = false
  for (const entry of [...journal.pending].reverse()) {
    if (blocked) {
      kept.push(entry)
      continue
    }
    onUndo?.(entry)
    try {
      restartNeeded = (await undoOne(machine, entry.undo)) || restartNeeded
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown))
      failures.push({ entry, error })
      blocked = wayOf(entry.undo).blocks === true
      await onFailure?.(entry, error)
      continue
    }
    journal.undone(entry.step)
    undone.push(entry)
  }
  journal.finish()
  return { undone, failures, kept, restartNeeded }
}

/** @throws MachineError when something is left */
export function requireAllUndone({ failures, kept }: PlayedBack, journal: Journal): void {
  if (failures.length > 0) {
    const said = failures.map(({ entry, error }) => `${titleOf(entry.undo)}: ${error.message}`)
    const waiting = kept.map(({ undo }) => `${titleOf(undo)}: waits for that`)
    throw new MachineError(`not all could be undone:\n  ${[...said, ...waiting].join('\n  ')}`, {
      hint: `restart the machine, then: minipend undo (what is left to do is in ${journal.where})`,
    })
  }
  if (journal.damaged.length > 0) {
    throw new MachineError(`${journal.where}: cannot read line ${journal.damaged.join(', ')}; the others were undone`, {
      hint: 'see what the line was about (docs/VM.md, "By hand"), undo that, and remove the file',
    })
  }
}
