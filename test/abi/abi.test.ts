// SPDX-License-Identifier: MIT
//
// This module provides: the check of native/ddk against the measured kernel interface, and the proof that the check can fail:
// each mutation changes one thing in a copy of the headers, and the check must name it.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const checkScript = fileURLToPath(new URL('./check.mjs', import.meta.url))
const ddk = fileURLToPath(new URL('../../native/ddk', import.meta.url))

function check(...args: string[]): { status: number | null; output: string } {
  const result = spawnSync(process.execPath, [checkScript, ...args], { encoding: 'utf8' })
  return { status: result.status, output: result.stdout + result.stderr }
}

interface Mutation {
  readonly what: string
  readonly file: string
  /** Text to replace; undefined appends. */
  readonly from?: string
  readonly to: string
  /** What the check's output must contain. */
  readonly names: string
}

const mutations: readonly Mutation[] = [
  {
    what: 'a wrong offset',
    file: 'fltkernel_types.h',
    from: 'UCHAR OperationFlags;',
    to: 'USHORT OperationFlags;',
    names: 'offset of FLT_IO_PARAMETER_BLOCK.Reserved is 7',
  },
  {
    what: 'a missing POINTER_ALIGNMENT',
    file: 'fltkernel_parameters.h',
    from: 'FILE_INFORMATION_CLASS POINTER_ALIGNMENT FileInformationClass;',
    to: 'FILE_INFORMATION_CLASS FileInformationClass;',
    names: 'FileInformationClass is 8',
  },
  {
    what: 'a member of another type of the same size',
    file: 'fltkernel_types.h',
    from: 'PFILE_OBJECT TargetFileObject;',
    to: 'PDEVICE_OBJECT TargetFileObject;',
    names: 'type of FLT_IO_PARAMETER_BLOCK.TargetFileObject is PFILE_OBJECT',
  },
  {
    what: 'a wrong constant',
    file: 'wdm_constants.h',
    from: '#define IRP_MJ_WRITE 0x04',
    to: '#define IRP_MJ_WRITE 0x05',
    names: 'IRP_MJ_WRITE is 0x4',
  },
  {
    what: 'a wrong status',
    file: 'ntstatus.h',
    from: '#define STATUS_FLT_NOT_SAFE_TO_POST_OPERATION ((NTSTATUS)0xC01C0006)',
    to: '#define STATUS_FLT_NOT_SAFE_TO_POST_OPERATION ((NTSTATUS)0xC01C0007)',
    names: 'STATUS_FLT_NOT_SAFE_TO_POST_OPERATION is 0xC01C0006',
  },
  {
    what: 'a wrong enumerator',
    file: 'fltkernel_types.h',
    from: 'FLT_POSTOP_MORE_PROCESSING_REQUIRED = 1',
    to: 'FLT_POSTOP_MORE_PROCESSING_REQUIRED = 3',
    names: 'FLT_POSTOP_MORE_PROCESSING_REQUIRED is 1',
  },
  {
    what: 'a wrong result type',
    file: 'fltkernel_functions.h',
    from: 'void FLTAPI FltCompletePendedPostOperation',
    to: 'ULONG FLTAPI FltCompletePendedPostOperation',
    names: 'FltCompletePendedPostOperation',
  },
  {
    what: 'a wrong parameter type',
    file: 'wdm_functions.h',
    from: 'PsIsThreadTerminating(_In_ PETHREAD Thread)',
    to: 'PsIsThreadTerminating(_In_ PEPROCESS Thread)',
    names: 'PsIsThreadTerminating',
  },
  // arm64 has one calling convention, so there nothing is lost with the word.
  ...(process.arch === 'x64'
    ? [
        {
          what: 'a forgotten calling convention',
          file: 'fltkernel_functions.h',
          from: 'void FLTAPI FltCompletePendedPostOperation',
          to: 'void FltCompletePendedPostOperation',
          names: 'FltCompletePendedPostOperation',
        },
      ]
    : []),
  {
    what: 'a framework call through the slot of another',
    file: 'wdf_functions.h',
    from: 'WdfFunctions[WdfSpinLockAcquireTableIndex]',
    to: 'WdfFunctions[WdfSpinLockReleaseTableIndex]',
    names: 'WdfSpinLockAcquire: its inline call must use',
  },
  {
    what: 'a wrong framework slot',
    file: 'wdffuncenum.h',
    from: 'WdfDriverMiniportUnloadTableIndex = 201,',
    to: 'WdfDriverMiniportUnloadTableIndex = 202,',
    names: 'WdfDriverMiniportUnloadTableIndex is 201',
  },
  {
    what: 'a function that the facts do not know',
    file: 'wdm_inline.h',
    to: 'NTSTATUS NTAPI KeInvented(_In_ ULONG Level);',
    names: 'function KeInvented: not in the facts',
  },
  {
    what: 'a structure that the facts do not know',
    file: 'wdm_inline.h',
    to: 'typedef struct _INVENTED {\n    ULONG Value;\n} INVENTED, *PINVENTED;',
    names: 'structure INVENTED: not in the facts',
  },
  {
    what: 'a constant that the facts do not know',
    file: 'wdm_inline.h',
    to: '#define STATUS_INVENTED ((NTSTATUS)0xC0000001)',
    names: 'macro STATUS_INVENTED: not in the facts',
  },
  {
    what: 'a member that the facts do not know',
    file: 'wdm_types.h',
    from: 'LONG SignalState;',
    to: 'LONG SignalState;\n    LONG Invented;',
    names: 'DISPATCHER_HEADER.Invented: the facts have no such member',
  },
]

