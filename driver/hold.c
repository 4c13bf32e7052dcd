// SPDX-License-Identifier: MIT
//
// This module provides: what is held, and the states of a held operation.
//
//   1. take a record (counted, listed) before its work item is queued, and undo that; list one that waits in its own thread;
//   2. park it when the deferred routine has run;
//   3. ask for the release of one record, or of everything that a connection or an instance has;
//   4. hand the next due record to a releasing thread.
//
//                 MpHoldTake             MpHoldPark               MpHoldNextDue (due, or asked for)
//      NEW ----------------------> QUEUED ----------> PARKED -------------------------------> RELEASING --> done, freed
//       ^ |                          |                  |   MpHoldReleaseInstance (teardown)   ^   ^
//       | |      MpHoldUntake        |                  +--------------------------------------+   |
//       +-|--------------------------+                                                             |
//         |    (queue call refused)                                                                |
//         |      MpHoldWait                         MpHoldWaited (due, or its Wake was set)        |
//         +----------------------> WAITING --------------------------------------------------------+
//
// Who may do what: a QUEUED record belongs to its deferred work item, a WAITING one to the thread that waits, a RELEASING one to the thread that
// made it so; a PARKED one to nobody. To ask for a release (MpHoldAskLocked) only marks: a QUEUED record will be due when it is parked, a PARKED one
// is due now, a WAITING one is woken. The first cause asked for is the one that is reported.
//
// Invariants, each under MpHold.Lock:
//   - a record is on MpHold.List and on its instance's list exactly while QUEUED, PARKED or WAITING, and in the due heap exactly while PARKED;
//   - PARKED and WAITING records stand on MpHold.List in the order of their ParkSequence;
//   - for each instance and operation Pended == Completed + InFlight;
//   - MpHold.Count == sum of InFlight + sum of Waiting over everything, and MpHold.Waiting is that second sum; a rule's HeldNow is its part of Count,
//     and at most its Taken;
//   - only the thread that moved a record to RELEASING completes it: that is "exactly once".
//
// The pended operation is counted before the queue call, because the deferred routine may run, and the whole release with it,
// before that call has returned [POST-07]; a refused call takes it back under the same lock, so no snapshot sees it half done.
//
// A record counts as completed when it turns RELEASING, just before FltCompletePendedPostOperation. Counting afterwards would
// be wrong twice: the requestor could run on and read counters that still show it in flight, and the instance could be gone [LIFE-14].
//
// Why a lock for all instances and not one each: a hold is the slow path by nature (a work item and a thread switch), and one lock makes
// the capacity, the balance and the three ways to find a record one invariant instead of three protocols. The price is that asking for everything of a
// connection walks the list under it: MaxHeld steps at the most.

#include "minipend.h"

MP_HOLD MpHold;

/// Sets up the table. Called once, before any callback can run.
_Use_decl_annotations_ NTSTATUS MpHoldInitialize(VOID) {
    NTSTATUS status;
    PVOID heap;

    InitializeListHead(&MpHold.List);
    KeInitializeEvent(&MpHold.Wake, SynchronizationEvent, FALSE);
    KeInitializeEvent(&MpHold.WatchWake, SynchronizationEvent, FALSE);

    status = WdfSpinLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &MpHold.Lock);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, MP_TAG_HOLD,
                             (SIZE_T)MpGlobals.Limits.MaxHeld * sizeof(PMP_RECORD), &MpHold.HeapMemory, &heap);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    MpHold.Heap = heap;
    return STATUS_SUCCESS;
}

static MP_HELD_COUNTERS *MpHoldCounters(PMP_RECORD Record) {
    return &Record->Instance->HeldCounters[Record->Operation];
}

static ULONG64 MpHoldNow(VOID) {
    ULONG64 precise;

    return KeQueryInterruptTimePrecise(&precise);
}

// ---- listing; MpHold.Lock held ----------------------------------------------------------------------------------------

/// Whether there is room for one more: in the driver, and behind the rule's gate.
static BOOLEAN MpHoldHasRoom(PMP_RECORD Record) {
    const MP_RULE *rule = Record->Rule;

    return MpHold.Count < MpGlobals.Limits.MaxHeld && (rule->MaxHeld == 0 || rule->HeldNow < rule->MaxHeld);
}

