// SPDX-License-Identifier: MIT
//
// This module provides: the types of shape.mjs for its tests.

export const SCHEMA: string
export function problems(document: unknown): string[]
