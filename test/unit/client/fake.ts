// SPDX-License-Identifier: MIT
//
// This module provides: a transport without a system behind it: it answers the protocol's messages from a script, and its files are
// promises that the test settles.

import {
  COMMAND,
  COUNTERS_REPLY,
  DETAILS,
  type DetailName,
  HELLO_REPLY,
  INSTANCE,
  INSTANCE_FLAG,
  MESSAGE_HEADER,
  OPERATIONS,
  PROTOCOL_VERSION,
  REFUSALS,
  REPLY_HEADER,
  RULE,
  SET_RULES_REPLY,
  SET_RULES_REQUEST,
} from '../../../src/generated/protocol.js'
import type { NativeCompletionPort, NativeFile, NtResult, NtServiceName } from '../../../src/transport/native.js'
import { type Decoded, decode, encode, viewOf } from '../../../src/transport/codec.js'
import type { FileResult, MessageWait, Transport } from '../../../src/transport/transport.js'
import type { FakeDriver } from './fake-driver.js'

export interface FakeScript {
  /** HRESULTs by call. */
  load?: number
  attach?: number
  detach?: number
  connect?: number
  /** HRESULT of FilterSendMessage. */
  send?: number
  /** The driver's protocol version. */
  version?: number
  operationCount?: number
  /** A refusal of the next command of that number. */
  refuse?: { command: number; status: number; detail: DetailName; index?: number }
  /** Instances in the counters reply, the retired one included. */
  instances?: number
  /** What the Filter Manager lists. */
  listed?: readonly [number, readonly Uint8Array[]]
  /** Changes a reply before it is sent. */
  tamper?: (reply: Uint8Array, command: number) => Uint8Array
  report?: string
  /** The model has ended by itself. */
  modelGone?: boolean
  /** Answers the commands about held operations and events, and rings. */
  driver?: FakeDriver
  /** False: a transport that cannot wait for the bell. */
  bell?: boolean
  file?: NativeFile
  open?: FileResult<NativeFile | undefined>
  ntOpen?: readonly [...NtResult, NativeFile | undefined]
  byName?: NtResult
  port?: FileResult<NativeCompletionPort | undefined>
  /** What opening and attaching wait for. */
  wait?: Promise<void>
}

const replyTo = (script: FakeScript, request: Uint8Array, room: number): Uint8Array => {
  const head = decode(MESSAGE_HEADER, viewOf(request))
  const version = script.version ?? PROTOCOL_VERSION
  const make = (size: number): Uint8Array => {
    const reply = new Uint8Array(size)
    encode(
      REPLY_HEADER,
      { sizeBytes: size, version, command: head.command, token: head.token, status: 0, detail: 0 },
      viewOf(reply),
    )
    return reply
  }
  const fault = (status: number, detail: DetailName, more: { index?: number; requiredBytes?: number }): Uint8Array => {
    const reply = make(REPLY_HEADER.size)
    const number = DETAILS.findIndex(({ name }) => name === detail)
    encode(REPLY_HEADER, { status, detail: number, ...more }, viewOf(reply))
    return reply
  }
  if (version !== head.version) {
    return fault(0xc0000059 | 0, 'version', {})
  }
  if (script.refuse?.command === head.command) {
    const { status, detail, index = 0 } = script.refuse
    return fault(status, detail, { index })
  }
  if (head.command === COMMAND.HELLO) {
    const reply = make(HELLO_REPLY.size)
    encode(
      HELLO_REPLY,
      {
        connectionId: 7n,
        operationCount: script.operationCount ?? OPERATIONS.length,
        refusalCount: REFUSALS.length,
        processorCount: 2,
        maxHeld: 16384,
        maxDelayMs: 30000,
        maxRules: 16384,
        maxSets: 16,
      },
      viewOf(reply),
    )
    viewOf(reply).setUint32(HELLO_REPLY.fields.driverVersion.offset + 4, 1, true)
    return reply
  }
  if (head.command === COMMAND.COUNTERS) {
    const count = script.instances ?? 1
    const size = COUNTERS_REPLY.size + count * INSTANCE.size
    if (size > room) {
      return fault(0xc0000023 | 0, 'replyBuffer', { requiredBytes: size })
    }
    const reply = make(size)
    encode(COUNTERS_REPLY, { instanceCount: count, instanceBytes: INSTANCE.size, ruleGeneration: 3n }, viewOf(reply))
    encode(INSTANCE, { flags: INSTANCE_FLAG.RETIRED }, viewOf(reply), COUNTERS_REPLY.size)
    return reply
  }
  script.driver?.onCommand(head.command)
  const answer = script.driver?.answer(head.command, request, make, fault, room)
  if (answer !== undefined) {
    return answer
  }
  const reply = make(SET_RULES_REPLY.size)
  encode(SET_RULES_REPLY, { generation: 5n }, viewOf(reply))
  return reply
}

