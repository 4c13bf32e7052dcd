// SPDX-License-Identifier: MIT
//
// This module provides: the C text that makes a compiler compare native/ddk with facts.json, and the comparison that needs no
// compiler: every declared name must be known.
//
// How each kind is compared:
//   - records: size, alignment, and for each member its offset, size and type (bit-fields: only that they exist);
//   - enumerations and constants: value, constants also their type;
//   - typedefs, callback types and functions: declared a second time from the facts, so that a difference is an error;
//   - KMDF calls: slot number, slot type, and that the inline call uses both.

/** ULONG and LONG have 32 bits also where the compiler's long has 64: facts are spelled for Windows. */
const spell = (type) =>
  type
    .replace(/\bunsigned long long\b/g, 'ABI_U64')
    .replace(/\blong long\b/g, 'ABI_I64')
    .replace(/\bunsigned long\b/g, 'ABI_ULONG')
    .replace(/\blong\b/g, 'ABI_LONG')
    .replace(/\bABI_U64\b/g, 'unsigned long long')
    .replace(/\bABI_I64\b/g, 'long long')
    .replace(/\(\*\)\s*\(/g, '(NTAPI *)(')

const PRELUDE = `#if defined(_WIN32)
#define ABI_ULONG unsigned long
#define ABI_LONG long
#else
#define ABI_ULONG unsigned int
#define ABI_LONG int
#endif
#define ABI_SAME(A, B) __builtin_types_compatible_p(A, B)
#define ABI_ASSERT(Condition, What) _Static_assert(Condition, "ABI: " What)`

const parameterList = (params, variadic) => {
  const list = params.map(([type]) => spell(type))
  if (variadic) list.push('...')
  return list.length === 0 ? 'void' : list.join(', ')
}

/** `type name` for types whose name stands in the middle. */
function declare(type, name) {
  const array = type.match(/^(.*?)((?:\[\d*\])+)$/)
  return array ? `${spell(array[1])} ${name}${array[2]}` : `${spell(type)} ${name}`
}

export class Assertions {
  constructor(facts, own, declared, target) {
    Object.assign(this, { facts, own, declared, target })
    this.lines = []
    this.count = 0
    /** Differences that need no compiler. */
    this.problems = []
  }

  assert(condition, what) {
    this.lines.push(`ABI_ASSERT(${condition}, "${what}");`)
    this.count++
  }

  redeclare(text) {
    this.lines.push(text)
    this.count++
  }

  get windows() {
    return this.target === 'x64' || this.target === 'arm64'
  }

  get arm64() {
    return this.target === 'arm64'
  }

  record(name, fact, members) {
    const over = (this.arm64 && fact.arm64) || {}
    const size = over.size ?? fact.size
    const align = over.align ?? fact.align
    this.assert(`sizeof(${name}) == ${size}`, `sizeof ${name} is ${size}`)
    this.assert(`_Alignof(${name}) == ${align}`, `alignment of ${name} is ${align}`)
    const named = [...fact.fields.map((field) => field.n), ...Object.keys(fact.arm64?.fields ?? {})]
    const known = new Set(named.map((name) => name.split('.').at(-1)))
    for (const member of members ?? []) {
      if (!known.has(member)) this.problems.push(`${name}.${member}: the facts have no such member`)
    }
    for (const field of fact.fields) {
      if (members && !members.includes(field.n.split('.').at(-1))) continue
      if (field.bit !== undefined || field.k === 'embedded' || over.absent?.includes(field.n)) continue
      const [offset, bytes] = over.fields?.[field.n] ?? [field.o, field.s]
      this.assert(`offsetof(${name}, ${field.n}) == ${offset}`, `offset of ${name}.${field.n} is ${offset}`)
      if (field.flex) continue
      const member = `((${name} *)0)->${field.n}`
      this.assert(`sizeof(${member}) == ${bytes}`, `size of ${name}.${field.n} is ${bytes}`)
      if (!field.t.includes('{')) {
        this.assert(`ABI_SAME(__typeof__(${member}), ${spell(field.t)})`, `type of ${name}.${field.n} is ${field.t}`)
      }
    }
  }

  records() {
    for (const [name, members] of this.declared.records) {
      const fact = this.facts.structs[name]
      if (fact) this.record(name, fact, members)
      else if (!(name in this.own.records)) this.problems.push(`structure ${name}: not in the facts`)
    }
  }

  enumerations() {
    for (const [name, enumerators] of this.declared.enums) {
      const own = enumerators.every((enumerator) => this.own.enumerators[enumerator]?.enum === name)
      const fact = this.facts.enums[name] ?? (own ? { values: {} } : undefined)
      if (!fact) {
        this.problems.push(`enumeration ${name}: not in the facts`)
        continue
      }
      for (const enumerator of enumerators) {
        const value = this.arm64
          ? (this.facts.arm64_constants[enumerator] ?? fact.arm64?.[enumerator] ?? fact.values[enumerator])
          : fact.values[enumerator]
        const expected = value ?? this.own.enumerators[enumerator]?.value
        if (expected === undefined) this.problems.push(`${name}.${enumerator}: the facts have no such enumerator`)
        else this.assert(`${enumerator} == ${Number(expected)}`, `${enumerator} is ${Number(expected)}`)
      }
    }
  }

  constants() {
    for (const name of this.declared.macros.keys()) {
      const fact = this.facts.constants[name]
      if (!fact) {
        const known = this.facts.macro_names.includes(name) || name in this.facts.functions || name in this.own.macros
        if (!known) this.problems.push(`macro ${name}: not in the facts`)
        continue
      }
      const value = (this.arm64 && fact.arm64) || fact.v
      const pointer = fact.t === 'pointer/other'
      const wide = pointer || fact.t.includes('long long')
      const cast = wide ? 'unsigned long long' : { 1: 'unsigned char', 2: 'unsigned short', 4: 'unsigned int' }[width(fact.t)]
      this.assert(`(${cast})(${name}) == (${cast})${value}ULL`, `${name} is ${value}`)
      if (!pointer) this.assert(`ABI_SAME(__typeof__(${name}), ${spell(fact.t)})`, `type of ${name} is ${fact.t}`)
    }
    for (const name of this.declared.functionMacros) {
      if (!this.facts.macro_names.includes(name) && !(name in this.own.macros)) {
        this.problems.push(`macro ${name}(): not in the facts`)
      }
    }
  }

  typedefs() {
    const slotTypes = new Set(Object.values(this.facts.wdf).map((f) => f.pfn))
    for (const name of this.declared.typedefs) {
      const callback = this.facts.callbacks[name]
      const plain = this.facts.typedefs[name]
      if (callback?.kind === 'pointer') this.redeclare(`typedef ${callback.of} *${name};`)
      else if (callback?.kind === 'pointer to function')
        this.redeclare(`typedef ${spell(callback.ret)} (NTAPI *${name})(${parameterList(callback.params)});`)
      else if (callback) this.redeclare(`typedef ${spell(callback.ret)} NTAPI ${name}(${parameterList(callback.params)});`)
      else if (plain) {
        // An enumeration without a tag is listed under its type's name, and cannot be declared twice.
        const is = plain.is.replace(/^enum (?!_)/, '')
        if (is !== name) this.redeclare(`typedef ${declare(is, name)};`)
        if (plain.size) this.assert(`sizeof(${name}) == ${plain.size}`, `sizeof ${name} is ${plain.size}`)
      } else {
        const known = name in this.facts.structs || name in this.facts.enums || slotTypes.has(name) || name in this.own.typedefs
        if (!known) this.problems.push(`type ${name}: not in the facts`)
      }
    }
  }

  functions() {
    for (const [name, body] of this.declared.functions) {
      const fact = this.facts.functions[name] ?? this.own.functions[name]
      if (name in this.facts.wdf) this.frameworkCall(name, this.facts.wdf[name], body)
      else if (fact?.ret) {
        const inline = fact.link === 'inline' && !this.isExportHere(name, fact)
        const api = inline ? '' : 'NTAPI '
        const prefix = inline ? 'static ' : ''
        this.redeclare(`${prefix}${spell(fact.ret)} ${api}${name}(${parameterList(fact.params, fact.variadic)});`)
      } else if (!fact && !this.facts.macro_names.includes(name)) {
        this.problems.push(`function ${name}: not in the facts`)
      }
    }
    for (const name of this.declared.data) {
      if (!(name in this.own.data)) this.problems.push(`data ${name}: not in own.json`)
    }
  }

  /** KeGetCurrentIrql and KeGetCurrentThread read a register on x64 Windows and are exports elsewhere. */
  isExportHere(name, fact) {
    return fact.arm64 === 'extern' && this.target !== 'x64'
  }

  frameworkCall(name, fact, body) {
    this.redeclare(`static ${spell(fact.ret)} ${name}(${parameterList(fact.params)});`)
    if (!fact.pfn) return
    this.redeclare(`typedef ${spell(fact.ret)} (NTAPI *${fact.pfn})(${parameterList(fact.slot_args)});`)
    this.assert(`${name}TableIndex == ${fact.index}`, `slot of ${name} is ${fact.index}`)
    // The miniport unload goes through the stub's pointer, all others through their own slot.
    const slot = name === 'WdfDriverMiniportUnload' ? 'WdfDriverMiniportUnloadOverride' : `WdfFunctions[${name}TableIndex]`
    if (!body?.replace(/\s+/g, '').includes(`((${fact.pfn})${slot})(WdfDriverGlobals,`)) {
      this.problems.push(`${name}: its inline call must use (${fact.pfn})${slot}`)
    }
  }

  kernel() {
    this.records()
    this.enumerations()
    this.constants()
    this.typedefs()
    this.functions()
    const includes = ['fltkernel.h', 'ntddk.h', 'wdf.h', 'wdfminiport.h', 'wdf_loader.h', 'fltuser.h']
    return `${includes.map((i) => `#include <${i}>`).join('\n')}\n${PRELUDE}\n${this.lines.join('\n')}\n`
  }

  /** The user-mode side, on hosts: calls of fltlib and the structures that cross into it. */
  user() {
    for (const [name, fact] of Object.entries(this.facts.user_structs)) this.record(name, fact)
    for (const name of this.userCalls) {
      const fact = this.facts.user_functions[name]
      if (fact) this.redeclare(`${spell(fact.ret)} ${name}(${parameterList(fact.params)});`)
      else this.problems.push(`function ${name}: not in the facts`)
    }
    return `#include <fltsim_user.h>\n#include <fltuser.h>\n${PRELUDE}\n${this.lines.join('\n')}\n`
  }
}

/** Bytes of an integer type, by its Windows spelling. */
function width(type) {
  if (type.includes('char')) return 1
  if (type.includes('short')) return 2
  return 4
}
