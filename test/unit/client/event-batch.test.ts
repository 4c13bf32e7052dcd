// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest'

import { Batch } from '../../../src/client/event-batch.js'
import { RuleNames } from '../../../src/client/seen.js'
import { Volumes } from '../../../src/client/volumes.js'
import { EVENT } from '../../../src/generated/protocol.js'
import { viewOf } from '../../../src/transport/codec.js'
import { fakeTransport } from './fake.js'

const nothing = (): Promise<never> => Promise.reject(new Error('nothing is asked for'))

describe('a batch', () => {
  it('shows an event of a kind that it does not know as it is', () => {
    const bytes = new Uint8Array(EVENT.size)
    viewOf(bytes).setUint16(EVENT.fields.kind.offset, 9, true)
    viewOf(bytes).setUint16(EVENT.fields.cause.offset, 3, true)
    const batch = new Batch(bytes, 0n, new Volumes(fakeTransport(), nothing), new RuleNames(1n))
    expect([...batch]).toMatchObject([{ kind: 'kind 9', cause: undefined, operation: 'create' }])
  })
})
