// SPDX-License-Identifier: MIT
//
// This module provides: tests of `minipend validate --backend windows` from its beginning to its end, on a machine in memory: what it does, says and writes, and
// that the machine is as it was whatever fails.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { EXIT } from '../../../src/cli/exit-codes.js'
import { MachineError } from '../../../src/cli/machine-error.js'
import { StoppedError } from '../../../src/cli/problems.js'
import { readResultDocument } from '../../../src/cli/validate/document.js'
import type { WindowsRunParts } from '../../../src/cli/validate/windows-run.js'
import { diagnose } from '../../../src/cli/windows/diagnosis.js'
import type { Lock } from '../../../src/cli/windows/lock.js'
import type { HeldOperation } from '../../../src/index.js'
import { countersOf, fakeOpen } from '../cli/support.js'
import { FakeProcess, FakeWindows } from './fake-windows.js'
import { contextOf, fresh, undoOn, validateOn } from './run-support.js'
import { PACKAGE, partsOf, PASSED, SHA1, suiteOf, withPackage } from './support.js'

const directory = mkdtempSync(path.join(os.tmpdir(), 'minipend-vm-'))
afterAll(() => rmSync(directory, { recursive: true }))

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
  test('what is held is said, and released', async () => {
    const held: HeldOperation = {
      ...{ id: 7n, operation: 'rename', instanceId: 1n, drive: 'M:', path: '\\a', nameCut: false, hold: 'gate' },
      ...{ action: 'pend', rule: undefined, own: false, processId: 99, threadId: 1, takenNs: 0n, seenNs: 5_000_000n },
      ...{ deadlineNs: 9n, status: { name: 'STATUS_SUCCESS', value: 0 } },
    } as HeldOperation
    const { open } = fakeOpen(() => countersOf({ rename: { pended: 1n, completed: 0n } }), [held])
    const lines = await diagnose(new FakeProcess(fresh()).machine, open)
    expect(lines).toContain('held 7: rename M:\\a, gate, for 5 ms, process 99')
    expect(lines.at(-1)).toBe('released: 1')
    const refuses = (): Promise<never> => Promise.reject(new Error('the driver does not answer'))
    expect(await diagnose(new FakeProcess(fresh()).machine, refuses)).toEqual(['driver: the driver does not answer'])
  })

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

describe('one at a time', () => {
  test('a second run is refused before anything is looked at', async () => {
    const process = new FakeProcess(fresh())
    const lock = (): Promise<never> =>
      Promise.reject(new MachineError('another minipend works on this machine (process 4)', { exitCode: 3 }))
    const { code, error } = await validateOn({ ...partsOf(process), lock })
    expect({ code, error }).toEqual({
      code: EXIT.environment,
      error: 'minipend: another minipend works on this machine (process 4)\n',
    })
    expect(process.log).toEqual([])
  })

  test.each(['a run that goes well', 'one that fails'])('the lock is given back after %s', async (how) => {
    let held = 0
    const lock = (): Promise<Lock> => {
      held++
      return Promise.resolve({
        release: () => {
          held--
          return Promise.resolve()
        },
      })
    }
    const fault = how === 'one that fails' ? 'fail' : 'go'
    const process = new FakeProcess(fresh(), (_change, what) => (what.startsWith('pnputil') ? fault : 'go'))
    const suite: WindowsRunParts['suite'] = () => {
      expect(held).toBe(1)
      return Promise.resolve([PASSED])
    }
    await validateOn({ ...partsOf(process, suite), lock })
    expect(held).toBe(0)
  })
})
