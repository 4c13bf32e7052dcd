// SPDX-License-Identifier: MIT
//
// This module provides: the commands about held operations: listing them, releasing them.
//
// What is asked for is taken out of the message, which is paged, before anything is done under a spin lock; lists are built in nonpaged pool.

#include "minipend.h"

#include "messages.h"

/// Copies a list-held answer out. Reply is nonpaged, with room for MaxEntries entries behind it.
static NTSTATUS MpListHeldReply(_Inout_ PMP_EXCHANGE Exchange, _In_ ULONG64 After, _In_ ULONG64 OwnerOrZero,
                                _In_ ULONG MaxEntries, _Inout_ MINIPEND_LIST_HELD_REPLY *Reply) {
    ULONG64 precise;
    ULONG64 heldNow;
    BOOLEAN more;
    ULONG bytes;

    RtlZeroMemory(Reply, sizeof(*Reply));
    Reply->Count = MpHeldList(After, OwnerOrZero, MaxEntries, (MINIPEND_HELD_ENTRY *)(Reply + 1), &more, &heldNow);
    Reply->HeldNow = heldNow;
    Reply->Time100ns = KeQueryInterruptTimePrecise(&precise);
    Reply->EntryBytes = sizeof(MINIPEND_HELD_ENTRY);
    Reply->More = more;
    bytes = (ULONG)sizeof(*Reply) + Reply->Count * (ULONG)sizeof(MINIPEND_HELD_ENTRY);
    MpReplyHeader(Exchange, &Reply->Header, bytes, NULL);
    return MpReply(Exchange, Reply, bytes);
}

/// How many entries an answer may have: what was asked for, what fits, and not many more than there are now.
static ULONG MpListHeldEntries(_In_ const MP_EXCHANGE *Exchange, _In_ ULONG MaxEntries, _In_ ULONG64 OwnerOrZero) {
    ULONG entries = min(MaxEntries, MINIPEND_MAX_HELD_ENTRIES);
    ULONG64 heldNow;
    BOOLEAN more;

    entries = min(entries, (Exchange->OutputBytes - (ULONG)sizeof(MINIPEND_LIST_HELD_REPLY)) /
                               (ULONG)sizeof(MINIPEND_HELD_ENTRY));
    (VOID) MpHeldList(MAXULONGLONG, OwnerOrZero, 0, NULL, &more, &heldNow);
    return (ULONG)min(entries, heldNow);
}

/// A checked request, answered.
static NTSTATUS MpListHeld(_Inout_ PMP_EXCHANGE Exchange, _In_ const MINIPEND_LIST_HELD_REQUEST *Request,
                           _Out_ PBOOLEAN Answered) {
    ULONG64 owner = FlagOn(Request->Flags, MINIPEND_LIST_HELD_OWN) ? Exchange->Connection->Id : 0;
    ULONG entries = MpListHeldEntries(Exchange, Request->MaxEntries, owner);
    MINIPEND_LIST_HELD_REPLY *reply;
    WDFMEMORY memory;
    NTSTATUS status;

    *Answered = FALSE;
    status = WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, MP_TAG_MESSAGE,
                             sizeof(*reply) + entries * sizeof(MINIPEND_HELD_ENTRY), &memory, (PVOID *)&reply);
    if (!NT_SUCCESS(status)) {
        return MpReplyDetail(Exchange, status, MINIPEND_DETAIL_MEMORY);
    }
    status = MpListHeldReply(Exchange, Request->AfterParkSequence, owner, entries, reply);
    *Answered = (BOOLEAN)NT_SUCCESS(status);
    WdfObjectDelete(memory);
    return status;
}

