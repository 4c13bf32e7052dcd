// SPDX-License-Identifier: MIT
//
// This module provides: what cases ask of the machine around the driver: on the model by the calls with which a host program steers it (fltsim.h), on Windows by what
// everybody has there.

import { type ChildProcess, spawn } from 'node:child_process'
import { promises as fs } from 'node:fs'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { type LibraryHandle, load } from 'koffi'
import { onTestFinished } from 'vitest'
import { inspectInstallation } from '../../src/transport/installation.js'
import { LANE } from './lane.js'

const library = inspectInstallation().model.path
let loaded: LibraryHandle | undefined

/** A function of the model. */
function bound(declaration: string): (...values: unknown[]) => unknown {
  loaded ??= load(library)
  return loaded.func(declaration)
}

/** The one world that is live in this process. */
export function worldNumber(): number {
  const select = bound('int FltSimSelectWorld(uint32_t world)')
  const live = Array.from({ length: 127 }, (_, index) => index + 1).filter((world) => select(world) === 0)
  select(0)
  const [only] = live
  if (only === undefined || live.length > 1) {
    throw new Error(`machine: ${live.length} worlds are live`)
  }
  return only
}

/** A DWORD below the service's Parameters key. Model only. */
export function setServiceParameter(world: number, name: string, value: number): void {
  const set = bound('int FltSimSetServiceParameter(uint32_t world, str service, str name, uint32_t value)')
  if (set(world, 'minipend', name, value) !== 0) {
    throw new Error('machine: the world is gone')
  }
}

/** `sc stop minipend`. Value: the NTSTATUS. Model only. */
export function stopService(world: number): number {
  const status = [0]
  bound('int FltSimStopService(uint32_t world, str service, _Out_ int32_t *status)')(world, 'minipend', status)
  return (status[0] ?? -1) >>> 0
}

const PAGE = 4096

/** Whole pages of the boot volume's paging file, by paging I/O in System. Value: the NTSTATUS. Model only. */
export function pagingFileIo(write: boolean, offset: number, pages: Uint8Array): number {
  const status = [0]
  bound(
    'int FltSimPagingFileIo(uint32_t world, int write, uint64_t offset, void *buffer, uint32_t bytes, _Out_ int32_t *status)',
  )(worldNumber(), write ? 1 : 0, offset, pages, pages.length, status)
  return (status[0] ?? -1) >>> 0
}

/** What a file server in kernel mode reads of a file: on Windows the one of this machine, by its share for administrators. */
export async function servedContent(file: string): Promise<Uint8Array> {
  if (LANE === 'windows') {
    return fs.readFile(`\\\\localhost\\${file.replace(':', '$')}`)
  }
  const world = worldNumber()
  bound('int FltSimSelectWorld(uint32_t world)')(world)
  const handle: unknown = bound(
    'uint64_t CreateFileW(str16 name, uint32_t access, uint32_t share, void *security, uint32_t disposition, uint32_t flags, uint64_t template)',
  )(file, 0x80000000, 7, null, 3, 0, 0)
  const buffer = new Uint8Array(PAGE)
  const transferred = [0]
  const status = [-1]
  const transfer = bound(
    'int FltSimServerTransfer(uint32_t world, uint64_t handle, int write, uint64_t offset, void *buffer, uint32_t bytes, _Out_ uint32_t *transferred, _Out_ int32_t *status)',
  )
  // The first one goes by IRP: the file is not in the cache yet.
  for (let time = 0; time < 2; time++) {
    transfer(world, handle, 0, 0, buffer, buffer.length, transferred, status)
  }
  bound('int CloseHandle(uint64_t handle)')(handle)
  bound('int FltSimSelectWorld(uint32_t world)')(0)
  return buffer.subarray(0, transferred[0])
}

/** Another process, which is writing to a file. */
export interface OtherProcess {
  kill(): void
  /** Whether it is gone. */
  ended(): boolean
}

function modelProcess(file: string): OtherProcess {
  const world = worldNumber()
  const id = [0]
  bound('int FltSimCreateProcess(uint32_t world, _Out_ uint32_t *id)')(world, id)
  const worker = new Worker(path.join(import.meta.dirname, 'other-process.mjs'), {
    workerData: { library, world, process: id[0], file },
  })
  onTestFinished(async () => {
    await worker.terminate()
  })
  const terminate = bound('int FltSimTerminateProcess(uint32_t world, uint32_t process)')
  const wait = bound('int FltSimWaitForProcess(uint32_t world, uint32_t process, uint32_t timeoutMs)')
  return { kill: () => void terminate(world, id[0]), ended: () => wait(world, id[0], 0) !== 0 }
}

function realProcess(file: string): OtherProcess {
  const script = `require('node:fs').writeFileSync(${JSON.stringify(file)}, 'written')`
  const child: ChildProcess = spawn(process.execPath, ['-e', script], { stdio: 'ignore' })
  let ended = false
  child.once('exit', () => (ended = true))
  return { kill: () => void child.kill('SIGKILL'), ended: () => ended }
}

/** Starts one, with a synchronous write of 'written' to a file that it makes. */
export const writingProcess = (file: string): OtherProcess =>
  LANE === 'windows' ? realProcess(file) : modelProcess(file)
