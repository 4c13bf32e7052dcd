// SPDX-License-Identifier: MIT
//
// This module provides: the pre-operation and post-operation callbacks, one pair for all operations.
//
// The pre-operation decides, because there a name may be asked for; the post-operation acts. What was decided travels as the
// completion context, one word that needs no allocation unless an operation is to be pended:
//
//      instance | tag      unmatched, observed, or refused for a cause that is known already
//      record              to be pended
//
// The tag is in the three low bits, which are zero in anything that the Filter Manager and the framework allocate on a 64-bit machine.
//
// The instance travels because a post-operation at DISPATCH_LEVEL may not ask for contexts [CTX-09, IRQL-09].
//
// Every post-operation ends in exactly one of: unmatched, observed, draining, refused by one cause, pended. Refusal causes have
// an order of precedence (MINIPEND_REFUSAL_LIST): what only the post-operation knows (draining) outranks what the pre-operation found.

#include "minipend.h"

#define MP_TAG_BITS ((ULONG_PTR)7)
#define MP_TAG_UNMATCHED ((ULONG_PTR)1)
#define MP_TAG_OBSERVED ((ULONG_PTR)2)
#define MP_TAG_REFUSED ((ULONG_PTR)3) // + index into MpEarlyRefusals

/// The causes that a pre-operation can find.
typedef enum _MP_EARLY_REFUSAL {
    MpEarlyNotIrp,
    MpEarlyPaging,
    MpEarlyPolicy,
    MpEarlyAllocation,
    MpEarlyCount
} MP_EARLY_REFUSAL;

static const MINIPEND_REFUSAL MpEarlyRefusals[MpEarlyCount] = {
    MINIPEND_REFUSAL_NOT_IRP,
    MINIPEND_REFUSAL_PAGING,
    MINIPEND_REFUSAL_POLICY,
    MINIPEND_REFUSAL_ALLOCATION,
};

C_ASSERT(3 + MpEarlyCount <= 8);

static PVOID MpTagged(PMP_INSTANCE Instance, ULONG_PTR Tag) {
    NT_ASSERT(((ULONG_PTR)Instance & MP_TAG_BITS) == 0);
    return (PVOID)((ULONG_PTR)Instance | Tag);
}

/// FSCTLs under which the volume itself is held; the hazard table says never. The I/O manager's mount and verify come as other minors.
static BOOLEAN MpIsVolumeControl(const FLT_CALLBACK_DATA *Data) {
    ULONG code;

    if (Data->Iopb->MajorFunction != IRP_MJ_FILE_SYSTEM_CONTROL) {
        return FALSE;
    }
    if (Data->Iopb->MinorFunction != IRP_MN_USER_FS_REQUEST && Data->Iopb->MinorFunction != IRP_MN_KERNEL_CALL) {
        return TRUE;
    }
    code = Data->Iopb->Parameters.FileSystemControl.Common.FsControlCode;
    return code == FSCTL_LOCK_VOLUME || code == FSCTL_UNLOCK_VOLUME || code == FSCTL_DISMOUNT_VOLUME;
}

/// Whether a safety default keeps the rule's action away from this operation.
static BOOLEAN MpPolicyExcludes(const FLT_CALLBACK_DATA *Data, const MP_INSTANCE *Instance,
                                const MP_DECISION *Decision) {
    if (Data->RequestorMode == KernelMode && !FlagOn(Decision->Flags, MINIPEND_RULE_KERNEL_MODE)) {
        return TRUE;
    }
    if (Instance->BootVolume && !FlagOn(Decision->Flags, MINIPEND_RULE_BOOT_VOLUME)) {
        return TRUE;
    }
    // Only its opening: the paging file's own reads and writes are paging I/O, which is refused in any case.
    if (Data->Iopb->MajorFunction == IRP_MJ_CREATE && FlagOn(Data->Iopb->OperationFlags, SL_OPEN_PAGING_FILE) &&
        !FlagOn(Decision->Flags, MINIPEND_RULE_PAGING_FILE)) {
        return TRUE;
    }
    if (MpIsVolumeControl(Data)) {
        return TRUE;
    }
    // The thread that would ask for the release must not wait for it.
    return MpConnectionsIsClientThread(Data->Thread);
}

