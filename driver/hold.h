// SPDX-License-Identifier: MIT
//
// This module provides: held operations: their records, their states, and what takes them and gives them back
// (record.c, pend.c, synchronize.c, safe.c, fail.c, hold.c, held.c, release.c, watch.c).

#pragma once

typedef enum _MP_RECORD_STATE {
    MpRecordNew, ///< Belongs to the callbacks of its operation.
    MpRecordQueued, ///< Its deferred work item owns it.
    MpRecordParked, ///< Nobody owns it; it waits in the due heap. It can be released.
    MpRecordWaiting, ///< Its synchronised post-operation waits in the pre-operation's thread, which owns it. It can be released: that ends the wait.
    MpRecordReleasing ///< Belongs to the thread that gives it back.
} MP_RECORD_STATE;

#define MP_NOT_IN_HEAP 0xFFFFFFFFu
#define MP_MAX_RELEASE_THREADS 64

/// One operation between its pre-operation and its release. States and transitions are drawn in hold.c.
/// About 1 KB, half of it the name, from a nonpaged lookaside list: MaxHeld of them are 16 MB by default, in use only while as much is held. Name is
/// last and never zeroed: only its first NameChars are read.
typedef struct _MP_RECORD {
    LIST_ENTRY
    HeldLink; ///< On MpHold.List; MpHold.Lock. Parked and waiting records stand in the order of ParkSequence.
    LIST_ENTRY InstanceLink; ///< On Instance->Held; MpHold.Lock.
    MP_RECORD_STATE State; ///< MpHold.Lock once it is held.
    BOOLEAN ReleaseRequested; ///< Asked to be released; MpHold.Lock.
    BOOLEAN Synchronized; ///< Its pre-operation returned FLT_PREOP_SYNCHRONIZE.
    BOOLEAN Permitted; ///< Its pre-operation found no early refusal for the one rule that it had.
    BOOLEAN FailRefused; ///< A release asked for a status that it may not be given.
    MINIPEND_RELEASE_CAUSE Cause; ///< The first one asked for; MpHold.Lock.
    NTSTATUS ReleaseStatus; ///< 0: as it is; MpHold.Lock until RELEASING.
    ULONG64 ClaimedBy; ///< Number of the release command that has claimed it, 0: none; MpHold.Lock.
    ULONG HeapIndex; ///< Place in the due heap, or MP_NOT_IN_HEAP; MpHold.Lock.
    ULONG64 Id; ///< From MpHoldTake on; constant.
    ULONG64 ParkSequence; ///< MpHold.Lock.
    ULONG64 TakenTime; ///< Interrupt time of the post-operation, 100 ns.
    ULONG64 DueTime; ///< When it is to be given back; MpHold.Lock.
    WDFMEMORY Memory; ///< Owns this record.
    PFLT_CALLBACK_DATA Data; ///< Ours from the post-operation until FltCompletePendedPostOperation [POST-24].
    PETHREAD Thread; ///< Referenced while held; NULL: the operation has none.
    PMP_INSTANCE Instance;
    ULONG64 InstanceId; ///< For what is said when the instance may be gone.
    MINIPEND_OPERATION Operation;
    KEVENT Wake; ///< Ends the wait of a WAITING record. Notification event.
    MP_MATCH Match; ///< Until the rule is chosen. Its name is copied below and released in the pre-operation.
    PMP_RULE Rule; ///< The chosen one; Set keeps it.
    PMP_RULE_SET Set; ///< Referenced once Rule is chosen.
    ULONG64 RuleGeneration; ///< Of the table that it was matched in.
    MINIPEND_SEEN Seen; ///< What the post-operation saw.
    UCHAR MajorFunction;
    UCHAR MinorFunction;
    ULONG64 Information; ///< IoStatus.Information, as the post-operation saw it.
    USHORT NameChars;
    WCHAR Name[MINIPEND_MAX_NAME_CHARS]; ///< Not terminated.
} MP_RECORD, *PMP_RECORD;

typedef struct _MP_HOLD {
    WDFSPINLOCK Lock;
    LIST_ENTRY List; ///< Everything held: queued, parked, waiting.
    ULONG Count; ///< Length of List.
    ULONG Waiting; ///< How many of these are WAITING.
    ULONG HighWater;
    ULONG64 LastId;
    ULONG64 LastParkSequence;
    volatile LONG64 LastClaim;
    PMP_RECORD *Heap; ///< Parked records by DueTime; room for Limits.MaxHeld.
    ULONG HeapCount;
    WDFMEMORY HeapMemory; ///< Owns Heap.
    KEVENT Wake; ///< Synchronization event: the heap has a new first entry, or Stop was set.
    BOOLEAN Stop; ///< Releasing threads end once nothing is held.
    KEVENT WatchWake; ///< Synchronization event: there is something to watch again, or the watching thread is to end.
    BOOLEAN Watched; ///< The watching thread looks again before long; Lock.
    BOOLEAN WasDue; ///< Something was due when it looked last; Lock.
    ULONG64 TakenOut; ///< Records that releasing threads have taken; Lock.
    ULONG64 TakenOutSeen; ///< The same when the watching thread looked last; Lock.
    volatile LONG64 UnexpectedRefusals;
    volatile LONG64 UnexpectedSuccesses;
    HANDLE Threads[MP_MAX_RELEASE_THREADS]; ///< Joined at unload.
    ULONG ThreadCount; ///< Changed while loading and unloading, and by the watching thread in between.
} MP_HOLD;

