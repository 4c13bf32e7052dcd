// SPDX-License-Identifier: MIT
//
// This module provides: rules as they arrive in a message, checked and turned into a rule set.
//
// The message has been captured: nobody else can change it any more. It is walked twice: once to check every rule and to measure the
// set, once to build it. The second walk relies on the first.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpRulesParse)
#endif

#define MP_ALL_OPERATIONS (MAXULONGLONG >> (64 - MINIPEND_OPERATION_COUNT))

static MINIPEND_DETAIL MpCheckRule(const MINIPEND_RULE *Rule, ULONG BytesLeft) {
    ULONG needed;

    if (BytesLeft < sizeof(*Rule)) {
        return MINIPEND_DETAIL_RULE_SIZE;
    }
    if (Rule->PathBytes > MINIPEND_MAX_PATTERN_CHARS * sizeof(WCHAR) || Rule->PathBytes % sizeof(WCHAR) != 0) {
        return MINIPEND_DETAIL_RULE_PATH;
    }
    if (Rule->VolumeBytes > MINIPEND_MAX_VOLUME_CHARS * sizeof(WCHAR) || Rule->VolumeBytes % sizeof(WCHAR) != 0) {
        return MINIPEND_DETAIL_RULE_VOLUME;
    }
    needed = (ULONG)ALIGN_UP_BY(sizeof(*Rule) + Rule->PathBytes + Rule->VolumeBytes, 8);
    if (Rule->SizeBytes != needed || BytesLeft < needed) {
        return MINIPEND_DETAIL_RULE_SIZE;
    }
    if (Rule->Operations == 0 || (Rule->Operations & ~MP_ALL_OPERATIONS) != 0) {
        return MINIPEND_DETAIL_RULE_OPERATIONS;
    }
    if (FlagOn(Rule->Flags, ~MINIPEND_RULE_VALID_FLAGS)) {
        return MINIPEND_DETAIL_RULE_FLAGS;
    }
    if (Rule->Hold != MINIPEND_HOLD_NONE && Rule->Hold != MINIPEND_HOLD_DELAY) {
        return MINIPEND_DETAIL_RULE_HOLD;
    }
    switch (Rule->Action) {
    case MINIPEND_ACTION_OBSERVE:
        if (Rule->Queue != MINIPEND_QUEUE_NONE) {
            return MINIPEND_DETAIL_RULE_QUEUE;
        }
        if (Rule->Hold != MINIPEND_HOLD_NONE) {
            return MINIPEND_DETAIL_RULE_HOLD;
        }
        break;
    case MINIPEND_ACTION_PEND:
        if (Rule->Queue != MINIPEND_QUEUE_CRITICAL && Rule->Queue != MINIPEND_QUEUE_DELAYED) {
            return MINIPEND_DETAIL_RULE_QUEUE;
        }
        break;
    default:
        return MINIPEND_DETAIL_RULE_ACTION;
    }
    if (Rule->DelayMs > MpGlobals.Limits.MaxDelayMs || (Rule->Hold == MINIPEND_HOLD_NONE && Rule->DelayMs != 0)) {
        return MINIPEND_DETAIL_RULE_DELAY;
    }
    return MINIPEND_DETAIL_NONE;
}

/// What goes before a pattern that matches at any depth. As text of its own and not as a loop in the matcher, so that a match stays one
/// walk over the name.
static const WCHAR MpAnyDepth[] = {L'*', L'\\'};

static USHORT MpAnyDepthBytes(const MINIPEND_RULE *Rule) {
    const WCHAR *path = (const WCHAR *)(Rule + 1);

    return Rule->PathBytes == 0 || path[0] == L'\\' || path[0] == L'*' ? 0 : (USHORT)sizeof(MpAnyDepth);
}

static ULONG MpCountBits(ULONG64 Bits) {
    ULONG count = 0;

    for (; Bits != 0; Bits &= Bits - 1) {
        count++;
    }
    return count;
}

