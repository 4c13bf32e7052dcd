// SPDX-License-Identifier: MIT
//
// This module provides: the public API, and nothing else.

export { openMinipend } from './client/open.js'
export { observe, pend, synchronize, whenSafe } from './client/actions.js'
export {
  EVENT_KINDS,
  MAJOR_FUNCTIONS,
  MINOR_FUNCTIONS,
  OPERATION_GROUPS,
  OPERATION_NAMES,
  REFUSAL_NAMES,
  RELEASE_NAMES,
} from './client/operations.js'
export { controlCode, controlCodeParts, FSCTL, IOCTL } from './io/control-codes.js'
export { TRAFFIC_WORKLOADS } from './io/traffic/traffic.js'
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
export type * from './io/control-types.js'
export type * from './io/metadata-types.js'
export type * from './io/nt-open-types.js'
export type * from './io/win32-types.js'
export type * from './io/traffic/types.js'
export type { ErrorDetails, NamedNumber } from './errors/errors.js'
export type { Installation, InstalledPart } from './transport/installation.js'
