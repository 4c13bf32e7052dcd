// SPDX-License-Identifier: MIT
//
// This module provides: opening with NtCreateFile's own parameters, and the queries by name.

import type { Checker } from '../client/check.js'
import { abortable, throwIfAborted } from '../client/lifetime.js'
import { releasesTold } from '../client/releases.js'
import type { Session } from '../client/session.js'
import type { NativeFile, NtByNameServiceName } from '../transport/native.js'
import type { TransportFiles } from '../transport/transport.js'
import { attributeMask } from './attributes.js'
import { int64s, utf16 } from './bytes.js'
import type { Calls } from './calls.js'
import { encodeEas } from './ea.js'
import type { NtCreateOption, NtDisposition, OpenedAs } from './nt-open-types.js'
import { ntError } from './nt-services.js'
import { accessMask, checkerFor, shareMask } from './options.js'
import { ntPath } from './paths.js'
import type { File } from './types.js'

const DISPOSITION: Readonly<Record<NtDisposition, number>> = {
  supersede: 0,
  open: 1,
  create: 2,
  openIf: 3,
  overwrite: 4,
  overwriteIf: 5,
}

const OPTION: Readonly<Record<NtCreateOption, number>> = {
  directoryFile: 0x1,
  writeThrough: 0x2,
  sequentialOnly: 0x4,
  noIntermediateBuffering: 0x8,
  synchronousIoAlert: 0x10,
  synchronousIoNonalert: 0x20,
  nonDirectoryFile: 0x40,
  completeIfOplocked: 0x100,
  noEaKnowledge: 0x200,
  randomAccess: 0x800,
  deleteOnClose: 0x1000,
  openByFileId: 0x2000,
  openForBackupIntent: 0x4000,
  noCompression: 0x8000,
  openRequiringOplock: 0x10000,
  disallowExclusive: 0x20000,
  reserveOpfilter: 0x100000,
  openReparsePoint: 0x200000,
  openNoRecall: 0x400000,
  openForFreeSpaceQuery: 0x800000,
}
const SYNCHRONOUS = OPTION.synchronousIoAlert | OPTION.synchronousIoNonalert
const OPTION_NAMES = Object.keys(OPTION) as NtCreateOption[]
const OPENED_AS: readonly OpenedAs[] = ['superseded', 'opened', 'created', 'overwritten']
const STATUS_OPLOCK_BREAK_IN_PROGRESS = 0x108
export const OBJ_CASE_INSENSITIVE = 0x40
const MAX_SIZE = 2n ** 63n - 1n
const MAX_64 = 2n ** 64n - 1n
const MAX_32 = 0xffffffff
const NOTHING = new Uint8Array(0)

export interface NtCreate {
  readonly name: Uint8Array
  readonly numbers: BigUint64Array
  readonly ea: Uint8Array
  readonly root: NativeFile | undefined
  readonly overlapped: boolean
  /** For messages. */
  readonly path: string
}

const NT_KEYS = [
  'access',
  'disposition',
  'options',
  'share',
  'attributes',
  'allocationSize',
  'eas',
  'rootDirectory',
  'caseSensitive',
  'fileId',
] as const

function optionMask(check: Checker, value: unknown): number {
  if (typeof value === 'number') {
    return check.integer('nt.options', value, 0, MAX_32)
  }
  if (!Array.isArray(value)) {
    return check.expected('nt.options', 'an array of option names such as "directoryFile", or a number', value)
  }
  return (value as unknown[]).reduce<number>(
    (mask, name) => mask | OPTION[check.oneOf<NtCreateOption>('nt.options', name, OPTION_NAMES)],
    0,
  )
}

