// SPDX-License-Identifier: MIT
//
// This module provides: the rule table.
//
//   1. one table at a time, made of the immutable rule sets of all connections, in the order in which they came first; a set that is replaced keeps
//      its place;
//   2. replacing or removing one set: a new table is built and swapped in; a match that is under way keeps the old one alive;
//   3. at most one persistent set: it is nobody's, stays when its client goes, and is replaced by the next persistent set of anybody.
//
// An operation that no rule names costs one plain read of MpRules.Wanted. match.c does the rest.
//
// Order of commands: a set carries the generation that its reply names. Of two messages about one set that are under way at once, the one with the
// higher generation wins, whichever is published first.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpRulesInitialize)
#pragma alloc_text(PAGE, MpRulesPrepareTable)
#pragma alloc_text(PAGE, MpRulesDiscardTable)
#endif

MP_RULES MpRules;

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

_Use_decl_annotations_ VOID MpRuleSetReference(PMP_RULE_SET Set) {
    InterlockedIncrement(&Set->References);
}

_Use_decl_annotations_ VOID MpRuleSetDereference(PMP_RULE_SET Set) {
    if (InterlockedDecrement(&Set->References) == 0) {
        WdfObjectDelete(Set->Memory);
    }
}

/// The current table, referenced; NULL: no rules.
_Use_decl_annotations_ PMP_RULE_TABLE MpTableReference(VOID) {
    KIRQL irql = ExAcquireSpinLockShared(&MpRules.TableLock);
    PMP_RULE_TABLE table = MpRules.Table;

    if (table != NULL) {
        InterlockedIncrement(&table->References);
    }
    ExReleaseSpinLockShared(&MpRules.TableLock, irql);
    return table;
}

_Use_decl_annotations_ VOID MpTableDereference(PMP_RULE_TABLE Table) {
    if (InterlockedDecrement(&Table->References) == 0) {
        ULONG i;

        for (i = 0; i < Table->Count; i++) {
            MpRuleSetDereference(Table->Entries[i].Set);
        }
        WdfObjectDelete(Table->Memory);
    }
}

/// Who takes an operation first (under MpHold.Lock, so that a release command sees it) and asks then is never told of a set that was removed before
/// that release command was sent.
_Use_decl_annotations_ BOOLEAN MpRulesSetIsListed(const MP_RULE_SET *Set) {
    return (BOOLEAN)(ReadAcquire(&Set->Listed) != 0);
}

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

// ---- places ---------------------------------------------------------------------------------------------------------------

/// WriteLock held.
static BOOLEAN MpTableHasNumber(ULONG64 ConnectionId, ULONG SetId) {
    ULONG i;

    for (i = 0; MpRules.Table != NULL && i < MpRules.Table->Count; i++) {
        const MP_TABLE_ENTRY *entry = &MpRules.Table->Entries[i];

        if (entry->Owner == ConnectionId && entry->Set->SetId == SetId) {
            return TRUE;
        }
    }
    return FALSE;
}

/// How many numbers the connection has in force, or kept. WriteLock held.
static ULONG MpNumbersInUse(const MP_PLACES *Places, ULONG64 ConnectionId) {
    ULONG count = 0;
    ULONG i;

    for (i = 0; MpRules.Table != NULL && i < MpRules.Table->Count; i++) {
        if (MpRules.Table->Entries[i].Owner == ConnectionId) {
            count++;
        }
    }
    for (i = 0; i < MINIPEND_MAX_SETS; i++) {
        if (Places->Place[i].Messages != 0 && !MpTableHasNumber(ConnectionId, Places->Place[i].SetId)) {
            count++;
        }
    }
    return count;
}

/// The place of a number, or a free one if it has none; MINIPEND_MAX_SETS: neither.
static ULONG MpPlaceOf(const MP_PLACES *Places, ULONG SetId) {
    ULONG place = MINIPEND_MAX_SETS;
    ULONG i;

    for (i = 0; i < MINIPEND_MAX_SETS; i++) {
        if (Places->Place[i].Messages == 0) {
            place = i;
        } else if (Places->Place[i].SetId == SetId) {
            return i;
        }
    }
    return place;
}

