// SPDX-License-Identifier: MIT
//
// This module provides: whether a Windows machine is ready for a run, what is missing, and what to do about it. Nothing here changes anything.
//
// Whether the process is elevated comes first, and from the SID of its integrity level (`whoami /groups`): the other programs need an elevated prompt, and
// say what is missing in the system's language.

import type { Check } from '../doctor/checks.js'
import { call, type ResultOf } from './commands.js'
import type { DriverFiles } from './driver-files.js'
import { perform, type WindowsMachine } from './machine.js'
import { dword, type FilterRow, HIGH_INTEGRITY, startOptions, type VerifierState } from './outputs.js'
import { FILTER, IMAGE, INF, SERVICE_KEY } from './undo.js'

export interface MachineFacts {
  readonly product: string
  readonly build: number
  readonly revision: number
  readonly architecture: string
  /** Of the running system. */
  readonly startOptions: readonly string[]
  readonly testSigningNext: boolean
  /** undefined: the firmware has no such thing. */
  readonly secureBoot: boolean | undefined
  readonly memoryIntegrity: 'off' | 'on' | 'configured'
  /** What waits for a restart. */
  readonly pendingRestart: readonly string[]
  readonly freeBytes: number
  readonly drives: readonly string[]
  readonly filters: readonly FilterRow[]
  /** oemN.inf of packages of this driver. */
  readonly packages: readonly string[]
  /** The driver's service is there. */
  readonly service: boolean
  readonly verifierNext: VerifierState
  readonly verifierActive: VerifierState
  /** Of the package's certificate; undefined: there is no package. */
  readonly certificates: { readonly Root: boolean; readonly TrustedPublisher: boolean } | undefined
}

const CONTROL = 'HKLM\\SYSTEM\\CurrentControlSet\\Control'
const CURRENT_VERSION = 'HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion'
const MEMORY_INTEGRITY = `${CONTROL}\\DeviceGuard\\Scenarios\\HypervisorEnforcedCodeIntegrity`
const RESTART_KEYS = [
  'HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\RebootPending',
  'HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Auto Update\\RebootRequired',
] as const

type Values = NonNullable<ResultOf<'registry'>>

function memoryIntegrity(values: Values | undefined): MachineFacts['memoryIntegrity'] {
  if (values === undefined || dword(values, 'Enabled') !== 1) {
    return 'off'
  }
  return dword(values, 'Running') === 1 ? 'on' : 'configured'
}

/** undefined: the process is not elevated, and nothing else can be found out. */
export async function lookAt(
  machine: WindowsMachine,
  directory: string,
  sha1: string | undefined,
): Promise<MachineFacts | undefined> {
  if (((await perform(machine, call('groups'))) ?? 0) < HIGH_INTEGRITY) {
    return undefined
  }
  const key = (name: string): Promise<ResultOf<'registry'>> => perform(machine, call('registry', { key: name }))
  const none: Values = new Map()
  const version = (await key(CURRENT_VERSION)) ?? none
  const secureBoot = await key(`${CONTROL}\\SecureBoot\\State`)
  const pendingRestart: string[] = []
  for (const name of RESTART_KEYS) {
    if ((await key(name)) !== undefined) {
      pendingRestart.push(name.slice(name.lastIndexOf('\\') + 1))
    }
  }
  const inStore = (store: 'Root' | 'TrustedPublisher', hash: string): Promise<boolean> =>
    perform(machine, call('certificate', { store, sha1: hash }))
  return {
    product: version.get('ProductName') ?? 'Windows',
    build: Number(version.get('CurrentBuildNumber') ?? 0),
    revision: dword(version, 'UBR') ?? 0,
    architecture: machine.architecture,
    startOptions: startOptions((await key(CONTROL)) ?? none),
    testSigningNext: (await perform(machine, call('bootEntry'))).testSigning,
    secureBoot: secureBoot === undefined ? undefined : dword(secureBoot, 'UEFISecureBootEnabled') === 1,
    memoryIntegrity: memoryIntegrity(await key(MEMORY_INTEGRITY)),
    pendingRestart,
    freeBytes: machine.freeBytes(directory),
    drives: await perform(machine, call('drives')),
    filters: await perform(machine, call('filters')),
    packages: (await perform(machine, call('packages')))
      .filter(({ original }) => original === INF)
      .map(({ published }) => published),
    service: (await key(SERVICE_KEY)) !== undefined,
    verifierNext: await perform(machine, call('verifierSettings')),
    verifierActive: await perform(machine, call('verifierActive')),
    certificates:
      sha1 === undefined
        ? undefined
        : { Root: await inStore('Root', sha1), TrustedPublisher: await inStore('TrustedPublisher', sha1) },
  }
}

/** Windows 10 2004. */
const LEAST_BUILD = 19_041
const LEAST_FREE = 2 * 1024 ** 3
const LETTERS = 'M N O P Q R S T U V W X Y Z L K J I H G F E D'.split(' ')

export const freeLetters = (drives: readonly string[]): readonly string[] =>
  LETTERS.filter((letter) => !drives.includes(letter))

export const isLoaded = ({ filters }: Pick<MachineFacts, 'filters'>): boolean =>
  filters.some(({ name }) => name.toLowerCase() === FILTER)

