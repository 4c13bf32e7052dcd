// SPDX-License-Identifier: MIT
//
// The communication port, below the client: connections, malformed messages, messages of the driver. What the client never sends is sent here.

import { describe, expect, onTestFinished } from 'vitest'
import { BELL, COMMAND, MESSAGE_HEADER, PROTOCOL_VERSION } from '../../src/generated/protocol.js'
import { encode, viewOf } from '../../src/transport/codec.js'
import {
  decodeReplyHeader,
  encodeHello,
  encodeRules,
  envelope,
  helloReplyBytes,
  setRulesReplyBytes,
} from '../../src/transport/messages.js'
import type { NativeBackend, NativePort } from '../../src/transport/native.js'
import { arm, ask, connect, heldWrites, open, openModel, portName, writePage } from '../unit/raw-driver.js'
import { conformance, conformanceOf, isReadingHere } from './case.js'

const HRESULT = {
  aborted: 0x800703e3,
  badLength: 0x80070018,
  fileNotFound: 0x80070002,
  insufficientBuffer: 0x8007007a,
  invalidHandle: 0x80070006,
  invalidParameter: 0x80070057,
} as const

/** Of a connection more than there may be; by the reading that the model goes by. */
const oneTooMany = isReadingHere('connection-limit=refused')
  ? 0x800704c9
  : isReadingHere('connection-limit=access-denied')
    ? 0x80070005
    : 0x800704d6

const ONLY_MODEL = { lanes: ['embedded'] } as const

/** At the end the model has found no broken rule, and nothing waits. */
async function driver(loaded = true): Promise<NativeBackend> {
  const backend = await (loaded ? open() : openModel())
  onTestFinished(async () => {
    expect(JSON.parse(backend.report())).toMatchObject({ stopped: false })
    await backend.close()
  })
  return backend
}

const hello = (): Uint8Array => encodeHello(envelope(1n), { control: 0, script: 0 })

describe('connections', () => {
  conformanceOf(
    'USR-02 HR-03',
    'to a port that is not there are refused, without a handle',
    async () => {
      const backend = await driver(false)
      expect(await backend.connect(portName, new Uint8Array(0))).toEqual([HRESULT.fileNotFound, undefined])
      expect(await backend.filterLoad('minipend')).toBe(0)
      expect(await backend.connect('\\AnotherPort', new Uint8Array(0))).toEqual([HRESULT.fileNotFound, undefined])
      await (await connect(backend)).close()
    },
    ONLY_MODEL,
  )

  for (const bytes of [1, 8, 64]) {
    conformanceOf(
      'PORT-03 HR-03',
      `with a context of ${bytes} bytes are refused by the driver, without a handle`,
      async () => {
        const backend = await driver()
        expect(await backend.connect(portName, new Uint8Array(bytes))).toEqual([HRESULT.invalidParameter, undefined])
        const port = await connect(backend)
        await ask(port, hello(), helloReplyBytes)
        await port.close()
      },
      ONLY_MODEL,
    )
  }

  conformance('PORT-05', 'are 16 and no more; another one after one has gone', async ({ mp }) => {
    const others = []
    for (let count = 1; count < 16; count++) {
      others.push(await mp.connect())
    }
    await expect(mp.connect()).rejects.toMatchObject({ hresult: { value: oneTooMany } })
    await others[7]?.close()
    const again = await mp.connect()
    await expect(mp.connect()).rejects.toMatchObject({ hresult: { value: oneTooMany } })
    await again.close()
    await Promise.all(others.map((other) => other.close()))
    expect((await mp.counters()).connections).toBe(1)
  })
})

