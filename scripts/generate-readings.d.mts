// SPDX-License-Identifier: MIT
//
// This module provides: the types of generate-readings.mjs, for the tests.

export interface ReadingRow {
  readonly name: string
  readonly rules: readonly string[]
  readonly question: string
  readonly values: readonly { readonly name: string; readonly meaning: string }[]
}
export declare function parseReadings(source: string): ReadingRow[]
export declare function readReadings(): ReadingRow[]
export declare function readingsPage(page: string, rows?: readonly ReadingRow[]): string
export declare function generateReadings(): boolean
