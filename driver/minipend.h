// SPDX-License-Identifier: MIT
//
// This module provides: the driver's own types, its limits, and the prototypes of its modules.
//
//   entry.c       loading, registry parameters, unloading          names.c     names for matching, cached per stream handle
//   registration.c what the Filter Manager is told                 rules.c     the rule table, and which rule wins
//   instance.c    attaching and detaching                           rules_parse.c  rules as they arrive in a message
//   operations.c  the pre- and post-operation callbacks             pattern.c   the path matcher
//   classify.c    which operation is this                           counters.c  the idle-path counters and the snapshot
//   pend.c        taking an operation                               port.c      connections
//   hold.c        what is held, and the states of a held operation  messages.c  the commands
//   release.c     the threads that give operations back             capture.c   the only code that touches a caller's memory
//
// Locks, in the order in which they are taken (a later one may be taken while an earlier one is held, never the reverse):
//   MpInstances.Lock (wait lock)  ->  MpRules.WriteLock (wait lock)  ->  MpConnections.Lock (spin)  ->  MpRules.TableLock (spin)
//   ->  MpHold.Lock (spin)
// No lock is held while the Filter Manager is asked to complete, queue or unregister anything, nor while a caller's memory is touched.

#pragma once

#include <fltkernel.h>
#include <wdf.h>

#include "minipend_protocol.h"

#define MP_TAG_RECORD 'rpDM'
#define MP_TAG_RULES 'upDM'
#define MP_TAG_CONTEXT 'xpDM'
#define MP_TAG_COUNTERS 'cpDM'
#define MP_TAG_MESSAGE 'mpDM'
#define MP_TAG_CONNECTION 'npDM'
#define MP_TAG_HOLD 'hpDM'

#define MP_100NS_PER_MS 10000ull
#define MP_MAX_CONNECTIONS 16

// ---- limits (entry.c) ---------------------------------------------------------------------------------------------

/// Values under the service's Parameters key; one outside its range is replaced by the nearest end of it.
typedef struct _MP_LIMITS {
    ULONG MaxHeld; ///< MaxHeld, 1 to 65,536, default 16,384: operations held at once.
    ULONG MaxDelayMs; ///< MaxDelayMs, 1 to 600,000, default 30,000: longest delay a rule may ask for.
    ULONG ReleaseThreads; ///< ReleaseThreads, 2 to 16, default 2.
} MP_LIMITS;

typedef struct _MP_GLOBALS {
    PFLT_FILTER Filter; ///< Set by DriverEntry before filtering starts, constant until unload.
    PFLT_VOLUME BootVolume; ///< Referenced. NULL: it could not be found out, so every volume counts as the boot volume.
    ULONG ProcessorCount; ///< KeQueryMaximumProcessorCountEx at load; constant.
    MP_LIMITS Limits; ///< Constant after DriverEntry.
    WDFLOOKASIDE RecordLookaside;
    EX_RUNDOWN_REF DeferredRoutines; ///< One reference per accepted deferred work item, until its routine is through.
} MP_GLOBALS;

extern MP_GLOBALS MpGlobals;

// ---- counters (counters.c) ------------------------------------------------------------------------------------------

/// Idle-path counters of one operation on one processor. Two cache lines, so that processors do not share one.
/// Written with no-fence interlocked adds (a thread may migrate between reading the processor number and adding); read without
/// any ordering but Left's: a snapshot under load may be torn between cells, at rest it is exact.
typedef struct DECLSPEC_ALIGN(64) _MP_CELL {
    volatile LONG64 PostOperations;
    volatile LONG64 Left; ///< Post-operation callbacks whose outcome is counted; InCallback = PostOperations - Left.
    volatile LONG64 Unmatched;
    volatile LONG64 Observed;
    volatile LONG64 Draining;
    volatile LONG64 NameUnavailable;
    volatile LONG64 FastIoDisallowed;
    volatile LONG64 Refused[MINIPEND_REFUSAL_COUNT];
} MP_CELL, *PMP_CELL;

C_ASSERT(sizeof(MP_CELL) == 128);

/// Pend-path counters of one operation; MpHold.Lock.
typedef struct _MP_HELD_COUNTERS {
    ULONG64 Pended;
    ULONG64 Completed;
    ULONG64 InFlight;
} MP_HELD_COUNTERS;

