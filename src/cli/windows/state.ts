// SPDX-License-Identifier: MIT
//
// This module provides: where minipend keeps what it has to remember of a Windows machine, and playing back what an earlier run left.

import path from 'node:path'
import type { CommandContext } from '../command.js'
import { MachineError } from '../machine-error.js'
import { call } from './commands.js'
import { diagnose } from './diagnosis.js'
import { fileStore, Journal, type JournalStore } from './journal.js'
import { acquireLock, type Lock, lockAddress } from './lock.js'
import { perform, thisMachine, type WindowsMachine } from './machine.js'
import { HIGH_INTEGRITY } from './outputs.js'
import { isUndoAction, playBack, type PlayedBack, titleOf, type UndoAction } from './undo.js'

/** Everything outside of this process, for tests to replace. */
export interface WindowsParts {
  readonly machine: WindowsMachine
  readonly lock: () => Promise<Lock>
  readonly journal: JournalStore
  /** What the cases have come to, line by line on the disk: a machine that stops takes the rest with it. */
  readonly progress: JournalStore
}

export function defaultDirectory(environment: NodeJS.ProcessEnv): string {
  return path.win32.join(environment['ProgramData'] ?? 'C:\\ProgramData', 'minipend')
}

/** Of --state-dir. Another process has to find the same. */
export const stateDirectory = (given: string | undefined, environment: NodeJS.ProcessEnv): string =>
  given === undefined ? defaultDirectory(environment) : path.win32.resolve(given)

/** @throws MachineError: nothing can be undone from here */
export async function requireElevated(machine: WindowsMachine): Promise<void> {
  if (((await perform(machine, call('groups'))) ?? 0) < HIGH_INTEGRITY) {
    throw new MachineError('an earlier run left something to undo, and this prompt is not elevated', {
      hint: 'open a terminal with "Run as administrator" and give the command there',
      exitCode: 3,
    })
  }
}

export function thisWindows(directory: string, platform: NodeJS.Platform): WindowsParts {
  return {
    machine: thisMachine(),
    lock: () => acquireLock(lockAddress(platform, directory)),
    journal: fileStore(path.join(directory, 'undo.jsonl')),
    progress: fileStore(path.join(directory, 'progress.jsonl')),
  }
}

export const openJournal = (store: JournalStore, directory: string): Journal =>
  Journal.open(store, (undo): undo is UndoAction => isUndoAction(undo, directory))

/** The case that had begun and not ended when the last run was cut off. */
export function lastCase(progress: JournalStore): string | undefined {
  const lines = progress.read().split('\n').filter(Boolean)
  const last = lines.at(-1)
  try {
    const { begun } = JSON.parse(last ?? '{}') as { readonly begun?: unknown }
    return typeof begun === 'string' ? begun : undefined
  } catch {
    return undefined
  }
}

/** Undoes what is in the journal, says so, and says what is known of what does not let itself be undone. */
export function undoAll(context: CommandContext, machine: WindowsMachine, journal: Journal): Promise<PlayedBack> {
  const { terminal, open } = context
  return playBack(machine, journal, {
    onUndo: ({ undo }) => terminal.err(`minipend: undoing: ${titleOf(undo)}\n`),
    onFailure: async ({ undo }, error) => {
      terminal.err(`minipend: ${titleOf(undo)}: ${error.message}\n`)
      if (undo.kind === 'filter') {
        for (const line of await diagnose(machine, open)) {
          terminal.err(`minipend:   ${line}\n`)
        }
      }
    },
  })
}