export interface FakeTransport extends Transport {
  readonly calls: string[]
  readonly requests: Uint8Array[]
}

export function fakeTransport(script: FakeScript = {}): FakeTransport {
  const calls: string[] = []
  const requests: Uint8Array[] = []
  const note = <T>(call: string, value: T): Promise<T> => {
    calls.push(call)
    return Promise.resolve(value)
  }
  return {
    name: 'addon',
    backend: 'embedded',
    seed: 1n,
    calls,
    requests,
    files: {
      createFile: async (path) => {
        await script.wait
        return note(`createFile ${path}`, script.open ?? [0, 0, script.file])
      },
      createDirectory: (path) => note(`createDirectory ${path}`, [0, 0, undefined]),
      ntCreateFile: () => note('ntCreateFile', script.ntOpen ?? [0, 1, 0, script.file]),
      ntQueryByName: (service) => note(service, script.byName ?? [0, 0, 0]),
      createCompletionPort: () => note('createCompletionPort', script.port ?? [127, 0xc000007a, undefined]),
    },
    clientThreads: () => Promise.resolve({ control: 11, script: 12 }),
    filterLoad: (name) => note(`load ${name}`, script.load ?? 0),
    filterAttach: async (_, volume, name) => {
      await script.wait
      return note(`attach ${volume}`, [script.attach ?? 0, name === '' ? 'minipend Instance' : name])
    },
    filterDetach: (_, volume, name) => note(`detach ${volume} ${name}`, script.detach ?? 0),
    filterInstances: (name, informationClass) =>
      note(`instances ${name} ${informationClass}`, script.listed ?? [0, []]),
    queryDosDevice: (name) => note(`device ${name}`, name === 'D:' ? [0, 0, '\\Device\\HarddiskVolume2'] : [2, 0, '']),
    connect: () =>
      note('connect', [
        script.connect ?? 0,
        (script.connect ?? 0) !== 0
          ? undefined
          : {
              sendMessage: (input: Uint8Array, output: Uint8Array) => {
                requests.push(input)
                const command = decode(MESSAGE_HEADER, viewOf(input)).command
                const reply = replyTo(script, input, output.length)
                const sent = script.tamper?.(reply, command) ?? reply
                output.set(sent)
                return Promise.resolve([script.send ?? 0, sent.length] as const)
              },
              ...(script.driver === undefined || script.bell === false
                ? {}
                : { getMessage: (output: Uint8Array): MessageWait => script.driver?.listen(output) ?? never() }),
              close: () => {
                script.driver?.disconnect()
                return note('port.close', undefined)
              },
            },
      ]),
    report: () => script.report ?? '',
    setFault: (name) => name === 'FltAllocateDeferredIoWorkItem',
    setStorageDelay: (delayMicroseconds) => {
      calls.push(`storageDelay ${delayMicroseconds}`)
      return script.modelGone !== true
    },
    close: () => note('close', undefined),
  }
}

