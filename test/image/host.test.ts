// SPDX-License-Identifier: MIT
//
// `minipend host` with drivers of test/image/drivers, which `npm run test:image` has built.

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test, vi } from 'vitest'

vi.setConfig({ testTimeout: 240_000 })

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const images = process.env['MINIPEND_TEST_IMAGES'] ?? ''
const directory = mkdtempSync(path.join(tmpdir(), 'minipend host é'))
afterAll(() => rmSync(directory, { recursive: true }))

interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

const host = (image: string, ...args: string[]): Result =>
  spawnSync(process.execPath, [program, 'host', image, '--operations', '40', '--seed', '7', ...args], {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
  })

const image = (name: string): string => path.join(images, `${name}.sys`)

test.each([[[]], [['--minipend', 'above']], [['--minipend', 'below']]])(
  'a filter that changes nothing is loaded, driven and unloaded: %j',
  (args: string[]) => {
    const { status, stdout, stderr } = host(image('passthrough'), '--json', ...args)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const document = JSON.parse(stdout) as Record<string, unknown>
    expect(document).toMatchObject({
      ...{ ok: true, service: 'passthrough', attached: 3, seed: '7', leaks: [] },
      altitude: args.includes('above') ? '141100' : '385100',
      image: { file: 'passthrough.sys', kind: 'cross build' },
    })
    expect(document['traffic']).toHaveLength(6)
    expect(document['history']).toEqual(
      expect.arrayContaining([
        'filter passthrough: registered',
        'driver passthrough: loaded',
        'driver passthrough: unloaded',
        ...(args.length === 0 ? [] : ['driver minipend: loaded', 'driver minipend: unloaded']),
      ]),
    )
  },
)

test('a filter that asks for routines by name gets those that there are, and its user is told of the others', () => {
  const { status, stdout } = host(image('asker'), '--json')
  expect(status).toBe(0)
  const document = JSON.parse(stdout) as { readonly history: readonly string[] }
  expect(document).toMatchObject({
    ...{ ok: true, leaks: [], absentRoutines: ['ntoskrnl.exe!KeOfTomorrow', 'fltmgr.sys!FltOfTomorrow'] },
  })
  expect(host(image('asker')).stdout).toContain(
    'in the model (it got NULL, as on an older Windows):\n  ntoskrnl.exe!KeOfTomorrow\n  fltmgr.sys!FltOfTomorrow\n',
  )
  expect(document.history).toEqual(
    expect.arrayContaining([
      'MmGetSystemRoutineAddress: the model has no ntoskrnl.exe!KeOfTomorrow, the driver got NULL',
      'FltGetRoutineAddress: the model has no fltmgr.sys!FltOfTomorrow, the driver got NULL',
      'driver: asker on 10.0, IRP_MJ_CREATE is known',
      'driver: IRP_MJ_CREATE by a program of 64 bits!',
      expect.stringMatching(/^driver: [1-9][0-9]* creates in all$/),
    ]),
  )
  // What was looked up is called through a gate, as what is imported is.
  const { status: stopped, stderr } = host(image('asker-miscalls'))
  expect(stopped).toBe(6)
  expect(stderr).toContain('PsCreateSystemThread')
  expect(stderr).toContain('V5 IRQL too high')
})

test.each([[[]], [['--minipend', 'above']], [['--minipend', 'below']]])(
  "a filter that swaps buffers, behind MDLs and with the caller's locked, is driven: %j",
  (args: string[]) => {
    const { status, stdout } = host(image('swapper'), '--json', ...args)
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, leaks: [] })
  },
)

test('a filter that frees the MDL that it has swapped in stops the model', () => {
  const { status, stderr } = host(image('swapper-frees'))
  expect(status).toBe(6)
  expect(stderr).toContain('V26 MDL')
  expect(stderr).toContain('call FltRetainSwappedBufferMdlAddress, or leave it')
})

