// SPDX-License-Identifier: MIT
//
// This module provides: which rules may win an operation, and, in its post-operation, whether one of them does.
//
// In the pre-operation, where a name may be asked for, MpMatch collects candidates: the rules whose conditions fit, gates of all sets before the other
// rules, each in the order of its set. A rule with a status filter or sampling is only a candidate, because its status is not known yet and because
// sampled fast I/O that is sent back as an IRP must not be sampled twice; the first rule without either surely wins, so collecting ends with it. In the
// post-operation MpRuleSelects says which candidate wins.
//
// Cost: a reference on the table and a walk over the rules that name the operation. The name is asked for at most once, after everything cheaper has
// fitted; the name that a rename or a link is about to make at most once, and only when the present one did not fit.

#include "minipend.h"

/// What is known about one operation while its rules are tried.
typedef struct _MP_MATCHER {
    PFLT_CALLBACK_DATA Data;
    PCFLT_RELATED_OBJECTS FltObjects;
    PMP_INSTANCE Instance;
    MINIPEND_OPERATION Operation;
    ULONG Conditions; ///< MINIPEND_CONDITION_*: its requestor mode, and the kind of data I/O if it has one.
    ULONG ProcessId;
    BOOLEAN ProcessAsked;
    BOOLEAN NameAsked; ///< Match->Name has been asked for.
    BOOLEAN TargetAsked; ///< Target has been asked for.
    BOOLEAN NameMissing; ///< One of them was not to be had.
    MP_NAME_HANDLE Target; ///< Of a rename or a link.
    PMP_MATCH Match;
} MP_MATCHER, *PMP_MATCHER;

#define MP_MODE_CONDITIONS (MINIPEND_CONDITION_USER_MODE | MINIPEND_CONDITION_KERNEL_MODE)
#define MP_KIND_CONDITIONS (MINIPEND_CONDITION_PAGING | MINIPEND_CONDITION_CACHED | MINIPEND_CONDITION_NON_CACHED)

/// The conditions that the operation meets.
static ULONG MpConditionsOf(const FLT_CALLBACK_DATA *Data, MINIPEND_OPERATION Operation) {
    ULONG met = Data->RequestorMode == UserMode ? MINIPEND_CONDITION_USER_MODE : MINIPEND_CONDITION_KERNEL_MODE;

    if (Operation != MINIPEND_OPERATION_READ && Operation != MINIPEND_OPERATION_WRITE) {
        return met;
    }
    if (!FLT_IS_IRP_OPERATION(Data)) {
        return met | MINIPEND_CONDITION_CACHED;
    }
    // Paging I/O is non-cached too: it has only the one kind.
    if (FlagOn(Data->Iopb->IrpFlags, IRP_PAGING_IO)) {
        return met | MINIPEND_CONDITION_PAGING;
    }
    return met |
           (FlagOn(Data->Iopb->IrpFlags, IRP_NOCACHE) ? MINIPEND_CONDITION_NON_CACHED : MINIPEND_CONDITION_CACHED);
}

/// Whether a group of conditions asks for nothing, or for what the operation meets.
static BOOLEAN MpGroupFits(ULONG Wanted, ULONG Met, ULONG Group) {
    return !FlagOn(Wanted, Group) || FlagOn(Wanted & Met, Group);
}

/// A minor function beyond the bits is one that no rule can select.
static BOOLEAN MpMinorFits(ULONG Wanted, UCHAR MinorFunction) {
    return Wanted == 0 || (MinorFunction < 32 && ((Wanted >> MinorFunction) & 1) != 0);
}

static VOID MpAskName(PMP_MATCHER Matcher) {
    if (!Matcher->NameAsked) {
        Matcher->NameAsked = TRUE;
        MpNameGet(Matcher->Data, Matcher->FltObjects, Matcher->Instance, &Matcher->Match->Name);
        if (Matcher->Match->Name.Name == NULL) {
            Matcher->NameMissing = TRUE;
        }
    }
}

