// SPDX-License-Identifier: MIT
//
// This module provides: a session with one gate over a driver that is a fake, and what tests of it look for.

import { expect, vi } from 'vitest'
import { openOver } from '../../../src/client/over.js'
import type { Gate, Minipend } from '../../../src/index.js'
import { type FakeScript, type FakeTransport, fakeTransport } from './fake.js'
import { FakeDriver } from './fake-driver.js'

export const STATUS_DISK_FULL = 0xc000007f | 0

export interface Opened {
  readonly mp: Minipend
  readonly gate: Gate
  readonly driver: FakeDriver
  readonly transport: FakeTransport
}

/** The gate holds writes to *.log. */
export async function open(script: FakeScript = {}): Promise<Opened> {
  const driver = new FakeDriver()
  const transport = fakeTransport({ driver, ...script })
  const mp = await openOver(transport, { files: [], load: true, signal: undefined })
  return { mp, gate: await mp.gate({ on: ['write'], path: '*.log' }), driver, transport }
}

export const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)
/** The session has asked, found nothing and waits for the bell. */
export const asleep = (driver: FakeDriver): Promise<void> =>
  vi.waitFor(() => {
    expect(driver.listening).toBe(true)
    expect(driver.listed).toBeGreaterThan(1)
  })
