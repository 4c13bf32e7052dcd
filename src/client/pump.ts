// SPDX-License-Identifier: MIT
//
// This module provides: the one loop of a session that waits for the driver to have something, for gates and events alike.
//
// While somebody waits: everybody who waits asks; when that was not enough, the wait for the bell begins, everybody asks once more and arms the
// bell with that, and the loop sleeps until the bell rings or another caller comes. The wait for the bell begins before the bell is armed, and what
// comes after an armed answer was made rings, so nothing is missed; nobody polls. A bell for something that has been fetched meanwhile costs
// one round. When nobody waits any more, the wait for the bell is cancelled: nothing keeps the event loop alive.
//
// Invariant: at most one wait for the bell at a time, and none that nobody has asked for.

import { ClosedError, type MinipendError } from '../errors/errors.js'
import { bellBytes, isBell } from '../transport/event-messages.js'
import type { MessageWait } from '../transport/transport.js'
import type { Session } from './session.js'

/** Somebody for whom callers wait. */
export interface Listener {
  /** At least one caller waits. */
  readonly waiting: boolean
  /** Asks the driver once and serves who waits. `arm`: the bell shall ring for what comes after the answer. */
  ask(arm: boolean): Promise<void>
  /** Ends all waiting. */
  fail(error: unknown): void
}

/** How often a transport that cannot wait for the bell asks instead. */
const POLL_MS = 50

const OPERATION = 'wait for the driver'

interface Bell {
  readonly wait: MessageWait
  readonly message: Uint8Array
}

export class Pump {
  readonly #session: Session
  readonly #listeners = new Set<Listener>()
  #running = false
  /** Somebody has come or given up since the loop last looked. */
  #dirty = false
  #wakeUp: () => void = () => undefined

  constructor(session: Session) {
    this.#session = session
  }

  add(listener: Listener): void {
    this.#listeners.add(listener)
  }

  delete(listener: Listener): void {
    this.#listeners.delete(listener)
  }

  /** Somebody has come, or given up. */
  wake(): void {
    this.#dirty = true
    this.#wakeUp()
    if (!this.#running && this.#waiting().length > 0) {
      this.#running = true
      void this.#run()
    }
  }

  #hasChanged(): boolean {
    return this.#dirty
  }

  #waiting(): Listener[] {
    return [...this.#listeners].filter((listener) => listener.waiting)
  }

  async #run(): Promise<void> {
    let bell: Bell | undefined
    try {
      while (this.#waiting().length > 0) {
        this.#dirty = false
        await this.#askAll(false)
        if (this.#waiting().length === 0) {
          continue
        }
        bell ??= this.#listen()
        await this.#askAll(true)
        if (this.#hasChanged() || this.#waiting().length === 0) {
          continue
        }
        if (await this.#sleep(bell)) {
          bell = undefined
        }
      }
    } catch (error) {
      this.#failAll(error)
    } finally {
      if (bell !== undefined) {
        bell.wait.cancel()
        // One at a time: the next wait may begin when this one has ended. A bell that was in time is not missed: the next round asks first.
        await bell.wait.promise.catch(() => undefined)
      }
      this.#running = false
      if (this.#waiting().length > 0) {
        this.wake()
      }
    }
  }

  async #askAll(arm: boolean): Promise<void> {
    for (const listener of this.#waiting()) {
      try {
        await listener.ask(arm)
      } catch (error) {
        listener.fail(error)
      }
    }
  }

  #failAll(error: unknown): void {
    for (const listener of this.#listeners) {
      listener.fail(error)
    }
  }

  #listen(): Bell | undefined {
    const message = new Uint8Array(bellBytes)
    const wait = this.#session.listen(message)
    // Nobody may be looking when it fails; who looks later sees it.
    wait?.promise.catch(() => undefined)
    return wait === undefined ? undefined : { wait, message }
  }

  /** Until the bell rings or somebody comes or gives up. True: the bell has rung. @throws MinipendError */
  async #sleep(bell: Bell | undefined): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined
    const woken = new Promise<undefined>((resolve) => {
      this.#wakeUp = () => resolve(undefined)
      if (bell === undefined) {
        timer = setTimeout(this.#wakeUp, POLL_MS)
      }
    })
    try {
      const rung = await (bell === undefined ? woken : Promise.race([bell.wait.promise, woken]))
      if (rung === undefined || bell === undefined) {
        return false
      }
      const [hresult, bytes] = rung
      if (hresult !== 0 || !isBell(bell.message.subarray(0, bytes))) {
        throw this.#failure(hresult, bytes)
      }
      return true
    } finally {
      clearTimeout(timer)
      this.#wakeUp = () => undefined
    }
  }

  #failure(hresult: number, bytes: number): MinipendError {
    if (this.#session.lifetime.closed) {
      return new ClosedError(`${OPERATION}: the session was closed meanwhile`, { operation: OPERATION })
    }
    return hresult === 0
      ? this.#session.malformed(OPERATION, `${bytes} bytes that are no bell`)
      : this.#session.filterError(OPERATION, 'wait for a message of the driver', hresult)
  }
}
