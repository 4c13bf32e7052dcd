// SPDX-License-Identifier: MIT
//
// This module provides: a trial of one backend and transport, as a program: doctor starts it in a process of its own, so that a library
// that crashes while it loads is a finding and not the end of doctor. Prints one line of JSON.

import { type BackendName, MinipendError, openMinipend, pend, type TransportName } from '../../index.js'

export interface TrialResult {
  readonly ok: boolean
  readonly detail: string
  readonly code?: string | undefined
  readonly hint?: string | undefined
}

/** Opens a session; with file I/O also pends one rename and looks at the balance. */
async function tryOut(backend: BackendName, transport: TransportName): Promise<TrialResult> {
  await using mp = await openMinipend({ backend, transport, load: backend === 'embedded' })
  const driver = `driver version ${mp.hello.driverVersion}`
  if (backend === 'windows') {
    return { ok: true, detail: `${driver} answers` }
  }
  await using instance = await mp.attach('D:')
  await mp.rules.set([{ on: ['rename'], volume: instance.volume, action: pend({ delayMs: 1 }) }])
  if (transport === 'addon') {
    await mp.io.writeFile('D:\\doctor.txt', 'say 33')
    await mp.io.rename('D:\\doctor.txt', 'D:\\doctor.done')
  }
  const { balance, pended } = await mp.counters()
  const expected = transport === 'addon' ? 1n : 0n
  return balance.exact && pended === expected
    ? {
        ok: true,
        detail:
          transport === 'addon' ? `${driver}; a rename was pended and given back` : `${driver}; control calls work`,
      }
    : { ok: false, detail: `${driver}; pended ${pended}, expected ${expected}: ${balance.problems.join('; ')}` }
}

function failure(error: unknown): TrialResult {
  return error instanceof MinipendError
    ? { ok: false, detail: error.message, code: error.code, hint: error.hint }
    : { ok: false, detail: error instanceof Error ? (error.stack ?? error.message) : String(error) }
}

const [, , backend, transport] = process.argv
const result = await tryOut(backend as BackendName, transport as TransportName).catch(failure)
process.stdout.write(`${JSON.stringify(result)}\n`)
