// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest'
import { openOver } from '../../../src/client/over.js'
import {
  COMMAND,
  DETAILS,
  HELLO_REQUEST,
  PROTOCOL_VERSION,
  SET_RULES_REQUEST,
} from '../../../src/generated/protocol.js'
import { decode, viewOf } from '../../../src/transport/codec.js'
import {
  AbortedError,
  type AttachOptions,
  ClosedError,
  DriverNotLoadedError,
  FilterError,
  InvalidOptionError,
  InvalidRuleError,
  type Minipend,
  ModelStoppedError,
  observe,
  pend,
  ProtocolError,
  VersionMismatchError,
} from '../../../src/index.js'
import { decodeRules, FakeFile, type FakeScript, type FakeTransport, fakeTransport } from './fake.js'

const options = { files: [], load: true, signal: undefined }

async function open(script: FakeScript = {}): Promise<{ mp: Minipend; transport: FakeTransport }> {
  const transport = fakeTransport(script)
  return { mp: await openOver(transport, options), transport }
}

describe('opening', () => {
  it('loads, connects and says hello with the threads that must not be held', async () => {
    const { mp, transport } = await open()
    expect(transport.calls).toEqual(['load minipend', 'connect'])
    const [hello] = transport.requests
    expect(hello === undefined ? undefined : decode(HELLO_REQUEST, viewOf(hello))).toEqual({
      sizeBytes: 32,
      version: PROTOCOL_VERSION,
      command: COMMAND.HELLO,
      token: 1n,
      controlThreadId: 11,
      scriptThreadId: 12,
      reserved: 0n,
    })
    expect(mp.hello).toEqual({
      driverVersion: '0.1.0',
      protocolVersion: PROTOCOL_VERSION,
      connectionId: 7n,
      processorCount: 2,
      limits: { maxHeld: 16384, maxDelayMs: 30000, maxRules: 16384, maxSets: 16 },
    })
  })

  it.each([0x80070420, 0x800700b7])('does not mind a driver that is loaded already (%i)', async (load) => {
    await expect(open({ load })).resolves.toBeDefined()
  })

  it.each<[string, FakeScript, new (...args: never) => Error, string, string]>([
    ['no driver', { connect: 0x80070002 }, DriverNotLoadedError, 'DRIVER_NOT_LOADED', 'fltmc load minipend'],
    ['no rights', { connect: 0x80070005 }, FilterError, 'ERROR_ACCESS_DENIED', 'administrator'],
    ['no privilege', { load: 0x80070522 }, FilterError, 'ERROR_PRIVILEGE_NOT_HELD', 'administrator'],
    ['too many clients', { connect: 0x800704d6 }, FilterError, 'ERROR_CONNECTION_COUNT_LIMIT', 'close another client'],
    ['an unsigned driver', { load: 0x80070241 }, FilterError, 'ERROR_INVALID_IMAGE_HASH', 'test signing'],
    ['another protocol', { version: PROTOCOL_VERSION + 1 }, VersionMismatchError, 'VERSION_MISMATCH', 'same release'],
    ['other operations', { operationCount: 3 }, VersionMismatchError, 'VERSION_MISMATCH', 'same release'],
    ['a short reply', { tamper: () => new Uint8Array(8) }, ProtocolError, 'PROTOCOL', 'same'],
  ])('fails with %s, and closes what it opened', async (_, script, type, code, hint) => {
    const transport = fakeTransport(script)
    const error: unknown = await openOver(transport, options).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(type)
    expect(error).toMatchObject({ code, hint: expect.stringContaining(hint) as string, operation: 'openMinipend' })
    expect(transport.calls.at(-1)).toBe('close')
  })

  it('says both versions', async () => {
    const newer = PROTOCOL_VERSION + 1
    await expect(open({ version: newer })).rejects.toMatchObject({ driver: newer, client: PROTOCOL_VERSION })
    await expect(open({ version: newer })).rejects.toThrow(
      `the driver speaks protocol version ${newer}, this library version ${PROTOCOL_VERSION}`,
    )
  })

  it('refuses a reply to another message', async () => {
    const tamper = (reply: Uint8Array): Uint8Array => {
      viewOf(reply).setBigUint64(8, 99n, true)
      return reply
    }
    await expect(open({ tamper })).rejects.toThrow('the reply to another message')
  })
})

