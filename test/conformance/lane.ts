// SPDX-License-Identifier: MIT
//
// This module provides: where the conformance cases run: on the model in this process, or on the driver of a Windows test machine, and a session there.
//
// MINIPEND_CONFORMANCE_BACKEND names the lane (`minipend validate` sets it). On windows MINIPEND_NTFS and MINIPEND_FAT name two volumes, "X:" each: it
// makes them, or with --prepared whoever runs it does.
// Every case works in a directory of its own, and its rules name that directory: on a real machine others use the volume as well.

import { onTestFinished } from 'vitest'
import { type Minipend, openMinipend } from '../../src/index.js'
import { world } from '../e2e/world.js'

export const LANES = ['embedded', 'windows'] as const
export type Lane = (typeof LANES)[number]

export const LANE: Lane = process.env['MINIPEND_CONFORMANCE_BACKEND'] === 'windows' ? 'windows' : 'embedded'

export const VOLUMES = {
  ntfs: process.env['MINIPEND_NTFS'] ?? 'D:',
  fat: process.env['MINIPEND_FAT'] ?? 'E:',
} as const

/** Longer than any wait of a case, shorter than its time limit: what was waited for in vain is said. */
export const PATIENCE = { timeoutMs: 15_000 } as const

async function windowsSession(): Promise<Minipend> {
  const mp = await openMinipend({ backend: 'windows' })
  onTestFinished(() => mp.close())
  return mp
}

/** A session that ends with the case; on the model the case also fails when a rule of the verifier was broken. */
export const session = (): Promise<Minipend> => (LANE === 'embedded' ? world() : windowsSession())