/// An operation that some rule names: match it, and prepare what the rule wants.
static FLT_PREOP_CALLBACK_STATUS MpPreWanted(PFLT_CALLBACK_DATA Data, PCFLT_RELATED_OBJECTS FltObjects,
                                             PMP_INSTANCE Instance, MINIPEND_OPERATION Operation,
                                             PVOID *CompletionContext) {
    MP_DECISION decision;
    MP_EARLY_REFUSAL refusal;
    PMP_RECORD record;

    MpRulesMatch(Data, FltObjects, Instance, Operation, &decision);
    if (!decision.Matched) {
        *CompletionContext = MpTagged(Instance, MP_TAG_UNMATCHED);
        return FLT_PREOP_SUCCESS_WITH_CALLBACK;
    }
    if (decision.Action == MINIPEND_ACTION_OBSERVE) {
        *CompletionContext = MpTagged(Instance, MP_TAG_OBSERVED);
        return FLT_PREOP_SUCCESS_WITH_CALLBACK;
    }

    if (FLT_IS_FASTIO_OPERATION(Data) && FlagOn(decision.Flags, MINIPEND_RULE_FAST_IO_TO_IRP) &&
        !MpPolicyExcludes(Data, Instance, &decision)) {
        MP_COUNT(MpCell(Instance, Operation), FastIoDisallowed);
        return FLT_PREOP_DISALLOW_FASTIO;
    }
    if (!FLT_IS_IRP_OPERATION(Data)) {
        refusal = MpEarlyNotIrp;
    } else if (FlagOn(Data->Iopb->IrpFlags, IRP_PAGING_IO)) {
        // Not IRP_SYNCHRONOUS_PAGING_IO as well: its value is IRP_INPUT_OPERATION's, which every query carries [INFO-07].
        refusal = MpEarlyPaging;
    } else if (MpPolicyExcludes(Data, Instance, &decision)) {
        refusal = MpEarlyPolicy;
    } else {
        record = MpRecordCreate(Instance, Operation, &decision);
        if (record != NULL) {
            *CompletionContext = record;
            return FLT_PREOP_SUCCESS_WITH_CALLBACK;
        }
        refusal = MpEarlyAllocation;
    }
    *CompletionContext = MpTagged(Instance, MP_TAG_REFUSED + refusal);
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

/// IRQL <= APC_LEVEL, thread of the requestor or of a filter above.
_Use_decl_annotations_ FLT_PREOP_CALLBACK_STATUS FLTAPI MpPreOperation(PFLT_CALLBACK_DATA Data,
                                                                       PCFLT_RELATED_OBJECTS FltObjects,
                                                                       PVOID *CompletionContext) {
    PMP_INSTANCE instance;
    MINIPEND_OPERATION operation;

    *CompletionContext = NULL;
    if (!NT_SUCCESS(FltGetInstanceContext(FltObjects->Instance, (PFLT_CONTEXT *)&instance))) {
        // Only an instance whose setup declined has none, and it gets no operations.
        NT_ASSERT(FALSE);
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    }
    // The instance outlives its callbacks, see MP_INSTANCE.
    FltReleaseContext(instance);

    operation = MpClassify(Data);
    if (MpRulesWant(operation)) {
        return MpPreWanted(Data, FltObjects, instance, operation, CompletionContext);
    }
    *CompletionContext = MpTagged(instance, MP_TAG_UNMATCHED);
    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

/// The post-operation of an operation that is to be pended. IRQL <= DISPATCH_LEVEL.
static FLT_POSTOP_CALLBACK_STATUS MpPostRecord(PFLT_CALLBACK_DATA Data, PMP_RECORD Record,
                                               FLT_POST_OPERATION_FLAGS Flags, PMP_CELL Cell) {
    MINIPEND_REFUSAL refusal;

    if (FlagOn(Flags, FLTFL_POST_OPERATION_DRAINING)) {
        // Data is a copy and the operation may still be under way: nothing but clean up [DRAIN-02, DRAIN-04].
        refusal = MINIPEND_REFUSAL_DRAINING;
    } else if (MpPend(Record, Data, Cell, &refusal)) {
        return FLT_POSTOP_MORE_PROCESSING_REQUIRED;
    }
    MpRecordFree(Record);
    MP_COUNT(Cell, Refused[refusal]);
    MP_LEAVE(Cell);
    return FLT_POSTOP_FINISHED_PROCESSING;
}

/// Which cause counts, of those that apply to an operation whose pre-operation found one: the first in the order of precedence.
static MINIPEND_REFUSAL MpFirstRefusal(ULONG_PTR Tag, FLT_POST_OPERATION_FLAGS Flags) {
    MINIPEND_REFUSAL refusal = MpEarlyRefusals[Tag - MP_TAG_REFUSED];

    if (FlagOn(Flags, FLTFL_POST_OPERATION_DRAINING)) {
        return MINIPEND_REFUSAL_DRAINING;
    }
    if (refusal == MINIPEND_REFUSAL_ALLOCATION && MpHoldIsFull()) {
        return MINIPEND_REFUSAL_CAPACITY;
    }
    return refusal;
}

/// IRQL <= DISPATCH_LEVEL, arbitrary thread [IRQL-01]; nonpaged memory only.
_Use_decl_annotations_ FLT_POSTOP_CALLBACK_STATUS FLTAPI MpPostOperation(PFLT_CALLBACK_DATA Data,
                                                                         PCFLT_RELATED_OBJECTS FltObjects,
                                                                         PVOID CompletionContext,
                                                                         FLT_POST_OPERATION_FLAGS Flags) {
    ULONG_PTR tag = (ULONG_PTR)CompletionContext & MP_TAG_BITS;
    PMP_INSTANCE instance;
    MINIPEND_OPERATION operation = MpClassify(Data);
    PMP_CELL cell;

    UNREFERENCED_PARAMETER(FltObjects);

    instance = tag == 0 ? ((PMP_RECORD)CompletionContext)->Instance
                        : (PMP_INSTANCE)((ULONG_PTR)CompletionContext & ~MP_TAG_BITS);
    cell = MpCell(instance, operation);
    MP_COUNT(cell, PostOperations);

    if (operation == MINIPEND_OPERATION_RENAME) {
        // Whatever became of it: a cached name may be wrong now. Before the operation is pended, since it has already taken effect.
        InterlockedIncrement64(&instance->RenameGeneration);
    }
    if (tag == 0) {
        return MpPostRecord(Data, CompletionContext, Flags, cell);
    }

    if (tag >= MP_TAG_REFUSED) {
        MP_COUNT(cell, Refused[MpFirstRefusal(tag, Flags)]);
    } else if (FlagOn(Flags, FLTFL_POST_OPERATION_DRAINING)) {
        MP_COUNT(cell, Draining);
    } else if (tag == MP_TAG_OBSERVED) {
        MP_COUNT(cell, Observed);
    } else {
        MP_COUNT(cell, Unmatched);
    }
    MP_LEAVE(cell);
    return FLT_POSTOP_FINISHED_PROCESSING;
}