static BOOLEAN MpNameFits(const MP_NAME *Name, PCUNICODE_STRING Pattern) {
    UNICODE_STRING upcased;

    if (Name == NULL) {
        return FALSE;
    }
    upcased.Buffer = (PWCHAR)Name->Text + Name->Bytes / sizeof(WCHAR);
    upcased.Length = Name->Bytes;
    upcased.MaximumLength = Name->Bytes;
    return MpPatternMatches(Pattern, &upcased);
}

static BOOLEAN MpPathFits(PMP_MATCHER Matcher, PCUNICODE_STRING Pattern) {
    MpAskName(Matcher);
    if (MpNameFits(Matcher->Match->Name.Name, Pattern)) {
        return TRUE;
    }
    if (Matcher->Operation != MINIPEND_OPERATION_RENAME && Matcher->Operation != MINIPEND_OPERATION_LINK) {
        return FALSE;
    }
    if (!Matcher->TargetAsked) {
        Matcher->TargetAsked = TRUE;
        MpNameGetDestination(Matcher->Data, Matcher->FltObjects, Matcher->Instance, &Matcher->Target);
        if (Matcher->Target.Name == NULL) {
            Matcher->NameMissing = TRUE;
        }
    }
    return MpNameFits(Matcher->Target.Name, Pattern);
}

/// Whether everything about the rule fits that can be known in the pre-operation. The cheap questions come first.
static BOOLEAN MpRuleFits(const MP_RULE *Rule, PMP_MATCHER Matcher) {
    if (!MpGroupFits(Rule->Conditions, Matcher->Conditions, MP_MODE_CONDITIONS) ||
        !MpGroupFits(Rule->Conditions, Matcher->Conditions, MP_KIND_CONDITIONS) ||
        !MpMinorFits(Rule->MinorFunctions, Matcher->Data->Iopb->MinorFunction)) {
        return FALSE;
    }
    if (Rule->Volume.Length != 0 &&
        (Rule->Volume.Length != Matcher->Instance->VolumeKey.Length ||
         !RtlEqualMemory(Rule->Volume.Buffer, Matcher->Instance->VolumeKey.Buffer, Rule->Volume.Length))) {
        return FALSE;
    }
    if (Rule->ProcessId != 0) {
        if (!Matcher->ProcessAsked) {
            Matcher->ProcessAsked = TRUE;
            // From the operation, not from the current thread, which may be anybody's [INFO-01]. 0, for none, is no rule's process.
            Matcher->ProcessId = FltGetRequestorProcessId(Matcher->Data);
        }
        if (Rule->ProcessId != Matcher->ProcessId) {
            return FALSE;
        }
    }
    return Rule->Path.Length == 0 || MpPathFits(Matcher, &Rule->Path);
}

/// Adds the candidates of one pass over the table: gates, or the other rules. TRUE: one is sure to win, or there is no more room.
static BOOLEAN MpCollect(PMP_MATCHER Matcher, const MP_RULE_TABLE *Table, BOOLEAN Gates) {
    PMP_MATCH match = Matcher->Match;
    ULONG s;
    ULONG i;

    for (s = 0; s < Table->Count; s++) {
        PMP_RULE_SET set = Table->Entries[s].Set;

        if (!(((Gates ? set->GateOperations : set->Operations) >> Matcher->Operation) & 1)) {
            continue;
        }
        for (i = set->First[Matcher->Operation]; i < set->First[Matcher->Operation + 1]; i++) {
            PMP_RULE rule = &set->Rules[set->Index[i]];

            if ((rule->Hold == MINIPEND_HOLD_GATE) != Gates || !MpRuleFits(rule, Matcher)) {
                continue;
            }
            match->Candidates[match->Count].Rule = rule;
            match->Candidates[match->Count].Set = set;
            match->Count++;
            if (FlagOn(rule->Flags, MINIPEND_RULE_NAME)) {
                MpAskName(Matcher);
            }
            if (!rule->NeedsPost || match->Count == MP_MAX_CANDIDATES) {
                return TRUE;
            }
        }
    }
    return FALSE;
}