extern MP_HOLD MpHold;

#define MP_NEVER MAXULONGLONG

/// The connection whose rule it is; 0: a persistent rule, which is nobody's.
#define MP_RECORD_OWNER(Record) ((Record)->Set->Persistent ? 0 : (Record)->Set->ConnectionId)

// record.c
/// A record for an operation that a rule may want. Takes over Match's table and releases its name. NULL: no memory; Match is untouched.
_IRQL_requires_max_(APC_LEVEL) _Must_inspect_result_ PMP_RECORD
    MpRecordCreate(_In_ PMP_INSTANCE Instance, _In_ MINIPEND_OPERATION Operation, _Inout_ PMP_MATCH Match);
/// Makes Candidates[Index] the record's rule and lets the table go.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpRecordChoose(_Inout_ PMP_RECORD Record, _In_ ULONG Index);
/// What a callback of the operation sees. In a draining call, whose data is a copy, neither status nor kind of call [DRAIN-02].
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpSee(_In_ PFLT_CALLBACK_DATA Data, _Out_ MINIPEND_SEEN *Seen);
/// Notes what the post-operation sees.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpRecordSee(_Inout_ PMP_RECORD Record, _In_ PFLT_CALLBACK_DATA Data);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpRecordFree(_In_ PMP_RECORD Record);

// pend.c
/// What a record needs before it is listed: the operation, its times, a reference on its thread.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpHoldBegin(_Inout_ PMP_RECORD Record, _In_ PFLT_CALLBACK_DATA Data);
/// Asks for the release of a record just listed when its client or its gate is gone: from then on they find it themselves.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpHoldReleaseIfOrphaned(_In_ PMP_RECORD Record);
_IRQL_requires_max_(DISPATCH_LEVEL) _Must_inspect_result_ BOOLEAN
    MpPend(_In_ PMP_RECORD Record, _In_ PFLT_CALLBACK_DATA Data, _In_ PMP_CELL Cell, _Out_ MINIPEND_REFUSAL *Refusal);

// synchronize.c
/// Whether FLT_PREOP_SYNCHRONIZE is allowed for it [SYNC-01..03], or not needed (create).
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpMaySynchronize(_In_ PFLT_CALLBACK_DATA Data);
/// Holds a synchronised operation in this thread, and counts it. FALSE: refused, the record still belongs to the caller; TRUE: it is done and freed.
_IRQL_requires_max_(APC_LEVEL) _Must_inspect_result_ BOOLEAN
    MpSynchronize(_In_ PMP_RECORD Record, _In_ PFLT_CALLBACK_DATA Data, _In_ PMP_CELL Cell,
                  _Out_ MINIPEND_REFUSAL *Refusal);

// safe.c
/// Finishes the operation through FltDoCompletionProcessingWhenSafe, and counts it (MP_LEAVE too). TRUE: the caller returns Result and touches
/// nothing any more. FALSE: refused, the record still belongs to the caller.
_IRQL_requires_max_(DISPATCH_LEVEL) _Must_inspect_result_ BOOLEAN
    MpWhenSafe(_In_ PMP_RECORD Record, _In_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS FltObjects,
               _In_ FLT_POST_OPERATION_FLAGS Flags, _Out_ FLT_POSTOP_CALLBACK_STATUS *Result,
               _Out_ MINIPEND_REFUSAL *Refusal);

// fail.c
/// Whether a rule or a release may name the status at all: a failure, and not one that has a meaning of its own.
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpFailStatusIsValid(_In_ NTSTATUS Status);
/// Whether a held operation may be given back with a failure now: not cleanup or close, not a create that succeeded [POST-32, CRE-04].
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpMayFail(_In_ const MP_RECORD *Record);
/// Gives the operation its failure: Status and Information 0. FALSE: it may not be given one.
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpFail(_In_ PMP_RECORD Record, _In_ NTSTATUS Status);
/// In the post-create callback: fails a create by the rule's status, through FltCancelFileOpen when it had succeeded [CRE-02, CRE-03].
_IRQL_requires_max_(PASSIVE_LEVEL) VOID
    MpFailCreate(_In_ PMP_RECORD Record, _In_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS FltObjects);

