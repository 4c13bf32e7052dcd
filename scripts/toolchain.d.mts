// SPDX-License-Identifier: MIT
//
// This module provides: the types of toolchain.mjs, for the scripts that are TypeScript.

export declare class BuildProblem extends Error {}
export declare function runMain(main: () => void | Promise<void>): Promise<void>
