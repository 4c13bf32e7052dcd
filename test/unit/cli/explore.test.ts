// SPDX-License-Identifier: MIT
//
// `minipend explore` without a program: what it says is made up here. The real one runs in the lane explore of .ci/run.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { commandFor, explore, type ExploreOptions, replayOf } from '../../../src/cli/explore/explore.js'
import {
  type EndEvent,
  type ExploreEvent,
  exploreProgram,
  type FailureEvent,
  type runExplore,
  type ScenarioEvent,
} from '../../../src/cli/explore/program.js'
import { EXIT, exitCodeOf } from '../../../src/cli/exit-codes.js'
import { describeError } from '../../../src/cli/problems.js'
import { rememberingTerminal, testContext } from './support.js'

const directory = mkdtempSync(path.join(tmpdir(), 'minipend-explore-'))
afterAll(() => rmSync(directory, { recursive: true }))
const file = (name: string): string => path.join(directory, name)

const KNOWN: readonly ExploreEvent[] = [
  { event: 'known', scenario: 'give-back', what: 'one operation' },
  { event: 'known', scenario: 'unload', what: 'the driver goes' },
]
const PLAYED: ScenarioEvent = {
  ...{ event: 'scenario', scenario: 'unload', strategy: 'random', schedules: 500, distinct: 500, seed: '1' },
  ...{
    pointsPerSchedule: 170.4,
    preemptionsPerSchedule: 20,
    complete: null,
    seconds: 2,
    failed: false,
    stopped: false,
  },
}
const FAILURE: FailureEvent = {
  ...{ event: 'failure', scenario: 'unload', strategy: 'random', seed: '17', rule: 'V3 double', call: 'FltX' },
  ...{ text: 'given back already', decisions: 40, shrunkTo: 1, tries: 12, steps: ['A is stopped before X; B runs'] },
  ...{ replay: 'unload/17/12:1', report: null },
}
const END: EndEvent = {
  ...{ event: 'end', scenarios: 1, schedules: 500, failures: 0, seconds: 2, perSecond: 250, jobs: 2, stopped: false },
}

test.each([
  [{ ...FAILURE }, {}, '--replay unload/17/12:1'],
  [{ ...FAILURE, replay: null }, {}, '--scenario unload --strategy random --seed 17 --schedules 1'],
  [
    { ...FAILURE, replay: null, strategy: 'pct' },
    { strategy: 'pct' as const, depth: 4, plainAccesses: 10 },
    '--scenario unload --strategy pct --seed 17 --schedules 1 --depth 4 --plain-accesses 10',
  ],
  [
    { ...FAILURE, replay: null, strategy: 'exhaustive' },
    { strategy: 'exhaustive' as const, delays: 1, plainAccesses: true as const },
    '--scenario unload --strategy exhaustive --seed 17 --schedules 500 --delays 1 --plain-accesses',
  ],
])('the command that plays it again: %#', (failure, options, words) => {
  expect(commandFor(failure, { strategy: 'random', schedules: 500, ...options })).toBe(`npx minipend explore ${words}`)
})

/** A program that says this; `calls` has its arguments. */
function saying(events: readonly ExploreEvent[], code = 0) {
  const calls: (readonly string[])[] = []
  const run: typeof runExplore = (_program, args, _stop, onEvent) => {
    calls.push(args)
    const said = args.includes('--list') ? KNOWN : events
    said.forEach(onEvent)
    return Promise.resolve(args.includes('--list') ? 0 : code)
  }
  return { calls, parts: { run, findProgram: () => Promise.resolve('minipend_explore') } }
}

const DEFAULTS: ExploreOptions = { strategy: 'random', schedules: 500 }
const messageOf = (error: unknown): string => describeError(error, rememberingTerminal().colors)
const caught = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

