// SPDX-License-Identifier: MIT
//
// This module provides: the few ASN.1 forms that signing needs, over node-forge, in Buffers.

import forge from 'node-forge'

const { asn1 } = forge
export type Node = forge.asn1.Asn1

const binary = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const universal = (type: forge.asn1.Type, value: string | Node[]): Node =>
  asn1.create(asn1.Class.UNIVERSAL, type, typeof value !== 'string', value)

function context(number: number, value: string | Node[]): Node {
  // In this class the type is any number.
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, number, typeof value !== 'string', value)
}

/** Whether it is tagged(number, ...). */
export function isTagged(node: Node, number: number): boolean {
  const type: number = node.type
  return node.tagClass === asn1.Class.CONTEXT_SPECIFIC && type === number
}

export const encode = (node: Node): Buffer => Buffer.from(asn1.toDer(node).getBytes(), 'latin1')

/** Throws an Error when it is no DER, or when something follows it. */
export function decode(der: Uint8Array, options: { readonly trailing?: boolean } = {}): Node {
  const given = { strict: true, parseAllBytes: options.trailing !== true, decodeBitStrings: false }
  // The types know only of the first of them, alone.
  return asn1.fromDer(binary(der), given as unknown as boolean)
}

export const sequence = (...items: Node[]): Node => universal(asn1.Type.SEQUENCE, items)
/** DER orders the members of a set by their encoding. */
export const setOf = (...items: Node[]): Node =>
  universal(
    asn1.Type.SET,
    [...items].sort((a, b) => Buffer.compare(encode(a), encode(b))),
  )
export const octets = (bytes: Uint8Array): Node => universal(asn1.Type.OCTETSTRING, binary(bytes))
export const nothing = (): Node => universal(asn1.Type.NULL, '')
export const integer = (value: number): Node => universal(asn1.Type.INTEGER, asn1.integerToDer(value).getBytes())
export const oid = (text: string): Node => universal(asn1.Type.OID, asn1.oidToDer(text).getBytes())
export const utcTime = (date: Date): Node => universal(asn1.Type.UTCTIME, asn1.dateToUtcTime(date))
/** UTF-16 in the file, text in the node: node-forge converts. */
export const bmpString = (text: string): Node => universal(asn1.Type.BMPSTRING, text)
/** [number] around other nodes. */
export const tagged = (number: number, ...items: Node[]): Node => context(number, items)
/** [number] over bytes. */
export const taggedBytes = (number: number, bytes: Uint8Array): Node => context(number, binary(bytes))
/** A bit string of one byte, `unused` of its bits not used. */
export const bits = (value: number, unused: number): Node =>
  universal(asn1.Type.BITSTRING, String.fromCharCode(unused, value))

/** The nodes inside; throws when it has none. */
export function children(node: Node | undefined): Node[] {
  if (node === undefined || typeof node.value === 'string') throw new Error('expected a structure')
  return node.value
}

/** The text of a bmpString. */
export function textOf(node: Node | undefined): string {
  if (node?.type !== asn1.Type.BMPSTRING || typeof node.value !== 'string') throw new Error('expected a text')
  return node.value
}

/** The bytes of a simple node. */
export function content(node: Node | undefined): Buffer {
  if (node === undefined) throw new Error('expected a value')
  if (typeof node.value === 'string') return Buffer.from(node.value, 'latin1')
  return Buffer.concat(node.value.map(encode))
}

export function oidOf(node: Node | undefined): string {
  if (node?.type !== asn1.Type.OID) throw new Error('expected an object identifier')
  return asn1.derToOid(forge.util.createBuffer(content(node).toString('latin1')))
}
