// SPDX-License-Identifier: MIT
//
// This module provides: a driver package on the machine in memory, and what the runs on it need.

import { X509Certificate } from 'node:crypto'
import { type CaseResult } from '../../../src/cli/validate/document.js'
import type { WindowsRunParts } from '../../../src/cli/validate/windows-run.js'
import type { FakeProcess, FakeWindows } from './fake-windows.js'

export const DIRECTORY = 'C:\\ProgramData\\minipend'
export const PACKAGE = 'C:\\package'

/** Of nobody; its key was thrown away. */
export const CERTIFICATE = Buffer.from(
  [
    'MIIBhzCCAS2gAwIBAgIUB3cJ+sfyrQ0P5FXZKe60YU3Zd04wCgYIKoZIzj0EAwIwGDEWMBQGA1UEAwwNbWluaXBlbmQgdGVzdDAg',
    'Fw0yNjExMjkxOTE1NThaGA8yMTI2MTEwNTE5MTU1OFowGDEWMBQGA1UEAwwNbWluaXBlbmQgdGVzdDBZMBMGByqGSM49AgEGCCqG',
    'SM49AwEHA0IABP5hWnMhOfUHbp/HW3F21ZXN9FkQE+PrHzEV8plQh6nE3say1fYPARRVUMV3LeBNBBRDhUFXYxL05IMrMsuEKsmj',
    'UzBRMB0GA1UdDgQWBBTXn4GRXN3fx2K4EK4DivEIm/ABLDAfBgNVHSMEGDAWgBTXn4GRXN3fx2K4EK4DivEIm/ABLDAPBgNVHRMB',
    'Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQC6nTLZ8GGJz7emRXiuqALoTQiPTXtDJJC5Ax1go6s/iwIgXXvXPXaQXXXkWBJz',
    'tpgUiAflYA2BkT5SIVyu0iowuUo=',
  ].join(''),
  'base64',
)

export const SHA1 = new X509Certificate(CERTIFICATE).fingerprint.replaceAll(':', '').toLowerCase()

/** As much of a signed driver image as is looked at. */
export function driverImage(machine = 0x8664, signed = true): Buffer {
  const image = Buffer.alloc(0x200)
  image.write('MZ')
  image.writeUInt32LE(0x40, 0x3c)
  image.write('PE', 0x40)
  image.writeUInt16LE(machine, 0x44)
  image.writeUInt16LE(0x20b, 0x58)
  image.writeUInt16LE(1, 0x58 + 68)
  image.writeUInt32LE(signed ? 0x1f0 : 0, 0x58 + 112 + 32)
  return image
}

/** Puts a package there, and the image to where the installation would. */
export function withPackage(windows: FakeWindows): FakeWindows {
  const image = driverImage()
  const files: Readonly<Record<string, Buffer>> = {
    [`${PACKAGE}\\minipend.inf`]: Buffer.from('inf'),
    [`${PACKAGE}\\minipend.sys`]: image,
    [`${PACKAGE}\\minipend.cat`]: Buffer.from('cat'),
    [`${PACKAGE}\\minipend.cer`]: CERTIFICATE,
    [windows.traits.image.replace('\\SystemRoot', 'C:\\Windows')]: image,
  }
  Object.assign(windows.binaries, files)
  return windows
}

export const PASSED: CaseResult = {
  ...{ topic: 'topic', name: 'a case [POST-27]', file: 'test/conformance/a.test.ts', ids: ['POST-27'] },
  ...{ evidence: ['E'], lanes: ['embedded', 'windows'], outcome: 'passed', durationMs: 3, error: null },
  counters: null,
}

type Suite = WindowsRunParts['suite']

/** Cases that give this, and are seen to begin and to end. */
export const suiteOf =
  (...cases: CaseResult[]): Suite =>
  (options) => {
    for (const each of cases) {
      options.onStart?.(`${each.topic}: ${each.name}`)
      options.onCase(each)
    }
    return Promise.resolve(cases)
  }

export const partsOf = (process: FakeProcess, suite: Suite = suiteOf(PASSED), tear = 0): WindowsRunParts => ({
  ...{ machine: process.machine, suite },
  ...{ journal: process.store('journal', tear), progress: process.store('progress') },
  lock: () => Promise.resolve({ release: () => Promise.resolve() }),
})