static VOID MpHoldLink(PMP_RECORD Record) {
    PMP_INSTANCE instance = Record->Instance;

    Record->Id = ++MpHold.LastId;
    Record->Cause =
        Record->Rule->Hold == MINIPEND_HOLD_GATE ? MINIPEND_RELEASE_CAUSE_DEADLINE : MINIPEND_RELEASE_CAUSE_DUE;
    if (instance->TearingDown) {
        // The Filter Manager refuses the queue call from TeardownStart on [LIFE-15]; should one slip through, it must not be held. Nor must a
        // synchronised operation that is no draining call.
        Record->ReleaseRequested = TRUE;
        Record->Cause = MINIPEND_RELEASE_CAUSE_TEARDOWN;
    }
    InsertTailList(&MpHold.List, &Record->HeldLink);
    InsertTailList(&instance->Held, &Record->InstanceLink);
    MpHold.Count++;
    Record->Rule->Taken++;
    Record->Rule->HeldNow++;
}

static VOID MpHoldUnlink(PMP_RECORD Record) {
    RemoveEntryList(&Record->HeldLink);
    RemoveEntryList(&Record->InstanceLink);
    MpHold.Count--;
    Record->Rule->HeldNow--;
}

/// From here on it can be listed and released. Only now it counts for the high waters: a queue call that is refused has held nothing. The first of
/// several calls the watching thread.
static VOID MpHoldShow(PMP_RECORD Record, MP_RECORD_STATE State) {
    Record->State = State;
    Record->ParkSequence = ++MpHold.LastParkSequence;
    if (MpHold.Count > MpHold.HighWater) {
        MpHold.HighWater = MpHold.Count;
    }
    if (!MpHold.Watched) {
        MpHold.Watched = TRUE;
        KeSetEvent(&MpHold.WatchWake, IO_NO_INCREMENT, FALSE);
    }
}

// ---- transitions ------------------------------------------------------------------------------------------------------

/// NEW -> QUEUED. FALSE: there is no room, nothing has changed.
_Use_decl_annotations_ BOOLEAN MpHoldTake(PMP_RECORD Record) {
    MP_HELD_COUNTERS *counters = MpHoldCounters(Record);
    BOOLEAN taken;

    WdfSpinLockAcquire(MpHold.Lock);
    taken = MpHoldHasRoom(Record);
    if (taken) {
        Record->State = MpRecordQueued;
        MpHoldLink(Record);
        counters->Pended++;
        counters->InFlight++;
    }
    WdfSpinLockRelease(MpHold.Lock);
    return taken;
}

/// QUEUED -> NEW, after the queue call was refused: as if it had never been taken.
_Use_decl_annotations_ VOID MpHoldUntake(PMP_RECORD Record) {
    MP_HELD_COUNTERS *counters = MpHoldCounters(Record);

    WdfSpinLockAcquire(MpHold.Lock);
    MpHoldUnlink(Record);
    Record->Rule->Taken--;
    counters->InFlight--;
    counters->Pended--;
    Record->State = MpRecordNew;
    WdfSpinLockRelease(MpHold.Lock);
}

/// QUEUED -> PARKED: the deferred routine is through with the record. When the lock is given up the record may be gone at once.
_Use_decl_annotations_ VOID MpHoldPark(PMP_RECORD Record) {
    MP_HELD_COUNTERS *counters = MpHoldCounters(Record);
    ULONG64 now = MpHoldNow();

    WdfSpinLockAcquire(MpHold.Lock);
    MpHoldShow(Record, MpRecordParked);
    RemoveEntryList(&Record->HeldLink);
    InsertTailList(&MpHold.List, &Record->HeldLink);
    if (counters->InFlight > counters->InFlightHighWater) {
        counters->InFlightHighWater = counters->InFlight;
    }
    MpHistogramAdd(Record->Instance->Histograms[Record->Operation].Queue, now - Record->TakenTime);
    if (Record->ReleaseRequested) {
        Record->DueTime = 0;
    }
    MpHeapInsert(Record);
    if (Record->HeapIndex == 0) {
        // Under the lock: after it, a release followed by an unload could already have freed the event.
        KeSetEvent(&MpHold.Wake, IO_NO_INCREMENT, FALSE);
    }
    WdfSpinLockRelease(MpHold.Lock);
}

/// PARKED -> RELEASING; MpHold.Lock held. From here on the record belongs to the caller.
static VOID MpHoldTakeOut(PMP_RECORD Record, ULONG64 Now) {
    MP_HELD_COUNTERS *counters = MpHoldCounters(Record);

    MpHeapRemove(Record);
    MpHoldUnlink(Record);
    counters->InFlight--;
    counters->Completed++;
    MpHistogramAdd(Record->Instance->Histograms[Record->Operation].Hold, Now - Record->TakenTime);
    Record->State = MpRecordReleasing;
}

