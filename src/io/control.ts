// SPDX-License-Identifier: MIT
//
// This module provides: file-system and device control calls as they are, security descriptors, quota.

import { ntstatusName } from '../errors/tables.js'
import type { SignalOptions } from '../client/types.js'
import type { Calls } from './calls.js'
import type { ControlAnswer, ControlOptions, QuotaOptions, SecurityOptions, SecurityPart } from './control-types.js'
import { growing, ntCall, STATUS } from './nt-services.js'
import { checkerFor, copyBytes } from './options.js'

const MAX_32 = 0xffffffff
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024

export async function controlCall(
  calls: Calls,
  operation: 'File.fsctl' | 'File.ioctl',
  code: number,
  options: ControlOptions,
): Promise<ControlAnswer> {
  const check = checkerFor(operation)
  const number = check.integer('code', code, 0, MAX_32)
  const given = check.object('options', options, ['input', 'output', 'outputBytes', 'signal'])
  if (given.output !== undefined && given.outputBytes !== undefined) {
    check.fail('outputBytes', 'leave it out: output has a length of its own')
  }
  const input = copyBytes(operation, 'input', given.input ?? new Uint8Array(0))
  const output =
    given.output === undefined
      ? new Uint8Array(check.integer('outputBytes', given.outputBytes ?? 0, 0, MAX_OUTPUT_BYTES, 'bytes'))
      : copyBytes(operation, 'output', given.output)
  const service = operation === 'File.fsctl' ? 'NtFsControlFile' : 'NtDeviceIoControlFile'
  const { status, information } = await ntCall(calls, operation, check.signal('signal', given.signal), service, {
    numbers: [number],
    input,
    output,
    fine: [STATUS.BUFFER_OVERFLOW],
    waits: true,
  })
  return { output: output.slice(0, information), status: ntstatusName(status) }
}

const SECURITY: Readonly<Record<SecurityPart, number>> = { owner: 1, group: 2, dacl: 4, sacl: 8, label: 0x10 }
const SECURITY_NAMES = Object.keys(SECURITY) as SecurityPart[]
const SECURITY_BYTES = 512

function securityMask(operation: string, value: unknown): number {
  const check = checkerFor(operation)
  if (!Array.isArray(value) || value.length === 0) {
    return check.expected('parts', `an array of ${SECURITY_NAMES.map((name) => `"${name}"`).join(', ')}`, value)
  }
  return (value as unknown[]).reduce<number>(
    (mask, name) => mask | SECURITY[check.oneOf<SecurityPart>('parts', name, SECURITY_NAMES)],
    0,
  )
}

export function security(calls: Calls, options: SecurityOptions): Promise<Uint8Array> {
  const operation = 'File.security'
  const check = checkerFor(operation)
  const given = check.object('options', options, ['parts', 'signal'])
  const mask = securityMask(operation, given.parts ?? ['owner', 'group', 'dacl'])
  const signal = check.signal('signal', given.signal)
  return growing(SECURITY_BYTES, async (output) => {
    const { status, information } = await ntCall(calls, operation, signal, 'NtQuerySecurityObject', {
      numbers: [mask],
      output,
      fine: [STATUS.BUFFER_TOO_SMALL],
    })
    return status === STATUS.BUFFER_TOO_SMALL ? { needed: information } : { bytes: information }
  })
}

export async function setSecurity(calls: Calls, descriptor: Uint8Array, options: SecurityOptions): Promise<void> {
  const operation = 'File.setSecurity'
  const check = checkerFor(operation)
  const given = check.object('options', options, ['parts', 'signal'])
  await ntCall(calls, operation, check.signal('signal', given.signal), 'NtSetSecurityObject', {
    numbers: [securityMask(operation, given.parts ?? ['dacl'])],
    input: copyBytes(operation, 'descriptor', descriptor),
  })
}

const QUOTA_BYTES = 64 * 1024

export async function quota(calls: Calls, options: QuotaOptions): Promise<Uint8Array> {
  const operation = 'File.quota'
  const check = checkerFor(operation)
  const given = check.object('options', options, ['sids', 'startSid', 'outputBytes', 'signal'])
  const sids = copyBytes(operation, 'sids', given.sids ?? new Uint8Array(0))
  const start = copyBytes(operation, 'startSid', given.startSid ?? new Uint8Array(0))
  const output = new Uint8Array(
    check.integer('outputBytes', given.outputBytes ?? QUOTA_BYTES, 1, MAX_OUTPUT_BYTES, 'bytes'),
  )
  const { information } = await ntCall(
    calls,
    operation,
    check.signal('signal', given.signal),
    'NtQueryQuotaInformationFile',
    {
      numbers: [0, 1, sids.length],
      input: Uint8Array.of(...sids, ...start),
      output,
      fine: [STATUS.NO_MORE_ENTRIES],
    },
  )
  return output.slice(0, information)
}

export async function setQuota(calls: Calls, entries: Uint8Array, options: SignalOptions): Promise<void> {
  const operation = 'File.setQuota'
  const input = copyBytes(operation, 'entries', entries)
  await ntCall(calls, operation, options.signal, 'NtSetQuotaInformationFile', { input })
}
