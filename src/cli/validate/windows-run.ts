// SPDX-License-Identifier: MIT
//
// This module provides: `minipend validate --backend windows`: looks at the machine, installs and loads the driver, makes volumes, runs the cases, takes
// all of it back, and writes the result.
//
// Invariants: nothing is changed that the undo journal does not have first; whatever ends the run (a failure, Ctrl-C, a time limit), the journal is played
// back; what an earlier run left is played back before anything else. Results are written before anything is taken back.

import { createHash } from 'node:crypto'
import path from 'node:path'
import type { CommandContext } from '../command.js'
import { EXIT, type ExitCode } from '../exit-codes.js'
import { MachineError } from '../machine-error.js'
import { packageManifest } from '../package-manifest.js'
import { toJson } from '../terminal.js'
import { freeLetters, judge, lookAt, type MachineFacts } from '../windows/checks.js'
import { call } from '../windows/commands.js'
import { bounded, diagnose } from '../windows/diagnosis.js'
import { defaultPackage, type DriverPackageFiles, readDriverFiles } from '../windows/driver-files.js'
import type { Journal } from '../windows/journal.js'
import { imagePath, perform, type WindowsMachine } from '../windows/machine.js'
import {
  doSteps,
  planned,
  planText,
  type PlannedStep,
  type RunSettings,
  stepsOf,
  verifierStep,
} from '../windows/plan.js'
import {
  lastCase,
  openJournal,
  requireElevated,
  stateDirectory,
  thisWindows,
  undoAll,
  type WindowsParts,
} from '../windows/state.js'
import { IMAGE, requireAllUndone, SERVICE_KEY } from '../windows/undo.js'
import type { CaseResult, ResultDocument } from './document.js'
import { PACKAGE_ROOT, requireSuite, runSuite } from './suite.js'
import {
  failuresTo,
  requireWindowsLane,
  resultDocument,
  showResults,
  type ValidateOptions,
  writeResults,
} from './validate.js'

export interface WindowsRunParts extends WindowsParts {
  readonly suite: typeof runSuite
}

const DEFAULT_LIMIT_MINUTES = 60
/** How long cases that were told to stop may take for it. */
const STOP_GRACE_MS = 60_000

/** What a run would do, on any machine. Letters and the certificate's hash are found out by the run. */
export function dryRunPlan(directory: string, packageDirectory: string, verifier: boolean): readonly PlannedStep[] {
  const settings: RunSettings = {
    directory,
    driver: {
      inf: path.win32.join(packageDirectory, 'minipend.inf'),
      certificate: path.win32.join(packageDirectory, 'minipend.cer'),
      sha1: '(SHA-1 of minipend.cer)',
    },
    letters: { ntfs: 'M', fat: 'N' },
    trusted: { Root: false, TrustedPublisher: false },
    build: 22_000,
  }
  const first: PlannedStep[] = [
    { title: 'undo what an earlier run left, if it did', rules: [], commands: ['minipend undo'], undo: null },
    {
      title: 'look at the machine; go on only when it is ready',
      rules: ['SIGN-01'],
      commands: ['minipend doctor'],
      undo: null,
    },
  ]
  const restart: PlannedStep = {
    title: 'end here; after a restart the same command goes on, and takes this back at its end too',
    ...{ rules: ['VCMD-04'], commands: ['(restart the machine)'], undo: null },
  }
  const cases: PlannedStep = {
    title: 'run the conformance cases, write the result, then undo all of it, the last first',
    ...{ rules: [], commands: ['vitest: test/conformance, MINIPEND_NTFS=M: MINIPEND_FAT=N:'], undo: null },
  }
  const verified = verifier ? [planned(verifierStep(settings)), restart] : []
  return [...first, ...verified, ...stepsOf(settings).map(planned), cases]
}

function say({ terminal }: CommandContext, line: string): void {
  terminal.err(`minipend: ${line}\n`)
}

/** @throws MachineError with what is wrong and what to do about each */
async function readyMachine(
  machine: WindowsMachine,
  directory: string,
  packageDirectory: string,
  verifier: boolean,
): Promise<{ readonly facts: MachineFacts; readonly driver: DriverPackageFiles }> {
  const driver = readDriverFiles(machine, packageDirectory)
  const facts = await lookAt(machine, directory, 'problem' in driver ? undefined : driver.sha1)
  const checks = judge(facts, driver, verifier, machine.architecture)
  const wrong = checks.filter(({ status }) => status !== 'ok')
  if (wrong.length > 0 || facts === undefined || 'problem' in driver) {
    const lines = wrong.map(
      ({ title, detail, fix }) => `${title}: ${detail}${fix === undefined ? '' : `\n    what to do: ${fix}`}`,
    )
    throw new MachineError(`validate: this machine is not ready; nothing was changed\n  ${lines.join('\n  ')}`, {
      hint: 'docs/VM.md has all of it in order',
      exitCode: 3,
    })
  }
  return { facts, driver }
}

