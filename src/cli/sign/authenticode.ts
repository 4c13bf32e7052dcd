// SPDX-License-Identifier: MIT
//
// This module provides: the signature of an image: the hash that it covers, and reading and checking what a signing tool made.
//
// It judges for itself, apart from the tool that signed: the hash is recomputed, the signature verified, the signer compared.

import { createHash, verify, X509Certificate } from 'node:crypto'

import { children, content, decode, encode, isTagged, type Node, oidOf } from './der.js'

export const OID = {
  sha256: '2.16.840.1.101.3.4.2.1',
  signedData: '1.2.840.113549.1.7.2',
  messageDigest: '1.2.840.113549.1.9.4',
  indirectData: '1.3.6.1.4.1.311.2.1.4',
  peImageData: '1.3.6.1.4.1.311.2.1.15',
  catalogFileData: '1.3.6.1.4.1.311.2.1.25',
  trustList: '1.3.6.1.4.1.311.10.1',
} as const

const MACHINES: Readonly<Record<number, 'x64' | 'arm64'>> = { 0x8664: 'x64', 0xaa64: 'arm64' }
const SUBSYSTEM_NATIVE = 1

/** Where the parts of a 64-bit image are that a signature leaves out. */
interface Layout {
  readonly checksumAt: number
  readonly directoryAt: number
  readonly certificatesAt: number
  readonly certificatesBytes: number
  readonly machine: 'x64' | 'arm64'
  readonly native: boolean
}

/** Throws an Error that says why it is not a 64-bit Windows image. */
function layoutOf(image: Buffer): Layout {
  const pe = image.length >= 0x40 && image.readUInt16LE(0) === 0x5a4d ? image.readUInt32LE(0x3c) : image.length
  if (pe + 24 + 152 > image.length || image.readUInt32LE(pe) !== 0x4550) throw new Error('it is not a Windows image')
  const machine = MACHINES[image.readUInt16LE(pe + 4)]
  if (machine === undefined || image.readUInt16LE(pe + 24) !== 0x20b) throw new Error('it is not for x64 or arm64')
  const directoryAt = pe + 24 + 112 + 4 * 8
  return {
    checksumAt: pe + 24 + 64,
    directoryAt,
    certificatesAt: image.readUInt32LE(directoryAt),
    certificatesBytes: image.readUInt32LE(directoryAt + 4),
    machine,
    native: image.readUInt16LE(pe + 24 + 68) === SUBSYSTEM_NATIVE,
  }
}

export interface ImageFacts {
  readonly machine: 'x64' | 'arm64'
  readonly native: boolean
  readonly signed: boolean
}

/** Throws an Error that says why it is not a 64-bit Windows image. */
export function imageFacts(image: Buffer): ImageFacts {
  const { machine, native, certificatesAt } = layoutOf(image)
  return { machine, native, signed: certificatesAt !== 0 }
}

/** SHA-256 of an image without its checksum and its signature; the same before and after signing. */
export function imageHash(image: Buffer): Buffer {
  const { checksumAt, directoryAt, certificatesAt } = layoutOf(image)
  const end = certificatesAt === 0 ? image.length : certificatesAt
  const hash = createHash('sha256')
  hash.update(image.subarray(0, checksumAt)).update(image.subarray(checksumAt + 4, directoryAt))
  hash.update(image.subarray(directoryAt + 8, end))
  if (certificatesAt === 0) hash.update(Buffer.alloc((8 - (image.length % 8)) % 8))
  return hash.digest()
}

/** The PKCS#7 message in an image; throws when there is none. */
export function embeddedSignature(image: Buffer): Buffer {
  const { certificatesAt, certificatesBytes } = layoutOf(image)
  if (certificatesAt === 0) throw new Error('it has no signature')
  return image.subarray(certificatesAt + 8, certificatesAt + certificatesBytes)
}

export interface SignedMessage {
  readonly contentType: string
  /** What was signed. */
  readonly content: Node
  readonly signer: X509Certificate
}

/**
 * Reads a PKCS#7 message and verifies it: the digest of its content, and the signature over the attributes that hold it. Throws an Error
 * that says what is wrong. Whether the signer is to be trusted is the caller's question.
 */
export function verifyMessage(der: Buffer): SignedMessage {
  const [type, body] = children(decode(der, { trailing: true }))
  if (oidOf(type) !== OID.signedData) throw new Error('it is not a signed message')
  const parts = children(children(body)[0])
  const [contentType, wrapped] = children(parts[2])
  const signedContent = children(wrapped)[0]
  if (signedContent === undefined) throw new Error('its content is missing')

  const certificates = parts.slice(3).filter((part) => isTagged(part, 0))
  const found = certificates.flatMap(children).map((node) => new X509Certificate(encode(node)))
  const info = children(children(parts.at(-1))[0])
  const [issuer, serial] = children(info[1])
  const attributes = info[3]
  if (issuer === undefined || attributes === undefined) throw new Error('its signer is missing')
  const serialHex = content(serial)
    .toString('hex')
    .toUpperCase()
    .replace(/^(00)+(?=..)/, '')
  const signer = found.find((certificate) => certificate.serialNumber.replace(/^(00)+(?=..)/, '') === serialHex)
  if (signer === undefined) throw new Error('the certificate of its signer is missing')

  const digest = children(attributes).find((attribute) => oidOf(children(attribute)[0]) === OID.messageDigest)
  const signedDigest = content(children(children(digest)[1])[0])
  // The digest covers what is inside the outermost structure, without its own tag and length.
  const actual = createHash('sha256').update(content(signedContent)).digest()
  if (!actual.equals(signedDigest)) throw new Error('its content was changed after it was signed')

  // They are signed as a set, though they stand in the message under a tag of their own.
  const encoded = encode(attributes)
  encoded[0] = 0x31
  const signature = content(info[5])
  if (!verify('sha256', encoded, signer.publicKey, signature)) throw new Error('its signature is not right')
  return { contentType: oidOf(contentType), content: signedContent, signer }
}

/** Verifies the signature inside an image, and that it is the image's. Throws an Error that says what is wrong. */
export function verifyImage(image: Buffer): X509Certificate {
  const message = verifyMessage(embeddedSignature(image))
  if (message.contentType !== OID.indirectData) throw new Error('its signature is not one of an image')
  const digest = content(children(children(message.content)[1])[1])
  if (!digest.equals(imageHash(image))) throw new Error('it was changed after it was signed')
  return message.signer
}