// ---- instances (instance.c) -----------------------------------------------------------------------------------------

/// The instance context. It lives until TeardownComplete has run; every post-operation (draining ones too) comes before that
/// [LIFE-14], so callbacks may use the pointer that their pre-operation found without a reference of their own.
typedef struct _MP_INSTANCE {
    LIST_ENTRY Link; ///< On MpInstances.List; MpInstances.Lock.
    PFLT_INSTANCE Object; ///< Constant.
    ULONG64 Id; ///< Constant.
    BOOLEAN BootVolume; ///< Constant.
    BOOLEAN TearingDown; ///< MpHold.Lock; never goes back to FALSE.
    volatile LONG64 RenameGeneration; ///< Counts renames; a cached name of another generation is stale.
    PMP_CELL Cells; ///< [ProcessorCount][MINIPEND_OPERATION_COUNT]
    WDFMEMORY CellMemory; ///< Owns Cells.
    LIST_ENTRY Held; ///< MP_RECORD.InstanceLink of what is held here; MpHold.Lock.
    MP_HELD_COUNTERS HeldCounters[MINIPEND_OPERATION_COUNT]; ///< MpHold.Lock.
    WCHAR Altitude[MINIPEND_MAX_ALTITUDE_CHARS]; ///< Constant, as are the other texts; terminated.
    WCHAR Name[MINIPEND_MAX_INSTANCE_NAME_CHARS];
    WCHAR Volume[MINIPEND_MAX_VOLUME_CHARS];
    WCHAR VolumeUpcased[MINIPEND_MAX_VOLUME_CHARS];
    UNICODE_STRING VolumeKey; ///< VolumeUpcased, counted: what rules are compared with.
} MP_INSTANCE, *PMP_INSTANCE;

typedef struct _MP_INSTANCES {
    WDFWAITLOCK Lock; ///< Guards List and Retired's additions.
    LIST_ENTRY List;
    ULONG Count;
    volatile LONG64 LastId;
    MINIPEND_OPERATION_COUNTERS Retired[MINIPEND_OPERATION_COUNT]; ///< Sums of the instances that are gone; Lock.
} MP_INSTANCES;

extern MP_INSTANCES MpInstances;

// ---- rules (rules.c, rules_parse.c) ---------------------------------------------------------------------------------

/// One rule as the matcher uses it. The texts point into the owning set; both are upcased.
typedef struct _MP_RULE {
    ULONG Id;
    ULONG Flags;
    MINIPEND_ACTION Action;
    WORK_QUEUE_TYPE Queue;
    ULONG DelayMs;
    UNICODE_STRING Path; ///< Length 0: any.
    UNICODE_STRING Volume; ///< Length 0: any.
} MP_RULE, *PMP_RULE;

/// The rules of one connection. Immutable once published; nonpaged, because the paging path's pre-operations read it.
typedef struct _MP_RULE_SET {
    volatile LONG References;
    WDFMEMORY Memory; ///< Owns this set, its rules, index and texts.
    ULONG64 ConnectionId;
    ULONG64 Generation;
    ULONG64 Operations; ///< Union of the rules' operations.
    ULONG Count;
    PMP_RULE Rules;
    ULONG First[MINIPEND_OPERATION_COUNT +
                1]; ///< Index[First[op] .. First[op + 1] - 1]: the rules that name op, in order.
    PULONG Index;
} MP_RULE_SET, *PMP_RULE_SET;

/// The rule sets of all connections at one moment. Immutable once published.
typedef struct _MP_RULE_TABLE {
    volatile LONG References; ///< One for being the current table, one for each match that reads it.
    WDFMEMORY Memory; ///< Owns this.
    ULONG64 Generation;
    ULONG64 Operations; ///< Union of the sets' operations.
    ULONG Count;
    PMP_RULE_SET Sets[MP_MAX_CONNECTIONS]; ///< Each referenced.
} MP_RULE_TABLE, *PMP_RULE_TABLE;

/// What the winning rule says, copied, so that a held operation depends on no rule set.
typedef struct _MP_DECISION {
    BOOLEAN Matched;
    MINIPEND_ACTION Action;
    WORK_QUEUE_TYPE Queue;
    ULONG Flags;
    ULONG DelayMs;
    ULONG RuleId;
    ULONG64 Generation;
    ULONG64 ConnectionId;
} MP_DECISION, *PMP_DECISION;

