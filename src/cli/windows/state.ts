// SPDX-License-Identifier: MIT
//
// This module provides: where minipend keeps what it has to remember of a Windows machine, and playing back what an earlier run left.

import path from 'node:path'
import type { CommandContext } from '../command.js'
import { diagnose } from './diagnosis.js'
import { fileStore, Journal, type JournalStore } from './journal.js'
import { acquireLock, type Lock, lockAddress } from './lock.js'
import { thisMachine, type WindowsMachine } from './machine.js'
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
