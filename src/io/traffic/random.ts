// SPDX-License-Identifier: MIT
//
// This module provides: the random numbers of traffic: the same from the same seed everywhere (splitmix64 to begin, then sfc32).

const MASK = 2n ** 64n - 1n

function splitmix(seed: bigint): readonly [state: bigint, value: bigint] {
  const state = (seed + 0x9e3779b97f4a7c15n) & MASK
  let value = state
  value = ((value ^ (value >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK
  value = ((value ^ (value >> 27n)) * 0x94d049bb133111ebn) & MASK
  return [state, value ^ (value >> 31n)]
}

export class Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** `stream`: workers with the same seed have different numbers. */
  constructor(seed: bigint, stream: number) {
    const [, start] = splitmix(seed ^ (BigInt(stream) << 32n))
    const [next, first] = splitmix(start)
    const [, second] = splitmix(next)
    this.#a = Number(first & 0xffffffffn)
    this.#b = Number(first >> 32n)
    this.#c = Number(second & 0xffffffffn)
  }

  /** 0 to 2^32-1. */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return sum >>> 0
  }

  /** An integer from `least` to `most`. */
  integer(least: number, most: number): number {
    return least + Math.floor((this.next() / 2 ** 32) * (most - least + 1))
  }

  /** True once in `times`, on average. */
  oneIn(times: number): boolean {
    return this.integer(1, times) === 1
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    const word = this.next()
    for (let index = 0; index < length; index++) {
      bytes[index] = (word >>> (8 * (index & 3))) ^ (index >>> 2)
    }
    return bytes
  }
}
