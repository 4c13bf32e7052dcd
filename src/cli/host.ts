// SPDX-License-Identifier: MIT
//
// This module provides: `minipend host SOME.sys`: another minifilter's Windows image in the model: loaded, attached, driven with traffic under the verifier,
// unloaded, and what came of it.
//
// Invariants: what the image imports and the model does not have is named before anything of the image runs; a broken rule ends the command with the
// model's report (exit code 6). A filter that turns the test's process down is reported, and does not fail the command.

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { parseReport } from '../client/model.js'
import { Session } from '../client/session.js'
import { SharedTransport } from '../client/shared.js'
import { FILTER_NAME } from '../generated/protocol.js'
import { type ModelReport, NotSupportedError, TRAFFIC_WORKLOADS, type TrafficReport } from '../index.js'
import { ModelStoppedError } from '../errors/errors.js'
import { ERROR_SHUTDOWN_IN_PROGRESS, hresultFromWin32 } from '../errors/make.js'
import { ntstatusName } from '../errors/tables.js'
import { createIo } from '../io/io.js'
import { runTraffic } from '../io/traffic/traffic.js'
import { addonTransport, loadAddon } from '../transport/addon.js'
import { inspectInstallation, requirePart } from '../transport/installation.js'
import type { NativeBackend } from '../transport/native.js'
import type { CommandContext } from './command.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { InputError } from './problems.js'
import { toJson } from './terminal.js'
import { reportText } from './traffic.js'
import { describeDriverImage } from './validate/driver-image.js'

const OPERATION = 'host'
const VOLUME = 'D:'
/** The program that the model's client is. */
const CLIENT = 'C:\\Windows\\client.exe'
/** What a call gets of a model that is gone. */
const MODEL_GONE = 0xffffffff
/** Around minipend's own, 370199.5. */
const ALTITUDES = { above: '385100', below: '141100' } as const

export interface HostOptions {
  readonly seed?: bigint | undefined
  /** Of the hosted filter; a default beside minipend's. */
  readonly altitude?: string | undefined
  /** Where minipend is, seen from the hosted filter; undefined: not loaded. */
  readonly minipend?: 'above' | 'below' | undefined
  /** The program that the traffic is of; a default. */
  readonly process?: string | undefined
  /** Calls of each workload. */
  readonly operations: number
}

interface Hosted {
  readonly attached: number
  /** Of a process that was made before the traffic; it ends after that. */
  readonly processStatus: string
  readonly traffic: readonly TrafficReport[]
  readonly report: ModelReport
}

const check = (session: Session, what: string, hresult: number): void => {
  if (hresult !== 0) {
    throw session.filterError(OPERATION, what, hresult)
  }
}

/** The model's history says why an image was not taken. */
function loadProblem(backend: NativeBackend, service: string): string | undefined {
  const prefix = `driver ${service}: driver image `
  const line = parseReport(backend.report()).history.find((each) => each.startsWith(prefix))
  return line?.slice(prefix.length)
}

const LINES_OF_HISTORY = 3

/** A driver whose DriverEntry fails: with what the model noted last. */
function loadFailure(backend: NativeBackend, session: Session, service: string, hresult: number): Error {
  const error = session.filterError(OPERATION, `load ${service}`, hresult)
  if (error instanceof ModelStoppedError) {
    return error
  }
  const last = parseReport(backend.report()).history.slice(-LINES_OF_HISTORY)
  return new InputError(`host: ${error.message}`, {
    hint: ['its DriverEntry failed; what happened last:', ...last].join('\n    '),
  })
}

/** NTSTATUS and id of one more process of the client's program. */
async function startProcess(backend: NativeBackend, session: Session): Promise<readonly [number, number]> {
  const started = await backend.startProcess('', '')
  if (started[0] === MODEL_GONE) {
    throw session.filterError(OPERATION, 'start a process', hresultFromWin32(ERROR_SHUTDOWN_IN_PROGRESS))
  }
  return started
}

async function endProcess(backend: NativeBackend, session: Session, id: number): Promise<void> {
  if (!(await backend.endProcess(id))) {
    throw session.filterError(OPERATION, 'end a process', hresultFromWin32(ERROR_SHUTDOWN_IN_PROGRESS))
  }
}

