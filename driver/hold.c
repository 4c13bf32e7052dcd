// SPDX-License-Identifier: MIT
//
// This module provides: what is held, and the states of a held operation.
//
//   1. take a record (counted, listed) before its work item is queued, and undo that;
//   2. park it when the deferred routine has run;
//   3. ask for the release of everything a connection or an instance has;
//   4. hand the next due record to a releasing thread.
//
//                 MpHoldTake             MpHoldPark               MpHoldNextDue (due)
//      NEW ----------------------> QUEUED ----------> PARKED -------------------------------> RELEASING --> done, freed
//       ^                            |                  |   MpHoldReleaseInstance (teardown)      ^
//       |        MpHoldUntake        |                  +-----------------------------------------+
//       +----------------------------+
//              (queue call refused)
//
// Invariants, each under MpHold.Lock:
//   - a record is on MpHold.List and on its instance's list exactly while QUEUED or PARKED, and in the due heap exactly while PARKED;
//   - for each instance and operation Pended == Completed + InFlight, and the sum of InFlight over everything is MpHold.Count;
//   - only the thread that moved a record from PARKED to RELEASING completes it: that is "exactly once".
//
// The pended operation is counted before the queue call, because the deferred routine may run, and the whole release with it,
// before that call has returned [POST-07]; a refused call takes it back under the same lock, so no snapshot sees it half done.
//
// A record counts as completed when it turns RELEASING, just before FltCompletePendedPostOperation. Counting afterwards would
// be wrong twice: the requestor could run on and read counters that still show it in flight, and the instance could be gone [LIFE-14].
//
// Why a lock for all instances and not one each: a hold is the slow path by nature (a work item and a thread switch), and one lock makes
// the capacity, the balance and the three ways to find a record one invariant instead of three protocols.
//
// Why a heap: release times come in any order, up to MaxHeld of them, and nothing may be allocated at DISPATCH_LEVEL to sort them.

#include "minipend.h"

MP_HOLD MpHold;

