// SPDX-License-Identifier: MIT
//
// This module provides: the catalog of a driver package: writing one, unsigned, and reading one.
//
// A catalog is a certificate trust list in a PKCS#7 shell, with one member for each file: its hash (of an image the one that its signature
// covers, of any other file that of all its bytes) and its name. Members are of format 2, whose tag is the hash itself.
// Not tried on Windows: that its installer and its kernel take what stands here. With the WDK its own tool makes the catalog instead.

import { createHash } from 'node:crypto'

import { imageHash, OID } from './authenticode.js'
import * as der from './der.js'

const CATALOG = {
  list: '1.3.6.1.4.1.311.12.1.1',
  member2: '1.3.6.1.4.1.311.12.1.3',
  nameValue: '1.3.6.1.4.1.311.12.2.1',
  memberInfo2: '1.3.6.1.4.1.311.12.2.3',
} as const
/** The value is text, and is not to be looked at before its certificate is. */
const NAME_VALUE_FLAGS = 0x1001_0001
/** Windows 10. */
const OS_ATTRIBUTE = '2:10.0'

export interface CatalogFile {
  readonly name: string
  readonly bytes: Buffer
}

export interface CatalogMember {
  /** In lower case. */
  readonly name: string
  /** SHA-256. */
  readonly hash: Buffer
}

const isImage = (bytes: Buffer): boolean => bytes.length > 2 && bytes.toString('latin1', 0, 2) === 'MZ'

/** The hash under which a catalog knows a file. */
export function memberHash(bytes: Buffer): Buffer {
  return isImage(bytes) ? imageHash(bytes) : createHash('sha256').update(bytes).digest()
}

const nameValue = (name: string, value: string): der.Node =>
  der.sequence(der.bmpString(name), der.integer(NAME_VALUE_FLAGS), der.octets(Buffer.from(`${value}\0`, 'utf16le')))
const attribute = (type: string, value: der.Node): der.Node => der.sequence(der.oid(type), der.setOf(value))

/** An empty link to a file, in the two forms that images and other files have. */
function subject(image: boolean): der.Node {
  const link = der.tagged(2, der.taggedBytes(0, Buffer.alloc(0)))
  return image
    ? der.sequence(der.oid(OID.peImageData), der.sequence(der.bits(0xa0, 5), der.tagged(0, link)))
    : der.sequence(der.oid(OID.catalogFileData), link)
}

function member({ name, bytes }: CatalogFile): { hash: Buffer; node: der.Node } {
  const hash = memberHash(bytes)
  const algorithm = der.sequence(der.oid(OID.sha256), der.nothing())
  const indirect = der.sequence(subject(isImage(bytes)), der.sequence(algorithm, der.octets(hash)))
  const attributes = der.setOf(
    attribute(CATALOG.nameValue, nameValue('File', name.toLowerCase())),
    attribute(CATALOG.nameValue, nameValue('OSAttr', OS_ATTRIBUTE)),
    attribute(OID.indirectData, indirect),
    attribute(CATALOG.memberInfo2, der.taggedBytes(2, Buffer.alloc(0))),
  )
  return { hash, node: der.sequence(der.octets(hash), attributes) }
}

/** An unsigned catalog. `madeAt` is the only thing in it that the files do not decide. */
export function makeCatalog(files: readonly CatalogFile[], architecture: 'x64' | 'arm64', madeAt: Date): Buffer {
  const members = files.map(member).sort((a, b) => Buffer.compare(a.hash, b.hash))
  const id = createHash('sha256')
  for (const { hash } of members) id.update(hash)
  const os = nameValue('OS', `_v100_${architecture.toUpperCase()}`)
  const list = der.sequence(
    der.sequence(der.oid(CATALOG.list)),
    der.octets(id.digest().subarray(0, 16)),
    der.utcTime(madeAt),
    der.sequence(der.oid(CATALOG.member2), der.nothing()),
    der.sequence(...members.map(({ node }) => node)),
    der.tagged(0, der.sequence(der.sequence(der.oid(CATALOG.nameValue), der.octets(der.encode(os))))),
  )
  const message = der.sequence(
    der.integer(1),
    der.setOf(),
    der.sequence(der.oid(OID.trustList), der.tagged(0, list)),
    der.setOf(),
  )
  return der.encode(der.sequence(der.oid(OID.signedData), der.tagged(0, message)))
}

function fileName(attributes: readonly der.Node[]): string {
  for (const node of attributes) {
    const [type, values] = der.children(node)
    if (der.oidOf(type) !== CATALOG.nameValue) continue
    const [name, , value] = der.children(der.children(values)[0])
    if (der.textOf(name) !== 'File') continue
    return der.content(value).toString('utf16le').replace(/\0$/, '')
  }
  throw new Error('a member has no file name')
}

/** The members of a trust list, as verifyMessage gives it. Throws an Error when it is not that of a catalog. */
export function catalogMembers(list: der.Node): CatalogMember[] {
  const parts = der.children(list)
  if (der.oidOf(der.children(parts[0])[0]) !== CATALOG.list) throw new Error('it is not a catalog')
  return der.children(parts[4]).map((node) => {
    const attributes = der.children(der.children(node)[1])
    const indirect = attributes.find((each) => der.oidOf(der.children(each)[0]) === OID.indirectData)
    const data = der.children(der.children(indirect)[1])[0]
    return { name: fileName(attributes), hash: der.content(der.children(der.children(data)[1])[1]) }
  })
}
