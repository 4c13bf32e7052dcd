// SPDX-License-Identifier: MIT
//
// Loading and unloading, below the client: each step of loading fails once, what is left behind, what an unload ends, and the errors of attaching.

import { describe, expect, onTestFinished } from 'vitest'
import {
  encodeHello,
  encodeRules,
  envelope,
  helloReplyBytes,
  setRulesReplyBytes,
} from '../../src/transport/messages.js'
import type { NativeBackend } from '../../src/transport/native.js'
import { ask, connect, heldWrites, open, openModel, portName, writePage } from '../unit/raw-driver.js'
import { conformance, conformanceOf, VOLUMES } from './case.js'

const ONLY_MODEL = { lanes: ['embedded'] } as const

const closing = <T extends NativeBackend>(backend: T): T => {
  onTestFinished(() => backend.close())
  return backend
}

interface Report {
  readonly stopped: boolean
  readonly leaks: readonly string[]
}

/** Nothing was lost, and no rule of the verifier broken. */
const expectClean = (backend: NativeBackend): void =>
  expect(JSON.parse(backend.report()) as Report).toMatchObject({ stopped: false, leaks: [] })

interface Step {
  readonly ids: string
  readonly call: string
  /** Its statuses, and what loading says. */
  readonly statuses: Readonly<Record<string, number>>
}

const NO_RESOURCES = { STATUS_INSUFFICIENT_RESOURCES: 0x800705aa } as const

const STEPS: readonly Step[] = [
  {
    ...{ ids: 'REG-07 T18', call: 'FltRegisterFilter' },
    statuses: {
      ...NO_RESOURCES,
      STATUS_INVALID_PARAMETER: 0x80070057,
      STATUS_FLT_NOT_INITIALIZED: 0x801f0007,
      STATUS_OBJECT_NAME_NOT_FOUND: 0x80070002,
    },
  },
  {
    ...{ ids: 'PORT-01 REG-09 T18', call: 'FltCreateCommunicationPort' },
    statuses: {
      ...NO_RESOURCES,
      STATUS_OBJECT_NAME_COLLISION: 0x800700b7,
      STATUS_FLT_DELETING_OBJECT: 0x801f000b,
    },
  },
  { ids: 'REG-09 KMDF-07 T18', call: 'FltBuildDefaultSecurityDescriptor', statuses: NO_RESOURCES },
  {
    ...{ ids: 'REG-09 KMDF-07 T18', call: 'FltStartFiltering' },
    statuses: {
      ...NO_RESOURCES,
      STATUS_INVALID_PARAMETER: 0x80070057,
      STATUS_FLT_DELETING_OBJECT: 0x801f000b,
    },
  },
  { ids: 'T18', call: 'WdfDriverCreate', statuses: NO_RESOURCES },
  { ids: 'T18', call: 'PsCreateSystemThread', statuses: NO_RESOURCES },
]

describe('loading', () => {
  for (const { ids, call, statuses } of STEPS) {
    for (const [status, hresult] of Object.entries(statuses)) {
      const mapping = status.startsWith('STATUS_FLT_') ? 'HR-01 HR-02' : 'HR-03'
      conformanceOf(
        `${ids} ${mapping}`,
        `fails as ${call} does (${status}), leaves nothing behind, and works afterwards`,
        async () => {
          const backend = closing(await openModel())
          expect(backend.setFault(`${call}:${status}`, 0, 1)).toBe(true)
          expect((await backend.filterLoad('minipend')).toString(16)).toBe(hresult.toString(16))
          expectClean(backend)
          expect((await backend.connect(portName, new Uint8Array(0)))[1], 'no port is left').toBeUndefined()
          expect(await backend.filterLoad('minipend')).toBe(0)
          expect((await backend.filterAttach('minipend', 'D:', '', ''))[0]).toBe(0)
          await (await connect(backend)).close()
        },
        ONLY_MODEL,
      )
    }
  }

  conformanceOf(
    'UNL-06 HR-03',
    'what is loaded says that it is',
    async () => {
      const backend = closing(await open())
      // ERROR_ALREADY_EXISTS or ERROR_SERVICE_ALREADY_RUNNING.
      expect([0x800700b7, 0x80070420]).toContain(await backend.filterLoad('minipend'))
      await (await connect(backend)).close()
    },
    ONLY_MODEL,
  )
})

