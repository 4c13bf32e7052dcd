// SPDX-License-Identifier: MIT
//
// This module provides: the pre-operation and post-operation callbacks, one pair for all operations.
//
// The pre-operation finds the rules that may win, because there a name may be asked for; the post-operation chooses among them, because
// only there the status is known, and acts. What was found travels as the completion context, one word that needs no allocation unless there is something
// left to decide or to hold, or somebody reads events:
//
//      instance | tag      unmatched, observed, or refused for a cause that is known already
//      record              everything else
//
// The tag is in the three low bits, which are zero in anything that the Filter Manager and the framework allocate on a 64-bit machine.
//
// The instance travels because a post-operation at DISPATCH_LEVEL may not ask for contexts [CTX-09, IRQL-09].
//
// Every post-operation ends in exactly one of: unmatched, observed, draining, refused by one cause, pended, finished when safe, synchronised. Refusal
// causes have an order of precedence (MINIPEND_REFUSAL_LIST): what only the post-operation knows (draining) outranks what the pre-operation found.

#include "minipend.h"

#define MP_TAG_BITS ((ULONG_PTR)7)
#define MP_TAG_UNMATCHED ((ULONG_PTR)1)
#define MP_TAG_OBSERVED ((ULONG_PTR)2)
#define MP_TAG_REFUSED                                                                                                 \
    ((ULONG_PTR)3) // + the cause, less MINIPEND_REFUSAL_NOT_IRP: the causes that a pre-operation can find

C_ASSERT(MP_TAG_REFUSED + MINIPEND_REFUSAL_ALLOCATION - MINIPEND_REFUSAL_NOT_IRP <= MP_TAG_BITS);

static PVOID MpTagged(PMP_INSTANCE Instance, ULONG_PTR Tag) {
    NT_ASSERT(((ULONG_PTR)Instance & MP_TAG_BITS) == 0);
    return (PVOID)((ULONG_PTR)Instance | Tag);
}

static PVOID MpTaggedRefusal(PMP_INSTANCE Instance, MINIPEND_REFUSAL Refusal) {
    NT_ASSERT(Refusal >= MINIPEND_REFUSAL_NOT_IRP && Refusal <= MINIPEND_REFUSAL_ALLOCATION);
    return MpTagged(Instance, MP_TAG_REFUSED + Refusal - MINIPEND_REFUSAL_NOT_IRP);
}

/// Whether anybody wants to know more than counters.
static BOOLEAN MpIsWatched(VOID) {
    return ReadNoFence(&MpConnections.Rings) != 0 || MpTraceEnabled();
}

/// Whether a rule that may win wants this fast I/O to come again as an IRP.
static BOOLEAN MpWantsIrp(PFLT_CALLBACK_DATA Data, const MP_INSTANCE *Instance, const MP_MATCH *Match) {
    ULONG i;

    for (i = 0; i < Match->Count; i++) {
        const MP_RULE *rule = Match->Candidates[i].Rule;

        if (rule->Action != MINIPEND_ACTION_OBSERVE && FlagOn(rule->Flags, MINIPEND_RULE_FAST_IO_TO_IRP) &&
            !MpPolicyExcludes(Data, Instance, rule)) {
            return TRUE;
        }
    }
    return FALSE;
}

/// Whether a rule that may win wants the post-operation in this thread, and can have it.
static BOOLEAN MpWantsSynchronized(PFLT_CALLBACK_DATA Data, const MP_INSTANCE *Instance, const MP_MATCH *Match,
                                   BOOLEAN Permitted) {
    MINIPEND_REFUSAL refusal;
    ULONG i;

    for (i = 0; i < Match->Count; i++) {
        const MP_RULE *rule = Match->Candidates[i].Rule;

        if (rule->Action == MINIPEND_ACTION_SYNCHRONIZE &&
            (Permitted || !MpRefusedEarly(Data, Instance, rule, &refusal))) {
            return MpMaySynchronize(Data);
        }
    }
    return FALSE;
}

/// No memory for the record: the rule that would have won, or might have, is refused without one.
static PVOID MpPreNoRecord(PFLT_CALLBACK_DATA Data, PMP_INSTANCE Instance, MINIPEND_OPERATION Operation,
                           const MP_MATCH *Match) {
    MINIPEND_REFUSAL refusal = MpHoldIsFull() ? MINIPEND_REFUSAL_CAPACITY : MINIPEND_REFUSAL_ALLOCATION;
    PMP_RULE rule = Match->Candidates[0].Rule;
    MINIPEND_REFUSAL early;

    if (rule->Action != MINIPEND_ACTION_OBSERVE && MpRefusedEarly(Data, Instance, rule, &early)) {
        refusal = early;
    }
    if (MpIsWatched()) {
        MpEventRefused(Data, Instance, Operation, Match, refusal);
    }
    MP_RULE_SELECTED(rule);
    MP_RULE_REFUSED(rule);
    return MpTaggedRefusal(Instance, refusal);
}

