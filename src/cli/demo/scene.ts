// SPDX-License-Identifier: MIT
//
// This module provides: the files and the rules of the demo.

import { type Minipend, observe, pend, type Rule } from '../../index.js'

export const INBOX = 'D:\\inbox'
export const LOGS = 'D:\\logs'
export const OTHER = 'D:\\other'
export const FAT = 'E:\\fat'

/** How long each kind of operation is held, in milliseconds. */
export const HOLD_MS = { shown: 200, rename: 60, write: 20, delete: 40 } as const

/** `shownMs`: how long the rename that is watched is held. */
export const demoRules = (shownMs: number): readonly Rule[] => [
  { id: 'shown', on: ['rename'], volume: 'D:', path: '\\inbox\\report*', action: pend({ delayMs: shownMs }) },
  { id: 'renames', on: ['rename'], volume: 'D:', path: '\\inbox\\*', action: pend({ delayMs: HOLD_MS.rename }) },
  { id: 'log-writes', on: ['write'], volume: 'D:', path: '*.log', action: pend({ delayMs: HOLD_MS.write }) },
  { id: 'deletes', on: ['delete'], path: '*.tmp', action: pend({ delayMs: HOLD_MS.delete }) },
  { id: 'fat-renames', on: ['rename'], volume: 'E:', action: pend({ delayMs: HOLD_MS.rename }) },
  { id: 'listings', on: ['list'], action: observe() },
]

export const inboxFile = (index: number): string => `${INBOX}\\file-${index}.txt`
export const fatFile = (index: number): string => `${FAT}\\file-${index}.txt`

/** Makes the files. Before anything is attached, so that no counter counts it. */
export async function prepareFiles(mp: Minipend, files: number): Promise<void> {
  for (const directory of [INBOX, LOGS, OTHER, FAT]) {
    await mp.io.mkdir(directory)
  }
  for (let index = 0; index < files; index++) {
    await mp.io.writeFile(inboxFile(index), `file ${index}`)
    await mp.io.writeFile(fatFile(index), `file ${index}`)
  }
}
