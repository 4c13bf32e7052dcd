// SPDX-License-Identifier: MIT
//
// `minipend stat` and `rules` over the real driver and the model: a look from a command at a session of this process.

import { expect, test } from 'vitest'
import { EXIT } from '../../src/cli/exit-codes.js'
import { StoppedError } from '../../src/cli/problems.js'
import { rules, stat } from '../../src/cli/running-driver.js'
import { type Minipend, type openMinipend, pend } from '../../src/index.js'
import { testContext } from '../unit/cli/support.js'
import { world } from './world.js'

/** Gives the command this session, which it must not end. */
function lending(mp: Minipend): typeof openMinipend {
  const lent: Partial<Minipend> = {
    counters: (options) => mp.counters(options),
    held: (options) => mp.held(options),
    rules: mp.rules,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  return () => Promise.resolve(lent as Minipend)
}

test('a held write is listed until it is released', async () => {
  const mp = await world()
  await mp.attach('D:')
  const file = await mp.io.open('D:\\app.log', { access: 'readwrite', create: 'create' })
  const gate = await mp.gate({ id: 'logs', on: ['write'], path: '*.log' })
  const writing = file.write('hello')
  const held = await gate.next()

  const text = testContext({ open: lending(mp), platform: 'win32' })
  expect(await stat(text, { backend: 'windows' })).toBe(EXIT.ok)
  expect(text.terminal.text.out).toMatch(/D: .*write .*\\app\.log .*gate logs /)
  await held.release()
  await writing

  const stopper = new AbortController()
  const watched = testContext({ open: lending(mp), platform: 'win32', json: true, stop: stopper.signal })
  const watching = stat(watched, { backend: 'windows', watch: 1 })
  while (watched.terminal.text.out === '') {
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  stopper.abort(new StoppedError(130))
  await expect(watching).rejects.toThrow()
  const [first = ''] = watched.terminal.text.out.split('\n')
  expect(JSON.parse(first)).toMatchObject({ pended: 1, completed: 1, heldOperations: [] })
})

test('rules are listed with what they have done, whoever set them', async () => {
  const mp = await world()
  await mp.attach('D:')
  const other = await mp.connect()
  const none = testContext({ open: lending(mp), platform: 'win32' })
  expect(await rules(none, { backend: 'windows' })).toBe(EXIT.ok)
  expect(none.terminal.text.out).toMatch(/^no rules are in force\nrule generation 0; 2 connected/)

  await other.rules.set([{ on: ['rename'], path: '*.tmp', action: pend({ delayMs: 1 }) }])
  const gate = await mp.gate({ id: 'logs', on: ['write'], path: '*.log' })
  const writing = mp.io.writeFile('D:\\app.log', 'hello')
  const held = await gate.next()
  await mp.io.writeFile('D:\\a.tmp', 'x')
  await mp.io.rename('D:\\a.tmp', 'D:\\b.tmp')

  const text = testContext({ open: lending(mp), platform: 'win32' })
  expect(await rules(text, { backend: 'windows' })).toBe(EXIT.ok)
  const { out } = text.terminal.text
  expect(out).toMatch(/process \d+ .*rule 1 .*rename .*\*\.TMP .*pend 1 ms .* 1 .* 0 .* 1 .* 0 /)
  expect(out).toMatch(/this command .*logs .*write .*\*\.LOG .*until released, 30000 ms at most .* 1 .* 0 .* 1 .* 1 /)

  const json = testContext({ open: lending(mp), platform: 'win32', json: true })
  await rules(json, { backend: 'windows' })
  const document = JSON.parse(json.terminal.text.out) as { rules: { on: string[]; counts: unknown }[] }
  expect(document.rules.find(({ on }) => on[0] === 'write')?.counts).toMatchObject({ taken: 1, heldNow: 1 })
  await held.release()
  await writing
})
