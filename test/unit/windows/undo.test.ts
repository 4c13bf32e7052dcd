// SPDX-License-Identifier: MIT
//
// This module provides: tests of undoing: a process that changes a machine is killed at any change that it makes, in the middle of any program and at any byte of
// any line of its journal; the machine may be restarted; the next process undoes, and may be killed as well. In the end the machine is as it was.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { doSteps, stepsOf, verifierStep } from '../../../src/cli/windows/plan.js'
import { openJournal } from '../../../src/cli/windows/state.js'
import { isUndoAction, playBack, requireAllUndone } from '../../../src/cli/windows/undo.js'
import { FakeProcess, FakeWindows, Killed } from './fake-windows.js'
import { DIRECTORY, PACKAGE, SHA1, withPackage } from './support.js'

const settings = {
  directory: DIRECTORY,
  driver: { inf: `${PACKAGE}\\minipend.inf`, certificate: `${PACKAGE}\\minipend.cer`, sha1: SHA1 },
  letters: { ntfs: 'M', fat: 'N' },
  trusted: { Root: false, TrustedPublisher: false },
  build: 26_100,
} as const
const steps = [verifierStep(settings), ...stepsOf(settings)]
const never = new AbortController().signal

/** A whole run: does all, undoes all. */
async function run(process: FakeProcess, tear = 0): Promise<void> {
  const { machine } = process
  const journal = openJournal(process.store('journal', tear), DIRECTORY)
  journal.begin(new Date(0), '0')
  await doSteps(machine, journal, steps, never, () => undefined)
  await playBack(machine, journal)
}

async function undo(process: FakeProcess, tear = 0): Promise<void> {
  const journal = openJournal(process.store('journal', tear), DIRECTORY)
  await playBack(process.machine, journal)
}

async function killedOrEnded(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!(error instanceof Killed)) throw error
  }
}

const dyingAt = (windows: FakeWindows, at: number): FakeProcess =>
  new FakeProcess(windows, (change) => (change === at ? 'die' : 'go'))

async function finish(windows: FakeWindows): Promise<void> {
  const process = new FakeProcess(windows)
  const journal = openJournal(process.store('journal'), DIRECTORY)
  requireAllUndone(await playBack(process.machine, journal), journal)
}

const fresh = (language: 'en' | 'de' = 'en'): FakeWindows => withPackage(new FakeWindows({ language }))

async function changesOf(windows: FakeWindows): Promise<number> {
  const process = new FakeProcess(windows)
  await run(process)
  return process.changes
}

