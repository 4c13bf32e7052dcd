// SPDX-License-Identifier: MIT
//
// This module provides: the structures of quota, for tests.

export const ADMINISTRATORS = Uint8Array.of(1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0)
export const USERS = Uint8Array.of(1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x21, 2, 0, 0)
export const GUESTS = Uint8Array.of(1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x22, 2, 0, 0)

export interface Quota {
  readonly sid: Uint8Array
  readonly threshold: bigint
  readonly limit: bigint
}

/** FILE_QUOTA_INFORMATION of one owner. */
export function quotaEntry({ sid, threshold, limit }: Quota): Uint8Array {
  const entry = new Uint8Array(40 + sid.length)
  const view = new DataView(entry.buffer)
  view.setUint32(4, sid.length, true)
  view.setBigInt64(24, threshold, true)
  view.setBigInt64(32, limit, true)
  entry.set(sid, 40)
  return entry
}
