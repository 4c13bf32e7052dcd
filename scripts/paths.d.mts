// SPDX-License-Identifier: MIT
//
// This module provides: the types of paths.mjs, for the scripts that are TypeScript.

export declare const root: string
export declare const nativeDir: string
export declare const buildDir: string
export declare const distDir: string
export declare function packageFile(name: string, ...rest: string[]): string
export declare function packageVersion(name: string): string
