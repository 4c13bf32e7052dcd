// SPDX-License-Identifier: MIT
import { describe, expect, it, vi } from 'vitest'
import { openOver } from '../../../src/client/over.js'
import {
  AbortedError,
  ClosedError,
  EVENT_KINDS,
  REFUSAL_NAMES,
  type EventBatch,
  type EventsOptions,
  type EventStream,
  type Minipend,
  TimeoutError,
} from '../../../src/index.js'
import { type FakeScript, fakeTransport } from './fake.js'
import { FakeDriver } from './fake-driver.js'

async function open(
  options?: EventsOptions,
  script: FakeScript = {},
): Promise<{
  mp: Minipend
  events: EventStream
  driver: FakeDriver
}> {
  const driver = new FakeDriver()
  const mp = await openOver(fakeTransport({ driver, ...script }), { files: [], load: true, signal: undefined })
  return { mp, events: await mp.events(options), driver }
}

const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)
const asleep = (driver: FakeDriver): Promise<void> =>
  vi.waitFor(() => expect([driver.listening, driver.acknowledged.length > 1]).toEqual([true, true]))
const kindsOf = (batch: EventBatch): string[] => [...batch].map(({ kind }) => kind)

describe('events', () => {
  it('subscribe to what is wanted', async () => {
    const { events, driver, mp } = await open()
    expect(driver.subscriptions[0]).toMatchObject({ kinds: 31, flags: 0, ringEvents: 1024 })
    await events.close()
    await mp.events({ kinds: ['refused', 'taken'], allClients: true, ring: 16 })
    expect(driver.subscriptions.slice(1)).toMatchObject([{ kinds: 0 }, { kinds: 17, flags: 1, ringEvents: 16 }])
  })

  it.each<[object, string]>([
    [{ kinds: [] }, 'events: kinds: expected an array of kinds, such as ["refused"], got an array of 0'],
    [
      { kinds: ['taken', 'park'] },
      'events: kinds[1]: unknown kind "park"; did you mean "parked"? Known kinds: taken, parked, released, completed, refused',
    ],
    [{ kinds: [3] }, 'events: kinds[0]: unknown kind 3; Known kinds: '],
    [{ ring: 15 }, 'events: ring: expected an integer from 16 to 65536 (events), got 15'],
    [{ allClients: 1 }, 'events: allClients: expected true or false, got 1'],
    [{ kind: [] }, 'events: options.kind: unknown key; did you mean "kinds"?'],
  ])('with bad options are refused: %j', async (options, message) => {
    const { mp, events } = await open()
    await events.close()
    await expect(mp.events(options)).rejects.toThrow(message)
  })

  it('come in batches of typed records', async () => {
    const { events, driver, mp } = await open()
    await mp.rules.set([{ id: 'mine', on: ['write'], action: { kind: 'observe' } }])
    driver.emit('taken', 0, '\\a.txt')
    driver.emit('completed', 2)
    driver.emit('refused', 6)
    const batch = await events.next()
    expect(batch).toMatchObject({ length: 3, lost: 0n })
    expect([...batch]).toMatchObject([
      { kind: 'taken', cause: undefined, sequence: 1n, timeNs: 1000n, heldId: 1n, operation: 'write', path: '\\a.txt' },
      { kind: 'completed', cause: 'client', path: undefined, rule: 'mine', status: { name: 'STATUS_SUCCESS' } },
      { kind: 'refused', cause: 'topLevelIrp', postOperation: { irql: 'PASSIVE_LEVEL', topLevelIrp: 'none' } },
    ])
    expect(batch.at(2)).toEqual([...batch][2])
    expect(() => batch.at(3)).toThrow(RangeError)
    expect(() => batch.at(-1)).toThrow('EventBatch.at: expected an index below 3, got -1')
  })

  it('are columns as well', async () => {
    const { events, driver } = await open()
    driver.emit('parked')
    driver.emit('refused')
    const batch = await events.next()
    const { columns } = batch
    expect([...columns.sequence]).toEqual([1n, 2n])
    expect([...columns.timeNs]).toEqual([1000n, 2000n])
    expect([...columns.kind].map((kind) => EVENT_KINDS[kind])).toEqual(['parked', 'refused'])
    expect([...columns.operation]).toEqual([3, 3])
    expect(columns.cause).toHaveLength(2)
    expect(REFUSAL_NAMES[columns.cause[1] ?? 99]).toBe(batch.at(1).cause)
    expect([...columns.instanceId]).toEqual([2n, 2n])
    expect(columns.status).toBe(columns.status)
    expect(columns.irql).toEqual(new Uint16Array(2))
  })

  it('are acknowledged by the request for the next batch', async () => {
    const { events, driver } = await open()
    driver.emit('taken')
    driver.emit('parked')
    await events.next()
    expect(driver.events).toHaveLength(2)
    driver.emit('completed')
    expect(kindsOf(await events.next())).toEqual(['completed'])
    expect(driver.events).toHaveLength(1)
    expect(driver.acknowledged).toEqual([0n, 2n])
  })

  it('come again when they were not delivered', async () => {
    const { events, driver } = await open()
    const controller = new AbortController()
    driver.emit('taken')
    driver.lose(3n)
    driver.onCommand = () => controller.abort()
    expect(await caught(events.next({ signal: controller.signal }))).toBeInstanceOf(AbortedError)
    expect(await events.next()).toMatchObject({ length: 1, lost: 3n })
  })

  it('that were lost are counted, also when nothing else came', async () => {
    const { events, driver } = await open()
    driver.emit('taken')
    driver.lose(2n)
    expect(await events.next()).toMatchObject({ length: 1, lost: 2n })
    const next = events.next()
    await asleep(driver)
    driver.lose(1n)
    expect(await next).toMatchObject({ length: 0, lost: 1n })
    driver.emit('taken')
    expect(await events.next()).toMatchObject({ length: 1, lost: 0n })
  })

  it('that a stream lost are not reported to the next one', async () => {
    const { mp, events, driver } = await open()
    driver.lose(5n)
    await events.close()
    driver.emit('taken')
    const again = await mp.events()
    expect(await again.next()).toMatchObject({ length: 1, lost: 0n })
  })

  it('are waited for without polling', async () => {
    const { events, driver } = await open()
    const next = events.next()
    await asleep(driver)
    const asked = driver.acknowledged.length
    driver.emit('taken')
    expect(kindsOf(await next)).toEqual(['taken'])
    expect(driver.acknowledged).toHaveLength(asked + 1)
    await vi.waitFor(() => expect(driver.listening).toBe(false))
  })

  it('and gates share one wait', async () => {
    const { mp, events, driver } = await open()
    const gate = await mp.gate({ on: ['write'] })
    const [batch, held] = [events.next(), gate.next()]
    await vi.waitFor(() => expect([driver.listening, driver.listed > 1]).toEqual([true, true]))
    driver.park()
    driver.emit('parked')
    expect((await held).id).toBe(101n)
    expect(kindsOf(await batch)).toEqual(['parked'])
    await vi.waitFor(() => expect(driver.listening).toBe(false))
    expect(driver.cancels).toBeLessThanOrEqual(driver.listens)
  })

  it('are one stream at a time', async () => {
    const { mp, events } = await open()
    expect(await caught(mp.events())).toMatchObject({
      code: 'EVENTS_IN_USE',
      hint: expect.stringContaining('close it first') as string,
    })
    await Promise.all([events.close(), events.close(), events[Symbol.asyncDispose]()])
    await expect(mp.events()).resolves.toBeDefined()
  })

  it('of a stream that could not be opened leave the way free', async () => {
    const { mp, events } = await open(undefined)
    await events.close()
    const aborted = mp.events({ signal: AbortSignal.abort() })
    expect(await caught(aborted)).toBeInstanceOf(AbortedError)
    const controller = new AbortController()
    const late = mp.events({ signal: controller.signal })
    controller.abort()
    expect(await caught(late)).toBeInstanceOf(AbortedError)
    await vi.waitFor(() => mp.events())
  })

  it('end with the loop that is left', async () => {
    const { events, driver } = await open()
    driver.emit('taken')
    const seen: string[] = []
    for await (const batch of events) {
      seen.push(...kindsOf(batch))
      break
    }
    expect([seen, events.closed]).toEqual([['taken'], true])
    expect(driver.subscriptions.at(-1)).toMatchObject({ kinds: 0 })
    expect(await caught(events.next())).toBeInstanceOf(ClosedError)
  })

  it('end with the stream, the session, the signal and the time', async () => {
    const first = await open()
    const loop = (async () => {
      for await (const batch of first.events) {
        expect(batch).toBeUndefined()
      }
    })()
    await asleep(first.driver)
    await first.events.close()
    await loop

    const second = await open()
    const next = caught(second.events.next())
    await asleep(second.driver)
    await second.mp.close()
    expect(await next).toBeInstanceOf(ClosedError)

    const controller = new AbortController()
    const third = await open({ signal: controller.signal })
    const aborted = caught(third.events.next())
    await asleep(third.driver)
    controller.abort('enough')
    expect(await aborted).toMatchObject({ code: 'ABORT_ERR', cause: 'enough' })

    const fourth = await open()
    const late = await caught(fourth.events.next({ timeoutMs: 1 }))
    expect(late).toBeInstanceOf(TimeoutError)
    expect(late).toMatchObject({ message: 'EventStream.next: no event within 1 ms' })
  })
})
