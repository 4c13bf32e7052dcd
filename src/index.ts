// SPDX-License-Identifier: MIT
//
// This module provides: the public API, and nothing else.

export { openMinipend } from './client/open.js'
export { observe, pend, synchronize, whenSafe } from './client/actions.js'
export { EVENT_KINDS, MAJOR_FUNCTIONS, OPERATION_GROUPS, OPERATION_NAMES } from './client/operations.js'
export { inspectInstallation } from './transport/installation.js'
export {
  AbortedError,
  ClosedError,
  DriverNotLoadedError,
  FilterError,
  InstallationError,
  InvalidOptionError,
  InvalidRuleError,
  IoError,
  MinipendError,
  ModelStoppedError,
  NotSupportedError,
  ProtocolError,
  ReleaseError,
  TimeoutError,
  VersionMismatchError,
} from './errors/errors.js'

export type * from './client/types.js'
export type * from './io/types.js'
export type { ErrorDetails, NamedNumber } from './errors/errors.js'
export type { Installation, InstalledPart } from './transport/installation.js'