/// Sets up the table. Called once, before any callback can run.
_Use_decl_annotations_ NTSTATUS MpHoldInitialize(VOID) {
    NTSTATUS status;
    PVOID heap;

    InitializeListHead(&MpHold.List);
    KeInitializeEvent(&MpHold.Wake, SynchronizationEvent, FALSE);

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

// ---- the due heap: a binary heap on DueTime; MpHold.Lock ---------------------------------------------------------------

static VOID MpHeapPlace(ULONG Index, PMP_RECORD Record) {
    MpHold.Heap[Index] = Record;
    Record->HeapIndex = Index;
}

static VOID MpHeapUp(ULONG Index, PMP_RECORD Record) {
    while (Index > 0) {
        ULONG parent = (Index - 1) / 2;

        if (MpHold.Heap[parent]->DueTime <= Record->DueTime) {
            break;
        }
        MpHeapPlace(Index, MpHold.Heap[parent]);
        Index = parent;
    }
    MpHeapPlace(Index, Record);
}

static VOID MpHeapDown(ULONG Index, PMP_RECORD Record) {
    for (;;) {
        ULONG child = 2 * Index + 1;

        if (child >= MpHold.HeapCount) {
            break;
        }
        if (child + 1 < MpHold.HeapCount && MpHold.Heap[child + 1]->DueTime < MpHold.Heap[child]->DueTime) {
            child++;
        }
        if (Record->DueTime <= MpHold.Heap[child]->DueTime) {
            break;
        }
        MpHeapPlace(Index, MpHold.Heap[child]);
        Index = child;
    }
    MpHeapPlace(Index, Record);
}

static VOID MpHeapInsert(PMP_RECORD Record) {
    NT_ASSERT(MpHold.HeapCount < MpGlobals.Limits.MaxHeld);
    MpHeapUp(MpHold.HeapCount++, Record);
}

static VOID MpHeapRemove(PMP_RECORD Record) {
    ULONG index = Record->HeapIndex;
    PMP_RECORD last = MpHold.Heap[--MpHold.HeapCount];

    Record->HeapIndex = MP_NOT_IN_HEAP;
    if (last == Record) {
        return;
    }
    if (index > 0 && last->DueTime < MpHold.Heap[(index - 1) / 2]->DueTime) {
        MpHeapUp(index, last);
    } else {
        MpHeapDown(index, last);
    }
}

// ---- transitions ------------------------------------------------------------------------------------------------------

/// NEW -> QUEUED. FALSE: the driver holds as many operations as it may, nothing has changed.
_Use_decl_annotations_ BOOLEAN MpHoldTake(PMP_RECORD Record) {
    PMP_INSTANCE instance = Record->Instance;
    MP_HELD_COUNTERS *counters = &instance->HeldCounters[Record->Operation];
    BOOLEAN taken = FALSE;

    WdfSpinLockAcquire(MpHold.Lock);
    if (MpHold.Count < MpGlobals.Limits.MaxHeld) {
        taken = TRUE;
        Record->State = MpRecordQueued;
        // The Filter Manager refuses the queue call from TeardownStart on [LIFE-15]; should one slip through, it must not wait.
        Record->ReleaseRequested = instance->TearingDown;
        InsertTailList(&MpHold.List, &Record->HeldLink);
        InsertTailList(&instance->Held, &Record->InstanceLink);
        MpHold.Count++;
        counters->Pended++;
        counters->InFlight++;
    }
    WdfSpinLockRelease(MpHold.Lock);
    return taken;
}

static VOID MpHoldUnlink(PMP_RECORD Record) {
    RemoveEntryList(&Record->HeldLink);
    RemoveEntryList(&Record->InstanceLink);
    MpHold.Count--;
    Record->Instance->HeldCounters[Record->Operation].InFlight--;
}

/// QUEUED -> NEW, after the queue call was refused: as if it had never been taken.
_Use_decl_annotations_ VOID MpHoldUntake(PMP_RECORD Record) {
    WdfSpinLockAcquire(MpHold.Lock);
    MpHoldUnlink(Record);
    Record->Instance->HeldCounters[Record->Operation].Pended--;
    Record->State = MpRecordNew;
    WdfSpinLockRelease(MpHold.Lock);
}

/// Whether the next MpHoldTake would fail, at this moment.
_Use_decl_annotations_ BOOLEAN MpHoldIsFull(VOID) {
    BOOLEAN full;

    WdfSpinLockAcquire(MpHold.Lock);
    full = MpHold.Count >= MpGlobals.Limits.MaxHeld;
    WdfSpinLockRelease(MpHold.Lock);
    return full;
}

/// Marks a record that is taken and not yet queued: it will be given back as soon as its deferred routine has run.
_Use_decl_annotations_ VOID MpHoldRequestRelease(PMP_RECORD Record) {
    WdfSpinLockAcquire(MpHold.Lock);
    Record->ReleaseRequested = TRUE;
    WdfSpinLockRelease(MpHold.Lock);
}

/// QUEUED -> PARKED: the deferred routine is through with the record. When the lock is given up the record may be gone at once.
_Use_decl_annotations_ VOID MpHoldPark(PMP_RECORD Record) {
    WdfSpinLockAcquire(MpHold.Lock);
    Record->State = MpRecordParked;
    // Not when it was taken: a queue call that is refused has held nothing.
    if (MpHold.Count > MpHold.HighWater) {
        MpHold.HighWater = MpHold.Count;
    }
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
static VOID MpHoldTakeOut(PMP_RECORD Record) {
    MpHeapRemove(Record);
    MpHoldUnlink(Record);
    Record->Instance->HeldCounters[Record->Operation].Completed++;
    Record->State = MpRecordReleasing;
}

/// Asks for everything that the connection's rules hold to be given back now. Marks and signals; waits for nothing.
_Use_decl_annotations_ VOID MpHoldReleaseConnection(ULONG64 ConnectionId) {
    PLIST_ENTRY link;

    WdfSpinLockAcquire(MpHold.Lock);
    for (link = MpHold.List.Flink; link != &MpHold.List; link = link->Flink) {
        PMP_RECORD record = CONTAINING_RECORD(link, MP_RECORD, HeldLink);

        if (record->Decision.ConnectionId != ConnectionId) {
            continue;
        }
        record->ReleaseRequested = TRUE;
        if (record->State == MpRecordParked) {
            MpHeapRemove(record);
            record->DueTime = 0;
            MpHeapInsert(record);
        }
    }
    KeSetEvent(&MpHold.Wake, IO_NO_INCREMENT, FALSE);
    WdfSpinLockRelease(MpHold.Lock);
}

/// TeardownStart's duty [LIFE-11]: gives back what is parked on the instance in this thread, and marks what is still queued; the deferred
/// routine of that will park it, and a releasing thread gives it back at once.
_Use_decl_annotations_ VOID MpHoldReleaseInstance(PMP_INSTANCE Instance) {
    for (;;) {
        PMP_RECORD parked = NULL;
        PLIST_ENTRY link;

        WdfSpinLockAcquire(MpHold.Lock);
        Instance->TearingDown = TRUE;
        for (link = Instance->Held.Flink; link != &Instance->Held; link = link->Flink) {
            PMP_RECORD record = CONTAINING_RECORD(link, MP_RECORD, InstanceLink);

            record->ReleaseRequested = TRUE;
            if (record->State == MpRecordParked) {
                MpHoldTakeOut(record);
                parked = record;
                break;
            }
        }
        WdfSpinLockRelease(MpHold.Lock);

        if (parked == NULL) {
            return;
        }
        MpReleaseRecord(parked);
    }
}

/// The record that a releasing thread gives back next, or NULL and the interrupt time until which there is nothing to do. Stop: nothing
/// is held and nothing more will come.
_Use_decl_annotations_ PMP_RECORD MpHoldNextDue(PULONG64 WaitUntil, PBOOLEAN Stop) {
    PMP_RECORD record = NULL;
    ULONG64 precise;
    ULONG64 now;

    *WaitUntil = MP_NEVER;
    *Stop = FALSE;

    WdfSpinLockAcquire(MpHold.Lock);
    now = KeQueryInterruptTimePrecise(&precise);
    if (MpHold.HeapCount > 0) {
        if (MpHold.Heap[0]->DueTime <= now) {
            record = MpHold.Heap[0];
            MpHoldTakeOut(record);
            if (MpHold.HeapCount > 0) {
                // Another thread must see to the next record, due or not: this one can be away for long, in the post-operations of the
                // filters above, and what it waits for there may be that very record.
                KeSetEvent(&MpHold.Wake, IO_NO_INCREMENT, FALSE);
            }
        } else {
            *WaitUntil = MpHold.Heap[0]->DueTime;
        }
    } else if (MpHold.Stop && MpHold.Count == 0) {
        *Stop = TRUE;
    }
    WdfSpinLockRelease(MpHold.Lock);
    return record;
}