describe('rules', () => {
  it('are sent with numbers and device names', async () => {
    const { mp, transport } = await open()
    const result = await mp.rules.set([
      { on: ['rename'], path: 'ä?.txt', volume: 'd:', action: pend({ delayMs: 200 }) },
      { on: ['write'], action: observe() },
    ])
    expect(result).toEqual({ generation: 5n })
    const rules = decodeRules(transport.requests.at(-1) ?? new Uint8Array())
    expect(rules).toMatchObject([
      { id: 1, path: 'ä?.txt', volume: '\\Device\\HarddiskVolume2', delayMs: 200, hold: 1, flags: 8 },
      { id: 2, path: '', volume: '', hold: 0, flags: 0 },
    ])
  })

  it('for a volume that is not there say so', async () => {
    const { mp } = await open()
    await expect(mp.rules.set([{ on: ['read'], volume: 'X:', action: observe() }])).rejects.toThrow(
      'rules[0].volume: there is no volume "X:"',
    )
  })

  it('that the driver refuses are named', async () => {
    const refuse = { command: COMMAND.SET_RULES, status: 0xc000000d | 0, detail: 'ruleDelay', index: 1 } as const
    const { mp } = await open({ refuse })
    const error: unknown = await mp.rules
      .set([
        { on: ['read'], action: observe() },
        { id: 'mine', on: ['read'], action: observe() },
      ])
      .catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(InvalidRuleError)
    expect(error).toMatchObject({
      field: 'rules[1]',
      message: 'rules[1] ("mine"): the driver refused it: a rule\'s delay is longer than the driver allows',
    })
  })

  it("that fail for another reason keep the driver's word and status", async () => {
    const refuse = { command: COMMAND.SET_RULES, status: 0xc000009a | 0, detail: 'memory' } as const
    const { mp } = await open({ refuse })
    await expect(mp.rules.clear()).rejects.toMatchObject({
      code: 'PROTOCOL',
      detail: 'memory',
      ntstatus: { name: 'STATUS_INSUFFICIENT_RESOURCES', value: 0xc000009a },
    })
  })

  it.each(DETAILS.map(({ name }) => name))('and say what to do: %s', async (detail) => {
    const { mp } = await open({ refuse: { command: COMMAND.SET_RULES, status: 0xc000000d | 0, detail } })
    const error: unknown = await mp.rules.set([{ on: ['read'], action: observe() }]).catch((e: unknown) => e)
    expect(error).toMatchObject({ hint: expect.stringMatching(/\w{3}/) as string })
  })

  it('may persist, and be cleared', async () => {
    const { mp, transport } = await open()
    const sent = (): unknown => decode(SET_RULES_REQUEST, viewOf(transport.requests.at(-1) ?? new Uint8Array()))
    await mp.rules.set([{ on: ['read'], action: observe() }], { persist: true })
    expect(sent()).toMatchObject({ setId: 0, flags: 1, count: 1 })
    await mp.rules.clear()
    expect(sent()).toMatchObject({ setId: 0, flags: 0, count: 0 })
    await mp.rules.clear({ persistent: true })
    expect(sent()).toMatchObject({ setId: 0, flags: 1, count: 0 })
    await expect(mp.rules.set([], { persist: 1 } as object)).rejects.toThrow(
      'rules.set: persist: expected true or false, got 1',
    )
    await expect(mp.rules.clear({ persist: true } as object)).rejects.toThrow('did you mean "persistent"?')
  })
})

describe('counters', () => {
  it('ask again when the reply is larger than expected', async () => {
    const { mp, transport } = await open({ instances: 20 })
    const counters = await mp.counters()
    expect(transport.requests).toHaveLength(3)
    expect(counters.byInstance).toHaveLength(19)
    expect(counters.balance).toEqual({ exact: true, problems: [] })
    expect(counters.ruleGeneration).toBe(3n)
  })

  it('that do not fit together are refused', async () => {
    const { mp } = await open({
      tamper: (reply, command) => (command === COMMAND.COUNTERS ? reply.subarray(0, reply.length - 8) : reply),
    })
    await expect(mp.counters()).rejects.toBeInstanceOf(ProtocolError)
  })
})

