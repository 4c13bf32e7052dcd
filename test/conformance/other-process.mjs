// SPDX-License-Identifier: MIT
//
// This module provides: a thread of another client process of the model, which writes to a file: machine.ts.

import { Buffer } from 'node:buffer'
import { workerData } from 'node:worker_threads'
import koffi from 'koffi'

const { library, world, process, file } = workerData
const model = koffi.load(library)
model.func('int FltSimSelectWorld(uint32_t world)')(world)
model.func('int FltSimEnterProcess(uint32_t world, uint32_t process)')(world, process)
const handle = model.func(
  'uint64_t CreateFileW(str16 name, uint32_t access, uint32_t share, void *security, uint32_t disposition, uint32_t flags, uint64_t template)',
)(file, 0xc0000000, 0, null, 2, 0, 0)
const bytes = Buffer.from('written')
model.func('int WriteFile(uint64_t handle, void *buffer, uint32_t bytes, _Out_ uint32_t *written, void *overlapped)')(
  handle,
  bytes,
  bytes.length,
  [0],
  null,
)
// Its process ends before it could close the handle.
