// SPDX-License-Identifier: MIT
//
// This module provides: connections, their event rings and bells, and the messages (port.c, messages*.c, events.c, bell.c, capture.c).

#pragma once

/// A connection's event ring. A full ring loses the new event, and says so: its sequence number is used up, Lost counts it.
typedef struct _MP_RING {
    MINIPEND_EVENT *Events; ///< NULL: not subscribed. Nonpaged.
    WDFMEMORY Memory; ///< Owns Events.
    ULONG Capacity;
    ULONG Kinds;
    BOOLEAN AllClients;
    ULONG Head; ///< Index of the oldest event.
    ULONG Count;
    ULONG64 LastSequence; ///< Of the last event, lost ones included. Goes on over subscriptions.
    ULONG64 LastSent; ///< The highest that a reply has named: nothing above it can be acknowledged.
    ULONG64 Lost;
} MP_RING;

typedef struct _MP_CONNECTION {
    LIST_ENTRY Link; ///< On MpConnections.List; MpConnections.Lock.
    volatile LONG References;
    WDFMEMORY Memory; ///< Owns this.
    ULONG64 Id; ///< The port cookie: a number, so that a stale one is only unknown.
    ULONG ProcessId; ///< In whose thread it connected; constant.
    PFLT_PORT
    ClientPort; ///< Closed by the disconnect routine; FltCloseClientPort synchronises with the bell's FltSendMessage [PORT-04].
    volatile LONG Greeted; ///< 0 no, 1 hello's reply is being copied out, 2 yes.
    PMP_RULE_TABLE DropTable; ///< Made at connect time, so that dropping the rules at disconnect cannot fail.
    MP_PLACES Places; ///< MpRules.WriteLock.
    ULONG ThreadIds[2]; ///< From hello: never held. MpConnections.Lock.
    PETHREAD Threads
        [2]; ///< The same, referenced; NULL: none, or not found. MpConnections.Lock; watch.c looks whether they end.
    MP_RING Ring; ///< MpConnections.Lock.
    ULONG BellReasons; ///< MINIPEND_BELL_*: what has happened since the client last asked for it; MpConnections.Lock.
    ULONG BellArmed; ///< MINIPEND_BELL_*: what the client wants to be told of, each once; MpConnections.Lock.
    ULONG64 BellRetryTime; ///< Interrupt time before which no bell is tried again; MpConnections.Lock.
    ULONG64 BellCount; ///< Of the bell thread alone.
} MP_CONNECTION, *PMP_CONNECTION;

typedef struct _MP_CONNECTIONS {
    WDFSPINLOCK Lock;
    LIST_ENTRY List;
    ULONG Count;
    volatile LONG64 LastId;
    volatile LONG Rings; ///< Connections with a ring: events cost nothing when there is none.
    PFLT_PORT ServerPort;
} MP_CONNECTIONS;

extern MP_CONNECTIONS MpConnections;

// port.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpConnectionsInitialize(VOID);
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpPortOpen(VOID);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpPortClose(VOID);
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpConnectionsIsClientThread(_In_opt_ PETHREAD Thread);
/// 0, the owner of persistent rules, is always listed.
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpConnectionsIsListed(_In_ ULONG64 ConnectionId);
/// Names the connection's threads; their objects are looked up and referenced before the lock is taken.
_IRQL_requires_max_(PASSIVE_LEVEL) VOID
    MpConnectionNameThreads(_Inout_ PMP_CONNECTION Connection, _In_ ULONG ControlThreadId, _In_ ULONG ScriptThreadId);
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpConnectionReference(_In_ PMP_CONNECTION Connection);
/// The last reference frees the connection's ring and lets its thread objects go.
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpConnectionDereference(_In_ PMP_CONNECTION Connection);
/// MpConnections.Lock held. NULL: there is none.
_IRQL_requires_(DISPATCH_LEVEL) PMP_CONNECTION MpConnectionFind(_In_ ULONG64 Id);
/// Ids of the connections one of whose named threads is terminating, at most MP_MAX_CONNECTIONS. Returns how many.
_IRQL_requires_max_(DISPATCH_LEVEL) ULONG
    MpConnectionsTerminating(_Out_writes_to_(MP_MAX_CONNECTIONS, return) ULONG64 *Ids);

// messages.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS
    MpMessageHandle(_In_ PMP_CONNECTION Connection, _In_reads_bytes_opt_(InputBytes) PVOID Input, _In_ ULONG InputBytes,
                    _Out_writes_bytes_to_opt_(OutputBytes, *ReturnedBytes) PVOID Output, _In_ ULONG OutputBytes,
                    _Out_ PULONG ReturnedBytes);

