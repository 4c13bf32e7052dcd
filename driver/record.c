// SPDX-License-Identifier: MIT
//
// This module provides: the record of one operation: made in its pre-operation, given its rule and what was seen in its post-operation, freed when
// the operation has been given back.
//
// A record owns a reference on the table it was matched in until its rule is chosen, then one on the rule's set, and one on the operation's thread
// from when it is held. MpRecordFree gives all of them back. The name is copied, so that nothing of the match outlives the pre-operation.

#include "minipend.h"

/// What a record begins with: everything before the name is zero.
#define MP_RECORD_HEAD FIELD_OFFSET(MP_RECORD, Name)

static VOID MpRecordName(PMP_RECORD Record, const MP_NAME *Name) {
    ULONG chars = Name->Bytes / sizeof(WCHAR);
    ULONG kept = min(chars, MINIPEND_MAX_NAME_CHARS);

    // The end of a name says more than its beginning.
    RtlCopyMemory(Record->Name, Name->Text + (chars - kept), kept * sizeof(WCHAR));
    Record->NameChars = (USHORT)kept;
    if (kept < chars) {
        Record->Seen.Flags = MINIPEND_SEEN_NAME_CUT;
    }
}

_Use_decl_annotations_ PMP_RECORD MpRecordCreate(PMP_INSTANCE Instance, MINIPEND_OPERATION Operation, PMP_MATCH Match) {
    WDFMEMORY memory;
    PMP_RECORD record;

    if (MpFaultAllocation() || !NT_SUCCESS(WdfMemoryCreateFromLookaside(MpGlobals.RecordLookaside, &memory))) {
        return NULL;
    }
    record = WdfMemoryGetBuffer(memory, NULL);
    RtlZeroMemory(record, MP_RECORD_HEAD);
    record->State = MpRecordNew;
    record->HeapIndex = MP_NOT_IN_HEAP;
    record->Memory = memory;
    record->Instance = Instance;
    record->InstanceId = Instance->Id;
    record->Operation = Operation;
    if (Match->Name.Name != NULL) {
        MpRecordName(record, Match->Name.Name);
        MpNameRelease(&Match->Name);
    }
    record->Match = *Match;
    Match->Table = NULL;
    Match->Count = 0;
    return record;
}

_Use_decl_annotations_ VOID MpRecordChoose(PMP_RECORD Record, ULONG Index) {
    PMP_RULE_TABLE table = Record->Match.Table;

    NT_ASSERT(Index < Record->Match.Count && Record->Set == NULL);
    Record->Rule = Record->Match.Candidates[Index].Rule;
    Record->Set = Record->Match.Candidates[Index].Set;
    Record->RuleGeneration = table->Generation;
    MP_RULE_SELECTED(Record->Rule);
    MpRuleSetReference(Record->Set);
    Record->Match.Table = NULL;
    Record->Match.Count = 0;
    MpTableDereference(table);
}

static UINT16 MpTopLevelIrpSeen(VOID) {
    ULONG_PTR top = (ULONG_PTR)IoGetTopLevelIrp();

    C_ASSERT(MINIPEND_TOP_LEVEL_IRP_FSP == FSRTL_FSP_TOP_LEVEL_IRP);
    C_ASSERT(MINIPEND_TOP_LEVEL_IRP_CACHE == FSRTL_CACHE_TOP_LEVEL_IRP);
    C_ASSERT(MINIPEND_TOP_LEVEL_IRP_MOD_WRITE == FSRTL_MOD_WRITE_TOP_LEVEL_IRP);
    C_ASSERT(MINIPEND_TOP_LEVEL_IRP_FAST_IO == FSRTL_FAST_IO_TOP_LEVEL_IRP);
    C_ASSERT(MINIPEND_TOP_LEVEL_IRP_NETWORK1 == FSRTL_NETWORK1_TOP_LEVEL_IRP);
    C_ASSERT(MINIPEND_TOP_LEVEL_IRP_NETWORK2 == FSRTL_NETWORK2_TOP_LEVEL_IRP);
    if (top < MINIPEND_TOP_LEVEL_IRP_OTHER) {
        return (UINT16)top;
    }
    return top <= FSRTL_MAX_TOP_LEVEL_IRP_FLAG ? MINIPEND_TOP_LEVEL_IRP_OTHER : MINIPEND_TOP_LEVEL_IRP_IRP;
}

