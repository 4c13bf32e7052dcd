// SPDX-License-Identifier: MIT
//
// This module provides: the checks of a driver image's functions and instructions. Each returns what is wrong, in words.

import type { Check } from './checks.js'
import type { Instruction } from './code.js'
import { MACHINE, SECTION } from './image.js'
import type { Subject } from './subject.js'
import type { FunctionEntry } from './unwind.js'

const EXECUTE_HANDLER = 1
/** After one of these the Filter Manager or the kernel may take the routine for finished while it still has to return [VER-04]. */
const NOT_LAST = ['FltFreeDeferredIoWorkItem', 'FltFreeGenericWorkItem', 'IoFreeWorkItem', 'FltObjectDereference']

const isCall = ({ mnemonic }: Instruction): boolean => /^(call|callq|bl|blr)$/.test(mnemonic)
const isJump = ({ mnemonic }: Instruction): boolean => /^(jmp|jmpq|b|br)$/.test(mnemonic)
const touchesMemory = ({ mnemonic, operands }: Instruction): boolean =>
  !mnemonic.startsWith('lea') && !mnemonic.startsWith('nop') && /[([]/.test(operands)

const hex = (value: number): string => `0x${value.toString(16)}`

/** Names come from the map; code without one is named by its address. */
function named({ symbols }: Subject, rva: number): string {
  return symbols.names.get(rva) ?? hex(rva)
}

function entryPoint(subject: Subject): string[] {
  const name = named(subject, subject.image.header.addressOfEntryPoint)
  return name === 'GsDriverEntry' ? [] : [`the entry point is ${name}`]
}

/** Both ways: what a pragma names is there, and nothing else is, but for what the compiler made out of it. */
function placement({ image, symbols, expected }: Subject): string[] {
  const wrong = [...expected.placements].flatMap(([name, section]) => {
    const rva = symbols.addresses.get(name)
    const actual = rva === undefined ? undefined : image.sectionAt(rva)?.name
    return actual === section ? [] : [`${name} is in ${actual ?? 'no section'}, not in ${section}`]
  })
  const extra = [...symbols.names].flatMap(([rva, name]) => {
    const section = image.sectionAt(rva)
    const special = section !== undefined && (section.name === 'PAGE' || section.name === 'INIT')
    return special && !expected.placements.has(name) ? [`${name} is in ${section.name}, without a pragma`] : []
  })
  return [...wrong, ...extra]
}

const inside = (entries: readonly FunctionEntry[], rva: number): FunctionEntry | undefined =>
  entries.find(({ start, end }) => rva >= start && rva < end)

/** An exception, a stack trace and a debugger get past a function that calls another only by its unwind information. */
function unwindInformation(subject: Subject): string[] {
  const missing = new Set<string>()
  let last = 'the start of the code'
  for (const instruction of subject.instructions) {
    last = subject.symbols.names.get(instruction.rva) ?? last
    if (isCall(instruction) && inside(subject.functions, instruction.rva) === undefined) missing.add(last)
  }
  return [...missing].map((name) => `${name} calls, and has no unwind information`)
}

function guards(subject: Subject): string[] {
  const { functions, instructions, symbols, expected } = subject
  const problems: string[] = []
  for (const [name, blocks] of expected.guarded) {
    const rva = symbols.addresses.get(name)
    const entry = functions.find(({ start }) => start === rva)
    if (entry?.handler === undefined) problems.push(`${name} has a guarded block and no exception handler`)
    else if (entry.scopes.length !== blocks) {
      problems.push(`${name} has ${blocks} guarded block(s) and ${entry.scopes.length} in its scope table`)
    }
  }
  for (const entry of functions.filter(({ handler }) => handler !== undefined)) {
    const name = named(subject, entry.start)
    if (!expected.guarded.has(name)) problems.push(`${name} has an exception handler and no guarded block`)
    const handler = named(subject, entry.handler ?? 0)
    if (handler !== '__C_specific_handler') problems.push(`${name} is handled by ${handler}`)
    for (const scope of entry.scopes) {
      const body = instructions.filter(({ rva }) => rva >= scope.start && rva < scope.end)
      if (!body.some((i) => isCall(i) || touchesMemory(i)))
        problems.push(`a guarded block of ${name} has nothing in it`)
      if (scope.filter !== EXECUTE_HANDLER) problems.push(`a guarded block of ${name} has a filter`)
      if (inside([entry], scope.target) === undefined) problems.push(`a handler of ${name} is somewhere else`)
    }
  }
  return problems
}

/** Where a jump leads, through import thunks: the map gives a thunk the name of what it jumps to. */
const targetName = (subject: Subject, { target }: Instruction): string =>
  target === undefined ? '' : named(subject, target).replace(/^__imp_/, '')

/**
 * Everything whose address is taken may be a worker: the call targets of control flow guard. None may jump to a free, nor jump to a function
 * that does.
 */
function workers(subject: Subject): string[] {
  const { instructions, symbols, image } = subject
  const problems: string[] = []
  const bodies = new Map<number, Instruction[]>()
  let current: Instruction[] = []
  for (const instruction of instructions) {
    if (symbols.names.has(instruction.rva)) bodies.set(instruction.rva, (current = []))
    current.push(instruction)
  }
  const taken = image.loadConfig()?.guardFunctions ?? []
  // An import whose address is taken (the language handler) is a thunk, which jumps by nature.
  const imported = new Set([...symbols.addresses.keys()].filter((n) => n.startsWith('__imp_')).map((n) => n.slice(6)))
  for (const start of taken) {
    const looked = new Set<number>()
    const queue = imported.has(named(subject, start)) ? [] : [start]
    for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
      if (looked.has(at)) continue
      looked.add(at)
      for (const jump of (bodies.get(at) ?? []).filter(isJump)) {
        const to = targetName(subject, jump)
        if (NOT_LAST.includes(to)) problems.push(`${named(subject, start)} ends in a tail call of ${to}`)
        else if (jump.target !== undefined && bodies.has(jump.target) && !imported.has(to)) queue.push(jump.target)
      }
    }
  }
  return problems
}

/** A driver would have to save them first. */
function vectors({ image, instructions }: Subject): string[] {
  if (image.machine !== MACHINE.x64) return []
  const wide = instructions.filter(({ mnemonic, operands }) => /^v[a-z]/.test(mnemonic) || /%[yz]mm/.test(operands))
  return wide.slice(0, 3).map(({ rva, mnemonic }) => `${mnemonic} at ${hex(rva)} uses AVX`)
}

function stackCookies(subject: Subject): string[] {
  const checked = subject.instructions.some((i) => isCall(i) && targetName(subject, i) === '__security_check_cookie')
  return checked ? [] : ['no function checks a stack cookie']
}

/** Guards against a disassembly that stops early: every section of code must have been read to its end. */
function readWhole({ image, instructions }: Subject): string[] {
  const code = image.sections.filter(({ characteristics: c }) => (c & SECTION.execute) !== 0)
  return code
    .filter(({ end }) => !instructions.some(({ rva }) => rva < end && rva >= end - 16))
    .map(({ name }) => `${name} was not disassembled to its end`)
}

export const codeChecks = {
  entryPoint: { name: 'the entry point sets the cookie first', problems: entryPoint },
  placement: { name: 'functions are in the sections that the pragmas say', problems: placement },
  unwindInformation: { name: 'whatever calls has unwind information', problems: unwindInformation },
  guards: { name: 'each guarded block has its handler', problems: guards },
  workers: { name: 'no worker ends in the free of its item', problems: workers },
  vectors: { name: 'no AVX', problems: vectors },
  stackCookies: { name: 'stack cookies are checked', problems: stackCookies },
  readWhole: { name: 'all code was read', problems: readWhole },
} satisfies Record<string, Check>
