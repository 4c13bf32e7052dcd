// SPDX-License-Identifier: MIT
//
// This module provides: the demo's text, apart from when it is written.

import type { Counters, Minipend } from '../../index.js'
import { countersTable } from '../counters-table.js'
import type { Colors } from '../terminal.js'
import type { HeldRename } from './held-rename.js'
import type { ShownRefusal } from './refusals.js'
import { NOT_SHOWN } from './refusals.js'
import { HOLD_MS } from './scene.js'
import type { WorkDone } from './workload.js'

export function introText(mp: Minipend, colors: Colors): string {
  const { hello, model } = mp
  return [
    `${colors.bold('minipend demo')}: the minifilter, driver version ${hello.driverVersion}, in a model of the Filter Manager inside this process`,
    colors.dim(
      `${hello.processorCount} virtual processors, scheduler seed ${model.seed}; attached to D: (ntfs) and E: (fat)`,
    ),
    '',
  ].join('\n')
}

const shortName = (path: string): string => path.slice(path.lastIndexOf('\\') + 1)

export function heldRenameText(held: HeldRename, colors: Colors): string {
  const { from, to } = held
  const seen = held.visibleWhileCallerWaited
    ? `after ${held.visibleAfterMs} ms ${colors.green(`${shortName(to)} is there`)}, while the caller of rename() still waits`
    : colors.red(`${shortName(to)} was not seen before the caller of rename() was told`)
  return [
    colors.bold('What is held has already taken effect'),
    `  rename ${from} -> ${shortName(to)}, held ${held.holdMs} ms:`,
    `  ${seen}`,
    `  meanwhile a rename that no rule is about takes ${held.otherRenameMs} ms`,
    `  after ${held.callerWaitedMs} ms the caller is told`,
    '',
  ].join('\n')
}

export function workloadTitle(colors: Colors): string {
  return [
    colors.bold('Files are written, renamed, deleted and listed while some of it is pended'),
    `  held: renames in \\inbox ${HOLD_MS.rename} ms, writes to *.log ${HOLD_MS.write} ms, deletes of *.tmp ${HOLD_MS.delete} ms`,
  ].join('\n')
}

export const liveText = (counters: Counters, elapsedMs: number, colors: Colors): string =>
  `${countersTable(counters, colors)}\n${colors.dim(`  ${(elapsedMs / 1000).toFixed(1)} s, held at once at most ${counters.heldHighWater}`)}`

export const workDoneText = (done: WorkDone): string =>
  `  finished: ${done.renames} renames, ${done.writes} writes, ${done.deletes} deletes, ${done.listings} listings\n`

export function refusalTitle(colors: Colors): string {
  return colors.bold('What a rule wants pended and cannot be: finished at once, and counted under its cause')
}

/** One line: the cause, the count, how it was done. */
export function refusalLine(shown: ShownRefusal, colors: Colors): string {
  const count = shown.shown ? colors.green(String(shown.counted)) : shown.required ? colors.red('0') : '0'
  // The colour's escapes take no room.
  const width = 5 + count.length - String(shown.counted).length
  return `  ${shown.cause.padEnd(12)} ${count.padStart(width)}  ${shown.how}`
}

export const notShownLine = (maxHeld: number, colors: Colors): string =>
  colors.dim(`  ${NOT_SHOWN.cause.padEnd(12)} ${'-'.padStart(5)}  not shown: ${NOT_SHOWN.why} (${maxHeld})`)
