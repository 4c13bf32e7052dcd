// SPDX-License-Identifier: MIT
//
// This module provides: rules, rule sets, the table of them, and what a match finds (rules.c, rules_check.c, rules_parse.c, rules_list.c, match.c,
// names.c, pattern.c).
//
//   table (one at a time) -> entries { set, owner } -> set (immutable but for each rule's own counts) -> rules
//
// A table holds a reference on each of its sets; a record that is being decided holds one on the table, a held record one on its rule's set.

#pragma once

#define MP_MAX_SETS (MP_MAX_CONNECTIONS * MINIPEND_MAX_SETS + 1) // and the persistent set of a client that left
#define MP_MAX_CANDIDATES 4
#define MP_ALL_PPM 1000000u

/// One rule as the matcher uses it. The texts point into the owning set; both are upcased. Constant but for the last six.
typedef struct _MP_RULE {
    ULONG Id;
    ULONG Flags; ///< MINIPEND_RULE_*
    ULONG Conditions; ///< MINIPEND_CONDITION_*
    ULONG MinorFunctions; ///< Bit n: minor function n; 0: any.
    MINIPEND_ACTION Action;
    MINIPEND_HOLD Hold;
    WORK_QUEUE_TYPE Queue;
    ULONG DelayMs;
    ULONG ProcessId;
    MINIPEND_STATUS_FILTER StatusFilter;
    NTSTATUS MatchStatus;
    NTSTATUS FailStatus; ///< 0: none.
    ULONG EveryNth; ///< At least 1.
    ULONG AtMost; ///< 0: no limit.
    ULONG ProbabilityPpm; ///< 1,000,000: all.
    ULONG MaxHeld; ///< 0: no limit of its own.
    BOOLEAN NeedsPost; ///< It has a status filter or sampling: whether it wins is decided in the post-operation.
    ULONG64 Operations; ///< Bit n: MINIPEND_OPERATION n. For listing: matching goes by the set's index.
    ULONG64 Seed;
    UNICODE_STRING Path; ///< Length 0: any.
    UNICODE_STRING Volume; ///< Length 0: any.
    volatile LONG64 Fitted; ///< Operations that fit everything but the sampling. Interlocked; its value numbers them.
    volatile LONG Applied; ///< Of AtMost. Interlocked, never above it.
    volatile LONG64 Selected; ///< Operations that it decided about; MP_RULE_SELECTED.
    volatile LONG64 Refused; ///< Of these, refused; MP_RULE_REFUSED.
    ULONG64 Taken; ///< Of these, listed as held, and not taken back after a refused queue call; MpHold.Lock.
    ULONG HeldNow; ///< Of these, not given back yet; MpHold.Lock.
} MP_RULE, *PMP_RULE;

/// Each operation once, when it is known which rule decides. No fence: a count and nothing else.
#define MP_RULE_SELECTED(Rule) InterlockedIncrementNoFence64(&(Rule)->Selected)
/// With a full fence: who reads Refused, then Taken under its lock, then Selected, sees Selected >= Refused + Taken. An operation that was selected
/// counts there before it does here, and one that was taken back is out of Taken.
#define MP_RULE_REFUSED(Rule) InterlockedIncrement64(&(Rule)->Refused)

/// One rule set of one connection.
typedef struct _MP_RULE_SET {
    volatile LONG References;
    WDFMEMORY Memory; ///< Owns this set, its rules, index and texts.
    ULONG64 ConnectionId; ///< Who made it.
    ULONG ProcessId; ///< Of that connection.
    ULONG SetId;
    BOOLEAN Persistent; ///< Its rules belong to no connection: ConnectionId is not theirs.
    volatile LONG Listed; ///< In the current table. Changed under MpRules.WriteLock.
    ULONG64 Generation; ///< Of the set rules command that made it.
    ULONG64 Operations; ///< Union of the rules' operations.
    ULONG64 GateOperations; ///< Union of the operations of rules with a gate.
    ULONG Count;
    PMP_RULE Rules;
    ULONG First[MINIPEND_OPERATION_COUNT +
                1]; ///< Index[First[op] .. First[op + 1] - 1]: the rules that name op, in order.
    PULONG Index;
} MP_RULE_SET, *PMP_RULE_SET;

typedef struct _MP_TABLE_ENTRY {
    PMP_RULE_SET Set; ///< Referenced.
    ULONG64 Owner; ///< The connection, or 0: persistent, and its client has left.
} MP_TABLE_ENTRY;

