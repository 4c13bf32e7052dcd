// SPDX-License-Identifier: MIT
//
// This module provides: the actions of rules. They are plain data; rules.set() checks them.

import type {
  FailOptions,
  ObserveAction,
  PendAction,
  PendOptions,
  SynchronizeAction,
  SynchronizeOptions,
  WhenSafeAction,
} from './rule-types.js'

/** Count the operation, nothing else. */
export function observe(): ObserveAction {
  return { kind: 'observe' }
}

/** Pend the operation's post-operation through a deferred work item, and give it back after `delayMs` [POST-02, POST-05]. */
export function pend(options: PendOptions = {}): PendAction {
  return { ...options, kind: 'pend' }
}

/** Finish the operation through FltDoCompletionProcessingWhenSafe: at once when the IRQL allows it, else in a worker [SAFE-01]. */
export function whenSafe(options: FailOptions = {}): WhenSafeAction {
  return { ...options, kind: 'whenSafe' }
}

/**
 * Have the post-operation run in the thread of the pre-operation (FLT_PREOP_SYNCHRONIZE, where that is allowed [SYNC-01]), and let that
 * thread wait for `delayMs`.
 */
export function synchronize(options: SynchronizeOptions = {}): SynchronizeAction {
  return { ...options, kind: 'synchronize' }
}
