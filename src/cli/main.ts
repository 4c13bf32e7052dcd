#!/usr/bin/env node
// SPDX-License-Identifier: MIT
//
// This module provides: the program `minipend`: signals, broken pipes and the exit code.
//
// Invariant: Ctrl-C, SIGTERM and a reader that goes away end the command in order (files closed, drivers detached); a second Ctrl-C ends
// it at once. A script that `minipend run` runs has signals to itself.

import { openMinipend } from '../index.js'
import type { CommandContext } from './command.js'
import { EXIT } from './exit-codes.js'
import { StoppedError } from './problems.js'
import { runCommandLine } from './program.js'
import { processTerminal } from './terminal.js'

const stopper = new AbortController()
const args = process.argv.slice(2)
const runsAScript = args.find((arg) => !arg.startsWith('-')) === 'run'

function stopOn(signal: 'SIGINT' | 'SIGTERM', exitCode: 130 | 143): void {
  process.on(signal, () => {
    if (stopper.signal.aborted) {
      process.exit(exitCode)
    }
    process.stderr.write('minipend: stopping; once more stops at once\n')
    stopper.abort(new StoppedError(exitCode))
  })
}

function readerWentAway(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') {
    throw error
  }
  if (runsAScript) {
    process.exit(EXIT.brokenPipe)
  }
  stopper.abort(new StoppedError(EXIT.brokenPipe))
}

if (!runsAScript) {
  stopOn('SIGINT', EXIT.interrupted)
  stopOn('SIGTERM', EXIT.terminated)
}
process.stdout.on('error', readerWentAway)
process.stderr.on('error', readerWentAway)

const terminal = processTerminal()
const makeContext = (json: boolean): CommandContext => ({
  terminal,
  json,
  stop: stopper.signal,
  open: openMinipend,
  platform: process.platform,
})

// Not awaited at top level: a script that never ends its own await would get a warning about this file.
void runCommandLine(args, makeContext).then((exitCode) => {
  if (exitCode !== undefined) {
    process.exitCode = stopper.signal.aborted ? (stopper.signal.reason as StoppedError).exitCode : exitCode
  }
})