test('a filter with contexts of streams and volumes is driven, and told what it forgets to release', () => {
  const { status, stdout } = host(image('contexts'), '--json')
  expect(status).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ ok: true, leaks: [] })
  const forgotten = JSON.parse(host(image('contexts-forgotten'), '--json').stdout) as Record<string, unknown>
  expect(forgotten['ok']).toBe(false)
  expect(JSON.stringify(forgotten['leaks'])).toMatch(/[0-9]+ volume context\(s\) were not released \(V10\)/)
  expect(JSON.stringify(forgotten['leaks'])).toMatch(/[0-9]+ stream context\(s\) were not released \(V10\)/)
})

test.each([[[]], [['--minipend', 'above']], [['--minipend', 'below']]])(
  'a filter that opens, reads and asks for files itself is driven: %j',
  (args: string[]) => {
    const { status, stdout, stderr } = host(image('scanner'), '--json', ...args)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, attached: 3, leaks: [] })
  },
)

test('callback data that a filter forgets is a leak, a handle for a stranger stops the model', () => {
  const forgotten = JSON.parse(host(image('scanner-forgetful'), '--json').stdout) as Record<string, unknown>
  expect(forgotten['ok']).toBe(false)
  expect(JSON.stringify(forgotten['leaks'])).toMatch(/[0-9]+ callback data were not freed \(V23\)/)
  const { status, stderr } = host(image('scanner-stranger'))
  expect(status).toBe(6)
  expect(stderr).toContain('V24 handle for a stranger')
  expect(stderr).toContain('scanner-stranger.sys!')
})

test.each([[[]], [['--minipend', 'above']], [['--minipend', 'below']]])(
  'a filter that pends pre-operations in a cancel-safe queue is driven: %j',
  (args: string[]) => {
    const { status, stdout } = host(image('pender'), '--json', ...args)
    expect(status).toBe(0)
    const document = JSON.parse(stdout) as { readonly history: readonly string[] }
    expect(document).toMatchObject({ ok: true, leaks: [] })
    const count = (text: string): number => document.history.filter((line) => line.includes(text)).length
    expect(count('in the queue of pender')).toBeGreaterThan(20)
    expect(count('given back to the pre-operation of pender')).toBeGreaterThan(0)
    expect(count('completed by the pre-operation of pender')).toBeGreaterThan(0)
  },
)

test.each([[[]], [['--minipend', 'above']], [['--minipend', 'below']]])(
  'a filter that delays operations by timers, DPCs and workers, and counts under a mutex: %j',
  (args: string[]) => {
    const { status, stdout } = host(image('delayer'), '--json', ...args)
    expect(status).toBe(0)
    const document = JSON.parse(stdout) as { readonly history: readonly string[] }
    expect(document).toMatchObject({ ok: true, leaks: [] })
    const said = /delayer: (\d+) ticks, (\d+) delayed, mutex (\d+)/.exec(document.history.join('\n'))
    const [, ticks, delayed, mutex] = said ?? []
    expect(Number(ticks)).toBeGreaterThan(0)
    expect(Number(delayed)).toBeGreaterThan(20)
    expect(mutex).toBe('1')
  },
)

test('a timer that ticks on when its driver is unloaded stops the model', () => {
  const { status, stderr } = host(image('delayer-forgets'))
  expect(status).toBe(6)
  expect(stderr).toContain('TIMER_OR_DPC_INVALID')
  expect(stderr).toContain('1 timer(s) of the driver are set')
})

test.each([[[]], [['--minipend', 'above']], [['--minipend', 'below']]])(
  'a filter with tables, lists, resources, work items, cancel routines and parameters keeps the score: %j',
  (args: string[]) => {
    const { status, stdout } = host(image('keeper'), '--json', ...args)
    expect(status).toBe(0)
    const document = JSON.parse(stdout) as { readonly history: readonly string[] }
    expect(document).toMatchObject({ ok: true, leaks: [] })
    const said = /keeper at (\d+): (\d+) kinds, (\d+) of (\d+) seen, (\d+) held/.exec(document.history.join('\n'))
    const [, altitude, kinds, counted, seen, held] = said ?? []
    expect(altitude).toBe(args.includes('above') ? '141100' : '385100')
    expect(Number(kinds)).toBeGreaterThan(4)
    expect(Number(counted)).toBeGreaterThan(100)
    expect(counted).toBe(seen)
    expect(Number(held)).toBeGreaterThan(0)
    expect(document.history.join('\n')).toContain('generic work item queued for filter keeper')
  },
)