/// The rule sets of all connections at one moment. Immutable once published.
typedef struct _MP_RULE_TABLE {
    volatile LONG References; ///< One for being the current table, one for each match that reads it.
    WDFMEMORY Memory; ///< Owns this.
    /// Of all tables that were ever current, from 1. Generation does not tell them apart, because commands may overtake each other.
    ULONG64 Number;
    ULONG64 Generation;
    ULONG64 Operations; ///< Union of the sets' operations.
    ULONG64 GateOperations;
    ULONG Count;
    MP_TABLE_ENTRY Entries[MP_MAX_SETS];
} MP_RULE_TABLE, *PMP_RULE_TABLE;

/// Numbers of a connection's sets that messages under way may yet put into force: they count as if they were in force. MpRules.WriteLock.
typedef struct _MP_PLACES {
    struct {
        ULONG SetId;
        ULONG Messages; ///< How many; 0: the place is free.
    } Place[MINIPEND_MAX_SETS];
} MP_PLACES, *PMP_PLACES;

/// A set that was removed lately: a message with its number that was sent before, and comes late, does not bring it back.
typedef struct _MP_REMOVED_SET {
    ULONG64 ConnectionId;
    ULONG SetId;
    BOOLEAN Persistent; ///< It was the persistent set, whoever had made it.
    ULONG64 Generation; ///< Of the command that removed it.
} MP_REMOVED_SET;

#define MP_REMOVED_SETS 16

typedef struct _MP_RULES {
    WDFWAITLOCK WriteLock; ///< One writer at a time.
    EX_SPIN_LOCK TableLock; ///< Guards Table's value: shared to take a reference, exclusive to swap.
    PMP_RULE_TABLE Table; ///< NULL: no rules. Only the writer changes it.
    volatile LONG64 Wanted; ///< Table->Operations, read without the lock: a match under the lock has the last word.
    volatile LONG64 Generation; ///< The last one given out.
    MP_REMOVED_SET Removed[MP_REMOVED_SETS]; ///< WriteLock.
    ULONG NextRemoved; ///< WriteLock.
} MP_RULES;

extern MP_RULES MpRules;

/// Why a message's rules were not taken.
typedef struct _MP_FAULT {
    NTSTATUS Status;
    MINIPEND_DETAIL Detail;
    ULONG Index;
    ULONG RequiredBytes;
} MP_FAULT, *PMP_FAULT;

/// A name for the length of a match; MpNameRelease gives it back.
typedef struct _MP_NAME {
    ULONG64 Generation; ///< MP_INSTANCE.RenameGeneration when it was asked for.
    USHORT Bytes;
    WCHAR Text[ANYSIZE_ARRAY]; ///< Bytes long, relative to the volume's root, not terminated; then the same upcased.
} MP_NAME, *PMP_NAME;

typedef struct _MP_NAME_HANDLE {
    PMP_NAME Name; ///< NULL: not to be had safely.
    BOOLEAN IsContext; ///< Name is a stream-handle context; otherwise Memory owns it.
    WDFMEMORY Memory;
} MP_NAME_HANDLE, *PMP_NAME_HANDLE;

/// The rules that may win, in order: none but the last is sure to (NeedsPost). MpMatchRelease gives back what it holds.
typedef struct _MP_MATCH {
    PMP_RULE_TABLE Table; ///< Referenced; NULL when Count is 0.
    ULONG Count;
    struct {
        PMP_RULE Rule;
        PMP_RULE_SET Set; ///< Kept by Table.
    } Candidates[MP_MAX_CANDIDATES];
    MP_NAME_HANDLE Name; ///< Asked for when a pattern or MINIPEND_RULE_NAME needed it.
} MP_MATCH, *PMP_MATCH;

