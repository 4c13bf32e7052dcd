// SPDX-License-Identifier: MIT
//
// This module provides: the table of all Windows commands that minipend gives: the program, its arguments, what its end means, from where that is known,
// what it changes and what undoes it. `validate`, `undo`, `doctor` and the steps for hosted machines (scripts/windows/steps.ts) have no others.
//
// None of them has been given on Windows yet. docs/VM.md lists them; test/unit/windows/commands.test.ts keeps that list.

import {
  type Call,
  type CommandRow,
  expectZero,
  failed,
  type Finished,
  type Invocation,
  printedHresult,
} from './command.js'
import {
  bootElement,
  drivesOf,
  filtersOf,
  instancesOf,
  integrityLevel,
  packagesOf,
  publishedName,
  registryValues,
  verifierState,
} from './outputs.js'

const PAGES = 'https://learn.microsoft.com'
const COMMANDS_PAGE = `${PAGES}/windows-server/administration/windows-commands`
const DEVTEST = `${PAGES}/windows-hardware/drivers/devtest`

const QUICK = 30_000
const SLOW = 180_000

const row = <P, R>(given: CommandRow<P, R>): CommandRow<P, R> => given

/** fltmc: the exit codes are not documented; a failure prints an HRESULT. */
function expectNoHresult(finished: Finished, invocation: Invocation): undefined {
  if (printedHresult(finished.output) !== undefined) {
    throw failed(invocation, finished)
  }
}

/** pnputil: 259 is "nothing was done because nothing had to be", which for a primitive driver never is what was wanted. */
const RESTART_NEEDED = 3010

export interface RestartOr {
  /** It will be done at the next start. */
  readonly restartNeeded: boolean
}

function pnputilEnd(finished: Finished, invocation: Invocation): RestartOr {
  if (finished.code !== 0 && finished.code !== RESTART_NEEDED) {
    throw failed(invocation, finished)
  }
  return { restartNeeded: finished.code === RESTART_NEEDED }
}

/** verifier: 0 done, 1 failed, 2 done at the next start [VCMD-04]. */
function verifierEnd(finished: Finished, invocation: Invocation): RestartOr {
  if (finished.code !== 0 && finished.code !== 2) {
    throw failed(invocation, finished)
  }
  return { restartNeeded: finished.code === 2 }
}

/** sc ends with the error itself. */
const NO_SUCH_SERVICE = 1060

const NOT_FOUND: readonly (number | undefined)[] = [0x80090011, 0x80092004]

export interface DiskParameters {
  /** The VHDX. */
  readonly disk: string
  /** Where diskpart reads its commands from. */
  readonly script: string
}

export interface VolumeParameters extends DiskParameters {
  readonly fileSystem: 'ntfs' | 'fat32'
  /** One letter. */
  readonly letter: string
  readonly megabytes: number
}

const scriptOf = (file: string, lines: readonly string[]): { file: string; text: string } => ({
  file,
  text: `${lines.join('\r\n')}\r\n`,
})

export interface StoreParameters {
  readonly store: 'Root' | 'TrustedPublisher'
  /** SHA-1 of the certificate. */
  readonly sha1: string
}