/// Why a message's rules were not taken.
typedef struct _MP_FAULT {
    NTSTATUS Status;
    MINIPEND_DETAIL Detail;
    ULONG Index;
    ULONG RequiredBytes;
} MP_FAULT, *PMP_FAULT;

// ---- held operations (hold.c, pend.c, release.c) --------------------------------------------------------------------

typedef enum _MP_RECORD_STATE {
    MpRecordNew, ///< Belongs to the callbacks of its operation.
    MpRecordQueued, ///< Its deferred work item owns it.
    MpRecordParked, ///< Nobody owns it; it waits in the due heap. The only state in which it can be released.
    MpRecordReleasing ///< Belongs to the thread that gives it back.
} MP_RECORD_STATE;

#define MP_NOT_IN_HEAP 0xFFFFFFFFu

/// One operation between its pre-operation and its release. States and transitions are drawn in hold.c.
typedef struct _MP_RECORD {
    LIST_ENTRY HeldLink; ///< On MpHold.List; MpHold.Lock.
    LIST_ENTRY InstanceLink; ///< On Instance->Held; MpHold.Lock.
    MP_RECORD_STATE State; ///< MpHold.Lock once it is Queued.
    BOOLEAN ReleaseRequested; ///< Asked to be released while Queued; MpHold.Lock.
    ULONG HeapIndex; ///< Place in the due heap, or MP_NOT_IN_HEAP; MpHold.Lock.
    ULONG64 TakenTime; ///< Interrupt time of the post-operation, 100 ns.
    ULONG64 DueTime; ///< When it is to be given back; MpHold.Lock.
    WDFMEMORY Memory; ///< Owns this record.
    PFLT_CALLBACK_DATA Data; ///< Ours from the post-operation until FltCompletePendedPostOperation [POST-24].
    PMP_INSTANCE Instance;
    MINIPEND_OPERATION Operation;
    MP_DECISION Decision;
} MP_RECORD, *PMP_RECORD;

typedef struct _MP_HOLD {
    WDFSPINLOCK Lock;
    LIST_ENTRY List; ///< Everything held.
    ULONG Count; ///< Length of List.
    ULONG HighWater;
    PMP_RECORD *Heap; ///< Parked records by DueTime; room for Limits.MaxHeld.
    ULONG HeapCount;
    WDFMEMORY HeapMemory; ///< Owns Heap.
    KEVENT Wake; ///< Synchronization event: the heap has a new first entry, or Stop was set.
    BOOLEAN Stop; ///< Releasing threads end once nothing is held.
    volatile LONG64 UnexpectedRefusals;
    PETHREAD Threads[16]; ///< Referenced; joined at unload.
    ULONG ThreadCount;
} MP_HOLD;

extern MP_HOLD MpHold;

// ---- connections (port.c) -------------------------------------------------------------------------------------------

typedef struct _MP_CONNECTION {
    LIST_ENTRY Link; ///< On MpConnections.List; MpConnections.Lock.
    volatile LONG References;
    WDFMEMORY Memory; ///< Owns this.
    ULONG64 Id; ///< The port cookie: a number, so that a stale one is only unknown.
    PFLT_PORT ClientPort; ///< Closed by the disconnect routine.
    volatile LONG Greeted; ///< 0 no, 1 hello's reply is being copied out, 2 yes.
    PMP_RULE_TABLE DropTable; ///< Made at connect time, so that dropping the rules at disconnect cannot fail.
    ULONG ThreadIds[2]; ///< From hello: never held. MpConnections.Lock.
} MP_CONNECTION, *PMP_CONNECTION;

typedef struct _MP_CONNECTIONS {
    WDFSPINLOCK Lock;
    LIST_ENTRY List;
    ULONG Count;
    volatile LONG64 LastId;
    PFLT_PORT ServerPort;
} MP_CONNECTIONS;

extern MP_CONNECTIONS MpConnections;

// ---- prototypes -----------------------------------------------------------------------------------------------------

// entry.c
NTSTATUS FLTAPI MpUnload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags);

// registration.c
extern const FLT_REGISTRATION MpRegistration;