_Use_decl_annotations_ NTSTATUS MpMessageListHeld(PMP_EXCHANGE Exchange) {
    const MINIPEND_LIST_HELD_REQUEST *request = (const MINIPEND_LIST_HELD_REQUEST *)Exchange->Message;
    PMP_CONNECTION connection = Exchange->Connection;
    BOOLEAN forgotten = FALSE;
    BOOLEAN answered;
    BOOLEAN arm;
    NTSTATUS status;

    if (Exchange->Bytes != sizeof(*request)) {
        return MpReplyDetail(Exchange, STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
    if (FlagOn(request->Flags, ~(MINIPEND_LIST_HELD_OWN | MINIPEND_LIST_HELD_ARM))) {
        return MpReplyDetail(Exchange, STATUS_INVALID_PARAMETER, MINIPEND_DETAIL_FLAGS);
    }
    // With room for one entry at least: an answer that says "there are more" and has none would be asked for again and again.
    if (!MpReplyFits(Exchange,
                     sizeof(MINIPEND_LIST_HELD_REPLY) + (request->MaxEntries != 0 ? sizeof(MINIPEND_HELD_ENTRY) : 0),
                     &status)) {
        return status;
    }

    arm = FlagOn(request->Flags, MINIPEND_LIST_HELD_ARM) != 0;
    if (arm) {
        forgotten = MpBellForget(connection, MINIPEND_BELL_HELD);
    }
    status = MpListHeld(Exchange, request, &answered);
    if (answered && arm) {
        MpBellArm(connection, MINIPEND_BELL_HELD);
    } else if (forgotten) {
        MpBellRing(connection->Id, MINIPEND_BELL_HELD);
    }
    return status;
}

/// Takes a release request apart. Not MINIPEND_DETAIL_NONE: what is wrong with it.
static MINIPEND_DETAIL MpReadRelease(_In_ const MINIPEND_RELEASE_REQUEST *Request, _Out_ PMP_RELEASE Release) {
    BOOLEAN one = Request->What == MINIPEND_RELEASE_WHAT_ONE;
    BOOLEAN rule = Request->What == MINIPEND_RELEASE_WHAT_RULE;
    BOOLEAN set = Request->What == MINIPEND_RELEASE_WHAT_SET;

    RtlZeroMemory(Release, sizeof(*Release));
    if (FlagOn(Request->Flags, ~MINIPEND_RELEASE_FORCE)) {
        return MINIPEND_DETAIL_FLAGS;
    }
    if (Request->Reserved != 0) {
        return MINIPEND_DETAIL_RESERVED;
    }
    if (!one && !rule && !set && Request->What != MINIPEND_RELEASE_WHAT_ALL) {
        return MINIPEND_DETAIL_RELEASE_WHAT;
    }
    // Sets and rules are numbered by each connection for itself: nobody else's can be named.
    if ((rule || set) && FlagOn(Request->Flags, MINIPEND_RELEASE_FORCE)) {
        return MINIPEND_DETAIL_FLAGS;
    }
    if ((!one && Request->HeldId != 0) || (!rule && !set && Request->SetId != 0) || (!rule && Request->RuleId != 0)) {
        return MINIPEND_DETAIL_RESERVED;
    }
    if (Request->Status != 0 && !MpFailStatusIsValid(Request->Status)) {
        return MINIPEND_DETAIL_RELEASE_STATUS;
    }
    Release->What = (MINIPEND_RELEASE_WHAT)Request->What;
    Release->Force = FlagOn(Request->Flags, MINIPEND_RELEASE_FORCE) != 0;
    Release->HeldId = Request->HeldId;
    Release->SetId = Request->SetId;
    Release->RuleId = Request->RuleId;
    Release->Status = Request->Status;
    return MINIPEND_DETAIL_NONE;
}

static NTSTATUS MpClaimStatus(_In_ MINIPEND_DETAIL Detail) {
    switch (Detail) {
    case MINIPEND_DETAIL_HELD_UNKNOWN:
        return STATUS_NOT_FOUND;
    case MINIPEND_DETAIL_HELD_FOREIGN:
        return STATUS_ACCESS_DENIED;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

/// Claimed, answered, released: a second command for the same operation is told at once that it comes too late, and an answer that cannot be
/// copied out gives the claim back.
_Use_decl_annotations_ NTSTATUS MpMessageRelease(PMP_EXCHANGE Exchange) {
    const MINIPEND_RELEASE_REQUEST *request = (const MINIPEND_RELEASE_REQUEST *)Exchange->Message;
    MINIPEND_RELEASE_REPLY reply = {0};
    MP_RELEASE release;
    MINIPEND_DETAIL detail;
    NTSTATUS status;

    if (Exchange->Bytes != sizeof(*request)) {
        return MpReplyDetail(Exchange, STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
    detail = MpReadRelease(request, &release);
    if (detail != MINIPEND_DETAIL_NONE) {
        return MpReplyDetail(Exchange, STATUS_INVALID_PARAMETER, detail);
    }
    if (!MpReplyFits(Exchange, sizeof(reply), &status)) {
        return status;
    }

    release.ConnectionId = Exchange->Connection->Id;
    detail = MpHeldClaim(&release);
    if (detail != MINIPEND_DETAIL_NONE) {
        return MpReplyDetail(Exchange, MpClaimStatus(detail), detail);
    }
    MpReplyHeader(Exchange, &reply.Header, sizeof(reply), NULL);
    reply.Released = release.Released;
    reply.StatusNotApplied = release.StatusNotApplied;
    status = MpReply(Exchange, &reply, sizeof(reply));
    MpHeldFinish(&release, (BOOLEAN)NT_SUCCESS(status));
    return status;
}
