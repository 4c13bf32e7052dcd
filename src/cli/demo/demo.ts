// SPDX-License-Identifier: MIT
//
// This module provides: `minipend demo`: the driver pends real operations in the model, and every one of them is accounted for.
//
// Invariant: exit code 0 says that the balance is exact, the held rename was visible at once, and each refusal was shown.

import type { Balance, Counters, Minipend } from '../../index.js'
import type { CommandContext } from '../command.js'
import { balanceText, countersLine } from '../counters-table.js'
import { EXIT, type ExitCode } from '../exit-codes.js'
import { LiveBlock, toJson } from '../terminal.js'
import { type HeldRename, watchHeldRename } from './held-rename.js'
import { SCENARIOS, type ShownRefusal, showRefusal } from './refusals.js'
import { prepareFiles } from './scene.js'
import * as view from './view.js'
import { runWorkload, type WorkDone } from './workload.js'

export interface DemoOptions {
  readonly seed?: bigint | undefined
  readonly durationMs: number
  readonly files: number
}

export interface DemoReport {
  readonly ok: boolean
  /** What did not go as it should, a sentence each. */
  readonly problems: readonly string[]
  readonly driverVersion: string
  readonly seed: string
  readonly heldRename: HeldRename
  readonly work: WorkDone
  readonly refusals: readonly ShownRefusal[]
  readonly balance: Balance
  readonly counters: Counters
}

const LIVE_EVERY_MS = 120
const LINE_EVERY_MS = 500

/** The load, with the table drawn again and again, or a line now and then. */
async function showWorkload(context: CommandContext, mp: Minipend, options: DemoOptions): Promise<WorkDone> {
  const { terminal, json, stop } = context
  const live = terminal.interactive && !json ? new LiveBlock(terminal) : undefined
  const start = performance.now()
  const draw = (counters: Counters): void => {
    if (live !== undefined) {
      live.draw(view.liveText(counters, performance.now() - start, terminal.colors))
    } else if (!json) {
      terminal.out(`  ${countersLine(counters)}\n`)
    }
  }
  const everyMs = live === undefined ? LINE_EVERY_MS : LIVE_EVERY_MS
  const done = await runWorkload(mp, { ...options, stop, everyMs, onCounters: draw })
  if (!json) {
    live?.clear()
    terminal.out(`${view.liveText(await mp.counters(), performance.now() - start, terminal.colors)}\n`)
    terminal.out(`${view.workDoneText(done)}\n`)
  }
  return done
}

async function showAllRefusals(
  context: CommandContext,
  mp: Minipend,
  freeD: () => Promise<void>,
): Promise<ShownRefusal[]> {
  const { terminal, stop } = context
  const all: ShownRefusal[] = []
  for (const scenario of SCENARIOS) {
    stop.throwIfAborted()
    if (scenario.attaches === true) {
      await freeD()
    }
    const shown = await showRefusal(mp, scenario, stop)
    all.push(shown)
    if (!context.json) {
      terminal.out(`${view.refusalLine(shown, terminal.colors)}\n`)
    }
  }
  return all
}

export function problemsOf(held: HeldRename, refusals: readonly ShownRefusal[], counters: Counters): string[] {
  const problems = [...counters.balance.problems]
  if (counters.held > 0n || counters.inFlight > 0n) {
    problems.push(`still held after everything was detached: ${counters.held} (in flight ${counters.inFlight})`)
  }
  if (!held.visibleWhileCallerWaited) {
    problems.push(`${held.to} was not seen while its rename was held`)
  }
  for (const { cause, how, shown, required } of refusals) {
    if (required && !shown) {
      problems.push(`no refusal was counted as ${cause}: ${how}`)
    }
  }
  return problems
}

async function play(context: CommandContext, mp: Minipend, options: DemoOptions): Promise<DemoReport> {
  const { terminal, stop, json } = context
  const { colors } = terminal
  const say = (text: string): void => {
    if (!json) {
      terminal.out(`${text}\n`)
    }
  }
  await prepareFiles(mp, options.files)
  const onD = await mp.attach('D:')
  const onE = await mp.attach('E:')
  say(view.introText(mp, colors))
  stop.throwIfAborted()

  const heldRename = await watchHeldRename(mp)
  say(view.heldRenameText(heldRename, colors))
  stop.throwIfAborted()

  say(view.workloadTitle(colors))
  const work = await showWorkload(context, mp, options)
  stop.throwIfAborted()

  say(view.refusalTitle(colors))
  const refusals = await showAllRefusals(context, mp, () => onD.detach())
  say(`${view.notShownLine(mp.hello.limits.maxHeld, colors)}\n`)

  await onE.detach()
  const counters = await mp.counters()
  say(`${colors.bold('The balance')}, now that everything is detached`)
  say(balanceText(counters, colors))

  const problems = problemsOf(heldRename, refusals, counters)
  return {
    ok: problems.length === 0,
    problems,
    driverVersion: mp.hello.driverVersion,
    seed: String(mp.model.seed),
    heldRename,
    work,
    refusals,
    balance: counters.balance,
    counters,
  }
}

export async function demo(context: CommandContext, options: DemoOptions): Promise<ExitCode> {
  // Not aborted by `stop`: the demo looks at it between steps, so that the world is closed in order.
  await using mp = await context.open({ backend: 'embedded', seed: options.seed })
  const report = await play(context, mp, options)
  if (context.json) {
    context.terminal.out(`${toJson(report)}\n`)
  } else if (!report.ok) {
    const lines = report.problems.map((problem) => `  ${problem}\n`).join('')
    context.terminal.err(`minipend: the demo (seed ${report.seed}) did not show what it should:\n${lines}`)
  }
  return report.ok ? EXIT.ok : EXIT.failed
}
