// SPDX-License-Identifier: MIT
//
// This module provides: the names of the strategies of `minipend explore`. Apart, so that the command line knows them without loading the command.

export const STRATEGIES = ['random', 'pct', 'exhaustive'] as const
export type Strategy = (typeof STRATEGIES)[number]
