// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest'
import { checkGate, checkRules } from '../../../src/client/rules.js'
import { OPERATION_NAMES } from '../../../src/client/operations.js'
import { InvalidRuleError, observe, pend, type Rule, synchronize, whenSafe } from '../../../src/index.js'

const limits = { maxDelayMs: 30000, maxRules: 4 }
const KEYS =
  'id, on, path, volume, processId, requestorMode, io, status, everyNth, atMost, probability, seed, allow, audit, names, action'
const good: Rule = { on: ['rename'], action: pend() }

function problem(rules: unknown): { field: string; message: string } {
  try {
    checkRules(rules, limits)
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidRuleError)
    const { field, message } = error as InvalidRuleError
    return { field, message }
  }
  throw new Error('the rules were accepted')
}

describe('a malformed rule', () => {
  it.each<[string, unknown, string]>([
    ['not an array', {}, 'rules: expected an array of rules, got an object'],
    ['too many', [good, good, good, good, good], 'rules: expected at most 4 rules, got 5'],
    ['not an object', [7], `rules[0]: expected an object with ${KEYS}, got 7`],
    [
      'an unknown key',
      [{ ...good, paht: '*' }],
      `rules[0].paht: unknown key; did you mean "path"? Known keys: ${KEYS}`,
    ],
    [
      'no operation',
      [{ ...good, on: [] }],
      'rules[0].on: expected an array of operation names, such as ["rename"], got an array of 0',
    ],
    ['an operation that is no text', [{ ...good, on: [3] }], 'rules[0].on[0]: expected an operation name, got 3'],
    [
      'a negative delay',
      [good, { ...good, id: 'b' }, { ...good, id: 'c', action: pend({ delayMs: -1 }) }],
      'rules[2].action.delayMs: expected an integer from 0 to 30000 (milliseconds), got -1',
    ],
    [
      'a delay that is too long',
      [{ ...good, action: pend({ delayMs: 30001 }) }],
      'rules[0].action.delayMs: expected an integer from 0 to 30000 (milliseconds), got 30001',
    ],
    [
      'a fractional delay',
      [{ ...good, action: pend({ delayMs: 1.5 }) }],
      'rules[0].action.delayMs: expected an integer from 0 to 30000 (milliseconds), got 1.5',
    ],
    [
      'no action',
      [{ on: ['read'] }],
      'rules[0].action: expected observe(), pend({ ... }), whenSafe() or synchronize({ ... }), got undefined',
    ],
    [
      'an unknown action',
      [{ ...good, action: { kind: 'delay' } }],
      'rules[0].action.kind: expected one of "observe", "pend", "whenSafe", "synchronize", got "delay"',
    ],
    [
      'an observe with a delay',
      [{ ...good, action: { kind: 'observe', delayMs: 5 } }],
      'rules[0].action.delayMs: unknown key; did you mean "kind"? Known keys: kind',
    ],
    [
      'an unknown queue',
      [{ ...good, action: { kind: 'pend', queue: 'hyper' } }],
      'rules[0].action.queue: expected one of "critical", "delayed", got "hyper"',
    ],
    [
      'slashes',
      [{ ...good, path: '/inbox/*' }],
      'rules[0].path: expected backslashes, got "/inbox/*"; no name in a Windows path has a "/"',
    ],
    [
      'a drive in the path',
      [{ ...good, path: 'D:\\inbox\\*' }],
      'rules[0].path: expected a path from the volume\'s root, such as "\\inbox\\*", got "D:\\\\inbox\\\\*"; name the volume with volume: "D:"',
    ],
    ['an empty path', [{ ...good, path: '' }], 'rules[0].path: expected a text of 1 to 512 characters, got ""'],
    [
      'a long path',
      [{ ...good, path: 'x'.repeat(513) }],
      'rules[0].path: expected a text of 1 to 512 characters, got "513 characters"',
    ],
    [
      'a bad volume',
      [{ ...good, volume: 'data' }],
      'rules[0].volume: expected a volume such as "D:" or "\\Device\\HarddiskVolume2", got "data"',
    ],
    [
      'a bad allowance',
      [{ ...good, allow: { kernelMode: 1 } }],
      'rules[0].allow.kernelMode: expected true or false, got 1',
    ],
    [
      'a process that is no number',
      [{ ...good, processId: 'x' }],
      'rules[0].processId: expected an integer from 1 to 4294967295, got "x"',
    ],
    [
      'an unknown mode',
      [{ ...good, requestorMode: 'root' }],
      'rules[0].requestorMode: expected one of "user", "kernel", got "root"',
    ],
    [
      'no kind of I/O',
      [{ ...good, io: [] }],
      'rules[0].io: expected an array of kinds of data I/O, such as ["nonCached"], got an array of 0',
    ],
    [
      'an unknown kind of I/O',
      [{ ...good, io: ['cached', 'fast'] }],
      'rules[0].io[1]: expected one of "paging", "cached", "nonCached", got "fast"',
    ],
    [
      'a status that is not known',
      [{ ...good, status: 'STATUS_DISK_FUL' }],
      'rules[0].status: unknown NTSTATUS "STATUS_DISK_FUL"; did you mean "STATUS_DISK_FULL"? A number such as 0xc000007f is taken too',
    ],
    [
      'a status that is none',
      [{ ...good, status: true }],
      'rules[0].status: expected "success", "failure" or an NTSTATUS, such as "STATUS_END_OF_FILE" or 0xc0000011, got true',
    ],
    [
      'an everyNth of 0',
      [{ ...good, everyNth: 0 }],
      'rules[0].everyNth: expected an integer from 1 to 4294967295, got 0',
    ],
    ['an atMost of 0', [{ ...good, atMost: 0 }], 'rules[0].atMost: expected an integer from 1 to 4294967295, got 0'],
    [
      'a probability of 0',
      [{ ...good, probability: 0 }],
      'rules[0].probability: expected a number from 0.000001 to 1, got 0',
    ],
    [
      'a probability above 1',
      [{ ...good, probability: 1.5 }],
      'rules[0].probability: expected a number from 0.000001 to 1, got 1.5',
    ],
    [
      'a probability that rounds to nothing',
      [{ ...good, probability: 1e-7 }],
      'rules[0].probability: expected a number from 0.000001 to 1, got 1e-7',
    ],
    ['a seed for nothing', [{ ...good, seed: 1 }], 'rules[0].seed: goes with probability, which is missing'],
    [
      'a negative seed',
      [{ ...good, probability: 0.5, seed: -1 }],
      'rules[0].seed: expected an integer from 0 to 18446744073709551615, got -1',
    ],
    ['names that is no boolean', [{ ...good, names: 'yes' }], 'rules[0].names: expected true or false, got "yes"'],
    [
      'an audit of nothing',
      [{ ...good, action: whenSafe(), audit: true }],
      'rules[0].audit: goes with pend() only: no other action calls FltQueueDeferredIoWorkItem',
    ],
    [
      'a failure that is none',
      [{ ...good, action: pend({ failWith: 'STATUS_SUCCESS' }) }],
      'rules[0].action.failWith: expected a failure, such as "STATUS_DISK_FULL" or 0xc000007f, got "STATUS_SUCCESS"',
    ],
    [
      'a warning as a failure',
      [{ ...good, action: whenSafe({ failWith: 0x80000005 }) }],
      'rules[0].action.failWith: expected a failure, such as "STATUS_DISK_FULL" or 0xc000007f, got "0x80000005"',
    ],
    [
      'a failure of the Filter Manager',
      [{ ...good, action: pend({ failWith: 'STATUS_FLT_DISALLOW_FAST_IO' }) }],
      'rules[0].action.failWith: "STATUS_FLT_DISALLOW_FAST_IO" has a meaning to the Filter Manager; no operation may end with it',
    ],
    [
      'a close that fails',
      [{ on: ['write', 'close'], action: pend({ failWith: 'STATUS_DISK_FULL' }) }],
      'rules[0].action.failWith: cleanup and close cannot be failed: name them in a rule of their own',
    ],
    [
      'a delay of whenSafe',
      [{ ...good, action: { kind: 'whenSafe', delayMs: 5 } }],
      'rules[0].action.delayMs: unknown key; did you mean "kind"? Known keys: kind, failWith',
    ],
    [
      'a queue of synchronize',
      [{ ...good, action: { kind: 'synchronize', queue: 'critical' } }],
      'rules[0].action.queue: unknown key; did you mean "kind"? Known keys: kind, delayMs, failWith',
    ],
    [
      'a delay of synchronize that is too long',
      [{ ...good, action: synchronize({ delayMs: 30001 }) }],
      'rules[0].action.delayMs: expected an integer from 0 to 30000 (milliseconds), got 30001',
    ],
    [
      'a name twice',
      [
        { ...good, id: 'a' },
        { ...good, id: 'a' },
      ],
      'rules[1].id: expected a name of its own, got "a", which rules[0] has already',
    ],
  ])('%s', (_, rules, message) => {
    const found = problem(rules)
    expect(found.message).toBe(message)
    expect(message.startsWith(found.field)).toBe(true)
  })

  it('names the nearest operation, and all of them', () => {
    const { field, message } = problem([{ ...good, on: ['read', 'renmae'] }])
    expect(field).toBe('rules[0].on[1]')
    expect(message).toMatch(
      /^rules\[0\]\.on\[1\]: unknown operation "renmae"; did you mean "rename"\? Known operations: any, /,
    )
    for (const name of OPERATION_NAMES) {
      expect(message).toContain(name)
    }
  })

  it('is not fooled by names of Object.prototype', () => {
    expect(problem([{ ...good, on: ['constructor'] }]).message).toContain('unknown operation "constructor"')
  })
})

