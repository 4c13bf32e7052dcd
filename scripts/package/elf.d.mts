// SPDX-License-Identifier: MIT

export interface Demands {
  readonly libraries: readonly string[]
  readonly searchPaths: readonly string[]
  readonly versions: readonly string[]
}
export function demandsOf(text: string): Demands
export function portabilityProblems(demands: Demands): string[]
export function leastGlibc(versions: readonly string[]): string | undefined
export function readDemands(file: string): Demands
export function compareVersions(a: string, b: string): number