/// A number is kept also when it is in force: it may be removed, and its place taken, before this message puts it into force again. The numbers in
/// use never exceed MINIPEND_MAX_SETS, so one that is among them, or has room, finds a place.
_Use_decl_annotations_ BOOLEAN MpRulesReserve(PMP_PLACES Places, ULONG64 ConnectionId, ULONG SetId) {
    BOOLEAN kept;
    ULONG place;

    (VOID) WdfWaitLockAcquire(MpRules.WriteLock, NULL);
    place = MpPlaceOf(Places, SetId);
    kept = place < MINIPEND_MAX_SETS && (Places->Place[place].Messages != 0 || MpTableHasNumber(ConnectionId, SetId) ||
                                         MpNumbersInUse(Places, ConnectionId) < MINIPEND_MAX_SETS);
    if (kept) {
        Places->Place[place].SetId = SetId;
        Places->Place[place].Messages++;
    }
    WdfWaitLockRelease(MpRules.WriteLock);
    return kept;
}

_Use_decl_annotations_ VOID MpRulesUnreserve(PMP_PLACES Places, ULONG SetId) {
    (VOID) WdfWaitLockAcquire(MpRules.WriteLock, NULL);
    Places->Place[MpPlaceOf(Places, SetId)].Messages--;
    WdfWaitLockRelease(MpRules.WriteLock);
}

// ---- replacing: all of it under WriteLock ---------------------------------------------------------------------------------

/// There is room: no connection has more than MINIPEND_MAX_SETS (MpRulesReserve), there are never more than MP_MAX_CONNECTIONS whose rules have not been
/// dropped [PORT-05], and at most one set is nobody's.
static VOID MpTableAdd(PMP_RULE_TABLE Table, PMP_RULE_SET Set, ULONG64 Owner) {
    NT_ASSERT(Table->Count < MP_MAX_SETS);
    MpRuleSetReference(Set);
    Table->Entries[Table->Count].Set = Set;
    Table->Entries[Table->Count].Owner = Owner;
    Table->Count++;
    Table->Operations |= Set->Operations;
    Table->GateOperations |= Set->GateOperations;
}

static BOOLEAN MpTableHas(const MP_RULE_TABLE *Table, const MP_RULE_SET *Set) {
    ULONG i;

    for (i = 0; i < Table->Count; i++) {
        if (Table->Entries[i].Set == Set) {
            return TRUE;
        }
    }
    return FALSE;
}

/// Makes Table the current one, releases the lock, and lets the old one go.
static VOID MpTableSwap(PMP_RULE_TABLE Table, ULONG64 Generation) {
    PMP_RULE_TABLE old = MpRules.Table;
    KIRQL irql;
    ULONG i;

    Table->Number = old != NULL ? old->Number + 1 : 1;
    Table->Generation = old != NULL ? max(Generation, old->Generation) : Generation;
    // A set is in force before it can be matched, and no longer once it cannot.
    for (i = 0; i < Table->Count; i++) {
        InterlockedExchange(&Table->Entries[i].Set->Listed, TRUE);
    }
    irql = ExAcquireSpinLockExclusive(&MpRules.TableLock);
    MpRules.Table = Table;
    InterlockedExchange64(&MpRules.Wanted, (LONG64)Table->Operations);
    ExReleaseSpinLockExclusive(&MpRules.TableLock, irql);
    for (i = 0; old != NULL && i < old->Count; i++) {
        if (!MpTableHas(Table, old->Entries[i].Set)) {
            InterlockedExchange(&old->Entries[i].Set->Listed, FALSE);
        }
    }
    WdfWaitLockRelease(MpRules.WriteLock);

    if (old != NULL) {
        MpTableDereference(old);
    }
}

/// Whether the entry is what Set replaces: the same set of the same connection, or the persistent set.
static BOOLEAN MpReplaces(const MP_RULE_SET *Set, const MP_TABLE_ENTRY *Entry) {
    return (Entry->Owner == Set->ConnectionId && Entry->Set->SetId == Set->SetId) ||
           (Set->Persistent && Entry->Set->Persistent);
}