// rules.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpRulesInitialize(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpRulesWant(_In_ MINIPEND_OPERATION Operation);
_IRQL_requires_max_(DISPATCH_LEVEL) _Must_inspect_result_ PMP_RULE_TABLE MpTableReference(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpTableDereference(_In_ PMP_RULE_TABLE Table);
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpRulesPrepareTable(_Outptr_ PMP_RULE_TABLE *Table);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpRulesDiscardTable(_In_ PMP_RULE_TABLE Table);
/// Keeps a place for the connection's set of this number until MpRulesUnreserve. FALSE: the connection has, or is about to have, MINIPEND_MAX_SETS others.
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ BOOLEAN
    MpRulesReserve(_Inout_ PMP_PLACES Places, _In_ ULONG64 ConnectionId, _In_ ULONG SetId);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpRulesUnreserve(_Inout_ PMP_PLACES Places, _In_ ULONG SetId);
/// Replaces the connection's set of Set's number (a set without rules only removes it). Takes over Table; the caller keeps its reference on Set.
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpRulesPublish(_In_ PMP_RULE_SET Set, _In_ PMP_RULE_TABLE Table);
/// Removes all sets of the connection but its persistent one, which is nobody's from now on. Takes over Table.
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpRulesDropConnection(_In_ ULONG64 ConnectionId, _In_ PMP_RULE_TABLE Table);
/// Whether the set is still in force.
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpRulesSetIsListed(_In_ const MP_RULE_SET *Set);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpRulesCleanup(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpRuleSetReference(_In_ PMP_RULE_SET Set);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpRuleSetDereference(_In_ PMP_RULE_SET Set);
_IRQL_requires_max_(DISPATCH_LEVEL) ULONG64 MpRulesGeneration(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL) ULONG64 MpRulesReserveGeneration(VOID);

// rules_check.c
/// What a set needs besides its rules.
typedef struct _MP_RULES_SIZE {
    ULONG IndexEntries;
    ULONG TextBytes;
} MP_RULES_SIZE, *PMP_RULES_SIZE;

/// What goes before a pattern that matches at any depth, as text of its own and not as a loop in the matcher, so that a match stays one walk over the
/// name.
#define MP_ANY_DEPTH L"*\\"
_IRQL_requires_max_(PASSIVE_LEVEL) USHORT MpAnyDepthBytes(_In_ const MINIPEND_RULE *Rule);
/// Checks a captured set-rules message of Bytes. FALSE: Fault says what is wrong with which rule.
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ BOOLEAN
    MpRulesCheck(_In_reads_bytes_(Bytes) const MINIPEND_SET_RULES_REQUEST *Request, _In_ ULONG Bytes,
                 _Out_ PMP_RULES_SIZE Size, _Out_ PMP_FAULT Fault);

// rules_parse.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS
    MpRulesParse(_In_reads_bytes_(Bytes) const UCHAR *Message, _In_ ULONG Bytes, _In_ ULONG64 ConnectionId,
                 _Outptr_ PMP_RULE_SET *Set, _Out_ PMP_FAULT Fault);

// rules_list.c
/// A stretch of a table's rules, as a list-rules command asks for it.
typedef struct _MP_RULE_PAGE {
    ULONG First; ///< Place of the first rule; at most RuleCount.
    ULONG RuleCount; ///< In the table.
    ULONG Count; ///< Rules that fit.
    ULONG Bytes; ///< Of their entries.
    ULONG LeastBytes; ///< Of the first rule's entry; 0: there is none to come.
} MP_RULE_PAGE, *PMP_RULE_PAGE;
/// How many rules from First on, at most MaxEntries, have entries of MaxBytes at most. Table NULL: no rules.
_IRQL_requires_max_(PASSIVE_LEVEL) VOID
    MpRulesMeasure(_In_opt_ const MP_RULE_TABLE *Table, _In_ ULONG First, _In_ ULONG MaxEntries, _In_ ULONG MaxBytes,
                   _Out_ PMP_RULE_PAGE Page);
/// Writes the entries of what was measured. Entries may be paged.
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpRulesDescribe(_In_ const MP_RULE_TABLE *Table, _In_ const MP_RULE_PAGE *Page,
                                                        _Out_writes_bytes_(Page->Bytes) VOID *Entries);

// match.c
/// Which rules may win. Gates are asked before rules. Counts a name that was needed and not to be had.
_IRQL_requires_max_(APC_LEVEL) VOID
    MpMatch(_In_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS FltObjects, _In_ PMP_INSTANCE Instance,
            _In_ MINIPEND_OPERATION Operation, _Out_ PMP_MATCH Match);
_IRQL_requires_max_(APC_LEVEL) VOID MpMatchRelease(_Inout_ PMP_MATCH Match);
/// In the post-operation: whether the rule's status filter and sampling select this operation. Numbers it, so once for each operation and rule.
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpRuleSelects(_Inout_ PMP_RULE Rule, _In_ NTSTATUS Status);

// names.c
_IRQL_requires_max_(APC_LEVEL) VOID MpNameGet(_In_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS FltObjects,
                                              _In_ PMP_INSTANCE Instance, _Out_ PMP_NAME_HANDLE Handle);
/// The name that a rename or a link is about to make. PASSIVE_LEVEL pre-operations of those only.
_IRQL_requires_max_(APC_LEVEL) VOID
    MpNameGetDestination(_In_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS FltObjects,
                         _In_ PMP_INSTANCE Instance, _Out_ PMP_NAME_HANDLE Handle);
_IRQL_requires_max_(APC_LEVEL) VOID MpNameRelease(_Inout_ PMP_NAME_HANDLE Handle);

// pattern.c
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpPatternMatches(_In_ PCUNICODE_STRING Pattern, _In_ PCUNICODE_STRING Name);
