// SPDX-License-Identifier: MIT
//
// This module provides: events: what happens to operations that a rule selected, in a ring for each connection that asked, and in ETW.
//
//   MpEvent -> each ring that wants it: a number, a place, a bell        pull: read (nothing leaves) -> copied out -> acknowledged (it leaves)
//
// An event that finds the ring full uses up its number and is counted as lost: a reader sees the gap and its size. A ring belongs to
// MpConnections.Lock; what is done under it is bounded: the sequence numbers in a ring rise, so that a place is found by halving.
//
// Nobody listening costs two reads.

#include "minipend.h"

_Use_decl_annotations_ NTSTATUS MpRingCreate(ULONG Capacity, MP_RING *Ring) {
    NTSTATUS status;

    RtlZeroMemory(Ring, sizeof(*Ring));
    status = WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, MP_TAG_EVENTS,
                             (SIZE_T)Capacity * sizeof(MINIPEND_EVENT), &Ring->Memory, (PVOID *)&Ring->Events);
    if (!NT_SUCCESS(status)) {
        Ring->Memory = NULL;
        Ring->Events = NULL;
        return status;
    }
    Ring->Capacity = Capacity;
    return STATUS_SUCCESS;
}

_Use_decl_annotations_ VOID MpRingDelete(MP_RING *Ring) {
    if (Ring->Events != NULL) {
        WdfObjectDelete(Ring->Memory);
        Ring->Events = NULL;
        Ring->Memory = NULL;
    }
}

_Use_decl_annotations_ VOID MpRingInstall(PMP_CONNECTION Connection, MP_RING *Ring, ULONG64 ToldSequence) {
    MP_RING *const ring = &Connection->Ring;
    MP_RING old;

    WdfSpinLockAcquire(MpConnections.Lock);
    old = *ring;
    ring->Events = Ring->Events;
    ring->Memory = Ring->Memory;
    ring->Capacity = Ring->Capacity;
    ring->Kinds = Ring->Kinds;
    ring->AllClients = Ring->AllClients;
    ring->Head = 0;
    ring->Count = 0;
    ring->LastSent = ring->LastSequence;
    // The client was told that it had seen the others, or lets them go by asking for a new ring.
    ring->Lost += ring->LastSequence - ToldSequence;
    if (old.Events == NULL && ring->Events != NULL) {
        InterlockedIncrement(&MpConnections.Rings);
    } else if (old.Events != NULL && ring->Events == NULL) {
        InterlockedDecrement(&MpConnections.Rings);
    }
    WdfSpinLockRelease(MpConnections.Lock);
    MpRingDelete(&old);
}

_Use_decl_annotations_ VOID MpRingQuery(PMP_CONNECTION Connection, MP_RING_STATE *State) {
    const MP_RING *ring = &Connection->Ring;

    WdfSpinLockAcquire(MpConnections.Lock);
    State->Subscribed = ring->Events != NULL;
    State->LastSequence = ring->LastSequence;
    State->LastSent = ring->LastSent;
    State->Lost = ring->Lost;
    WdfSpinLockRelease(MpConnections.Lock);
}

/// The ring's Index-th event, the oldest first.
static MINIPEND_EVENT *MpRingAt(const MP_RING *Ring, ULONG Index) {
    ULONG place = Ring->Head + Index;

    return &Ring->Events[place < Ring->Capacity ? place : place - Ring->Capacity];
}