/// Whether a later command about Set has been published already.
static BOOLEAN MpIsOvertaken(const MP_RULE_SET *Set) {
    ULONG i;

    for (i = 0; MpRules.Table != NULL && i < MpRules.Table->Count; i++) {
        const MP_TABLE_ENTRY *entry = &MpRules.Table->Entries[i];

        if (MpReplaces(Set, entry) && entry->Set->Generation > Set->Generation) {
            return TRUE;
        }
    }
    for (i = 0; i < MP_REMOVED_SETS; i++) {
        const MP_REMOVED_SET *removed = &MpRules.Removed[i];

        if (removed->Generation > Set->Generation &&
            ((removed->ConnectionId == Set->ConnectionId && removed->SetId == Set->SetId) ||
             (removed->Persistent && Set->Persistent))) {
            return TRUE;
        }
    }
    return FALSE;
}

/// Notes that Set, which is empty, removes a set.
static VOID MpRemember(const MP_RULE_SET *Set) {
    MP_REMOVED_SET *removed = &MpRules.Removed[MpRules.NextRemoved];

    removed->ConnectionId = Set->ConnectionId;
    removed->SetId = Set->SetId;
    removed->Persistent = Set->Persistent;
    removed->Generation = Set->Generation;
    MpRules.NextRemoved = (MpRules.NextRemoved + 1) % MP_REMOVED_SETS;
}

/// A set for a connection that is gone by now is left out, unless it is persistent: its disconnect has dropped, or will drop, what the connection had.
_Use_decl_annotations_ VOID MpRulesPublish(PMP_RULE_SET Set, PMP_RULE_TABLE Table) {
    const MP_RULE_TABLE *old;
    BOOLEAN listed;
    BOOLEAN done;
    ULONG64 owner;
    ULONG i;

    (VOID) WdfWaitLockAcquire(MpRules.WriteLock, NULL);
    old = MpRules.Table;
    listed = MpConnectionsIsListed(Set->ConnectionId);
    owner = listed ? Set->ConnectionId : 0;
    if (MpIsOvertaken(Set)) {
        for (i = 0; old != NULL && i < old->Count; i++) {
            MpTableAdd(Table, old->Entries[i].Set, old->Entries[i].Owner);
        }
        MpTableSwap(Table, Set->Generation);
        return;
    }

    // Done: there is nothing (more) to add.
    done = Set->Count == 0 || (!listed && !Set->Persistent);
    if (Set->Count == 0) {
        MpRemember(Set);
    }
    for (i = 0; old != NULL && i < old->Count; i++) {
        if (!MpReplaces(Set, &old->Entries[i])) {
            MpTableAdd(Table, old->Entries[i].Set, old->Entries[i].Owner);
        } else if (!done) {
            MpTableAdd(Table, Set, owner);
            done = TRUE;
        }
    }
    if (!done) {
        MpTableAdd(Table, Set, owner);
    }
    MpTableSwap(Table, Set->Generation);
}

_Use_decl_annotations_ VOID MpRulesDropConnection(ULONG64 ConnectionId, PMP_RULE_TABLE Table) {
    const MP_RULE_TABLE *old;
    ULONG i;

    (VOID) WdfWaitLockAcquire(MpRules.WriteLock, NULL);
    old = MpRules.Table;
    for (i = 0; old != NULL && i < old->Count; i++) {
        const MP_TABLE_ENTRY *entry = &old->Entries[i];

        if (entry->Owner != ConnectionId) {
            MpTableAdd(Table, entry->Set, entry->Owner);
        } else if (entry->Set->Persistent) {
            MpTableAdd(Table, entry->Set, 0);
        }
    }
    MpTableSwap(Table, MpRulesReserveGeneration());
}

/// At unload, when no callback can come any more.
_Use_decl_annotations_ VOID MpRulesCleanup(VOID) {
    if (MpRules.Table != NULL) {
        MpTableDereference(MpRules.Table);
        MpRules.Table = NULL;
    }
}
