// SPDX-License-Identifier: MIT
//
// This module provides: what to do about each thing that the driver finds wrong with a message.

import type { DetailName } from '../generated/protocol.js'

const BUILD = 'driver and library were built from different sources: build both from the same'
const RULE = 'no rule was changed; correct it and set all rules again'

/** What to do next, by the driver's word for what was wrong. */
export const DETAIL_HINTS: Readonly<Record<DetailName, string>> = {
  none: BUILD,
  version: 'install the driver and the library of the same release',
  size: BUILD,
  command: BUILD,
  notGreeted: 'open a new session: this connection was never greeted',
  greeted: 'open a new session: a connection says hello once',
  reserved: BUILD,
  ruleCount: `set fewer rules: hello.limits.maxRules says how many; ${RULE}`,
  ruleSize: BUILD,
  ruleOperations: `name operations that this driver knows (OPERATION_NAMES); ${RULE}`,
  ruleAction: `use observe(), pend(), whenSafe() or synchronize(); ${RULE}`,
  ruleQueue: `queue goes with pend() only, and is "critical" or "delayed"; ${RULE}`,
  ruleHold: `a delay goes with pend() and synchronize() only; ${RULE}`,
  ruleDelay: `stay within hello.limits.maxDelayMs, or raise the driver's MaxDelayMs parameter; ${RULE}`,
  ruleFlags: BUILD,
  rulePath: `shorten the path; ${RULE}`,
  ruleVolume: `name the volume as in "D:"; ${RULE}`,
  ruleConditions: BUILD,
  ruleStatus: `status is "success", "failure" or one NTSTATUS; ${RULE}`,
  ruleFail: `failWith must be a failure (0xC...) without a meaning to the Filter Manager, not with observe(), and not in a rule that names cleanup or close; ${RULE}`,
  ruleSampling: `probability is above 0 and at most 1; ${RULE}`,
  ruleCap: `maxHeld goes with a gate only; ${RULE}`,
  rulePadding: BUILD,
  ruleMinors: `name minor functions of one major function only, in a rule of their own; ${RULE}`,
  setCount: 'close a gate: hello.limits.maxSets says how many sets a session may have, its rules included',
  setPersist: 'persist goes with rules.set() only, not with a gate',
  rulesCursor: BUILD,
  rulesChanged: 'another client has set rules meanwhile: list them again',
  flags: BUILD,
  heldUnknown:
    'it has been given back already: by its deadline, by a release, or because its thread, file or client ended. mp.held() lists what is held now',
  heldForeign:
    'another client (or a persistent rule) holds it: release it with { force: true }, or let its client do it',
  releaseWhat: BUILD,
  releaseStatus:
    'release it without a status. A status must be a failure (0xC...); cleanup and close cannot be failed, and a create that succeeded only by failWith of its rule',
  eventKinds: 'name kinds that this driver knows (EVENT_KINDS)',
  eventRing: 'choose a ring of 16 to 65536 events',
  eventCursor: BUILD,
  notSubscribed: 'the event stream was closed: call mp.events() again',
  replyBuffer: BUILD,
  memory: 'the driver is out of nonpaged memory: set fewer rules, or ask for a smaller event ring',
}