/// NEW -> WAITING: its thread is about to wait for Wake, or for nothing at all. FALSE: there is no room, nothing has changed.
_Use_decl_annotations_ BOOLEAN MpHoldWait(PMP_RECORD Record) {
    BOOLEAN listed;

    KeInitializeEvent(&Record->Wake, NotificationEvent, FALSE);
    WdfSpinLockAcquire(MpHold.Lock);
    listed = MpHoldHasRoom(Record);
    if (listed) {
        MpHoldLink(Record);
        MpHoldShow(Record, MpRecordWaiting);
        MpHoldCounters(Record)->Waiting++;
        if (Record->ReleaseRequested) {
            KeSetEvent(&Record->Wake, IO_NO_INCREMENT, FALSE);
        }
        MpHold.Waiting++;
    }
    WdfSpinLockRelease(MpHold.Lock);
    return listed;
}

/// WAITING -> RELEASING. Who set Wake did so under the lock: it does not touch the record any more.
_Use_decl_annotations_ VOID MpHoldWaited(PMP_RECORD Record) {
    MP_HELD_COUNTERS *counters = MpHoldCounters(Record);

    WdfSpinLockAcquire(MpHold.Lock);
    MpHoldUnlink(Record);
    MpHold.Waiting--;
    counters->Waiting--;
    counters->Synchronized++;
    Record->State = MpRecordReleasing;
    WdfSpinLockRelease(MpHold.Lock);
}

// ---- asking for releases ----------------------------------------------------------------------------------------------

/// FALSE: it is asked for already. MpHold.Lock held.
static BOOLEAN MpHoldMark(PMP_RECORD Record, MINIPEND_RELEASE_CAUSE Cause) {
    if (Record->ReleaseRequested) {
        return FALSE;
    }
    Record->ReleaseRequested = TRUE;
    Record->Cause = Cause;
    return TRUE;
}

_Use_decl_annotations_ VOID MpHoldAskLocked(PMP_RECORD Record, MINIPEND_RELEASE_CAUSE Cause) {
    if (!MpHoldMark(Record, Cause)) {
        return;
    }
    if (Record->State == MpRecordWaiting) {
        KeSetEvent(&Record->Wake, IO_NO_INCREMENT, FALSE);
    } else if (Record->State == MpRecordParked) {
        MpHeapExpedite(Record);
        if (Record->HeapIndex == 0) {
            KeSetEvent(&MpHold.Wake, IO_NO_INCREMENT, FALSE);
        }
    }
}

_Use_decl_annotations_ VOID MpHoldRequestRelease(PMP_RECORD Record, MINIPEND_RELEASE_CAUSE Cause) {
    WdfSpinLockAcquire(MpHold.Lock);
    MpHoldAskLocked(Record, Cause);
    WdfSpinLockRelease(MpHold.Lock);
}

/// Asks for everything that the connection's rules hold to be given back now. Marks and signals; waits for nothing.
_Use_decl_annotations_ VOID MpHoldReleaseConnection(ULONG64 ConnectionId, MINIPEND_RELEASE_CAUSE Cause) {
    PLIST_ENTRY link;

    WdfSpinLockAcquire(MpHold.Lock);
    for (link = MpHold.List.Flink; link != &MpHold.List; link = link->Flink) {
        PMP_RECORD record = CONTAINING_RECORD(link, MP_RECORD, HeldLink);

        if (MP_RECORD_OWNER(record) == ConnectionId) {
            MpHoldAskLocked(record, Cause);
        }
    }
    WdfSpinLockRelease(MpHold.Lock);
}

/// A parked record of the instance, now RELEASING and the caller's; NULL: there is none. MpHold.Lock held.
static PMP_RECORD MpHoldTakeOneOf(PMP_INSTANCE Instance) {
    PMP_RECORD parked = NULL;
    PLIST_ENTRY link;

    for (link = Instance->Held.Flink; link != &Instance->Held && parked == NULL; link = link->Flink) {
        PMP_RECORD record = CONTAINING_RECORD(link, MP_RECORD, InstanceLink);

        if (record->State == MpRecordParked) {
            MpHoldTakeOut(record, MpHoldNow());
            parked = record;
        }
    }
    return parked;
}

/// Makes everything on the instance due, but one that is parked: that is now RELEASING and the caller's. NULL: none is. From here on nothing is held on
/// the instance: MpHoldLink.
static PMP_RECORD MpHoldCloseInstance(PMP_INSTANCE Instance) {
    PMP_RECORD parked;
    PLIST_ENTRY link;

    WdfSpinLockAcquire(MpHold.Lock);
    Instance->TearingDown = TRUE;
    for (link = Instance->Held.Flink; link != &Instance->Held; link = link->Flink) {
        MpHoldAskLocked(CONTAINING_RECORD(link, MP_RECORD, InstanceLink), MINIPEND_RELEASE_CAUSE_TEARDOWN);
    }
    parked = MpHoldTakeOneOf(Instance);
    WdfSpinLockRelease(MpHold.Lock);
    return parked;
}

