// SPDX-License-Identifier: MIT
//
// This module provides: what the headers of native/ddk declare, by name: macros, types with their members, functions, data.
//
// It reads the headers' text, all branches of every #if, so nothing can hide behind a condition. It understands the style those
// headers are written in, not C in general; a statement that it cannot place is an error, never skipped.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Headers that declare the user-mode side; their kernel32 part has no facts to be checked against. */
const USER_HEADERS = new Set(['fltsim_nt.h', 'fltsim_user.h', 'fltsim_user_names.h'])

const stripComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, ' ').replace(/\/\/[^\n]*/g, '')

/** Source annotations: every macro in it must be empty, so none needs a fact. */
const ANNOTATIONS = 'ntsal.h'

/** Splits preprocessor lines (with their continuations) from the rest. */
function splitDirectives(text) {
  const directives = []
  const rest = text.replace(/^[ \t]*#(?:[^\n\\]|\\[^\n]|\\\n)*$/gm, (line) => {
    directives.push(line.trim())
    return ''
  })
  return { directives, rest }
}

/** Top-level statements: text up to a `;` outside braces, or up to the `}` that ends a function body. */
function* statements(text) {
  let depth = 0
  let start = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === '{') depth++
    else if (c === '}') {
      depth--
      const head = text.slice(start, i)
      if (depth === 0 && !/^\s*(typedef|struct|union|enum)\b/.test(head)) {
        yield text.slice(start, i + 1).trim()
        start = i + 1
      }
    } else if (c === ';' && depth === 0) {
      const statement = text.slice(start, i).trim()
      start = i + 1
      if (statement !== '') yield statement
    }
  }
  if (text.slice(start).trim() !== '') throw new Error(`text after the last statement: ${text.slice(start).trim()}`)
}

/** Member names of a record's body, those of nested records as well. */
function memberNames(body) {
  const names = []
  for (const part of body.split(/[;{}]/)) {
    const text = part.trim().replace(/\s*:\s*\d+$/, '')
    if (text === '' || /^(struct|union)$/.test(text)) continue
    const pointer = text.match(/\(\s*(?:NTAPI|FLTAPI)\s*\*\s*(\w+)\s*\)\s*\(/)
    if (pointer) {
      names.push(pointer[1])
      continue
    }
    for (const declarator of text.split(',')) {
      const name = declarator.trim().match(/(\w+)\s*(\[[^\]]*\]\s*)*$/)
      if (!name) throw new Error(`cannot read the member "${declarator.trim()}"`)
      names.push(name[1])
    }
  }
  return names
}

function readTypedef(statement, into) {
  const record = statement.match(/^typedef\s+(const\s+)?(struct|union|enum)\b([^{]*)\{([\s\S]*)\}([^}]*)$/)
  if (record) {
    const [, , kind, , body, declarators] = record
    const names = declarators.split(',').map((d) => d.trim())
    const name = names.find((n) => !n.startsWith('*'))
    if (kind === 'enum') {
      const values = body.split(',').map((v) => v.trim()).filter((v) => v !== '')
      into.enums.set(name, values.map((v) => v.match(/^\w+/)[0]))
    } else {
      into.records.set(name, memberNames(body))
    }
    for (const n of names) into.typedefs.add(n.replace(/^\*+\s*/, ''))
    return
  }
  const pointer = statement.match(/\(\s*(?:NTAPI|FLTAPI)\s*\*\s*(\w+)\s*\)\s*\(/)
  const routine = statement.match(/\b(?:NTAPI|FLTAPI)\s+(\w+)\s*\(/)
  if (pointer || routine) {
    into.typedefs.add((pointer ?? routine)[1])
    return
  }
  for (const declarator of statement.replace(/^typedef\s+/, '').split(',')) {
    const name = declarator.trim().match(/(\w+)\s*(\[\d+\])*$/)
    if (!name) throw new Error(`cannot read "${statement}"`)
    into.typedefs.add(name[1])
  }
}

function readStatement(text, into) {
  const statement = text
    .replace(/\b(EXTERN_C_START|EXTERN_C_END|DECLSPEC_NORETURN|DECLSPEC_NOINLINE|NTKERNEL_DATA)\b/g, ' ')
    .replace(/\b_[A-Z]\w*_\b(\([^()]*\))?/g, ' ')
    .trim()
  if (statement === '' || /^(struct|union)\s+\w+$/.test(statement)) return
  if (statement.startsWith('typedef')) return readTypedef(statement, into)
  const body = statement.indexOf('{')
  const head = body < 0 ? statement : statement.slice(0, body)
  const call = head.replace(/__attribute__\s*\(\(.*?\)\)/g, ' ').match(/\b(\w+)\s*\(/)
  if (call) {
    into.functions.set(call[1], body < 0 ? null : statement.slice(body))
    return
  }
  const data = statement.match(/^(?:extern\s+)?[\w\s*]+?(\w+)$/)
  if (!data) throw new Error(`cannot place "${statement}"`)
  into.data.add(data[1])
}

/** Everything that the headers in `directory` declare. */
export function scanHeaders(directory) {
  const into = {
    macros: new Map(),
    functionMacros: new Set(),
    records: new Map(),
    enums: new Map(),
    typedefs: new Set(),
    functions: new Map(),
    data: new Set(),
  }
  for (const file of readdirSync(directory).filter((f) => f.endsWith('.h') && !USER_HEADERS.has(f)).sort()) {
    const { directives, rest } = splitDirectives(stripComments(readFileSync(join(directory, file), 'utf8')))
    for (const directive of directives) {
      const define = directive.match(/^#\s*define\s+(\w+)(\()?([\s\S]*)$/)
      if (!define) continue
      if (file === ANNOTATIONS) {
        const meaning = define[2] ? define[3].replace(/^[^)]*\)/, '') : define[3]
        if (meaning.trim() !== '') throw new Error(`${file}: annotation ${define[1]} must be empty`)
      } else if (define[2]) into.functionMacros.add(define[1])
      else into.macros.set(define[1], define[3].trim())
    }
    for (const statement of statements(rest.replace(/\bEXTERN_C_(START|END)\b/g, ' '))) {
      try {
        readStatement(statement, into)
      } catch (error) {
        throw new Error(`${file}: ${error.message}`)
      }
    }
  }
  return into
}
