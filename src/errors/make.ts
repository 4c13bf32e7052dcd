// SPDX-License-Identifier: MIT
//
// This module provides: errors made from what the system answered.

import { FILTER_NAME } from '../generated/protocol.js'
import { DriverNotLoadedError, FilterError, IoError, type MinipendError } from './errors.js'
import { explainHresult, fileHint, filterHint, formatNumber, ntstatusName, win32Name } from './tables.js'

/** Win32 error 1115: the model stopped or ended while the call was inside, or before it. */
export const ERROR_SHUTDOWN_IN_PROGRESS = 1115
export const ERROR_OPERATION_ABORTED = 995

export const hresultFromWin32 = (error: number): number => (0x80070000 | error) >>> 0

/** An error for a failed call of fltlib. `what` completes "cannot ...". */
export function filterError(operation: string, what: string, hresult: number): FilterError {
  const explained = explainHresult(hresult)
  const name = explained.hresult.name
  return new FilterError(name, `cannot ${what}: ${formatNumber(explained.hresult)}`, {
    operation,
    hint: filterHint(name),
    ...explained,
  })
}

const ERROR_FILE_NOT_FOUND = 2

/** Connecting: a port that is not there means that the driver is not loaded. */
export function connectError(operation: string, hresult: number): MinipendError {
  if (hresult >>> 0 === hresultFromWin32(ERROR_FILE_NOT_FOUND)) {
    return new DriverNotLoadedError('the minipend driver is not loaded: its communication port does not exist', {
      operation,
      hint: `load it: open with load: true, or run \`fltmc load ${FILTER_NAME}\` as administrator`,
      ...explainHresult(hresult),
    })
  }
  return filterError(operation, "connect to the driver's communication port", hresult)
}

/** An error for a failed file call. */
export function ioError(operation: string, path: string, win32: number, ntstatus: number): IoError {
  const named = win32Name(win32)
  const status = ntstatus === 0 ? undefined : ntstatusName(ntstatus)
  const because = status === undefined ? `${named.name} (${win32})` : `${named.name} (${win32}, ${status.name})`
  return new IoError(named.name, `${operation} "${path}": ${because}`, path, {
    operation,
    hint: fileHint(named.name),
    win32: named,
    ntstatus: status,
  })
}