describe('each call that the driver makes fails once', () => {
  /** One life of the driver, in which the call of that number fails. Value: whether there was such a call. */
  async function life(backend: NativeBackend, skip: number): Promise<boolean> {
    expect(backend.setFault('*', skip, 1)).toBe(true)
    if ((await backend.filterLoad('minipend')) === 0) {
      const [attached] = await backend.filterAttach('minipend', 'D:', '', '')
      const [, port] = await backend.connect(portName, new Uint8Array(0))
      const reply = new Uint8Array(setRulesReplyBytes)
      await port?.sendMessage(encodeHello(envelope(1n), { control: 0, script: 0 }), new Uint8Array(helloReplyBytes))
      await port?.sendMessage(encodeRules(envelope(2n), [{ ...heldWrites, path: '*\\BELL.BIN' }]), reply)
      // Whatever the driver could not do, the write is done.
      await writePage(backend)
      if (attached === 0) {
        const [, , file] = await backend.createFile('D:\\bell.bin', 0x80000000, 7, 3, 0)
        const bytes = new Uint8Array(4096).fill(1)
        expect(await file?.read(2, bytes, 0n)).toEqual([0, 0, 4096])
        expect(bytes.every((byte) => byte === 0)).toBe(true)
        await file?.close()
      }
      expect(await backend.filterUnload('minipend')).toBe(0)
      await port?.close()
    }
    expectClean(backend)
    return (JSON.parse(backend.report()) as { readonly faults: readonly unknown[] }).faults.length > 0
  }

  for (const part of [0, 1, 2, 3]) {
    conformanceOf(
      'T16 SIM-15',
      `and is lived with, from loading to unloading (part ${part + 1} of 4)`,
      async () => {
        let skip = part
        for (let there = true; there; skip += 4) {
          const backend = await openModel()
          there = await life(backend, skip)
          await backend.close()
        }
        expect(skip, 'there are many').toBeGreaterThan(20)
      },
      ONLY_MODEL,
    )
  }
})

/** A loaded driver with a client whose rule holds writes of D: for as long as it may. */
async function holding(backend: NativeBackend, delayMs: number): Promise<void> {
  expect((await backend.filterAttach('minipend', 'D:', '', ''))[0]).toBe(0)
  const port = await connect(backend)
  await ask(port, encodeHello(envelope(1n), { control: 0, script: 0 }), helloReplyBytes)
  await ask(port, encodeRules(envelope(2n), [{ ...heldWrites, delayMs }]), setRulesReplyBytes)
}

describe('unloading', () => {
  conformanceOf(
    'UNL-04 UNL-05 PORT-06 V17 V18',
    'disconnects clients, tears instances down, gives back what is held, and ends',
    async () => {
      const backend = closing(await open())
      await holding(backend, 30_000)
      const [, , file] = await backend.createFile('D:\\a', 0xc0000000, 7, 2, 0x60000000) // overlapped, unbuffered
      const writing = file?.write(1, new Uint8Array(4096), 0n)
      expect(await file?.pending(1)).toBe(true)
      expect(await backend.filterUnload('minipend')).toBe(0)
      expect(await writing).toEqual([0, 0, 4096])
      expectClean(backend)
      await file?.close()
      expect((await backend.connect(portName, new Uint8Array(0)))[1]).toBeUndefined()
    },
    ONLY_MODEL,
  )

  conformanceOf(
    'POST-04 NAME-05 V4 V10 V11 V20',
    'leaves no work item, context, name or memory behind, whatever was done before',
    async () => {
      const backend = closing(await open())
      await holding(backend, 1)
      await writePage(backend)
      for (const call of [
        'FltAllocateDeferredIoWorkItem',
        'FltQueueDeferredIoWorkItem',
        'FltGetFileNameInformation',
        'WdfMemoryCreateFromLookaside',
      ]) {
        expect(backend.setFault(call, 0, 1)).toBe(true)
        await writePage(backend)
      }
      expect(await backend.filterUnload('minipend')).toBe(0)
      expectClean(backend)
    },
    ONLY_MODEL,
  )

  conformanceOf(
    'DRAIN-05 POST-26 CTX-09 T17',
    'leaves no completion context behind, those of drained operations included',
    async () => {
      const backend = closing(await open())
      await holding(backend, 1)
      const [, , file] = await backend.createFile('D:\\a', 0xc0000000, 7, 2, 0x60000000)
      expect(await file?.write(0, new Uint8Array(8 * 4096), 0n)).toEqual([0, 0, 8 * 4096])
      expect(backend.setStorageDelay(60_000_000)).toBe(true)
      const writes = Array.from({ length: 8 }, async (_, id) =>
        file?.write(id + 1, new Uint8Array(4096), BigInt(id) * 4096n),
      )
      while ((JSON.parse(backend.report()) as { waitingForStorage: number }).waitingForStorage < 8) {
        await backend.controlThreadId()
      }
      expect(await backend.filterUnload('minipend')).toBe(0)
      expectClean(backend)
      for (let id = 1; id <= 8; id++) {
        file?.cancel(id)
      }
      await Promise.all(writes)
      await file?.close()
    },
    ONLY_MODEL,
  )

  conformanceOf(
    'T28 T40 KMDF-06 UNL-05',
    'and loading again and again leaves nothing behind',
    async () => {
      const backend = closing(await openModel())
      for (let round = 0; round < 20; round++) {
        expect(await backend.filterLoad('minipend')).toBe(0)
        await holding(backend, round % 2 === 0 ? 1 : 30_000)
        const writing = writePage(backend)
        expect(await backend.filterUnload('minipend')).toBe(0)
        await writing
        expectClean(backend)
      }
    },
    ONLY_MODEL,
  )
})

