// SPDX-License-Identifier: MIT
//
// This module provides: the rule table, and which rule wins.
//
//   1. one table at a time, made of one immutable rule set per connection; sets are tried in the order in which connections came;
//   2. matching: the first rule that fits decides, and what it says is copied;
//   3. replacing a connection's set: a new table is built and swapped in; a match that is under way keeps the old one alive.
//
// An operation that no rule names costs one plain read of MpRules.Wanted. One that some rule names costs a reference on the table and, only
// if a rule with a path could match, a name; rules are indexed by operation, so the others are not looked at.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpRulesInitialize)
#pragma alloc_text(PAGE, MpRulesPrepareTable)
#pragma alloc_text(PAGE, MpRulesDiscardTable)
#endif

static struct {
    WDFWAITLOCK WriteLock; ///< One writer at a time.
    EX_SPIN_LOCK TableLock; ///< Guards Table's value: shared to take a reference, exclusive to swap.
    PMP_RULE_TABLE Table; ///< NULL: no rules.
    volatile LONG64 Wanted; ///< Table->Operations, read without the lock: a match under the lock has the last word.
    volatile LONG64 Generation; ///< The last one given out.
} MpRules;

_Use_decl_annotations_ NTSTATUS MpRulesInitialize(VOID) {
    PAGED_CODE();
    return WdfWaitLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &MpRules.WriteLock);
}

/// Whether any rule names the operation. May be out of date by the time it is used, which is no matter: rules change while operations run.
_Use_decl_annotations_ BOOLEAN MpRulesWant(MINIPEND_OPERATION Operation) {
    return (BOOLEAN)(((ULONG64)ReadNoFence64(&MpRules.Wanted) >> Operation) & 1);
}

/// Generation of the current table; 0 before the first rules.
_Use_decl_annotations_ ULONG64 MpRulesGeneration(VOID) {
    KIRQL irql = ExAcquireSpinLockShared(&MpRules.TableLock);
    ULONG64 generation = MpRules.Table != NULL ? MpRules.Table->Generation : 0;

    ExReleaseSpinLockShared(&MpRules.TableLock, irql);
    return generation;
}

_Use_decl_annotations_ ULONG64 MpRulesReserveGeneration(VOID) {
    return (ULONG64)InterlockedIncrement64(&MpRules.Generation);
}

_Use_decl_annotations_ VOID MpRuleSetDereference(PMP_RULE_SET Set) {
    if (InterlockedDecrement(&Set->References) == 0) {
        WdfObjectDelete(Set->Memory);
    }
}

static PMP_RULE_TABLE MpTableReference(VOID) {
    KIRQL irql = ExAcquireSpinLockShared(&MpRules.TableLock);
    PMP_RULE_TABLE table = MpRules.Table;

    if (table != NULL) {
        InterlockedIncrement(&table->References);
    }
    ExReleaseSpinLockShared(&MpRules.TableLock, irql);
    return table;
}

static VOID MpTableDereference(PMP_RULE_TABLE Table) {
    if (InterlockedDecrement(&Table->References) == 0) {
        ULONG i;

        for (i = 0; i < Table->Count; i++) {
            MpRuleSetDereference(Table->Sets[i]);
        }
        WdfObjectDelete(Table->Memory);
    }
}

// ---- matching ---------------------------------------------------------------------------------------------------------

static BOOLEAN MpRuleFits(const MP_RULE *Rule, PFLT_CALLBACK_DATA Data, PCFLT_RELATED_OBJECTS FltObjects,
                          PMP_INSTANCE Instance, PMP_NAME_HANDLE Name, PBOOLEAN NameAsked) {
    UNICODE_STRING text;

    if (Rule->Volume.Length != 0 &&
        (Rule->Volume.Length != Instance->VolumeKey.Length ||
         !RtlEqualMemory(Rule->Volume.Buffer, Instance->VolumeKey.Buffer, Rule->Volume.Length))) {
        return FALSE;
    }
    if (Rule->Path.Length == 0) {
        return TRUE;
    }
    if (!*NameAsked) {
        *NameAsked = TRUE;
        MpNameGet(Data, FltObjects, Instance, Name);
    }
    if (Name->Name == NULL) {
        return FALSE;
    }
    text.Buffer = Name->Name->Text;
    text.Length = Name->Name->Bytes;
    text.MaximumLength = Name->Name->Bytes;
    return MpPatternMatches(&Rule->Path, &text);
}

