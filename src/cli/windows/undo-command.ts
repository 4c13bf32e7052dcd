// SPDX-License-Identifier: MIT
//
// This module provides: `minipend undo`: puts a Windows machine back after a run that could not do it itself.

import type { CommandContext } from '../command.js'
import { EXIT, type ExitCode } from '../exit-codes.js'
import { toJson } from '../terminal.js'
import { requireWindows } from '../validate/validate.js'
import type { Journal } from './journal.js'
import { planned, planText } from './plan.js'
import {
  lastCase,
  openJournal,
  requireElevated,
  stateDirectory,
  thisWindows,
  undoAll,
  type WindowsParts,
} from './state.js'
import { requireAllUndone, titleOf } from './undo.js'

export interface UndoOptions {
  readonly stateDir?: string | undefined
  readonly dryRun?: boolean | undefined
}

function leftText(journal: Journal): string {
  const steps = [...journal.pending].reverse().map(({ undo, done }) => {
    const { undo: back } = planned({ title: '', calls: [], undo })
    const title = `${titleOf(undo)}${done ? '' : ' (may not have been made to its end)'}`
    return { title, rules: [], commands: back?.commands ?? [], undo: null }
  })
  return steps.length === 0 ? 'nothing is left to undo\n' : `${planText(steps)}\n`
}

/** `parts`: for tests. */
export async function undo(context: CommandContext, options: UndoOptions, parts?: WindowsParts): Promise<ExitCode> {
  const { terminal, json, platform } = context
  requireWindows('undo', platform, 'run it there (docs/VM.md). On the model there is nothing to undo')
  const directory = stateDirectory(options.stateDir, process.env)
  const { machine, lock, journal: store, progress } = parts ?? thisWindows(directory, platform)
  const held = await lock()
  try {
    const journal = openJournal(store, directory)
    if (options.dryRun === true) {
      const left = journal.pending.map(({ undo: action, done }) => ({ ...action, done }))
      terminal.out(json ? `${toJson({ journal: journal.where, left })}\n` : leftText(journal))
      return EXIT.ok
    }
    if (journal.pending.length > 0) {
      await requireElevated(machine)
    }
    const last = lastCase(progress)
    if (journal.pending.length > 0 && last !== undefined) {
      terminal.err(`minipend: the run was cut off in the case "${last}"\n`)
    }
    const played = await undoAll(context, machine, journal)
    requireAllUndone(played, journal)
    const undone = played.undone.map(({ undo: action }) => titleOf(action))
    const { restartNeeded } = played
    const said = undone.length === 0 ? 'nothing was left to undo' : `undone: ${undone.join(', ')}`
    const after = restartNeeded ? 'Windows wants a restart to be done with it: restart the machine\n' : ''
    terminal.out(json ? `${toJson({ ok: true, undone, restartNeeded })}\n` : `${said}\n${after}`)
    return restartNeeded ? EXIT.restart : EXIT.ok
  } finally {
    await held.release()
  }
}