/// As MpHoldTakeOneOf.
static PMP_RECORD MpHoldNextOf(PMP_INSTANCE Instance) {
    PMP_RECORD parked;

    WdfSpinLockAcquire(MpHold.Lock);
    parked = MpHoldTakeOneOf(Instance);
    WdfSpinLockRelease(MpHold.Lock);
    return parked;
}

/// TeardownStart's duty [LIFE-11]: gives back what is parked on the instance in this thread, wakes what waits, and marks what is still queued; the
/// deferred routine of that will park it. All of it is due first, so that the releasing threads go on with the rest when this thread, giving one
/// back, has to wait for another.
_Use_decl_annotations_ VOID MpHoldReleaseInstance(PMP_INSTANCE Instance) {
    PMP_RECORD record;

    for (record = MpHoldCloseInstance(Instance); record != NULL; record = MpHoldNextOf(Instance)) {
        MpReleaseRecord(record);
    }
}

// ---- what releasing threads ask, and counting --------------------------------------------------------------------------

_Use_decl_annotations_ PMP_RECORD MpHoldNextDue(PULONG64 WaitUntil, PBOOLEAN Stop) {
    PMP_RECORD record = NULL;
    ULONG64 now;

    *WaitUntil = MP_NEVER;
    *Stop = FALSE;

    WdfSpinLockAcquire(MpHold.Lock);
    now = MpHoldNow();
    if (MpHold.HeapCount == 0) {
        *Stop = MpHold.Stop && MpHold.Count == 0;
    } else if (MpHold.Heap[0]->DueTime > now) {
        *WaitUntil = MpHold.Heap[0]->DueTime;
    } else {
        record = MpHold.Heap[0];
        MpHoldTakeOut(record, now);
        MpHold.TakenOut++;
        if (MpHold.HeapCount > 0) {
            // Another thread must see to the next record, due or not: this one can be away for long, in the post-operations of the
            // filters above, and what it waits for there may be that very record.
            KeSetEvent(&MpHold.Wake, IO_NO_INCREMENT, FALSE);
        }
    }
    WdfSpinLockRelease(MpHold.Lock);
    return record;
}

_Use_decl_annotations_ BOOLEAN MpHoldKeepWatch(VOID) {
    BOOLEAN watched;

    WdfSpinLockAcquire(MpHold.Lock);
    watched = (BOOLEAN)(MpHold.Count != 0);
    MpHold.Watched = watched;
    MpHold.WasDue = MpHold.WasDue && watched;
    WdfSpinLockRelease(MpHold.Lock);
    return watched;
}

_Use_decl_annotations_ BOOLEAN MpHoldIsStalled(VOID) {
    BOOLEAN due;
    BOOLEAN stalled;

    WdfSpinLockAcquire(MpHold.Lock);
    due = (BOOLEAN)(MpHold.HeapCount != 0 && MpHold.Heap[0]->DueTime <= MpHoldNow());
    stalled = (BOOLEAN)(due && MpHold.WasDue && MpHold.TakenOut == MpHold.TakenOutSeen);
    MpHold.WasDue = due;
    MpHold.TakenOutSeen = MpHold.TakenOut;
    WdfSpinLockRelease(MpHold.Lock);
    return stalled;
}

/// Whether the next MpHoldTake would fail for want of room in the driver, at this moment.
_Use_decl_annotations_ BOOLEAN MpHoldIsFull(VOID) {
    BOOLEAN full;

    WdfSpinLockAcquire(MpHold.Lock);
    full = MpHold.Count >= MpGlobals.Limits.MaxHeld;
    WdfSpinLockRelease(MpHold.Lock);
    return full;
}

/// Gives it a number too, for its event: it was never listed.
_Use_decl_annotations_ VOID MpHoldCountWhenSafe(PMP_RECORD Record, BOOLEAN Failed) {
    MP_HELD_COUNTERS *counters = MpHoldCounters(Record);

    WdfSpinLockAcquire(MpHold.Lock);
    Record->Id = ++MpHold.LastId;
    counters->WhenSafe++;
    if (Failed) {
        counters->Failed++;
    }
    WdfSpinLockRelease(MpHold.Lock);
}

_Use_decl_annotations_ VOID MpHoldCountFailed(PMP_RECORD Record) {
    WdfSpinLockAcquire(MpHold.Lock);
    MpHoldCounters(Record)->Failed++;
    WdfSpinLockRelease(MpHold.Lock);
}
