// SPDX-License-Identifier: MIT
//
// This module provides: what is made of repeated measurements (medians, spread, ratios) and how it is shown.

import Table from 'cli-table3'

/** Of an odd or even number of values, the middle one or the mean of the two. */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

const spread = (values) => ({ median: median(values), min: Math.min(...values), max: Math.max(...values) })

/**
 * One result from its samples [{ operations, wallNs, cpuNs }]. CPU time is the whole process's: it counts work, also where other processes
 * take the processors away; wall time says what a caller waited on this machine at that moment.
 */
export function summarise({ samples, ...dimensions }) {
  const cpu = spread(samples.map((sample) => sample.cpuNs / sample.operations))
  const wall = spread(samples.map((sample) => sample.wallNs / sample.operations))
  return {
    ...dimensions,
    repetitions: samples.length,
    operationsPerRepetition: samples[0].operations,
    cpuNsPerOperation: cpu,
    wallNsPerOperation: wall,
    operationsPerCpuSecond: 1e9 / cpu.median,
    operationsPerSecond: 1e9 / wall.median,
  }
}

/** Adds `ratio`: CPU time over that of the result that `isBase` accepts among those with the same value of `keys`. */
export function addRatios(results, keys, isBase) {
  const same = (a, b) => keys.every((key) => a[key] === b[key])
  return results.map((result) => {
    const base = results.find((other) => same(result, other) && isBase(other))
    return base === undefined
      ? result
      : { ...result, ratio: result.cpuNsPerOperation.median / base.cpuNsPerOperation.median }
  })
}

const whole = (value) => Math.round(value).toLocaleString('en-US')
const times = (value) => (value === undefined ? '' : `${value.toFixed(2)}x`)

const chars = Object.fromEntries(
  ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right', 'left']
    .concat(['left-mid', 'mid', 'mid-mid', 'right', 'right-mid'])
    .map((name) => [name, '']),
)

function table(head, rows, texts) {
  const colAligns = head.map((_, index) => (index < texts ? 'left' : 'right'))
  const plain = new Table({
    head,
    colAligns,
    style: { head: [], border: [], 'padding-left': 0 },
    chars: { ...chars, middle: '  ' },
  })
  plain.push(...rows)
  return plain.toString()
}

/** A table of timed results: `columns` are the dimensions that are shown, [key, title]. */
export function timeTable(results, columns, what = 'operation') {
  const head = [
    ...columns.map(([, title]) => title),
    `CPU ns/${what}`,
    'min',
    'max',
    'ratio',
    `${what}s/CPU s`,
    `wall ns/${what}`,
  ]
  const rows = results.map((result) => [
    ...columns.map(([key]) => String(result[key])),
    whole(result.cpuNsPerOperation.median),
    whole(result.cpuNsPerOperation.min),
    whole(result.cpuNsPerOperation.max),
    times(result.ratio),
    whole(result.operationsPerCpuSecond),
    whole(result.wallNsPerOperation.median),
  ])
  return table(head, rows, columns.length)
}

export function memoryTable(results) {
  const rows = results.map(({ held, driverPoolBytes, modelBytes }) => [
    whole(held),
    whole(driverPoolBytes),
    whole(modelBytes),
  ])
  return table(['operations held', "driver's pool, bytes/operation", 'model, bytes/operation'], rows, 0)
}
