// SPDX-License-Identifier: MIT
//
// This module provides: taking an operation in its post-operation callback. This is the code that the published samples lack.
//
//      post-operation                     system worker thread                releasing thread
//      --------------                     --------------------                ----------------
//      allocate a deferred work item
//      count and list the record
//      FltQueueDeferredIoWorkItem  -----> MpDeferredRoutine
//        refused: undo, free the item,      free the item
//        return FINISHED_PROCESSING         park the record  ---------------> FltCompletePendedPostOperation
//        accepted: touch nothing,
//        return MORE_PROCESSING_REQUIRED
//
// The traps:
//   - The deferred routine can run, and the operation can be given back and its memory be gone, before FltQueueDeferredIoWorkItem has
//     returned [POST-07]. So everything is prepared before the call, and after success nothing is touched but the return value.
//   - On refusal the item still belongs to us and the operation must be finished here and now; there is no second try [POST-16].
//   - The call looks at the *current* thread's top-level IRP, not at the requestor's [POST-12]; so do we, to name the cause.
//   - The routine must not hold the operation: it runs on a system worker thread, of which there are few [PRE-07]. It parks the record.
//   - The routine must not end in FltFreeDeferredIoWorkItem: as a tail call it makes Filter Verifier report a leak [VER-04]. And what it does
//     after parking must touch nothing that an unload frees [UNL-07]: only the rundown protection follows, which unload waits for. The return
//     instruction behind it is covered by the reference that the Filter Manager holds until the routine has returned [UNL-07, E].

#include "minipend.h"

/// A record for an operation that a rule wants pended. NULL: no memory.
_Use_decl_annotations_ PMP_RECORD MpRecordCreate(PMP_INSTANCE Instance, MINIPEND_OPERATION Operation,
                                                 const MP_DECISION *Decision) {
    WDFMEMORY memory;
    PMP_RECORD record;

    if (!NT_SUCCESS(WdfMemoryCreateFromLookaside(MpGlobals.RecordLookaside, &memory))) {
        return NULL;
    }
    record = WdfMemoryGetBuffer(memory, NULL);
    RtlZeroMemory(record, sizeof(*record));
    record->State = MpRecordNew;
    record->HeapIndex = MP_NOT_IN_HEAP;
    record->Memory = memory;
    record->Instance = Instance;
    record->Operation = Operation;
    record->Decision = *Decision;
    return record;
}

/// Frees a record that is neither listed nor queued.
_Use_decl_annotations_ VOID MpRecordFree(PMP_RECORD Record) {
    WdfObjectDelete(Record->Memory);
}

static VOID FLTAPI MpDeferredRoutine(_In_ PFLT_DEFERRED_IO_WORKITEM WorkItem, _In_ PFLT_CALLBACK_DATA Data,
                                     _In_opt_ PVOID Context) {
    UNREFERENCED_PARAMETER(Data);

    FltFreeDeferredIoWorkItem(WorkItem);
    MpHoldPark((PMP_RECORD)Context);
    ExReleaseRundownProtection(&MpGlobals.DeferredRoutines);
}

/// Why the queue call refused. `unsafe` means that no documented cause explains it.
static MINIPEND_REFUSAL MpRefusalOf(NTSTATUS Status) {
    if (Status == STATUS_FLT_DELETING_OBJECT) {
        return MINIPEND_REFUSAL_TEARING_DOWN;
    }
    if (Status == STATUS_FLT_NOT_SAFE_TO_POST_OPERATION && IoGetTopLevelIrp() != NULL) {
        return MINIPEND_REFUSAL_TOP_LEVEL_IRP;
    }
    InterlockedIncrementNoFence64(&MpHold.UnexpectedRefusals);
    return MINIPEND_REFUSAL_UNSAFE;
}

/// Pends the operation. TRUE: it is taken, the caller touches nothing any more and returns FLT_POSTOP_MORE_PROCESSING_REQUIRED. FALSE: it
/// was refused, for the reason given, and the record still belongs to the caller. The caller has excluded draining, fast I/O, FS-filter
/// operations and paging I/O: for those the documentation forbids the attempt.
_Use_decl_annotations_ BOOLEAN MpPend(PMP_RECORD Record, PFLT_CALLBACK_DATA Data, PMP_CELL Cell,
                                      MINIPEND_REFUSAL *Refusal) {
    PFLT_DEFERRED_IO_WORKITEM item = NULL;
    WORK_QUEUE_TYPE queue = Record->Decision.Queue;
    BOOLEAN listed = FALSE;
    BOOLEAN guarded = FALSE;
    ULONG64 precise;
    NTSTATUS status;

    Record->Data = Data;
    Record->TakenTime = KeQueryInterruptTimePrecise(&precise);
    Record->DueTime = Record->TakenTime + Record->Decision.DelayMs * MP_100NS_PER_MS;

    // The order of these tests is the order of the refusal causes: capacity before allocation.
    listed = MpHoldTake(Record);
    if (!listed) {
        *Refusal = MINIPEND_REFUSAL_CAPACITY;
        goto Refused;
    }
    if (!MpConnectionsIsListed(Record->Decision.ConnectionId)) {
        // The client left while the operation was below. Asked after the record was listed: a client that leaves from here on finds it.
        MpHoldRequestRelease(Record);
    }
    item = FltAllocateDeferredIoWorkItem();
    if (item == NULL) {
        *Refusal = MINIPEND_REFUSAL_ALLOCATION;
        goto Refused;
    }
    guarded = ExAcquireRundownProtection(&MpGlobals.DeferredRoutines);
    if (!guarded) {
        *Refusal = MINIPEND_REFUSAL_TEARING_DOWN;
        goto Refused;
    }

    MP_LEAVE(Cell);
    status = FltQueueDeferredIoWorkItem(item, Data, MpDeferredRoutine, queue, Record);
    if (NT_SUCCESS(status)) {
        return TRUE;
    }
    InterlockedDecrementNoFence64(&Cell->Left);
    *Refusal = MpRefusalOf(status);

Refused:
    if (guarded) {
        ExReleaseRundownProtection(&MpGlobals.DeferredRoutines);
    }
    if (item != NULL) {
        FltFreeDeferredIoWorkItem(item);
    }
    if (listed) {
        MpHoldUntake(Record);
    }
    return FALSE;
}