// classify.c
_IRQL_requires_max_(DISPATCH_LEVEL) MINIPEND_OPERATION MpClassify(_In_ const FLT_CALLBACK_DATA *Data);

// operations.c
FLT_PREOP_CALLBACK_STATUS FLTAPI MpPreOperation(_Inout_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS FltObjects,
                                                _Outptr_result_maybenull_ PVOID *CompletionContext);
FLT_POSTOP_CALLBACK_STATUS FLTAPI MpPostOperation(_Inout_ PFLT_CALLBACK_DATA Data,
                                                  _In_ PCFLT_RELATED_OBJECTS FltObjects,
                                                  _In_opt_ PVOID CompletionContext,
                                                  _In_ FLT_POST_OPERATION_FLAGS Flags);

// instance.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpInstancesInitialize(VOID);
NTSTATUS FLTAPI MpInstanceSetup(_In_ PCFLT_RELATED_OBJECTS FltObjects, _In_ FLT_INSTANCE_SETUP_FLAGS Flags,
                                _In_ DEVICE_TYPE VolumeDeviceType, _In_ FLT_FILESYSTEM_TYPE VolumeFilesystemType);
NTSTATUS FLTAPI MpInstanceQueryTeardown(_In_ PCFLT_RELATED_OBJECTS FltObjects,
                                        _In_ FLT_INSTANCE_QUERY_TEARDOWN_FLAGS Flags);
VOID FLTAPI MpInstanceTeardownStart(_In_ PCFLT_RELATED_OBJECTS FltObjects, _In_ FLT_INSTANCE_TEARDOWN_FLAGS Reason);
VOID FLTAPI MpInstanceTeardownComplete(_In_ PCFLT_RELATED_OBJECTS FltObjects, _In_ FLT_INSTANCE_TEARDOWN_FLAGS Reason);
VOID FLTAPI MpInstanceContextCleanup(_In_ PFLT_CONTEXT Context, _In_ FLT_CONTEXT_TYPE ContextType);

// counters.c
_IRQL_requires_max_(DISPATCH_LEVEL) PMP_CELL
    MpCell(_In_ const MP_INSTANCE *Instance, _In_ MINIPEND_OPERATION Operation);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID
    MpCountersAdd(_In_ const MP_INSTANCE *Instance,
                  _Inout_updates_(MINIPEND_OPERATION_COUNT) MINIPEND_OPERATION_COUNTERS *Sum);
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS
    MpCountersSnapshot(_In_ ULONG LargestBytes, _Outptr_ MINIPEND_COUNTERS_REPLY **Reply, _Out_ WDFMEMORY *Memory,
                       _Out_ PULONG ReplyBytes);

#define MP_COUNT(Cell, Field) InterlockedIncrementNoFence64(&(Cell)->Field)
/// With a full fence: who sees that a callback has left also sees that it had come, so InCallback never shows below zero.
#define MP_LEAVE(Cell) InterlockedIncrement64(&(Cell)->Left)

// names.c
typedef struct _MP_NAME {
    ULONG64 Generation; ///< MP_INSTANCE.RenameGeneration when it was asked for.
    USHORT Bytes;
    WCHAR Text[ANYSIZE_ARRAY]; ///< Upcased, relative to the volume's root, not terminated.
} MP_NAME, *PMP_NAME;

/// A name for the length of a match; MpNameRelease gives it back.
typedef struct _MP_NAME_HANDLE {
    PMP_NAME Name; ///< NULL: not to be had safely.
    BOOLEAN IsContext; ///< Name is a stream-handle context; otherwise Memory owns it.
    WDFMEMORY Memory;
} MP_NAME_HANDLE, *PMP_NAME_HANDLE;

_IRQL_requires_max_(APC_LEVEL) VOID MpNameGet(_In_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS FltObjects,
                                              _In_ PMP_INSTANCE Instance, _Out_ PMP_NAME_HANDLE Handle);
_IRQL_requires_max_(APC_LEVEL) VOID MpNameRelease(_Inout_ PMP_NAME_HANDLE Handle);

// pattern.c
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpPatternMatches(_In_ PCUNICODE_STRING Pattern, _In_ PCUNICODE_STRING Name);