describe('the command', () => {
  test('says what was played and ends with 0 when nothing failed', async () => {
    const context = testContext()
    const { calls, parts } = saying([PLAYED, END])
    expect(await explore(context, { ...DEFAULTS, jobs: 2, seed: 9n, scenario: ['unload'] }, parts)).toBe(EXIT.ok)
    expect(context.terminal.text.out.split('\n')).toEqual([
      'unload     ok  500 schedules, 170 choices each, 250/s',
      '500 schedules of 1 scenarios in 2.0 s, 250/s in 2 processes: nothing failed',
      '',
    ])
    const args = '--strategy random --schedules 500 --seed 9 --jobs 2 --scenario unload'
    expect(calls.at(-1)?.join(' ')).toBe(args)
  })

  test('shows a failure with its steps and how to play it again, and ends with 1', async () => {
    const context = testContext()
    const { parts } = saying([{ ...PLAYED, failed: true }, FAILURE, { ...END, failures: 1 }], 1)
    const out = file('out.json')
    expect(await explore(context, { ...DEFAULTS, out }, parts)).toBe(EXIT.failed)
    expect(context.terminal.text.out.split('\n').slice(1, -2)).toEqual([
      '  V3 double (FltX): given back already',
      '  seed 17',
      '  what it takes, of 40 decisions; else every thread runs until it waits:',
      '    1. A is stopped before X; B runs',
      '  again: npx minipend explore --replay unload/17/12:1',
    ])
    expect(JSON.parse(readFileSync(out, 'utf8'))).toMatchObject({
      ok: false,
      failures: [{ rule: 'V3 double', command: 'npx minipend explore --replay unload/17/12:1' }],
    })
    expect(replayOf(out)).toBe('unload/17/12:1')
  })

  test('says how to meet a crash again, which has no decisions', async () => {
    const context = testContext()
    const crash = { ...FAILURE, rule: 'CRASH', call: '', decisions: null, shrunkTo: null, steps: [], replay: null }
    const { parts } = saying(
      [
        { ...PLAYED, failed: true },
        { ...crash, strategy: 'pct' },
        { ...END, failures: 1 },
      ],
      1,
    )
    await explore(context, { ...DEFAULTS, strategy: 'pct', depth: 4 }, parts)
    expect(context.terminal.text.out).toContain(
      'again: npx minipend explore --scenario unload --strategy pct --seed 17 --schedules 1 --depth 4\n',
    )
  })

  test('says how far an exhaustive search came', async () => {
    const context = testContext()
    const { parts } = saying([{ ...PLAYED, strategy: 'exhaustive', distinct: 321, complete: 1 }, END])
    await explore(context, { ...DEFAULTS, strategy: 'exhaustive', preemptions: 2 }, parts)
    expect(context.terminal.text.out).toContain(
      '321 different schedules, among them all with at most 1 preemptions, 170 choices each',
    )
  })

  test('lists the scenarios', async () => {
    const context = testContext()
    expect(await explore(context, { ...DEFAULTS, list: true }, saying([]).parts)).toBe(EXIT.ok)
    expect(context.terminal.text.out).toBe('give-back  one operation\nunload     the driver goes\n')
  })

  test('prints one document with --json', async () => {
    const context = testContext({ json: true })
    await explore(context, DEFAULTS, saying([PLAYED, END]).parts)
    expect(JSON.parse(context.terminal.text.out)).toMatchObject({ ok: true, scenarios: [PLAYED], totals: END })
  })

  test('throws what stopped it, after the totals', async () => {
    const stopper = new AbortController()
    const context = testContext({ stop: stopper.signal })
    const { parts } = saying(
      [
        { ...PLAYED, stopped: true },
        { ...END, stopped: true },
      ],
      130,
    )
    const stopping: typeof runExplore = async (...args) => {
      const code = await parts.run(...args)
      if (code === 130) stopper.abort(new Error('stopped by the test'))
      return code
    }
    const error = await caught(explore(context, DEFAULTS, { ...parts, run: stopping }))
    expect(error).toMatchObject({ message: 'stopped by the test' })
    expect(context.terminal.text.out).toContain('stopped: 500 schedules of 1 scenarios')
  })
})

describe('wrong options', () => {
  const cases: [string, Partial<ExploreOptions>, string][] = [
    ['a depth without pct', { depth: 3 }, "explore: --depth is pct's; --strategy is random"],
    [
      'a bound without exhaustive',
      { preemptions: 2 },
      'explore: --preemptions is a bound of exhaustive; --strategy is random',
    ],
    [
      'a replay with a seed',
      { replay: 'unload/1/', seed: 3n },
      'explore: --replay has its scenario and its seed in it',
    ],
    ['shrinking nothing', { shrink: true }, 'explore: --shrink goes with --replay'],
    ['an unknown scenario', { scenario: ['unlod'] }, 'explore: there is no scenario "unlod"'],
    ['an unknown scenario in a replay', { replay: 'nothing/1/' }, 'explore: there is no scenario "nothing"'],
    [
      'a replay that is none',
      { replay: '12:1' },
      'explore: --replay: expected a file, or SCENARIO/SEED/DECISIONS as in give-back/17/12:1,57:2, got "12:1"',
    ],
  ]
  test.each(cases)('%s', async (_name, options, message) => {
    const error = await caught(explore(testContext(), { ...DEFAULTS, ...options }, saying([]).parts))
    expect(error).toMatchObject({ message })
    expect(exitCodeOf(error)).toBe(EXIT.usage)
  })

  test('a name that is nearly one gets it as a hint', async () => {
    const error = await caught(explore(testContext(), { ...DEFAULTS, scenario: ['unlod'] }, saying([]).parts))
    expect(messageOf(error)).toContain('did you mean unload?')
  })

  test('files that have no schedule in them', () => {
    writeFileSync(file('broken.json'), '{')
    writeFileSync(file('good.json'), '{"failures":[]}')
    writeFileSync(file('line'), 'unload/17/12:1\n')
    expect(replayOf(file('line'))).toBe('unload/17/12:1')
    expect(() => replayOf(file('broken.json'))).toThrow('is no JSON document')
    expect(() => replayOf(file('good.json'))).toThrow('has no failing schedule in it')
  })
})

describe('the program', () => {
  test('needs the repository, and no Windows', async () => {
    const missing = await caught(exploreProgram(directory, 'linux'))
    expect(messageOf(missing)).toContain('explore: the scenarios (test/explore) are not here')
    expect(exitCodeOf(missing)).toBe(EXIT.environment)
    const windows = await caught(exploreProgram(directory, 'win32'))
    expect(exitCodeOf(windows)).toBe(EXIT.unavailable)
  })
})