describe('messages to the driver', () => {
  /** A message whose head says something else than it is. */
  const head = (fields: Partial<Record<'sizeBytes' | 'version' | 'command', number>>): Uint8Array => {
    const bytes = new Uint8Array(MESSAGE_HEADER.size)
    const values = {
      version: PROTOCOL_VERSION,
      token: 9n,
      sizeBytes: bytes.length,
      command: COMMAND.COUNTERS,
      ...fields,
    }
    encode(MESSAGE_HEADER, values, viewOf(bytes))
    return bytes
  }

  const port = async (): Promise<NativePort> => connect(await driver())

  /** The driver is as it was: it says hello. */
  async function expectUnharmed(connection: NativePort): Promise<void> {
    await ask(connection, hello(), helloReplyBytes)
    await connection.close()
  }

  conformanceOf(
    'USR-05 MSGN-03',
    'are answered before the call returns, with as many bytes as the driver says',
    async () => {
      const connection = await port()
      const output = new Uint8Array(4096).fill(0xee)
      expect(await connection.sendMessage(hello(), output)).toEqual([0, helloReplyBytes])
      expect(decodeReplyHeader(output.subarray(0, helloReplyBytes))).toMatchObject({ status: 0, token: 1n })
      expect(
        output.subarray(helloReplyBytes).every((byte) => byte === 0xee),
        'no byte behind it',
      ).toBe(true)
      await connection.close()
    },
    ONLY_MODEL,
  )

  conformanceOf(
    'MSGN-04 MSGN-03 T20',
    'that are empty are refused, with no bytes',
    async () => {
      const connection = await port()
      expect(await connection.sendMessage(new Uint8Array(0), new Uint8Array(4096))).toEqual([HRESULT.badLength, 0])
      await expectUnharmed(connection)
    },
    ONLY_MODEL,
  )

  for (const bytes of [1, 7, MESSAGE_HEADER.size - 1]) {
    conformanceOf(
      'MSGN-03 T20',
      `of ${bytes} bytes, less than a head, are refused, with no bytes`,
      async () => {
        const connection = await port()
        const [hresult, returned] = await connection.sendMessage(new Uint8Array(bytes), new Uint8Array(4096))
        expect([hresult, returned]).toEqual([HRESULT.badLength, 0])
        await expectUnharmed(connection)
      },
      ONLY_MODEL,
    )
  }

  for (const bytes of [0, 1, 15]) {
    conformanceOf(
      'MSGN-03 T20 HR-03',
      `with room for ${bytes} bytes of a reply are refused, with no bytes`,
      async () => {
        const connection = await port()
        const output = new Uint8Array(bytes).fill(0xee)
        expect(await connection.sendMessage(hello(), output)).toEqual([HRESULT.insufficientBuffer, 0])
        expect(output.every((byte) => byte === 0xee)).toBe(true)
        await expectUnharmed(connection)
      },
      ONLY_MODEL,
    )
  }

  const WRONG = [
    ['a size that is not theirs', { sizeBytes: 4 }],
    ['a huge size', { sizeBytes: 0xffffffff }],
    ['another version', { version: PROTOCOL_VERSION + 1 }],
    ['an unknown command', { command: 0x7fff }],
  ] as const
  for (const [what, fields] of WRONG) {
    conformanceOf(
      'T20',
      `with ${what} are answered with a failing status`,
      async () => {
        const connection = await port()
        const output = new Uint8Array(4096)
        const [hresult, bytes] = await connection.sendMessage(head(fields), output)
        expect(hresult).toBe(0)
        expect(decodeReplyHeader(output.subarray(0, bytes))?.status).toBeLessThan(0)
        await expectUnharmed(connection)
      },
      ONLY_MODEL,
    )
  }
})

