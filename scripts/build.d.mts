// SPDX-License-Identifier: MIT
//
// This module provides: the types of build.mjs.

/** `npm run build`. */
export declare function build(): void
/** The native tests' program; undefined: they are not here. */
export declare function buildNativeTests(): string | undefined