/** The image that Windows will load, which must be the one of the package. */
async function installedDriver(machine: WindowsMachine, driver: DriverPackageFiles): Promise<ResultDocument['driver']> {
  const service = await perform(machine, call('registry', { key: SERVICE_KEY }))
  const file = imagePath(service?.get('ImagePath') ?? `System32\\drivers\\${IMAGE}`, machine.environment)
  if (!machine.exists(file)) {
    throw new MachineError(`validate: the installed image is not where its service says: ${file}`)
  }
  const sha256 = createHash('sha256').update(machine.read(file)).digest('hex')
  if (sha256 !== driver.sha256) {
    throw new MachineError(`validate: ${file} is not the image of the package: SHA-256 ${sha256}, not ${driver.sha256}`)
  }
  return { file: IMAGE, sha256 }
}

const windowsPart = (facts: MachineFacts, active: MachineFacts['verifierActive']): ResultDocument['windows'] => ({
  ...{ product: facts.product, build: facts.build, revision: facts.revision, startOptions: facts.startOptions },
  ...{ secureBoot: facts.secureBoot ?? null, memoryIntegrity: facts.memoryIntegrity },
  verifier: active,
  filters: facts.filters.map(({ name, altitude }) => ({ name, altitude })),
})

interface CasesRun {
  readonly cases: readonly CaseResult[]
  readonly diagnosis: readonly string[] | undefined
}

/** Runs the cases within the limit; what does not end is looked at first, then told to stop. */
async function runCases(
  context: CommandContext,
  options: ValidateOptions,
  { machine, suite, progress }: WindowsRunParts,
  letters: RunSettings['letters'],
): Promise<CasesRun> {
  context.stop.throwIfAborted()
  const limitMs = (options.limitMinutes ?? DEFAULT_LIMIT_MINUTES) * 60_000
  const stopCases = new AbortController()
  const show = failuresTo(context)
  const running = suite({
    ...{ backend: 'windows', filter: options.filter, junit: options.junit },
    volumes: { ntfs: `${letters.ntfs}:`, fat: `${letters.fat}:` },
    stop: AbortSignal.any([context.stop, stopCases.signal]),
    onStart: (begun) => progress.append(`${JSON.stringify({ begun })}\n`),
    onCase: (result) => {
      progress.append(`${JSON.stringify({ ended: `${result.topic}: ${result.name}`, outcome: result.outcome })}\n`)
      show(result)
    },
  })
  // Looked at again below, or nobody waits for it any more.
  running.catch(() => undefined)
  const stopped = new Promise<'stopped'>((resolve) => {
    context.stop.addEventListener('abort', () => resolve('stopped'), { once: true })
  })
  let ended = await bounded(Promise.race([running, stopped]), limitMs)
  if (ended === 'stopped') {
    await bounded(running, STOP_GRACE_MS).catch(() => undefined)
    throw context.stop.reason
  }
  let diagnosis: string[] | undefined
  if (ended === 'slow') {
    say(context, `the cases have not ended within ${limitMs / 60_000} minutes`)
    diagnosis = await diagnose(machine, context.open)
    diagnosis.forEach((line) => say(context, `  ${line}`))
    stopCases.abort()
    ended = await bounded(running, STOP_GRACE_MS)
  }
  if (ended === 'slow') {
    throw new MachineError('validate: the cases did not end, and could not be stopped', {
      hint: 'restart the machine, then: minipend undo. What each case came to is in progress.jsonl beside the journal',
    })
  }
  context.stop.throwIfAborted()
  return { cases: ended, diagnosis }
}

async function runOnce(
  context: CommandContext,
  options: ValidateOptions,
  parts: WindowsRunParts,
  journal: Journal,
  ready: Awaited<ReturnType<typeof readyMachine>>,
  directory: string,
): Promise<ResultDocument> {
  const { machine, progress } = parts
  const { facts, driver } = ready
  const [ntfs = '', fat = ''] = freeLetters(facts.drives)
  const settings: RunSettings = {
    ...{ directory, driver, letters: { ntfs, fat }, build: facts.build },
    trusted: facts.certificates ?? { Root: false, TrustedPublisher: false },
  }
  await doSteps(machine, journal, stepsOf(settings), context.stop, ({ title }) => say(context, title))
  const image = await installedDriver(machine, driver)
  const active = await perform(machine, call('verifierActive'))
  if (options.verifier === true && !active.drivers.includes(IMAGE)) {
    throw new MachineError(`validate: Driver Verifier does not look at ${IMAGE}, although it was told to`, {
      hint: 'minipend undo, restart the machine, and give the command again',
    })
  }
  progress.remove()
  const started = new Date()
  const { cases, diagnosis } = await runCases(context, options, parts, settings.letters)
  const lane = { driver: image, lane: 'vm' as const, windows: windowsPart(facts, active), diagnosis }
  const result = resultDocument(context, options, cases, started, lane)
  writeResults(options, result)
  return result
}