describe('messages of the driver', () => {
  async function ringing(): Promise<{ readonly backend: NativeBackend; readonly port: NativePort }> {
    const backend = await driver()
    expect((await backend.filterAttach('minipend', 'D:', '', ''))[0]).toBe(0)
    const port = await connect(backend)
    await ask(port, hello(), helloReplyBytes)
    await ask(port, encodeRules(envelope(2n), [heldWrites]), setRulesReplyBytes)
    return { backend, port }
  }

  conformanceOf(
    'MSG-04 USR-03',
    'that want no reply are sent once they are taken: the next one can come',
    async () => {
      const { backend, port } = await ringing()
      for (let count = 1; count <= 3; count++) {
        await arm(port)
        const wait = port.getMessage(count, new Uint8Array(BELL.size))
        await writePage(backend)
        expect(await wait).toEqual([0, BELL.size])
      }
      await port.close()
    },
    ONLY_MODEL,
  )

  for (const [ids, status] of [
    ['MSG-03', 'STATUS_TIMEOUT'],
    ['MSG-01', 'STATUS_INSUFFICIENT_RESOURCES'],
    ['MSG-01', 'STATUS_THREAD_IS_TERMINATING'],
  ] as const) {
    conformanceOf(
      ids,
      `are not taken for sent when sending them ends in ${status}: they come again`,
      async () => {
        const { backend, port } = await ringing()
        expect(backend.setFault(`FltSendMessage:${status}`, 0, 2)).toBe(true)
        await arm(port)
        const wait = port.getMessage(1, new Uint8Array(BELL.size))
        await writePage(backend)
        expect(await wait).toEqual([0, BELL.size])
        await port.close()
      },
      ONLY_MODEL,
    )
  }

  conformanceOf(
    'USR-03 HR-03',
    'that do not fit are an error of the one who asked',
    async () => {
      const { backend, port } = await ringing()
      await arm(port)
      const wait = port.getMessage(1, new Uint8Array(BELL.size - 1))
      await writePage(backend)
      expect(await wait).toEqual([HRESULT.insufficientBuffer, 0])
      await port.close()
    },
    ONLY_MODEL,
  )

  conformanceOf(
    'USR-06 MSG-06',
    'are waited for no longer when the handle is closed',
    async () => {
      const { port } = await ringing()
      const wait = port.getMessage(1, new Uint8Array(BELL.size))
      await port.close()
      expect(await wait).toEqual([HRESULT.aborted, 0])
    },
    ONLY_MODEL,
  )

  conformanceOf(
    'MSG-06 PORT-04',
    'are waited for no longer when the filter goes',
    async () => {
      const { backend, port } = await ringing()
      const wait = port.getMessage(1, new Uint8Array(BELL.size))
      expect(await backend.filterUnload('minipend')).toBe(0)
      expect(await wait).toEqual([HRESULT.invalidHandle, 0])
      expect((await port.sendMessage(hello(), new Uint8Array(4096)))[0]).toBe(HRESULT.invalidHandle)
      await port.close()
    },
    ONLY_MODEL,
  )
})

describe('at any moment', () => {
  const ENDS: readonly number[] = [0, HRESULT.invalidHandle, HRESULT.aborted]

  conformanceOf(
    'T34 PORT-04',
    'messages and the closing of their handle end each other, and the driver goes on',
    async () => {
      const backend = await driver()
      for (let round = 0; round < 30; round++) {
        const port = await connect(backend)
        const calls = [
          () => port.sendMessage(hello(), new Uint8Array(4096)),
          () => port.getMessage(1, new Uint8Array(64)),
        ]
        const sent = calls.map((call) => call())
        const again = port.sendMessage(hello(), new Uint8Array(4096))
        await (round % 2 === 0 ? port.close() : Promise.all([port.close(), port.close()]))
        for (const [hresult] of await Promise.all([...sent, again])) {
          expect(ENDS).toContain(hresult)
        }
      }
      await (await connect(backend)).close()
    },
    ONLY_MODEL,
  )

  conformanceOf(
    'T33 UNL-04',
    'the filter may go while messages come: each is answered, or its port is gone',
    async () => {
      for (let round = 0; round < 10; round++) {
        const backend = await driver()
        const ports = await Promise.all(Array.from({ length: 4 }, () => connect(backend)))
        const sends = ports.map((port) => port.sendMessage(hello(), new Uint8Array(4096)))
        const waits = ports.map((port) => port.getMessage(1, new Uint8Array(64)))
        const unloading = backend.filterUnload('minipend')
        const late = ports.map((port) => port.sendMessage(hello(), new Uint8Array(4096)))
        expect(await unloading).toBe(0)
        for (const [hresult] of await Promise.all([...sends, ...late])) {
          expect(ENDS).toContain(hresult)
        }
        for (const [hresult] of await Promise.all(waits)) {
          expect(hresult).toBe(HRESULT.invalidHandle)
        }
        expect(JSON.parse(backend.report())).toMatchObject({ stopped: false, leaks: [] })
        await Promise.all(ports.map((port) => port.close()))
      }
    },
    ONLY_MODEL,
  )
})