test('what that filter leaves, and what it frees behind its table, is found', () => {
  const forgotten = JSON.stringify(JSON.parse(host(image('keeper-forgets'), '--json').stdout))
  expect(forgotten).toMatch(/lookaside list \w+ was never deleted/)
  expect(forgotten).toMatch(/pool tag 'Keep': [0-9]+ blocks/)
  const { status, stderr } = host(image('keeper-frees'))
  expect(status).toBe(6)
  expect(stderr).toContain('GENERIC TABLE element freed')
  expect(stderr).toContain('keeper-frees.sys!FreeAll+')
})

const watched = (...args: string[]): Record<string, unknown> & { readonly history: readonly string[] } => {
  const { status, stdout, stderr } = host(image('watcher'), '--json', ...args)
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const document = JSON.parse(stdout) as Record<string, unknown> & { readonly history: readonly string[] }
  expect(document).toMatchObject({ ok: true, leaks: [], absentRoutines: [] })
  return document
}

test.each([[[]], [['--minipend', 'above']], [['--minipend', 'below']]])(
  'a filter that goes by processes is told of one and lets a trusted one read: %j',
  (args: string[]) => {
    const document = watched(...args)
    expect(document['process']).toEqual({ image: 'C:\\Windows\\client.exe', status: 'STATUS_SUCCESS' })
    expect(document.history).toEqual(
      expect.arrayContaining([
        expect.stringMatching(
          /^driver: watcher: \\\?\?\\C:\\Windows\\client\.exe, made by a thread of \d+ as "C:\\Windows\\client\.exe"$/,
        ),
        expect.stringMatching(/^driver: watcher: 1 made, 1 ended, 0 turned down, 0 refused of [1-9]\d+, 0 disagreed$/),
      ]),
    )
  },
)

test('a program that the filter does not trust is turned down, and what runs of it may not read everything', () => {
  const document = watched('--process', 'C:\\Downloads\\Untrusted.exe', '--operations', '300')
  expect(document['process']).toEqual({ image: 'C:\\Downloads\\Untrusted.exe', status: 'STATUS_VIRUS_INFECTED' })
  const said = /watcher: 1 made, 1 ended, 1 turned down, (\d+) refused of \d+, 0 disagreed/.exec(
    document.history.join('\n'),
  )
  expect(Number(said?.[1])).toBeGreaterThan(0)
  const { stdout } = host(image('watcher'), '--process', 'C:\\Downloads\\Untrusted.exe')
  expect(stdout).toContain('of C:\\Downloads\\Untrusted.exe could not be made: STATUS_VIRUS_INFECTED')
  expect(host(image('watcher'), '--process', 'Q:\\x.exe').stderr).toContain('the model has no volume')
  expect(host(image('watcher'), '--process', 'x.exe').stderr).toContain('Expected a whole path')
})

test('what a filter that goes by processes does wrong is found', () => {
  const unchecked = host(image('watcher-unchecked'))
  expect(unchecked.status).toBe(5)
  expect(unchecked.stderr).toContain('cannot load watcher-unchecked: ERROR_ACCESS_DENIED')
  expect(unchecked.stderr).toContain("the routine's image was linked without /INTEGRITYCHECK")
  const forgets = host(image('watcher-forgets'))
  expect(forgets.status).toBe(6)
  expect(forgets.stderr).toContain('PROCESS NOTIFY routine left')
  const stranger = host(image('watcher-stranger'))
  expect(stranger.status).toBe(6)
  expect(stranger.stderr).toContain('V24 handle for a stranger')
  expect(stranger.stderr).toContain('watcher-stranger.sys!')
})

test.each([[[]], [['--minipend', 'above']], [['--minipend', 'below']]])(
  'a filter that keeps a log in a file through the whole stack: %j',
  (args: string[]) => {
    const { status, stdout } = host(image('logger'), '--json', ...args)
    expect(status).toBe(0)
    const document = JSON.parse(stdout) as { readonly history: readonly string[] }
    expect(document).toMatchObject({ ok: true, leaks: [] })
    const said = /logger: (\d+) lines, wrong: nothing, own creates: (\d+)/.exec(document.history.join('\n'))
    const [, lines, own] = said ?? []
    expect(Number(lines)).toBeGreaterThan(10)
    expect(Number(own)).toBeGreaterThan(5)
  },
)