/** Undoes what an earlier run left, unless this one goes on with it. Value: it does. */
async function takeOver(
  context: CommandContext,
  options: ValidateOptions,
  { machine, progress }: WindowsRunParts,
  journal: Journal,
): Promise<boolean> {
  if (journal.pending.length === 0 && journal.damaged.length === 0) {
    return false
  }
  await requireElevated(machine)
  const { pausedAt } = journal
  if (pausedAt !== undefined && options.verifier === true) {
    // Whether a driver is named before it is loaded has not been seen yet; that it is verified is looked at again when it is.
    const { drivers } = await perform(machine, call('verifierActive'))
    if (!drivers.includes(IMAGE) && machine.startedAt() <= pausedAt) {
      throw new MachineError('validate: Driver Verifier is set, and the machine has not been restarted since', {
        hint: 'restart the machine, then give the same command again; minipend undo takes the setting back',
        exitCode: 7,
      })
    }
    say(context, 'going on after the restart, under Driver Verifier')
    return true
  }
  const { at, version } = journal.begun ?? { at: 'at an unknown time', version: 'an unknown version' }
  const last = lastCase(progress)
  const where = last === undefined ? '' : `, in the case "${last}"`
  say(context, `a run of ${at} (minipend ${version}) was cut off${where}; undoing what it left`)
  const played = await undoAll(context, machine, journal)
  requireAllUndone(played, journal)
  if (played.restartNeeded) {
    throw new MachineError('validate: what an earlier run left is undone, and Windows wants a restart for it', {
      hint: 'restart the machine, then give the same command again',
      exitCode: 7,
    })
  }
  return false
}

/** A run that ended as it should, or in its own way; then the machine, whatever became of the run. */
async function runAndUndo(
  context: CommandContext,
  machine: WindowsMachine,
  journal: Journal,
  work: () => Promise<ResultDocument>,
): Promise<ExitCode> {
  let result: ResultDocument | undefined
  let failure: unknown
  let hasFailed = false
  try {
    result = await work()
  } catch (error) {
    failure = error
    hasFailed = true
  }
  const played = await undoAll(context, machine, journal)
  const code = result === undefined ? EXIT.failed : showResults(context, result)
  let leftOver = false
  try {
    requireAllUndone(played, journal)
  } catch (error) {
    if (!(error instanceof MachineError)) {
      throw error
    }
    // Said beside the result, or beside the failure that the run is about.
    leftOver = true
    say(context, error.message)
    say(context, `  what to do: ${error.hint ?? ''}`)
  }
  if (hasFailed) {
    throw failure
  }
  if (played.restartNeeded) {
    say(context, 'Driver Verifier is off again from the next restart on')
  }
  return leftOver || result?.diagnosis !== undefined ? EXIT.failed : code
}

/** `given`: for tests. */
export async function validateOnWindows(
  context: CommandContext,
  options: ValidateOptions,
  given?: WindowsRunParts,
): Promise<ExitCode> {
  const { platform, terminal, json } = context
  const directory = stateDirectory(options.stateDir, process.env)
  const parts = given ?? { ...thisWindows(directory, platform), suite: runSuite }
  const named = options.package ?? defaultPackage(parts.machine, PACKAGE_ROOT)
  if (options.dryRun === true) {
    const steps = dryRunPlan(directory, named, options.verifier === true)
    terminal.out(json ? `${toJson({ directory, steps })}\n` : `${planText(steps)}\n\nnothing of this has been done\n`)
    return EXIT.ok
  }
  requireWindowsLane(platform)
  if (given === undefined) {
    await requireSuite()
  }
  const { machine } = parts
  const lock = await parts.lock()
  try {
    const journal = openJournal(parts.journal, directory)
    const resumed = await takeOver(context, options, parts, journal)
    // Not ready: nothing is changed, and a run that waits for it may be given again.
    const ready = await readyMachine(machine, directory, path.win32.resolve(named), options.verifier === true)
    if (options.verifier === true && !resumed) {
      return await firstPhase(context, machine, journal, ready)
    }
    if (resumed) {
      journal.resume()
    } else {
      journal.begin(new Date(), packageManifest().version)
    }
    return await runAndUndo(context, machine, journal, () =>
      runOnce(context, options, parts, journal, ready, directory),
    )
  } finally {
    await lock.release()
  }
}

/** Driver Verifier is set, and nothing else, for the restart in between. */
async function firstPhase(
  context: CommandContext,
  machine: WindowsMachine,
  journal: Journal,
  { facts }: Awaited<ReturnType<typeof readyMachine>>,
): Promise<ExitCode> {
  journal.begin(new Date(), packageManifest().version)
  try {
    await doSteps(machine, journal, [verifierStep(facts)], context.stop, ({ title }) => say(context, title))
    journal.pause(new Date())
  } catch (error) {
    const played = await undoAll(context, machine, journal)
    requireAllUndone(played, journal)
    throw error
  }
  throw new MachineError('validate: Driver Verifier is set; it begins with the next start of the machine', {
    hint: 'restart the machine, then give the same command again. minipend undo takes the setting back',
    exitCode: 7,
  })
}