const UNCONDITIONAL = {
  ...{ processId: 0, conditions: 0, minorFunctions: 0, statusFilter: 0, matchStatus: 0, failStatus: 0 },
  ...{ everyNth: 0, atMost: 0, probabilityPpm: 0, seed: 0n, maxHeld: 0 },
}

describe('a good rule', () => {
  it('becomes what the driver takes', () => {
    const [rule] = checkRules(
      [
        {
          id: 'slow',
          on: ['create', 'close'],
          path: '\\inbox\\*',
          volume: 'd:',
          action: pend({ delayMs: 50, queue: 'critical', fastIo: 'refuse' }),
          allow: { kernelMode: true, bootVolume: true, pagingFile: false },
        },
      ],
      limits,
    )
    expect(rule).toEqual({
      ...UNCONDITIONAL,
      id: 'slow',
      number: 1,
      operations: 3n,
      action: 2,
      queue: 1,
      hold: 1,
      delayMs: 50,
      flags: 3,
      path: '\\inbox\\*',
      volume: 'd:',
    })
  })

  it('has the defaults that are documented', () => {
    const rules = checkRules([good, { on: ['any'], action: observe() }], limits)
    expect(rules[0]).toMatchObject({ id: 'rule 0', queue: 2, hold: 0, delayMs: 0, flags: 8, path: '', volume: '' })
    expect(rules[1]).toMatchObject({
      id: 'rule 1',
      operations: 2n ** BigInt(OPERATION_NAMES.length) - 1n,
      action: 1,
      queue: 0,
      flags: 0,
    })
  })

  it('may use groups', () => {
    const [truncate] = checkRules([{ on: ['truncate'], action: observe() }], limits)
    expect(truncate?.operations).toBe(1n << BigInt(OPERATION_NAMES.indexOf('setEndOfFile')))
  })
  it('may have every condition', () => {
    const [rule] = checkRules(
      [
        {
          on: ['write'],
          processId: 4,
          requestorMode: 'kernel',
          io: ['paging', 'nonCached'],
          status: 'STATUS_END_OF_FILE',
          everyNth: 3,
          atMost: 7,
          probability: 0.25,
          seed: 2n ** 64n - 1n,
          names: true,
          audit: true,
          action: pend({ failWith: 'STATUS_DISK_FULL' }),
        },
      ],
      limits,
    )
    expect(rule).toMatchObject({
      processId: 4,
      conditions: 2 | 4 | 16,
      statusFilter: 3,
      matchStatus: 0xc0000011 | 0,
      everyNth: 3,
      atMost: 7,
      probabilityPpm: 250_000,
      seed: 2n ** 64n - 1n,
      flags: 8 | 16 | 32,
      failStatus: 0xc000007f | 0,
    })
  })

  it.each([
    ['success', 1, 0],
    ['failure', 2, 0],
    [0, 3, 0],
    [0xc0000022, 3, 0xc0000022 | 0],
    [-1073741790, 3, 0xc0000022 | 0],
  ] as const)('may be for a status: %s', (status, statusFilter, matchStatus) => {
    const [rule] = checkRules([{ ...good, status }], limits)
    expect(rule).toMatchObject({ statusFilter, matchStatus })
  })

  it('may have every action', () => {
    const rules = checkRules(
      [
        { on: ['write'], action: whenSafe({ failWith: 0xc000007f }) },
        { on: ['write'], action: synchronize({ delayMs: 5 }) },
        { on: ['write'], action: synchronize() },
      ].map((rule) => ({ ...rule, on: ['write'] })),
      limits,
    )
    expect(rules).toMatchObject([
      { action: 3, queue: 0, hold: 0, delayMs: 0, failStatus: 0xc000007f | 0, flags: 8 },
      { action: 4, queue: 0, hold: 1, delayMs: 5, failStatus: 0, flags: 8 },
      { action: 4, queue: 0, hold: 0, delayMs: 0 },
    ])
  })

  it("may use the kernel's names", () => {
    const on = (name: Rule['on'][number]): bigint | undefined =>
      checkRules([{ on: [name], action: observe() }], limits)[0]?.operations
    expect(on('IRP_MJ_WRITE')).toBe(on('write'))
    expect(on('IRP_MJ_SET_INFORMATION')).toBe(on('anySetInformation'))
    expect(on('IRP_MJ_DIRECTORY_CONTROL/IRP_MN_QUERY_DIRECTORY')).toBe(on('list'))
    expect(on('IRP_MJ_DIRECTORY_CONTROL')).toBe((on('list') ?? 0n) | (on('notifyDirectory') ?? 0n))
  })

  it('may select minor functions of one major function', () => {
    const rule = (...on: Rule['on'][number][]): unknown => checkRules([{ on, action: observe() }], limits)[0]
    expect(rule('IRP_MJ_LOCK_CONTROL')).toMatchObject({ operations: 1n << 20n, minorFunctions: 0 })
    expect(rule('IRP_MJ_LOCK_CONTROL/IRP_MN_LOCK', 'IRP_MJ_LOCK_CONTROL/IRP_MN_UNLOCK_ALL')).toMatchObject({
      operations: 1n << 20n,
      minorFunctions: 0b1010,
    })
    expect(rule('IRP_MJ_FILE_SYSTEM_CONTROL/IRP_MN_USER_FS_REQUEST')).toMatchObject({ minorFunctions: 1 })
    for (const other of [
      'lock',
      'write',
      'IRP_MJ_LOCK_CONTROL',
      'IRP_MJ_FLUSH_BUFFERS/IRP_MN_FLUSH_NO_SYNC',
    ] as const) {
      expect(() => rule(other, 'IRP_MJ_LOCK_CONTROL/IRP_MN_LOCK')).toThrow(/^rules\[0\]\.on\[[01]\]/)
      expect(() => rule('IRP_MJ_LOCK_CONTROL/IRP_MN_LOCK', other)).toThrow(
        `rules[0].on[1]: "${other}" cannot stand beside "IRP_MJ_LOCK_CONTROL/IRP_MN_LOCK": a rule that selects minor functions names only those of one major function; make it a rule of its own`,
      )
    }
  })
})

