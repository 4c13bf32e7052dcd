// SPDX-License-Identifier: MIT
//
// This module provides: which operations a call is made of, as the driver's post-operations see them.

import { type Counters, type EventRecord, OPERATION_NAMES, pend } from '../../src/index.js'
import { type Bench, settled, take, VOLUMES } from './case.js'

const SYSTEM_PROCESS_ID = 4

/** wdm.h; as numbers they are as short as everybody writes them. */
const IRP_FLAGS: Readonly<Record<string, number>> = {
  IRP_NOCACHE: 0x1,
  IRP_PAGING_IO: 0x2,
  IRP_SYNCHRONOUS_API: 0x4,
  IRP_BUFFERED_IO: 0x10,
  IRP_DEALLOCATE_BUFFER: 0x20,
  IRP_INPUT_OPERATION: 0x40,
  IRP_SYNCHRONOUS_PAGING_IO: 0x40,
  IRP_CREATE_OPERATION: 0x80,
  IRP_READ_OPERATION: 0x100,
  IRP_WRITE_OPERATION: 0x200,
  IRP_CLOSE_OPERATION: 0x400,
  IRP_DEFER_IO_COMPLETION: 0x800,
}

const IRQLS: Readonly<Record<string, number>> = { PASSIVE_LEVEL: 0, APC_LEVEL: 1, DISPATCH_LEVEL: 2 }

const FS_FILTER = ['sectionSync', 'modWrite', 'ccFlush']

/**
 * "read(I,0x900)@0[none]": form (IRP with its flags, fast I/O, FS filter), IRQL, top-level IRP. Sources disagree whether fast I/O and closes come at PASSIVE_LEVEL
 * or at APC_LEVEL [X05, X10]: "@-" is either.
 */
export function shown({ operation, kind, cause, postOperation }: EventRecord): string {
  const { irql, topLevelIrp, irpFlags } = postOperation
  const flags = irpFlags.reduce((sum, name) => sum | (IRP_FLAGS[name] ?? 0), 0)
  const isIrp = kind !== 'refused' || cause !== 'notIrp'
  const form = isIrp ? `I,0x${flags.toString(16)}` : FS_FILTER.includes(operation) ? 'S' : 'F'
  const level = IRQLS[irql] ?? irql
  const isEither = (form === 'F' || operation === 'close') && (level === 0 || level === 1)
  return `${operation}(${form})@${isEither ? '-' : level}[${topLevelIrp}]`
}

export interface TraceOptions {
  readonly volume?: string
  /** What System does as well: read-ahead, lazy writer, workers. Default false. */
  readonly system?: boolean
  /** Fast I/O is sent back and comes again as IRPs. Default: it is let through. */
  readonly asIrps?: boolean
  /** Waits, before it ends, until so many operations have been seen. */
  readonly atLeast?: number
}

/** All operations of a call, each pended if that may be. The order is that of their completion. */
export async function trace(
  { mp }: Bench,
  act: () => Promise<unknown>,
  options: TraceOptions = {},
): Promise<EventRecord[]> {
  const { volume = VOLUMES.ntfs, system = false, asIrps = false, atLeast = 0 } = options
  const events = await mp.events({ kinds: ['taken', 'refused'], ring: 4096 })
  const seen = ({ pended, refused }: Counters): bigint => pended + refused.total
  const before = seen(await settled(mp))
  await mp.rules.set([
    {
      ...{ id: 'everything', on: [...OPERATION_NAMES], volume, names: true },
      ...{ allow: { kernelMode: true }, action: pend({ fastIo: asIrps ? 'toIrp' : 'refuse' }) },
    },
  ])
  await act()
  const records = await take(events, atLeast)
  await mp.rules.clear()
  const count = Number(seen(await settled(mp)) - before)
  records.push(...(await take(events, count - records.length)))
  await events.close()
  return records.filter(({ processId }) => system || processId !== SYSTEM_PROCESS_ID)
}

/** The same in one line. */
export const traceText = async (
  bench: Bench,
  act: () => Promise<unknown>,
  options: TraceOptions = {},
): Promise<string> => (await trace(bench, act, options)).map(shown).join(' ')
