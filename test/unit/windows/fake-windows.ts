// SPDX-License-Identifier: MIT
//
// This module provides: a Windows machine in memory, which understands the programs that minipend starts, by their own command lines (it does not use the
// table), and whose state can be compared; a process on it that can be killed at any change that it makes, also in the middle of a program or of a line of a
// file; restarting it.
//
// It is what the programs are documented to do. How the real ones differ, only a real machine can tell.

import { createHash } from 'node:crypto'
import type { Ending, WindowsMachine } from '../../../src/cli/windows/machine.js'
import type { Invocation } from '../../../src/cli/windows/command.js'
import type { JournalStore } from '../../../src/cli/windows/journal.js'

/** All that a run could leave behind. */
export interface WindowsState {
  certificates: { Root: string[]; TrustedPublisher: string[] }
  packages: { published: string; original: string }[]
  services: string[]
  filters: string[]
  files: Record<string, string>
  directories: string[]
  attached: Record<string, string>
  verifierNext: string[]
  verifierActive: string[]
  testSigning: { running: boolean; next: boolean }
}

/** What the machine is like, and does not change. */
export interface WindowsTraits {
  readonly language: 'en' | 'de'
  readonly elevated: boolean
  readonly secureBoot: boolean | undefined
  readonly build: number
  readonly architecture: string
  readonly freeBytes: number
  readonly pendingRestart: boolean
  readonly drives: readonly string[]
  /** `verifier /querysettings` names no drivers, and `/query` none that is not loaded: the real forms have not been seen yet. */
  readonly hidesVerifier: boolean
  /** Where Windows puts the image: from 24H2 on the driver store, before System32\drivers. */
  readonly image: string
}

const TRAITS: WindowsTraits = {
  ...{ language: 'en', elevated: true, secureBoot: false, build: 26_100, architecture: 'x64' },
  ...{ freeBytes: 40 * 1024 ** 3, pendingRestart: false, drives: ['C', 'D'], hidesVerifier: false },
  image: '\\SystemRoot\\System32\\DriverStore\\FileRepository\\minipend.inf_amd64_1\\minipend.sys',
}

export class Killed extends Error {
  override readonly name = 'Killed'
}

type Fault = (change: number, what: string) => 'go' | 'die' | 'fail' | 'failAfter' | 'hang' | 'lie'

/** The disk: what is on it survives everything. */
export class FakeWindows {
  readonly traits: WindowsTraits
  readonly binaries: Record<string, Buffer> = {}
  state: WindowsState = {
    certificates: { Root: ['ff'.repeat(20)], TrustedPublisher: [] },
    packages: [{ published: 'oem3.inf', original: 'netkvm.inf' }],
    services: ['netkvm'],
    filters: ['bindflt', 'WdFilter', 'FileInfo'],
    files: {},
    directories: [],
    attached: {},
    verifierNext: [],
    verifierActive: [],
    testSigning: { running: true, next: true },
  }
  journal = ''
  progress = ''
  nextPackage = 12
  startedAt = new Date(0)

  constructor(traits: Partial<WindowsTraits> = {}) {
    this.traits = { ...TRAITS, ...traits }
  }

  snapshot(): WindowsState {
    return structuredClone(this.state)
  }

  restart(): void {
    this.state.filters = this.state.filters.filter((name) => name !== 'minipend')
    this.state.attached = {}
    this.state.verifierActive = [...this.state.verifierNext]
    this.state.testSigning.running = this.state.testSigning.next
    this.startedAt = new Date(Date.now() + 1000)
  }
}

/** A process on the machine. When it has been killed nothing that it does has an effect any more. */
export class FakeProcess {
  readonly windows: FakeWindows
  readonly log: string[] = []
  changes = 0
  #dead = false
  readonly #fault: Fault

  constructor(windows: FakeWindows, fault: Fault = () => 'go') {
    this.windows = windows
    this.#fault = fault
  }

