// SPDX-License-Identifier: MIT
//
// This module provides: tests of what comes before a run on a Windows machine, in memory: a machine that is not ready, what an earlier run left, the restart for
// Driver Verifier, `minipend undo` and `--dry-run`.

import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { examineWindows } from '../../../src/cli/doctor/windows-checks.js'
import { EXIT } from '../../../src/cli/exit-codes.js'
import { readResultDocument } from '../../../src/cli/validate/document.js'
import type { ValidateOptions } from '../../../src/cli/validate/validate.js'
import { validateOnWindows, type WindowsRunParts } from '../../../src/cli/validate/windows-run.js'
import { defaultPackage } from '../../../src/cli/windows/driver-files.js'
import { undo } from '../../../src/cli/windows/undo-command.js'
import { testContext } from '../cli/support.js'
import { FakeProcess, type FakeWindows, Killed } from './fake-windows.js'
import { fresh, options, type Ran, ran, undoOn, validateOn } from './run-support.js'
import { PACKAGE, partsOf } from './support.js'

const directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-vm-'))
afterAll(() => rmSync(directory, { recursive: true }))

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

  test('a prompt that is not elevated does not even try', async () => {
    const windows = fresh()
    await cutOff(windows)
    const plain = fresh({ elevated: false })
    Object.assign(plain, { state: windows.state, journal: windows.journal })
    for (const { code, error } of [await undoOn(plain), await validateOn(partsOf(new FakeProcess(plain)))]) {
      expect(code).toBe(EXIT.environment)
      expect(error).toContain('left something to undo, and this prompt is not elevated')
    }
    expect(plain.journal).toBe(windows.journal)
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

  test('works, and is reset, also where it shows only while the driver is loaded', async () => {
    const windows = fresh({ hidesVerifier: true })
    const before = windows.snapshot()
    const given = (): Promise<Ran> => validateOn(partsOf(new FakeProcess(windows)), verifier)
    expect((await given()).code).toBe(EXIT.restart)
    expect((await given()).error).toContain('the machine has not been restarted since')
    windows.restart()
    expect(await given()).toMatchObject({ code: EXIT.ok, error: '' })
    windows.restart()
    expect(windows.state).toEqual(before)

    await given()
    expect(windows.state.verifierNext).toEqual(['minipend.sys'])
    expect((await undoOn(windows)).code).toBe(EXIT.restart)
    expect(windows.state).toEqual(before)
  })

  test('a setting that does not work is seen before any case runs', async () => {
    const windows = fresh()
    await validateOn(partsOf(new FakeProcess(windows)), verifier)
    windows.restart()
    windows.state.verifierActive = []
    const { code, error } = await validateOn(partsOf(new FakeProcess(windows)), verifier)
    expect(code).toBe(EXIT.failed)
    expect(error).toContain('Driver Verifier does not look at minipend.sys, although it was told to')
    expect(windows.state.verifierNext).toEqual([])
  })

  test('a machine that is not ready after the restart may be made so', async () => {
    const windows = fresh()
    await validateOn(partsOf(new FakeProcess(windows)), verifier)
    windows.restart()
    windows.state.services.push('minipend')
    const refused = await validateOn(partsOf(new FakeProcess(windows)), verifier)
    expect(refused.code).toBe(EXIT.environment)
    expect(windows.state.verifierNext).toEqual(['minipend.sys'])
    windows.state.services.pop()
    expect((await validateOn(partsOf(new FakeProcess(windows)), verifier)).code).toBe(EXIT.ok)
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
    expect(error.includes('--dry-run shows here what it would do')).toBe(command === 'validate')
  })
})
