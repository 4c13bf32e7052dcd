// SPDX-License-Identifier: MIT
//
// This module provides: INSTANCE_AGGREGATE_STANDARD_INFORMATION (fltUserStructures.h), as FilterInstanceFindFirst gives it.

import { readUtf16 } from '../io/bytes.js'
import { viewOf } from './codec.js'

/** INSTANCE_INFORMATION_CLASS: InstanceAggregateStandardInformation. */
export const INSTANCE_AGGREGATE = 3

const IS_MINIFILTER = 1
const AT = { flags: 4, frame: 12, fileSystem: 16, name: 20, altitude: 24, volume: 28, features: 36 } as const
const SIZE = 40

/** FLT_FILESYSTEM_TYPE, by number. */
export const FILE_SYSTEMS = [
  ...['unknown', 'raw', 'ntfs', 'fat', 'cdfs', 'udfs', 'lanman', 'webdav', 'rdpdr', 'nfs', 'ms-netware', 'netware'],
  ...['bsudf', 'mup', 'rsfx', 'roxio-udf1', 'roxio-udf2', 'roxio-udf3', 'tacit', 'fs-rec', 'incd', 'incd-fat', 'exfat'],
  ...['psfs', 'gpfs', 'npfs', 'msfs', 'csvfs', 'refs', 'openafs'],
] as const

export interface InstanceInformation {
  readonly name: string
  readonly altitude: string
  readonly volume: string
  readonly frame: number
  readonly fileSystem: number
  readonly supportedFeatures: number
}

/** Undefined: not such a structure, or its texts are not inside of it. */
export function decodeInstance(bytes: Uint8Array): InstanceInformation | undefined {
  if (bytes.length < SIZE) {
    return undefined
  }
  const view = viewOf(bytes)
  const text = (at: number): string | undefined => {
    const length = view.getUint16(at, true)
    const offset = view.getUint16(at + 2, true)
    return offset + length <= bytes.length ? readUtf16(view, offset, length) : undefined
  }
  const [name, altitude, volume] = [text(AT.name), text(AT.altitude), text(AT.volume)]
  const minifilter = (view.getUint32(AT.flags, true) & IS_MINIFILTER) !== 0
  if (!minifilter || name === undefined || altitude === undefined || volume === undefined) {
    return undefined
  }
  return {
    ...{ name, altitude, volume },
    frame: view.getUint32(AT.frame, true),
    fileSystem: view.getUint32(AT.fileSystem, true),
    supportedFeatures: view.getUint32(AT.features, true),
  }
}
