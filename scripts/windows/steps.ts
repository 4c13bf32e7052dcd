// SPDX-License-Identifier: MIT
//
// This module provides: what is done on a Windows machine to build, install, load and try the driver, as one table of commands. step.ts runs them;
// .github/workflows/windows.yml is a list of their names.
//
// None of it has run on Windows yet. Ids in brackets are documented rules of the commands.

import path from 'node:path'

export const architectures = ['x64', 'arm64'] as const
export type Architecture = (typeof architectures)[number]

export interface Command {
  readonly program: string
  readonly args: readonly string[]
  /** Exit codes that are no failure; 0 alone by default. */
  readonly accepted?: readonly number[]
}

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
const verifierRules = ['1', '2', '4', '5', '9', '12', '18']

const join = (...parts: string[]): string => path.win32.join(...parts)
const output = ({ root, architecture }: Place): string =>
  join(root, 'build', 'driver', `wdk-${architecture}`, 'Release')
const packageDirectory = (place: Place): string =>
  join(place.root, 'build', 'driver', `wdk-${place.architecture}`, 'package')
const disk = ({ scratch }: Place): string => join(scratch, 'minipend.vhdx')
const minipend = (place: Place, ...args: string[]): Command => ({
  program: 'node',
  args: [join(place.root, 'dist', 'cli', 'main.js'), ...args],
})

/** What a file of the scratch directory has to say before its step runs. */
export const files: Readonly<Record<string, (place: Place) => string>> = {
  'attach.txt': (place) =>
    [
      `create vdisk file="${disk(place)}" maximum=512 type=expandable`,
      `select vdisk file="${disk(place)}"`,
      'attach vdisk',
      'create partition primary',
      'format fs=ntfs label=minipend quick',
      `assign letter=${scratchVolume.slice(0, 1)}`,
      '',
    ].join('\r\n'),
  'detach.txt': (place) => [`select vdisk file="${disk(place)}"`, 'detach vdisk', ''].join('\r\n'),
}

export const steps = {
  /** The kits, from NuGet: hosted images of 2025 have no WDK. */
  kit: (place) => [
    {
      program: 'nuget',
      args: [
        'restore',
        join(place.root, 'driver', 'packages.config'),
        '-PackagesDirectory',
        join(place.root, 'build', 'nuget'),
      ],
    },
  ],
  driver: (place) => [
    {
      program: 'msbuild',
      args: [
        join(place.root, 'driver', 'minipend.vcxproj'),
        '/nologo',
        '/m',
        '/t:Rebuild',
        '/p:Configuration=Release',
        `/p:Platform=${place.architecture === 'x64' ? 'x64' : 'ARM64'}`,
      ],
    },
    { program: 'cmd', args: ['/d', '/c', 'copy', '/y', join(place.root, 'driver', 'minipend.inf'), output(place)] },
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
    ['Root', 'TrustedPublisher'].map((store) => ({
      program: 'certutil',
      args: ['-f', '-addstore', store, join(packageDirectory(place), 'minipend.cer')],
    })),
  /** Fails when the machine is not in test-signing mode, before anything is installed [SIGN-01]. */
  mode: () => [{ program: 'cmd', args: ['/d', '/c', 'bcdedit /enum {current} | findstr /r /i "testsigning.*Yes"'] }],
  verifier: () => [{ program: 'verifier', args: ['/dif', ...verifierRules, '/now', '/driver', 'minipend.sys'] }],
  /** A restart that is asked for (3010) would be a failure: there is none on a hosted machine [DEP-01]. */
  install: (place) => [
    { program: 'pnputil', args: ['/add-driver', join(packageDirectory(place), 'minipend.inf'), '/install'] },
  ],
  volume: (place) => [{ program: 'diskpart', args: ['/s', join(place.scratch, 'attach.txt')] }],
  load: () => [
    { program: 'fltmc', args: ['load', 'minipend'] },
    { program: 'fltmc', args: ['filters'] },
  ],
  /** The driver on its real kernel, through the addon. */
  try: (place) => [minipend(place, 'run', join(place.root, 'scripts', 'windows', 'try.ts'), 'windows', scratchVolume)],
  /** [DEP-04]: the exit codes of fltmc are not documented, so what is loaded is shown as well. */
  unload: (place) => [
    { program: 'fltmc', args: ['unload', 'minipend'] },
    { program: 'fltmc', args: ['filters'] },
    { program: 'verifier', args: ['/query'] },
    { program: 'diskpart', args: ['/s', join(place.scratch, 'detach.txt')] },
  ],
} satisfies Record<string, (place: Place) => readonly Command[]>

export type StepName = keyof typeof steps
export const stepNames = Object.keys(steps) as StepName[]
