// SPDX-License-Identifier: MIT
//
// This module provides: what doctor says of a Windows test machine: what `minipend validate --backend windows` looks at before it does anything.

import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { judge, lookAt } from '../windows/checks.js'
import { defaultPackage, readDriverFiles } from '../windows/driver-files.js'
import type { WindowsMachine } from '../windows/machine.js'
import { defaultDirectory } from '../windows/state.js'
import type { Check } from './checks.js'

const PACKAGE_ROOT = fileURLToPath(new URL('../../../', import.meta.url))

export async function examineWindows(machine: WindowsMachine): Promise<Check[]> {
  const { architecture, environment } = machine
  const driver = readDriverFiles(machine, path.win32.resolve(defaultPackage(machine, PACKAGE_ROOT)))
  try {
    const sha1 = 'problem' in driver ? undefined : driver.sha1
    const facts = await lookAt(machine, defaultDirectory(environment), sha1)
    return judge(facts, driver, false, architecture)
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    return [{ id: 'machine', title: 'Test machine', status: 'failed', detail, fix: 'docs/VM.md, "By hand"' }]
  }
}
