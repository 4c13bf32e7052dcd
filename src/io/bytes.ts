// SPDX-License-Identifier: MIT
//
// This module provides: the small pieces that Windows structures are made of: UTF-16 text, file times, lists whose entries say where the
// next one is.

const UNIX_EPOCH_100NS = 116444736000000000n

export const utf16 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'utf16le'))

export const readUtf16 = (view: DataView, offset: number, bytes: number): string =>
  Buffer.from(view.buffer, view.byteOffset + offset, bytes).toString('utf16le')

/** A file time (100 ns since 1601) as a Date. */
export const dateOf = (time: bigint): Date => new Date(Number((time - UNIX_EPOCH_100NS) / 10000n))
export const readDate = (view: DataView, offset: number): Date => dateOf(view.getBigInt64(offset, true))
export const fileTimeOf = (date: Date): bigint => BigInt(date.getTime()) * 10000n + UNIX_EPOCH_100NS

/** The four times of a file, in the order that every structure has them. */
export interface FileTimes {
  readonly createdAt: Date
  readonly accessedAt: Date
  readonly modifiedAt: Date
  readonly changedAt: Date
}

export const readTimes = (view: DataView, offset: number): FileTimes => ({
  createdAt: readDate(view, offset),
  accessedAt: readDate(view, offset + 8),
  modifiedAt: readDate(view, offset + 16),
  changedAt: readDate(view, offset + 24),
})

/** Where the entries of a list begin; each starts with the distance to the next one, 0 in the last. Nothing in an empty list. */
export function* entryOffsets(view: DataView): Generator<number> {
  let offset = 0
  while (offset + 4 <= view.byteLength) {
    yield offset
    const next = view.getUint32(offset, true)
    if (next === 0) {
      return
    }
    offset += next
  }
}

/** The same, written: entries one after the other, each at a multiple of `alignment` bytes, with their distances filled in. */
export function chain(entries: readonly Uint8Array[], alignment: number): Uint8Array {
  const aligned = (bytes: number): number => Math.ceil(bytes / alignment) * alignment
  const last = entries.at(-1)
  if (last === undefined) {
    return new Uint8Array(0)
  }
  const offsets: number[] = []
  let end = 0
  for (const entry of entries) {
    offsets.push(end)
    end += aligned(entry.length)
  }
  const bytes = new Uint8Array((offsets.at(-1) ?? 0) + last.length)
  const view = new DataView(bytes.buffer)
  entries.forEach((entry, index) => {
    const offset = offsets[index] ?? 0
    bytes.set(entry, offset)
    view.setUint32(offset, (offsets[index + 1] ?? offset) - offset, true)
  })
  return bytes
}

/** 64-bit numbers, one after the other. */
export const int64s = (...values: readonly bigint[]): Uint8Array => {
  const bytes = new Uint8Array(values.length * 8)
  const view = new DataView(bytes.buffer)
  values.forEach((value, index) => {
    view.setBigInt64(index * 8, value, true)
  })
  return bytes
}

export const uint32s = (...values: readonly number[]): Uint8Array => {
  const bytes = new Uint8Array(values.length * 4)
  const view = new DataView(bytes.buffer)
  values.forEach((value, index) => {
    view.setUint32(index * 4, value, true)
  })
  return bytes
}
