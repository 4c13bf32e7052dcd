// SPDX-License-Identifier: MIT
//
// This module provides: the code of an image: the linker's map (which function is where), and its instructions as llvm-objdump
// prints them.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

import { findTools } from '../../../scripts/driver/tools.js'

export interface Symbols {
  /** By RVA. Import thunks have the name of what they jump to, slots of the import table `__imp_` before it. */
  readonly names: ReadonlyMap<number, string>
  readonly addresses: ReadonlyMap<string, number>
}

/** Reads a map of lld-link: `section:offset  name  address  object`, publics first, then static symbols. */
export function readMap(file: string): Symbols {
  const text = readFileSync(file, 'utf8')
  const base = BigInt(`0x${/Preferred load address is ([0-9a-f]+)/.exec(text)?.[1] ?? ''}`)
  const names = new Map<number, string>()
  const addresses = new Map<string, number>()
  for (const match of text.matchAll(/^ [0-9a-f]{4}:[0-9a-f]{8} +(\S+) +([0-9a-f]{16}) /gm)) {
    const rva = Number(BigInt(`0x${match[2] ?? ''}`) - base)
    if (rva <= 0) continue
    names.set(rva, match[1] ?? '')
    addresses.set(match[1] ?? '', rva)
  }
  return { names, addresses }
}

export interface Instruction {
  readonly rva: number
  readonly mnemonic: string
  readonly operands: string
  /** Where a jump, call or import slot access leads, when the instruction says. */
  readonly target: number | undefined
}

/** `140008008: leaq 0x28(%rsp), %rax  # 0x14000c040` or `140001000: bl 0x140001234 <symbol>`. */
function parseLine(line: string, base: bigint): Instruction | undefined {
  const match = /^\s*([0-9a-f]+):\s+(\S+)(?:\s+(.*))?$/.exec(line)
  if (match === null) return undefined
  const [, address = '', mnemonic = '', rest = ''] = match
  const operands = rest.replace(/\s*[#;].*$/, '').replace(/\s*<.*$/, '')
  const absolute = /[#;]\s*(?:=\s*)?(0x[0-9a-f]+)/.exec(rest)?.[1] ?? /(?:^|\s)(0x[0-9a-f]+)$/.exec(operands)?.[1]
  const target = absolute === undefined ? undefined : Number(BigInt(absolute) - base)
  return {
    rva: Number(BigInt(`0x${address}`) - base),
    mnemonic,
    operands,
    target: target !== undefined && target > 0 ? target : undefined,
  }
}

/** All instructions of all executable sections, in order. */
export function disassemble(file: string, base: bigint): Instruction[] {
  const tools = findTools(['llvm-objdump'])
  const text = execFileSync(tools['llvm-objdump'], ['-d', '--no-show-raw-insn', file], {
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  })
  return text.split('\n').flatMap((line) => parseLine(line, base) ?? [])
}
