// SPDX-License-Identifier: MIT
//
// This module provides: tests that a process and a worker thread end at once, in good order, while the driver holds an operation of
// theirs for much longer.

import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it, vi } from 'vitest'

const root = path.resolve(import.meta.dirname, '..', '..')
const holdMs = 30_000
/** From when the operation was seen to be held: starting a process takes long on a busy machine. */
const endLimitMs = holdMs / 2
const processLimitMs = 120_000
vi.setConfig({ testTimeout: processLimitMs })

/** Has one write held, then runs `then`. */
const holding = (then: string): string => `
  const { openMinipend, pend } = await import(${JSON.stringify(pathToFileURL(path.join(root, 'src', 'index.ts')).href)})
  const mp = await openMinipend({ backend: 'embedded' })
  await mp.attach('D:')
  await mp.rules.set([{ id: 'writes', on: ['write'], action: pend({ delayMs: ${holdMs} }) }])
  const file = await mp.io.open('D:\\\\held.txt', { create: 'createAlways', access: 'readwrite' })
  file.write(Buffer.from('x')).catch(() => undefined)
  while ((await mp.counters()).inFlight !== 1n) await new Promise((r) => setTimeout(r, 5))
  process.stdout.write(String(Date.now()))
  ${then}`

function runScript(script: string): {
  status: number | null
  signal: NodeJS.Signals | null
  stderr: string
  /** From when the operation was held to the end. */
  endMs: number
} {
  const args = ['--import', 'tsx', '--input-type=module', '-e', script]
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    timeout: processLimitMs,
  })
  return { status, signal, stderr, endMs: Date.now() - Number(stdout) }
}

describe('with an operation held by the driver', () => {
  it('process.exit() ends the process with its code', () => {
    const result = runScript(holding('process.exit(7)'))
    expect(result).toMatchObject({ status: 7, signal: null, stderr: '' })
    expect(result.endMs).toBeLessThan(endLimitMs)
  })

  it('an uncaught exception ends the process', () => {
    const result = runScript(holding("throw new Error('on purpose')"))
    expect(result).toMatchObject({ status: 1, signal: null })
    expect(result.stderr).toContain('on purpose')
    expect(result.endMs).toBeLessThan(endLimitMs)
  })

  it('terminate() ends a worker thread, and the process goes on', () => {
    const inWorker = `
      import { parentPort, workerData } from 'node:worker_threads'
      const { register } = await import(workerData)
      register()
      ${holding("parentPort.postMessage('held'); setInterval(() => {}, 1000)")}`
    const result = runScript(`
      import { Worker } from 'node:worker_threads'
      const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(inWorker)})), { workerData: import.meta.resolve('tsx/esm/api') })
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
      await worker.terminate()
      process.exitCode = 5`)
    expect(result).toMatchObject({ status: 5, signal: null, stderr: '' })
    expect(result.endMs).toBeLessThan(endLimitMs)
  })
})