/// Rules may win: what is sure and needs no record goes without one.
static FLT_PREOP_CALLBACK_STATUS MpPreMatched(PFLT_CALLBACK_DATA Data, PMP_INSTANCE Instance,
                                              MINIPEND_OPERATION Operation, PMP_MATCH Match, PVOID *CompletionContext) {
    PMP_RULE rule = Match->Candidates[0].Rule;
    BOOLEAN sure = !rule->NeedsPost;
    BOOLEAN permitted;
    MINIPEND_REFUSAL refusal;
    PMP_RECORD record;

    if (sure && rule->Action == MINIPEND_ACTION_OBSERVE) {
        MP_RULE_SELECTED(rule);
        *CompletionContext = MpTagged(Instance, MP_TAG_OBSERVED);
        return FLT_PREOP_SUCCESS_WITH_CALLBACK;
    }
    if (FLT_IS_FASTIO_OPERATION(Data) && MpWantsIrp(Data, Instance, Match)) {
        MP_COUNT(MpCell(Instance, Operation), FastIoDisallowed);
        return FLT_PREOP_DISALLOW_FASTIO;
    }
    permitted = sure && !MpRefusedEarly(Data, Instance, rule, &refusal);
    if (sure && !permitted && !MpIsWatched()) {
        MP_RULE_SELECTED(rule);
        MP_RULE_REFUSED(rule);
        *CompletionContext = MpTaggedRefusal(Instance, refusal);
        return FLT_PREOP_SUCCESS_WITH_CALLBACK;
    }

    record = MpRecordCreate(Instance, Operation, Match);
    if (record == NULL) {
        *CompletionContext = MpPreNoRecord(Data, Instance, Operation, Match);
        return FLT_PREOP_SUCCESS_WITH_CALLBACK;
    }
    *CompletionContext = record;
    record->Permitted = permitted;
    record->Synchronized = MpWantsSynchronized(Data, Instance, &record->Match, permitted);
    // A create's post-operation comes in this thread in any case [SYNC-02].
    return record->Synchronized && Operation != MINIPEND_OPERATION_CREATE ? FLT_PREOP_SYNCHRONIZE
                                                                          : FLT_PREOP_SUCCESS_WITH_CALLBACK;
}