/// How many events of the ring are numbered up to Sequence.
static ULONG MpRingUpTo(const MP_RING *Ring, ULONG64 Sequence) {
    ULONG low = 0;
    ULONG high = Ring->Count;

    while (low < high) {
        ULONG middle = low + (high - low) / 2;

        if (MpRingAt(Ring, middle)->Sequence <= Sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

_Use_decl_annotations_ ULONG MpRingRead(PMP_CONNECTION Connection, ULONG64 After, ULONG MaxEvents,
                                        MINIPEND_EVENT *Events) {
    const MP_RING *ring = &Connection->Ring;
    ULONG copied = 0;
    ULONG index;

    WdfSpinLockAcquire(MpConnections.Lock);
    for (index = MpRingUpTo(ring, After); index < ring->Count && copied < MaxEvents; index++) {
        Events[copied++] = *MpRingAt(ring, index);
    }
    WdfSpinLockRelease(MpConnections.Lock);
    return copied;
}

_Use_decl_annotations_ VOID MpRingAcknowledge(PMP_CONNECTION Connection, ULONG64 Acknowledge, ULONG64 Sent) {
    MP_RING *ring = &Connection->Ring;
    ULONG gone;

    WdfSpinLockAcquire(MpConnections.Lock);
    gone = MpRingUpTo(ring, Acknowledge);
    if (gone != 0) {
        ring->Head = (ring->Head + gone) % ring->Capacity;
        ring->Count -= gone;
    }
    ring->LastSent = max(ring->LastSent, Sent);
    WdfSpinLockRelease(MpConnections.Lock);
}

/// MpConnections.Lock held. TRUE: the connection's bell is to be rung.
static BOOLEAN MpRingAdd(_Inout_ PMP_CONNECTION Connection, _In_ const MINIPEND_EVENT *Event) {
    MP_RING *ring = &Connection->Ring;

    if (ring->Events == NULL || ((ring->Kinds >> Event->Kind) & 1) == 0 ||
        (!ring->AllClients && Event->ConnectionId != Connection->Id)) {
        return FALSE;
    }
    ring->LastSequence++;
    if (ring->Count == ring->Capacity) {
        ring->Lost++;
    } else {
        MINIPEND_EVENT *place = MpRingAt(ring, ring->Count++);

        *place = *Event;
        place->Sequence = ring->LastSequence;
    }
    return MpBellNote(Connection, MINIPEND_BELL_EVENTS);
}

/// Gives the event to whoever wants it.
static VOID MpEventPublish(_In_ const MINIPEND_EVENT *Event) {
    PLIST_ENTRY link;
    BOOLEAN wake = FALSE;

    if (ReadNoFence(&MpConnections.Rings) != 0) {
        WdfSpinLockAcquire(MpConnections.Lock);
        for (link = MpConnections.List.Flink; link != &MpConnections.List; link = link->Flink) {
            if (MpRingAdd(CONTAINING_RECORD(link, MP_CONNECTION, Link), Event)) {
                wake = TRUE;
            }
        }
        WdfSpinLockRelease(MpConnections.Lock);
    }
    if (wake) {
        MpBellWake();
    }
    MpTraceEvent(Event);
}

static BOOLEAN MpEventsWanted(VOID) {
    return (BOOLEAN)(ReadNoFence(&MpConnections.Rings) != 0 || MpTraceEnabled());
}

/// Begins an event: all of it is written, because all of it goes to user mode.
static VOID MpEventBegin(_Out_ MINIPEND_EVENT *Event, _In_ MINIPEND_EVENT_KIND Kind, _In_ MINIPEND_OPERATION Operation,
                         _In_ ULONG Cause) {
    ULONG64 precise;

    RtlZeroMemory(Event, sizeof(*Event));
    Event->Time100ns = KeQueryInterruptTimePrecise(&precise);
    Event->Kind = (UINT16)Kind;
    Event->Operation = (UINT16)Operation;
    Event->Cause = (UINT16)Cause;
}

/// The end of a name says more than its beginning.
static VOID MpEventName(_Inout_ MINIPEND_EVENT *Event, _In_reads_(Chars) const WCHAR *Name, _In_ ULONG Chars) {
    ULONG kept = min(Chars, MINIPEND_EVENT_NAME_CHARS);

    RtlCopyMemory(Event->Name, Name + (Chars - kept), kept * sizeof(WCHAR));
    Event->NameChars = (UINT16)kept;
    if (kept < Chars) {
        Event->Seen.Flags |= MINIPEND_SEEN_NAME_CUT;
    }
}

/// Of a completed operation only the record's own copies are looked at: its instance may be gone. Never inlined: its large frame is for those who listen.
static DECLSPEC_NOINLINE VOID MpEventTell(_In_ MINIPEND_EVENT_KIND Kind, _In_ const MP_RECORD *Record,
                                          _In_ ULONG Cause) {
    MINIPEND_EVENT event;

    MpEventBegin(&event, Kind, Record->Operation, Cause);
    event.HeldId = Record->Id;
    event.InstanceId = Record->InstanceId;
    event.ConnectionId = MP_RECORD_OWNER(Record);
    event.RuleGeneration = Record->RuleGeneration;
    event.SetId = (UINT32)Record->Set->SetId;
    event.RuleId = Record->Rule->Id;
    event.Seen = Record->Seen;
    MpEventName(&event, Record->Name, Record->NameChars);
    MpEventPublish(&event);
}

_Use_decl_annotations_ VOID MpEvent(MINIPEND_EVENT_KIND Kind, const MP_RECORD *Record, ULONG Cause) {
    if (MpEventsWanted()) {
        MpEventTell(Kind, Record, Cause);
    }
}

_Use_decl_annotations_ VOID MpEventRefused(PFLT_CALLBACK_DATA Data, PMP_INSTANCE Instance, MINIPEND_OPERATION Operation,
                                           const MP_MATCH *Match, MINIPEND_REFUSAL Cause) {
    const MP_RULE_SET *set = Match->Candidates[0].Set;
    MINIPEND_EVENT event;

    if (!MpEventsWanted()) {
        return;
    }
    MpEventBegin(&event, MINIPEND_EVENT_KIND_REFUSED, Operation, Cause);
    event.InstanceId = Instance->Id;
    event.ConnectionId = set->Persistent ? 0 : set->ConnectionId;
    event.RuleGeneration = Match->Table->Generation;
    event.SetId = (UINT32)set->SetId;
    event.RuleId = Match->Candidates[0].Rule->Id;
    MpSee(Data, &event.Seen);
    MpEventPublish(&event);
}
