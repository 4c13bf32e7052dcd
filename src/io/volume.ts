// SPDX-License-Identifier: MIT
//
// This module provides: what is known about a volume, its label, and locking and dismounting it.

import '../client/dispose.js'
import type { SignalOptions } from '../client/types.js'
import { readDate, readUtf16, uint32s, utf16 } from './bytes.js'
import type { Calls } from './calls.js'
import { FSCTL } from './control-codes.js'
import type { VolumeLock } from './control-types.js'
import type { VolumeInfo } from './metadata-types.js'
import { FS_CLASS, ntCall } from './nt-services.js'
import { checkerFor } from './options.js'

const ANSWER_BYTES = 1024
const MAX_LABEL_CHARS = 32

export async function volumeInfo(calls: Calls, options: SignalOptions): Promise<VolumeInfo> {
  const operation = 'File.volume'
  const query = async (informationClass: number): Promise<DataView> => {
    const output = new Uint8Array(ANSWER_BYTES)
    await ntCall(calls, operation, options.signal, 'NtQueryVolumeInformationFile', {
      numbers: [informationClass],
      output,
    })
    return new DataView(output.buffer)
  }
  const volume = await query(FS_CLASS.VOLUME)
  const size = await query(FS_CLASS.FULL_SIZE)
  const attribute = await query(FS_CLASS.ATTRIBUTE)
  const device = await query(FS_CLASS.DEVICE)
  const bytesPerSector = size.getUint32(28, true)
  const bytesPerCluster = size.getUint32(24, true) * bytesPerSector
  return {
    label: readUtf16(volume, 18, volume.getUint32(12, true)),
    serialNumber: volume.getUint32(8, true),
    createdAt: readDate(volume, 0),
    fileSystem: readUtf16(attribute, 12, attribute.getUint32(8, true)),
    fileSystemFlags: attribute.getUint32(0, true),
    maximumNameLength: attribute.getInt32(4, true),
    bytesPerSector,
    bytesPerCluster,
    totalBytes: size.getBigInt64(0, true) * BigInt(bytesPerCluster),
    availableBytes: size.getBigInt64(8, true) * BigInt(bytesPerCluster),
    deviceType: device.getUint32(0, true),
    deviceCharacteristics: device.getUint32(4, true),
  }
}

export async function setVolumeLabel(calls: Calls, label: string, options: SignalOptions): Promise<void> {
  const operation = 'File.setVolumeLabel'
  const check = checkerFor(operation)
  const name = label === '' ? new Uint8Array(0) : utf16(check.text('label', label, MAX_LABEL_CHARS))
  await ntCall(calls, operation, options.signal, 'NtSetVolumeInformationFile', {
    numbers: [FS_CLASS.LABEL],
    // FILE_FS_LABEL_INFORMATION: never shorter than with a name of one unit and its padding.
    input: Uint8Array.of(...uint32s(name.length), ...name, ...new Uint8Array(Math.max(0, 4 - name.length))),
  })
}

async function control(calls: Calls, operation: string, code: number, signal: AbortSignal | undefined): Promise<void> {
  await ntCall(calls, operation, signal, 'NtFsControlFile', { numbers: [code] })
}

class HeldVolume implements VolumeLock {
  readonly #calls: Calls
  #unlocked = false

  constructor(calls: Calls) {
    this.#calls = calls
  }

  get unlocked(): boolean {
    return this.#unlocked
  }

  async unlock(options: SignalOptions = {}): Promise<void> {
    if (!this.#unlocked) {
      this.#unlocked = true
      await control(this.#calls, 'VolumeLock.unlock', FSCTL.UNLOCK_VOLUME, options.signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The end of the handle has unlocked it.
    if (!this.#calls.closed) {
      await this.unlock()
    }
  }
}

export async function lockVolume(calls: Calls, options: SignalOptions): Promise<VolumeLock> {
  await control(calls, 'File.lockVolume', FSCTL.LOCK_VOLUME, options.signal)
  return new HeldVolume(calls)
}

export const dismountVolume = (calls: Calls, options: SignalOptions): Promise<void> =>
  control(calls, 'File.dismountVolume', FSCTL.DISMOUNT_VOLUME, options.signal)