/** Images other than this driver's that Driver Verifier looks at, or is told to. */
const foreignVerified = ({ verifierNext, verifierActive }: MachineFacts): readonly string[] => {
  const names = [...verifierNext.drivers, ...verifierActive.drivers].filter((name) => name !== IMAGE)
  const unnamed = verifierNext.flags !== 0 && verifierNext.drivers.length === 0
  return [...new Set([...names, ...(unnamed ? ['all drivers'] : [])])]
}

type Finding = Pick<Check, 'status' | 'detail' | 'fix'>

const ok = (detail: string): Finding => ({ status: 'ok', detail })
const bad = (detail: string, fix: string): Finding => ({ status: 'failed', detail, fix })

function testSigning({ startOptions: options, testSigningNext, secureBoot }: MachineFacts): Finding {
  if (options.includes('TESTSIGNING')) {
    return ok('on')
  }
  if (testSigningNext) {
    return bad('it is set, and the machine has not been restarted since', 'restart the machine')
  }
  const set = 'bcdedit /set testsigning on, and restart the machine'
  return bad('off', secureBoot === true ? `first turn Secure Boot off, then: ${set}` : set)
}

function installed({ packages, service, filters }: MachineFacts): Finding {
  if (isLoaded({ filters })) {
    return bad('minipend is loaded already', 'fltmc unload minipend, and remove its package')
  }
  const [first] = packages
  if (first !== undefined) {
    return bad(`minipend is installed already (${packages.join(', ')})`, `pnputil /delete-driver ${first} /uninstall`)
  }
  return service
    ? bad('there is a service minipend that no package belongs to', 'sc delete minipend, and restart the machine')
    : ok('minipend is not there yet')
}

function verifier(facts: MachineFacts, wanted: boolean): Finding {
  const foreign = foreignVerified(facts)
  if (foreign.length === 0) {
    return ok(facts.verifierActive.drivers.includes(IMAGE) ? `on for ${IMAGE}` : 'off')
  }
  const detail = `on for ${foreign.join(', ')}`
  return wanted
    ? bad(`${detail}: these settings would be lost`, 'verifier /reset, restart the machine; or leave --verifier out')
    : ok(detail)
}

function files(driver: DriverFiles, architecture: string): Finding {
  if ('problem' in driver) {
    return { status: 'missing', detail: driver.problem, fix: driver.fix }
  }
  return driver.architecture === architecture
    ? ok(`${driver.directory}, SHA-256 ${driver.sha256.slice(0, 16)}...`)
    : bad(
        `${driver.directory} is for ${driver.architecture}, this machine is ${architecture}`,
        'name the package for this machine with --package',
      )
}

const gigabytes = (bytes: number): string => `${(bytes / 1024 ** 3).toFixed(1)} GiB`

/** What the facts mean for a run. `wantVerifier`: Driver Verifier is to be used. */
export function judge(
  facts: MachineFacts | undefined,
  driver: DriverFiles,
  wantVerifier: boolean,
  architecture: string,
): Check[] {
  const elevated = facts !== undefined
  const made: (readonly [string, string, Finding])[] = [
    [
      'elevated',
      'Administrator',
      elevated
        ? ok('this prompt is elevated')
        : bad('this prompt is not elevated', 'open a terminal with "Run as administrator" and give the command there'),
    ],
  ]
  made.push(['package', 'Package to test', files(driver, architecture)])
  if (elevated) {
    const { build, revision, product, secureBoot, memoryIntegrity: integrity, pendingRestart, freeBytes } = facts
    const letters = freeLetters(facts.drives)
    const there = Object.entries(facts.certificates ?? {}).flatMap(([store, is]) => (is ? [store] : []))
    made.push(
      [
        'version',
        'Windows',
        build >= LEAST_BUILD
          ? ok(`${product}, build ${build}.${revision}`)
          : bad(`build ${build}: too old`, `install Windows 10 2004 (build ${LEAST_BUILD}) or newer`),
      ],
      ['testSigning', 'Test signing', testSigning(facts)],
      [
        'secureBoot',
        'Secure Boot',
        secureBoot === true
          ? bad('on: test-signing mode cannot be', "turn Secure Boot off in the virtual machine's settings")
          : ok(secureBoot === undefined ? 'the firmware has none' : 'off'),
      ],
      [
        'memoryIntegrity',
        'Memory integrity',
        ok(integrity === 'configured' ? 'set; whether it runs is unknown' : integrity),
      ],
      [
        'pendingRestart',
        'Pending restart',
        pendingRestart.length === 0 ? ok('none') : bad(pendingRestart.join(', '), 'restart the machine'),
      ],
      [
        'space',
        'Free space',
        freeBytes >= LEAST_FREE
          ? ok(gigabytes(freeBytes))
          : bad(`${gigabytes(freeBytes)} on the volume of the scratch disks`, `make room for ${gigabytes(LEAST_FREE)}`),
      ],
      [
        'letters',
        'Drive letters',
        letters.length >= 2
          ? ok(`${letters.slice(0, 2).join(', ')} are free`)
          : bad('fewer than two are free', 'take letters from volumes that need none'),
      ],
      ['driver', 'Driver', installed(facts)],
      [
        'certificate',
        'Test certificate',
        ok(
          there.length === 0
            ? 'not trusted yet; a run adds it and takes it away'
            : `trusted in ${there.join(' and ')}; it stays`,
        ),
      ],
      ['verifier', 'Driver Verifier', verifier(facts, wantVerifier)],
    )
  }
  return made.map(([id, title, finding]) => ({ id, title, ...finding }))
}
