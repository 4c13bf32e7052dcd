// SPDX-License-Identifier: MIT
//
// This module provides: the callers that the driver must not trust, and the native cases that show for each that it does not. `npm test` prints the list, and fails
// when a case has failed or is not there any more. After each case the world's own report says that nothing is left and nothing is lost (TestWorld).

/** `cases`: how the names of the cases begin, "area.name". */
export const CALLERS = [
  {
    caller: 'a message that is too short or too long',
    cases: ['messages_test.heads_are_checked', 'messages_test.requests_about_', 'list_rules_test.requests_'],
  },
  { caller: 'a misaligned buffer, 0 to 7', cases: ['messages_test.misaligned_buffers_are_refused'] },
  { caller: 'an unknown command, a wrong version', cases: ['messages_test.heads_are_checked'] },
  {
    caller: 'hostile counts and lengths',
    cases: [
      'messages_test.rules_are_checked',
      'rules_test.each_field_of_a_rule',
      'rules_test.padding_and_set_flags',
      'messages_test.requests_about_',
      'list_rules_test.requests_',
    ],
  },
  {
    caller: 'a buffer that is unmapped, or rewritten between check and use',
    cases: [
      'messages_seh.buffers_that_are_not_there',
      'messages_seh.replies_that_cannot_be_written',
      'messages_seh.buffers_rewritten',
      'messages_seh.buffers_unmapped',
      'release_test.a_release_that_cannot_be_answered',
      'bell_test.a_bell_outlives_an_answer_that_fails',
    ],
  },
  { caller: 'a connect context of 1 byte and of 64 KiB; none', cases: ['faults_test.a_connection_that_fails'] },
  {
    caller: 'a client killed while it holds a gate',
    cases: [
      'pend_test.a_client_that_leaves',
      'watch_test.a_client_whose_thread_terminates',
      'process_test.a_killed_process_gives_back',
    ],
  },
  {
    caller: 'a client killed while its own thread waits in a held operation',
    cases: ['watch_test.a_client_that_waits_in_its_own', 'process_test.a_killed_process_that_waits'],
  },
  { caller: 'a client killed while a message runs', cases: ['killed_test.'] },
  { caller: 'a double release', cases: ['release_test.two_that_release_one', 'race_test.'] },
  { caller: 'a release after the deadline', cases: ['gate_test.a_gate_ends_at_its_deadline', 'race_test.'] },
  { caller: 'a release by a stranger', cases: ['release_test.a_stranger_needs_force'] },
  {
    caller: '100 synchronous operations, released by the client that issued them',
    cases: ['thousand_test.a_client_releases_a_hundred'],
  },
  { caller: 'detach with 1,000 held', cases: ['thousand_test.detach_releases'] },
  { caller: 'dismount with 1,000 held', cases: ['thousand_test.a_dismount_releases'] },
  { caller: 'unload with 1,000 held', cases: ['thousand_test.unload_releases'] },
  {
    caller: 'unload vetoed, and mandatory, with 1,000 held',
    cases: ['thousand_test.a_vetoed_unload_keeps', 'thousand_test.a_vetoed_unload_succeeds', 'capacity_test.'],
  },
  {
    caller: 'each registration step of DriverEntry failing',
    cases: ['faults_test.a_load_that_fails', 'faults_test.a_load_does_without'],
  },
  {
    caller: 'allocation, and every other call that can fail, failing everywhere',
    cases: ['sweep_test.', 'faults_test.', 'messages_test.commands_that_find_no_memory', 'list_rules_test.a_listing_'],
  },
  {
    caller: 'a filter above that does not return from a give-back',
    cases: ['stuck_test.', 'neighbours_test.a_give_back_that_waits'],
  },
  {
    caller: 'rule sets that come at once',
    cases: ['rules_test.sets_that_come_at_once', 'rules_test.a_set_that_is_replaced', 'rules_test.all_connections'],
  },
  {
    caller: 'a listing of rules while sets are replaced and clients leave',
    cases: ['list_rules_test.sets_replaced_while', 'list_rules_test.a_page_of_another'],
  },
]
