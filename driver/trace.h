// SPDX-License-Identifier: MIT
//
// This module provides: what can be seen when the port cannot be used: ETW events, and the state block of a dump (trace.c, state.c).

#pragma once

// trace.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpTraceStart(VOID);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpTraceStop(VOID);
/// Writes one event of an operation's life; costs one read when nobody listens.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpTraceEvent(_In_ const MINIPEND_EVENT *Event);
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpTraceEnabled(VOID);

// state.c
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpStateInitialize(VOID);
