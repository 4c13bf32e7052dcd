// SPDX-License-Identifier: MIT
//
// This module provides: what minipend.sys is built from and how: sources, definitions, compiler and linker options. driver/minipend.vcxproj
// says the same for the vendor's compiler, and a test compares the two.

import { readdirSync } from 'node:fs'
import path from 'node:path'

import * as paths from '../paths.mjs'

export const architectures = ['x64', 'arm64'] as const
export type Architecture = (typeof architectures)[number]

export interface Machine {
  /** What clang calls the target. */
  readonly target: string
  /** What lld-link calls it. */
  readonly link: string
  /** What llvm-dlltool calls it. */
  readonly importLibrary: string
}

export const machines: Readonly<Record<Architecture, Machine>> = {
  x64: { target: 'x86_64-pc-windows-msvc', link: 'x64', importLibrary: 'i386:x86-64' },
  arm64: { target: 'aarch64-pc-windows-msvc', link: 'arm64', importLibrary: 'arm64' },
}

/** Targets: Windows 10 2004 and later. The declarations are those of 0x0A000004; nothing newer is called. */
export const defines: Readonly<Record<string, string>> = {
  _KERNEL_MODE: '1',
  // What the vendor's headers define: #pragma alloc_text is understood.
  ALLOC_PRAGMA: '1',
  NTDDI_VERSION: '0x0A000004',
  _WIN32_WINNT: '0x0A00',
}

export const kmdfVersion = '1.15'
export const entryPoint = 'GsDriverEntry'

/** Everything relative to the repository's root, so that no path of this machine reaches the image. */
export const includeDirectories = ['native/ddk/include', 'driver/include'] as const

/** The driver's own sources, without directory. */
export function driverSources(): string[] {
  return readdirSync(path.join(paths.root, 'driver'))
    .filter((file) => file.endsWith('.c'))
    .sort()
}

/** What stands in for the vendor's static libraries. */
export const supportSources = [
  'native/ddk/kmdf/entry.c',
  'native/ddk/windows/guard.c',
  'native/ddk/windows/load_config.S',
]

export const resourceScript = 'driver/minipend.rc'

export const importsDirectory = 'native/ddk/windows/imports'

/** What may be imported: MODULE.def lists it for every architecture, MODULE.arm64.def what comes to it there. Without extension. */
export function importDefinitions(architecture: Architecture): string[] {
  return readdirSync(path.join(paths.root, importsDirectory))
    .map((file) => path.parse(file).name)
    .filter((name) => !name.includes('.') || name.endsWith(`.${architecture}`))
    .sort()
}

export const compileOptions: readonly string[] = [
  '-std=gnu17',
  '-O2',
  '-fms-extensions',
  '-fgnuc-version=4.2.1',
  '-ffreestanding',
  // clang guards only calls in a __try otherwise: `x = *p` in one would have no handler.
  '-fasync-exceptions',
  // -ffreestanding switches unwind tables off, and an exception cannot pass a function without them.
  '-fasynchronous-unwind-tables',
  '-fstack-protector-strong',
  // Not -ehcontguard: clang writes no targets for __except, and an empty table would forbid the handlers.
  ...['-Xclang', '-cfguard'],
  // Debug information without a path of this machine or a command line in it.
  ...['-g', '-gcodeview', '-gno-codeview-command-line', '-fdebug-compilation-dir=.'],
  ...['-Wall', '-Wextra', '-Werror', '-Wno-multichar', '-Wno-missing-field-initializers'],
  // A kernel stack has 24 KB for everybody on it. The snapshot of the counters, at PASSIVE_LEVEL, has the largest frame.
  '-Wframe-larger-than=3584',
]

export const linkOptions: readonly string[] = [
  '/driver',
  '/subsystem:native,10.0',
  `/entry:${entryPoint}`,
  '/nodefaultlib',
  ...['/dynamicbase', '/nxcompat', '/highentropyva', '/tsaware:no'],
  '/guard:cf',
  // Two functions that happen to be alike stay two, for stack traces and for the count of exception handlers.
  ...['/opt:ref,noicf'],
  // Neither writable nor kept after loading.
  '/section:INIT,ERD',
  // The checksum in the header: the loader compares it.
  '/release',
  // The time stamp is a hash of the content; the PDB has no path of this machine in it.
  ...['/Brepro', '/debug', '/pdbsourcepath:.'],
  '/version:10.0',
  '/WX',
]
