// SPDX-License-Identifier: MIT
//
// This module provides: the results of conformance cases, as vitest reports them.

import type { Reporter, SerializedError, TestCase, TestModule } from 'vitest/node'
import type { CaseCounters, CaseResult } from './document.js'

/** What test/conformance/case.ts leaves with each case. */
interface Meta {
  readonly ids?: readonly string[]
  readonly evidence?: readonly string[]
  readonly lanes?: readonly string[]
  readonly counters?: { readonly before: CaseCounters; readonly after: CaseCounters }
}

const metaOf = (test: TestCase): Meta => (test.meta() as { readonly conformance?: Meta }).conformance ?? {}

const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g')

function errorText(errors: readonly SerializedError[]): string {
  const texts = errors.map((error) =>
    [error.message, error['diff']].filter((part) => typeof part === 'string').join('\n'),
  )
  return texts.join('\n\n').replaceAll(ESCAPES, '')
}

/** The name of the file's outermost describe(); a case outside of any: its file. */
function topicOf(test: TestCase): string {
  let topic = test.module.relativeModuleId
  for (let at = test.parent; at.type === 'suite'; at = at.parent) {
    topic = at.name
  }
  return topic
}

const fileOf = (module: TestModule): string => module.relativeModuleId.replaceAll('\\', '/')

function resultOf(test: TestCase): CaseResult {
  const { ids = [], evidence = [], lanes = [], counters } = metaOf(test)
  const { state, errors = [] } = test.result()
  return {
    ...{ topic: topicOf(test), name: test.name, file: fileOf(test.module), ids, evidence, lanes },
    // One that did not end (a worker that died, a stop) has not passed.
    outcome: state === 'pending' ? 'failed' : state,
    counters: counters ?? null,
    durationMs: Math.round(test.diagnostic()?.duration ?? 0),
    error: state === 'pending' ? 'it did not end' : errors.length === 0 ? null : errorText(errors),
  }
}

/** What is wrong with a whole file, or with the run. */
const broken = (file: string, name: string, errors: readonly SerializedError[]): CaseResult => ({
  ...{ topic: file, name, file, ids: [], evidence: [], lanes: [] },
  ...{ outcome: 'failed', counters: null, durationMs: 0, error: errorText(errors) },
})

export class Collector implements Reporter {
  readonly cases: CaseResult[] = []
  readonly #onCase: (result: CaseResult) => void
  readonly #wanted: (result: CaseResult) => boolean
  readonly #onStart: (name: string) => void

  /** `wanted`: those that are not are left out. `onCase`: told of each as it ends, `onStart`: as it begins. */
  constructor(
    wanted: (result: CaseResult) => boolean,
    onCase: (result: CaseResult) => void,
    onStart: (name: string) => void = () => undefined,
  ) {
    this.#wanted = wanted
    this.#onCase = onCase
    this.#onStart = onStart
  }

  onTestCaseReady(test: TestCase): void {
    this.#onStart(`${topicOf(test)}: ${test.name}`)
  }

  onTestCaseResult(test: TestCase): void {
    const result = resultOf(test)
    if (this.#wanted(result)) {
      this.#onCase(result)
    }
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    for (const module of [...modules].sort((a, b) => (a.moduleId < b.moduleId ? -1 : 1))) {
      const errors = module.errors()
      if (errors.length > 0) {
        this.cases.push(broken(fileOf(module), 'the file runs', errors))
      }
      this.cases.push(...[...module.children.allTests()].map(resultOf).filter(this.#wanted))
    }
    if (unhandled.length > 0) {
      this.cases.push(broken('the run', 'no error goes unhandled', unhandled))
    }
  }
}