// events.c
/// Adds an event to the rings that want it and rings their bells, and writes it to ETW. Not under a spin lock. Cause: see MINIPEND_EVENT.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID
    MpEvent(_In_ MINIPEND_EVENT_KIND Kind, _In_ const MP_RECORD *Record, _In_ ULONG Cause);
/// The same for an operation that was refused without a record: the match's first rule is told.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID
    MpEventRefused(_In_ PFLT_CALLBACK_DATA Data, _In_ PMP_INSTANCE Instance, _In_ MINIPEND_OPERATION Operation,
                   _In_ const MP_MATCH *Match, _In_ MINIPEND_REFUSAL Cause);
/// A ring for the connection. Nothing is recorded in it before MpRingInstall.
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS
    MpRingCreate(_In_ ULONG Capacity, _Out_ MP_RING *Ring);
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpRingDelete(_Inout_ MP_RING *Ring);
/// Puts Ring (Events NULL: no ring any more) in the place of the connection's; takes it over. ToldSequence: what the client was told is its last event;
/// events after it that the old ring had are counted as lost.
_IRQL_requires_max_(PASSIVE_LEVEL) VOID
    MpRingInstall(_Inout_ PMP_CONNECTION Connection, _Inout_ MP_RING *Ring, _In_ ULONG64 ToldSequence);
typedef struct _MP_RING_STATE {
    BOOLEAN Subscribed;
    ULONG64 LastSequence;
    ULONG64 LastSent;
    ULONG64 Lost;
} MP_RING_STATE;
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpRingQuery(_In_ PMP_CONNECTION Connection, _Out_ MP_RING_STATE *State);
/// Copies events after a sequence number; takes nothing out. Events is nonpaged. Returns how many.
_IRQL_requires_max_(DISPATCH_LEVEL) ULONG
    MpRingRead(_In_ PMP_CONNECTION Connection, _In_ ULONG64 After, _In_ ULONG MaxEvents,
               _Out_writes_to_(MaxEvents, return) MINIPEND_EVENT *Events);
/// Takes the events up to Acknowledge out, and notes that those up to Sent have been sent.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID
    MpRingAcknowledge(_Inout_ PMP_CONNECTION Connection, _In_ ULONG64 Acknowledge, _In_ ULONG64 Sent);

// bell.c
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS MpBellStart(VOID);
/// After the port is closed to new connections and before FltUnregisterFilter: FltSendMessage needs the filter.
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpBellStop(VOID);
/// Something new for the connection: rings, if it is armed. Takes MpConnections.Lock. For MINIPEND_BELL_HELD by hold.c's callers, outside its lock.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpBellRing(_In_ ULONG64 ConnectionId, _In_ ULONG Reason);
/// Before an answer is made: forgets what of this reason (MINIPEND_BELL_*) has happened so far. TRUE: there was something. A command that fails
/// afterwards must give it back (MpBellRing), or it would never be told.
_IRQL_requires_max_(DISPATCH_LEVEL) _Must_inspect_result_ BOOLEAN
    MpBellForget(_Inout_ PMP_CONNECTION Connection, _In_ ULONG Reason);
/// After the answer has been copied out: from now on, and for what came in between, the bell rings for this reason, once.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpBellArm(_Inout_ PMP_CONNECTION Connection, _In_ ULONG Reason);
/// A reason that somebody waits for has come up: the bell thread looks. With MpConnections.Lock held or not.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID MpBellWake(VOID);
/// Notes a reason. TRUE: the bell thread must be told (MpBellWake). MpConnections.Lock held.
_IRQL_requires_(DISPATCH_LEVEL) _Must_inspect_result_ BOOLEAN
    MpBellNote(_Inout_ PMP_CONNECTION Connection, _In_ ULONG Reason);

// capture.c
_IRQL_requires_max_(APC_LEVEL) _Must_inspect_result_ NTSTATUS
    MpCopyFromCaller(_Out_writes_bytes_(Bytes) PVOID To, _In_reads_bytes_(Bytes) const VOID *From, _In_ SIZE_T Bytes);
_IRQL_requires_max_(APC_LEVEL) _Must_inspect_result_ NTSTATUS
    MpCopyToCaller(_Out_writes_bytes_(Bytes) PVOID To, _In_reads_bytes_(Bytes) const VOID *From, _In_ SIZE_T Bytes);
