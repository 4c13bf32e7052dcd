// SPDX-License-Identifier: MIT
//
// This module provides: building a driver image: compile, make import libraries, compile the resource, link.
//
// Invariants: every path that a tool sees is relative to the repository's root or to the build directory, and nothing depends on the clock,
// so the same sources give the same bytes wherever they are; an image appears under its name only when it is whole.

import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

import * as paths from '../paths.mjs'
import { BuildProblem } from '../toolchain.mjs'
import {
  type Architecture,
  compileOptions,
  defines,
  driverSources,
  importDefinitions,
  importsDirectory,
  includeDirectories,
  linkOptions,
  machines,
  resourceScript,
  supportSources,
} from './settings.js'
import { findTools } from './tools.js'

const run = promisify(execFile)

export interface ImageRequest {
  readonly architecture: Architecture
  /** Absolute; image and PDB are put there. */
  readonly outputDirectory: string
  /** Without extension. */
  readonly name: string
  /** C and assembly files, relative to `root`. */
  readonly sources: readonly string[]
  /** Where sources and include directories are looked for; the repository by default. */
  readonly root?: string
  readonly resource?: string
  /** Definition files of what may be imported beside the driver's own, relative to `root`. */
  readonly imports?: readonly string[]
  /** Options that are added at the end, so they win. */
  readonly compile?: readonly string[]
  readonly link?: readonly string[]
  /** Options that are left out. */
  readonly without?: readonly string[]
}

/** minipend.sys itself. */
export function driverImage(architecture: Architecture, outputDirectory: string): ImageRequest {
  const own = driverSources().map((file) => `driver/${file}`)
  return {
    architecture,
    outputDirectory,
    name: 'minipend',
    sources: [...own, ...supportSources],
    resource: resourceScript,
  }
}

export interface BuiltImage {
  readonly image: string
  readonly pdb: string
  /** Which symbol is where, as text. */
  readonly map: string
}

interface Failed {
  readonly code?: number | string
  readonly stdout?: string
  readonly stderr?: string
}

async function tool(command: string, args: readonly string[], cwd: string): Promise<void> {
  try {
    await run(command, args, { cwd, maxBuffer: 64 * 1024 * 1024, env: { ...process.env, LC_ALL: 'C' } })
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as Failed
    const output = `${stdout}${stderr}`.trim()
    const absent = /undefined symbol: (?:__declspec\(dllimport\) )?(\S+)/.exec(output)?.[1]
    const hint =
      absent === undefined
        ? ''
        : `\nIf ${absent} is a kernel export: the driver may import only what ${importsDirectory}/*.def list.`
    throw new BuildProblem(`minipend build: ${command} failed (${code ?? 'killed'}):\n${output}${hint}`)
  }
}

/** As many at once as there are processors; the first failure is thrown when the others are through. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const failures: unknown[] = []
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined && failures.length === 0; item = queue.shift()) {
      await work(item).catch((error: unknown) => failures.push(error))
    }
  }
  await Promise.all(Array.from({ length: os.availableParallelism() }, worker))
  if (failures.length > 0) throw failures[0]
}

/** Object names are flat: driver/entry.c and native/ddk/kmdf/entry.c are two. */
const objectName = (source: string): string => `${source.replaceAll('/', '.')}.obj`

export async function buildImage(request: ImageRequest): Promise<BuiltImage> {
  const tools = findTools(['clang', 'lld-link', 'llvm-dlltool', 'llvm-rc'])
  const { architecture, name, outputDirectory } = request
  const root = request.root ?? paths.root
  const machine = machines[architecture]
  const without = new Set(request.without)
  const keep = (options: readonly string[]): string[] => options.filter((option) => !without.has(option))

  mkdirSync(outputDirectory, { recursive: true })
  const work = path.join(outputDirectory, `${name}.work`)
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work)

  const preprocess = [
    ...Object.entries(defines).map(([key, value]) => `-D${key}=${value}`),
    ...includeDirectories.map((directory) => `-I${directory}`),
  ]
  const steps: (() => Promise<void>)[] = request.sources.map((source) => async () => {
    const options = source.endsWith('.S') ? [] : [...keep(compileOptions), ...(request.compile ?? [])]
    // The name without directory is what debug information gets to see.
    if (options.length > 0) options.push('-Xclang', `-object-file-name=${objectName(source)}`)
    const out = path.relative(root, path.join(work, objectName(source)))
    await tool(tools.clang, [`--target=${machine.target}`, ...options, ...preprocess, '-c', source, '-o', out], root)
  })
  const definitions = [
    ...importDefinitions(architecture).map((module) => path.join(paths.root, importsDirectory, `${module}.def`)),
    ...(request.imports ?? []).map((file) => path.join(root, file)),
  ]
  const libraries = definitions.map((definition, index) => `${index}-${path.parse(definition).name}.lib`)
  for (const [index, definition] of definitions.entries()) {
    const library = libraries[index] ?? ''
    steps.push(async () => {
      await tool(tools['llvm-dlltool'], ['-m', machine.importLibrary, '-d', definition, '-l', library], work)
    })
  }
  if (request.resource !== undefined) {
    const script = request.resource
    steps.push(async () => {
      // Preprocessed by the same compiler, so that nothing depends on what llvm-rc finds in the path.
      const text = path.relative(root, path.join(work, 'version.rc'))
      await tool(tools.clang, ['-E', '-xc', '-DRC_INVOKED', ...preprocess, script, '-o', text], root)
      await tool(tools['llvm-rc'], ['-no-preprocess', '/fo', 'version.res', 'version.rc'], work)
    })
  }
  await inParallel(steps, (step) => step())

  const inputs = [...request.sources.map(objectName), ...libraries]
  if (request.resource !== undefined) inputs.push('version.res')
  const link = [
    ...keep(linkOptions),
    `/machine:${machine.link}`,
    `/pdb:${name}.pdb`,
    `/pdbaltpath:${name}.pdb`,
    `/map:${name}.map`,
  ]
  writeFileSync(path.join(work, 'link.rsp'), [...link, ...(request.link ?? []), ...inputs].join('\n'))
  await tool(tools['lld-link'], [`/out:${name}.sys`, '@link.rsp'], work)

  const built = (extension: string): string => path.join(outputDirectory, `${name}.${extension}`)
  // The image last: when it is there, all is.
  for (const extension of ['pdb', 'map', 'sys']) renameSync(path.join(work, `${name}.${extension}`), built(extension))
  rmSync(work, { recursive: true })
  return { image: built('sys'), pdb: built('pdb'), map: built('map') }
}

/** A copy of what the driver is built from, somewhere else: for the test that place does not matter. */
export function copySources(to: string): void {
  for (const directory of ['driver', 'native/ddk']) {
    cpSync(path.join(paths.root, directory), path.join(to, directory), { recursive: true })
  }
}
