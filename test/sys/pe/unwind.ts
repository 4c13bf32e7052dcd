// SPDX-License-Identifier: MIT
//
// This module provides: the exception directory of an x64 or arm64 image: which functions have unwind information, and which a
// `__try`, with the addresses it guards.

import { Format } from 'pe-library'

import { type Image, MACHINE } from './image.js'

export interface Scope {
  /** The guarded code, [start, end). */
  readonly start: number
  readonly end: number
  /** 1: always run the handler (EXCEPTION_EXECUTE_HANDLER); otherwise the address of a filter. */
  readonly filter: number
  readonly target: number
}

export interface FunctionEntry {
  readonly start: number
  readonly end: number
  readonly handler: number | undefined
  readonly scopes: readonly Scope[]
}

function scopesAt(image: Image, at: number): Scope[] {
  return Array.from({ length: image.u32(at) }, (_, i) => {
    const [start, end, filter, target] = [0, 4, 8, 12].map((offset) => image.u32(at + 4 + i * 16 + offset))
    return { start: start ?? 0, end: end ?? 0, filter: filter ?? 0, target: target ?? 0 }
  })
}

const none = { handler: undefined, scopes: [] }

/** UNWIND_INFO: four bytes, codes of two bytes padded to four, then the handler's address and its data. */
function x64(image: Image, start: number, end: number, at: number): FunctionEntry {
  const [first = 0, , codes = 0] = image.read(at, 4)
  const hasHandler = ((first >> 3) & 3) !== 0
  const tail = at + 4 + ((codes + 1) & ~1) * 2
  return { start, end, ...(hasHandler ? { handler: image.u32(tail), scopes: scopesAt(image, tail + 4) } : none) }
}

/** .xdata: header words, epilogue scopes, codes, then the same. A packed entry has no handler. */
function arm64(image: Image, start: number, data: number): FunctionEntry {
  if ((data & 3) !== 0) return { start, end: start + ((data >> 2) & 0x7ff) * 4, ...none }
  const header = image.u32(data)
  const end = start + (header & 0x3ffff) * 4
  const extended = header >>> 22 === 0
  const more = extended ? image.u32(data + 4) : 0
  const epilogues = extended ? more & 0xffff : (header >>> 22) & 0x1f
  const codeWords = extended ? (more >>> 16) & 0xff : header >>> 27
  const single = (header & (1 << 21)) !== 0
  if ((header & (1 << 20)) === 0) return { start, end, ...none }
  const tail = data + (extended ? 8 : 4) + (single ? 0 : epilogues * 4) + codeWords * 4
  return { start, end, handler: image.u32(tail), scopes: scopesAt(image, tail + 4) }
}

export function functionEntries(image: Image): FunctionEntry[] {
  const range = image.directory(Format.ImageDirectoryEntry.Exception)
  if (range === undefined) return []
  const found: FunctionEntry[] = []
  const size = image.machine === MACHINE.x64 ? 12 : 8
  for (let at = range.start; at < range.end; at += size) {
    const start = image.u32(at)
    if (image.machine === MACHINE.x64) found.push(x64(image, start, image.u32(at + 4), image.u32(at + 8)))
    else found.push(arm64(image, start, image.u32(at + 4)))
  }
  return found
}