/// An operation that some rule names.
static FLT_PREOP_CALLBACK_STATUS MpPreWanted(PFLT_CALLBACK_DATA Data, PCFLT_RELATED_OBJECTS FltObjects,
                                             PMP_INSTANCE Instance, MINIPEND_OPERATION Operation,
                                             PVOID *CompletionContext) {
    FLT_PREOP_CALLBACK_STATUS status = FLT_PREOP_SUCCESS_WITH_CALLBACK;
    MP_MATCH match;

    MpMatch(Data, FltObjects, Instance, Operation, &match);
    if (match.Count == 0) {
        *CompletionContext = MpTagged(Instance, MP_TAG_UNMATCHED);
    } else {
        status = MpPreMatched(Data, Instance, Operation, &match, CompletionContext);
    }
    MpMatchRelease(&match);
    return status;
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

/// Refuses it. The record's rule is chosen and what was seen is noted.
static VOID MpPostRefuse(PMP_RECORD Record, PMP_CELL Cell, MINIPEND_REFUSAL Refusal) {
    MpEvent(MINIPEND_EVENT_KIND_REFUSED, Record, Refusal);
    MP_RULE_REFUSED(Record->Rule);
    MpRecordFree(Record);
    MP_COUNT(Cell, Refused[Refusal]);
    MP_LEAVE(Cell);
}

/// Data is a copy and the operation may still be under way: nothing but clean up [DRAIN-02, DRAIN-04]. Only where the rule was sure to win is
/// it known that somebody misses something.
static VOID MpPostDraining(PFLT_CALLBACK_DATA Data, PMP_RECORD Record, PMP_CELL Cell) {
    const MP_RULE *rule = Record->Match.Candidates[0].Rule;

    if (!rule->NeedsPost && rule->Action != MINIPEND_ACTION_OBSERVE) {
        MpRecordChoose(Record, 0);
        MpRecordSee(Record, Data);
        MpPostRefuse(Record, Cell, MINIPEND_REFUSAL_DRAINING);
        return;
    }
    MpRecordFree(Record);
    MP_COUNT(Cell, Draining);
    MP_LEAVE(Cell);
}

/// Lets the first candidate that selects the operation win.
static BOOLEAN MpPostChoose(PMP_RECORD Record, NTSTATUS Status) {
    ULONG i;

    for (i = 0; i < Record->Match.Count; i++) {
        PMP_RULE rule = Record->Match.Candidates[i].Rule;

        if (!rule->NeedsPost || MpRuleSelects(rule, Status)) {
            MpRecordChoose(Record, i);
            return TRUE;
        }
    }
    return FALSE;
}

/// The post-operation of an operation with a record: chooses the rule and does what it says. IRQL <= DISPATCH_LEVEL.
static FLT_POSTOP_CALLBACK_STATUS MpPostRecord(PFLT_CALLBACK_DATA Data, PCFLT_RELATED_OBJECTS FltObjects,
                                               PMP_RECORD Record, FLT_POST_OPERATION_FLAGS Flags, PMP_CELL Cell) {
    FLT_POSTOP_CALLBACK_STATUS result = FLT_POSTOP_FINISHED_PROCESSING;
    MINIPEND_REFUSAL refusal;

    if (FlagOn(Flags, FLTFL_POST_OPERATION_DRAINING)) {
        MpPostDraining(Data, Record, Cell);
        return FLT_POSTOP_FINISHED_PROCESSING;
    }
    if (!MpPostChoose(Record, Data->IoStatus.Status)) {
        MpRecordFree(Record);
        MP_COUNT(Cell, Unmatched);
        MP_LEAVE(Cell);
        return FLT_POSTOP_FINISHED_PROCESSING;
    }
    if (Record->Rule->Action == MINIPEND_ACTION_OBSERVE) {
        MpRecordFree(Record);
        MP_COUNT(Cell, Observed);
        MP_LEAVE(Cell);
        return FLT_POSTOP_FINISHED_PROCESSING;
    }

    MpRecordSee(Record, Data);
    if (!Record->Permitted && MpRefusedEarly(Data, Record->Instance, Record->Rule, &refusal)) {
        MpPostRefuse(Record, Cell, refusal);
        return FLT_POSTOP_FINISHED_PROCESSING;
    }
    if (Record->Operation == MINIPEND_OPERATION_CREATE && Record->Rule->FailStatus != STATUS_SUCCESS) {
        // Here or never [CRE-04]; so whether or not it is then held.
        MpFailCreate(Record, Data, FltObjects);
    }
    switch (Record->Rule->Action) {
    case MINIPEND_ACTION_WHEN_SAFE:
        if (MpWhenSafe(Record, Data, FltObjects, Flags, &result, &refusal)) {
            return result;
        }
        break;
    case MINIPEND_ACTION_SYNCHRONIZE:
        if (MpSynchronize(Record, Data, Cell, &refusal)) {
            return FLT_POSTOP_FINISHED_PROCESSING;
        }
        break;
    default:
        if (Record->Synchronized && Record->Operation != MINIPEND_OPERATION_CREATE) {
            // Its pre-operation returned FLT_PREOP_SYNCHRONIZE, for another rule that might have won. No page says that it may be pended then
            // [SYNC-06]; to wait here comes to the same.
            if (MpSynchronize(Record, Data, Cell, &refusal)) {
                return FLT_POSTOP_FINISHED_PROCESSING;
            }
        } else if (MpPend(Record, Data, Cell, &refusal)) {
            return FLT_POSTOP_MORE_PROCESSING_REQUIRED;
        }
        break;
    }
    MpPostRefuse(Record, Cell, refusal);
    return FLT_POSTOP_FINISHED_PROCESSING;
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

    instance = tag == 0 ? ((PMP_RECORD)CompletionContext)->Instance
                        : (PMP_INSTANCE)((ULONG_PTR)CompletionContext & ~MP_TAG_BITS);
    cell = MpCell(instance, operation);
    MP_COUNT(cell, PostOperations);

    if (operation == MINIPEND_OPERATION_RENAME) {
        // Whatever became of it: a cached name may be wrong now. Before the operation is pended, since it has already taken effect.
        InterlockedIncrement64(&instance->RenameGeneration);
    }
    if (tag == 0) {
        return MpPostRecord(Data, FltObjects, CompletionContext, Flags, cell);
    }

    if (tag >= MP_TAG_REFUSED) {
        MP_COUNT(
            cell,
            Refused[FlagOn(Flags, FLTFL_POST_OPERATION_DRAINING) ? MINIPEND_REFUSAL_DRAINING
                                                                 : tag - MP_TAG_REFUSED + MINIPEND_REFUSAL_NOT_IRP]);
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
