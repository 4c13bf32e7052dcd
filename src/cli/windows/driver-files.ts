// SPDX-License-Identifier: MIT
//
// This module provides: the driver package that `minipend sign` made, as a run needs it.

import { createHash, X509Certificate } from 'node:crypto'
import path from 'node:path'
import { imageFacts } from '../sign/authenticode.js'
import type { Architecture, WindowsMachine } from './machine.js'
import { IMAGE, INF } from './undo.js'

export interface DriverPackageFiles {
  readonly directory: string
  readonly inf: string
  readonly certificate: string
  /** Of the certificate, 40 digits in small letters. */
  readonly sha1: string
  /** Of the image. */
  readonly sha256: string
  readonly architecture: Architecture
}

export interface NoDriverPackage {
  readonly problem: string
  readonly fix: string
}

export type DriverFiles = DriverPackageFiles | NoDriverPackage

const CATALOG = 'minipend.cat'
const CERTIFICATE = 'minipend.cer'
const MAKE =
  'make it where there is clang (npm run build:driver, npx minipend sign) and copy it here, or name it with --package'

/**
 * The package that is taken when none is named: what `minipend sign` made in the directory where the command is given, else what this package of npm carries.
 * `root`: of this package.
 */
export function defaultPackage(machine: Pick<WindowsMachine, 'architecture' | 'exists'>, root: string): string {
  const { architecture } = machine
  const made = path.win32.join('build', 'driver', architecture, 'package')
  const carried = path.win32.join(root, 'prebuilt', 'driver', architecture)
  const isThere = (directory: string): boolean => machine.exists(path.win32.join(directory, INF))
  return !isThere(path.win32.resolve(made)) && isThere(carried) ? carried : made
}

export function readDriverFiles(machine: WindowsMachine, directory: string): DriverFiles {
  const at = (name: string): string => path.win32.join(directory, name)
  const missing = [INF, IMAGE, CATALOG, CERTIFICATE].filter((name) => !machine.exists(at(name)))
  if (missing.length > 0) {
    return { problem: `${directory}: ${missing.join(', ')} not there`, fix: MAKE }
  }
  try {
    const image = machine.read(at(IMAGE))
    const facts = imageFacts(image)
    if (!facts.signed) {
      return { problem: `${at(IMAGE)} is not signed`, fix: MAKE }
    }
    const certificate = new X509Certificate(machine.read(at(CERTIFICATE)))
    return {
      ...{ directory, inf: at(INF), certificate: at(CERTIFICATE), architecture: facts.machine },
      sha1: certificate.fingerprint.replaceAll(':', '').toLowerCase(),
      sha256: createHash('sha256').update(image).digest('hex'),
    }
  } catch (error) {
    return { problem: `${directory}: ${error instanceof Error ? error.message : String(error)}`, fix: MAKE }
  }
}
