// SPDX-License-Identifier: MIT
//
// This module provides: one held rename, watched: what is held has already taken effect, and holds up nobody else.

import { setTimeout as wait } from 'node:timers/promises'
import type { Minipend } from '../../index.js'
import { HOLD_MS, INBOX, OTHER } from './scene.js'

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

export async function watchHeldRename(mp: Minipend): Promise<HeldRename> {
  const from = `${INBOX}\\report.txt`
  const to = `${INBOX}\\report.done`
  const other = `${OTHER}\\note.txt`
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
  while (!visible && waiting() && sinceStart() < 10 * HOLD_MS.shown) {
    await wait(1)
    visible = await mp.io.exists(to)
  }
  const visibleWhileCallerWaited = visible && waiting()
  const visibleAfterMs = sinceStart()
  await mp.io.rename(other, `${OTHER}\\note.done`)
  const otherRenameMs = Math.round((sinceStart() - visibleAfterMs) * 10) / 10
  await rename
  return {
    from,
    to,
    holdMs: HOLD_MS.shown,
    visibleWhileCallerWaited,
    visibleAfterMs,
    otherRenameMs,
    callerWaitedMs: callerWaitedMs ?? sinceStart(),
  }
}
