// SPDX-License-Identifier: MIT
//
// This module provides: the commands about events: making a ring, pulling from it.
//
// Events go to the caller in portions, through a small nonpaged buffer, the reply's head last: nobody waits at DISPATCH_LEVEL for a large
// copy, and no command can take much nonpaged memory. Nothing leaves the ring before all of it has been copied out.

#include "minipend.h"

#include "messages.h"

/// Events copied at once, under the lock.
#define MP_PULL_PORTION 32u

static MINIPEND_DETAIL MpCheckSubscribe(_In_ const MINIPEND_SUBSCRIBE_REQUEST *Request) {
    if (FlagOn(Request->Flags, ~MINIPEND_SUBSCRIBE_ALL_CLIENTS)) {
        return MINIPEND_DETAIL_FLAGS;
    }
    if (Request->Reserved != 0) {
        return MINIPEND_DETAIL_RESERVED;
    }
    if ((Request->Kinds >> MINIPEND_EVENT_KIND_COUNT) != 0) {
        return MINIPEND_DETAIL_EVENT_KINDS;
    }
    if (Request->RingEvents != 0 &&
        (Request->RingEvents < MINIPEND_MIN_EVENT_RING || Request->RingEvents > MINIPEND_MAX_EVENT_RING)) {
        return MINIPEND_DETAIL_EVENT_RING;
    }
    return MINIPEND_DETAIL_NONE;
}

