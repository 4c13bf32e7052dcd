// SPDX-License-Identifier: MIT
//
// This module provides: tests of `minipend validate --backend windows` and `minipend undo` from their beginning to their end, on a machine in memory: what they
// do, say and write, and that the machine is as it was whatever fails.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { examineWindows } from '../../../src/cli/doctor/windows-checks.js'
import { EXIT, exitCodeOf } from '../../../src/cli/exit-codes.js'
import { describeError, StoppedError } from '../../../src/cli/problems.js'
import { readResultDocument } from '../../../src/cli/validate/document.js'
import type { ValidateOptions } from '../../../src/cli/validate/validate.js'
import { validateOnWindows, type WindowsRunParts } from '../../../src/cli/validate/windows-run.js'
import { defaultPackage } from '../../../src/cli/windows/driver-files.js'
import { undo } from '../../../src/cli/windows/undo-command.js'
import { fakeOpen, rememberingTerminal, type TestContext, testContext, countersOf } from '../cli/support.js'
import { FakeProcess, FakeWindows, Killed, type WindowsTraits } from './fake-windows.js'
import { DIRECTORY, PACKAGE, partsOf, PASSED, SHA1, suiteOf, withPackage } from './support.js'

const directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-vm-'))
afterAll(() => rmSync(directory, { recursive: true }))

const options: ValidateOptions = { backend: 'windows', package: PACKAGE, stateDir: DIRECTORY }
const fresh = (traits: Partial<WindowsTraits> = {}): FakeWindows => withPackage(new FakeWindows(traits))
const contextOf = (given: Parameters<typeof testContext>[0] = {}): TestContext =>
  testContext({ platform: 'win32', ...given })

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
  readonly error: string
}

/** As the command line does it. */
async function ran(context: TestContext, work: Promise<number>): Promise<Ran> {
  let code: number
  let error = ''
  try {
    code = await work
  } catch (thrown) {
    const cause: unknown = context.stop.aborted ? context.stop.reason : thrown
    code = exitCodeOf(cause)
    error = context.stop.aborted ? '' : describeError(thrown, rememberingTerminal().colors)
  }
  const { out, err } = context.terminal.text
  return { code, out, err, error }
}

const validateOn = (parts: WindowsRunParts, more: Partial<ValidateOptions> = {}, context = contextOf()): Promise<Ran> =>
  ran(context, validateOnWindows(context, { ...options, ...more }, parts))

const undoOn = (windows: FakeWindows, more: { dryRun?: boolean } = {}, json = false): Promise<Ran> => {
  const context = contextOf({ json })
  return ran(context, undo(context, { stateDir: DIRECTORY, ...more }, partsOf(new FakeProcess(windows))))
}

