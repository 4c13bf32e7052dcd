// SPDX-License-Identifier: MIT
//
// This module provides: holding an operation in the thread of its pre-operation, which returned FLT_PREOP_SYNCHRONIZE.
//
// The Filter Manager then runs the post-operation in that thread, at APC_LEVEL at the most [SYNC-05], where it may wait. So an operation
// that cannot be pended (under a top-level IRP: every rename on FAT [POST-13]) can be held all the same: a record in state WAITING, which the
// same commands, deadlines and endings release. Nothing is given back: the callback returns. A create needs no FLT_PREOP_SYNCHRONIZE, its
// post-operation comes in its own thread anyway [IRQL-02]. When draining begins first, the post-operation comes as a draining call and never here
// [SYNC-05]; when it begins during the wait, TeardownStart wakes the thread, and the Filter Manager waits for the callback to return.

#include "minipend.h"

/// FSCTLs that ask for an oplock, or answer to a break and may stay with the file system until the next one [SYNC-03].
static BOOLEAN MpIsOplockControl(const FLT_CALLBACK_DATA *Data) {
    if (Data->Iopb->MinorFunction != IRP_MN_USER_FS_REQUEST && Data->Iopb->MinorFunction != IRP_MN_KERNEL_CALL) {
        return FALSE;
    }
    switch (Data->Iopb->Parameters.FileSystemControl.Common.FsControlCode) {
    case FSCTL_REQUEST_OPLOCK:
    case FSCTL_REQUEST_OPLOCK_LEVEL_1:
    case FSCTL_REQUEST_OPLOCK_LEVEL_2:
    case FSCTL_REQUEST_BATCH_OPLOCK:
    case FSCTL_REQUEST_FILTER_OPLOCK:
    case FSCTL_OPLOCK_BREAK_ACKNOWLEDGE:
    case FSCTL_OPLOCK_BREAK_ACK_NO_2:
    case FSCTL_OPLOCK_BREAK_NOTIFY:
        return TRUE;
    default:
        return FALSE;
    }
}

_Use_decl_annotations_ BOOLEAN MpMaySynchronize(PFLT_CALLBACK_DATA Data) {
    if (!FLT_IS_IRP_OPERATION(Data)) {
        return FALSE;
    }
    switch (Data->Iopb->MajorFunction) {
    case IRP_MJ_READ:
    case IRP_MJ_WRITE:
        return FltIsOperationSynchronous(Data);
    case IRP_MJ_DIRECTORY_CONTROL:
        return Data->Iopb->MinorFunction == IRP_MN_QUERY_DIRECTORY;
    case IRP_MJ_LOCK_CONTROL:
        return Data->Iopb->MinorFunction != IRP_MN_LOCK;
    case IRP_MJ_FILE_SYSTEM_CONTROL:
        return !MpIsOplockControl(Data);
    default:
        return TRUE;
    }
}

/// Until it is due, or asked for.
static VOID MpAwaitRelease(PMP_RECORD Record) {
    for (;;) {
        ULONG64 precise;
        ULONG64 now = KeQueryInterruptTimePrecise(&precise);
        LARGE_INTEGER timeout;

        if (now >= Record->DueTime) {
            return;
        }
        // Not alertable, and in kernel mode: what ends the wait early is Wake alone.
        timeout.QuadPart = -(LONGLONG)(Record->DueTime - now);
        if (KeWaitForSingleObject(&Record->Wake, Executive, KernelMode, FALSE, &timeout) == STATUS_SUCCESS) {
            return;
        }
    }
}

_Use_decl_annotations_ BOOLEAN MpSynchronize(PMP_RECORD Record, PFLT_CALLBACK_DATA Data, PMP_CELL Cell,
                                             MINIPEND_REFUSAL *Refusal) {
    ULONG64 owner = MP_RECORD_OWNER(Record);

    if (!Record->Synchronized) {
        // Its pre-operation could not ask for it: the operation is one of those that may not be synchronised.
        *Refusal = MINIPEND_REFUSAL_POLICY;
        return FALSE;
    }
    MpHoldBegin(Record, Data);
    if (!MpHoldWait(Record)) {
        *Refusal = MINIPEND_REFUSAL_CAPACITY;
        return FALSE;
    }
    MpHoldReleaseIfOrphaned(Record);
    MpEvent(MINIPEND_EVENT_KIND_TAKEN, Record, 0);
    if (Record->Rule->Hold != MINIPEND_HOLD_NONE) {
        MpEvent(MINIPEND_EVENT_KIND_PARKED, Record, 0);
        if (owner != 0) {
            MpBellRing(owner, MINIPEND_BELL_HELD);
        }
        MpAwaitRelease(Record);
    }
    MpHoldWaited(Record);
    MpReleasePrepare(Record);
    MpEvent(MINIPEND_EVENT_KIND_COMPLETED, Record, Record->Cause);
    MpRecordFree(Record);
    MP_LEAVE(Cell);
    return TRUE;
}