describe('instances', () => {
  it('are detached once, by whichever way comes first', async () => {
    const { mp, transport } = await open()
    const instance = await mp.attach('d:\\', { altitude: '370020.5', instanceName: 'mine' })
    expect(instance).toMatchObject({ volume: 'D:', name: 'mine', altitude: '370020.5', detached: false })
    await Promise.all([instance.detach(), mp.detach(instance), instance[Symbol.asyncDispose]()])
    expect(instance.detached).toBe(true)
    expect(transport.calls.filter((call) => call.startsWith('detach'))).toEqual(['detach D: mine'])
  })

  it('that are left go with the session, after the connection', async () => {
    const { mp, transport } = await open()
    await mp.attach('D:', { altitude: '1' })
    await mp.close()
    expect(transport.calls.slice(-3)).toEqual(['port.close', 'detach D: minipend Instance', 'close'])
  })

  it('may be detached by name', async () => {
    const { mp, transport } = await open({ detach: 0x801f0010 })
    await expect(mp.detach({ volume: 'D:', name: 'other' })).rejects.toMatchObject({
      code: 'ERROR_FLT_DO_NOT_DETACH',
      ntstatus: { name: 'STATUS_FLT_DO_NOT_DETACH', value: 0xc01c0010 },
      hint: expect.stringContaining('vetoed') as string,
    })
    expect(transport.calls.at(-1)).toBe('detach D: other')
  })

  it.each([
    [{ altitude: 'high' }, 'attach: altitude: expected decimal digits, such as "370020.5", got "high"'],
    [{ altitud: '1' }, 'attach: options.altitud: unknown key; did you mean "altitude"?'],
  ])('are not attached with bad options: %j', async (bad, message) => {
    const { mp } = await open()
    const error: unknown = await mp.attach('D:', bad as AttachOptions).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(InvalidOptionError)
    expect(String(error)).toContain(message)
  })
})

describe('use after close', () => {
  it.each<[string, (mp: Minipend) => unknown]>([
    ['attach', (mp) => mp.attach('D:')],
    ['detach', (mp) => mp.detach({ volume: 'D:', name: 'x' })],
    ['rules.set', (mp) => mp.rules.set([])],
    ['rules.clear', (mp) => mp.rules.clear()],
    ['counters', (mp) => mp.counters()],
    ['resetCounters', (mp) => mp.resetCounters()],
    ['gate', (mp) => mp.gate({ on: ['write'] })],
    ['held', (mp) => mp.held()],
    ['release', (mp) => mp.release(1n)],
    ['releaseAll', (mp) => mp.releaseAll()],
    ['events', (mp) => mp.events()],
    ['io.open', (mp) => mp.io.open('D:\\x')],
    ['io.mkdir', (mp) => mp.io.mkdir('D:\\x')],
    ['io.readFile', (mp) => mp.io.readFile('D:\\x')],
    ['model.report', (mp) => mp.model.report()],
    [
      'model.setFault',
      (mp) => {
        mp.model.setFault('x', { count: 1 })
      },
    ],
    [
      'model.setStorageDelay',
      (mp) => {
        mp.model.setStorageDelay({ delayMs: 1 })
      },
    ],
  ])('%s', async (_, use) => {
    const { mp } = await open()
    await mp.close()
    expect(mp.closed).toBe(true)
    const error: unknown = await Promise.resolve()
      .then(() => use(mp))
      .catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(ClosedError)
    expect(error).toMatchObject({ code: 'CLOSED', message: expect.stringContaining('the session is closed') as string })
  })

  it('what comes after the end is closed too', async () => {
    let proceed = (): void => undefined
    const wait = new Promise<void>((resolve) => {
      proceed = resolve
    })
    const file = new FakeFile()
    const { mp, transport } = await open({ wait, file })
    const late = [mp.attach('D:'), mp.io.open('D:\\a')]
    const closing = mp.close()
    proceed()
    for (const result of await Promise.allSettled(late)) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'CLOSED' } })
    }
    await closing
    expect(file.closed).toBe(1)
    expect(transport.calls).toContain('detach D: minipend Instance')
  })

  it('closing twice is fine, and closes once', async () => {
    const { mp, transport } = await open()
    await Promise.all([mp.close(), mp.close()])
    await mp[Symbol.asyncDispose]()
    expect(transport.calls.filter((call) => call === 'close')).toHaveLength(1)
  })
})