describe('native/ddk against the measured kernel interface', () => {
  it('holds for every target that can be compiled here', () => {
    const { status, output } = check()
    expect(output).toMatch(/^\d+ assertions$/m)
    expect(status).toBe(0)
  })
})

/** What the model's Windows library renames inside, it exports under the names that callers know. */
it('each name that is another one inside the model as a Windows library is exported under its own', () => {
  const names = readFileSync(join(ddk, 'include', 'fltsim_user_names.h'), 'utf8')
  const exports = readFileSync(join(ddk, '..', 'fltsim', 'windows.def'), 'utf8')
  const renamed = [...names.matchAll(/^#define (\w+) (\w+)$/gm)].map(([, name = '', inside = '']) => `${name} = ${inside}`)
  expect(renamed.filter((line) => !/^(\w+) = FltSimUser_\1$/.test(line))).toEqual([])
  expect([...exports.matchAll(/^ +(\w+ = \w+)$/gm)].map(([, line]) => line).sort()).toEqual(renamed.sort())
  const declared = readFileSync(join(ddk, 'include', 'fltsim_user.h'), 'utf8')
  expect(renamed.filter((line) => !new RegExp(`\\b${line.split(' ')[0] ?? ''}\\(`).test(declared))).toEqual([])
})

describe('the check fails on', () => {
  let copy = ''
  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), 'minipend-ddk-'))
  })
  afterAll(() => {
    rmSync(copy, { recursive: true, force: true })
  })

  it.each(mutations)('$what', ({ file, from, to, names }) => {
    cpSync(ddk, copy, { recursive: true, force: true })
    const path = join(copy, 'include', file)
    const text = readFileSync(path, 'utf8')
    if (from !== undefined) expect(text).toContain(from)
    writeFileSync(path, from === undefined ? `${text}\n${to}\n` : text.replace(from, to))
    const { status, output } = check('--ddk', copy, '--only', 'host')
    expect(output).toContain(names)
    expect(status).toBe(1)
  })

  it.skipIf(spawnSync('clang-19', ['--version']).error !== undefined)('a header that no check of a Windows target includes', () => {
    cpSync(ddk, copy, { recursive: true, force: true })
    writeFileSync(join(copy, 'include', 'forgotten.h'), '#pragma once\n')
    const { status, output } = check('--ddk', copy, '--only', 'arm64')
    expect(output).toContain('forgotten.h: no check on arm64 includes it')
    expect(status).toBe(1)
  })
})
