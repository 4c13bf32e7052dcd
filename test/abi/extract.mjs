// SPDX-License-Identifier: MIT
//
// This module provides: `node test/abi/extract.mjs FACTS_DIR`, which writes test/abi/facts.json: the part of a directory of
// measured kernel-interface facts (structs.json, enums.json, constants.json, typedefs.json, prototypes.json) that is about names
// which native/ddk declares.
//
// It runs by hand, when native/ddk declares something new, and never in a build: the check reads facts.json alone. A
// name that the facts do not know is left out, and the check then fails on it, unless own.json says why it exists.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { scanHeaders } from './scan.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const [factsDirectory] = process.argv.slice(2)
if (!factsDirectory) {
  console.error('usage: node test/abi/extract.mjs FACTS_DIR')
  process.exit(2)
}
const load = (name) => JSON.parse(readFileSync(join(factsDirectory, `${name}.json`), 'utf8'))
const { structs, _meta: meta } = load('structs')
const enums = load('enums').enums
const constantFile = load('constants')
const typedefs = load('typedefs').typedefs
const prototypes = load('prototypes')
const exported = load('imports')
const declared = scanHeaders(join(here, '..', '..', 'native', 'ddk', 'include'))

const pick = (source, names, map = (entry) => entry) =>
  Object.fromEntries([...names].filter((name) => name in source).sort().map((name) => [name, map(source[name], name)]))

function structEntry(entry) {
  const fields = entry.fields.map(({ n, o, s, t, bit, width, k, flex }) => ({ n, o, s, t, bit, width, k, flex }))
  return { kind: entry.kind, size: entry.size, align: entry.align, tag: entry.tag, arm64: entry.arm64, fields }
}

const parameters = (list) => list.map(([type, name]) => [type, name])
const functionEntry = (f) => ({ ret: f.ret, params: parameters(f.params), variadic: f.variadic, link: f.link, arm64: f.arm64 })
const wdfEntry = (f) => ({
  ret: f.ret,
  params: parameters(f.params),
  pfn: f.pfn,
  index: f.index,
  slot_args: f.slot_args && parameters(f.slot_args),
})
const callbackEntry = (c) => ({ kind: c.kind, of: c.of, ret: c.ret, params: c.params && parameters(c.params) })

/** What the compiler calls by itself. */
const compilerCalls = ['__C_specific_handler', 'memcmp', 'memcpy', 'memmove', 'memset']

const functionNames = [...declared.functions.keys()]
const macroNames = [...declared.macros.keys(), ...declared.functionMacros]
const enumerators = [...declared.enums.values()].flat()
const facts = {
  source: { measured: meta.source, ntddi: meta.ntddi },
  structs: pick(structs, declared.records.keys(), structEntry),
  enums: pick(enums, declared.enums.keys(), (e) => ({ values: e.values, arm64: e.arm64, arm64_macro: e.arm64_macro })),
  constants: pick(constantFile.constants, declared.macros.keys(), ({ v, t, arm64 }) => ({ v, t, arm64 })),
  arm64_constants: pick(constantFile.arm64_only, [...macroNames, ...enumerators]),
  typedefs: pick(typedefs, declared.typedefs, ({ is, size, c }) => ({ is, size, c })),
  callbacks: pick(prototypes.callbacks, declared.typedefs, callbackEntry),
  functions: pick(prototypes.functions, functionNames, functionEntry),
  wdf: pick(prototypes.wdf, functionNames, wdfEntry),
  imports: pick(
    { ...exported.kernel, ...exported.data, ...exported.wdfldr },
    [...functionNames, ...declared.data, ...compilerCalls],
    ({ module }) => module,
  ),
  user_functions: pick(prototypes.user_fltlib, Object.keys(prototypes.user_fltlib), functionEntry),
  user_structs: pick(structs, ['OVERLAPPED', 'SECURITY_ATTRIBUTES'], structEntry),
  macro_names: [
    ...new Set(
      [...macroNames, ...functionNames].filter((n) => n in prototypes.function_macros || n in prototypes.macro_aliases),
    ),
  ].sort(),
}

/** One entry a line, so that a change reads well. */
function print(value) {
  const lines = Object.entries(value).map(([section, entries]) => {
    const items = Array.isArray(entries)
      ? entries.map((entry) => JSON.stringify(entry))
      : Object.entries(entries).map(([name, entry]) => `${JSON.stringify(name)}: ${JSON.stringify(entry)}`)
    const [open, close] = Array.isArray(entries) ? '[]' : '{}'
    return `${JSON.stringify(section)}: ${open}\n${items.join(',\n')}\n${close}`
  })
  return `{\n${lines.join(',\n')}\n}\n`
}
writeFileSync(join(here, 'facts.json'), print(facts))