describe('a run that goes well', () => {
  test('says each step, writes the result, and leaves the machine as it was', async () => {
    const windows = fresh()
    const before = windows.snapshot()
    const out = path.join(directory, 'result.json')
    const html = path.join(directory, 'result.html')
    const { code, error, ...said } = await validateOn(partsOf(new FakeProcess(windows)), { out, html })
    expect({ code, error }).toEqual({ code: EXIT.ok, error: '' })
    expect(said.err.split('\n').map((line) => line.replace('minipend: ', ''))).toEqual([
      'make the directory C:\\ProgramData\\minipend\\vm',
      'trust the test certificate: Root',
      'trust the test certificate: TrustedPublisher',
      'install the driver package',
      'make the NTFS volume M: in a file',
      'make the FAT32 volume N: in a file',
      'load the driver',
      'undoing: the loaded driver minipend',
      'undoing: the volume N:',
      'undoing: the volume M:',
      'undoing: the driver package minipend.inf',
      'undoing: the test certificate in TrustedPublisher',
      'undoing: the test certificate in Root',
      'undoing: the directory C:\\ProgramData\\minipend\\vm',
      '',
    ])
    expect(said.out).toContain('1 passed, 0 failed, 0 skipped')
    expect(readResultDocument('compare', out)).toMatchObject({
      ...{ backend: 'windows', lane: 'vm', summary: { passed: 1 } },
      driver: { file: 'minipend.sys', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
      windows: {
        ...{
          product: 'Windows 11 Pro',
          build: 26_100,
          revision: 100,
          secureBoot: false,
          memoryIntegrity: 'configured',
        },
        ...{ startOptions: ['TESTSIGNING', 'NOEXECUTE=OPTIN'], verifier: { flags: 0, drivers: [] } },
      },
    })
    expect(readFileSync(html, 'utf8')).toContain('Windows 11 Pro, build 26100.100')
    expect(windows.state).toEqual(before)
    expect(windows.journal).toBe('')
  })

  test.each(['en', 'de'] as const)('in %s, before 24H2, without Secure Boot in the firmware', async (language) => {
    const image = 'System32\\drivers\\minipend.sys'
    const windows = new FakeWindows({ language, build: 22_631, secureBoot: undefined, image })
    withPackage(windows)
    windows.binaries[`C:\\Windows\\${image}`] = windows.binaries[`${PACKAGE}\\minipend.sys`] ?? Buffer.alloc(0)
    const before = windows.snapshot()
    expect(await validateOn(partsOf(new FakeProcess(windows)))).toMatchObject({ code: EXIT.ok, error: '' })
    expect(windows.state).toEqual(before)
  })

  test('gives the cases the volumes that it made, on letters that are free', async () => {
    const windows = fresh({ drives: ['C', 'D', 'M', 'O'] })
    let given: unknown
    const suite: WindowsRunParts['suite'] = ({ volumes, backend }) => {
      given = { volumes, backend, attached: Object.values(windows.state.attached) }
      return Promise.resolve([PASSED])
    }
    await validateOn(partsOf(new FakeProcess(windows), suite))
    expect(given).toEqual({ volumes: { ntfs: 'N:', fat: 'P:' }, backend: 'windows', attached: ['N', 'P'] })
  })

  test('a certificate that was trusted already stays', async () => {
    const windows = fresh()
    windows.state.certificates.Root.push(SHA1)
    const before = windows.snapshot()
    const { err, code } = await validateOn(partsOf(new FakeProcess(windows)))
    expect(code).toBe(EXIT.ok)
    expect(err).not.toContain('certificate: Root')
    expect(windows.state).toEqual(before)
  })

  test('failed cases are its outcome, not its failure', async () => {
    const windows = fresh()
    const failed = { ...PASSED, outcome: 'failed', error: 'expected 1' } as const
    const { code, out, error } = await validateOn(partsOf(new FakeProcess(windows), suiteOf(PASSED, failed)))
    expect({ code, error }).toEqual({ code: EXIT.failed, error: '' })
    expect(out).toContain('1 passed, 1 failed, 0 skipped')
  })

  test('with --json stdout has the document alone', async () => {
    const { out } = await validateOn(partsOf(new FakeProcess(fresh())), {}, contextOf({ json: true }))
    expect(JSON.parse(out)).toMatchObject({ schema: 'minipend-conformance', lane: 'vm' })
  })
})

describe('whatever fails', () => {
  const changesOfARun = async (): Promise<number> => {
    const process = new FakeProcess(fresh())
    await validateOn(partsOf(process))
    return process.changes
  }

  test.each(['fail', 'failAfter', 'hang'] as const)('%s: at each change, the machine is as it was', async (fault) => {
    const changes = await changesOfARun()
    let failures = 0
    for (let at = 1; at <= changes; at++) {
      const windows = fresh()
      const before = windows.snapshot()
      const process = new FakeProcess(windows, (change) => (change === at ? fault : 'go'))
      const { code, error, err, out } = await validateOn(partsOf(process))
      const where = `change ${at}: ${process.log.join('\n')}`
      if (windows.journal !== '') {
        // It was an undo that failed: said, in the journal, and the next command does it.
        expect({ code, out: out.includes('1 passed') }, where).toEqual({ code: EXIT.failed, out: true })
        expect(err, where).toMatch(
          /not all could be undone:\n {2}.*\n[^]*what to do: restart the machine, then: minipend undo/,
        )
        windows.restart()
        expect(await undoOn(windows), where).toMatchObject({ code: EXIT.ok, error: '' })
        failures++
      } else if (error !== '') {
        expect(code, where).toBe(EXIT.failed)
        expect(error, where).toMatch(
          /^minipend: (certutil|pnputil|diskpart|fltmc) .*(failed with|has not ended within)/,
        )
        failures++
      }
      expect(windows.state, where).toEqual(before)
      expect(windows.journal, where).toBe('')
    }
    expect(failures).toBeGreaterThan(15)
  })

  test.each([
    'certutil -f -addstore Root',
    'pnputil /add-driver',
    'diskpart /s C:\\ProgramData\\minipend\\vm\\fat.txt: create vdisk',
    'diskpart /s C:\\ProgramData\\minipend\\vm\\ntfs.txt: assign letter',
    'fltmc load',
    'fltmc unload',
  ])('%s reports success and has done nothing: that is seen', async (what) => {
    const windows = fresh()
    const before = windows.snapshot()
    const process = new FakeProcess(windows, (_change, each) => (each.startsWith(what) ? 'lie' : 'go'))
    const { code, error, err } = await validateOn(partsOf(process))
    expect(code).toBe(EXIT.failed)
    if (what === 'fltmc unload') expect(err).toContain('the loaded driver minipend is still there')
    else expect(error).toMatch(/no failure was reported, and .* is not there|diskpart .* failed with 4/)
    windows.restart()
    await undoOn(windows)
    expect(windows.state).toEqual(before)
  })

  test('the cases themselves: undone, and said', async () => {
    const windows = fresh()
    const before = windows.snapshot()
    const suite = (): Promise<never> => Promise.reject(new Error('no vitest'))
    const { code, error } = await validateOn(partsOf(new FakeProcess(windows), suite))
    expect(code).toBe(EXIT.failed)
    expect(error).toContain('no vitest')
    expect(windows.state).toEqual(before)
  })

  test('another image than that of the package is not tested', async () => {
    const windows = fresh()
    windows.binaries[windows.traits.image.replace('\\SystemRoot', 'C:\\Windows')] = Buffer.from('another')
    const before = windows.snapshot()
    const { code, error } = await validateOn(partsOf(new FakeProcess(windows)))
    expect(code).toBe(EXIT.failed)
    expect(error).toContain('is not the image of the package: SHA-256')
    expect(windows.state).toEqual(before)
  })

  test.each([1, 2, 3, 4, 5, 6, 7])('Ctrl-C in step %i', async (step) => {
    const windows = fresh()
    const before = windows.snapshot()
    const stopper = new AbortController()
    let begun = 0
    const context = contextOf({ stop: stopper.signal })
    const terminal = {
      ...context.terminal,
      err: (text: string) => {
        context.terminal.err(text)
        if (++begun === step) stopper.abort(new StoppedError(EXIT.interrupted))
      },
    }
    const { code } = await validateOn(partsOf(new FakeProcess(windows)), {}, { ...context, terminal })
    expect(code).toBe(EXIT.interrupted)
    expect(begun).toBeGreaterThan(step)
    expect(windows.state).toEqual(before)
  })

  test('Ctrl-C during the cases, which are told to stop', async () => {
    const windows = fresh()
    const before = windows.snapshot()
    const stopper = new AbortController()
    const suite: WindowsRunParts['suite'] = ({ stop }) =>
      new Promise((resolve) => {
        stop.addEventListener('abort', () => resolve([PASSED]))
        stopper.abort(new StoppedError(EXIT.terminated))
      })
    const { code, out } = await validateOn(
      partsOf(new FakeProcess(windows), suite),
      {},
      contextOf({ stop: stopper.signal }),
    )
    expect({ code, out }).toEqual({ code: EXIT.terminated, out: '' })
    expect(windows.state).toEqual(before)
  })
})

describe('cases that do not end', () => {
  test('are looked at, released, told to stop; the result says so', async () => {
    const windows = fresh()
    const before = windows.snapshot()
    const out = path.join(directory, 'slow.json')
    const suite: WindowsRunParts['suite'] = ({ stop }) =>
      new Promise((resolve) => stop.addEventListener('abort', () => resolve([{ ...PASSED, outcome: 'failed' }])))
    const { open, opened } = fakeOpen(() => countersOf({ write: { pended: 3n, completed: 3n } }))
    const context = contextOf({ open })
    const { code, err } = await validateOn(
      partsOf(new FakeProcess(windows), suite),
      { out, limitMinutes: 0.001 },
      context,
    )
    expect(code).toBe(EXIT.failed)
    expect(opened).toMatchObject([{ backend: 'windows', load: false }])
    expect(err).toContain('the cases have not ended within 0.001 minutes')
    expect(err).toContain('instance minipend on C: at 370199.5')
    expect(err).toContain('nothing is held')
    expect(readResultDocument('compare', out).diagnosis).toContain('nothing is held')
    expect(windows.state).toEqual(before)
  })
})

describe('a machine that is not ready', () => {
  const refused = async (windows: FakeWindows, more: Partial<ValidateOptions> = {}): Promise<string> => {
    const before = windows.snapshot()
    const process = new FakeProcess(windows)
    const { code, error } = await validateOn(partsOf(process), more)
    expect(code).toBe(EXIT.environment)
    expect(process.changes).toBe(0)
    expect(windows.state).toEqual(before)
    expect(error).toContain('this machine is not ready; nothing was changed')
    return error
  }

  test.each([
    [{ elevated: false }, 'Administrator: this prompt is not elevated', 'Run as administrator'],
    [
      { secureBoot: true },
      'Secure Boot: on: test-signing mode cannot be',
      "turn Secure Boot off in the virtual machine's",
    ],
    [{ build: 17_763 }, 'Windows: build 17763: too old', 'install Windows 10 2004'],
    [{ architecture: 'arm64' }, 'is for x64, this machine is arm64', 'with --package'],
    [{ freeBytes: 1024 ** 3 }, 'Free space: 1.0 GiB on the volume', 'make room for 2.0 GiB'],
    [{ pendingRestart: true }, 'Pending restart: RebootPending', 'restart the machine'],
    [
      { drives: 'C D E F G H I J K L M N O P Q R S T U V W X Y'.split(' ') },
      'Drive letters: fewer than two are free',
      'take letters',
    ],
  ] as const)('%j', async (traits, detail, fix) => {
    const error = await refused(fresh(traits))
    expect(error).toContain(detail)
    expect(error).toMatch(new RegExp(`what to do: .*${fix}`))
  })

  test('test-signing mode: off, and set without a restart', async () => {
    const windows = fresh()
    windows.state.testSigning = { running: false, next: false }
    expect(await refused(windows)).toContain(
      'Test signing: off\n    what to do: bcdedit /set testsigning on, and restart',
    )
    windows.state.testSigning.next = true
    expect(await refused(windows)).toContain('it is set, and the machine has not been restarted since')
  })

  test('the driver is loaded, installed, half installed', async () => {
    const windows = fresh()
    windows.state.services.push('minipend')
    expect(await refused(windows)).toContain('there is a service minipend that no package belongs to')
    windows.state.packages.push({ published: 'oem9.inf', original: 'minipend.inf' })
    expect(await refused(windows)).toContain('what to do: pnputil /delete-driver oem9.inf /uninstall')
    windows.state.filters.push('minipend')
    expect(await refused(windows)).toContain('minipend is loaded already')
  })

  test('no package, an unsigned one', async () => {
    const windows = fresh()
    windows.binaries[`${PACKAGE}\\minipend.sys`]?.writeUInt32LE(0, 0x58 + 112 + 32)
    expect(await refused(windows)).toContain('minipend.sys is not signed')
    expect(await refused(windows, { package: 'C:\\nowhere' })).toContain(
      'C:\\nowhere: minipend.inf, minipend.sys, minipend.cat, minipend.cer not there',
    )
  })

  test('without --package: what was made here, else what npm brought', () => {
    const carried = 'C:\\npm\\prebuilt\\driver\\x64'
    const made = 'build\\driver\\x64\\package'
    const found = (...there: string[]): string =>
      defaultPackage(
        { architecture: 'x64', exists: (file) => there.some((each) => file.endsWith(`${each}\\minipend.inf`)) },
        'C:\\npm',
      )
    expect([found(carried), found(made), found(made, carried), found()]).toEqual([carried, made, made, made])
  })

  test('somebody else uses Driver Verifier', async () => {
    const windows = fresh()
    windows.state.verifierNext = ['storport.sys']
    expect(await refused(windows, { verifier: true })).toContain('on for storport.sys: these settings would be lost')
    expect(await validateOn(partsOf(new FakeProcess(windows)))).toMatchObject({ code: EXIT.ok })
  })
})

describe('doctor', () => {
  test('shows the same, without changing anything', async () => {
    const process = new FakeProcess(fresh({ secureBoot: true }))
    const checks = await examineWindows(process.machine)
    expect(process.changes).toBe(0)
    expect(checks.map(({ id, status }) => `${id} ${status}`)).toEqual([
      ...['elevated ok', 'package missing', 'version ok', 'testSigning ok', 'secureBoot failed', 'memoryIntegrity ok'],
      ...['pendingRestart ok', 'space ok', 'letters ok', 'driver ok', 'certificate ok', 'verifier ok'],
    ])
  })

  test('says what cannot be found out', async () => {
    expect(await examineWindows(new FakeProcess(fresh({ elevated: false })).machine)).toHaveLength(2)
    const { machine } = new FakeProcess(fresh())
    const broken = { ...machine, run: () => Promise.resolve('missing' as const) }
    expect(await examineWindows(broken)).toMatchObject([
      { id: 'machine', status: 'failed', detail: 'whoami: there is no such program on this machine' },
    ])
  })
})

describe('after a crash', () => {
  const cutOff = async (windows: FakeWindows): Promise<void> => {
    const suite: WindowsRunParts['suite'] = ({ onStart }) => {
      onStart?.('topic: the case that stopped the machine')
      return Promise.reject(new Killed('blue screen'))
    }
    const process = new FakeProcess(windows, (_change, what) => (what.includes('fltmc unload') ? 'die' : 'go'))
    await validateOn(partsOf(process, suite))
    expect(windows.journal).not.toBe('')
    windows.restart()
  }

  test('the next run puts the machine back first, says so, and goes on', async () => {
    const windows = fresh()
    const before = windows.snapshot()
    await cutOff(windows)
    const { code, err } = await validateOn(partsOf(new FakeProcess(windows)))
    expect(code).toBe(EXIT.ok)
    expect(err).toMatch(
      /^minipend: a run of 20\S+ \(minipend \S+\) was cut off, in the case "topic: the case that stopped the machine"; undoing what it left\n/,
    )
    expect(err.indexOf('undoing: the volume M:')).toBeLessThan(err.indexOf('load the driver'))
    expect(windows.state).toEqual(before)
  })

  test('minipend undo does that alone; --dry-run shows what is left', async () => {
    const windows = fresh()
    const before = windows.snapshot()
    await cutOff(windows)
    const shown = await undoOn(windows, { dryRun: true })
    expect(shown.code).toBe(EXIT.ok)
    expect(shown.out).toContain(' 1. the loaded driver minipend\n      fltmc unload minipend\n')
    expect(shown.out).toContain('      pnputil /delete-driver oemN.inf /uninstall\n')
    const { code, out, err } = await undoOn(windows)
    expect(code).toBe(EXIT.ok)
    expect(err).toContain('the run was cut off in the case "topic: the case that stopped the machine"')
    expect(out).toMatch(/^undone: the loaded driver minipend, .*the directory C:\\ProgramData\\minipend\\vm\n$/)
    expect(windows.state).toEqual(before)
    expect((await undoOn(windows)).out).toBe('nothing was left to undo\n')
    expect(JSON.parse((await undoOn(windows, {}, true)).out)).toEqual({ ok: true, undone: [], restartNeeded: false })
  })

  test('a journal that cannot be read keeps everything from starting', async () => {
    const windows = fresh()
    windows.journal = '{"kind":"begin"}\nrubbish\n{"kind":"pause"}\n'
    const { code, error } = await validateOn(partsOf(new FakeProcess(windows)))
    expect(code).toBe(EXIT.failed)
    expect(error).toContain('undo.jsonl: cannot read line 2; the others were undone')
    expect(windows.journal).toContain('rubbish')
  })
})

describe('under Driver Verifier', () => {
  const verifier = { verifier: true } as const

  test('ends for a restart, goes on after it, and takes the setting back', async () => {
    const windows = fresh()
    const before = windows.snapshot()
    const first = await validateOn(partsOf(new FakeProcess(windows)), verifier)
    expect(first.code).toBe(EXIT.restart)
    expect(first.error).toContain('restart the machine, then give the same command again')
    expect(windows.state).toEqual({ ...before, verifierNext: ['minipend.sys'] })

    const early = await validateOn(partsOf(new FakeProcess(windows)), verifier)
    expect(early.code).toBe(EXIT.restart)
    expect(early.error).toContain('the machine has not been restarted since')

    windows.restart()
    const out = path.join(directory, 'verifier.json')
    const second = await validateOn(partsOf(new FakeProcess(windows)), { ...verifier, out })
    expect(second).toMatchObject({ code: EXIT.ok, error: '' })
    expect(second.err).toContain('going on after the restart, under Driver Verifier')
    expect(second.err).toContain('Driver Verifier is off again from the next restart on')
    expect(readResultDocument('compare', out).windows?.verifier).toEqual({ flags: 0x209bb, drivers: ['minipend.sys'] })
    windows.restart()
    expect(windows.state).toEqual(before)
  })

  test('before Windows 11 by flags', async () => {
    const process = new FakeProcess(fresh({ build: 19_045 }))
    await validateOn(partsOf(process), verifier)
    expect(process.log).toContain('verifier /flags 0x209bb /driver minipend.sys')
  })

  test.each(['undo', 'a run without it'])('%s takes the setting back', async (how) => {
    const windows = fresh()
    const before = windows.snapshot()
    await validateOn(partsOf(new FakeProcess(windows)), verifier)
    const { code } = how === 'undo' ? await undoOn(windows) : await validateOn(partsOf(new FakeProcess(windows)))
    expect(code).toBe(EXIT.restart)
    expect(windows.state).toEqual(before)
    expect(windows.journal).toBe('')
  })

  test('a crash after the restart is no pause', async () => {
    const windows = fresh()
    await validateOn(partsOf(new FakeProcess(windows)), verifier)
    windows.restart()
    const process = new FakeProcess(windows, (_change, what) => (what.includes('fltmc load') ? 'die' : 'go'))
    await validateOn(partsOf(process), verifier)
    windows.restart()
    const next = await validateOn(partsOf(new FakeProcess(windows)), verifier)
    expect(next.code).toBe(EXIT.restart)
    expect(next.error).toContain('is undone, and Windows wants a restart for it')
    expect(windows.state.verifierNext).toEqual([])
  })
})

describe('elsewhere', () => {
  test('--dry-run shows all of it on any machine', async () => {
    const context = testContext()
    const { code, out } = await ran(context, validateOnWindows(context, { ...options, dryRun: true }))
    expect(code).toBe(EXIT.ok)
    expect(out).toContain(' 5. trust the test certificate: TrustedPublisher [SIGN-03]\n')
    expect(out).toContain(
      `      pnputil /add-driver ${PACKAGE}\\minipend.inf /install\n    undone by\n      pnputil /delete-driver oemN.inf /uninstall\n`,
    )
    expect(out).toContain('        | format fs=fat32 label=minipend quick\n')
    expect(out).toMatch(/nothing of this has been done\n$/)
    expect(out).not.toContain('verifier')
  })

  test('--dry-run --verifier --json', async () => {
    const context = testContext({ json: true })
    await validateOnWindows(context, { ...options, dryRun: true, verifier: true })
    const { steps } = JSON.parse(context.terminal.text.out) as { steps: { title: string; undo: unknown }[] }
    expect(steps.map(({ undo: back }) => (back === null ? '-' : 'u')).join('')).toBe('--u-uuuuuuu-')
  })

  test.each(['validate', 'undo'])('%s needs Windows', async (command) => {
    const context = testContext()
    const work = command === 'undo' ? undo(context, {}) : validateOnWindows(context, options)
    const { code, error } = await ran(context, work)
    expect(code).toBe(EXIT.unavailable)
    expect(error).toMatch(/^minipend: (undo|validate: --backend windows) needs a Windows test machine; this is linux\n/)
    expect(error).toContain('--dry-run shows here what it would do')
  })
})
