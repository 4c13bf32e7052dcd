// SPDX-License-Identifier: MIT
//
// This module provides: the commands, their options and their help.

import { Argument, Command, CommanderError, Option } from 'commander'
import { type BackendName, TRAFFIC_WORKLOADS, type TrafficWorkload } from '../index.js'
import { compare } from './compare.js'
import {
  altitudeOption,
  type CommandContext,
  integerOption,
  programOption,
  readingOption,
  seedOption,
} from './command.js'
import { demo } from './demo/demo.js'
import { doctor } from './doctor/doctor.js'
import { EXIT, exitCodeOf, exitCodesHelp } from './exit-codes.js'
import { host, type HostOptions } from './host.js'
import { packageManifest } from './package-manifest.js'
import { describeError, errorDocument } from './problems.js'
import { run } from './run/run.js'
import { instances, rules, type RulesOptions, stat } from './running-driver.js'
import type { SignOptions } from './sign/sign.js'
import type { ExploreOptions } from './explore/explore.js'
import { STRATEGIES } from './explore/strategies.js'
import { toJson } from './terminal.js'
import type { UndoOptions } from './windows/undo-command.js'
import { traffic, type TrafficCommandOptions } from './traffic.js'
import type { ValidateOptions } from './validate/validate.js'

const EXAMPLES = `
Examples:
  minipend demo                          the driver pends real operations, here and now
  minipend demo --seed 7 --json          with a seed for the model's scheduler, as one JSON document
  minipend run check.ts --verbose        a script of yours; arguments after it are the script's
  minipend traffic editor-save           what an editor does to save a file, again and again, through the driver
  minipend validate --html result.html   the conformance cases, with a page about what became of each
  minipend validate --backend windows --dry-run     what a run on a Windows test machine would do to it
  minipend explore --strategy pct        schedules of the driver's threads inside the model, until one fails
  minipend doctor                        what works on this machine, and what to do about the rest
  minipend stat --watch                  on a Windows test machine: what is held, refused and why

${exitCodesHelp()}

What is held has already taken effect in the file system; only the caller does not know yet.`

/** This package's version. */
export const packageVersion = (): string => packageManifest().version

interface JsonOption {
  readonly json?: boolean
}

/** What the command line decided; undefined: a script decides by itself. */
export interface Outcome {
  exitCode: number | undefined
}

export type ContextFactory = (json: boolean) => CommandContext