describe('a model that stopped', () => {
  it('is reported with its rule and seed', async () => {
    const report = JSON.stringify({
      stopped: true,
      rule: 'VER-04',
      call: 'FltX',
      text: 'freed twice',
      callSite: 'MpFree (heap.c:7)',
      operation: ['op 1 READ: freed'],
      history: ['a'],
      seed: '42',
      leaks: [],
    })
    const { mp } = await open({ report, attach: 0x8007045b })
    const error: unknown = await mp.attach('D:').catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(ModelStoppedError)
    expect(error).toMatchObject({ code: 'MODEL_STOPPED', report: { rule: 'VER-04', seed: '42', history: ['a'] } })
    expect(error).toMatchObject({
      report: { callSite: 'MpFree (heap.c:7)', operation: ['op 1 READ: freed'], backtrace: [] },
    })
    expect((error as Error).message).toContain('(in FltX by MpFree (heap.c:7), seed 42)')
  })
})

describe('the storage of the model', () => {
  it('gets its delay in microseconds', async () => {
    const { mp, transport } = await open()
    mp.model.setStorageDelay({ delayMs: 60_000 })
    mp.model.setStorageDelay({ delayMs: 0 })
    expect(transport.calls.slice(-2)).toEqual(['storageDelay 60000000', 'storageDelay 0'])
  })

  it.each<[unknown, string]>([
    [{ delayMs: -1 }, 'delayMs: expected an integer from 0 to 60000, got -1'],
    [{ delayMs: 0.5 }, 'delayMs: expected an integer from 0 to 60000, got 0.5'],
    [{ delayMs: 60_001 }, 'delayMs: expected an integer from 0 to 60000, got 60001'],
    [{}, 'delayMs: expected an integer from 0 to 60000, got undefined'],
    [{ delay: 1 }, 'options.delay: unknown key; did you mean "delayMs"? Known keys: delayMs'],
    [5, 'options: expected an object with delayMs, got 5'],
  ])('does not take %j', async (bad, message) => {
    const { mp, transport } = await open()
    expect(() => {
      mp.model.setStorageDelay(bad as { delayMs: number })
    }).toThrow(
      expect.objectContaining({
        name: 'InvalidOptionError',
        message: `model.setStorageDelay: ${message}`,
        operation: 'model.setStorageDelay',
      }) as Error,
    )
    expect(transport.calls.filter((call) => call.startsWith('storageDelay'))).toEqual([])
  })

  it('says so when there is none any more', async () => {
    const { mp } = await open({ modelGone: true })
    expect(() => {
      mp.model.setStorageDelay({ delayMs: 1 })
    }).toThrow(ClosedError)
  })

  it('says what it has', async () => {
    const { mp } = await open({ report: '{"waitingForStorage":3}' })
    expect(mp.model.report()).toMatchObject({ stopped: false, waitingForStorage: 3 })
    expect((await open()).mp.model.report().waitingForStorage).toBe(0)
  })
})

describe('signals', () => {
  it('that are aborted already start nothing', async () => {
    const { mp, transport } = await open()
    const before = transport.requests.length
    const signal = AbortSignal.abort('enough')
    for (const call of [
      mp.counters({ signal }),
      mp.resetCounters({ signal }),
      mp.gate({ on: ['write'], signal }),
      mp.held({ signal }),
      mp.release(1n, { signal }),
      mp.releaseAll({ signal }),
      mp.events({ signal }),
      mp.rules.set([], { signal }),
      mp.attach('D:', { signal }),
      mp.io.open('D:\\x', { signal }),
    ]) {
      const error: unknown = await call.catch((caught: unknown) => caught)
      expect(error).toBeInstanceOf(AbortedError)
      expect(error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', stillHeld: false, cause: 'enough' })
    }
    expect(transport.requests).toHaveLength(before)
  })

  it('end an attach: an instance that comes later is detached', async () => {
    const { mp, transport } = await open()
    const controller = new AbortController()
    const attaching = mp.attach('D:', { altitude: '1', signal: controller.signal })
    controller.abort()
    await expect(attaching).rejects.toBeInstanceOf(AbortedError)
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(transport.calls).toContain('detach D: minipend Instance')
  })
})