_Use_decl_annotations_ VOID MpMatch(PFLT_CALLBACK_DATA Data, PCFLT_RELATED_OBJECTS FltObjects, PMP_INSTANCE Instance,
                                    MINIPEND_OPERATION Operation, PMP_MATCH Match) {
    MP_MATCHER matcher = {0};
    PMP_RULE_TABLE table = MpTableReference();

    Match->Table = NULL;
    Match->Count = 0;
    RtlZeroMemory(&Match->Name, sizeof(Match->Name));
    if (table == NULL) {
        return;
    }
    matcher.Data = Data;
    matcher.FltObjects = FltObjects;
    matcher.Instance = Instance;
    matcher.Operation = Operation;
    matcher.Conditions = MpConditionsOf(Data, Operation);
    matcher.Match = Match;
    if (!((table->GateOperations >> Operation) & 1) || !MpCollect(&matcher, table, TRUE)) {
        (VOID) MpCollect(&matcher, table, FALSE);
    }
    if (matcher.TargetAsked) {
        MpNameRelease(&matcher.Target);
    }
    if (matcher.NameMissing) {
        MP_COUNT(MpCell(Instance, Operation), NameUnavailable);
    }
    Match->Table = table;
    if (Match->Count == 0) {
        MpMatchRelease(Match);
    }
}

_Use_decl_annotations_ VOID MpMatchRelease(PMP_MATCH Match) {
    MpNameRelease(&Match->Name);
    if (Match->Table != NULL) {
        MpTableDereference(Match->Table);
        Match->Table = NULL;
    }
    Match->Count = 0;
}

/// The n-th number of the sequence that Seed stands for, evenly spread over 64 bits (splitmix64). The same on every machine.
static ULONG64 MpRandom(ULONG64 Seed, ULONG64 N) {
    ULONG64 z = Seed + N * 0x9E3779B97F4A7C15ull;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static BOOLEAN MpStatusFits(const MP_RULE *Rule, NTSTATUS Status) {
    switch (Rule->StatusFilter) {
    case MINIPEND_STATUS_FILTER_SUCCESS:
        return NT_SUCCESS(Status);
    case MINIPEND_STATUS_FILTER_FAILURE:
        return !NT_SUCCESS(Status);
    case MINIPEND_STATUS_FILTER_EXACT:
        return Status == Rule->MatchStatus;
    default:
        return TRUE;
    }
}

/// Takes one of the rule's AtMost operations. FALSE: they are all taken.
static BOOLEAN MpTakeOne(PMP_RULE Rule) {
    LONG applied = ReadNoFence(&Rule->Applied);

    while ((ULONG)applied < Rule->AtMost) {
        LONG seen = InterlockedCompareExchange(&Rule->Applied, applied + 1, applied);

        if (seen == applied) {
            return TRUE;
        }
        applied = seen;
    }
    return FALSE;
}

_Use_decl_annotations_ BOOLEAN MpRuleSelects(PMP_RULE Rule, NTSTATUS Status) {
    ULONG64 n;

    if (!Rule->NeedsPost) {
        return TRUE;
    }
    if (!MpStatusFits(Rule, Status)) {
        return FALSE;
    }
    n = (ULONG64)InterlockedIncrement64(&Rule->Fitted);
    if (Rule->EveryNth > 1 && n % Rule->EveryNth != 0) {
        return FALSE;
    }
    if (Rule->ProbabilityPpm < MP_ALL_PPM &&
        (((MpRandom(Rule->Seed, n) >> 32) * MP_ALL_PPM) >> 32) >= Rule->ProbabilityPpm) {
        return FALSE;
    }
    return Rule->AtMost == 0 || MpTakeOne(Rule);
}