_Use_decl_annotations_ NTSTATUS MpMessageSubscribe(PMP_EXCHANGE Exchange) {
    const MINIPEND_SUBSCRIBE_REQUEST *request = (const MINIPEND_SUBSCRIBE_REQUEST *)Exchange->Message;
    MINIPEND_SUBSCRIBE_REPLY reply = {0};
    MP_RING_STATE state;
    MP_RING ring = {0};
    MINIPEND_DETAIL detail;
    NTSTATUS status;

    if (Exchange->Bytes != sizeof(*request)) {
        return MpReplyDetail(Exchange, STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
    detail = MpCheckSubscribe(request);
    if (detail != MINIPEND_DETAIL_NONE) {
        return MpReplyDetail(Exchange, STATUS_INVALID_PARAMETER, detail);
    }
    if (!MpReplyFits(Exchange, sizeof(reply), &status)) {
        return status;
    }
    if (request->Kinds != 0) {
        status = MpRingCreate(request->RingEvents != 0 ? request->RingEvents : MINIPEND_DEFAULT_EVENT_RING, &ring);
        if (!NT_SUCCESS(status)) {
            return MpReplyDetail(Exchange, status, MINIPEND_DETAIL_MEMORY);
        }
        ring.Kinds = request->Kinds;
        ring.AllClients = FlagOn(request->Flags, MINIPEND_SUBSCRIBE_ALL_CLIENTS) != 0;
    }

    MpRingQuery(Exchange->Connection, &state);
    MpReplyHeader(Exchange, &reply.Header, sizeof(reply), NULL);
    reply.Sequence = state.LastSequence;
    reply.RingEvents = ring.Capacity;
    reply.EventBytes = sizeof(MINIPEND_EVENT);
    status = MpReply(Exchange, &reply, sizeof(reply));
    if (NT_SUCCESS(status)) {
        MpRingInstall(Exchange->Connection, &ring, reply.Sequence);
    } else {
        MpRingDelete(&ring);
    }
    return status;
}

/// A pull that is under way.
typedef struct _MP_PULL {
    ULONG64 Acknowledge;
    ULONG MaxEvents;
    MINIPEND_EVENT *Portion; ///< MP_PULL_PORTION long, nonpaged.
    ULONG Count; ///< Copied out so far.
    ULONG64 Sent; ///< Sequence of the last one.
} MP_PULL, *PMP_PULL;

/// Copies events to behind the place of the reply's head.
static NTSTATUS MpPullCopy(_In_ const MP_EXCHANGE *Exchange, _Inout_ PMP_PULL Pull) {
    UCHAR *to = (UCHAR *)Exchange->Output + sizeof(MINIPEND_PULL_EVENTS_REPLY);
    NTSTATUS status = STATUS_SUCCESS;

    while (NT_SUCCESS(status) && Pull->Count < Pull->MaxEvents) {
        ULONG most = min(Pull->MaxEvents - Pull->Count, MP_PULL_PORTION);
        ULONG got = MpRingRead(Exchange->Connection, Pull->Sent, most, Pull->Portion);

        if (got == 0) {
            break;
        }
        status = MpCopyToCaller(to + Pull->Count * sizeof(MINIPEND_EVENT), Pull->Portion, got * sizeof(MINIPEND_EVENT));
        Pull->Count += got;
        Pull->Sent = Pull->Portion[got - 1].Sequence;
    }
    return status;
}

/// Copies the events and then the head out, and lets what was acknowledged go.
static NTSTATUS MpPullReply(_Inout_ PMP_EXCHANGE Exchange, _Inout_ PMP_PULL Pull, _In_ ULONG64 Lost) {
    MINIPEND_PULL_EVENTS_REPLY reply = {0};
    ULONG64 precise;
    ULONG bytes;
    NTSTATUS status;

    status = MpPullCopy(Exchange, Pull);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    reply.Time100ns = KeQueryInterruptTimePrecise(&precise);
    reply.Lost = Lost;
    reply.Count = Pull->Count;
    reply.EventBytes = sizeof(MINIPEND_EVENT);
    bytes = (ULONG)sizeof(reply) + reply.Count * (ULONG)sizeof(MINIPEND_EVENT);
    MpReplyHeader(Exchange, &reply.Header, bytes, NULL);
    status = MpReply(Exchange, &reply, sizeof(reply));
    if (NT_SUCCESS(status)) {
        *Exchange->ReturnedBytes = bytes;
        MpRingAcknowledge(Exchange->Connection, Pull->Acknowledge, Pull->Sent);
    }
    return status;
}

/// A request that is well formed, answered. Answered: with events, not with what is wrong.
static NTSTATUS MpPullEvents(_Inout_ PMP_EXCHANGE Exchange, _Inout_ PMP_PULL Pull, _Out_ PBOOLEAN Answered) {
    MP_RING_STATE state;
    WDFMEMORY memory;
    NTSTATUS status;

    *Answered = FALSE;
    MpRingQuery(Exchange->Connection, &state);
    if (!state.Subscribed) {
        return MpReplyDetail(Exchange, STATUS_INVALID_DEVICE_STATE, MINIPEND_DETAIL_NOT_SUBSCRIBED);
    }
    if (Pull->Acknowledge > state.LastSent) {
        return MpReplyDetail(Exchange, STATUS_INVALID_PARAMETER, MINIPEND_DETAIL_EVENT_CURSOR);
    }
    status = WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, MP_TAG_MESSAGE,
                             MP_PULL_PORTION * sizeof(MINIPEND_EVENT), &memory, (PVOID *)&Pull->Portion);
    if (!NT_SUCCESS(status)) {
        return MpReplyDetail(Exchange, status, MINIPEND_DETAIL_MEMORY);
    }
    status = MpPullReply(Exchange, Pull, state.Lost);
    *Answered = (BOOLEAN)NT_SUCCESS(status);
    WdfObjectDelete(memory);
    return status;
}

_Use_decl_annotations_ NTSTATUS MpMessagePullEvents(PMP_EXCHANGE Exchange) {
    const MINIPEND_PULL_EVENTS_REQUEST *request = (const MINIPEND_PULL_EVENTS_REQUEST *)Exchange->Message;
    PMP_CONNECTION connection = Exchange->Connection;
    MP_PULL pull = {0};
    BOOLEAN forgotten = FALSE;
    BOOLEAN answered;
    BOOLEAN arm;
    NTSTATUS status;

    if (Exchange->Bytes != sizeof(*request)) {
        return MpReplyDetail(Exchange, STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
    if (FlagOn(request->Flags, ~MINIPEND_PULL_EVENTS_ARM)) {
        return MpReplyDetail(Exchange, STATUS_INVALID_PARAMETER, MINIPEND_DETAIL_FLAGS);
    }
    // With room for one event at least, as in list held.
    if (!MpReplyFits(Exchange,
                     sizeof(MINIPEND_PULL_EVENTS_REPLY) + (request->MaxEvents != 0 ? sizeof(MINIPEND_EVENT) : 0),
                     &status)) {
        return status;
    }

    pull.Acknowledge = request->Acknowledge;
    pull.Sent = request->Acknowledge;
    pull.MaxEvents = min(request->MaxEvents, (Exchange->OutputBytes - (ULONG)sizeof(MINIPEND_PULL_EVENTS_REPLY)) /
                                                 (ULONG)sizeof(MINIPEND_EVENT));
    arm = FlagOn(request->Flags, MINIPEND_PULL_EVENTS_ARM) != 0;
    if (arm) {
        forgotten = MpBellForget(connection, MINIPEND_BELL_EVENTS);
    }
    status = MpPullEvents(Exchange, &pull, &answered);
    if (answered && arm) {
        MpBellArm(connection, MINIPEND_BELL_EVENTS);
    } else if (forgotten) {
        MpBellRing(connection->Id, MINIPEND_BELL_EVENTS);
    }
    return status;
}