// rules.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpRulesInitialize(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpRulesWant(_In_ MINIPEND_OPERATION Operation);
_IRQL_requires_max_(APC_LEVEL) VOID
    MpRulesMatch(_In_ PFLT_CALLBACK_DATA Data, _In_ PCFLT_RELATED_OBJECTS FltObjects, _In_ PMP_INSTANCE Instance,
                 _In_ MINIPEND_OPERATION Operation, _Out_ PMP_DECISION Decision);
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpRulesPrepareTable(_Outptr_ PMP_RULE_TABLE *Table);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpRulesDiscardTable(_In_ PMP_RULE_TABLE Table);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID
    MpRulesPublish(_In_ ULONG64 ConnectionId, _In_opt_ PMP_RULE_SET Set, _In_ PMP_RULE_TABLE Table);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpRulesCleanup(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpRuleSetDereference(_In_ PMP_RULE_SET Set);
_IRQL_requires_max_(DISPATCH_LEVEL) ULONG64 MpRulesGeneration(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL) ULONG64 MpRulesReserveGeneration(VOID);

// rules_parse.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS
    MpRulesParse(_In_reads_bytes_(Bytes) const UCHAR *Message, _In_ ULONG Bytes, _In_ ULONG64 ConnectionId,
                 _Outptr_ PMP_RULE_SET *Set, _Out_ PMP_FAULT Fault);

// pend.c
_IRQL_requires_max_(DISPATCH_LEVEL) _Must_inspect_result_ PMP_RECORD
    MpRecordCreate(_In_ PMP_INSTANCE Instance, _In_ MINIPEND_OPERATION Operation, _In_ const MP_DECISION *Decision);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpRecordFree(_In_ PMP_RECORD Record);
_IRQL_requires_max_(DISPATCH_LEVEL) _Must_inspect_result_ BOOLEAN
    MpPend(_In_ PMP_RECORD Record, _In_ PFLT_CALLBACK_DATA Data, _In_ PMP_CELL Cell, _Out_ MINIPEND_REFUSAL *Refusal);

// hold.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpHoldInitialize(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL) _Must_inspect_result_ BOOLEAN MpHoldTake(_In_ PMP_RECORD Record);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpHoldUntake(_In_ PMP_RECORD Record);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpHoldRequestRelease(_In_ PMP_RECORD Record);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpHoldPark(_In_ PMP_RECORD Record);
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpHoldIsFull(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpHoldReleaseConnection(_In_ ULONG64 ConnectionId);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpHoldReleaseInstance(_In_ PMP_INSTANCE Instance);
_IRQL_requires_max_(DISPATCH_LEVEL) PMP_RECORD MpHoldNextDue(_Out_ PULONG64 WaitUntil, _Out_ PBOOLEAN Stop);

#define MP_NEVER MAXULONGLONG

// release.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpReleaseStart(VOID);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpReleaseStop(VOID);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpReleaseRecord(_In_ PMP_RECORD Record);

// port.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpConnectionsInitialize(VOID);
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpPortOpen(VOID);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpPortClose(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpConnectionsIsClientThread(_In_opt_ PETHREAD Thread);
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpConnectionsIsListed(_In_ ULONG64 ConnectionId);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID
    MpConnectionNameThreads(_Inout_ PMP_CONNECTION Connection, _In_ ULONG ControlThreadId, _In_ ULONG ScriptThreadId);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpConnectionDereference(_In_ PMP_CONNECTION Connection);

// messages.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS
    MpMessageHandle(_In_ PMP_CONNECTION Connection, _In_reads_bytes_opt_(InputBytes) PVOID Input, _In_ ULONG InputBytes,
                    _Out_writes_bytes_to_opt_(OutputBytes, *ReturnedBytes) PVOID Output, _In_ ULONG OutputBytes,
                    _Out_ PULONG ReturnedBytes);

// capture.c
_IRQL_requires_max_(APC_LEVEL) _Must_inspect_result_ NTSTATUS
    MpCopyFromCaller(_Out_writes_bytes_(Bytes) PVOID To, _In_reads_bytes_(Bytes) const VOID *From, _In_ SIZE_T Bytes);
_IRQL_requires_max_(APC_LEVEL) _Must_inspect_result_ NTSTATUS
    MpCopyToCaller(_Out_writes_bytes_(Bytes) PVOID To, _In_reads_bytes_(Bytes) const VOID *From, _In_ SIZE_T Bytes);
