// SPDX-License-Identifier: MIT
//
// This module provides: what the commands of the port share (messages.c), and the commands (messages_rules.c, messages_held.c, messages_events.c).
//
// Every command checks its size first, then each field, then the room for the reply. Its reply is copied out before it takes effect, and after that
// it cannot fail.

#pragma once

/// A captured message and the way back to its sender.
typedef struct _MP_EXCHANGE {
    PMP_CONNECTION Connection;
    const MINIPEND_MESSAGE_HEADER *Message; ///< Captured, in paged pool; Bytes long.
    ULONG Bytes;
    PVOID Output; ///< The caller's, raw.
    ULONG OutputBytes;
    PULONG ReturnedBytes;
} MP_EXCHANGE, *PMP_EXCHANGE;

/// A command's handler. Returns a failing status only when there was no way to answer.
typedef _IRQL_requires_max_(PASSIVE_LEVEL) NTSTATUS MP_COMMAND_ROUTINE(_Inout_ PMP_EXCHANGE Exchange);

// messages.c
/// Fills in a reply's head. Fault NULL: success.
_IRQL_requires_max_(PASSIVE_LEVEL) VOID
    MpReplyHeader(_In_ const MP_EXCHANGE *Exchange, _Out_ MINIPEND_REPLY_HEADER *Header, _In_ ULONG Bytes,
                  _In_opt_ const MP_FAULT *Fault);
/// Copies a reply out. The caller has checked that it fits.
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS
    MpReply(_Inout_ PMP_EXCHANGE Exchange, _In_reads_bytes_(Bytes) const VOID *Reply, _In_ ULONG Bytes);
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS
    MpReplyFault(_Inout_ PMP_EXCHANGE Exchange, _In_ const MP_FAULT *Fault);
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS
    MpReplyDetail(_Inout_ PMP_EXCHANGE Exchange, _In_ NTSTATUS Status, _In_ MINIPEND_DETAIL Detail);
/// TRUE when a reply of Bytes fits; otherwise the fault has been sent and *Status is what to return.
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ BOOLEAN
    MpReplyFits(_Inout_ PMP_EXCHANGE Exchange, _In_ ULONG Bytes, _Out_ NTSTATUS *Status);

// messages_rules.c
MP_COMMAND_ROUTINE MpMessageSetRules;
MP_COMMAND_ROUTINE MpMessageListRules;
// messages_held.c
MP_COMMAND_ROUTINE MpMessageListHeld;
MP_COMMAND_ROUTINE MpMessageRelease;
// messages_events.c
MP_COMMAND_ROUTINE MpMessageSubscribe;
MP_COMMAND_ROUTINE MpMessagePullEvents;
