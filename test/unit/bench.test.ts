// SPDX-License-Identifier: MIT
//
// This module provides: tests of what `npm run bench` makes of its samples and of what its JSON promises. No time is measured here; `.ci/run bench`
// runs the benchmark itself, small.

import { describe, expect, test } from 'vitest'

import { problems, SCHEMA } from '../bench/shape.mjs'
import { addRatios, median, summarise } from '../bench/statistics.mjs'

const sample = (operations: number, cpuNs: number, wallNs = 2 * cpuNs) => ({ operations, cpuNs, wallNs })

describe('statistics', () => {
  test('the median is the middle, or the mean of the two in the middle', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([9, 1, 5, 7])).toBe(6)
  })

  test('a result has times for each operation, with their spread, and rates', () => {
    const result = summarise({ suite: 'forms', samples: [sample(10, 1000), sample(10, 3000), sample(10, 2000)] })
    expect(result).toEqual({
      suite: 'forms',
      repetitions: 3,
      operationsPerRepetition: 10,
      cpuNsPerOperation: { median: 200, min: 100, max: 300 },
      wallNsPerOperation: { median: 400, min: 200, max: 600 },
      operationsPerCpuSecond: 5_000_000,
      operationsPerSecond: 2_500_000,
    })
  })

  test('a ratio compares with the base that agrees in the keys, and with no other', () => {
    const results = [
      summarise({ form: 'a', filter: 'none', samples: [sample(1, 100)] }),
      summarise({ form: 'a', filter: 'pended', samples: [sample(1, 300)] }),
      summarise({ form: 'b', filter: 'pended', samples: [sample(1, 300)] }),
    ]
    const ratios = addRatios(results, ['form'], ({ filter }) => filter === 'none')
    expect(ratios.map(({ ratio }) => ratio)).toEqual([1, 3, undefined])
  })
})

describe('the JSON', () => {
  test('another schema is refused by name', () => {
    expect(problems({ schema: 'other' })).toEqual([`schema is "other", expected "${SCHEMA}"`])
    expect(problems(undefined)).toHaveLength(1)
  })

  test('each missing suite and each missing value is named', () => {
    const document = {
      schema: SCHEMA,
      machine: { processor: 'x', processors: 2, memoryBytes: 1, system: 'x', node: 'x', loadAverage: [0] },
      results: [{ suite: 'memory', held: 1000, executor: 'fibers', driverPoolBytes: 0, modelBytes: 5 }],
    }
    expect(problems(document)).toEqual([
      'forms: no results',
      'rules: no results',
      'held: no results',
      'clients: no results',
      'memory: nothing with held 16384',
      'memory: nothing with executor threads',
      'memory[0]: no bytes',
      'worlds: no results',
      'client: no results',
      'boundary: no results',
    ])
  })

  test('a spread whose median lies outside is no spread', () => {
    const good = summarise({ suite: 'worlds', world: 'empty', executor: 'fibers', samples: [sample(1, 100)] })
    const bad = { ...good, wallNsPerOperation: { median: 5, min: 6, max: 7 } }
    const document = { schema: SCHEMA, machine: {}, results: [bad] }
    expect(problems(document)).toContain('worlds[0]: wallNsPerOperation is no { median, min, max }')
  })
})
