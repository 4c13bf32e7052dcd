// SPDX-License-Identifier: MIT
//
// This module provides: reading and writing structures by the layouts that the build measured. No offset is written here.

import type { Layout, ScalarField, ScalarKind, StructField } from '../generated/protocol.js'

type Scalar<K extends ScalarKind> = K extends 'u64' ? bigint : number

type FieldValue<F> = F extends { readonly kind: 'struct'; readonly layout: infer L extends Layout }
  ? F extends { readonly count: number }
    ? Decoded<L>[]
    : Decoded<L>
  : F extends { readonly kind: infer K extends ScalarKind }
    ? F extends { readonly count: number }
      ? K extends 'u16'
        ? string
        : Scalar<K>[]
      : Scalar<K>
    : never

/** A structure's fields: u64 as bigint, an array of u16 as the text before its first zero. */
export type Decoded<L extends Layout> = { -readonly [K in keyof L['fields']]: FieldValue<L['fields'][K]> }

/** The fields of a structure that can be written; those that are left out become zero. */
export type Encodable<L extends Layout> = { readonly [K in keyof L['fields']]?: FieldValue<L['fields'][K]> }

function readScalar(kind: ScalarKind, view: DataView, offset: number): number | bigint {
  switch (kind) {
    case 'u16':
      return view.getUint16(offset, true)
    case 'u32':
      return view.getUint32(offset, true)
    case 'i32':
      return view.getInt32(offset, true)
    case 'u64':
      return view.getBigUint64(offset, true)
  }
}

function readText(view: DataView, offset: number, count: number): string {
  const units: number[] = []
  for (let i = 0; i < count; i++) {
    const unit = view.getUint16(offset + 2 * i, true)
    if (unit === 0) {
      break
    }
    units.push(unit)
  }
  return String.fromCharCode(...units)
}

function readField(field: ScalarField | StructField, view: DataView, base: number): unknown {
  const at = base + field.offset
  const { count, stride = 0 } = field
  if (field.kind === 'struct') {
    const { layout } = field
    return count === undefined
      ? decode(layout, view, at)
      : Array.from({ length: count }, (_, i) => decode(layout, view, at + i * stride))
  }
  const { kind } = field
  if (count === undefined) {
    return readScalar(kind, view, at)
  }
  return kind === 'u16'
    ? readText(view, at, count)
    : Array.from({ length: count }, (_, i) => readScalar(kind, view, at + i * stride))
}

/** Reads a structure at `offset`. A RangeError means that the bytes are too few; callers check sizes first. */
export function decode<L extends Layout>(layout: L, view: DataView, offset = 0): Decoded<L> {
  const entries = Object.entries(layout.fields).map(([name, field]) => [name, readField(field, view, offset)])
  return Object.fromEntries(entries) as Decoded<L>
}

/** Reads some fields of a structure: the others may be large. */
export function decodeFields<L extends Layout, K extends keyof L['fields'] & string>(
  layout: L,
  names: readonly K[],
  view: DataView,
  offset = 0,
): Pick<Decoded<L>, K> {
  const entries = names.map((name) => {
    const field = layout.fields[name]
    if (field === undefined) {
      throw new TypeError(`${layout.name} has no field ${name}`)
    }
    return [name, readField(field, view, offset)]
  })
  return Object.fromEntries(entries) as Pick<Decoded<L>, K>
}

function writeScalar(kind: ScalarKind, view: DataView, offset: number, value: number | bigint): void {
  switch (kind) {
    case 'u16':
      view.setUint16(offset, Number(value), true)
      return
    case 'u32':
      view.setUint32(offset, Number(value), true)
      return
    case 'i32':
      view.setInt32(offset, Number(value), true)
      return
    case 'u64':
      view.setBigUint64(offset, BigInt(value), true)
  }
}

/** Writes a structure of scalars at `offset` into zeroed bytes. */
export function encode<L extends Layout>(layout: L, values: Encodable<L>, view: DataView, offset = 0): void {
  for (const [name, value] of Object.entries(values)) {
    const field = layout.fields[name]
    if (field === undefined || field.kind === 'struct' || (typeof value !== 'number' && typeof value !== 'bigint')) {
      throw new TypeError(`${layout.name}.${name} is not a number that can be written`)
    }
    writeScalar(field.kind, view, offset + field.offset, value)
  }
}

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
