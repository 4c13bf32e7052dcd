// SPDX-License-Identifier: MIT
import { describe, expect, it, vi } from 'vitest'
import { openOver } from '../../../src/client/over.js'
import { COMMAND, RELEASE_WHAT, SET_RULES_REQUEST } from '../../../src/generated/protocol.js'
import {
  AbortedError,
  ClosedError,
  FilterError,
  type HeldOperation,
  MinipendError,
  ModelStoppedError,
  ProtocolError,
  TimeoutError,
} from '../../../src/index.js'
import { decode, viewOf } from '../../../src/transport/codec.js'
import { decodeRules, type FakeTransport, fakeTransport } from './fake.js'
import { FakeDriver } from './fake-driver.js'
import { asleep, caught, open, STATUS_DISK_FULL } from './gate-support.js'

const setsOf = (transport: FakeTransport): { setId: number; count: number }[] =>
  transport.requests
    .map((request) =>
      decode(SET_RULES_REQUEST, viewOf(request.length < SET_RULES_REQUEST.size ? new Uint8Array(32) : request)),
    )
    .filter(({ command }) => command === COMMAND.SET_RULES)
    .map(({ setId, count }) => ({ setId, count }))

describe('a gate', () => {
  it('is a rule set of its own', async () => {
    const { mp, gate, transport } = await open()
    await mp.gate({ on: ['rename'], deadlineMs: 5 })
    expect(setsOf(transport)).toEqual([
      { setId: 1, count: 1 },
      { setId: 2, count: 1 },
    ])
    expect(decodeRules(transport.requests.at(-2) ?? new Uint8Array())).toMatchObject([
      { hold: 2, delayMs: 30_000, path: '*.log', flags: 8 | 16 },
    ])
    expect(gate).toMatchObject({ id: 'gate 1', deadlineMs: 30_000, generation: 5n, closed: false })
  })

  it('gives what is held already, without waiting for a bell', async () => {
    const { gate, driver } = await open()
    driver.park({ name: '\\app.log', irql: 0, topLevelIrp: 8, flags: 1, irpFlags: 0x43 })
    const held = await gate.next()
    expect(held).toMatchObject({
      ...{ id: 101n, operation: 'write', path: '\\app.log', nameCut: false, rule: 'gate 1', own: true },
      ...{ hold: 'gate', action: 'pend', majorFunction: 4, processId: 4, threadId: 8, instanceId: 2n },
      ...{ status: { name: 'STATUS_SUCCESS' }, information: 5n, released: false, drive: undefined },
      ...{ takenNs: 1000n, deadlineNs: 30_000n, seenNs: 4000n },
      postOperation: {
        ...{ irql: 'PASSIVE_LEVEL', topLevelIrp: 'irp', thread: 'requestor', kernelMode: true, synchronous: false },
        irpFlags: ['IRP_NOCACHE', 'IRP_PAGING_IO', 'IRP_SYNCHRONOUS_PAGING_IO'],
      },
    })
    expect(driver.listens).toBe(0)
  })

  it('waits for the bell, and stops waiting for it once it is served', async () => {
    const { gate, driver } = await open()
    const next = gate.next()
    await asleep(driver)
    const asked = driver.listed
    driver.park()
    expect((await next).id).toBe(101n)
    expect(driver.listed).toBe(asked + 1)
    await vi.waitFor(() => expect(driver.listening).toBe(false))
  })

  it('misses nothing that comes between any two steps', async () => {
    // The operation is parked at each moment in turn: before the nth command.
    for (let at = 1; at <= 4; at++) {
      const { gate, driver } = await open()
      let commands = 0
      driver.onCommand = () => {
        if (++commands === at) {
          driver.park()
        }
      }
      const next = gate.next()
      if (at > 2) {
        await asleep(driver)
        driver.park()
      }
      expect((await next).id, `parked before command ${at}`).toBe(101n)
    }
  })

  it('gives each operation once, in order, to who waited longest', async () => {
    const { gate, driver } = await open()
    const nexts = [gate.next(), gate.next(), gate.next()]
    await asleep(driver)
    driver.park()
    driver.park()
    driver.park()
    driver.park()
    const ids = (await Promise.all(nexts)).map(({ id }) => id)
    expect([...ids, (await gate.next()).id]).toEqual([101n, 102n, 103n, 104n])
    expect(await caught(gate.next({ timeoutMs: 1 }))).toBeInstanceOf(TimeoutError)
  })

  it('never delivers what was given back meanwhile, by its deadline for example', async () => {
    const { gate, driver } = await open()
    const first = driver.park()
    const second = driver.park()
    expect((await gate.next()).id).toBe(first.id)
    driver.giveBack(second.id)
    const third = driver.park()
    expect((await gate.next()).id).toBe(third.id)
  })

  it('has its own operations only', async () => {
    const { mp, gate, driver } = await open()
    const other = await mp.gate({ on: ['rename'], id: 'other' })
    driver.park({ setId: 2 })
    driver.park({ setId: 0 })
    driver.park({ setId: 1, generation: 4n })
    driver.park({ setId: 1, connectionId: 9n })
    const mine = driver.park({ setId: 1 })
    expect((await gate.next()).id).toBe(mine.id)
    expect(await other.next()).toMatchObject({ id: 101n, rule: 'other' })
  })

  it('reads as many pages as it takes', async () => {
    const { mp, gate, driver } = await open()
    const other = await mp.gate({ on: ['rename'] })
    for (let i = 0; i < 600; i++) {
      driver.park({ setId: 2 })
    }
    const mine = driver.park()
    expect((await gate.next()).id).toBe(mine.id)
    const nexts = Array.from({ length: 600 }, () => other.next())
    const ids = (await Promise.all(nexts)).map(({ id }) => id)
    expect(ids).toEqual(Array.from({ length: 600 }, (_, i) => BigInt(101 + i)))
  })

  it('looks for each gate from where that gate has been', async () => {
    const { mp, gate, driver } = await open()
    const other = await mp.gate({ on: ['rename'] })
    const early = driver.park({ setId: 2 })
    driver.park()
    await gate.next()
    const [mine, theirs] = [gate.next(), other.next()]
    expect((await theirs).id).toBe(early.id)
    await asleep(driver)
    driver.park()
    expect((await mine).id).toBe(103n)
  })

  it('serves a gate at which somebody begins to wait while another is being served', async () => {
    const { mp, gate, driver } = await open()
    const other = await mp.gate({ on: ['rename'] })
    driver.park({ setId: 2 })
    for (let i = 0; i < 40; i++) {
      driver.park({ setId: 0 })
    }
    let late: Promise<HeldOperation> | undefined
    driver.onCommand = () => {
      // While the first page, where its operation is, is on its way: it is not looked at for it.
      if (driver.listed === 0) {
        late ??= other.next()
      }
    }
    const mine = driver.park()
    expect((await gate.next()).id).toBe(mine.id)
    expect((await late)?.id).toBe(101n)
  })

  it('can be iterated until it is closed', async () => {
    const { gate, driver } = await open()
    driver.park()
    driver.park()
    const ids: bigint[] = []
    const loop = (async () => {
      for await (const held of gate) {
        ids.push(held.id)
      }
    })()
    await vi.waitFor(() => expect(ids).toEqual([101n, 102n]))
    await gate.close()
    await loop
    expect(gate.closed).toBe(true)
  })

  it('ends a loop when the session is closed', async () => {
    const { mp, gate, driver } = await open()
    const loop = (async () => {
      for await (const held of gate) {
        expect(held).toBeUndefined()
      }
    })()
    await asleep(driver)
    await mp.close()
    await loop
  })

  it('is removed before what it holds is released, and its number is free then', async () => {
    const { mp, gate, driver, transport } = await open()
    driver.park()
    const order: number[] = []
    driver.onCommand = (command) => order.push(command)
    const waiting = gate.next()
    const held = await waiting
    const pending = caught(gate.next())
    await asleep(driver)
    order.length = 0
    await Promise.all([gate.close(), gate.close(), gate[Symbol.asyncDispose]()])
    expect(order.filter((command) => command !== COMMAND.LIST_HELD)).toEqual([COMMAND.SET_RULES, COMMAND.RELEASE])
    expect(driver.releases).toEqual([{ what: RELEASE_WHAT.SET, setId: 1, force: false }])
    expect(driver.released).toEqual([{ id: held.id, status: 0 }])
    expect(await pending).toBeInstanceOf(ClosedError)
    expect(await caught(gate.next())).toMatchObject({ code: 'CLOSED', message: 'Gate.next: gate "gate 1" is closed' })
    expect(await caught(gate.releaseAll())).toBeInstanceOf(ClosedError)
    await mp.gate({ on: ['read'] })
    expect(setsOf(transport)).toEqual([
      { setId: 1, count: 1 },
      { setId: 1, count: 0 },
      { setId: 1, count: 1 },
    ])
  })

  it('releases all that it holds and stays', async () => {
    const { gate, driver } = await open()
    driver.park()
    driver.park({ setId: 2 })
    expect(await gate.releaseAll({ status: 'STATUS_DISK_FULL' })).toEqual({ released: 1, statusNotApplied: 0 })
    expect(driver.released).toEqual([{ id: 101n, status: STATUS_DISK_FULL }])
    expect(gate.closed).toBe(false)
  })

  it('is one of at most fifteen', async () => {
    const { mp, gate } = await open()
    const gates = [gate]
    for (let i = 0; i < 14; i++) {
      gates.push(await mp.gate({ on: ['read'] }))
    }
    const error = await caught(mp.gate({ on: ['read'] }))
    expect(error).toBeInstanceOf(MinipendError)
    expect(error).toMatchObject({
      code: 'TOO_MANY_GATES',
      message: 'gate: this session has 15 gates open, as many as the driver allows',
      hint: expect.stringContaining('close a gate') as string,
    })
    await gates[7]?.close()
    await expect(mp.gate({ on: ['read'] })).resolves.toMatchObject({ id: 'gate 8' })
  })

  it('that the driver refuses leaves no trace', async () => {
    const refuse = { command: COMMAND.SET_RULES, status: 0xc000000d | 0, detail: 'ruleDelay' } as const
    const driver = new FakeDriver()
    const transport = fakeTransport({ driver, refuse })
    const mp = await openOver(transport, { files: [], load: true, signal: undefined })
    for (let i = 0; i < 20; i++) {
      await expect(mp.gate({ on: ['write'] })).rejects.toMatchObject({
        code: 'INVALID_RULE',
        message: 'gate ("gate 1"): the driver refused it: a rule\'s delay is longer than the driver allows',
      })
    }
  })

  it('is not opened for a volume that is not there', async () => {
    const { mp } = await open()
    await expect(mp.gate({ on: ['write'], volume: 'X:' })).rejects.toThrow('gate: volume: there is no volume "X:"')
  })

  it('that comes after its signal was aborted is closed', async () => {
    const { mp, driver, transport } = await open()
    const controller = new AbortController()
    const opening = mp.gate({ on: ['read'], signal: controller.signal })
    controller.abort()
    expect(await caught(opening)).toBeInstanceOf(AbortedError)
    await vi.waitFor(() => expect(setsOf(transport).at(-1)).toEqual({ setId: 2, count: 0 }))
    await vi.waitFor(() => expect(driver.releases).toHaveLength(1))
  })
})

