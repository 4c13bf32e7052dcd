// SPDX-License-Identifier: MIT
//
// This module provides: the threads that give held operations back, and the one place where that is done.
//
// FltCompletePendedPostOperation runs the post-operations of the filters above, and whatever the requestor's completion brings, on the
// calling thread [POST-05]. So it is called on our own PASSIVE_LEVEL system threads, with no lock held: never in a DPC, in a
// port callback or on a system worker thread, which others need. TeardownStart is the one exception, as documented [LIFE-11].
//
// What runs there can take long, or wait for another held operation. So none of these threads keeps the time for the others: watch.c does, gives nothing
// back itself, and starts another releasing thread when those there are do not get on (MpReleaseGrow), up to MaxReleaseThreads.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpReleaseGrow)
#pragma alloc_text(PAGE, MpReleaseStart)
#pragma alloc_text(PAGE, MpReleaseStop)
#endif

/// A client's status goes before the rule's. A create that a rule fails has been failed in its post-operation [CRE-04].
_Use_decl_annotations_ VOID MpReleasePrepare(PMP_RECORD Record) {
    NTSTATUS status = Record->ReleaseStatus;

    NT_ASSERT(Record->State == MpRecordReleasing);
    MpEvent(MINIPEND_EVENT_KIND_RELEASED, Record, Record->Cause);
    if (status == STATUS_SUCCESS && Record->Operation != MINIPEND_OPERATION_CREATE) {
        status = Record->Rule->FailStatus;
    }
    if (status != STATUS_SUCCESS && MpFail(Record, status)) {
        MpHoldCountFailed(Record);
    }
    Record->Seen.Status = Record->Data->IoStatus.Status;
}

/// RELEASING -> done. The record is the caller's; afterwards it is freed, and the instance may be gone.
_Use_decl_annotations_ VOID MpReleaseRecord(PMP_RECORD Record) {
    MpReleasePrepare(Record);
    FltCompletePendedPostOperation(Record->Data);
    // Record->Data and Record->Instance are no longer ours; the event uses the record's own copies.
    MpEvent(MINIPEND_EVENT_KIND_COMPLETED, Record, Record->Cause);
    MpRecordFree(Record);
}

static KSTART_ROUTINE MpReleaseThread;

static VOID NTAPI MpReleaseThread(_In_ PVOID Context) {
    UNREFERENCED_PARAMETER(Context);

    for (;;) {
        ULONG64 waitUntil;
        BOOLEAN stop;
        PMP_RECORD record = MpHoldNextDue(&waitUntil, &stop);

        if (record != NULL) {
            MpReleaseRecord(record);
        } else if (stop) {
            break;
        } else {
            LARGE_INTEGER timeout;
            PLARGE_INTEGER wait = NULL;
            ULONG64 precise;
            ULONG64 now = KeQueryInterruptTimePrecise(&precise);

            if (waitUntil != MP_NEVER) {
                timeout.QuadPart = waitUntil > now ? -(LONGLONG)(waitUntil - now) : 0;
                wait = &timeout;
            }
            (VOID) KeWaitForSingleObject(&MpHold.Wake, Executive, KernelMode, FALSE, wait);
        }
    }
    // Wake is a synchronization event, it lets one thread through: pass the news on.
    KeSetEvent(&MpHold.Wake, IO_NO_INCREMENT, FALSE);
}

/// Never inlined: its callers are paged, and it holds a spin lock.
static DECLSPEC_NOINLINE VOID MpReleaseSignalStop(VOID) {
    WdfSpinLockAcquire(MpHold.Lock);
    MpHold.Stop = TRUE;
    KeSetEvent(&MpHold.Wake, IO_NO_INCREMENT, FALSE);
    WdfSpinLockRelease(MpHold.Lock);
}

static NTSTATUS MpReleaseAdd(VOID) {
    NTSTATUS status = MpThreadStart(MpReleaseThread, &MpHold.Threads[MpHold.ThreadCount]);

    if (NT_SUCCESS(status)) {
        MpHold.ThreadCount++;
    }
    return status;
}

/// A thread that cannot be had now is asked for again when the watching thread looks next.
_Use_decl_annotations_ VOID MpReleaseGrow(VOID) {
    PAGED_CODE();

    if (MpHold.ThreadCount < MpGlobals.Limits.MaxReleaseThreads) {
        (VOID) MpReleaseAdd();
    }
}

/// Starts the releasing threads and the one that watches. On failure none is left running.
_Use_decl_annotations_ NTSTATUS MpReleaseStart(VOID) {
    NTSTATUS status = STATUS_SUCCESS;

    PAGED_CODE();

    while (NT_SUCCESS(status) && MpHold.ThreadCount < MpGlobals.Limits.ReleaseThreads) {
        status = MpReleaseAdd();
    }
    if (NT_SUCCESS(status)) {
        status = MpWatchStart();
    }
    if (!NT_SUCCESS(status)) {
        MpReleaseStop();
    }
    return status;
}

/// Ends and joins the threads, the one that may start others first. Nothing may be held any more, and nothing more may be taken.
_Use_decl_annotations_ VOID MpReleaseStop(VOID) {
    PAGED_CODE();

    MpWatchStop();
    MpReleaseSignalStop();
    while (MpHold.ThreadCount > 0) {
        MpThreadJoin(&MpHold.Threads[--MpHold.ThreadCount]);
    }
}
