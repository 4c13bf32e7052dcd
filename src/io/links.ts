// SPDX-License-Identifier: MIT
//
// This module provides: hard links, renames and deletes in all their forms, and reparse points (symbolic links, junctions).

import type { SignalOptions } from '../client/types.js'
import { viewOf } from '../transport/codec.js'
import { readUtf16, uint32s, utf16 } from './bytes.js'
import type { Calls } from './calls.js'
import { FSCTL } from './control-codes.js'
import { encodeRename, INFORMATION } from './layouts.js'
import type { DeleteOptions, LinkOptions, ReparsePoint } from './metadata-types.js'
import { FILE_CLASS, ntCall, setInformation, STATUS } from './nt-services.js'
import { checkerFor } from './options.js'
import { ntPath } from './paths.js'

const NAME_OFFSET = 20
const LEAST_BYTES = 24
const REPLACE_IF_EXISTS = 0x1
const POSIX_SEMANTICS = 0x2

/** FILE_LINK_INFORMATION, whose first member is flags in the Ex class and a BOOLEAN in the other. */
export function encodeLink(target: string, flags: number): Uint8Array {
  const name = utf16(target)
  const bytes = new Uint8Array(Math.max(LEAST_BYTES, NAME_OFFSET + name.length))
  const view = new DataView(bytes.buffer)
  view.setUint32(0, flags, true)
  view.setUint32(16, name.length, true)
  bytes.set(name, NAME_OFFSET)
  return bytes
}

const linkFlags = (replace: boolean, posix: boolean): number =>
  (replace ? REPLACE_IF_EXISTS : 0) | (posix ? POSIX_SEMANTICS : 0)

export async function hardLink(calls: Calls, to: string, options: LinkOptions): Promise<void> {
  const operation = 'File.link'
  const check = checkerFor(operation)
  const given = check.object('options', options, ['replace', 'posix', 'signal'])
  const replace = check.boolean('replace', given.replace ?? false)
  const posix = check.boolean('posix', given.posix ?? false)
  const signal = check.signal('signal', given.signal)
  await setInformation(
    calls,
    operation,
    signal,
    posix ? FILE_CLASS.LINK_EX : FILE_CLASS.LINK,
    encodeLink(ntPath(operation, 'to', to), linkFlags(replace, posix)),
  )
}

/** MoveFileEx of an open file; `posix`: FILE_RENAME_POSIX_SEMANTICS. */
export async function rename(
  calls: Calls,
  target: string,
  replace: boolean,
  posix: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  await calls.setByHandle(
    'File.rename',
    signal,
    posix ? INFORMATION.RENAME_EX : INFORMATION.RENAME,
    encodeRename(target, linkFlags(replace, posix)),
  )
}

const DISPOSITION_DELETE = 0x1
const DISPOSITION_POSIX = 0x2
const DISPOSITION_IGNORE_READONLY = 0x10

export async function deleteFile(calls: Calls, options: DeleteOptions): Promise<void> {
  const operation = 'File.delete'
  const check = checkerFor(operation)
  const given = check.object('options', options, ['posix', 'ignoreReadonly', 'signal'])
  const posix = check.boolean('posix', given.posix ?? false)
  const ignoreReadonly = check.boolean('ignoreReadonly', given.ignoreReadonly ?? false)
  const signal = check.signal('signal', given.signal)
  if (!posix && !ignoreReadonly) {
    await calls.setByHandle(operation, signal, INFORMATION.DISPOSITION, Uint8Array.of(1))
    return
  }
  const flags =
    DISPOSITION_DELETE | (posix ? DISPOSITION_POSIX : 0) | (ignoreReadonly ? DISPOSITION_IGNORE_READONLY : 0)
  await calls.setByHandle(operation, signal, INFORMATION.DISPOSITION_EX, uint32s(flags))
}

export async function undelete(calls: Calls, options: SignalOptions): Promise<void> {
  await calls.setByHandle('File.undelete', options.signal, INFORMATION.DISPOSITION, Uint8Array.of(0))
}

// ---- reparse points ----------------------------------------------------------------------------------------------------------

const TAG_SYMLINK = 0xa000000c
const TAG_MOUNT_POINT = 0xa0000003
/** A tag with this bit is Microsoft's; behind the header of all others comes their owner's GUID, as in REPARSE_GUID_DATA_BUFFER. */
const MICROSOFT_TAG = 0x80000000
const HEADER_BYTES = 8
const GUID_BYTES = 16
const LARGEST_REPARSE_BYTES = 16 * 1024
const FLAG_RELATIVE = 1

interface LinkLayout {
  readonly tag: number
  /** Where the names begin, behind the header; a symbolic link has flags before them. */
  readonly pathOffset: number
}
const LAYOUTS: Readonly<Record<'symlink' | 'junction', LinkLayout>> = {
  symlink: { tag: TAG_SYMLINK, pathOffset: 12 },
  junction: { tag: TAG_MOUNT_POINT, pathOffset: 8 },
}

