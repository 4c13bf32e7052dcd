// SPDX-License-Identifier: MIT
//
// This module provides: in which order a release and the failure that it gives an operation are told.
//
//   const write = file.write('x')                               // held by a gate
//   await held.release({ status: 'STATUS_DISK_FULL' })
//   await write                                                 // rejects
//
// The driver gives the operation back while its answer to the release is still on the way, so either may reach JavaScript first. If the failure did, nobody would
// be looking at `write` yet, and Node would take it for an unhandled rejection. So a failure waits for the releases that are under way, of whatever session.

const underWay = new Set<Promise<unknown>>()

/** A release command. Its promise is what the caller waits for. */
export function releasing<T>(work: Promise<T>): Promise<T> {
  const done = (): void => {
    underWay.delete(work)
  }
  underWay.add(work)
  work.then(done, done)
  return work
}

/** Before an operation's failure is told. */
export async function releasesTold(): Promise<void> {
  if (underWay.size === 0) {
    return
  }
  await Promise.allSettled(underWay)
  // Whoever waits for a release goes on in microtasks; when they are through, the operation's promise has its reader.
  await new Promise((resolve) => setImmediate(resolve))
}