  get machine(): WindowsMachine {
    const { state, traits, binaries } = this.windows
    return {
      architecture: traits.architecture,
      environment: { SystemRoot: 'C:\\Windows', ProgramData: 'C:\\ProgramData' },
      run: (invocation) => this.#run(invocation),
      startedAt: () => this.windows.startedAt,
      exists: (file) => file in state.files || file in binaries || state.directories.includes(file),
      read: (file) => binaries[file] ?? Buffer.from(state.files[file] ?? ''),
      write: (file, text) => {
        this.#change(`write ${file}`)
        state.files[file] = text
      },
      makeDirectory: (directory) => {
        this.#change(`mkdir ${directory}`)
        state.directories.push(directory)
      },
      remove: (file) => {
        this.#change(`remove ${file}`)
        const inUse = Object.keys(state.attached).some((disk) => disk === file || disk.startsWith(`${file}\\`))
        if (inUse) throw Object.assign(new Error(`EBUSY: ${file}`), { code: 'EBUSY' })
        for (const name of Object.keys(state.files)) {
          if (name === file || name.startsWith(`${file}\\`)) Reflect.deleteProperty(state.files, name)
        }
        state.directories = state.directories.filter((name) => name !== file)
      },
      freeBytes: () => traits.freeBytes,
    }
  }

  /** `tear`: how many bytes of a line get to the disk when the process dies in writing it; -1: all, -2: all but the last. */
  store(which: 'journal' | 'progress', tear = 0): JournalStore {
    const { windows } = this
    return {
      where: `C:\\ProgramData\\minipend\\${which === 'journal' ? 'undo' : 'progress'}.jsonl`,
      read: () => {
        this.#alive()
        return windows[which]
      },
      append: (text) => {
        this.#alive()
        const before = this.changes
        try {
          this.#change(`${which} += ${text.trim()}`)
        } catch (error) {
          if (this.changes > before) windows[which] += text.slice(0, tear < 0 ? text.length + 1 + tear : tear)
          throw error
        }
        windows[which] += text
      },
      truncate: (bytes) => {
        this.#change(`truncate ${which}`)
        windows[which] = Buffer.from(windows[which]).subarray(0, bytes).toString()
      },
      remove: () => {
        this.#change(`remove ${which}`)
        windows[which] = ''
      },
    }
  }

  #alive(): void {
    if (this.#dead) throw new Killed('the process is dead')
  }