/** @throws InvalidOptionError */
export function ntCreateArguments(
  path: unknown,
  options: unknown,
  callsOf: (file: File) => Calls | undefined,
  operation = 'io.open',
): NtCreate {
  const check = checkerFor(operation)
  const given = check.object('nt', options, NT_KEYS)
  const rootCalls = given.rootDirectory === undefined ? undefined : callsOf(given.rootDirectory as File)
  if (given.rootDirectory !== undefined && rootCalls === undefined) {
    check.fail('nt.rootDirectory', 'expected an open directory of this session')
  }
  const text = path === '' && rootCalls !== undefined ? '' : check.text('path', path, 32767)
  const mask =
    optionMask(check, given.options ?? ['synchronousIoNonalert']) |
    (given.fileId === undefined ? 0 : OPTION.openByFileId)
  if ((mask & SYNCHRONOUS) === SYNCHRONOUS) {
    check.fail('nt.options', 'synchronousIoAlert and synchronousIoNonalert exclude each other')
  }
  const name =
    given.fileId === undefined
      ? utf16(rootCalls === undefined ? ntPath(operation, 'path', text) : text)
      : int64s(BigInt.asIntN(64, check.bigint('nt.fileId', given.fileId, MAX_64)))
  const numbers = [
    accessMask(check, given.access ?? ['read', 'synchronize']),
    check.boolean('nt.caseSensitive', given.caseSensitive ?? false) ? 0 : OBJ_CASE_INSENSITIVE,
    given.attributes === undefined ? 0 : attributeMask(operation, 'nt.attributes', given.attributes),
    shareMask(check, given.share ?? ['read', 'write', 'delete']),
    DISPOSITION[
      check.oneOf<NtDisposition>(
        'nt.disposition',
        given.disposition ?? 'open',
        Object.keys(DISPOSITION) as NtDisposition[],
      )
    ],
    mask >>> 0,
    check.bigint('nt.allocationSize', given.allocationSize ?? 0, MAX_SIZE),
  ]
  return {
    name,
    numbers: BigUint64Array.from(numbers, (value) => BigInt(value)),
    ea: given.eas === undefined ? NOTHING : encodeEas(operation, given.eas),
    root: rootCalls?.native,
    overlapped: (mask & SYNCHRONOUS) === 0,
    path: rootCalls === undefined ? text : `${rootCalls.path.replace(/\\$/, '')}\\${text}`,
  }
}

/** `reword`: Win32 errors that the call which is made of it gives another one for. @throws IoError, NotSupportedError */
export async function ntCreate(
  session: Session,
  files: TransportFiles,
  create: NtCreate,
  operation: string,
  reword: ReadonlyMap<number, number> = new Map(),
): Promise<{ readonly native: NativeFile; readonly openedAs: OpenedAs | undefined }> {
  const [status, information, error, native] = await files.ntCreateFile(
    create.name,
    create.numbers,
    create.ea,
    create.root,
  )
  if (native === undefined) {
    await releasesTold()
    const told = reword.get(error) ?? error
    throw ntError(session, operation, create.path, 'NtCreateFile', [status, information, told])
  }
  const openedAs = status === STATUS_OPLOCK_BREAK_IN_PROGRESS ? 'oplockBreak' : OPENED_AS[information]
  return { native, openedAs }
}

/** A query by name. Value: its structure. @throws IoError, NotSupportedError, AbortedError */
export async function queryByName(
  session: Session,
  files: TransportFiles,
  operation: string,
  path: string,
  service: NtByNameServiceName,
  bytes: number,
  informationClass: number,
  signal: AbortSignal | undefined,
): Promise<DataView> {
  throwIfAborted(operation, signal)
  const output = new Uint8Array(bytes)
  const name = utf16(ntPath(operation, 'path', path))
  const query = async (): Promise<DataView> => {
    const result = await files.ntQueryByName(service, name, OBJ_CASE_INSENSITIVE, informationClass, output, undefined)
    if (result[2] !== 0) {
      await releasesTold()
      throw ntError(session, operation, path, service, result)
    }
    return new DataView(output.buffer)
  }
  return abortable(query(), { operation, signal, cancel: () => undefined })
}
