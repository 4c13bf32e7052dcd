// SPDX-License-Identifier: MIT
//
// This module provides: what a run does to the machine, step by step, each with its undo; doing it; and the same as text.

import path from 'node:path'
import { MachineError } from '../machine-error.js'
import { type Call, lineOf } from './command.js'
import { call, commands } from './commands.js'
import type { DriverPackageFiles } from './driver-files.js'
import type { Journal } from './journal.js'
import { perform, type WindowsMachine } from './machine.js'
import {
  FILTER,
  IMAGE,
  INF,
  isThere,
  scratchDirectory,
  titleOf,
  undoCalls,
  type UndoAction,
  undoRemoves,
} from './undo.js'

export interface Step {
  readonly title: string
  readonly calls: readonly Call<unknown>[]
  /** A directory that is made first. */
  readonly makes?: string
  readonly undo: UndoAction
  /** Beyond what its undo looks at: whether it is there as it was meant to be. */
  readonly isWhole?: (machine: WindowsMachine) => Promise<boolean>
  /** It works from the next start on, as it should, and whether it is set shows only then. */
  readonly fromNextStart?: boolean
}

export interface RunSettings {
  /** Of the journal; scratch files are below it. */
  readonly directory: string
  readonly driver: Pick<DriverPackageFiles, 'inf' | 'certificate' | 'sha1'>
  readonly letters: { readonly ntfs: string; readonly fat: string }
  /** Stores that have the certificate already: it stays there. */
  readonly trusted: { readonly Root: boolean; readonly TrustedPublisher: boolean }
  readonly build: number
}

/** Big enough for FAT32, small enough for any machine. */
const MEGABYTES = 512
const FIRST_WINDOWS_11 = 22_000
/** Standard settings, and 37: file system filters [VCMD-02]. */
const VERIFIER_CLASSES = [1, 2, 4, 5, 6, 8, 9, 12, 18, 37]
/** Standard settings with I/O verification, which is what verifies file system filters there [VCMD-01]. */
const VERIFIER_FLAGS = 0x2_09bb

/** For both phases; the machine is restarted after it. A driver that starts on demand cannot keep a machine from starting. */
export const verifierStep = ({ build }: Pick<RunSettings, 'build'>): Step => ({
  title: 'have Driver Verifier look at the driver, from the next start on',
  calls: [
    build >= FIRST_WINDOWS_11
      ? call('verifierClasses', { classes: VERIFIER_CLASSES, driver: IMAGE })
      : call('verifierFlags', { flags: VERIFIER_FLAGS, driver: IMAGE }),
  ],
  undo: { kind: 'verifier', driver: IMAGE },
  fromNextStart: true,
})

function volumeStep(directory: string, name: 'ntfs' | 'fat', letter: string): Step {
  const scratch = scratchDirectory(directory)
  const disk = path.win32.join(scratch, `${name}.vhdx`)
  const fileSystem = name === 'ntfs' ? 'ntfs' : 'fat32'
  return {
    title: `make the ${fileSystem.toUpperCase()} volume ${letter}: in a file`,
    calls: [
      call('attachDisk', {
        ...{ disk, script: path.win32.join(scratch, `${name}.txt`) },
        ...{ fileSystem, letter, megabytes: MEGABYTES },
      }),
    ],
    undo: { kind: 'volume', disk, letter },
    isWhole: async (machine) => (await perform(machine, call('drives'))).includes(letter),
  }
}

export function stepsOf({ directory, driver, letters, trusted }: RunSettings): Step[] {
  const scratch = scratchDirectory(directory)
  const stores = (['Root', 'TrustedPublisher'] as const).filter((store) => !trusted[store])
  return [
    {
      ...{ title: `make the directory ${scratch}`, calls: [], makes: scratch },
      undo: { kind: 'directory', directory: scratch },
    },
    ...stores.map((store): Step => ({
      title: `trust the test certificate: ${store}`,
      calls: [call('addCertificate', { store, file: driver.certificate })],
      undo: { kind: 'certificate', store, sha1: driver.sha1 },
    })),
    {
      title: 'install the driver package',
      calls: [call('install', { inf: driver.inf })],
      undo: { kind: 'package', inf: INF },
    },
    volumeStep(directory, 'ntfs', letters.ntfs),
    volumeStep(directory, 'fat', letters.fat),
    {
      title: 'load the driver',
      calls: [call('load', { filter: FILTER })],
      undo: { kind: 'filter', filter: FILTER },
    },
  ]
}

/** Does the steps, each written down before it is done. @throws CommandError, MachineError, or the reason of `stop` */
export async function doSteps(
  machine: WindowsMachine,
  journal: Journal,
  steps: readonly Step[],
  stop: AbortSignal,
  onStep: (step: Step) => void,
): Promise<void> {
  for (const step of steps) {
    stop.throwIfAborted()
    onStep(step)
    const number = journal.intend(step.undo)
    if (step.makes !== undefined) {
      machine.makeDirectory(step.makes)
    }
    for (const made of step.calls) {
      const result = (await perform(machine, made)) as { readonly restartNeeded?: boolean } | undefined
      if (result?.restartNeeded === true && step.fromNextStart !== true) {
        throw new MachineError(`${step.title}: Windows wants to be restarted first`, {
          hint: 'restart the machine, then give the same command again',
          exitCode: 7,
        })
      }
    }
    const isWhole = (await isThere(machine, step.undo)) && (await (step.isWhole?.(machine) ?? true))
    if (!isWhole && step.fromNextStart !== true) {
      throw new MachineError(`${step.title}: no failure was reported, and ${titleOf(step.undo)} is not there`)
    }
    journal.done(number)
  }
}

/** A command as the plan shows it. */
const shown = (made: Call<unknown>): string[] => [
  lineOf(made),
  ...(made.script?.text ?? '')
    .split('\r\n')
    .filter(Boolean)
    .map((line) => `  | ${line}`),
]

const sourcesOf = (calls: readonly Call<unknown>[]): string[] => [
  ...new Set(
    calls
      .flatMap(({ name }) => commands[name as keyof typeof commands].sources)
      .filter((source) => !source.startsWith('http')),
  ),
]

export interface PlannedStep {
  readonly title: string
  readonly rules: readonly string[]
  readonly commands: readonly string[]
  readonly undo: { readonly title: string; readonly commands: readonly string[] } | null
}

export function planned({ title, calls, makes, undo }: Step): PlannedStep {
  const back = undoCalls(undo)
  const removed = undoRemoves(undo)
  return {
    title,
    rules: sourcesOf([...calls, ...back]),
    commands: [...(makes === undefined ? [] : [`(makes ${makes})`]), ...calls.flatMap(shown)],
    undo: {
      title: titleOf(undo),
      commands: [...back.flatMap(shown), ...(removed === undefined ? [] : [`(removes ${removed})`])],
    },
  }
}

export function planText(steps: readonly PlannedStep[]): string {
  return steps
    .map(({ title, rules, commands: lines, undo }, index) => {
      const head = `${String(index + 1).padStart(2)}. ${title}${rules.length === 0 ? '' : ` [${rules.join(', ')}]`}`
      const back = undo === null ? [] : ['    undone by', ...undo.commands.map((line) => `      ${line}`)]
      return [head, ...lines.map((line) => `      ${line}`), ...back].join('\n')
    })
    .join('\n')
}