describe('attaching and detaching', () => {
  conformance('LIFE-02 HR-01 HR-02', 'fail with the numbers of the Filter Manager', async ({ mp }) => {
    await mp.attach(VOLUMES.ntfs, { instanceName: 'one', altitude: '100' })
    const fails = async (call: Promise<unknown>, code: string, value: number): Promise<void> =>
      expect(call).rejects.toMatchObject({ code, hresult: { value, name: code } })
    await fails(mp.attach('\\Device\\None'), 'ERROR_FLT_VOLUME_NOT_FOUND', 0x801f0014)
    await fails(
      mp.attach(VOLUMES.ntfs, { instanceName: 'one', altitude: '101' }),
      'ERROR_FLT_INSTANCE_NAME_COLLISION',
      0x801f0012,
    )
    await fails(
      mp.attach(VOLUMES.ntfs, { instanceName: 'two', altitude: '100' }),
      'ERROR_FLT_INSTANCE_ALTITUDE_COLLISION',
      0x801f0011,
    )
  })

  for (const [ids, fault] of [
    ['LIFE-01 CTX-02', 'FltAllocateContext:STATUS_INSUFFICIENT_RESOURCES'],
    ['LIFE-01 CTX-02', 'FltAllocateContext:STATUS_FLT_DELETING_OBJECT'],
    ['LIFE-01 CTX-03', 'FltSetInstanceContext:STATUS_FLT_DELETING_OBJECT'],
    ['LIFE-01 CTX-03', 'FltSetInstanceContext:STATUS_NOT_SUPPORTED'],
  ] as const) {
    conformance(
      ids,
      `come to nothing when ${fault} fails inside the driver, and work the next time`,
      async (bench) => {
        const { mp } = bench
        mp.model.setFault(fault, { count: 1 })
        await expect(mp.attach(VOLUMES.ntfs)).rejects.toMatchObject({ name: 'FilterError', operation: 'attach' })
        const file = await bench.file('a')
        expect((await mp.counters()).byInstance).toEqual([])
        await bench.attach()
        await bench.rules({ on: ['write'], action: { kind: 'observe' } })
        await file.write('x')
        expect((await mp.counters()).byOperation.write.observed).toBe(1n)
      },
      ONLY_MODEL,
    )
  }

  conformance('LIFE-04 HR-02', 'say when there is no such instance', async ({ mp }) => {
    const instance = await mp.attach(VOLUMES.ntfs, { instanceName: 'one', altitude: '100' })
    const missing = { code: 'ERROR_FLT_INSTANCE_NOT_FOUND', hresult: { value: 0x801f0015 } }
    await expect(mp.detach({ volume: VOLUMES.ntfs, name: 'two' })).rejects.toMatchObject(missing)
    await instance.detach()
    await expect(mp.detach({ volume: VOLUMES.ntfs, name: 'one' })).rejects.toMatchObject(missing)
  })
})
