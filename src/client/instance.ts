// SPDX-License-Identifier: MIT
//
// This module provides: attaching and detaching.
//
// Invariant: an instance that was attached through a session is in the session's lifetime until it is detached, so that closing
// the session leaves none behind.

import './dispose.js'
import { InvalidOptionError } from '../errors/errors.js'
import { explainHresult } from '../errors/tables.js'
import { FILTER_NAME, LIMIT } from '../generated/protocol.js'
import { Checker } from './check.js'
import { abortable, throwIfAborted } from './lifetime.js'
import type { Session } from './session.js'
import type { AttachOptions, Instance, SignalOptions } from './types.js'

const check = new Checker(
  (field, expectation) => new InvalidOptionError(field, `attach: ${field}: ${expectation}`, { operation: 'attach' }),
)

/** FilterDetach. `gone`: an instance that is not there any more is what was wanted. */
async function detachByName(session: Session, volume: string, name: string, gone: 'error' | 'fine'): Promise<void> {
  const hresult = await session.transport.filterDetach(FILTER_NAME, volume, name)
  const fine = gone === 'fine' && explainHresult(hresult).hresult.name === 'ERROR_FLT_INSTANCE_NOT_FOUND'
  if (hresult !== 0 && !fine) {
    throw session.filterError('detach', `detach "${name}" from ${volume}`, hresult)
  }
}

class AttachedInstance implements Instance {
  readonly volume: string
  readonly name: string
  altitude = ''
  readonly #session: Session
  #ending: Promise<void> | undefined
  #detached = false

  constructor(session: Session, volume: string, name: string) {
    this.#session = session
    this.volume = volume
    this.name = name
    session.lifetime.add(this)
  }

  get detached(): boolean {
    return this.#detached
  }

  async detach(options: SignalOptions = {}): Promise<void> {
    throwIfAborted('detach', options.signal)
    return abortable(this.close(), { operation: 'detach', signal: options.signal })
  }

  /** For the lifetime. A failed detach may be tried again. */
  close(): Promise<void> {
    this.#ending ??= detachByName(this.#session, this.volume, this.name, 'fine').then(
      () => {
        this.#detached = true
        this.#session.lifetime.delete(this)
      },
      (error: unknown) => {
        this.#ending = undefined
        throw error
      },
    )
    return this.#ending
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** "D:\" and "d:" are "D:". */
export function normaliseVolume(volume: unknown): string {
  const text = check.text('volume', volume, LIMIT.VOLUME_CHARS)
  return /^[a-z]:\\?$/i.test(text) ? text.slice(0, 2).toUpperCase() : text
}

/** `altitudeOf`: asks the driver which altitude a new instance got. */
export async function attachInstance(
  session: Session,
  volume: unknown,
  options: AttachOptions,
  altitudeOf: (volume: string, name: string) => Promise<string>,
): Promise<Instance> {
  session.lifetime.ensureOpen('attach')
  const on = normaliseVolume(volume)
  const { altitude, instanceName, signal } = check.object('options', options, ['altitude', 'instanceName', 'signal'])
  const at = altitude === undefined ? '' : check.text('altitude', altitude, LIMIT.ALTITUDE_CHARS - 1)
  if (at !== '' && !/^\d+(\.\d+)?$/.test(at)) {
    check.expected('altitude', 'decimal digits, such as "370020.5"', altitude)
  }
  const asked =
    instanceName === undefined ? '' : check.text('instanceName', instanceName, LIMIT.INSTANCE_NAME_CHARS - 1)
  const stop = check.signal('signal', signal)
  throwIfAborted('attach', stop)

  const attach = async (): Promise<AttachedInstance> => {
    const [hresult, name] = await session.transport.filterAttach(FILTER_NAME, on, asked, at)
    if (hresult !== 0) {
      throw session.filterError('attach', `attach to ${on}`, hresult)
    }
    const attached = await session.lifetime.adopt(new AttachedInstance(session, on, name), 'attach')
    try {
      attached.altitude = at === '' ? await altitudeOf(on, name) : at
    } catch (error) {
      await attached.close()
      throw error
    }
    return attached
  }
  return abortable(attach(), { operation: 'attach', signal: stop, discard: (late) => late.close() })
}

export async function detachInstance(
  session: Session,
  target: { readonly volume: string; readonly name: string },
  options: SignalOptions,
): Promise<void> {
  if (target instanceof AttachedInstance) {
    return target.detach(options)
  }
  session.lifetime.ensureOpen('detach')
  const { volume, name } = check.object('instance', target, ['volume', 'name'])
  const on = normaliseVolume(volume)
  const called = check.text('name', name, LIMIT.INSTANCE_NAME_CHARS - 1)
  throwIfAborted('detach', options.signal)
  return abortable(detachByName(session, on, called, 'error'), { operation: 'detach', signal: options.signal })
}