test('a file service in a guarded region stops the model', () => {
  const { status, stderr } = host(image('logger-guarded'))
  expect(status).toBe(6)
  expect(stderr).toContain('GUARDED REGION around a file service')
  expect(stderr).toContain('logger-guarded.sys!')
})

test('a driver that is no filter is told from one', () => {
  expect(host(image('seh'))).toMatchObject({ status: 5, stdout: '' })
  expect(host(image('seh')).stderr).toContain('registered no filter')
})

test('what is imported and not modelled is all named, and nothing runs', () => {
  const { status, stdout, stderr } = host(image('unmodelled'))
  expect(status).toBe(6)
  expect(stdout).toBe('')
  expect(stderr).toContain('UNMODELLED')
  expect(stderr).toContain('FLTMGR.SYS!FltQueryQuotaInformationFile')
  expect(stderr).toContain('ntoskrnl.exe!KeSetTargetProcessorDpc')
})

test('a mistake stops the model and is located in the image', () => {
  const { status, stderr } = host(image('wrong-unguarded-fault'))
  expect(status).toBe(6)
  expect(stderr).toContain('KMODE_EXCEPTION_NOT_HANDLED')
  expect(stderr).toContain('wrong-unguarded-fault.sys!MakeMistake+')
})

test('locks in both orders: all four places are named', () => {
  const { status, stderr } = host(image('wrong-locks-in-both-orders'))
  expect(status).toBe(6)
  const place = (name: string): string => `wrong-locks-in-both-orders\\.sys!${name}\\+0x[0-9a-f]+`
  expect(stderr).toMatch(
    new RegExp(
      `V27 two locks in both orders.* has A, taken at ${place('SizesThenNames')}, and waits for B at ${place('SizesThenNames')}; ` +
        `before, .* had B, taken at ${place('NamesThenSizes')}, and asked for A at ${place('NamesThenSizes')}\\. ` +
        `A is reader/writer spin lock .*, B is reader/writer spin lock `,
      's',
    ),
  )
})

test('an image without a map is located by section', () => {
  const copy = path.join(directory, 'mapless.sys')
  copyFileSync(image('wrong-unguarded-fault'), copy)
  expect(host(copy).stderr).toMatch(/mapless\.sys\+0x[0-9a-f]+ \(\.text\)/)
})

test('what is no image is refused with the reason', () => {
  const file = path.join(directory, 'text.sys')
  writeFileSync(file, 'MZ and then nothing')
  expect(host(file)).toMatchObject({ status: 5, stdout: '' })
  expect(host(file).stderr).toContain('it is no Windows image: no MZ header')
  expect(host(path.join(directory, 'absent.sys'))).toMatchObject({ status: 5 })
})

test.each([[[]], [['--minipend', 'above']], [['--minipend', 'below']]])(
  'a filter that looks for volumes and instances, and asks for statuses, is driven: %j',
  (args: string[]) => {
    const { status, stdout, stderr } = host(image('inventory'), '--json', ...args)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const document = JSON.parse(stdout) as { readonly history: readonly string[] }
    expect(document).toMatchObject({ ok: true, leaks: [] })
    expect(document.history).toEqual(
      expect.arrayContaining([
        'driver: inventory: D: is \\??\\Volume{4d696e69-7065-6e64-0000-000000000002}, type 2, writable 1, snapshot 0',
        'driver: inventory: E: is \\??\\Volume{4d696e69-7065-6e64-0000-000000000003}, type 3, writable 1, snapshot 0',
        'driver: inventory: attached',
        'driver: inventory: 3 volumes',
        'driver: inventory: filters: 1',
        'driver: inventory: told of every create, names known',
      ]),
    )
  },
)

test('the name of a drive that a filter forgets is a leak', () => {
  const forgotten = JSON.parse(host(image('inventory-forgets'), '--json').stdout) as Record<string, unknown>
  expect(forgotten['ok']).toBe(false)
  expect(JSON.stringify(forgotten['leaks'])).toContain('DoNm')
})
