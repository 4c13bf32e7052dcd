// SPDX-License-Identifier: MIT
//
// This module provides: `minipend explore`: scenarios inside the model, schedule after schedule, and what to do with one that fails.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import { closest, distance } from 'fastest-levenshtein'
import type { CommandContext } from '../command.js'
import { EXIT, type ExitCode } from '../exit-codes.js'
import { InputError } from '../problems.js'
import type { Colors } from '../terminal.js'
import { toJson } from '../terminal.js'
import {
  type EndEvent,
  exploreProgram,
  type FailureEvent,
  type KnownScenario,
  runExplore,
  type ScenarioEvent,
} from './program.js'
import type { Strategy } from './strategies.js'

export interface ExploreOptions {
  readonly scenario?: readonly string[] | undefined
  readonly strategy: Strategy
  readonly schedules: number
  readonly seed?: bigint | undefined
  readonly depth?: number | undefined
  readonly delays?: number | undefined
  readonly preemptions?: number | undefined
  readonly jobs?: number | undefined
  /** One plain access in so many is a scheduling point. */
  readonly plainAccesses?: number | true | undefined
  readonly replay?: string | undefined
  readonly shrink?: boolean | undefined
  readonly list?: boolean | undefined
  readonly out?: string | undefined
}

const FIRST_SEED = 1n

/** Options that say nothing to the strategy are a mistake, and so is a replay with anything else. @throws InputError */
export function checkOptions(options: ExploreOptions): void {
  const wrong = (message: string, hint: string): never => {
    throw new InputError(`explore: ${message}`, { hint, exitCode: EXIT.usage })
  }
  const { strategy } = options
  if (options.depth !== undefined && strategy !== 'pct') {
    wrong(`--depth is pct's; --strategy is ${strategy}`, 'add --strategy pct, or leave --depth out')
  }
  for (const bound of ['delays', 'preemptions'] as const) {
    if (options[bound] !== undefined && strategy !== 'exhaustive') {
      wrong(
        `--${bound} is a bound of exhaustive; --strategy is ${strategy}`,
        `add --strategy exhaustive, or leave --${bound} out`,
      )
    }
  }
  if (options.replay !== undefined && (options.scenario !== undefined || options.seed !== undefined)) {
    wrong('--replay has its scenario and its seed in it', 'leave --scenario and --seed out')
  }
  if (options.shrink === true && options.replay === undefined) {
    wrong('--shrink goes with --replay', 'a schedule that is found is made shorter anyway')
  }
}

/** What --replay names: the text itself, or a file with it: its only line, or a document of --out. @throws InputError */
export function replayOf(value: string): string {
  if (!existsSync(value)) {
    return value
  }
  const text = readFileSync(value, 'utf8').trim()
  if (!text.startsWith('{')) {
    return text
  }
  let failures: readonly { readonly replay?: unknown }[] | undefined
  try {
    failures = (JSON.parse(text) as { readonly failures?: typeof failures }).failures
  } catch (cause) {
    throw new InputError(`explore: --replay: "${value}" is no JSON document`, { cause })
  }
  const found = failures?.find(({ replay }) => typeof replay === 'string')?.replay
  if (typeof found !== 'string') {
    throw new InputError(`explore: --replay: "${value}" has no failing schedule in it`, {
      hint: 'name a document that explore --out wrote when something failed, or a text such as give-back/17/12:1',
    })
  }
  return found
}

function checkScenarios(names: readonly string[], known: readonly KnownScenario[]): void {
  const all = known.map(({ scenario }) => scenario)
  for (const name of names) {
    if (!all.includes(name)) {
      const near = closest(name, all)
      const hint = distance(name, near) <= 3 ? `did you mean ${near}?` : `there are ${all.join(', ')}`
      throw new InputError(`explore: there is no scenario "${name}"`, { hint, exitCode: EXIT.usage })
    }
  }
}

function checkReplay(text: string, known: readonly KnownScenario[]): void {
  const form = /^([^/]+)\/\d+\/(p\d+\/)?(\d+:\d+(,\d+:\d+)*)?$/.exec(text)
  if (form === null) {
    throw new InputError(
      `explore: --replay: expected a file, or SCENARIO/SEED/DECISIONS as in give-back/17/12:1,57:2, got "${text}"`,
      {
        exitCode: EXIT.usage,
      },
    )
  }
  checkScenarios([form[1] ?? ''], known)
}

function scenarioLine(event: ScenarioEvent, width: number, bound: string, colors: Colors): string {
  const { scenario, strategy, schedules, distinct, seconds, failed, pointsPerSchedule, complete, stopped } = event
  const mark = failed ? colors.red('FAILED') : stopped ? colors.yellow('stopped') : colors.green('ok')
  const rate = seconds > 0 ? Math.round(schedules / seconds) : schedules
  const what =
    strategy !== 'exhaustive'
      ? `${schedules} schedules`
      : complete === null
        ? `${distinct} different schedules, not all without ${bound}`
        : `${distinct} different schedules, among them all with at most ${complete} ${bound}`
  return `${scenario.padEnd(width)}  ${mark}  ${what}, ${pointsPerSchedule.toFixed(0)} choices each, ${rate}/s\n`
}