describe('a machine is as it was', () => {
  test('after a whole run, in which it was different', async () => {
    const windows = fresh()
    const before = windows.snapshot()
    const process = new FakeProcess(windows)
    const journal = openJournal(process.store('journal'), DIRECTORY)
    await doSteps(process.machine, journal, steps, never, () => undefined)
    expect(windows.state).toMatchObject({
      certificates: { Root: ['ff'.repeat(20), SHA1], TrustedPublisher: [SHA1] },
      packages: [{ original: 'netkvm.inf' }, { published: 'oem12.inf', original: 'minipend.inf' }],
      services: ['netkvm', 'minipend'],
      filters: ['bindflt', 'WdFilter', 'FileInfo', 'minipend'],
      attached: { [`${DIRECTORY}\\vm\\ntfs.vhdx`]: 'M', [`${DIRECTORY}\\vm\\fat.vhdx`]: 'N' },
      verifierNext: ['minipend.sys'],
    })
    expect(journal.pending.map(({ done }) => done)).toEqual(steps.map(() => true))
    const { undone, failures, restartNeeded } = await playBack(process.machine, journal)
    expect({ count: undone.length, failures, restartNeeded }).toEqual({
      count: steps.length,
      failures: [],
      restartNeeded: true,
    })
    expect(undone.map(({ undo: { kind } }) => kind)).toEqual([
      'filter',
      'volume',
      'volume',
      'package',
      'certificate',
      'certificate',
      'directory',
      'verifier',
    ])
    expect(windows.state).toEqual(before)
    expect(windows.journal).toBe('')
  })

  // Every change, and of a line that is being written nothing, a byte, all but its end, and all of it.
  test.each(['en', 'de'] as const)(
    'after a crash at each change, with and without a restart, in %s',
    async (language) => {
      const changes = await changesOf(fresh(language))
      expect(changes).toBeGreaterThan(60)
      for (let at = 1; at <= changes; at++) {
        for (const tear of [0, 1, -2, -1]) {
          for (const restart of [false, true]) {
            const windows = fresh(language)
            const before = windows.snapshot()
            const process = dyingAt(windows, at)
            await killedOrEnded(run(process, tear))
            if (restart) windows.restart()
            await finish(windows)
            if (restart || windows.state.verifierActive.length > 0) windows.restart()
            expect(windows.state, `change ${at}, tear ${tear}, restart ${restart}`).toEqual(before)
            expect(windows.journal).toBe('')
          }
        }
      }
    },
  )

  test('after any number of crashes, also while it is being put back', async () => {
    const crash = fc.record({ at: fc.integer({ min: 1, max: 75 }), tear: fc.nat(300), restart: fc.boolean() })
    const program = fc.array(crash, { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(program, async ([first, ...later]) => {
        const windows = fresh()
        const before = windows.snapshot()
        await killedOrEnded(run(dyingAt(windows, first?.at ?? 1), first?.tear))
        if (first?.restart === true) windows.restart()
        for (const { at, tear, restart } of later) {
          await killedOrEnded(undo(dyingAt(windows, 1 + (at % 12)), tear))
          if (restart) windows.restart()
        }
        await finish(windows)
        windows.restart()
        expect(windows.state).toEqual(before)
        expect(windows.journal).toBe('')
      }),
      { numRuns: 300 },
    )
  })
})

describe('what cannot be undone', () => {
  test('stays in the journal; what stands on it is not touched, and the next attempt does it', async () => {
    const windows = fresh()
    const before = windows.snapshot()
    const process = new FakeProcess(windows, (_change, what) => (what.startsWith('fltmc unload') ? 'hang' : 'go'))
    const journal = openJournal(process.store('journal'), DIRECTORY)
    await doSteps(process.machine, journal, stepsOf(settings), never, () => undefined)
    const told: string[] = []
    const played = await playBack(process.machine, journal, {
      onFailure: ({ undo: { kind } }, error) => Promise.resolve(void told.push(`${kind}: ${error.message}`)),
    })
    expect(told).toEqual(['filter: fltmc unload minipend: has not ended within 60 s'])
    expect(played.kept).toHaveLength(steps.length - 2)
    expect(windows.state.packages).toHaveLength(2)
    expect(() => requireAllUndone(played, journal)).toThrow(
      /the loaded driver minipend: .*\n.*the volume N:: waits for that/,
    )
    windows.restart()
    await finish(windows)
    expect(windows.state).toEqual(before)
  })

  test('a volume in use does not keep the rest', async () => {
    const windows = fresh()
    const process = new FakeProcess(windows, (_change, what) => (what.includes('detach vdisk') ? 'fail' : 'go'))
    const journal = openJournal(process.store('journal'), DIRECTORY)
    await doSteps(process.machine, journal, stepsOf(settings), never, () => undefined)
    const played = await playBack(process.machine, journal)
    expect(played.failures.map(({ entry }) => entry.undo.kind)).toEqual(['volume', 'volume', 'directory'])
    expect(windows.state).toMatchObject({ filters: ['bindflt', 'WdFilter', 'FileInfo'], services: ['netkvm'] })
    expect(windows.state.certificates.Root).not.toContain(SHA1)
    windows.restart()
    await finish(windows)
    expect(windows.state.files).toEqual({})
  })
})

describe('a journal that somebody else wrote', () => {
  test.each([
    [{ kind: 'directory', directory: 'C:\\Windows' }],
    [{ kind: 'directory', directory: `${DIRECTORY}\\vm\\..\\..` }],
    [{ kind: 'volume', disk: 'C:\\Users\\x\\ntfs.vhdx', letter: 'M' }],
    [{ kind: 'volume', disk: `${DIRECTORY}\\vm\\a"b.vhdx`, letter: 'M' }],
    [{ kind: 'volume', disk: `${DIRECTORY}\\vm\\ntfs.vhdx`, letter: 'MM' }],
    [{ kind: 'package', inf: 'netkvm.inf' }],
    [{ kind: 'filter', filter: 'WdFilter' }],
    [{ kind: 'certificate', store: 'My', sha1: SHA1 }],
    [{ kind: 'certificate', store: 'Root', sha1: '*' }],
    [{ kind: 'verifier', driver: 'ntfs.sys' }],
    [{ kind: 'format' }],
    [null],
  ])('cannot make an administrator do anything else: %j', (action) => {
    expect(isUndoAction(action, DIRECTORY)).toBe(false)
  })

  test('what a run writes is accepted', () => {
    for (const { undo: action } of steps) {
      expect(isUndoAction(JSON.parse(JSON.stringify(action)), DIRECTORY), action.kind).toBe(true)
    }
  })
})
