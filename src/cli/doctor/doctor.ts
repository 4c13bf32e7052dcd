// SPDX-License-Identifier: MIT
//
// This module provides: `minipend doctor`: what this machine can do, what is missing, how to fix it.

import type { CommandContext } from '../command.js'
import { EXIT, type ExitCode } from '../exit-codes.js'
import { type Colors, toJson } from '../terminal.js'
import { type Check, type CheckStatus, examine } from './checks.js'

const WORDS: Readonly<Record<CheckStatus, string>> = {
  ok: 'ok',
  missing: 'missing',
  failed: 'FAILED',
  optional: 'optional',
  unknown: '?',
}

function paint(status: CheckStatus, text: string, colors: Colors): string {
  switch (status) {
    case 'ok':
      return colors.green(text)
    case 'missing':
    case 'failed':
      return colors.red(text)
    case 'optional':
      return colors.yellow(text)
    case 'unknown':
      return colors.dim(text)
  }
}

export function doctorText(checks: readonly Check[], colors: Colors): string {
  const lines = checks.flatMap(({ title, status, detail, fix }) => [
    `${paint(status, WORDS[status].padEnd(8), colors)} ${title.padEnd(17)} ${detail}`,
    ...(fix === undefined ? [] : [`${' '.repeat(27)}${colors.bold('what to do:')} ${fix}`]),
  ])
  return [
    ...lines,
    '',
    embeddedWorks(checks) ? 'The embedded backend works.' : colors.red('The embedded backend does not work.'),
  ].join('\n')
}

export const embeddedWorks = (checks: readonly Check[]): boolean =>
  checks.some(({ id, status }) => id === 'embedded' && status === 'ok')

export async function doctor(context: CommandContext): Promise<ExitCode> {
  const checks = await examine(context.platform)
  const ok = embeddedWorks(checks)
  context.terminal.out(
    context.json ? `${toJson({ ok, checks })}\n` : `${doctorText(checks, context.terminal.colors)}\n`,
  )
  return ok ? EXIT.ok : EXIT.failed
}
