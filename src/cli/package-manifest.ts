// SPDX-License-Identifier: MIT
//
// This module provides: this package's own name and version.

import { readFileSync } from 'node:fs'

export interface PackageManifest {
  readonly name: string
  readonly version: string
}

export const packageManifest = (): PackageManifest =>
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as PackageManifest
