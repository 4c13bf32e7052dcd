// SPDX-License-Identifier: MIT
//
// This module provides: the errors that the public API throws.
//
// Invariants: `code` is stable and meant for programs; `message` says what was wrong, `hint` what to do next; numbers of the system are
// kept beside their names.

import type { ModelReport } from '../client/types.js'

/** A number of the system: { name: 'STATUS_DISK_FULL', value: 0xc000007f }. */
export interface NamedNumber {
  readonly name: string
  readonly value: number
}

export interface ErrorDetails {
  /** What was being done, such as "attach" or "File.read". */
  readonly operation?: string | undefined
  /** What to do next. */
  readonly hint?: string | undefined
  readonly ntstatus?: NamedNumber | undefined
  readonly win32?: NamedNumber | undefined
  readonly hresult?: NamedNumber | undefined
  readonly cause?: unknown
}

/** The base of all errors that this library throws. */
export class MinipendError extends Error {
  override readonly name: string = 'MinipendError'
  readonly code: string
  readonly operation: string | undefined
  readonly hint: string | undefined
  readonly ntstatus: NamedNumber | undefined
  readonly win32: NamedNumber | undefined
  readonly hresult: NamedNumber | undefined

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.operation = details.operation
    this.hint = details.hint
    this.ntstatus = details.ntstatus
    this.win32 = details.win32
    this.hresult = details.hresult
  }
}

/** An option or argument has a wrong value. `option` is its path, such as "seed". */
export class InvalidOptionError extends MinipendError {
  override readonly name = 'InvalidOptionError'
  readonly option: string

  constructor(option: string, message: string, details: ErrorDetails = {}) {
    super('INVALID_OPTION', message, details)
    this.option = option
  }
}

/** A rule is malformed; no rule was changed. `field` is its path, such as "rules[2].action.delayMs". */
export class InvalidRuleError extends MinipendError {
  override readonly name = 'InvalidRuleError'
  readonly field: string

  constructor(field: string, message: string, details: ErrorDetails = {}) {
    super('INVALID_RULE', message, details)
    this.field = field
  }
}

/** The driver's port is not there. */
export class DriverNotLoadedError extends MinipendError {
  override readonly name = 'DriverNotLoadedError'

  constructor(message: string, details: ErrorDetails = {}) {
    super('DRIVER_NOT_LOADED', message, details)
  }
}

/** Driver and library speak different versions of the protocol. */
export class VersionMismatchError extends MinipendError {
  override readonly name = 'VersionMismatchError'
  readonly driver: number
  readonly client: number

  constructor(message: string, versions: { driver: number; client: number }, details: ErrorDetails = {}) {
    super('VERSION_MISMATCH', message, details)
    this.driver = versions.driver
    this.client = versions.client
  }
}

/** The driver refused a message, or answered with something that is no reply. `detail` is the driver's own word for it. */
export class ProtocolError extends MinipendError {
  override readonly name = 'ProtocolError'
  readonly detail: string

  constructor(detail: string, message: string, details: ErrorDetails = {}) {
    super('PROTOCOL', message, details)
    this.detail = detail
  }
}

/** Something was used after its close() or detach(). */
export class ClosedError extends MinipendError {
  override readonly name = 'ClosedError'

  constructor(message: string, details: ErrorDetails = {}) {
    super('CLOSED', message, details)
  }
}

/** The backend or transport cannot do this. */
export class NotSupportedError extends MinipendError {
  override readonly name = 'NotSupportedError'

  constructor(message: string, details: ErrorDetails = {}) {
    super('NOT_SUPPORTED', message, details)
  }
}

/** A file that belongs to this library, or a package that it needs, is missing or does not load. */
export class InstallationError extends MinipendError {
  override readonly name = 'InstallationError'

  constructor(
    code: 'BUILD_MISSING' | 'BUILD_BROKEN' | 'DEPENDENCY_MISSING',
    message: string,
    details: ErrorDetails = {},
  ) {
    super(code, message, details)
  }
}

/** A call of the Filter Manager failed. `code` is such as ERROR_FLT_INSTANCE_NOT_FOUND or ERROR_ACCESS_DENIED. */
export class FilterError extends MinipendError {
  override readonly name = 'FilterError'
}

/** File I/O failed. `code` is the Win32 name, such as ERROR_DISK_FULL. */
export class IoError extends MinipendError {
  override readonly name = 'IoError'
  readonly path: string

  constructor(code: string, message: string, path: string, details: ErrorDetails = {}) {
    super(code, message, details)
    this.path = path
  }
}

/**
 * The signal was aborted. `stillHeld` true: the operation has not ended (a held operation cannot be cancelled); its
 * buffer stays pinned until it does, and what it does to the file has happened or will happen. `stillHeld` false: nothing of it is left.
 */
export class AbortedError extends MinipendError {
  override readonly name = 'AbortError'
  readonly stillHeld: boolean

  constructor(message: string, stillHeld: boolean, details: ErrorDetails = {}) {
    super('ABORT_ERR', message, details)
    this.stillHeld = stillHeld
  }
}

/** The model found a broken rule and stopped: a defect in the driver, or in the model. `report` says which. */
export class ModelStoppedError extends MinipendError {
  override readonly name = 'ModelStoppedError'
  readonly report: ModelReport

  constructor(message: string, report: ModelReport, details: ErrorDetails = {}) {
    super('MODEL_STOPPED', message, details)
    this.report = report
  }
}

/** Nothing came within the time given; nothing was changed by waiting. */
export class TimeoutError extends MinipendError {
  override readonly name = 'TimeoutError'
  readonly timeoutMs: number

  constructor(message: string, timeoutMs: number, details: ErrorDetails = {}) {
    super('TIMEOUT', message, details)
    this.timeoutMs = timeoutMs
  }
}

/**
 * A held operation could not be released as asked; nothing was changed. `code` says why:
 * `heldUnknown`: it is not held (any more); `heldForeign`: it is held for another client; `releaseStatus`: it may not be given
 * back with this status.
 */
export class ReleaseError extends MinipendError {
  override readonly name = 'ReleaseError'
  /** The operation's id. */
  readonly id: bigint

  constructor(
    code: 'heldUnknown' | 'heldForeign' | 'releaseStatus',
    message: string,
    id: bigint,
    details: ErrorDetails = {},
  ) {
    super(code, message, details)
    this.id = id
  }
}