describe('waiting at a gate', () => {
  it('ends with its time', async () => {
    const { gate, driver } = await open()
    const error = await caught(gate.next({ timeoutMs: 5 }))
    expect(error).toBeInstanceOf(TimeoutError)
    expect(error).toMatchObject({
      ...{ code: 'TIMEOUT', timeoutMs: 5, message: 'Gate.next: gate "gate 1" held nothing new within 5 ms' },
      hint: expect.stringContaining('counters()') as string,
    })
    await vi.waitFor(() => expect(driver.listening).toBe(false))
    driver.park()
    expect((await gate.next()).id, 'who comes later gets it').toBe(101n)
  })

  it('ends with its signal, and loses nothing', async () => {
    const { gate, driver } = await open()
    const controller = new AbortController()
    const aborted = caught(gate.next({ signal: controller.signal }))
    const stays = gate.next()
    await asleep(driver)
    controller.abort('enough')
    expect(await aborted).toMatchObject({ code: 'ABORT_ERR', stillHeld: false, cause: 'enough' })
    driver.park()
    expect((await stays).id).toBe(101n)
    expect(await caught(gate.next({ signal: AbortSignal.abort() }))).toBeInstanceOf(AbortedError)
  })

  it('gives what an aborted caller would have got to the next one', async () => {
    const { gate, driver } = await open()
    const controller = new AbortController()
    const aborted = caught(gate.next({ signal: controller.signal }))
    driver.park()
    // While the answer with the operation is on its way.
    driver.onCommand = () => controller.abort()
    expect(await aborted).toBeInstanceOf(AbortedError)
    expect((await gate.next()).id).toBe(101n)
  })

  it.each([-1, 1.5, 2 ** 31])('for %s ms is refused', async (timeoutMs) => {
    const { gate } = await open()
    await expect(gate.next({ timeoutMs })).rejects.toThrow('Gate.next: timeoutMs: expected an integer from 0 to')
  })

  it('ends when the session is closed', async () => {
    const { mp, gate, driver } = await open()
    const next = caught(gate.next())
    await asleep(driver)
    await mp.close()
    expect(await next).toBeInstanceOf(ClosedError)
    expect(gate.closed).toBe(true)
  })

  it('ends when the driver answers with nonsense, or not at all', async () => {
    const { gate, driver } = await open()
    const nonsense = caught(gate.next())
    await asleep(driver)
    driver.say([0, 3])
    expect(await nonsense).toBeInstanceOf(ProtocolError)
    expect(await nonsense).toMatchObject({ message: expect.stringContaining('3 bytes that are no bell') as string })
    const failed = caught(gate.next())
    await vi.waitFor(() => expect(driver.listening).toBe(true))
    driver.say([0x80070005, 0])
    expect(await failed).toBeInstanceOf(FilterError)
    driver.park()
    expect((await gate.next()).id, 'it may be tried again').toBe(101n)
  })

  it('ends when the model stops', async () => {
    const report = JSON.stringify({ stopped: true, rule: 'VER-04', seed: '42' })
    const { gate, driver } = await open({ report })
    const next = caught(gate.next())
    await asleep(driver)
    driver.say([0x8007045b, 0])
    expect(await next).toBeInstanceOf(ModelStoppedError)
  })

  it('works over a transport that cannot wait for the bell', async () => {
    const { gate, driver } = await open({ bell: false })
    const next = gate.next()
    await vi.waitFor(() => expect(driver.listed).toBeGreaterThan(2))
    driver.park()
    expect((await next).id).toBe(101n)
    expect(driver.listens).toBe(0)
  })
})