static UINT16 MpThreadSeen(PETHREAD Requestor) {
    PETHREAD current = PsGetCurrentThread();

    if (current == Requestor) {
        return MINIPEND_THREAD_REQUESTOR;
    }
    return PsIsSystemThread(current) ? MINIPEND_THREAD_SYSTEM : MINIPEND_THREAD_ARBITRARY;
}

static UINT16 MpFlagsSeen(PFLT_CALLBACK_DATA Data) {
    UINT16 flags = 0;

    if (Data->RequestorMode == KernelMode) {
        flags |= MINIPEND_SEEN_KERNEL_MODE;
    }
    if (!FlagOn(Data->Flags, FLTFL_CALLBACK_DATA_DRAINING_IO) && FltIsOperationSynchronous(Data)) {
        flags |= MINIPEND_SEEN_SYNCHRONOUS;
    }
    if (FlagOn(Data->Flags, FLTFL_CALLBACK_DATA_SYSTEM_BUFFER)) {
        flags |= MINIPEND_SEEN_SYSTEM_BUFFER;
    }
    if (FlagOn(Data->Flags, FLTFL_CALLBACK_DATA_REISSUED_IO)) {
        flags |= MINIPEND_SEEN_REISSUED;
    }
    if (FlagOn(Data->Flags, FLTFL_CALLBACK_DATA_GENERATED_IO)) {
        flags |= MINIPEND_SEEN_GENERATED;
    }
    return flags;
}

_Use_decl_annotations_ VOID MpSee(PFLT_CALLBACK_DATA Data, MINIPEND_SEEN *Seen) {
    Seen->Irql = KeGetCurrentIrql();
    Seen->TopLevelIrp = MpTopLevelIrpSeen();
    Seen->Thread = MpThreadSeen(Data->Thread);
    Seen->Flags = MpFlagsSeen(Data);
    Seen->IrpFlags = FLT_IS_IRP_OPERATION(Data) ? Data->Iopb->IrpFlags : 0;
    Seen->Status = FlagOn(Data->Flags, FLTFL_CALLBACK_DATA_DRAINING_IO) ? 0 : Data->IoStatus.Status;
    Seen->ProcessId = FltGetRequestorProcessId(Data);
    Seen->ThreadId = Data->Thread != NULL ? HandleToULong(PsGetThreadId(Data->Thread)) : 0;
}

_Use_decl_annotations_ VOID MpRecordSee(PMP_RECORD Record, PFLT_CALLBACK_DATA Data) {
    UINT16 named = Record->Seen.Flags;

    MpSee(Data, &Record->Seen);
    Record->Seen.Flags |= named;
    Record->MajorFunction = Data->Iopb->MajorFunction;
    Record->MinorFunction = Data->Iopb->MinorFunction;
    Record->Information = FlagOn(Data->Flags, FLTFL_CALLBACK_DATA_DRAINING_IO) ? 0 : Data->IoStatus.Information;
}

/// Of a record that is neither listed nor queued.
_Use_decl_annotations_ VOID MpRecordFree(PMP_RECORD Record) {
    if (Record->Match.Table != NULL) {
        MpTableDereference(Record->Match.Table);
    }
    if (Record->Set != NULL) {
        MpRuleSetDereference(Record->Set);
    }
    if (Record->Thread != NULL) {
        ObDereferenceObject(Record->Thread);
    }
    WdfObjectDelete(Record->Memory);
}