export const commands = {
  groups: row<undefined, number | undefined>({
    program: 'whoami',
    args: () => ['/groups', '/fo', 'csv', '/nh'],
    read: (finished, invocation) => {
      expectZero(finished, invocation)
      return integrityLevel(finished.output)
    },
    means: 'the SID S-1-16-N is the integrity level; from 12288 on the process is elevated',
    sources: [`${COMMANDS_PAGE}/whoami`, `${PAGES}/windows/win32/secauthz/well-known-sids`],
    limitMs: QUICK,
  }),
  registry: row<{ readonly key: string }, ReadonlyMap<string, string> | undefined>({
    program: 'reg',
    args: ({ key }) => ['query', key],
    read: ({ code, output }) => (code === 0 ? registryValues(output) : undefined),
    means: 'exit code 0: the values of the key, 1: there is none',
    sources: [`${COMMANDS_PAGE}/reg-query`],
    limitMs: QUICK,
  }),
  bootEntry: row<undefined, { readonly testSigning: boolean }>({
    program: 'bcdedit',
    args: () => ['/enum', '{current}'],
    read: (finished, invocation) => {
      expectZero(finished, invocation)
      return { testSigning: bootElement(finished.output, 'testsigning') }
    },
    means: 'exit code 0: the entry; a line "testsigning" that does not say no: on at the next start',
    sources: ['SIGN-01', `${PAGES}/windows-hardware/drivers/devtest/bcdedit--set`],
    limitMs: QUICK,
  }),
  drives: row<undefined, readonly string[]>({
    program: 'fsutil',
    args: () => ['fsinfo', 'drives'],
    read: (finished, invocation) => {
      expectZero(finished, invocation)
      return drivesOf(finished.output)
    },
    means: 'exit code 0: all letters in use, as X:\\',
    sources: [`${COMMANDS_PAGE}/fsutil-fsinfo`],
    limitMs: QUICK,
  }),
  certificate: row<StoreParameters, boolean>({
    program: 'certutil',
    args: ({ store, sha1 }) => ['-store', store, sha1],
    read: (finished, invocation) => {
      const hresult = printedHresult(finished.output)
      if (finished.code === 0) {
        return true
      }
      if (NOT_FOUND.includes(hresult) || NOT_FOUND.includes(finished.code >>> 0)) {
        return false
      }
      throw failed(invocation, finished)
    },
    means: 'exit code 0: it is there; 0x80090011 or 0x80092004: it is not',
    sources: ['SIGN-03', `${COMMANDS_PAGE}/certutil`],
    limitMs: QUICK,
  }),
  addCertificate: row<{ readonly store: StoreParameters['store']; readonly file: string }, undefined>({
    program: 'certutil',
    args: ({ store, file }) => ['-f', '-addstore', store, file],
    read: expectZero,
    means: 'exit code 0: it is there now',
    sources: ['SIGN-03', `${COMMANDS_PAGE}/certutil`],
    changes: { what: 'a certificate in a store of the machine', undoneBy: 'deleteCertificate' },
    limitMs: QUICK,
  }),
  deleteCertificate: row<StoreParameters, undefined>({
    program: 'certutil',
    args: ({ store, sha1 }) => ['-delstore', store, sha1],
    read: expectZero,
    means: 'exit code 0: it is gone',
    sources: ['SIGN-03', `${COMMANDS_PAGE}/certutil`],
    changes: { what: 'a certificate in a store of the machine', undoneBy: 'addCertificate' },
    limitMs: QUICK,
  }),
  packages: row<undefined, ReturnType<typeof packagesOf>>({
    program: 'pnputil',
    args: () => ['/enum-drivers'],
    read: (finished, invocation) => {
      expectZero(finished, invocation)
      return packagesOf(finished.output)
    },
    means: 'exit code 0: a block for each package, oemN.inf first and its own name after it',
    sources: ['DEP-01', `${DEVTEST}/pnputil-command-syntax`],
    limitMs: SLOW,
  }),
  install: row<{ readonly inf: string }, RestartOr & { readonly published: string | undefined }>({
    program: 'pnputil',
    args: ({ inf }) => ['/add-driver', inf, '/install'],
    read: (finished, invocation) => ({
      ...pnputilEnd(finished, invocation),
      published: publishedName(finished.output),
    }),
    means: 'exit code 0: installed (the service is there, nothing is loaded), 3010: at the next start; all else failed',
    sources: ['DEP-01', 'INF-07', `${DEVTEST}/pnputil-return-values`],
    changes: { what: 'a package in the driver store, and its service', undoneBy: 'uninstall' },
    limitMs: SLOW,
  }),
  uninstall: row<{ readonly published: string }, RestartOr>({
    program: 'pnputil',
    args: ({ published }) => ['/delete-driver', published, '/uninstall'],
    read: pnputilEnd,
    means: 'exit code 0: gone, 3010: at the next start; all else failed',
    sources: ['DEP-01', `${DEVTEST}/pnputil-return-values`],
    changes: { what: 'a package in the driver store, and its service', undoneBy: 'install' },
    limitMs: SLOW,
  }),
  deleteService: row<{ readonly service: string }, undefined>({
    program: 'sc',
    args: ({ service }) => ['delete', service],
    read: (finished, invocation) => {
      if (finished.code !== NO_SUCH_SERVICE) {
        expectZero(finished, invocation)
      }
    },
    means: 'exit code 0: gone, 1060: it was not there. Only for what an interrupted pnputil leaves',
    sources: ['DEP-03', `${COMMANDS_PAGE}/sc-delete`],
    changes: { what: 'the service of the driver', undoneBy: 'install' },
    limitMs: QUICK,
  }),
  filters: row<undefined, ReturnType<typeof filtersOf>>({
    program: 'fltmc',
    args: () => ['filters'],
    read: (finished, invocation) => {
      expectNoHresult(finished, invocation)
      return filtersOf(finished.output)
    },
    means: 'a printed 0x8....... is a failure; else a row for each loaded filter',
    sources: ['DEP-04'],
    limitMs: QUICK,
  }),
  instances: row<undefined, ReturnType<typeof instancesOf>>({
    program: 'fltmc',
    args: () => ['instances'],
    read: (finished, invocation) => {
      expectNoHresult(finished, invocation)
      return instancesOf(finished.output)
    },
    means: 'a printed 0x8....... is a failure; else a row for each instance of each filter',
    sources: ['DEP-04'],
    limitMs: QUICK,
  }),
  load: row<{ readonly filter: string }, undefined>({
    program: 'fltmc',
    args: ({ filter }) => ['load', filter],
    read: expectNoHresult,
    means: 'a printed 0x8....... is a failure; whether it is loaded, `fltmc filters` says',
    sources: ['DEP-04', 'DEP-05', 'UNL-06'],
    changes: { what: 'a filter that is loaded', undoneBy: 'unload' },
    limitMs: 60_000,
  }),
  unload: row<{ readonly filter: string }, undefined>({
    program: 'fltmc',
    args: ({ filter }) => ['unload', filter],
    read: expectNoHresult,
    means: 'a printed 0x8....... is a failure; whether it is gone, `fltmc filters` says. It waits for what is held',
    sources: ['DEP-04', 'DEP-05', 'UNL-01', 'LIFE-14'],
    changes: { what: 'a filter that is loaded', undoneBy: 'load' },
    limitMs: 60_000,
  }),
  attachDisk: row<VolumeParameters, undefined>({
    program: 'diskpart',
    args: ({ script }) => ['/s', script],
    script: ({ disk, script, fileSystem, letter, megabytes }) =>
      scriptOf(script, [
        `create vdisk file="${disk}" maximum=${megabytes} type=expandable`,
        `select vdisk file="${disk}"`,
        'attach vdisk',
        'create partition primary',
        `format fs=${fileSystem} label=minipend quick`,
        `assign letter=${letter}`,
      ]),
    read: expectZero,
    means: 'exit code 0: each line was done; it stops at the first that fails',
    sources: [`${COMMANDS_PAGE}/diskpart`, `${COMMANDS_PAGE}/diskpart-scripts-and-examples`],
    changes: { what: 'a disk in a file, and a volume on it', undoneBy: 'detachDisk' },
    limitMs: SLOW,
  }),
  detachDisk: row<DiskParameters, undefined>({
    program: 'diskpart',
    args: ({ script }) => ['/s', script],
    // After a restart it is not attached any more: that is no failure. The file is removed by minipend itself.
    script: ({ disk, script }) => scriptOf(script, [`select vdisk file="${disk}"`, 'detach vdisk noerr']),
    read: expectZero,
    means: 'exit code 0: it is not attached (any more)',
    sources: [`${COMMANDS_PAGE}/detach-vdisk`, `${COMMANDS_PAGE}/diskpart-scripts-and-examples`],
    changes: { what: 'a disk in a file', undoneBy: 'attachDisk' },
    limitMs: SLOW,
  }),
  verifierSettings: row<undefined, ReturnType<typeof verifierState>>({
    program: 'verifier',
    args: () => ['/querysettings'],
    read: ({ output }) => verifierState(output),
    means: 'the first 0x........ has the flags, names of images are those of verified drivers: from the next start on',
    sources: ['VCMD-04', `${DEVTEST}/verifier-command-line`],
    limitMs: QUICK,
  }),
  verifierActive: row<undefined, ReturnType<typeof verifierState>>({
    program: 'verifier',
    args: () => ['/query'],
    read: ({ output }) => verifierState(output),
    means: 'the same, of what is verified now; whether a driver is named before it is loaded has not been seen',
    sources: ['VCMD-04', `${DEVTEST}/verifier-command-line`],
    limitMs: QUICK,
  }),
  verifierClasses: row<{ readonly classes: readonly number[]; readonly driver: string }, RestartOr>({
    program: 'verifier',
    args: ({ classes, driver }) => ['/ruleclasses', ...classes.map(String), '/driver', driver],
    read: verifierEnd,
    means: 'exit code 2: from the next start on, 0: now, 1: failed (Windows 11)',
    sources: ['VCMD-02', 'VCMD-04', `${DEVTEST}/verifier-command-line`],
    changes: { what: 'settings of Driver Verifier', undoneBy: 'verifierReset' },
    limitMs: QUICK,
  }),
  verifierFlags: row<{ readonly flags: number; readonly driver: string }, RestartOr>({
    program: 'verifier',
    args: ({ flags, driver }) => ['/flags', `0x${flags.toString(16)}`, '/driver', driver],
    read: verifierEnd,
    means: 'exit code 2: from the next start on, 0: now, 1: failed (before Windows 11)',
    sources: ['VCMD-01', 'VCMD-04', `${DEVTEST}/verifier-command-line`],
    changes: { what: 'settings of Driver Verifier', undoneBy: 'verifierReset' },
    limitMs: QUICK,
  }),
  verifierNow: row<{ readonly classes: readonly number[]; readonly driver: string }, RestartOr>({
    program: 'verifier',
    args: ({ classes, driver }) => ['/dif', ...classes.map(String), '/now', '/driver', driver],
    read: verifierEnd,
    means: 'exit code 0: now; classes such as 37 need a restart and are not for this form',
    sources: ['VCMD-02', `${DEVTEST}/verifier-command-line`],
    changes: { what: 'settings of Driver Verifier', undoneBy: 'verifierReset' },
    limitMs: QUICK,
  }),
  verifierReset: row<undefined, RestartOr>({
    program: 'verifier',
    args: () => ['/reset'],
    read: verifierEnd,
    means: 'exit code 2: from the next start on nothing is verified, 0: nothing was',
    sources: ['VCMD-04', `${DEVTEST}/verifier-command-line`],
    changes: { what: 'settings of Driver Verifier', undoneBy: 'verifierClasses' },
    limitMs: QUICK,
  }),
} as const

export type CommandName = keyof typeof commands
export const commandNames = Object.keys(commands) as CommandName[]

export type ParametersOf<N extends CommandName> = Parameters<(typeof commands)[N]['args']>[0]
export type ResultOf<N extends CommandName> = ReturnType<(typeof commands)[N]['read']>

/** A row of the table with its parameters. */
export function call<N extends CommandName>(
  name: N,
  ...given: ParametersOf<N> extends undefined ? [] : [ParametersOf<N>]
): Call<ResultOf<N>> {
  const [parameters] = given as [ParametersOf<N>]
  const { program, args, script, read, limitMs, changes } = commands[name] as unknown as CommandRow<
    ParametersOf<N>,
    ResultOf<N>
  >
  const invocation: Invocation = { program, args: args(parameters), script: script?.(parameters) }
  return {
    ...invocation,
    ...{ name, limitMs, changes: changes !== undefined },
    read: (finished) => read(finished, invocation),
  }
}
