// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest'
import { releasesTold, releasing } from '../../../src/client/releases.js'

describe('a failure', () => {
  it('is told at once when nothing is being released', async () => {
    let told = false
    const telling = releasesTold().then(() => (told = true))
    await Promise.resolve()
    await Promise.resolve()
    expect(told).toBe(true)
    await telling
  })

  it('is told after the release that gave it, and after who waits for that has gone on', async () => {
    const order: string[] = []
    let answer: () => void = () => undefined
    const release = releasing(new Promise<void>((resolve) => (answer = resolve)))
    const failing = releasesTold().then(() => order.push('failure'))
    const caller = (async () => {
      await release
      // As deep as the library's own way back to its caller, and deeper.
      for (let step = 0; step < 50; step++) {
        await Promise.resolve()
      }
      order.push('caller')
    })()
    await new Promise((resolve) => setImmediate(resolve))
    expect(order).toEqual([])
    answer()
    await Promise.all([failing, caller])
    expect(order).toEqual(['caller', 'failure'])
  })

  it('is told when the release fails too, which is nobody else\u2019s rejection', async () => {
    const release = releasing(Promise.reject(new Error('no')))
    const telling = releasesTold()
    await expect(release).rejects.toThrow('no')
    await telling
    await releasesTold()
  })
})