describe('a gate', () => {
  const gate = (options: object): unknown => checkGate({ on: ['write'], ...options }, { maxDelayMs: 20_000 }).ruleFor(3)

  it('has the defaults that are documented', () => {
    expect(gate({ path: '*.log' })).toEqual({
      ...UNCONDITIONAL,
      ...{ id: 'gate 3', number: 1, operations: 8n, path: '*.log', volume: '' },
      ...{ action: 2, queue: 2, hold: 2, delayMs: 20_000, flags: 8 | 16 },
    })
  })

  it('takes what rules take, and what gates take', () => {
    const options = {
      id: 'mine',
      deadlineMs: 1,
      maxHeld: 2,
      queue: 'critical',
      fastIo: 'refuse',
      names: false,
      audit: true,
    }
    expect(gate({ ...options, status: 'success', failWith: 'STATUS_DISK_FULL' })).toMatchObject({
      ...{ id: 'mine', delayMs: 1, maxHeld: 2, queue: 1, flags: 32, statusFilter: 1, failStatus: 0xc000007f | 0 },
    })
    expect(gate({ synchronize: true })).toMatchObject({ action: 4, queue: 0, hold: 2, flags: 8 | 16 })
  })

  it.each<[object, string]>([
    [{ on: [] }, 'gate: on: expected an array of operation names, such as ["rename"], got an array of 0'],
    [{ deadlineMs: 0 }, 'gate: deadlineMs: expected an integer from 1 to 20000 (milliseconds), got 0'],
    [{ deadlineMs: 20_001 }, 'gate: deadlineMs: expected an integer from 1 to 20000 (milliseconds), got 20001'],
    [{ maxHeld: 0 }, 'gate: maxHeld: expected an integer from 1 to 4294967295, got 0'],
    [{ synchronize: 1 }, 'gate: synchronize: expected true or false, got 1'],
    [{ synchronize: true, queue: 'delayed' }, 'gate: queue: does not go with synchronize: nothing is queued'],
    [
      { synchronize: true, audit: true },
      'gate: audit: does not go with synchronize: FltQueueDeferredIoWorkItem is not called',
    ],
    [{ failWith: 0 }, 'gate: failWith: expected a failure, such as "STATUS_DISK_FULL" or 0xc000007f, got "0x00000000"'],
    [{ signal: 1 }, 'gate: signal: expected an AbortSignal, got 1'],
  ])('that is malformed: %j', (options, message) => {
    expect(() => gate(options)).toThrow(InvalidRuleError)
    expect(() => gate(options)).toThrow(message)
  })

  it('with an unknown option names the nearest one', () => {
    expect(() => gate({ deadline: 5 })).toThrow('gate: options.deadline: unknown key; did you mean "deadlineMs"?')
  })
})
