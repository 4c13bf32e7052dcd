// SPDX-License-Identifier: MIT
//
// This module provides: `minipend traffic`: a named workload through the driver, and what it did.
//
// Invariants: on windows nothing is loaded and nothing is attached: what is there is what the traffic meets. What the traffic made is
// taken away, also after Ctrl-C; exit code 0 says that nothing was left, and, in the model, that the driver's balance is exact.

import Table from 'cli-table3'
import {
  type BackendName,
  type Bounds,
  type Counters,
  InvalidOptionError,
  type Minipend,
  type TrafficCount,
  type TrafficReport,
  type TrafficWorkload,
} from '../index.js'
import type { CommandContext } from './command.js'
import { balanceText, countersTable } from './counters-table.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { readRulesFile } from './running-driver.js'
import { type Colors, toJson } from './terminal.js'

export interface TrafficCommandOptions {
  readonly backend: BackendName
  /** Default in the model: D:\ */
  readonly directory?: string | undefined
  readonly seed?: bigint | undefined
  readonly operations?: number | undefined
  readonly durationMs?: number | undefined
  readonly concurrency: number
  /** A JSON file with rules that hold while it runs. */
  readonly rules?: string | undefined
}

const US = 1000n

/** A bound from above in microseconds, rounded up. */
const atMost = (bounds: Bounds | undefined): string =>
  bounds?.atMost === undefined ? `> ${(bounds?.atLeast ?? 0n) / US}` : `<= ${(bounds.atMost + US - 1n) / US}`

function failuresText({ statuses }: TrafficCount): string {
  return Object.entries(statuses)
    .filter(([status]) => status !== 'OK')
    .map(([status, count]) => `${status} ${count}`)
    .join(', ')
}

export function reportText(report: TrafficReport, colors: Colors): string {
  const table = new Table({
    head: ['call', 'calls', 'bytes', 'half of them (us)', '99 % (us)', 'failures'].map((title) => colors.bold(title)),
    colAligns: ['left', 'right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [] },
  })
  for (const [operation, counted] of Object.entries(report.byOperation)) {
    const { count, bytes, latencyNs } = counted
    const times = [atMost(latencyNs.p50), atMost(latencyNs.p99)]
    table.push([operation, String(count), String(bytes), ...times, failuresText(counted)])
  }
  const { workload, seed, operations, concurrency, elapsedMs, bytesRead, bytesWritten, endedBy, cleanup } = report
  const lines = [
    `${colors.bold(workload)}, seed ${seed}: ${operations} calls by ${concurrency} side by side in ${elapsedMs.toFixed(0)} ms, ended by ${endedBy}`,
    `read ${bytesRead} bytes, wrote ${bytesWritten} bytes; removed ${cleanup.removed} files and directories`,
    table.toString(),
  ]
  if (report.changes !== undefined) {
    lines.push(`the watch told ${report.changes.told} changes and ${report.changes.overflows} overflows`)
  }
  if (report.stillHeld > 0) {
    lines.push(colors.yellow(`${report.stillHeld} calls were held when it was aborted`))
  }
  for (const { path, code } of cleanup.left) {
    lines.push(colors.red(`left behind: ${path} (${code})`))
  }
  return `${lines.join('\n')}\n`
}

function directoryOf(options: TrafficCommandOptions): string {
  if (options.directory !== undefined) {
    return options.directory
  }
  if (options.backend === 'embedded') {
    return 'D:\\'
  }
  throw new InvalidOptionError('directory', 'traffic: --directory is missing: on windows say where to work', {
    operation: 'traffic',
    hint: 'name a directory that exists, such as --directory D:\\scratch; what the traffic makes there is removed at the end',
  })
}

/** Once nothing is held any more, or after a while. */
async function countersAtRest(mp: Minipend): Promise<Counters> {
  const end = performance.now() + 35_000
  for (;;) {
    const counters = await mp.counters()
    if ((counters.inFlight === 0n && counters.inCallback === 0n) || performance.now() > end) {
      return counters
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

export async function traffic(
  context: CommandContext,
  workload: TrafficWorkload,
  options: TrafficCommandOptions,
): Promise<ExitCode> {
  const { terminal, json, stop } = context
  const directory = directoryOf(options)
  const wanted = options.rules === undefined ? undefined : readRulesFile(options.rules)
  const embedded = options.backend === 'embedded'
  const { seed, operations, durationMs, concurrency } = options
  // The model's seed and the traffic's are the same number: one is enough to write down.
  await using mp = await context.open(
    embedded ? { backend: 'embedded', seed, signal: stop } : { backend: 'windows', load: false, signal: stop },
  )
  if (embedded && /^[a-z]:/i.test(directory)) {
    await mp.attach(directory.slice(0, 2))
  }
  if (wanted !== undefined) {
    await mp.rules.set(wanted)
  }
  const trafficSeed = seed ?? (embedded ? mp.model.seed : undefined)
  const report = await mp.io.traffic({
    ...{ workload, directory, operations, durationMs, concurrency, signal: stop },
    ...(trafficSeed === undefined ? {} : { seed: trafficSeed }),
  })
  const counters = embedded || wanted !== undefined ? await countersAtRest(mp) : undefined
  const ok = report.cleanup.left.length === 0 && counters?.balance.exact !== false
  if (json) {
    const document = { ok, ...report, seed: String(report.seed), driver: counters }
    terminal.out(`${toJson(document)}\n`)
  } else {
    terminal.out(reportText(report, terminal.colors))
    if (counters !== undefined) {
      const parts = [countersTable(counters, terminal.colors), balanceText(counters, terminal.colors)]
      terminal.out(`what the driver saw of it:\n${parts.join('\n')}\n`)
    }
  }
  stop.throwIfAborted()
  return ok ? EXIT.ok : EXIT.failed
}