// hold.c: the table and its transitions
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpHoldInitialize(VOID);
/// NEW -> QUEUED. FALSE: the driver or the rule's gate holds as many operations as it may.
_IRQL_requires_max_(DISPATCH_LEVEL) _Must_inspect_result_ BOOLEAN MpHoldTake(_In_ PMP_RECORD Record);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpHoldUntake(_In_ PMP_RECORD Record);
/// NEW -> WAITING. FALSE as MpHoldTake.
_IRQL_requires_max_(DISPATCH_LEVEL) _Must_inspect_result_ BOOLEAN MpHoldWait(_In_ PMP_RECORD Record);
/// WAITING -> RELEASING, by the thread that waited.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpHoldWaited(_In_ PMP_RECORD Record);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID
    MpHoldRequestRelease(_In_ PMP_RECORD Record, _In_ MINIPEND_RELEASE_CAUSE Cause);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpHoldPark(_In_ PMP_RECORD Record);
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpHoldIsFull(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID
    MpHoldReleaseConnection(_In_ ULONG64 ConnectionId, _In_ MINIPEND_RELEASE_CAUSE Cause);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpHoldReleaseInstance(_In_ PMP_INSTANCE Instance);
/// The record that a releasing thread gives back next, or NULL and the interrupt time until which there is nothing to do. Stop: nothing is held and
/// nothing more will come.
_IRQL_requires_max_(DISPATCH_LEVEL) PMP_RECORD MpHoldNextDue(_Out_ PULONG64 WaitUntil, _Out_ PBOOLEAN Stop);
/// For the watching thread: whether there is still something to watch. FALSE: WatchWake will be set when there is.
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpHoldKeepWatch(VOID);
/// For the watching thread: whether something has been due since it asked last, and no releasing thread has taken anything.
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpHoldIsStalled(VOID);
/// Counts an operation that FltDoCompletionProcessingWhenSafe finished.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpHoldCountWhenSafe(_In_ PMP_RECORD Record, _In_ BOOLEAN Failed);
/// Counts an operation that was given a failure.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpHoldCountFailed(_In_ PMP_RECORD Record);
/// Asks for the release of a listed record; the first cause asked for stays. MpHold.Lock held: for held.c and watch.c.
_IRQL_requires_(DISPATCH_LEVEL) VOID MpHoldAskLocked(_In_ PMP_RECORD Record, _In_ MINIPEND_RELEASE_CAUSE Cause);

// heap.c: the due heap; MpHold.Lock held
_IRQL_requires_(DISPATCH_LEVEL) VOID MpHeapInsert(_In_ PMP_RECORD Record);
_IRQL_requires_(DISPATCH_LEVEL) VOID MpHeapRemove(_In_ PMP_RECORD Record);
/// Makes the record due now.
_IRQL_requires_(DISPATCH_LEVEL) VOID MpHeapExpedite(_In_ PMP_RECORD Record);

// held.c: what clients see of it and ask of it
/// Describes parked and waiting records after a sequence number. Entries is nonpaged. Returns how many; More: there are others.
_IRQL_requires_max_(DISPATCH_LEVEL) ULONG
    MpHeldList(_In_ ULONG64 AfterParkSequence, _In_ ULONG64 OwnerOrZero, _In_ ULONG MaxEntries,
               _Out_writes_to_(MaxEntries, return) MINIPEND_HELD_ENTRY *Entries, _Out_ PBOOLEAN More,
               _Out_ PULONG64 HeldNow);
typedef struct _MP_RELEASE {
    ULONG64 ConnectionId;
    MINIPEND_RELEASE_WHAT What;
    BOOLEAN Force;
    ULONG64 HeldId;
    ULONG SetId;
    ULONG RuleId;
    NTSTATUS Status;
    ULONG64 Claim; ///< Set by MpHeldClaim.
    ULONG Released; ///< Set by MpHeldClaim.
    ULONG StatusNotApplied; ///< Set by MpHeldClaim.
} MP_RELEASE, *PMP_RELEASE;
/// Claims what the command names: nobody else's command can claim it then. Nothing is released yet. Not MINIPEND_DETAIL_NONE: nothing is claimed.
_IRQL_requires_max_(DISPATCH_LEVEL) MINIPEND_DETAIL MpHeldClaim(_Inout_ PMP_RELEASE Release);
/// Releases what was claimed, or (Commit FALSE) lets it go on as before. Claimed ones that were given back meanwhile are no matter.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpHeldFinish(_In_ const MP_RELEASE *Release, _In_ BOOLEAN Commit);

// watch.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpWatchStart(VOID);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpWatchStop(VOID);

// release.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpReleaseStart(VOID);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpReleaseStop(VOID);
/// One more releasing thread, if there may be one. For the watching thread.
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpReleaseGrow(VOID);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpReleaseRecord(_In_ PMP_RECORD Record);
/// Says that a RELEASING record is about to be given back, and gives its operation the failure that was chosen, if one was.
_IRQL_requires_max_(APC_LEVEL) VOID MpReleasePrepare(_Inout_ PMP_RECORD Record);
