// SPDX-License-Identifier: MIT
//
// This module provides: the due heap: parked records, the one that is due first on top; of those due at one moment the one parked first.
//
// A binary heap in an array with room for Limits.MaxHeld records. Release times come in any order, and nothing may be allocated at
// DISPATCH_LEVEL to sort them. Invariant: Heap[i] is never before its parent, and Heap[i]->HeapIndex == i. All under MpHold.Lock.

#include "minipend.h"

static BOOLEAN MpHeapBefore(const MP_RECORD *A, const MP_RECORD *B) {
    return A->DueTime < B->DueTime || (A->DueTime == B->DueTime && A->ParkSequence < B->ParkSequence);
}

static VOID MpHeapPlace(ULONG Index, PMP_RECORD Record) {
    MpHold.Heap[Index] = Record;
    Record->HeapIndex = Index;
}

static VOID MpHeapUp(ULONG Index, PMP_RECORD Record) {
    while (Index > 0) {
        ULONG parent = (Index - 1) / 2;

        if (!MpHeapBefore(Record, MpHold.Heap[parent])) {
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
        if (child + 1 < MpHold.HeapCount && MpHeapBefore(MpHold.Heap[child + 1], MpHold.Heap[child])) {
            child++;
        }
        if (!MpHeapBefore(MpHold.Heap[child], Record)) {
            break;
        }
        MpHeapPlace(Index, MpHold.Heap[child]);
        Index = child;
    }
    MpHeapPlace(Index, Record);
}

_Use_decl_annotations_ VOID MpHeapInsert(PMP_RECORD Record) {
    NT_ASSERT(MpHold.HeapCount < MpGlobals.Limits.MaxHeld);
    MpHeapUp(MpHold.HeapCount++, Record);
}

_Use_decl_annotations_ VOID MpHeapRemove(PMP_RECORD Record) {
    ULONG index = Record->HeapIndex;
    PMP_RECORD last = MpHold.Heap[--MpHold.HeapCount];

    Record->HeapIndex = MP_NOT_IN_HEAP;
    if (last == Record) {
        return;
    }
    if (index > 0 && MpHeapBefore(last, MpHold.Heap[(index - 1) / 2])) {
        MpHeapUp(index, last);
    } else {
        MpHeapDown(index, last);
    }
}

_Use_decl_annotations_ VOID MpHeapExpedite(PMP_RECORD Record) {
    Record->DueTime = 0;
    MpHeapUp(Record->HeapIndex, Record);
}
