// SPDX-License-Identifier: MIT
//
// rules.list() over a transport whose driver answers from a script.
import { describe, expect, it } from 'vitest'
import { openOver } from '../../../src/client/over.js'
import {
  ACTION,
  COMMAND,
  CONDITION,
  DETAILS,
  HOLD,
  LIST_RULES_REPLY,
  LIST_RULES_REQUEST,
  QUEUE,
  REPLY_HEADER,
  RULE,
  RULE_ENTRY,
  RULE_FLAG,
  SET_RULES_FLAG,
  SET_RULES_REPLY,
  STATUS_FILTER,
} from '../../../src/generated/protocol.js'
import {
  AbortedError,
  ClosedError,
  InvalidOptionError,
  type Minipend,
  observe,
  ProtocolError,
} from '../../../src/index.js'
import { decode, encode, viewOf } from '../../../src/transport/codec.js'
import { decodeListRules } from '../../../src/transport/rule-list-messages.js'
import { type FakeTransport, fakeTransport } from './fake.js'

const OWN = 7n
const STATUS_RETRY = 0xc000022d | 0
const detailNumber = DETAILS.findIndex(({ name }) => name === 'rulesChanged')

interface Given {
  readonly connectionId?: bigint
  readonly setId?: number
  readonly setGeneration?: bigint
  readonly setFlags?: number
  readonly selected?: bigint
  readonly rule?: Parameters<typeof encode<typeof RULE>>[1]
  readonly path?: string
  readonly volume?: string
}

function entryBytes({ rule = {}, path = '', volume = '', ...entry }: Given): Uint8Array {
  const whole = Math.ceil((RULE.size + 2 * (path.length + volume.length)) / 8) * 8
  const bytes = new Uint8Array(RULE_ENTRY.fields.rule.offset + whole)
  const view = viewOf(bytes)
  const heads = { connectionId: OWN, processId: 55, setGeneration: 5n }
  encode(RULE_ENTRY, { ...heads, ...entry, sizeBytes: bytes.length }, view)
  const texts = { pathBytes: 2 * path.length, volumeBytes: 2 * volume.length }
  encode(RULE, { id: 1, ...rule, ...texts, sizeBytes: whole }, view, RULE_ENTRY.fields.rule.offset)
  const text = `${path}${volume}`
  for (let index = 0; index < text.length; index++) {
    view.setUint16(RULE_ENTRY.size + 2 * index, text.charCodeAt(index), true)
  }
  return bytes
}

interface Page {
  readonly tableId?: bigint
  readonly ruleCount?: number
  readonly next?: number
  readonly entries: readonly Given[]
}

type Answer = Page | 'changed'

/** What the driver sends; `head`: the reply that the fake transport made, for its token. */
function replyBytes(head: Uint8Array, answer: Answer): Uint8Array {
  if (answer === 'changed') {
    const fault = head.slice(0, REPLY_HEADER.size)
    encode(REPLY_HEADER, { sizeBytes: fault.length, status: STATUS_RETRY, detail: detailNumber }, viewOf(fault))
    return fault
  }
  const entries = answer.entries.map(entryBytes)
  const size = entries.reduce<number>((sum, { length }) => sum + length, LIST_RULES_REPLY.size)
  const reply = new Uint8Array(size)
  reply.set(head.subarray(0, REPLY_HEADER.size))
  const { tableId = 1n, ruleCount = entries.length, next = entries.length } = answer
  const counts = { ruleCount, next, count: entries.length, setCount: 1, generation: 9n, time100ns: 3n }
  encode(LIST_RULES_REPLY, { ...counts, sizeBytes: size, tableId }, viewOf(reply))
  let at: number = LIST_RULES_REPLY.size
  for (const entry of entries) {
    reply.set(entry, at)
    at += entry.length
  }
  return reply
}

/** A session whose driver gives these answers one after the other, then the last one again and again. */
async function open(answers: readonly Answer[]): Promise<{ mp: Minipend; transport: FakeTransport }> {
  const left = [...answers]
  const transport = fakeTransport({
    tamper: (reply, command) => {
      const answer = left.length > 1 ? left.shift() : left[0]
      return command === COMMAND.LIST_RULES && answer !== undefined ? replyBytes(reply, answer) : reply
    },
  })
  left.unshift({ entries: [] }) // hello is an answer, too
  return { mp: await openOver(transport, { files: [], load: true, signal: undefined }), transport }
}

const requestsOf = (transport: FakeTransport): { tableId: bigint; first: number }[] =>
  transport.requests
    .map((request) => viewOf(request))
    .filter((view) => view.getUint16(6, true) === COMMAND.LIST_RULES)
    .map((view) => {
      const { tableId, first } = decode(LIST_RULES_REQUEST, view)
      return { tableId, first }
    })

