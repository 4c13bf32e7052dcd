// SPDX-License-Identifier: MIT
//
// This module provides: what only the model can do: fault switches, slow storage, and its report.

import { ClosedError, InvalidOptionError, NotSupportedError } from '../errors/errors.js'
import type { ReadingOptions } from '../generated/readings.js'
import type { Transport } from '../transport/transport.js'
import { Checker } from './check.js'
import type { Lifetime } from './lifetime.js'
import type { Model, ModelReport } from './types.js'

const checkerOf = (operation: string): Checker =>
  new Checker(
    (field, expectation) => new InvalidOptionError(field, `${operation}: ${field}: ${expectation}`, { operation }),
  )
const check = checkerOf('model.setFault')
const checkDelay = checkerOf('model.setStorageDelay')

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** Reads the model's report; '' (the world is gone) is a report of nothing. */
export function parseReport(json: string): ModelReport {
  const parsed: unknown = json === '' ? {} : JSON.parse(json)
  const report = (typeof parsed === 'object' && parsed !== null ? parsed : {}) as Record<string, unknown>
  return {
    stopped: report['stopped'] === true,
    rule: text(report['rule']),
    call: text(report['call']),
    text: text(report['text']),
    callSite: text(report['callSite']),
    backtrace: texts(report['backtrace']),
    operation: texts(report['operation']),
    history: texts(report['history']),
    seed: text(report['seed']) ?? '',
    leaks: texts(report['leaks']),
    absentRoutines: texts(report['absentRoutines']),
    readings: isObject(report['readings']) ? (report['readings'] as ReadingOptions) : {},
    waitingForStorage: typeof report['waitingForStorage'] === 'number' ? report['waitingForStorage'] : 0,
  }
}

const MAX_UINT32 = 0xffffffff
const MAX_STORAGE_DELAY_MS = 60_000
const MICROSECONDS_PER_MS = 1000

export function createModel(transport: Transport, lifetime: Lifetime): Model {
  const { seed } = transport
  if (seed === undefined) {
    throw new NotSupportedError('there is no model behind the windows backend', {
      operation: 'model',
      hint: "open a session with backend: 'embedded'",
    })
  }
  return {
    seed,
    setFault(functionName, options) {
      lifetime.ensureOpen('model.setFault')
      const { count, skip = 0 } = check.object('options', options, ['count', 'skip'])
      const counted = check.integer('count', count, 0, MAX_UINT32)
      const skipped = check.integer('skip', skip, 0, MAX_UINT32)
      if (!transport.setFault(check.text('functionName', functionName, 128), skipped, counted)) {
        check.fail(
          'functionName',
          `the model has no fault switch for "${functionName}"; expected a kernel function such as "FltAllocateDeferredIoWorkItem"`,
        )
      }
    },
    setStorageDelay(options) {
      lifetime.ensureOpen('model.setStorageDelay')
      const { delayMs } = checkDelay.object('options', options, ['delayMs'])
      const checked = checkDelay.integer('delayMs', delayMs, 0, MAX_STORAGE_DELAY_MS)
      if (!transport.setStorageDelay(checked * MICROSECONDS_PER_MS)) {
        throw new ClosedError('model.setStorageDelay: the model is gone', {
          operation: 'model.setStorageDelay',
          hint: 'open a new session',
        })
      }
    },
    report() {
      lifetime.ensureOpen('model.report')
      return parseReport(transport.report())
    },
  }
}
