// SPDX-License-Identifier: MIT
//
// This module provides: flushing a file, in the four ways that the system has.

import type { Calls } from './calls.js'
import { ntCall } from './nt-services.js'
import { checkerFor } from './options.js'
import type { FlushMode, FlushOptions } from './types.js'

/** FLUSH_FLAGS_* */
const FLAGS: Readonly<Record<FlushMode, number>> = { normal: 0, dataOnly: 1, noSync: 2, dataSyncOnly: 4 }
const MODES = Object.keys(FLAGS) as FlushMode[]

export async function flush(calls: Calls, options: FlushOptions): Promise<void> {
  const operation = 'File.flush'
  const check = checkerFor(operation)
  const given = check.object('options', options, ['mode', 'signal'])
  const mode = check.oneOf('mode', given.mode ?? 'normal', MODES)
  const signal = check.signal('signal', given.signal)
  if (mode === 'normal') {
    await calls.run(operation, signal, (id) => calls.native.flush(id))
  } else {
    await ntCall(calls, operation, signal, 'NtFlushBuffersFileEx', { numbers: [FLAGS[mode]] })
  }
}