  /** Every change goes through here. @throws Killed; an answer other than 'go' is for programs */
  #change(what: string): 'go' | 'fail' | 'failAfter' | 'hang' | 'lie' {
    this.#alive()
    const answer = this.#fault(++this.changes, what)
    if (answer === 'die') {
      this.#dead = true
      throw new Killed(what)
    }
    this.log.push(what)
    return answer
  }

  async #run({ program, args, script }: Invocation): Promise<Ending> {
    await Promise.resolve()
    this.#alive()
    const line = [program, ...args].join(' ')
    this.log.push(line)
    return this.#looks(line) ?? this.#changes(line, args, script?.file)
  }

  #text(en: string, de: string): string {
    return this.windows.traits.language === 'en' ? en : de
  }

  #looks(line: string): Ending | undefined {
    const { state, traits } = this.windows
    const good = (...lines: string[]): Ending => ({ code: 0, output: `${lines.join('\r\n')}\r\n` })
    const none: Ending = { code: 1, output: this.#text('ERROR: not found\r\n', 'FEHLER: nicht gefunden\r\n') }
    const level = traits.elevated ? 'S-1-16-12288' : 'S-1-16-8192'
    if (line === 'whoami /groups /fo csv /nh') return good(`"${this.#text('Label', 'Bezeichnung')}","x","${level}",""`)
    if (line === 'bcdedit /enum {current}') {
      const on = state.testSigning.next ? [`testsigning             ${this.#text('Yes', 'Ja')}`] : []
      return good(this.#text('identifier', 'Bezeichner') + '   {current}', ...on)
    }
    if (line === 'fsutil fsinfo drives') {
      const letters = [...traits.drives, ...Object.values(state.attached)]
      return good('', `${this.#text('Drives', 'Laufwerke')}: ${letters.map((letter) => `${letter}:\\ `).join('')}`)
    }
    if (line === 'fltmc filters') {
      const rows = state.filters.map((name, index) => `${name.padEnd(32)}      1       ${300_000 + index}.5         0`)
      return good(
        '',
        this.#text('Filter Name', 'Filtername'),
        '------------  -------------  ------------  -----',
        ...rows,
      )
    }
    if (line === 'fltmc instances') {
      const rows = state.filters.map((name) => `${name.padEnd(20)}  C:   370199.5   ${name}   0   00000007`)
      return good('Filter', '------  -------  ------------  --------  -----  --------  --------', ...rows)
    }
    if (line === 'pnputil /enum-drivers') {
      const names = [
        this.#text('Published Name', 'Ver\x94ffentlichter Name'),
        this.#text('Original Name', 'Originalname'),
      ]
      const blocks = state.packages.map(({ published, original }) => [
        ...[
          `${names[0] ?? ''}:     ${published}`,
          `${names[1] ?? ''}:      ${original}`,
          'Version: 01.01.2026 0.1.0.0',
          '',
        ],
      ])
      return good('Microsoft PnP', '', ...blocks.flat())
    }
    const verified = (drivers: readonly string[]): Ending =>
      drivers.length === 0
        ? good(this.#text('No drivers are currently verified.', 'Es werden keine Treiber verifiziert.'))
        : good('Verifier Flags: 0x000209bb', ...drivers.map((name) => `    MODULE: ${name} (load: 0 / unload: 0)`))
    if (line === 'verifier /querysettings') return verified(traits.hidesVerifier ? [] : state.verifierNext)
    if (line === 'verifier /query') {
      return verified(traits.hidesVerifier && !state.filters.includes('minipend') ? [] : state.verifierActive)
    }
    const key = /^reg query (.*)$/.exec(line)?.[1]
    if (key !== undefined) {
      const values = this.#registry(key)
      return values === undefined ? none : good('', key, ...values.map((value) => `    ${value}`))
    }
    const stored = /^certutil -store (Root|TrustedPublisher) ([0-9a-f]{40})$/.exec(line)
    if (stored !== null) {
      const [, store = 'Root', sha1 = ''] = stored
      return state.certificates[store as 'Root'].includes(sha1)
        ? good(`Cert Hash(sha1): ${sha1}`)
        : { code: -2146893807, output: 'CertUtil: 0x80090011 (-2146893807 NTE_NOT_FOUND)\r\n' }
    }
    return undefined
  }

  #registry(key: string): string[] | undefined {
    const { state, traits } = this.windows
    const tail = key.slice(key.lastIndexOf('\\') + 1)
    switch (tail) {
      case 'CurrentVersion':
        return [
          'ProductName    REG_SZ    Windows 11 Pro',
          `CurrentBuildNumber    REG_SZ    ${traits.build}`,
          'UBR    REG_DWORD    0x64',
        ]
      case 'Control':
        return [`SystemStartOptions    REG_SZ     ${state.testSigning.running ? 'TESTSIGNING  ' : ''}NOEXECUTE=OPTIN`]
      case 'State':
        return traits.secureBoot === undefined
          ? undefined
          : [`UEFISecureBootEnabled    REG_DWORD    0x${traits.secureBoot ? 1 : 0}`]
      case 'HypervisorEnforcedCodeIntegrity':
        return ['Enabled    REG_DWORD    0x1']
      case 'RebootPending':
        return traits.pendingRestart ? [] : undefined
      case 'minipend':
        return state.services.includes('minipend') ? [`ImagePath    REG_EXPAND_SZ    ${traits.image}`] : undefined
      default:
        return undefined
    }
  }

  /** A program, change by change. It may die between two of them, and so may the process that started it. */
  #changes(line: string, args: readonly string[], script: string | undefined): Ending {
    const { state } = this.windows
    const parts = this.#partsOf(line, args, script)
    if (parts === undefined) {
      return { code: 87, output: `this machine does not understand: ${line}\r\n` }
    }
    const changesVerifier = line !== 'verifier /reset' || [...state.verifierNext, ...state.verifierActive].length > 0
    let failsAtItsEnd = false
    for (const { what, work, fails } of parts) {
      const failure: Ending | undefined = fails?.()
      if (failure !== undefined) return failure
      const answer = this.#change(`${line}: ${what}`)
      if (answer === 'hang') return 'slow'
      if (answer === 'fail') return { code: 1, output: 'failed on demand: 0x80070005\r\n' }
      failsAtItsEnd ||= answer === 'failAfter'
      // It says that it has done it.
      if (answer !== 'lie') work(state)
    }
    if (failsAtItsEnd) return { code: 1, output: 'failed on demand: 0x80070005\r\n' }
    if (/^verifier \/(reset|ruleclasses|flags)/.test(line) && changesVerifier) return { code: 2, output: 'restart\r\n' }
    return { code: 0, output: 'done\r\n' }
  }

  #partsOf(
    line: string,
    args: readonly string[],
    script: string | undefined,
  ): { what: string; work: (state: WindowsState) => void; fails?: () => Ending | undefined }[] | undefined {
    const { windows } = this
    const { state } = windows
    const [first = '', second = '', third = '', fourth = ''] = args
    const failure = (code: number, output: string): Ending => ({ code, output: `${output}\r\n` })
    if (line.startsWith('certutil -f -addstore ')) {
      const store = third as 'Root'
      const sha1 = createHash('sha1')
        .update(windows.binaries[fourth] ?? '')
        .digest('hex')
      return [{ what: 'add', work: () => state.certificates[store].push(sha1) }]
    }
    if (line.startsWith('certutil -delstore ')) {
      const store = second as 'Root'
      return [
        {
          what: 'delete',
          work: () => (state.certificates[store] = state.certificates[store].filter((each) => each !== third)),
        },
      ]
    }
    if (first === '/add-driver' && third === '/install') {
      const published = `oem${windows.nextPackage++}.inf`
      return [
        {
          what: 'stage',
          work: () => state.packages.push({ published, original: second.slice(second.lastIndexOf('\\') + 1) }),
        },
        { what: 'service', work: () => state.services.push('minipend') },
      ]
    }
    if (first === '/delete-driver' && third === '/uninstall') {
      return [
        {
          what: 'unstage',
          work: () => (state.packages = state.packages.filter(({ published }) => published !== second)),
        },
        { what: 'service', work: () => (state.services = state.services.filter((name) => name !== 'minipend')) },
      ]
    }
    if (line === 'sc delete minipend') {
      return [{ what: 'delete', work: () => (state.services = state.services.filter((name) => name !== 'minipend')) }]
    }
    if (line === 'fltmc load minipend') {
      const fails = (): Ending | undefined =>
        state.services.includes('minipend') ? undefined : failure(1, 'Load failed with error: 0x80070002')
      return [{ what: 'load', work: () => state.filters.push('minipend'), fails }]
    }
    if (line === 'fltmc unload minipend') {
      const fails = (): Ending | undefined =>
        state.filters.includes('minipend') ? undefined : failure(1, 'Unload failed with error: 0x801f0013')
      return [
        { what: 'unload', work: () => (state.filters = state.filters.filter((name) => name !== 'minipend')), fails },
      ]
    }
    if (/^verifier \/(ruleclasses [\d ]+|flags 0x[0-9a-f]+) \/driver minipend\.sys$/.test(line)) {
      return [{ what: 'set', work: () => (state.verifierNext = ['minipend.sys']) }]
    }
    if (line === 'verifier /reset') return [{ what: 'reset', work: () => (state.verifierNext = []) }]
    if (line.startsWith('diskpart /s ') && script === second) return this.#diskpart(state.files[second] ?? '')
    return undefined
  }

  /** Line by line: it stops at the first that fails, unless the line ends in noerr. */
  #diskpart(text: string): { what: string; work: () => void; fails: () => Ending | undefined }[] {
    const { state } = this.windows
    let selected = ''
    return text
      .split('\r\n')
      .filter(Boolean)
      .map((line) => {
        const file = /file="([^"]+)"/.exec(line)?.[1] ?? ''
        const fails = (): Ending | undefined => {
          const isWrong =
            (line.startsWith('create vdisk') && file in state.files) ||
            (line.startsWith('select vdisk') && !(file in state.files)) ||
            (line === 'detach vdisk' && !(selected in state.attached)) ||
            !/^((create|select|attach|detach) vdisk|create partition primary|format fs=(ntfs|fat32) |assign letter=[A-Z]$)/.test(
              line,
            )
          return isWrong ? { code: 4, output: 'DiskPart has encountered an error.\r\n' } : undefined
        }
        const work = (): void => {
          if (line.startsWith('create vdisk')) state.files[file] = 'vhdx'
          if (line.startsWith('select vdisk')) selected = file
          if (line === 'attach vdisk') state.attached[selected] = ''
          const letter = /^assign letter=([A-Z])$/.exec(line)?.[1]
          if (letter !== undefined) state.attached[selected] = letter
          if (line.startsWith('detach vdisk')) Reflect.deleteProperty(state.attached, selected)
        }
        return { what: line, work, fails }
      })
  }
}