/** REPARSE_DATA_BUFFER of a link. */
export function encodeReparse(
  kind: 'symlink' | 'junction',
  target: string,
  printName: string,
  relative: boolean,
): Uint8Array {
  const { tag, pathOffset } = LAYOUTS[kind]
  const substitute = utf16(target)
  const print = utf16(printName)
  // Each with a terminator that its length does not count, as mount points must have.
  const printOffset = substitute.length + 2
  const dataBytes = pathOffset + printOffset + print.length + 2
  const bytes = new Uint8Array(HEADER_BYTES + dataBytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, tag, true)
  view.setUint16(4, dataBytes, true)
  view.setUint16(HEADER_BYTES, 0, true)
  view.setUint16(HEADER_BYTES + 2, substitute.length, true)
  view.setUint16(HEADER_BYTES + 4, printOffset, true)
  view.setUint16(HEADER_BYTES + 6, print.length, true)
  if (kind === 'symlink') {
    view.setUint32(HEADER_BYTES + 8, relative ? FLAG_RELATIVE : 0, true)
  }
  bytes.set(substitute, HEADER_BYTES + pathOffset)
  bytes.set(print, HEADER_BYTES + pathOffset + printOffset)
  return bytes
}

const guidBytes = (tag: number): number => ((tag & MICROSOFT_TAG) === 0 ? GUID_BYTES : 0)

export function decodeReparse(bytes: Uint8Array): ReparsePoint {
  const view = viewOf(bytes)
  const tag = view.getUint32(0, true)
  // The length does not count the GUID.
  const data = bytes.slice(HEADER_BYTES, HEADER_BYTES + guidBytes(tag) + view.getUint16(4, true))
  const kind = (['symlink', 'junction'] as const).find((each) => LAYOUTS[each].tag === tag)
  if (kind === undefined) {
    return { kind: 'other', tag, target: undefined, printName: undefined, relative: false, data }
  }
  const names = HEADER_BYTES + LAYOUTS[kind].pathOffset
  const name = (at: number): string =>
    readUtf16(view, names + view.getUint16(HEADER_BYTES + at, true), view.getUint16(HEADER_BYTES + at + 2, true))
  const relative = kind === 'symlink' && (view.getUint32(HEADER_BYTES + 8, true) & FLAG_RELATIVE) !== 0
  return { kind, tag, target: name(0), printName: name(4), relative, data }
}

/** A link's data: where a user says that it leads. A junction, and a symbolic link with a full path, lead to an NT path. */
export function reparseFor(operation: string, kind: 'symlink' | 'junction', target: string): Uint8Array {
  const full = /^([a-z]:[\\/]|\\)/i.test(target)
  if (kind === 'junction' && !full) {
    checkerFor(operation).fail('target', 'a junction leads to a full path, such as "D:\\inbox"')
  }
  return full
    ? encodeReparse(kind, ntPath(operation, 'target', target), target.replaceAll('/', '\\'), false)
    : encodeReparse(kind, target.replaceAll('/', '\\'), target, true)
}

export async function setReparsePoint(
  calls: Calls,
  operation: string,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  await ntCall(calls, operation, signal, 'NtFsControlFile', { numbers: [FSCTL.SET_REPARSE_POINT], input: data })
}

export async function reparsePoint(calls: Calls, options: SignalOptions): Promise<ReparsePoint | undefined> {
  const output = new Uint8Array(LARGEST_REPARSE_BYTES)
  const { status } = await ntCall(calls, 'File.reparsePoint', options.signal, 'NtFsControlFile', {
    numbers: [FSCTL.GET_REPARSE_POINT],
    output,
    fine: [STATUS.NOT_A_REPARSE_POINT],
  })
  return status === STATUS.NOT_A_REPARSE_POINT ? undefined : decodeReparse(output)
}

export async function removeReparsePoint(calls: Calls, options: SignalOptions): Promise<void> {
  const operation = 'File.removeReparsePoint'
  const found = new Uint8Array(LARGEST_REPARSE_BYTES)
  // Of a file without a reparse point this is the error to report: a request without a tag would be called invalid data.
  await ntCall(calls, operation, options.signal, 'NtFsControlFile', {
    numbers: [FSCTL.GET_REPARSE_POINT],
    output: found,
  })
  const { tag, data } = decodeReparse(found)
  const guid = data.subarray(0, guidBytes(tag))
  // Without data, but with the GUID: only who names the owner may remove it.
  const input = new Uint8Array(HEADER_BYTES + guid.length)
  new DataView(input.buffer).setUint32(0, tag, true)
  input.set(guid, HEADER_BYTES)
  await ntCall(calls, operation, options.signal, 'NtFsControlFile', { numbers: [FSCTL.DELETE_REPARSE_POINT], input })
}
