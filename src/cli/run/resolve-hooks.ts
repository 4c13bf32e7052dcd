// SPDX-License-Identifier: MIT
//
// This module provides: module resolution for scripts that `minipend run` runs, on top of tsx's.
//
// 1. `minipend` is this package, wherever the script is: also in a bare checkout, also outside of any package.
// 2. A .ts file is an ES module, and so is a .js file that is written as one, also where no package.json says "type": "module": scripts
//    use `await` at top level. (.cts and .cjs stay CommonJS.)
//
// Node loads this file on a thread of its own where it has only module.register(), and calls the function directly where it has
// module.registerHooks().

import { readFileSync } from 'node:fs'

export interface Resolution {
  readonly url: string
  readonly format?: string | null | undefined
  readonly shortCircuit?: boolean
}

/** What the hooks need to know. */
export interface HookData {
  /** URL of this package's entry. */
  readonly packageUrl: string
}

let data: HookData | undefined

export function initialize(given: HookData): void {
  data = given
}

const MODULE_SYNTAX = /^\s*(?:import\s*[\w*{"']|export\s*[\w*{])/m
/** tsx marks what it takes for CommonJS with a query, which is percent-encoded in some places. */
const TSX_COMMONJS_QUERY = /(?:\?|%3F)tsx-commonjs.*$/

function writtenAsModule(url: string): boolean {
  const { pathname } = new URL(url)
  return (
    /\.tsx?$/.test(pathname) || (/\.jsx?$/.test(pathname) && MODULE_SYNTAX.test(readFileSync(new URL(url), 'utf8')))
  )
}

/** A resolution, with its format corrected. */
export function asWritten<T extends Resolution>(resolution: T): T {
  if (
    resolution.format !== 'commonjs' ||
    !resolution.url.startsWith('file:') ||
    resolution.url.includes('/node_modules/')
  ) {
    return resolution
  }
  const url = resolution.url.replace(TSX_COMMONJS_QUERY, '')
  return writtenAsModule(url) ? { ...resolution, url, format: 'module' } : resolution
}

function ourselves(specifier: string): Resolution | undefined {
  return specifier === 'minipend' && data !== undefined
    ? { url: data.packageUrl, format: 'module', shortCircuit: true }
    : undefined
}

type Next<R> = (specifier: string, context: unknown) => R

/** For module.register(). */
export async function resolve(
  specifier: string,
  context: unknown,
  next: Next<Promise<Resolution>>,
): Promise<Resolution> {
  return ourselves(specifier) ?? asWritten(await next(specifier, context))
}

/** For module.registerHooks(). */
export function resolveSync(specifier: string, context: unknown, next: Next<Resolution>): Resolution {
  return ourselves(specifier) ?? asWritten(next(specifier, context))
}
