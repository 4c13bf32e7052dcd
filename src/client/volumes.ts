// SPDX-License-Identifier: MIT
//
// This module provides: which volume is which: DOS names, device names, and the driver's numbers of its instances.

import type { CountersReply } from '../transport/messages.js'
import type { Transport } from '../transport/transport.js'

export class Volumes {
  readonly #transport: Transport
  /** Asks the driver for its instances. */
  readonly #readInstances: () => Promise<CountersReply>
  /** Device names of the DOS names that were used. */
  readonly #devices = new Map<string, string>()
  /** Device names of instances, which never change; undefined: it had gone before it was asked for. */
  readonly #instances = new Map<bigint, string | undefined>()

  constructor(transport: Transport, readInstances: () => Promise<CountersReply>) {
    this.#transport = transport
    this.#readInstances = readInstances
  }

  /** The device name of "D:"; undefined: there is no such DOS name, or the volume has none. */
  async deviceOf(volume: string): Promise<string | undefined> {
    const known = this.#devices.get(volume)
    if (known !== undefined || !volume.endsWith(':')) {
      return known
    }
    const [error, , device] = await this.#transport.queryDosDevice(volume)
    if (error === 0) {
      this.#devices.set(volume, device)
      return device
    }
    return undefined
  }

  /** The DOS name by which this session has used a device. */
  driveOf(device: string): string | undefined {
    for (const [drive, known] of this.#devices) {
      if (known.toUpperCase() === device.toUpperCase()) {
        return drive
      }
    }
    return undefined
  }

  /** Notes the instances of a counters reply. */
  learn(reply: CountersReply): void {
    for (const { instanceId, volume } of reply.instances) {
      if (volume !== '') {
        this.#instances.set(instanceId, volume)
      }
    }
  }

  /** Sees to it that driveOfInstance() can answer for these. */
  async resolve(instances: Iterable<bigint>): Promise<void> {
    const unknown = new Set([...instances].filter((id) => !this.#instances.has(id)))
    if (unknown.size === 0) {
      return
    }
    this.learn(await this.#readInstances())
    for (const id of unknown) {
      if (!this.#instances.has(id)) {
        this.#instances.set(id, undefined)
      }
    }
  }

  /** The DOS name by which this session has used the instance's volume; undefined: it has not, or the instance has gone. */
  driveOfInstance(id: bigint): string | undefined {
    const device = this.#instances.get(id)
    return device === undefined ? undefined : this.driveOf(device)
  }
}
