// SPDX-License-Identifier: MIT
//
// This module provides: what clients see of the rule table: each rule as it was compiled, whose it is, and what it has done.
//
// The table is referenced by the caller and immutable, but for the rules' counts. Those are read in the order Refused, Taken and HeldNow (one moment,
// under MpHold.Lock), Selected, so that of an operation on its way no more is told than that it was selected: see MP_RULE_REFUSED. The counts of
// different rules are of different moments.
//
// Entries are paged and written by paged code; what needs a spin lock is copied to the stack by code that is neither.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpRulesMeasure)
#pragma alloc_text(PAGE, MpRulesDescribe)
#endif

/// A place in a table.
typedef struct _MP_RULE_CURSOR {
    ULONG Entry; ///< Table->Count: behind the last rule.
    ULONG Rule; ///< Of the entry's set; no set is empty.
} MP_RULE_CURSOR;

/// Of the rule at Place, or behind the last one.
static MP_RULE_CURSOR MpCursorAt(const MP_RULE_TABLE *Table, ULONG Place) {
    MP_RULE_CURSOR cursor = {0, Place};

    while (cursor.Entry < Table->Count && cursor.Rule >= Table->Entries[cursor.Entry].Set->Count) {
        cursor.Rule -= Table->Entries[cursor.Entry].Set->Count;
        cursor.Entry++;
    }
    return cursor;
}

static VOID MpCursorNext(const MP_RULE_TABLE *Table, MP_RULE_CURSOR *Cursor) {
    Cursor->Rule++;
    if (Cursor->Rule == Table->Entries[Cursor->Entry].Set->Count) {
        Cursor->Rule = 0;
        Cursor->Entry++;
    }
}

static const MP_RULE *MpCursorRule(const MP_RULE_TABLE *Table, const MP_RULE_CURSOR *Cursor) {
    return &Table->Entries[Cursor->Entry].Set->Rules[Cursor->Rule];
}

/// Of the rule as it is in a message, compiled texts and all.
static ULONG MpRuleMessageBytes(const MP_RULE *Rule) {
    return (ULONG)ALIGN_UP_BY(sizeof(MINIPEND_RULE) + Rule->Path.Length + Rule->Volume.Length, 8);
}

static ULONG MpRuleEntryBytes(const MP_RULE *Rule) {
    return (ULONG)FIELD_OFFSET(MINIPEND_RULE_ENTRY, Rule) + MpRuleMessageBytes(Rule);
}

_Use_decl_annotations_ VOID MpRulesMeasure(const MP_RULE_TABLE *Table, ULONG First, ULONG MaxEntries, ULONG MaxBytes,
                                           PMP_RULE_PAGE Page) {
    const ULONG most = min(MaxEntries, MINIPEND_MAX_RULE_ENTRIES);
    MP_RULE_CURSOR cursor;
    ULONG i;

    PAGED_CODE();

    RtlZeroMemory(Page, sizeof(*Page));
    Page->First = First;
    if (Table == NULL) {
        return;
    }
    for (i = 0; i < Table->Count; i++) {
        Page->RuleCount += Table->Entries[i].Set->Count;
    }
    for (cursor = MpCursorAt(Table, First); cursor.Entry < Table->Count; MpCursorNext(Table, &cursor)) {
        const ULONG bytes = MpRuleEntryBytes(MpCursorRule(Table, &cursor));

        if (Page->LeastBytes == 0) {
            Page->LeastBytes = bytes;
        }
        if (Page->Count == most || bytes > MaxBytes - Page->Bytes) {
            break;
        }
        Page->Bytes += bytes;
        Page->Count++;
    }
}

/// Copy is on the stack: it is written at DISPATCH_LEVEL.
typedef struct _MP_RULE_HELD {
    ULONG64 Taken;
    ULONG HeldNow;
} MP_RULE_HELD;

