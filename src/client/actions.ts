// SPDX-License-Identifier: MIT
//
// This module provides: the actions of rules. They are plain data; rules.set() checks them.

import type { ObserveAction, PendAction, PendOptions } from './types.js'

/** Count the operation, nothing else. */
export function observe(): ObserveAction {
  return { kind: 'observe' }
}

/** Pend the operation's post-operation through a deferred work item, and give it back after `delayMs`. */
export function pend(options: PendOptions = {}): PendAction {
  return { ...options, kind: 'pend' }
}