const never = (): never => {
  throw new Error('the script has no driver any more')
}

/** One call of nt(). */
export interface FakeService {
  readonly id: number
  readonly service: NtServiceName
  readonly numbers: readonly bigint[]
  readonly input: Uint8Array
  readonly related: NativeFile | undefined
  readonly relatedOffset: number | undefined
}

export interface NtAnswerScript {
  readonly status?: number
  readonly information?: number
  readonly error?: number
  /** Put into the output. */
  readonly bytes?: Uint8Array
  /** What the call waits for. */
  readonly after?: Promise<unknown>
}

/** A file whose calls wait until the test settles them. */
export class FakeFile implements NativeFile {
  readonly cancelled: number[] = []
  readonly buffers: Uint8Array[] = []
  readonly informations: { readonly informationClass: number; readonly bytes: Uint8Array }[] = []
  settle: (result: readonly [number, number, number]) => void = () => undefined
  closed = 0

  #waiting(buffer: Uint8Array): Promise<FileResult<number>> {
    this.buffers.push(buffer)
    return new Promise((resolve) => {
      this.settle = resolve
    })
  }
  read(_id: number, buffer: Uint8Array): Promise<FileResult<number>> {
    return this.#waiting(buffer)
  }
  write(_id: number, buffer: Uint8Array): Promise<FileResult<number>> {
    return this.#waiting(buffer)
  }
  getInformation(_id: number, informationClass: number, bytes: Uint8Array): Promise<FileResult<void>> {
    this.informations.push({ informationClass, bytes })
    return Promise.resolve([18, 0, undefined])
  }
  setInformation(_id: number, informationClass: number, bytes: Uint8Array): Promise<FileResult<void>> {
    this.informations.push({ informationClass, bytes })
    return Promise.resolve([0, 0, undefined])
  }
  flush(): Promise<FileResult<void>> {
    return Promise.resolve([0, 0, undefined])
  }
  readonly services: FakeService[] = []
  /** How the next services end; success when there is nothing here. */
  readonly answers: NtAnswerScript[] = []
  isPending = false
  async nt(
    id: number,
    service: NtServiceName,
    numbers: BigUint64Array,
    input: Uint8Array,
    output: Uint8Array,
    related?: NativeFile,
    relatedOffset?: number,
  ): Promise<NtResult> {
    this.services.push({ id, service, numbers: [...numbers], input, related, relatedOffset })
    const { status = 0, information = 0, error = 0, bytes, after } = this.answers.shift() ?? {}
    await after
    if (bytes !== undefined) {
      output.set(bytes.subarray(0, output.length))
    }
    return [status, information, error]
  }
  pending(): Promise<boolean> {
    return Promise.resolve(this.isPending)
  }
  setCompletionModes(): Promise<FileResult<void>> {
    return Promise.resolve([0, 0, undefined])
  }
  map(): Promise<FileResult<undefined>> {
    return Promise.resolve([50, 0, undefined])
  }
  cancel(id: number): boolean {
    this.cancelled.push(id)
    return true
  }
  close(): Promise<FileResult<void>> {
    this.closed++
    return Promise.resolve([0, 0, undefined])
  }
}

/** The rules of a set-rules request. */
export function decodeRules(request: Uint8Array): (Decoded<typeof RULE> & { path: string; volume: string })[] {
  const view = viewOf(request)
  const rules = []
  for (let offset: number = SET_RULES_REQUEST.size; offset < request.length;) {
    const rule = decode(RULE, view, offset)
    const text = (at: number, bytes: number): string =>
      Buffer.from(request.buffer, request.byteOffset + at, bytes).toString('utf16le')
    const pathAt = offset + RULE.size
    rules.push({ ...rule, path: text(pathAt, rule.pathBytes), volume: text(pathAt + rule.pathBytes, rule.volumeBytes) })
    offset += rule.sizeBytes
  }
  return rules
}
