// SPDX-License-Identifier: MIT
//
// This module provides: `minipend stat`, `rules` and `instances`: a look at a driver that runs already, on Windows.
//
// The embedded model has nothing to look at from outside: it lives, and ends, in the process that opened it.

import { readFileSync } from 'node:fs'
import Table from 'cli-table3'
import {
  type BackendName,
  type Counters,
  type HeldOperation,
  type Minipend,
  NotSupportedError,
  type Rule,
} from '../index.js'
import { type CommandContext, sleep } from './command.js'
import { balanceText, countersLine, countersTable, timesText } from './counters-table.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { heldDocuments, heldTable } from './held-table.js'
import { InputError } from './problems.js'
import { rulesDocuments, rulesTable } from './rules-table.js'
import { LiveBlock, toJson } from './terminal.js'

export interface RunningOptions {
  readonly backend: BackendName
}

/** @throws NotSupportedError when there is nothing to look at */
export function requireRunningDriver(command: string, backend: BackendName, platform: NodeJS.Platform): void {
  const oneProcess = 'the embedded model lives in one process, the one that opened it'
  const instead = 'in a script, use mp.counters() and mp.rules; `minipend demo` shows the model at work'
  if (backend === 'embedded') {
    throw new NotSupportedError(`${command}: ${oneProcess}: there is nothing to look at from another`, {
      operation: command,
      hint: instead,
    })
  }
  if (platform !== 'win32') {
    throw new NotSupportedError(
      `${command}: --backend windows needs Windows with the minipend driver loaded; this is ${platform}`,
      {
        operation: command,
        hint: `run it on the test machine. Here there is only the model, and ${oneProcess}: ${instead}`,
      },
    )
  }
}

function openRunning(context: CommandContext, command: string, options: RunningOptions): Promise<Minipend> {
  requireRunningDriver(command, options.backend, context.platform)
  // Not loaded by a mere look.
  return context.open({ backend: options.backend, load: false, signal: context.stop })
}

export interface StatOptions extends RunningOptions {
  /** Milliseconds between two looks; absent: one look. */
  readonly watch?: number | undefined
}

export async function stat(context: CommandContext, options: StatOptions): Promise<ExitCode> {
  const { terminal, json, stop } = context
  await using mp = await openRunning(context, 'stat', options)
  const live = terminal.interactive && !json && options.watch !== undefined ? new LiveBlock(terminal) : undefined
  const show = (counters: Counters, held: readonly HeldOperation[]): void => {
    const parts = [
      countersTable(counters, terminal.colors),
      heldTable(held, terminal.colors),
      timesText(counters),
      balanceText(counters, terminal.colors),
    ]
    const text = parts.filter((part) => part !== '').join('\n')
    if (json) {
      const document = toJson({ ...counters, heldOperations: heldDocuments(held) })
      terminal.out(`${options.watch === undefined ? document : JSON.stringify(JSON.parse(document))}\n`)
    } else if (live !== undefined) {
      live.draw(text)
    } else {
      terminal.out(options.watch === undefined ? `${text}\n` : `${countersLine(counters)}\n`)
    }
  }
  const look = async (): Promise<void> => show(await mp.counters({ signal: stop }), await mp.held({ signal: stop }))
  await look()
  while (options.watch !== undefined && (await sleep(options.watch, stop))) {
    await look()
  }
  stop.throwIfAborted()
  return EXIT.ok
}

export async function instances(context: CommandContext, options: RunningOptions): Promise<ExitCode> {
  const { terminal, json } = context
  await using mp = await openRunning(context, 'instances', options)
  const found = await mp.instances({ signal: context.stop })
  if (json) {
    const list = found.map(({ name, altitude, volume, frame, fileSystem, supportedFeatures, counters }) => ({
      ...{ id: counters?.id, name, altitude, volume, frame, fileSystem, supportedFeatures },
      ...{ bootVolume: counters?.bootVolume, tearingDown: counters?.tearingDown, heldNow: counters?.inFlight },
    }))
    terminal.out(`${toJson({ instances: list })}\n`)
    return EXIT.ok
  }
  if (found.length === 0) {
    terminal.out('minipend is attached to no volume\n')
    return EXIT.ok
  }
  const head = ['volume', 'file system', 'instance', 'altitude', 'frame', 'id', 'held now', '']
  const table = new Table({ head, style: { head: [], border: [] } })
  for (const { volume, fileSystem, name, altitude, frame, counters } of found) {
    const notes = [counters?.bootVolume ? 'boot volume' : '', counters?.tearingDown ? 'being detached' : '']
    const counted = [String(counters?.id ?? '-'), String(counters?.inFlight ?? '-')]
    table.push([volume, fileSystem, name, altitude, String(frame), ...counted, notes.filter(Boolean).join(', ')])
  }
  terminal.out(`${table.toString()}\n`)
  return EXIT.ok
}

/** @throws InputError */
export function readRulesFile(file: string): readonly Rule[] {
  try {
    const rules: unknown = JSON.parse(readFileSync(file, 'utf8'))
    // What is in the array is checked by rules.set(), which names the field.
    if (Array.isArray(rules)) {
      return rules as Rule[]
    }
  } catch (cause) {
    throw new InputError(`rules: cannot read "${file}": ${cause instanceof Error ? cause.message : String(cause)}`, {
      hint: 'give a JSON file with an array of rules, as rules.set() takes them',
      cause,
    })
  }
  throw new InputError(`rules: "${file}" holds no array of rules`, {
    hint: 'for example: [{ "on": ["rename"], "action": { "kind": "pend", "delayMs": 200 } }]',
  })
}

export interface RulesOptions extends RunningOptions {
  /** The file's rules stay when the command ends. */
  readonly persist?: boolean | undefined
  /** Rules that stayed are removed. */
  readonly clearPersistent?: boolean | undefined
}

/** Without a file: the rules that are in force, everybody's. With one: its rules, for as long as the command runs, or for good. */
export async function rules(context: CommandContext, options: RulesOptions, file?: string): Promise<ExitCode> {
  const { terminal, json, stop } = context
  requireRunningDriver('rules', options.backend, context.platform)
  const wanted = file === undefined ? undefined : readRulesFile(file)
  await using mp = await openRunning(context, 'rules', options)
  const { persist = false, clearPersistent = false } = options
  if (clearPersistent) {
    const { generation } = await mp.rules.clear({ persistent: true })
    terminal.out(json ? `${toJson({ ruleGeneration: generation })}\n` : 'no persistent rules any more\n')
    return EXIT.ok
  }
  if (wanted === undefined) {
    const listing = await mp.rules.list({ signal: stop })
    const { connections } = await mp.counters({ signal: stop })
    const { generation: ruleGeneration } = listing
    if (json) {
      terminal.out(`${toJson({ ruleGeneration, connections, rules: rulesDocuments(listing.rules) })}\n`)
      return EXIT.ok
    }
    const said = `rule generation ${ruleGeneration}; ${connections} connected, this command included`
    terminal.out(`${rulesTable(listing.rules, terminal.colors)}\n${said}\n`)
    return EXIT.ok
  }
  const { generation } = await mp.rules.set(wanted, { persist })
  const until = persist ? 'until `minipend rules --clear-persistent`' : 'until Ctrl-C'
  terminal.out(
    json
      ? `${toJson({ rules: wanted.length, ruleGeneration: generation })}\n`
      : `${wanted.length} rules are set (generation ${generation}), ${until}\n`,
  )
  while (!persist && (await sleep(60_000, stop))) {
    // The rules last as long as the connection.
  }
  stop.throwIfAborted()
  return EXIT.ok
}