/// Checks the message. On success IndexEntries and TextBytes say how much the set needs besides its rules.
static MINIPEND_DETAIL MpMeasureRules(const MINIPEND_SET_RULES_REQUEST *Request, ULONG Bytes, PULONG IndexEntries,
                                      PULONG TextBytes, PULONG BadIndex) {
    const UCHAR *at = (const UCHAR *)(Request + 1);
    ULONG left = Bytes - sizeof(*Request);
    ULONG i;

    *IndexEntries = 0;
    *TextBytes = 0;
    *BadIndex = 0;
    if (Request->Reserved != 0) {
        return MINIPEND_DETAIL_RESERVED;
    }
    if (Request->Count > MINIPEND_MAX_RULES) {
        return MINIPEND_DETAIL_RULE_COUNT;
    }
    for (i = 0; i < Request->Count; i++) {
        const MINIPEND_RULE *rule = (const MINIPEND_RULE *)at;
        MINIPEND_DETAIL detail = MpCheckRule(rule, left);

        if (detail != MINIPEND_DETAIL_NONE) {
            *BadIndex = i;
            return detail;
        }
        *IndexEntries += MpCountBits(rule->Operations);
        *TextBytes += rule->PathBytes + MpAnyDepthBytes(rule) + rule->VolumeBytes;
        at += rule->SizeBytes;
        left -= rule->SizeBytes;
    }
    return left == 0 ? MINIPEND_DETAIL_NONE : MINIPEND_DETAIL_SIZE;
}

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

static VOID MpPlaceRule(const MINIPEND_RULE *From, PMP_RULE To, PWCHAR *Area) {
    const WCHAR *path = (const WCHAR *)(From + 1);
    UNICODE_STRING prefix;

    To->Id = From->Id;
    To->Flags = From->Flags;
    To->Action = From->Action;
    To->Queue = From->Queue == MINIPEND_QUEUE_CRITICAL ? CriticalWorkQueue : DelayedWorkQueue;
    To->DelayMs = From->DelayMs;
    MpPlaceText(&prefix, MpAnyDepth, MpAnyDepthBytes(From), Area);
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

/// Turns a captured set-rules message (header included, SizeBytes == Bytes) into a rule set with one reference. On failure Fault says what was wrong
/// with which rule.
_Use_decl_annotations_ NTSTATUS MpRulesParse(const UCHAR *Message, ULONG Bytes, ULONG64 ConnectionId, PMP_RULE_SET *Set,
                                             PMP_FAULT Fault) {
    const MINIPEND_SET_RULES_REQUEST *request = (const MINIPEND_SET_RULES_REQUEST *)Message;
    ULONG indexEntries;
    ULONG textBytes;
    SIZE_T rulesAt = ALIGN_UP_BY(sizeof(MP_RULE_SET), 16);
    SIZE_T indexAt;
    SIZE_T textAt;
    WDFMEMORY memory;
    PVOID block;
    PMP_RULE_SET set;
    const UCHAR *at;
    PWCHAR area;
    ULONG i;

    PAGED_CODE();

    *Set = NULL;
    RtlZeroMemory(Fault, sizeof(*Fault));
    Fault->Detail = Bytes < sizeof(*request) ? MINIPEND_DETAIL_SIZE
                                             : MpMeasureRules(request, Bytes, &indexEntries, &textBytes, &Fault->Index);
    if (Fault->Detail != MINIPEND_DETAIL_NONE) {
        Fault->Status = Fault->Detail == MINIPEND_DETAIL_SIZE ? STATUS_INFO_LENGTH_MISMATCH : STATUS_INVALID_PARAMETER;
        return Fault->Status;
    }

    indexAt = rulesAt + request->Count * sizeof(MP_RULE);
    textAt = indexAt + indexEntries * sizeof(ULONG);
    Fault->Status =
        WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, MP_TAG_RULES, textAt + textBytes, &memory, &block);
    if (!NT_SUCCESS(Fault->Status)) {
        Fault->Detail = MINIPEND_DETAIL_MEMORY;
        return Fault->Status;
    }

    set = block;
    RtlZeroMemory(set, rulesAt);
    set->References = 1;
    set->Memory = memory;
    set->ConnectionId = ConnectionId;
    set->Count = request->Count;
    set->Rules = (PMP_RULE)((PUCHAR)block + rulesAt);
    set->Index = (PULONG)((PUCHAR)block + indexAt);
    area = (PWCHAR)((PUCHAR)block + textAt);
    at = (const UCHAR *)(request + 1);
    for (i = 0; i < set->Count; i++) {
        const MINIPEND_RULE *rule = (const MINIPEND_RULE *)at;

        MpPlaceRule(rule, &set->Rules[i], &area);
        set->Operations |= rule->Operations;
        at += rule->SizeBytes;
    }
    MpBuildIndex(set, request);
    *Set = set;
    return STATUS_SUCCESS;
}
