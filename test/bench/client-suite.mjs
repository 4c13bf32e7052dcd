// SPDX-License-Identifier: MIT
//
// This module provides: the suite "client": the same operations through the TypeScript client and the addon, one after another and many at once,
// with no filter, unmatched, observed and pended without a delay.

import { observe, openMinipend, pend } from '../../dist/index.js'

const filters = [
  { filter: 'no filter', rules: undefined },
  { filter: 'unmatched', rules: () => [{ on: ['rename'], path: '\\inbox\\*', action: pend() }] },
  { filter: 'observed', rules: (on) => [{ on: [on], action: observe() }] },
  { filter: 'pended', rules: (on) => [{ on: [on], action: pend() }] },
]

const MOST_IN_FLIGHT = 16

const forms = [
  { form: 'File.stat, synchronous handle', on: 'queryInformation', run: (file) => file.stat() },
  {
    form: 'File.write 4 KB, cached, synchronous handle',
    on: 'write',
    run: (file, bytes) => file.write(bytes, { at: 0 }),
  },
]

/** `inFlight` files, each with its calls one after another. */
async function repetition(files, form, calls) {
  const each = Math.ceil(calls / files.length)
  const bytes = new Uint8Array(4096)
  const cpu = process.cpuUsage()
  const start = process.hrtime.bigint()
  await Promise.all(
    files.map(async (file) => {
      for (let i = 0; i < each; i++) await form.run(file, bytes)
    }),
  )
  const wallNs = Number(process.hrtime.bigint() - start)
  const { user, system } = process.cpuUsage(cpu)
  return { operations: each * files.length, wallNs, cpuNs: (user + system) * 1000 }
}

/** The worlds of one form, one for each filter. */
async function openWorlds(form, closers) {
  const worlds = []
  for (const { filter, rules } of filters) {
    const mp = await openMinipend({ backend: 'embedded' })
    closers.push(() => mp.close())
    if (rules !== undefined) {
      await mp.attach('D:')
      await mp.rules.set(rules(form.on))
    }
    const files = []
    for (let i = 0; i < MOST_IN_FLIGHT; i++) {
      files.push(await mp.io.open(`D:\\${i}`, { access: 'readwrite', create: 'openAlways' }))
    }
    worlds.push({ mp, filter, files })
  }
  return worlds
}

const countedAs = { unmatched: 'unmatched', observed: 'observed', pended: 'completed' }

/** The driver saw what the filter's name says: otherwise the number would be of something else. */
async function checkCounted({ mp, filter }, on, atLeast) {
  const member = countedAs[filter]
  if (member === undefined) return
  const counted = (await mp.counters()).byOperation[on][member]
  if (counted < atLeast)
    throw new Error(`bench: the driver has ${counted} ${on} operations as ${member}, not ${atLeast}`)
}

export async function clientSuite({ repetitions, calls }) {
  const results = []
  for (const form of forms) {
    const closers = []
    try {
      const worlds = await openWorlds(form, closers)
      for (const inFlight of [1, MOST_IN_FLIGHT]) {
        const samples = worlds.map(() => [])
        for (let i = 0; i < repetitions; i++) {
          for (const [index, { files }] of worlds.entries()) {
            samples[index].push(await repetition(files.slice(0, inFlight), form, calls))
          }
        }
        for (const [index, { filter }] of worlds.entries()) {
          results.push({
            suite: 'client',
            form: form.form,
            inFlight,
            filter,
            executor: 'fibers',
            samples: samples[index],
          })
        }
      }
      for (const world of worlds) await checkCounted(world, form.on, repetitions * calls)
    } finally {
      for (const close of closers.toReversed()) await close() // with it what is open in the world
    }
  }
  return results
}