describe('rules.list', () => {
  it('describes a rule as the driver has it', async () => {
    const rule = {
      ...{ id: 3, operations: 0b1100n, action: ACTION.PEND, queue: QUEUE.CRITICAL, hold: HOLD.DELAY, delayMs: 20 },
      ...{ flags: RULE_FLAG.FAST_IO_TO_IRP | RULE_FLAG.KERNEL_MODE | RULE_FLAG.NAME, processId: 12 },
      ...{ conditions: CONDITION.KERNEL_MODE | CONDITION.NON_CACHED, statusFilter: STATUS_FILTER.EXACT },
      ...{ matchStatus: 0xc0000011 | 0, failStatus: 0xc000007f | 0, everyNth: 2, atMost: 8, probabilityPpm: 250_000 },
      seed: 2n ** 64n - 1n,
    }
    const given = { rule, path: '*\\TAIL', volume: '\\DEVICE\\X', connectionId: 9n, selected: 4n }
    const { mp } = await open([{ entries: [{ ...given, setFlags: SET_RULES_FLAG.PERSIST }] }])
    const { rules, generation, seenNs } = await mp.rules.list()
    expect([generation, seenNs]).toEqual([9n, 300n])
    expect(rules).toEqual([
      {
        ...{ id: undefined, number: 3, own: false, owner: { connectionId: 9n, processId: 55 }, setId: 0 },
        ...{ generation: 5n, persistent: true, on: ['read', 'write'], action: 'pend', hold: 'delay', delayMs: 20 },
        ...{ queue: 'critical', fastIo: 'toIrp', path: '*\\TAIL', volume: '\\DEVICE\\X', drive: undefined },
        ...{ failWith: { name: 'STATUS_DISK_FULL', value: 0xc000007f }, processId: 12, requestorMode: 'kernel' },
        ...{ io: ['nonCached'], status: { name: 'STATUS_END_OF_FILE', value: 0xc0000011 }, everyNth: 2, atMost: 8 },
        ...{ probability: 0.25, seed: 2n ** 64n - 1n, maxHeld: undefined, names: true, audit: false },
        allow: { kernelMode: true, bootVolume: false, pagingFile: false },
        counts: { selected: 4n, refused: 0n, taken: 0n, heldNow: 0, sampled: 0n, applied: 0 },
      },
    ])
  })

  it("names this session's rules, of the version that is in force only", async () => {
    // The fake driver answers every set-rules command with generation 5.
    const entries = [
      { setGeneration: 5n },
      { setGeneration: 4n },
      { setGeneration: 5n, connectionId: 8n },
      { setGeneration: 5n, connectionId: 0n },
    ]
    const { mp } = await open([{ entries: [] }, { entries }])
    await mp.rules.set([{ id: 'mine', on: ['write'], action: observe() }])
    const { rules } = await mp.rules.list()
    expect(rules.map(({ id, own, owner }) => [id, own, owner?.connectionId])).toEqual([
      ['mine', true, OWN],
      [undefined, true, OWN],
      [undefined, false, 8n],
      [undefined, false, undefined],
    ])
    expect((await mp.rules.list({ own: true })).rules).toHaveLength(2)
  })

  it('reads a table page by page', async () => {
    const entries = [{}, {}]
    const { mp, transport } = await open([
      { entries, tableId: 4n, ruleCount: 5, next: 2 },
      { entries, tableId: 4n, ruleCount: 5, next: 4 },
      { entries: [{}], tableId: 4n, ruleCount: 5, next: 5 },
    ])
    expect((await mp.rules.list()).rules).toHaveLength(5)
    expect(requestsOf(transport)).toEqual([
      { tableId: 0n, first: 0 },
      { tableId: 4n, first: 2 },
      { tableId: 4n, first: 4 },
    ])
  })

  it('begins again when the table is replaced meanwhile', async () => {
    const { mp, transport } = await open([
      { entries: [{}], tableId: 4n, ruleCount: 2, next: 1 },
      'changed',
      { entries: [{}], tableId: 5n, ruleCount: 2, next: 1 },
      { entries: [{}], tableId: 6n, ruleCount: 2, next: 2 }, // a driver that does not say so
      { entries: [{}, {}, {}], tableId: 7n },
    ])
    expect((await mp.rules.list()).rules).toHaveLength(3)
    expect(requestsOf(transport).map(({ tableId }) => tableId)).toEqual([0n, 4n, 0n, 5n, 0n])
  })

  it('gives up when it never stays the same', async () => {
    const { mp } = await open(['changed'])
    await expect(mp.rules.list()).rejects.toMatchObject({ code: 'RULES_BUSY', operation: 'rules.list' })
  })

  it.each<[string, Page]>([
    ['an entry that is cut', { entries: [{}], ruleCount: 2, next: 2 }],
    ['no entry though there are rules', { entries: [], ruleCount: 2, next: 0 }],
    ['more rules than there are', { entries: [{}], ruleCount: 0 }],
    ['an entry of another length', { entries: [{ rule: { sizeBytes: 96 } }] }],
  ])('takes no answer with %s', async (what, page) => {
    const transport = fakeTransport({
      tamper: (reply, command) => {
        if (command !== COMMAND.LIST_RULES) {
          return reply
        }
        const bytes = replyBytes(reply, page)
        if (what === 'an entry that is cut') {
          const cut = bytes.slice(0, -8)
          encode(REPLY_HEADER, { sizeBytes: cut.length }, viewOf(cut))
          return cut
        }
        if (what === 'an entry of another length') {
          viewOf(bytes).setUint32(LIST_RULES_REPLY.size, 8, true)
        }
        return bytes
      },
    })
    const mp = await openOver(transport, { files: [], load: true, signal: undefined })
    await expect(mp.rules.list()).rejects.toBeInstanceOf(ProtocolError)
    await expect(mp.rules.list()).rejects.toMatchObject({ detail: 'malformedReply' })
  })

  it('checks its options, its signal and whether it is open', async () => {
    const { mp } = await open([{ entries: [] }])
    await expect(mp.rules.list({ own: 1 } as object)).rejects.toBeInstanceOf(InvalidOptionError)
    await expect(mp.rules.list({ mine: true } as object)).rejects.toThrow('rules.list')
    await expect(mp.rules.list({ signal: AbortSignal.abort() })).rejects.toBeInstanceOf(AbortedError)
    await mp.close()
    await expect(mp.rules.list()).rejects.toBeInstanceOf(ClosedError)
  })

  it('decodes nothing from too few bytes', () => {
    expect(decodeListRules(new Uint8Array(SET_RULES_REPLY.size))).toBeUndefined()
  })
})