export function createProgram(makeContext: ContextFactory, outcome: Outcome): Command {
  const program = new Command('minipend')
  const { terminal } = makeContext(false)

  const contextFor = (command: Command): CommandContext =>
    makeContext(command.optsWithGlobals<JsonOption>().json === true)
  const add = (name: string, summary: string): Command =>
    program.command(name).description(summary).option('--json', 'print one JSON document instead of text')
  const backendOption = (): Option =>
    new Option('--backend <name>', 'where the driver runs; only windows has one that runs outside of a script')
      .choices(['windows', 'embedded'])
      .default('windows')
  const stateDirOption = (): Option =>
    new Option('--state-dir <directory>', 'windows: of the undo journal (default: %ProgramData%\\minipend)')

  program
    .description('Holds back file operations after the file system has finished them, and counts what became of each.')
    .version(packageVersion(), '-V, --version')
    .option('--json', 'print JSON instead of text')
    .enablePositionalOptions()
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text) })
    .exitOverride()
    .showHelpAfterError('(minipend --help says more)')
    .addHelpText('after', EXAMPLES)

  add('demo', 'files are written, renamed and deleted in the model while the driver pends some of it; then the balance')
    .option('--seed <number>', "seed of the model's scheduler (default: a random one)", seedOption)
    .option('--duration-ms <ms>', 'how long the load runs, 0 to 60000', integerOption(0, 60_000), 2000)
    .option('--files <count>', 'files that are renamed, 1 to 200', integerOption(1, 200), 8)
    .action(async (options: { seed?: bigint; durationMs: number; files: number }, command: Command) => {
      outcome.exitCode = await demo(contextFor(command), options)
    })

  add('run', 'runs a TypeScript or JavaScript file that imports "minipend"; await using works on every Node')
    .argument('<script>', 'the file')
    .argument('[args...]', "the script's own arguments")
    .passThroughOptions()
    .addHelpText(
      'after',
      '\nThe script has the exit code and the output; an error that it throws ends it with 1 (see minipend --help).',
    )
    .action(async (script: string, args: string[], _options: JsonOption, command: Command) => {
      outcome.exitCode = await run(contextFor(command), script, args)
    })

  add('doctor', 'what this machine can do, what is missing, how to fix it').action(
    async (_options: JsonOption, command: Command) => {
      outcome.exitCode = await doctor(contextFor(command))
    },
  )

  add('stat', 'what a driver that is loaded on this machine holds, refuses and why (Windows)')
    .addOption(backendOption())
    .option(
      '--watch [ms]',
      'look again every so often (default: every 1000 ms) until Ctrl-C',
      integerOption(50, 3_600_000),
    )
    .action(async (options: { backend: BackendName; watch?: number | true }, command: Command) => {
      const watch = options.watch === true ? 1000 : options.watch
      outcome.exitCode = await stat(contextFor(command), { backend: options.backend, watch })
    })

  add(
    'rules',
    'the rules of a driver that is loaded and what each has done, or rules from a file until Ctrl-C (Windows)',
  )
    .addOption(backendOption())
    .argument('[file]', 'a JSON file with an array of rules, as rules.set() takes them')
    .addOption(new Option('--persist', "the file's rules stay when the command ends"))
    .addOption(new Option('--clear-persistent', 'remove the rules that stayed').conflicts('persist'))
    .action(async (file: string | undefined, options: RulesOptions, command: Command) => {
      if (options.clearPersistent === true && file !== undefined) {
        command.error('error: --clear-persistent takes no file')
      }
      if (options.persist === true && file === undefined) {
        command.error('error: --persist needs a file')
      }
      outcome.exitCode = await rules(contextFor(command), options, file)
    })

  add('instances', 'the volumes that a driver that is loaded is attached to (Windows)')
    .addOption(backendOption())
    .action(async (options: { backend: BackendName }, command: Command) => {
      outcome.exitCode = await instances(contextFor(command), options)
    })

  add(
    'host',
    "another minifilter's Windows image in the model: loaded, driven with traffic under the verifier, unloaded",
  )
    .argument('<image>', 'the .sys file, for x64')
    .option('--altitude <number>', 'where it attaches (default: above or below minipend)', altitudeOption)
    .addOption(new Option('--minipend <where>', 'minipend is there too, above or below it').choices(['above', 'below']))
    .option('--process <path>', 'the program that the traffic is of (default: C:\\Windows\\client.exe)', programOption)
    .option('--operations <count>', 'calls of each workload, 1 to 1000000', integerOption(1, 1_000_000), 200)
    .option('--seed <number>', "seed of the model's scheduler and of the traffic (default: a random one)", seedOption)
    .action(async (image: string, options: HostOptions, command: Command) => {
      outcome.exitCode = await host(contextFor(command), image, options)
    })

  add('traffic', 'file operations as a kind of program does them, seeded, and what became of each call')
    .addArgument(new Argument('<workload>', 'what is done').choices(TRAFFIC_WORKLOADS))
    .addOption(
      new Option('--backend <name>', 'embedded: the model, in this process; windows: the driver that is loaded here')
        .choices(['embedded', 'windows'])
        .default('embedded'),
    )
    .option('--directory <path>', 'a directory that exists; needed on windows (default in the model: D:\\)')
    .option('--seed <number>', 'of what is done, and of the model (default: a random one)', seedOption)
    .option('--operations <count>', 'calls in all (default: 1000)', integerOption(1, 100_000_000))
    .option('--duration-ms <ms>', 'begin no call after so long', integerOption(1, 2_147_483_647))
    .option('--concurrency <count>', 'workers side by side, 1 to 256', integerOption(1, 256), 1)
    .option('--rules <file>', 'a JSON file with an array of rules that hold while it runs')
    .action(async (workload: TrafficWorkload, options: TrafficCommandOptions, command: Command) => {
      outcome.exitCode = await traffic(contextFor(command), workload, options)
    })

  add('validate', 'the conformance cases, rule by rule of the Filter Manager, and what became of each')
    .addOption(
      new Option('--backend <name>', 'embedded: the model; windows: the driver of this test machine')
        .choices(['embedded', 'windows'])
        .default('embedded'),
    )
    .option('--filter <text>', 'only cases with this text in their topic, their name or their rules')
    .option('--dry-run', 'windows: what would be done to the machine, and how it would be undone')
    .option(
      '--package <directory>',
      'windows: what minipend sign made (default: build/driver/ARCHITECTURE/package, else what npm brought)',
    )
    .option('--verifier', 'windows: under Driver Verifier; ends for a restart, and goes on when it is given again')
    .addOption(
      new Option(
        '--prepared',
        'windows: the driver is loaded, MINIPEND_NTFS and MINIPEND_FAT name volumes; changes nothing',
      ).conflicts(['dryRun', 'verifier', 'package']),
    )
    .option('--limit-minutes <minutes>', 'windows: for all cases (default: 60)', integerOption(1, 10_000))
    .addOption(stateDirOption())
    .option(
      '--reading <name=value>',
      'where documents disagree, what the model does (docs/READINGS.md); may be repeated',
      readingOption,
    )
    .option('--out <file>', 'the result as one JSON document')
    .option('--junit <file>', 'the result as JUnit XML')
    .option('--html <file>', 'the result as a page')
    .action(async (options: ValidateOptions, command: Command) => {
      const { validate } = await import('./validate/validate.js')
      outcome.exitCode = await validate(contextFor(command), options)
    })

  add('undo', 'puts a Windows test machine back after a run that could not do it itself (Windows)')
    .option('--dry-run', 'what is left to undo')
    .addOption(stateDirOption())
    .action(async (options: UndoOptions, command: Command) => {
      const { undo } = await import('./windows/undo-command.js')
      outcome.exitCode = await undo(contextFor(command), options)
    })

  add('compare', 'where two results of validate --out differ, and why they might')
    .argument('<first>', 'a JSON file')
    .argument('<second>', 'another')
    .action((first: string, second: string, _options: JsonOption, command: Command) => {
      outcome.exitCode = compare(contextFor(command), first, second)
    })

  add('explore', 'scenarios inside the model, with one schedule of their threads after the other, until one fails')
    .option('--scenario <name...>', 'these; --list names them (default: all)')
    .addOption(new Option('--strategy <name>', 'how schedules are chosen').choices(STRATEGIES).default('random'))
    .option('--schedules <count>', 'of each scenario', integerOption(1, 1_000_000_000), 2000)
    .option('--seed <number>', "the first schedule's; the next one's is one more (default: 1)", seedOption)
    .option('--depth <number>', 'pct: how many moments have to come together (default: 3)', integerOption(1, 32))
    .option(
      '--delays <count>',
      'exhaustive: at most so many decisions that are no defaults (default: 2)',
      integerOption(0, 16),
    )
    .addOption(
      new Option('--preemptions <count>', 'exhaustive: at most so many preemptions, and every order of what waits')
        .argParser(integerOption(0, 16))
        .conflicts('delays'),
    )
    .option('--jobs <count>', 'processes (default: as many as there are processors)', integerOption(1, 64))
    .option(
      '--plain-accesses [n]',
      "one in n of the driver's loads and stores is a scheduling point",
      integerOption(1, 1_000_000),
    )
    .option('--replay <text>', 'one schedule: SCENARIO/SEED/DECISIONS as a failure shows it, or a file with it')
    .option('--shrink', 'with --replay: remove decisions as long as it fails')
    .option('--list', 'the scenarios')
    .option('--out <file>', 'the result as one JSON document')
    .action(async (options: ExploreOptions, command: Command) => {
      const { explore } = await import('./explore/explore.js')
      outcome.exitCode = await explore(contextFor(command), options)
    })

  add('sign', 'a driver package with a test signature: image, catalog, and the certificate for a test machine')
    .argument('[directory]', 'where the INF and the .sys are', 'build/driver/x64')
    .option('--out <directory>', 'where the package goes (default: DIRECTORY/package)')
    .option(
      '--key-dir <directory>',
      "where the test key is kept, outside of any repository (default: the user's own place)",
    )
    .option(
      '--kit <directory>',
      'NuGet packages with signtool and Inf2Cat (Windows; default: the kits that are installed)',
    )
    .action(async (directory: string, options: SignOptions, command: Command) => {
      // Loaded when it is wanted: no other command needs what it is made of.
      const { sign } = await import('./sign/sign.js')
      outcome.exitCode = await sign(contextFor(command), directory, options)
    })

  return program
}

/** Runs the command line. Value: the exit code; undefined when a script keeps the say. Never throws. */
export async function runCommandLine(
  args: readonly string[],
  makeContext: ContextFactory,
): Promise<number | undefined> {
  const outcome: Outcome = { exitCode: EXIT.ok }
  const program = createProgram(makeContext, outcome)
  try {
    if (args.length === 0) {
      program.outputHelp({ error: true })
      return EXIT.usage
    }
    await program.parseAsync(args, { from: 'user' })
    return outcome.exitCode
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version were asked for; all else is a wrong command line, which commander has explained.
      return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    }
    const { terminal, json, stop } = makeContext(args.includes('--json'))
    const cause: unknown = stop.aborted ? stop.reason : error
    const exitCode = exitCodeOf(cause)
    if (!stop.aborted) {
      if (json) {
        terminal.out(`${toJson(errorDocument(error))}\n`)
      } else {
        terminal.err(describeError(error, terminal.colors))
      }
    }
    return exitCode
  }
}
