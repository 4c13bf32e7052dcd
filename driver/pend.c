// SPDX-License-Identifier: MIT
//
// This module provides: taking an operation in its post-operation callback. This is the code that the published samples lack.
//
//      post-operation                     system worker thread                releasing thread
//      --------------                     --------------------                ----------------
//      count and list the record
//      allocate a deferred work item
//      FltQueueDeferredIoWorkItem  -----> MpDeferredRoutine
//        refused: undo, free the item,      free the item
//        return FINISHED_PROCESSING         park the record  ---------------> FltCompletePendedPostOperation
//        accepted: touch nothing,
//        return MORE_PROCESSING_REQUIRED
//
// The traps:
//   - The deferred routine can run, and the operation can be given back and its memory be gone, before FltQueueDeferredIoWorkItem has
//     returned [POST-07]. So everything is prepared before the call, and after success nothing of it is touched: what is needed then was copied.
//   - On refusal the item still belongs to us and the operation must be finished here and now; there is no second try [POST-16].
//   - The call looks at the *current* thread's top-level IRP, not at the requestor's [POST-12]; so do we, to name the cause.
//   - The routine must not hold the operation: it runs on a system worker thread, of which there are few [PRE-07]. It parks the record.
//   - The routine must not end in FltFreeDeferredIoWorkItem: as a tail call it makes Filter Verifier report a leak [VER-04]. And what it does
//     after parking must touch nothing that an unload frees [UNL-07]: the rundown protection, which unload waits for, is its last. The return
//     instruction behind it is covered by the reference that the Filter Manager holds until the routine has returned [UNL-07, E].

#include "minipend.h"

static VOID FLTAPI MpDeferredRoutine(_In_ PFLT_DEFERRED_IO_WORKITEM WorkItem, _In_ PFLT_CALLBACK_DATA Data,
                                     _In_opt_ PVOID Context) {
    PMP_RECORD record = Context;
    ULONG64 owner = MP_RECORD_OWNER(record);
    BOOLEAN held = record->Rule->Hold != MINIPEND_HOLD_NONE;

    UNREFERENCED_PARAMETER(Data);

    FltFreeDeferredIoWorkItem(WorkItem);
    MpEvent(MINIPEND_EVENT_KIND_PARKED, record, 0);
    MpHoldPark(record);
    // The record may be gone.
    if (held && owner != 0) {
        MpBellRing(owner, MINIPEND_BELL_HELD);
    }
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

_Use_decl_annotations_ VOID MpHoldBegin(PMP_RECORD Record, PFLT_CALLBACK_DATA Data) {
    ULONG64 precise;

    Record->Data = Data;
    Record->TakenTime = KeQueryInterruptTimePrecise(&precise);
    Record->DueTime = Record->TakenTime + Record->Rule->DelayMs * MP_100NS_PER_MS;
    if (Data->Thread != NULL) {
        // Until it is given back: watch.c looks whether the thread is terminating.
        ObReferenceObject(Data->Thread);
        Record->Thread = Data->Thread;
    }
}

_Use_decl_annotations_ VOID MpHoldReleaseIfOrphaned(PMP_RECORD Record) {
    if (Record->Rule->Hold == MINIPEND_HOLD_NONE) {
        return;
    }
    if (!MpConnectionsIsListed(MP_RECORD_OWNER(Record))) {
        MpHoldRequestRelease(Record, MINIPEND_RELEASE_CAUSE_DISCONNECT);
    } else if (Record->Rule->Hold == MINIPEND_HOLD_GATE && !MpRulesSetIsListed(Record->Set)) {
        MpHoldRequestRelease(Record, MINIPEND_RELEASE_CAUSE_GATE_CLOSED);
    }
}

/// Pends the operation. TRUE: it is taken, the caller touches nothing any more and returns FLT_POSTOP_MORE_PROCESSING_REQUIRED. FALSE: it
/// was refused, for the reason given, and the record still belongs to the caller. The caller has excluded draining, fast I/O, FS-filter
/// operations and paging I/O: for those the documentation forbids the attempt. With a top-level IRP it is made only when the rule audits that.
_Use_decl_annotations_ BOOLEAN MpPend(PMP_RECORD Record, PFLT_CALLBACK_DATA Data, PMP_CELL Cell,
                                      MINIPEND_REFUSAL *Refusal) {
    PFLT_DEFERRED_IO_WORKITEM item = NULL;
    WORK_QUEUE_TYPE queue = Record->Rule->Queue;
    BOOLEAN topLevel = IoGetTopLevelIrp() != NULL;
    BOOLEAN guarded = FALSE;
    BOOLEAN said = FALSE;
    NTSTATUS status;

    MpHoldBegin(Record, Data);

    // The order of these tests is the order of the refusal causes: capacity, allocation, top-level IRP.
    if (!MpHoldTake(Record)) {
        *Refusal = MINIPEND_REFUSAL_CAPACITY;
        return FALSE;
    }
    MpHoldReleaseIfOrphaned(Record);
    item = MpFaultAllocation() ? NULL : FltAllocateDeferredIoWorkItem();
    if (item == NULL) {
        *Refusal = MINIPEND_REFUSAL_ALLOCATION;
        goto Refused;
    }
    if (topLevel && !FlagOn(Record->Rule->Flags, MINIPEND_RULE_AUDIT_TOP_LEVEL_IRP)) {
        *Refusal = MINIPEND_REFUSAL_TOP_LEVEL_IRP;
        goto Refused;
    }
    guarded = ExAcquireRundownProtection(&MpGlobals.DeferredRoutines);
    if (!guarded) {
        *Refusal = MINIPEND_REFUSAL_TEARING_DOWN;
        goto Refused;
    }
    said = TRUE;
    MpEvent(MINIPEND_EVENT_KIND_TAKEN, Record, 0);

    MP_LEAVE(Cell);
    status = FltQueueDeferredIoWorkItem(item, Data, MpDeferredRoutine, queue, Record);
    if (NT_SUCCESS(status)) {
        if (topLevel) {
            InterlockedIncrementNoFence64(&MpHold.UnexpectedSuccesses);
        }
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
    MpHoldUntake(Record);
    if (!said) {
        // To whoever reads events it was never taken.
        Record->Id = 0;
    }
    return FALSE;
}
