// SPDX-License-Identifier: MIT
//
// This module provides: tests of the steps for Windows machines: what each one calls, and what becomes of the answer. The programs themselves are
// played: none of this has been seen on Windows.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { lineOf } from '../../../src/cli/windows/command.js'
import { parseStep, runStep } from '../../../scripts/windows/step.js'
import { type Command, type Place, type StepName, stepNames, steps } from '../../../scripts/windows/steps.js'
import { recorded } from './recorded.js'

const place: Place = { root: 'C:\\minipend', scratch: 'C:\\temp', architecture: 'x64' }
const lines = (name: StepName, at: Place = place): string[] => (steps[name](at) as readonly Command[]).map(lineOf)

const expected: Record<StepName, string[]> = {
  kit: ['nuget restore C:\\minipend\\driver\\packages.config -PackagesDirectory C:\\minipend\\build\\nuget'],
  driver: [
    'msbuild C:\\minipend\\driver\\minipend.vcxproj /nologo /m /t:Rebuild /p:Configuration=Release /p:Platform=x64',
    'cmd /d /c copy /y C:\\minipend\\driver\\minipend.inf C:\\minipend\\build\\driver\\wdk-x64\\Release',
  ],
  sign: [
    'node C:\\minipend\\dist\\cli\\main.js sign C:\\minipend\\build\\driver\\wdk-x64\\Release --out C:\\minipend\\build\\driver\\wdk-x64\\package --key-dir C:\\temp\\key --kit C:\\minipend\\build\\nuget',
  ],
  trust: [
    'certutil -f -addstore Root C:\\minipend\\build\\driver\\wdk-x64\\package\\minipend.cer',
    'certutil -f -addstore TrustedPublisher C:\\minipend\\build\\driver\\wdk-x64\\package\\minipend.cer',
  ],
  mode: ['reg query HKLM\\SYSTEM\\CurrentControlSet\\Control'],
  verifier: ['verifier /dif 1 2 4 5 9 12 18 /now /driver minipend.sys'],
  install: ['pnputil /add-driver C:\\minipend\\build\\driver\\wdk-x64\\package\\minipend.inf /install'],
  volume: ['diskpart /s C:\\temp\\attach.txt'],
  load: ['fltmc load minipend', 'fltmc filters'],
  try: ['node C:\\minipend\\dist\\cli\\main.js run C:\\minipend\\scripts\\windows\\try.ts windows M:'],
  unload: ['fltmc unload minipend', 'fltmc filters', 'verifier /query', 'diskpart /s C:\\temp\\detach.txt'],
}

describe('each step', () => {
  it.each(stepNames)('%s calls what it says', (name) => {
    expect(lines(name)).toEqual(expected[name])
  })

  it('is of the right architecture', () => {
    const arm64 = stepNames.flatMap((name) => lines(name, { ...place, architecture: 'arm64' }))
    expect(arm64.filter((line) => /x64/i.test(line))).toEqual([])
    expect(arm64.filter((line) => line.includes('/p:Platform=ARM64'))).toHaveLength(1)
  })
})

describe('running a step', () => {
  let scratch = ''
  beforeEach(() => {
    scratch = mkdtempSync(path.join(os.tmpdir(), 'minipend-step-'))
    vi.spyOn(console, 'log').mockImplementation(() => undefined)
  })
  afterEach(() => {
    vi.restoreAllMocks()
    rmSync(scratch, { recursive: true })
  })

  const answering = (...outputs: string[]) => vi.fn(() => ({ code: 0, output: outputs.shift() ?? '' }))

  it('stops at the first command that fails, and names it', () => {
    const run = vi.fn(() => ({ code: 0, output: recorded('fltmc-load-signature.de') }))
    expect(() => runStep('load', { ...place, scratch }, run)).toThrow(
      'minipend load: fltmc load minipend: failed with ERROR_INVALID_IMAGE_HASH (0x80070241)',
    )
    expect(run).toHaveBeenCalledTimes(1)
    expect(() => runStep('driver', { ...place, scratch }, () => ({ code: 7, output: '' }))).toThrow('failed with 7')
  })

  it('says which program is not there', () => {
    expect(() => runStep('kit', { ...place, scratch }, () => undefined)).toThrow('minipend kit: nuget was not found.')
  })

  it('needs the mode in which the machine was started, not the one of its next start', () => {
    runStep('mode', { ...place, scratch }, answering(recorded('reg-control.en')))
    const off = recorded('reg-control.en').replace('TESTSIGNING', '')
    expect(() => runStep('mode', { ...place, scratch }, answering(off))).toThrow('not started in test-signing mode')
  })

  it('sees whether the driver is loaded, and whether it is gone', () => {
    runStep('load', { ...place, scratch }, answering('', recorded('fltmc-filters.en')))
    const empty = recorded('fltmc-filters.en').replace(/^minipend.*$/m, '')
    expect(() => runStep('load', { ...place, scratch }, answering('', empty))).toThrow('minipend is not loaded')
    expect(() => runStep('unload', { ...place, scratch }, answering('', recorded('fltmc-filters.en')))).toThrow(
      'minipend is still loaded',
    )
  })

  it('cannot restart the machine', () => {
    const run = (): { code: number; output: string } => ({ code: 3010, output: '' })
    expect(() => runStep('install', { ...place, scratch }, run)).toThrow('needs a restart')
  })

  it('runs all commands of a step that goes well, and has their files ready', () => {
    const run = vi.fn((command: Command) => {
      const { script } = command
      if (script !== undefined) {
        const file = path.join(scratch, path.win32.basename(script.file))
        expect(readFileSync(file, 'utf8')).toBe(script.text)
      }
      return { code: 0, output: '' }
    })
    runStep('volume', { ...place, scratch }, run)
    expect(readFileSync(path.join(scratch, 'attach.txt'), 'utf8')).toContain('assign letter=M\r\n')
    runStep('unload', { ...place, scratch }, run)
    expect(run).toHaveBeenCalledTimes(5)
  })

  it('takes a step and an architecture', () => {
    expect(parseStep(['driver', '--architecture', 'arm64'], scratch)).toMatchObject({
      name: 'driver',
      place: { architecture: 'arm64', scratch },
    })
    expect(() => parseStep(['drive'], scratch)).toThrow(
      'usage: step.ts STEP [--architecture x64|arm64]; steps: kit, driver, sign',
    )
    expect(() => parseStep(['driver', '--architecture', 'x86'], scratch)).toThrow('no such architecture: x86')
  })
})
