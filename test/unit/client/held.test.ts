// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest'
import { RELEASE_WHAT } from '../../../src/generated/protocol.js'
import { ReleaseError } from '../../../src/index.js'
import { RuleNames } from '../../../src/client/seen.js'
import { caught, open, STATUS_DISK_FULL } from './gate-support.js'

describe('a held operation', () => {
  it('is released, with a status when one is given', async () => {
    const { gate, driver } = await open()
    driver.park()
    driver.park()
    const [one, two] = [await gate.next(), await gate.next()]
    await one.release({ status: 'STATUS_DISK_FULL' })
    await two.release()
    expect(driver.released).toEqual([
      { id: 101n, status: STATUS_DISK_FULL },
      { id: 102n, status: 0 },
    ])
    expect([one.released, two.released]).toEqual([true, true])
  })

  it('that is not held any more says what to do', async () => {
    const { gate, driver } = await open()
    driver.park()
    const held = await gate.next()
    driver.giveBack(held.id)
    const error = await caught(held.release())
    expect(error).toBeInstanceOf(ReleaseError)
    expect(error).toMatchObject({
      ...{ code: 'heldUnknown', id: 101n, operation: 'HeldOperation.release' },
      message:
        'HeldOperation.release: operation 101: no such operation is held: released already, past its deadline, or never there',
      hint: expect.stringContaining('mp.held() lists what is held now') as string,
      ntstatus: { name: 'STATUS_NOT_FOUND', value: 0xc0000225 },
    })
    expect(held.released).toBe(false)
  })

  it.each([
    [{ status: 'STATUS_SUCCESS' }, 'status: expected a failure'],
    [{ status: 'STATUS_DISC_FULL' }, 'did you mean "STATUS_DISK_FULL"?'],
    [{ force: 1 }, 'force: expected true or false, got 1'],
    [{ stauts: 1 }, 'did you mean "status"?'],
  ])('is not released with %j', async (options, message) => {
    const { gate, driver } = await open()
    driver.park()
    const held = await gate.next()
    await expect(held.release(options as object)).rejects.toThrow(message)
    expect(driver.released).toEqual([])
  })
})

describe('the session', () => {
  it("lists what is held, its own or everybody's", async () => {
    const { mp, driver } = await open()
    for (let i = 0; i < 300; i++) {
      driver.park()
    }
    driver.park({ connectionId: 9n, generation: 1n })
    const all = await mp.held()
    expect(all).toHaveLength(301)
    expect(all.at(-1)).toMatchObject({ own: false, rule: undefined })
    expect(await mp.held({ own: true })).toHaveLength(300)
  })

  it('releases one operation by its id, and others by force only', async () => {
    const { mp, driver } = await open()
    const other = driver.park({ connectionId: 9n })
    expect(await caught(mp.release(other.id))).toMatchObject({
      code: 'heldForeign',
      ntstatus: { name: 'STATUS_ACCESS_DENIED' },
    })
    await mp.release(other.id, { force: true })
    expect(await caught(mp.release(other.id))).toMatchObject({ code: 'heldUnknown', operation: 'release' })
    await expect(mp.release(-1n)).rejects.toThrow('release: id: expected an integer from 0 to')
  })

  it('releases everything', async () => {
    const { mp, driver } = await open()
    driver.park()
    driver.park({ connectionId: 9n })
    expect(await mp.releaseAll()).toEqual({ released: 1, statusNotApplied: 0 })
    expect(await mp.releaseAll({ force: true })).toEqual({ released: 1, statusNotApplied: 0 })
    expect(driver.releases.map(({ what, force }) => [what, force])).toEqual([
      [RELEASE_WHAT.ALL, false],
      [RELEASE_WHAT.ALL, true],
    ])
  })
})

describe('names of rules', () => {
  const rule = { connectionId: 7n, setId: 0, ruleGeneration: 5n, ruleId: 1 }
  const names = new RuleNames(7n)
  // Answers may come in another order than the commands took effect.
  names.remember(0, 9n, ['new'])
  names.remember(0, 4n, ['old', 'second'])
  names.remember(1, 6n, ['gate'])

  it.each([
    ['the set that was in force', {}, 'old'],
    ['its other rule', { ruleId: 2 }, 'second'],
    ['a later one', { ruleGeneration: 12n }, 'new'],
    ['another set', { setId: 1, ruleGeneration: 6n }, 'gate'],
    ['a set that was not there yet', { setId: 1 }, undefined],
    ['another client', { connectionId: 8n }, undefined],
    ['nobody', { connectionId: 0n }, undefined],
    ['a rule that does not exist', { ruleId: 3 }, undefined],
  ])('%s', (_, given, name) => {
    expect(names.nameOf({ ...rule, ...given })).toBe(name)
  })

  it('are forgotten after many replacements', () => {
    const many = new RuleNames(7n)
    for (let generation = 1n; generation <= 100n; generation++) {
      many.remember(0, generation, [`${generation}`])
    }
    expect(many.nameOf({ ...rule, ruleGeneration: 100n })).toBe('100')
    expect(many.nameOf({ ...rule, ruleGeneration: 30n })).toBeUndefined()
  })
})
