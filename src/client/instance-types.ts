// SPDX-License-Identifier: MIT
//
// This module provides: the public types of the driver's instances as the Filter Manager lists them. Types only.

import type { FILE_SYSTEMS } from '../transport/instance-information.js'
import type { InstanceCounters } from './counter-types.js'

/** FLT_FILESYSTEM_TYPE without its prefix, in small letters. */
export type FileSystemName = (typeof FILE_SYSTEMS)[number]

/** One instance of the driver, whoever attached it: what FilterInstanceFindFirst says of it, and what the driver counts for it. */
export interface InstanceInfo {
  readonly name: string
  readonly altitude: string
  /** Device name, such as "\Device\HarddiskVolume2". */
  readonly volume: string
  /** The volume as it was given to attach() in this session, such as "D:"; undefined when attached elsewhere. */
  readonly drive: string | undefined
  /** The Filter Manager's frame that it is in: 0, and more where a legacy filter lies between minifilters. */
  readonly frame: number
  /** `unknown` also for one that this library has no name for. */
  readonly fileSystem: FileSystemName
  /** SUPPORTED_FS_FEATURES_* bits of the driver's service: 1 offload read, 2 offload write, 4 query open. */
  readonly supportedFeatures: number
  /** The driver's side of it, with its id; undefined: it came or went between the two questions. */
  readonly counters: InstanceCounters | undefined
}
