// SPDX-License-Identifier: MIT
//
// This module provides: one held rename, watched: what is held has already taken effect, and holds up nobody else.

import { setTimeout as wait } from 'node:timers/promises'
import type { Minipend } from '../../index.js'
import { demoRules, HOLD_MS, INBOX, OTHER } from './scene.js'

export interface HeldRename {
  readonly from: string
  readonly to: string
  readonly holdMs: number
  /** The new name was there while the caller of rename() was still waiting. */
  readonly visibleWhileCallerWaited: boolean
  readonly visibleAfterMs: number
  /** How long a rename that no rule is about took meanwhile. */
  readonly otherRenameMs: number
  readonly callerWaitedMs: number
}

async function watchOnce(mp: Minipend, holdMs: number): Promise<HeldRename> {
  const name = holdMs === HOLD_MS.shown ? 'report' : `report-${holdMs}`
  const from = `${INBOX}\\${name}.txt`
  const to = `${INBOX}\\${name}.done`
  const other = `${OTHER}\\${name}.txt`
  await mp.rules.set(demoRules(holdMs))
  await mp.io.writeFile(from, 'a report')
  await mp.io.writeFile(other, 'a note')

  const start = performance.now()
  const sinceStart = (): number => Math.round((performance.now() - start) * 10) / 10
  let callerWaitedMs: number | undefined
  const waiting = (): boolean => callerWaitedMs === undefined
  const rename = mp.io.rename(from, to).then(() => {
    callerWaitedMs = sinceStart()
  })
  // Awaited below; until then a failure is nobody's unhandled rejection.
  rename.catch(() => undefined)

  let visible = await mp.io.exists(to)
  while (!visible && waiting() && sinceStart() < 10 * holdMs) {
    await wait(1)
    visible = await mp.io.exists(to)
  }
  const visibleWhileCallerWaited = visible && waiting()
  const visibleAfterMs = sinceStart()
  await mp.io.rename(other, `${OTHER}\\${name}.done`)
  const otherRenameMs = Math.round((sinceStart() - visibleAfterMs) * 10) / 10
  await rename
  return {
    from,
    to,
    holdMs,
    visibleWhileCallerWaited,
    visibleAfterMs,
    otherRenameMs,
    callerWaitedMs: callerWaitedMs ?? sinceStart(),
  }
}

const LONGEST_HOLD_MS = 64 * HOLD_MS.shown

/**
 * Sets the demo's rules and shows one. On a machine so busy that this process did not run for the whole hold nothing was seen: then again, held
 * longer.
 */
export async function watchHeldRename(mp: Minipend): Promise<HeldRename> {
  for (let holdMs: number = HOLD_MS.shown; ; holdMs *= 4) {
    const held = await watchOnce(mp, holdMs)
    if (held.visibleWhileCallerWaited || holdMs >= LONGEST_HOLD_MS) {
      return held
    }
  }
}
