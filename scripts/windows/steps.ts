// SPDX-License-Identifier: MIT
//
// This module provides: what is done on a hosted Windows machine to build, install, load and try the driver, step by step. step.ts runs them;
// .github/workflows/windows.yml is a list of their names.
//
// What is done to the machine are calls of the table that `minipend validate` uses (src/cli/windows/commands.ts); only the build tools are named here. A
// hosted machine is thrown away afterwards, so nothing is undone. None of it has run on Windows yet.

import path from 'node:path'

import { type Call, expectZero, type Finished, type Invocation } from '../../src/cli/windows/command.js'
import { call } from '../../src/cli/windows/commands.js'
import { startOptions } from '../../src/cli/windows/outputs.js'

export const architectures = ['x64', 'arm64'] as const
export type Architecture = (typeof architectures)[number]

export interface Command extends Invocation {
  /** Its output is read, not only shown. */
  readonly reads: boolean
  /** Throws an Error when it was not what the step needs. */
  readonly check: (finished: Finished) => void
}

/** A program that builds: 0 is good. */
function tool(program: string, ...args: string[]): Command {
  const invocation = { program, args }
  return { ...invocation, reads: false, check: (finished) => expectZero(finished, invocation) }
}

const from = <R>(made: Call<R>, expected: (result: R) => string | undefined = () => undefined): Command => ({
  ...made,
  reads: true,
  check: (finished) => {
    const problem = expected(made.read(finished))
    if (problem !== undefined) throw new Error(problem)
  },
})

export interface Place {
  /** The repository. */
  readonly root: string
  /** For keys and disks; away from the repository. */
  readonly scratch: string
  readonly architecture: Architecture
}

/** A letter that hosted machines leave free. */
export const scratchVolume = 'M:'

/**
 * Driver Verifier without a restart: special pool, forced IRQL checking, pool tracking, I/O verification, security checks, miscellaneous checks, DDI
 * compliance. Filter verification (37) needs a restart.
 */
const verifierClasses = [1, 2, 4, 5, 9, 12, 18]
const isMinipend = ({ name }: { readonly name: string }): boolean => name === 'minipend'

const join = (...parts: string[]): string => path.win32.join(...parts)
const output = ({ root, architecture }: Place): string =>
  join(root, 'build', 'driver', `wdk-${architecture}`, 'Release')
const packageDirectory = (place: Place): string =>
  join(place.root, 'build', 'driver', `wdk-${place.architecture}`, 'package')
const disk = ({ scratch }: Place): string => join(scratch, 'minipend.vhdx')
const script = ({ scratch }: Place, name: string): string => join(scratch, `${name}.txt`)
const minipend = (place: Place, ...args: string[]): Command =>
  tool('node', join(place.root, 'dist', 'cli', 'main.js'), ...args)

/** There is no restart on a hosted machine [DEP-01]. */
const noRestart = ({ restartNeeded }: { readonly restartNeeded: boolean }): string | undefined =>
  restartNeeded ? 'it needs a restart, which a hosted machine cannot have' : undefined

export const steps = {
  /** The kits, from NuGet: hosted images of 2025 have no WDK. */
  kit: ({ root }) => [
    tool(
      'nuget',
      ...['restore', join(root, 'driver', 'packages.config')],
      ...['-PackagesDirectory', join(root, 'build', 'nuget')],
    ),
  ],
  driver: (place) => [
    tool(
      'msbuild',
      join(place.root, 'driver', 'minipend.vcxproj'),
      ...['/nologo', '/m', '/t:Rebuild', '/p:Configuration=Release'],
      `/p:Platform=${place.architecture === 'x64' ? 'x64' : 'ARM64'}`,
    ),
    tool('cmd', '/d', '/c', 'copy', '/y', join(place.root, 'driver', 'minipend.inf'), output(place)),
  ],
  /** A key that dies with the machine. */
  sign: (place) => [
    minipend(
      place,
      ...['sign', output(place), '--out', packageDirectory(place), '--key-dir', join(place.scratch, 'key')],
      ...['--kit', join(place.root, 'build', 'nuget')],
    ),
  ],
  /** Both stores, or the installation asks or fails [SIGN-03]. */
  trust: (place) =>
    (['Root', 'TrustedPublisher'] as const).map((store) =>
      from(call('addCertificate', { store, file: join(packageDirectory(place), 'minipend.cer') })),
    ),
  /** Fails when the machine was not started in test-signing mode, before anything is installed [SIGN-01]. */
  mode: () => [
    from(call('registry', { key: 'HKLM\\SYSTEM\\CurrentControlSet\\Control' }), (values) =>
      values !== undefined && startOptions(values).includes('TESTSIGNING')
        ? undefined
        : 'this machine was not started in test-signing mode',
    ),
  ],
  verifier: () => [from(call('verifierNow', { classes: verifierClasses, driver: 'minipend.sys' }), noRestart)],
  install: (place) => [from(call('install', { inf: join(packageDirectory(place), 'minipend.inf') }), noRestart)],
  volume: (place) => [
    from(
      call('attachDisk', {
        ...{ disk: disk(place), script: script(place, 'attach') },
        ...{ fileSystem: 'ntfs', letter: scratchVolume.slice(0, 1), megabytes: 512 },
      }),
    ),
  ],
  load: () => [
    from(call('load', { filter: 'minipend' })),
    from(call('filters'), (rows) => (rows.some(isMinipend) ? undefined : 'minipend is not loaded')),
  ],
  /** The driver on its real kernel, through the addon. */
  try: (place) => [minipend(place, 'run', join(place.root, 'scripts', 'windows', 'try.ts'), 'windows', scratchVolume)],
  unload: (place) => [
    from(call('unload', { filter: 'minipend' })),
    from(call('filters'), (rows) => (rows.some(isMinipend) ? 'minipend is still loaded' : undefined)),
    from(call('verifierActive')),
    from(call('detachDisk', { disk: disk(place), script: script(place, 'detach') })),
  ],
} satisfies Record<string, (place: Place) => readonly Command[]>

export type StepName = keyof typeof steps
export const stepNames = Object.keys(steps) as StepName[]
