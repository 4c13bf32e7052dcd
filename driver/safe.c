// SPDX-License-Identifier: MIT
//
// This module provides: finishing an operation through FltDoCompletionProcessingWhenSafe.
//
//      IRQL < DISPATCH_LEVEL    the callback runs at once, in this thread [SAFE-02]: this is no way to move work to a worker [SAFE-06]
//      otherwise, postable      the callback runs on a system worker; the Filter Manager goes on with the completion when it has returned
//                               FLT_POSTOP_FINISHED_PROCESSING [SAFE-03]
//      otherwise                FALSE: the callback never runs
//
// Nothing is held: the rule's failure is given, the operation counted, its record freed. The callback counts itself out (MP_LEAVE), wherever it runs: a
// posted one shows as inside a callback until it is through. It holds a reference on the rundown protection, as the deferred routine does, so that an
// unload does not overtake it. When the call has returned TRUE the record may be gone.

#include "minipend.h"

static FLT_POSTOP_CALLBACK_STATUS FLTAPI MpSafeCallback(_Inout_ PFLT_CALLBACK_DATA Data,
                                                        _In_ PCFLT_RELATED_OBJECTS FltObjects,
                                                        _In_opt_ PVOID CompletionContext,
                                                        _In_ FLT_POST_OPERATION_FLAGS Flags) {
    PMP_RECORD record = CompletionContext;
    PMP_CELL cell = MpCell(record->Instance, record->Operation);
    NTSTATUS fail = record->Operation == MINIPEND_OPERATION_CREATE ? 0 : record->Rule->FailStatus;

    UNREFERENCED_PARAMETER(FltObjects);
    UNREFERENCED_PARAMETER(Flags);

    record->Data = Data;
    MpHoldCountWhenSafe(record, fail != 0 && MpFail(record, fail));
    record->Seen.Status = Data->IoStatus.Status;
    MpEvent(MINIPEND_EVENT_KIND_COMPLETED, record, MINIPEND_RELEASE_CAUSE_DUE);
    MpRecordFree(record);
    MP_LEAVE(cell);
    ExReleaseRundownProtection(&MpGlobals.DeferredRoutines);
    return FLT_POSTOP_FINISHED_PROCESSING;
}

/// Why it was refused: the call gives no status, so what the documentation names as causes is looked at.
static MINIPEND_REFUSAL MpWhenSafeRefusal(const MP_RECORD *Record) {
    if (IoGetTopLevelIrp() != NULL) {
        return MINIPEND_REFUSAL_TOP_LEVEL_IRP;
    }
    if (ReadBooleanNoFence(&Record->Instance->TearingDown)) {
        return MINIPEND_REFUSAL_TEARING_DOWN;
    }
    InterlockedIncrementNoFence64(&MpHold.UnexpectedRefusals);
    return MINIPEND_REFUSAL_UNSAFE;
}

/// The caller has excluded what the documentation forbids here: draining, fast I/O, FS-filter operations, paging I/O [SAFE-01].
_Use_decl_annotations_ BOOLEAN MpWhenSafe(PMP_RECORD Record, PFLT_CALLBACK_DATA Data, PCFLT_RELATED_OBJECTS FltObjects,
                                          FLT_POST_OPERATION_FLAGS Flags, FLT_POSTOP_CALLBACK_STATUS *Result,
                                          MINIPEND_REFUSAL *Refusal) {
    *Result = FLT_POSTOP_FINISHED_PROCESSING;
    if (!ExAcquireRundownProtection(&MpGlobals.DeferredRoutines)) {
        *Refusal = MINIPEND_REFUSAL_TEARING_DOWN;
        return FALSE;
    }
    if (FltDoCompletionProcessingWhenSafe(Data, FltObjects, Record, Flags, MpSafeCallback, Result)) {
        return TRUE;
    }
    ExReleaseRundownProtection(&MpGlobals.DeferredRoutines);
    *Result = FLT_POSTOP_FINISHED_PROCESSING;
    *Refusal = MpWhenSafeRefusal(Record);
    return FALSE;
}
