// SPDX-License-Identifier: MIT
//
// This module provides: the lint of the Windows workflow: it parses without a warning, its steps are those that this repository has and tests, in an
// order that can work, and it asks for no more rights and time than it needs.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseDocument } from 'yaml'

import { architectures, stepNames } from '../../../scripts/windows/steps.js'
import * as paths from '../../../scripts/paths.mjs'

interface Step {
  readonly uses?: string
  readonly run?: string
  readonly if?: string
  readonly with?: Readonly<Record<string, unknown>>
  readonly 'continue-on-error'?: boolean
}
interface Job {
  readonly 'runs-on': string
  readonly 'timeout-minutes'?: number
  readonly permissions?: Readonly<Record<string, string>>
  readonly strategy?: { readonly matrix: { readonly include: readonly { runner: string; architecture: string }[] } }
  readonly steps: readonly Step[]
}
interface Workflow {
  readonly permissions?: Readonly<Record<string, string>>
  readonly jobs: Readonly<Record<string, Job>>
}

const file = path.join(paths.root, '.github', 'workflows', 'windows.yml')
const document = parseDocument(readFileSync(file, 'utf8'), { strict: true, uniqueKeys: true })
const workflow = document.toJS() as Workflow
const scripts = (
  JSON.parse(readFileSync(path.join(paths.root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
).scripts
const jobs = Object.entries(workflow.jobs)

/** Machines whose images are in test-signing mode. */
const RUNNERS = ['windows-2022', 'windows-2025', 'windows-11-arm']
const ACTIONS: Readonly<Record<string, string>> = {
  'actions/checkout': 'v4',
  'actions/setup-node': 'v4',
  'actions/upload-artifact': 'v4',
  'microsoft/setup-msbuild': 'v2',
  'NuGet/setup-nuget': 'v2',
  'github/codeql-action/init': 'v3',
  'github/codeql-action/analyze': 'v3',
}
const stepOf = (run: string): string | undefined => /^npm run windows -- (\w+)/.exec(run)?.[1]

describe('.github/workflows/windows.yml', () => {
  it('is YAML without errors or warnings', () => {
    expect([...document.errors, ...document.warnings]).toEqual([])
  })

  it.each(jobs)('%s runs on a machine that can load the driver, and not for ever', (_name, job) => {
    const include = job.strategy?.matrix.include ?? []
    const runners = include.length === 0 ? [job['runs-on']] : include.map(({ runner }) => runner)
    expect(RUNNERS).toEqual(expect.arrayContaining(runners))
    expect(job['timeout-minutes']).toBeLessThanOrEqual(60)
    for (const { runner, architecture } of include) {
      expect(architectures).toContain(architecture)
      expect(architecture).toBe(runner.endsWith('-arm') ? 'arm64' : 'x64')
    }
  })

  it.each(jobs)('%s does only what the repository has', (_name, job) => {
    for (const { uses, run } of job.steps) {
      if (uses !== undefined) {
        const [action = '', version] = uses.split('@')
        expect(ACTIONS[action], uses).toBe(version)
        continue
      }
      const step = stepOf(run ?? '')
      if (step === undefined)
        expect(run === 'npm ci' || /^npm run (\w+)$/.exec(run ?? '')?.[1] === 'build', run).toBe(true)
      else expect(stepNames, run).toContain(step)
    }
    expect(scripts['windows']).toBe('node --import tsx scripts/windows/step.ts')
  })

  it('goes through all steps, in their order, and unloads whatever happened', () => {
    const { driver } = workflow.jobs
    const order = (driver?.steps ?? []).flatMap(({ run }) => stepOf(run ?? '') ?? [])
    expect(order).toEqual([
      'kit',
      'driver',
      'sign',
      'mode',
      'trust',
      'verifier',
      'install',
      'volume',
      'load',
      'try',
      'unload',
    ])
    expect([...order].sort()).toEqual([...stepNames].sort())
    expect(driver?.steps.find(({ run }) => stepOf(run ?? '') === 'unload')?.if).toBe('always()')
    const mayFail = (driver?.steps ?? []).filter((step) => step['continue-on-error'] === true)
    expect(mayFail.map(({ run }) => stepOf(run ?? ''))).toEqual(['verifier'])
  })

  it('analyses with both suites of the driver queries, on a build of its own', () => {
    const steps = workflow.jobs['codeql']?.steps ?? []
    const init = steps.findIndex(({ uses }) => uses?.startsWith('github/codeql-action/init') === true)
    const build = steps.findIndex(({ run }) => stepOf(run ?? '') === 'driver')
    const analyze = steps.findIndex(({ uses }) => uses?.startsWith('github/codeql-action/analyze') === true)
    expect(init).toBeLessThan(build)
    expect(build).toBeLessThan(analyze)
    expect(steps[init]?.with?.['packs']).toBe(
      ['mustfix', 'recommended']
        .map((suite) => `microsoft/windows-drivers:windows-driver-suites/${suite}.qls`)
        .join(','),
    )
  })

  it('may read, and only the analysis may report', () => {
    expect(workflow.permissions).toEqual({ contents: 'read' })
    const more = jobs.flatMap(([name, { permissions }]) => (permissions === undefined ? [] : [[name, permissions]]))
    expect(more).toEqual([['codeql', { contents: 'read', 'security-events': 'write' }]])
    expect(readFileSync(file, 'utf8')).not.toContain('secrets.')
  })
})
