// SPDX-License-Identifier: MIT
//
// This module provides: giving an operation a failure that a rule or a client chose.
//
// What the file system has done stays done [POST-32]: only the answer changes. Three kinds of operation are special. Cleanup and close cannot fail
// [BUF-07]. A create that has succeeded has opened a file, which must be closed again by FltCancelFileOpen, and that may be called in the
// post-create callback alone [CRE-02, CRE-04]: so a create is failed by a rule, there, and never by a release. A create that ended
// in STATUS_REPARSE has opened nothing and is about to be tried elsewhere: it is left alone [POST-34].

#include "minipend.h"

#define MP_FACILITY(Status) (((ULONG)(Status) >> 16) & 0xFFF)
#define MP_FACILITY_FILTER_MANAGER 0x1C

_Use_decl_annotations_ BOOLEAN MpFailStatusIsValid(NTSTATUS Status) {
    // The Filter Manager's own statuses are instructions to it, or say what only it can know [POST-32]. STATUS_MORE_PROCESSING_REQUIRED is an
    // instruction to the I/O manager. STATUS_PENDING and STATUS_REPARSE are no failures.
    return NT_ERROR(Status) && MP_FACILITY(Status) != MP_FACILITY_FILTER_MANAGER &&
           Status != STATUS_MORE_PROCESSING_REQUIRED;
}

_Use_decl_annotations_ BOOLEAN MpMayFail(const MP_RECORD *Record) {
    if (Record->Operation == MINIPEND_OPERATION_CLEANUP || Record->Operation == MINIPEND_OPERATION_CLOSE) {
        return FALSE;
    }
    // Seen is from before MpFailCreate: what that has failed stays as it is, too.
    return Record->Operation != MINIPEND_OPERATION_CREATE || !NT_SUCCESS(Record->Seen.Status);
}

static VOID MpFailData(PFLT_CALLBACK_DATA Data, NTSTATUS Status) {
    NT_ASSERT(MpFailStatusIsValid(Status));
    Data->IoStatus.Status = Status;
    Data->IoStatus.Information = 0;
}

_Use_decl_annotations_ BOOLEAN MpFail(PMP_RECORD Record, NTSTATUS Status) {
    if (!MpMayFail(Record)) {
        return FALSE;
    }
    MpFailData(Record->Data, Status);
    return TRUE;
}

_Use_decl_annotations_ VOID MpFailCreate(PMP_RECORD Record, PFLT_CALLBACK_DATA Data, PCFLT_RELATED_OBJECTS FltObjects) {
    NTSTATUS seen = Data->IoStatus.Status;

    if (seen == STATUS_REPARSE) {
        return;
    }
    if (NT_SUCCESS(seen)) {
        if (FltObjects->FileObject == NULL || FlagOn(FltObjects->FileObject->Flags, FO_HANDLE_CREATED)) {
            // Somebody has the file already: to cancel it now would stop the machine. No post-create callback should see this [CRE-01].
            NT_ASSERT(FALSE);
            return;
        }
        FltCancelFileOpen(FltObjects->Instance, FltObjects->FileObject);
    }
    MpFailData(Data, Record->Rule->FailStatus);
    MpHoldCountFailed(Record);
}