static DECLSPEC_NOINLINE VOID MpReadRuleHeld(const MP_RULE *Rule, MP_RULE_HELD *Copy) {
    WdfSpinLockAcquire(MpHold.Lock);
    Copy->Taken = Rule->Taken;
    Copy->HeldNow = Rule->HeldNow;
    WdfSpinLockRelease(MpHold.Lock);
}

/// Entry is zeroed.
static VOID MpDescribeCounts(const MP_RULE *Rule, MINIPEND_RULE_ENTRY *Entry) {
    MP_RULE_HELD held;

    Entry->Refused = (ULONG64)ReadAcquire64(&Rule->Refused);
    MpReadRuleHeld(Rule, &held);
    Entry->Taken = held.Taken;
    Entry->HeldNow = held.HeldNow;
    Entry->Selected = (ULONG64)ReadNoFence64(&Rule->Selected);
    Entry->Fitted = (ULONG64)ReadNoFence64(&Rule->Fitted);
    Entry->Applied = (ULONG)ReadNoFence(&Rule->Applied);
}

/// To is zeroed, and the texts' room behind it.
static VOID MpDescribeRule(const MP_RULE *Rule, MINIPEND_RULE *To) {
    WCHAR *text = (WCHAR *)(To + 1);

    To->SizeBytes = MpRuleMessageBytes(Rule);
    To->Id = Rule->Id;
    To->Operations = Rule->Operations;
    To->Action = Rule->Action;
    if (Rule->Action == MINIPEND_ACTION_PEND) {
        To->Queue = Rule->Queue == CriticalWorkQueue ? MINIPEND_QUEUE_CRITICAL : MINIPEND_QUEUE_DELAYED;
    }
    To->Hold = Rule->Hold;
    To->DelayMs = Rule->DelayMs;
    To->Flags = Rule->Flags;
    To->Conditions = Rule->Conditions;
    To->MinorFunctions = Rule->MinorFunctions;
    To->ProcessId = Rule->ProcessId;
    To->MatchStatus = Rule->MatchStatus;
    To->StatusFilter = Rule->StatusFilter;
    To->FailStatus = Rule->FailStatus;
    To->EveryNth = Rule->EveryNth;
    To->AtMost = Rule->AtMost;
    To->ProbabilityPpm = Rule->ProbabilityPpm;
    To->MaxHeld = Rule->MaxHeld;
    To->Seed = Rule->Seed;
    To->PathBytes = Rule->Path.Length;
    To->VolumeBytes = Rule->Volume.Length;
    RtlCopyMemory(text, Rule->Path.Buffer, Rule->Path.Length);
    RtlCopyMemory(text + Rule->Path.Length / sizeof(WCHAR), Rule->Volume.Buffer, Rule->Volume.Length);
}

_Use_decl_annotations_ VOID MpRulesDescribe(const MP_RULE_TABLE *Table, const MP_RULE_PAGE *Page, VOID *Entries) {
    MP_RULE_CURSOR cursor = MpCursorAt(Table, Page->First);
    PUCHAR at = Entries;
    ULONG i;

    PAGED_CODE();

    RtlZeroMemory(Entries, Page->Bytes);
    for (i = 0; i < Page->Count; i++) {
        const MP_TABLE_ENTRY *owner = &Table->Entries[cursor.Entry];
        const MP_RULE *rule = MpCursorRule(Table, &cursor);
        MINIPEND_RULE_ENTRY *entry = (MINIPEND_RULE_ENTRY *)at;

        entry->SizeBytes = MpRuleEntryBytes(rule);
        entry->SetId = owner->Set->SetId;
        entry->ConnectionId = owner->Owner;
        entry->SetGeneration = owner->Set->Generation;
        // A process that has left may have given its number to another.
        entry->ProcessId = owner->Owner != 0 ? owner->Set->ProcessId : 0;
        entry->SetFlags = owner->Set->Persistent ? MINIPEND_SET_RULES_PERSIST : 0;
        MpDescribeCounts(rule, entry);
        MpDescribeRule(rule, &entry->Rule);
        at += entry->SizeBytes;
        MpCursorNext(Table, &cursor);
    }
}