async function drive(
  backend: NativeBackend,
  session: Session,
  service: string,
  options: HostOptions,
  stop: AbortSignal,
): Promise<Hosted> {
  const hresult = await backend.filterLoad(service)
  const problem = hresult === 0 ? undefined : loadProblem(backend, service)
  if (problem !== undefined) {
    throw new InputError(`host: the model does not load ${problem}`, {
      hint: 'give the x64 image of a minifilter, a .sys file',
    })
  }
  if (hresult !== 0) {
    throw loadFailure(backend, session, service, hresult)
  }
  if (options.minipend !== undefined) {
    check(session, 'load minipend', await backend.filterLoad(FILTER_NAME))
    const [attached] = await backend.filterAttach(FILTER_NAME, VOLUME, '', '')
    check(session, `attach minipend to ${VOLUME}`, attached)
  }
  const [listed, instances] = await backend.filterInstances(service, 0)
  if (listed !== 0) {
    throw new InputError(`host: ${service} has loaded, but has registered no filter of that name`, {
      hint: 'give the image of a minifilter: one that calls FltRegisterFilter in its DriverEntry',
    })
  }
  const [status, id] = await startProcess(backend, session)
  const io = createIo(session)
  const traffic: TrafficReport[] = []
  for (const workload of TRAFFIC_WORKLOADS) {
    const seed = session.transport.seed ?? 0n
    traffic.push(
      await runTraffic(io, {
        ...{ workload, directory: `${VOLUME}\\`, seed, operations: options.operations, concurrency: 2, signal: stop },
      }),
    )
  }
  if (status === 0) {
    await endProcess(backend, session, id)
  }
  check(session, `unload ${service}`, await backend.filterUnload(service))
  if (options.minipend !== undefined) {
    check(session, 'unload minipend', await backend.filterUnload(FILTER_NAME))
  }
  return {
    attached: instances.length,
    processStatus: ntstatusName(status).name,
    traffic,
    report: parseReport(backend.report()),
  }
}

export async function host(context: CommandContext, file: string, options: HostOptions): Promise<ExitCode> {
  const { terminal, json, stop } = context
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new NotSupportedError(
      `host: the model runs Windows images on x86-64 Linux only; this is ${process.platform} ${process.arch}`,
      { operation: OPERATION, hint: 'run it there' },
    )
  }
  if (!existsSync(file)) {
    throw new InputError(`host: "${file}" does not exist`, { hint: 'name the .sys file of a minifilter' })
  }
  const facts = describeDriverImage(file)
  const { name } = path.parse(file)
  // A service's name is part of registry paths and of the model's messages.
  const service = /^[\w.-]{1,64}$/.test(name) ? name : 'hosted'
  const { model, driverImage } = inspectInstallation()
  const seed = options.seed ?? randomBytes(8).readBigUInt64LE()
  const native = loadAddon()
  const backend = await native.openEmbedded({
    library: requirePart(model, 'the model'),
    driverImage: requirePart(driverImage, 'the driver image of the model'),
    ...{ seed, processorCount: 2 },
  })
  if (typeof backend === 'string') {
    throw new NotSupportedError(`host: cannot open the model: ${backend}`, { operation: OPERATION })
  }
  const session = new Session(new SharedTransport(addonTransport(native, backend, 'embedded', seed)).use())
  const altitude = options.altitude ?? (options.minipend === 'above' ? ALTITUDES.below : ALTITUDES.above)
  let hosted: Hosted
  try {
    if (!(await backend.addDriver(service, path.resolve(file), altitude))) {
      throw new InputError(`host: the model has a filter called "${service}" already`, { hint: 'rename the file' })
    }
    if (options.process !== undefined && !(await backend.setProcessImage(options.process))) {
      throw new InputError(`host: the model has no volume for "${options.process}"`, {
        hint: 'name a program on C:, D: or E:',
      })
    }
    hosted = await drive(backend, session, service, options, stop)
  } finally {
    await backend.close()
  }
  const { attached, processStatus, traffic, report } = hosted
  const made = { image: options.process ?? CLIENT, status: processStatus }
  const left = traffic.flatMap(({ cleanup }) => cleanup.left)
  const ok = report.leaks.length === 0 && left.length === 0
  if (json) {
    const runs = traffic.map((each) => ({ ...each, seed: String(each.seed) }))
    const { leaks, history, absentRoutines } = report
    const loaded = { ok, image: facts, service, altitude, seed: String(seed), attached, process: made }
    terminal.out(`${toJson({ ...loaded, absentRoutines, leaks, history, traffic: runs })}\n`)
  } else {
    terminal.out(`${facts.file}: SHA-256 ${facts.sha256}, linker ${facts.linker ?? 'unknown'}\n`)
    terminal.out(`loaded as ${service} at altitude ${altitude}, attached to ${attached} volumes; seed ${seed}\n\n`)
    traffic.forEach((each) => terminal.out(`${reportText(each, terminal.colors)}\n`))
    if (processStatus !== 'STATUS_SUCCESS') {
      terminal.out(`one more process of ${made.image} could not be made: ${processStatus}\n`)
    }
    if (report.absentRoutines.length > 0) {
      const names = report.absentRoutines.map((name) => `  ${name}\n`).join('')
      terminal.out(`asked for by name, and not in the model (it got NULL, as on an older Windows):\n${names}`)
    }
    const leaks = report.leaks.map((leak) => `  ${terminal.colors.red(leak)}\n`).join('')
    terminal.out(
      leaks === ''
        ? 'unloaded; no rule of the verifier was broken, nothing leaked\n'
        : `unloaded; this leaked:\n${leaks}`,
    )
  }
  stop.throwIfAborted()
  return ok ? EXIT.ok : EXIT.failed
}
