// SPDX-License-Identifier: MIT
//
// This module provides: a first try of a loaded driver: `minipend run scripts/windows/try.ts windows M:`. Holds a rename and a gated write on the
// volume, sees that what is held has taken effect, and ends with the balance. With `embedded` it does the same in the model.

import assert from 'node:assert/strict'

import { openMinipend, pend } from 'minipend'

const [backend, volume = 'D:'] = process.argv.slice(2)
if (backend !== 'windows' && backend !== 'embedded') throw new Error('usage: try.ts windows|embedded [VOLUME]')

await using mp = await openMinipend({ backend })
await using instance = await mp.attach(volume)
const directory = `${volume}\\try`
await mp.io.mkdir(directory)
await mp.io.writeFile(`${directory}\\a.txt`, 'hello')

await mp.rules.set([{ id: 'slow-renames', on: ['rename'], path: '\\try\\*', action: pend({ delayMs: 200 }) }])
await mp.io.rename(`${directory}\\a.txt`, `${directory}\\b.txt`)
await mp.rules.set([])

{
  await using gate = await mp.gate({ on: ['write'], path: '*.log' })
  await using file = await mp.io.open(`${directory}\\a.log`, { access: 'readwrite', create: 'createAlways' })
  const write = file.write('hello')
  const held = await gate.next({ timeoutMs: 10_000 })
  await held.release({ status: 'STATUS_DISK_FULL' })
  await assert.rejects(write, { code: 'ERROR_DISK_FULL' })
}

const counters = await mp.counters()
assert.equal(counters.held, 0n)
assert.equal(counters.pended, counters.completed)
assert.ok(counters.pended >= 2n, `${counters.pended} operations were pended`)
assert.equal(counters.refused.unsafe, 0n)
console.log(`${counters.pended} operations pended and given back on ${instance.volume}, the balance is exact`)
