// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest'
import { checkOptions } from '../../../src/client/options.js'
import { InvalidOptionError, MinipendError, openMinipend, type OpenOptions } from '../../../src/index.js'

const bad = async (options: unknown): Promise<MinipendError> => {
  const error: unknown = await openMinipend(options as OpenOptions).catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(MinipendError)
  return error as MinipendError
}

describe('options of openMinipend', () => {
  it('name a backend: it is never guessed', async () => {
    for (const options of [{}, undefined]) {
      const error = await bad(options)
      expect(error).toBeInstanceOf(InvalidOptionError)
      expect(error.message).toBe('openMinipend: backend is missing: name one, it is never guessed')
      expect(error.hint).toMatch(/'embedded'.*'windows'/)
    }
  })

  it.each<[unknown, string]>([
    [{ backend: 'linux' }, 'openMinipend: backend: expected one of "embedded", "windows", got "linux"'],
    [{ backend: 'embedded', transport: 'pipe' }, 'openMinipend: transport: expected one of "addon", "ffi", got "pipe"'],
    [{ backend: 'embedded', sed: 1 }, 'openMinipend: options.sed: unknown key; did you mean "seed"?'],
    [
      { backend: 'embedded', seed: -1 },
      'openMinipend: seed: expected an integer from 0 to 18446744073709551615, got -1',
    ],
    [{ backend: 'embedded', seed: 2n ** 64n }, 'openMinipend: seed: expected an integer from 0 to'],
    [{ backend: 'embedded', processors: 1 }, 'openMinipend: processors: expected an integer from 2 to 64, got 1'],
    [{ backend: 'embedded', load: 'yes' }, 'openMinipend: load: expected true or false, got "yes"'],
    [{ backend: 'embedded', signal: {} }, 'openMinipend: signal: expected an AbortSignal, got an object'],
    [
      { backend: 'embedded', readings: { 'close-irq': 'apc' } },
      'openMinipend: readings.close-irq: unknown key; did you mean "close-irql"? Known keys: read-write-flush, ',
    ],
    [
      { backend: 'embedded', readings: { 'close-irql': 'high' } },
      'openMinipend: readings["close-irql"]: expected one of "apc", "passive", got "high"',
    ],
    [{ backend: 'windows', readings: {} }, "openMinipend: readings: is for backend: 'embedded' only"],
    [{ backend: 'windows', seed: 1 }, "openMinipend: seed: is for backend: 'embedded' only"],
    [{ backend: 'embedded', files: { 'D:': '/no/such/place' } }, 'there is none at /no/such/place'],
    [{ backend: 'windows', driverImage: 'a.sys' }, "openMinipend: driverImage: is for backend: 'embedded' only"],
    [
      { backend: 'embedded', driverImage: '/no/such.sys' },
      'driverImage: expected a file; there is none at /no/such.sys',
    ],
    [{ backend: 'embedded', driverImage: 7 }, 'openMinipend: driverImage: expected '],
    [
      { backend: 'embedded', files: { data: '.' } },
      'openMinipend: files["data"]: expected a key such as "D:" or "D:\\inbox"',
    ],
  ])('are checked: %#', async (options, message) => {
    expect((await bad(options)).message).toContain(message)
  })

  it('files are not for the ffi transport', async () => {
    expect(await bad({ backend: 'embedded', transport: 'ffi', files: { 'D:': '.' } })).toMatchObject({
      code: 'NOT_SUPPORTED',
    })
  })

  it('have defaults', () => {
    const checked = checkOptions({ backend: 'embedded' })
    expect(checked).toMatchObject({ transport: 'addon', processors: 2, files: [], load: true })
    expect(typeof checked.seed).toBe('bigint')
  })
})
