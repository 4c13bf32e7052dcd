// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest'
import { checkRules } from '../../../src/client/rules.js'
import { OPERATION_NAMES } from '../../../src/client/operations.js'
import { InvalidRuleError, observe, pend, type Rule } from '../../../src/index.js'

const limits = { maxDelayMs: 30000, maxRules: 4 }
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
    ['not an object', [7], 'rules[0]: expected an object with id, on, path, volume, action, allow, got 7'],
    [
      'an unknown key',
      [{ ...good, paht: '*' }],
      'rules[0].paht: unknown key; did you mean "path"? Known keys: id, on, path, volume, action, allow',
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
    ['no action', [{ on: ['read'] }], 'rules[0].action: expected observe() or pend({ ... }), got undefined'],
    [
      'an unknown action',
      [{ ...good, action: { kind: 'delay' } }],
      'rules[0].action.kind: expected one of "observe", "pend", got "delay"',
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
})