function failureText(failure: FailureEvent, command: string, colors: Colors): string {
  const { rule, call, text, decisions, shrunkTo, steps, seed } = failure
  const lines = [`  ${colors.red(rule)}${call === '' ? '' : ` (${call})`}: ${text}`, `  seed ${seed}`]
  if (shrunkTo !== null) {
    const from = decisions === shrunkTo ? '' : `, of ${decisions === 1 ? '1 decision' : `${decisions} decisions`}`
    lines.push(
      shrunkTo === 0
        ? `  every thread runs until it waits${from}: it takes no decision`
        : `  what it takes${from}; else every thread runs until it waits:`,
    )
  }
  lines.push(...steps.map((step, index) => `    ${index + 1}. ${step}`))
  lines.push(`  again: ${colors.bold(command)}`)
  return `${lines.join('\n')}\n`
}

/** The command that plays it again. A process that died told no decisions: the strategy makes them again, an exhaustive one from the first schedule on. */
export function commandFor(failure: FailureEvent, options: ExploreOptions): string {
  if (failure.replay !== null) {
    return `npx minipend explore --replay ${failure.replay}`
  }
  const words = ['npx minipend explore', `--scenario ${failure.scenario}`, `--strategy ${failure.strategy}`]
  const exhaustive = failure.strategy === 'exhaustive'
  words.push(`--seed ${failure.seed}`, `--schedules ${exhaustive ? options.schedules : 1}`)
  for (const bound of ['delays', 'preemptions'] as const) {
    if (options[bound] !== undefined) {
      words.push(`--${bound} ${options[bound]}`)
    }
  }
  if (options.depth !== undefined) {
    words.push(`--depth ${options.depth}`)
  }
  if (options.plainAccesses !== undefined) {
    words.push(options.plainAccesses === true ? '--plain-accesses' : `--plain-accesses ${options.plainAccesses}`)
  }
  return words.join(' ')
}

function argumentsFor(options: ExploreOptions, replay: string | undefined): string[] {
  const { plainAccesses } = options
  if (replay !== undefined) {
    return ['--replay', replay, ...(options.shrink === true ? ['--shrink'] : [])]
  }
  const args = ['--strategy', options.strategy, '--schedules', String(options.schedules)]
  args.push('--seed', String(options.seed ?? FIRST_SEED))
  args.push('--jobs', String(options.jobs ?? Math.min(os.availableParallelism(), 64)))
  if (options.depth !== undefined) {
    args.push('--depth', String(options.depth))
  }
  if (options.delays !== undefined) {
    args.push('--delays', String(options.delays))
  }
  if (options.preemptions !== undefined) {
    args.push('--preemptions', String(options.preemptions))
  }
  if (plainAccesses !== undefined) {
    args.push('--plain', String(plainAccesses === true ? 1 : plainAccesses))
  }
  return [...args, ...(options.scenario ?? []).flatMap((name) => ['--scenario', name])]
}

/** For tests: a program that plays nothing. */
export interface ExploreParts {
  readonly findProgram?: () => Promise<string>
  readonly run?: typeof runExplore
}

/** Exit code 0: no schedule failed; 1: one did. */
export async function explore(
  context: CommandContext,
  options: ExploreOptions,
  { findProgram = exploreProgram, run = runExplore }: ExploreParts = {},
): Promise<ExitCode> {
  const { terminal, json, stop } = context
  checkOptions(options)
  const replay = options.replay === undefined ? undefined : replayOf(options.replay)
  const program = await findProgram()
  const known: KnownScenario[] = []
  await run(program, ['--list'], stop, (event) => {
    if (event.event === 'known') {
      known.push(event)
    }
  })
  checkScenarios(options.scenario ?? [], known)
  if (replay !== undefined) {
    checkReplay(replay, known)
  }
  const width = Math.max(...known.map(({ scenario }) => scenario.length))
  if (options.list === true) {
    terminal.out(
      json
        ? `${toJson({ ok: true, scenarios: known.map(({ scenario, what }) => ({ scenario, what })) })}\n`
        : known.map(({ scenario, what }) => `${scenario.padEnd(width)}  ${what}\n`).join(''),
    )
    return EXIT.ok
  }
  const bound = options.preemptions === undefined ? 'delays' : 'preemptions'
  const scenarios: ScenarioEvent[] = []
  const failures: (FailureEvent & { readonly command: string })[] = []
  let end: EndEvent | undefined
  const code = await run(program, argumentsFor(options, replay), stop, (event) => {
    if (event.event === 'scenario') {
      scenarios.push(event)
      if (!json) terminal.out(scenarioLine(event, width, bound, terminal.colors))
    } else if (event.event === 'failure') {
      const command = commandFor(event, options)
      failures.push({ ...event, command })
      if (!json) terminal.out(failureText(event, command, terminal.colors))
    } else if (event.event === 'end') {
      end = event
    }
  })
  if (end === undefined) {
    throw new Error(`explore: minipend_explore ended with exit code ${code}; what it said is above`)
  }
  const document = `${toJson({ ok: failures.length === 0, scenarios, failures, totals: end })}\n`
  if (options.out !== undefined) {
    writeOut(options.out, document)
  }
  terminal.out(json ? document : `${totalsLine(end)}\n`)
  stop.throwIfAborted()
  return failures.length === 0 ? EXIT.ok : EXIT.failed
}

export function totalsLine({ schedules, scenarios, failures, seconds, perSecond, jobs, stopped }: EndEvent): string {
  const found = failures === 0 ? 'nothing failed' : `${failures} failed`
  return `${stopped ? 'stopped: ' : ''}${schedules} schedules of ${scenarios} scenarios in ${seconds.toFixed(1)} s, ${perSecond}/s in ${jobs} processes: ${found}`
}

/** @throws InputError: it cannot be written */
function writeOut(file: string, text: string): void {
  try {
    writeFileSync(file, text)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new InputError(`explore: --out: cannot write "${file}": ${why}`, {
      hint: 'name a file in a directory that exists',
      cause,
    })
  }
}