/// Finds the rule for the operation. The name, if one was asked for, and a missing one is counted, at most once.
_Use_decl_annotations_ VOID MpRulesMatch(PFLT_CALLBACK_DATA Data, PCFLT_RELATED_OBJECTS FltObjects,
                                         PMP_INSTANCE Instance, MINIPEND_OPERATION Operation, PMP_DECISION Decision) {
    PMP_RULE_TABLE table = MpTableReference();
    MP_NAME_HANDLE name = {0};
    BOOLEAN nameAsked = FALSE;
    ULONG s;
    ULONG i;

    RtlZeroMemory(Decision, sizeof(*Decision));
    if (table == NULL) {
        return;
    }
    for (s = 0; s < table->Count && !Decision->Matched; s++) {
        const MP_RULE_SET *set = table->Sets[s];

        for (i = set->First[Operation]; i < set->First[Operation + 1]; i++) {
            const MP_RULE *rule = &set->Rules[set->Index[i]];

            if (MpRuleFits(rule, Data, FltObjects, Instance, &name, &nameAsked)) {
                Decision->Matched = TRUE;
                Decision->Action = rule->Action;
                Decision->Queue = rule->Queue;
                Decision->Flags = rule->Flags;
                Decision->DelayMs = rule->DelayMs;
                Decision->RuleId = rule->Id;
                Decision->Generation = table->Generation;
                Decision->ConnectionId = set->ConnectionId;
                break;
            }
        }
    }
    if (nameAsked) {
        if (name.Name == NULL) {
            MP_COUNT(MpCell(Instance, Operation), NameUnavailable);
        }
        MpNameRelease(&name);
    }
    MpTableDereference(table);
}

// ---- replacing --------------------------------------------------------------------------------------------------------

/// Memory for a table to publish later, so that publishing cannot fail.
_Use_decl_annotations_ NTSTATUS MpRulesPrepareTable(PMP_RULE_TABLE *Table) {
    NTSTATUS status;
    WDFMEMORY memory;
    PVOID table;

    PAGED_CODE();

    *Table = NULL;
    status =
        WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, MP_TAG_RULES, sizeof(MP_RULE_TABLE), &memory, &table);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    *Table = table;
    RtlZeroMemory(*Table, sizeof(**Table));
    (*Table)->Memory = memory;
    (*Table)->References = 1;
    return STATUS_SUCCESS;
}

/// Frees a table that was prepared and not published.
_Use_decl_annotations_ VOID MpRulesDiscardTable(PMP_RULE_TABLE Table) {
    PAGED_CODE();
    WdfObjectDelete(Table->Memory);
}

static VOID MpTableAdd(PMP_RULE_TABLE Table, PMP_RULE_SET Set) {
    NT_ASSERT(Table->Count < MP_MAX_CONNECTIONS);
    InterlockedIncrement(&Set->References);
    Table->Sets[Table->Count++] = Set;
    Table->Operations |= Set->Operations;
}

/// Makes Set the connection's rules (NULL: none) and takes over Table. The caller keeps its own reference on Set. A set for a connection that is gone by
/// now is left out: its disconnect has dropped, or will drop, what it had.
_Use_decl_annotations_ VOID MpRulesPublish(ULONG64 ConnectionId, PMP_RULE_SET Set, PMP_RULE_TABLE Table) {
    PMP_RULE_TABLE old;
    BOOLEAN added = FALSE;
    KIRQL irql;
    ULONG i;

    (VOID) WdfWaitLockAcquire(MpRules.WriteLock, NULL);
    if (Set != NULL && !MpConnectionsIsListed(ConnectionId)) {
        Set = NULL;
    }

    // Only writers change Table, and there is one: it may be read without the spin lock.
    old = MpRules.Table;
    Table->Generation = Set != NULL ? Set->Generation : MpRulesReserveGeneration();
    if (old != NULL) {
        Table->Generation = max(Table->Generation, old->Generation);
        for (i = 0; i < old->Count; i++) {
            if (old->Sets[i]->ConnectionId != ConnectionId) {
                MpTableAdd(Table, old->Sets[i]);
            } else if (Set != NULL) {
                // Two messages of one connection can be under way at once: the higher number is the later one, as their replies say.
                MpTableAdd(Table, old->Sets[i]->Generation > Set->Generation ? old->Sets[i] : Set);
                added = TRUE;
            }
        }
    }
    if (Set != NULL && !added) {
        MpTableAdd(Table, Set);
    }

    irql = ExAcquireSpinLockExclusive(&MpRules.TableLock);
    MpRules.Table = Table;
    InterlockedExchange64(&MpRules.Wanted, (LONG64)Table->Operations);
    ExReleaseSpinLockExclusive(&MpRules.TableLock, irql);
    WdfWaitLockRelease(MpRules.WriteLock);

    if (old != NULL) {
        MpTableDereference(old);
    }
}

/// At unload, when no callback can come any more.
_Use_decl_annotations_ VOID MpRulesCleanup(VOID) {
    if (MpRules.Table != NULL) {
        MpTableDereference(MpRules.Table);
        MpRules.Table = NULL;
    }
}
