// SPDX-License-Identifier: MIT
//
// This module provides: the threads that give held operations back, and the one place where that is done.
//
// FltCompletePendedPostOperation runs the post-operations of the filters above, and whatever the requestor's completion brings, on the
// calling thread [POST-05]. So it is called on our own PASSIVE_LEVEL system threads, with no lock held: never in a DPC, in a
// port callback or on a system worker thread, which others need. TeardownStart is the one exception, as documented [LIFE-11].

#include "minipend.h"

#ifdef ALLOC_PRAGMA
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
        BOOLEAN watch;
        PMP_RECORD record = MpHoldNextDue(&waitUntil, &stop, &watch);

        if (watch) {
            // Before the record: giving that back can take long.
            MpWatchThreads();
        }
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

/// Starts the releasing threads. On failure none is left running.
_Use_decl_annotations_ NTSTATUS MpReleaseStart(VOID) {
    NTSTATUS status = STATUS_SUCCESS;
    OBJECT_ATTRIBUTES attributes;

    PAGED_CODE();

    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    while (MpHold.ThreadCount < MpGlobals.Limits.ReleaseThreads) {
        HANDLE handle;
        PVOID thread;

        status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, &attributes, NULL, NULL, MpReleaseThread, NULL);
        if (!NT_SUCCESS(status)) {
            break;
        }
        status = ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &thread, NULL);
        if (!NT_SUCCESS(status)) {
            // It cannot be joined by its object later on, so it must be gone before this returns.
            MpReleaseSignalStop();
            NT_VERIFY(NT_SUCCESS(ZwWaitForSingleObject(handle, FALSE, NULL)));
        }
        NT_VERIFY(NT_SUCCESS(ZwClose(handle)));
        if (!NT_SUCCESS(status)) {
            break;
        }
        MpHold.Threads[MpHold.ThreadCount++] = thread;
    }
    if (!NT_SUCCESS(status)) {
        MpReleaseStop();
    }
    return status;
}

/// Ends and joins the releasing threads. Nothing may be held any more, and nothing more may be taken.
_Use_decl_annotations_ VOID MpReleaseStop(VOID) {
    PAGED_CODE();

    MpReleaseSignalStop();
    while (MpHold.ThreadCount > 0) {
        PETHREAD thread = MpHold.Threads[--MpHold.ThreadCount];

        (VOID) KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(thread);
    }
}
