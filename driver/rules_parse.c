// SPDX-License-Identifier: MIT
//
// This module provides: rules as they arrive in a message, turned into a rule set.
//
// One allocation: the set, its rules, the index by operation, the texts. Texts are upcased here, once, so that matching compares plainly.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpRulesParse)
#endif

/// Upcases a counted text into the set's text area and moves the area's pointer on.
static VOID MpPlaceText(PUNICODE_STRING To, const WCHAR *From, USHORT Bytes, PWCHAR *Area) {
    ULONG i;

    To->Buffer = *Area;
    To->Length = Bytes;
    To->MaximumLength = Bytes;
    for (i = 0; i < Bytes / sizeof(WCHAR); i++) {
        To->Buffer[i] = RtlUpcaseUnicodeChar(From[i]);
    }
    *Area += Bytes / sizeof(WCHAR);
}

static VOID MpPlaceTexts(const MINIPEND_RULE *From, PMP_RULE To, PWCHAR *Area) {
    static const WCHAR anyDepth[] = MP_ANY_DEPTH;
    const WCHAR *path = (const WCHAR *)(From + 1);
    UNICODE_STRING prefix;

    MpPlaceText(&prefix, anyDepth, MpAnyDepthBytes(From), Area);
    MpPlaceText(&To->Path, path, From->PathBytes, Area);
    // The prefix lies right before the pattern.
    To->Path.Buffer = prefix.Buffer;
    To->Path.Length += prefix.Length;
    To->Path.MaximumLength += prefix.Length;
    if (To->Path.Length == sizeof(WCHAR) && To->Path.Buffer[0] == L'*') {
        // Any path: no name needs to be asked for.
        To->Path.Length = 0;
    }
    MpPlaceText(&To->Volume, path + From->PathBytes / sizeof(WCHAR), From->VolumeBytes, Area);
}

/// To is zeroed.
static VOID MpPlaceRule(const MINIPEND_RULE *From, PMP_RULE To, PWCHAR *Area) {
    To->Id = From->Id;
    To->Flags = From->Flags;
    To->Conditions = From->Conditions;
    To->MinorFunctions = From->MinorFunctions;
    To->Action = From->Action;
    To->Hold = From->Hold;
    To->Queue = From->Queue == MINIPEND_QUEUE_CRITICAL ? CriticalWorkQueue : DelayedWorkQueue;
    To->DelayMs = From->DelayMs;
    To->ProcessId = From->ProcessId;
    To->StatusFilter = From->StatusFilter;
    To->MatchStatus = From->MatchStatus;
    To->FailStatus = From->FailStatus;
    To->EveryNth = max(From->EveryNth, 1u);
    To->AtMost = From->AtMost;
    To->ProbabilityPpm = From->ProbabilityPpm == 0 ? MP_ALL_PPM : From->ProbabilityPpm;
    To->MaxHeld = From->MaxHeld;
    To->Operations = From->Operations;
    To->Seed = From->Seed;
    To->NeedsPost = (BOOLEAN)(To->StatusFilter != MINIPEND_STATUS_FILTER_ANY || To->EveryNth > 1 || To->AtMost != 0 ||
                              To->ProbabilityPpm != MP_ALL_PPM);
    MpPlaceTexts(From, To, Area);
}

/// Fills the rules and the unions of their operations.
static VOID MpPlaceRules(PMP_RULE_SET Set, const MINIPEND_SET_RULES_REQUEST *Request, PWCHAR Area) {
    const UCHAR *at = (const UCHAR *)(Request + 1);
    ULONG i;

    for (i = 0; i < Set->Count; i++) {
        const MINIPEND_RULE *rule = (const MINIPEND_RULE *)at;

        MpPlaceRule(rule, &Set->Rules[i], &Area);
        Set->Operations |= rule->Operations;
        if (rule->Hold == MINIPEND_HOLD_GATE) {
            Set->GateOperations |= rule->Operations;
        }
        at += rule->SizeBytes;
    }
}

static VOID MpBuildIndex(PMP_RULE_SET Set, const MINIPEND_SET_RULES_REQUEST *Request) {
    ULONG entries = 0;
    ULONG operation;

    for (operation = 0; operation < MINIPEND_OPERATION_COUNT; operation++) {
        const UCHAR *at = (const UCHAR *)(Request + 1);
        ULONG i;

        Set->First[operation] = entries;
        for (i = 0; i < Set->Count; i++) {
            const MINIPEND_RULE *rule = (const MINIPEND_RULE *)at;

            if ((rule->Operations >> operation) & 1) {
                Set->Index[entries++] = i;
            }
            at += rule->SizeBytes;
        }
    }
    Set->First[MINIPEND_OPERATION_COUNT] = entries;
}

/// Turns a captured set-rules message (header included, SizeBytes == Bytes) into a rule set with one reference; its Generation and ProcessId are the caller's to
/// set. On failure Fault says what was wrong with which rule.
_Use_decl_annotations_ NTSTATUS MpRulesParse(const UCHAR *Message, ULONG Bytes, ULONG64 ConnectionId, PMP_RULE_SET *Set,
                                             PMP_FAULT Fault) {
    const MINIPEND_SET_RULES_REQUEST *request = (const MINIPEND_SET_RULES_REQUEST *)Message;
    const SIZE_T rulesAt = ALIGN_UP_BY(sizeof(MP_RULE_SET), 16);
    MP_RULES_SIZE size;
    SIZE_T indexAt;
    SIZE_T textAt;
    WDFMEMORY memory;
    PVOID block;
    PMP_RULE_SET set;

    PAGED_CODE();

    *Set = NULL;
    if (!MpRulesCheck(request, Bytes, &size, Fault)) {
        return Fault->Status;
    }

    indexAt = rulesAt + request->Count * sizeof(MP_RULE);
    textAt = indexAt + size.IndexEntries * sizeof(ULONG);
    Fault->Status = WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, MP_TAG_RULES, textAt + size.TextBytes,
                                    &memory, &block);
    if (!NT_SUCCESS(Fault->Status)) {
        Fault->Detail = MINIPEND_DETAIL_MEMORY;
        return Fault->Status;
    }

    set = block;
    RtlZeroMemory(set, indexAt);
    set->References = 1;
    set->Memory = memory;
    set->ConnectionId = ConnectionId;
    set->SetId = request->SetId;
    set->Persistent = (BOOLEAN)FlagOn(request->Flags, MINIPEND_SET_RULES_PERSIST);
    set->Count = request->Count;
    set->Rules = (PMP_RULE)((PUCHAR)block + rulesAt);
    set->Index = (PULONG)((PUCHAR)block + indexAt);
    MpPlaceRules(set, request, (PWCHAR)((PUCHAR)block + textAt));
    MpBuildIndex(set, request);
    *Set = set;
    return STATUS_SUCCESS;
}
