// SPDX-License-Identifier: MIT
//
// This module provides: the communication port and its connections.
//
// The port admits administrators and the system only [PORT-02]. A connection is known by a number, not by a pointer: a message that is
// under way while its connection is being closed finds it, and holds a reference, or does not find it. Disconnecting takes the connection off
// the list (so that nothing is taken or recorded for it any more), closes its port, takes its rules away and asks for the release of what
// they hold; it waits for nothing but a bell that is being sent (bell.c), 50 ms at most.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpConnectionsInitialize)
#pragma alloc_text(PAGE, MpPortOpen)
#pragma alloc_text(PAGE, MpPortClose)
#endif

MP_CONNECTIONS MpConnections;

_Use_decl_annotations_ NTSTATUS MpConnectionsInitialize(VOID) {
    PAGED_CODE();

    InitializeListHead(&MpConnections.List);
    return WdfSpinLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &MpConnections.Lock);
}

_Use_decl_annotations_ PMP_CONNECTION MpConnectionFind(ULONG64 Id) {
    PLIST_ENTRY link;

    for (link = MpConnections.List.Flink; link != &MpConnections.List; link = link->Flink) {
        PMP_CONNECTION connection = CONTAINING_RECORD(link, MP_CONNECTION, Link);

        if (connection->Id == Id) {
            return connection;
        }
    }
    return NULL;
}

/// The connection of that number, referenced; NULL: it is gone.
static PMP_CONNECTION MpConnectionLookup(ULONG64 Id) {
    PMP_CONNECTION connection;

    WdfSpinLockAcquire(MpConnections.Lock);
    connection = MpConnectionFind(Id);
    if (connection != NULL) {
        MpConnectionReference(connection);
    }
    WdfSpinLockRelease(MpConnections.Lock);
    return connection;
}

_Use_decl_annotations_ VOID MpConnectionReference(PMP_CONNECTION Connection) {
    InterlockedIncrement(&Connection->References);
}

/// A message that was under way when its client disconnected may have made a ring or named threads after that: so they go with the last
/// reference, and not in the disconnect routine.
_Use_decl_annotations_ VOID MpConnectionDereference(PMP_CONNECTION Connection) {
    ULONG i;

    if (InterlockedDecrement(&Connection->References) != 0) {
        return;
    }
    if (Connection->Ring.Events != NULL) {
        InterlockedDecrement(&MpConnections.Rings);
    }
    MpRingDelete(&Connection->Ring);
    for (i = 0; i < RTL_NUMBER_OF(Connection->Threads); i++) {
        if (Connection->Threads[i] != NULL) {
            ObDereferenceObject(Connection->Threads[i]);
        }
    }
    WdfObjectDelete(Connection->Memory);
}

_Use_decl_annotations_ BOOLEAN MpConnectionsIsListed(ULONG64 ConnectionId) {
    BOOLEAN listed;

    if (ConnectionId == 0) {
        return TRUE;
    }
    WdfSpinLockAcquire(MpConnections.Lock);
    listed = MpConnectionFind(ConnectionId) != NULL;
    WdfSpinLockRelease(MpConnections.Lock);
    return listed;
}

/// By value: the message is in paged pool, and may not be looked at under a spin lock. A thread that is not there (any more) is only never watched.
_Use_decl_annotations_ VOID MpConnectionNameThreads(PMP_CONNECTION Connection, ULONG ControlThreadId,
                                                    ULONG ScriptThreadId) {
    const ULONG ids[2] = {ControlThreadId, ScriptThreadId};
    PETHREAD threads[2] = {NULL, NULL};
    ULONG i;

    for (i = 0; i < RTL_NUMBER_OF(ids); i++) {
        if (ids[i] == 0 || !NT_SUCCESS(PsLookupThreadByThreadId(ULongToHandle(ids[i]), &threads[i]))) {
            threads[i] = NULL;
        }
    }
    WdfSpinLockAcquire(MpConnections.Lock);
    for (i = 0; i < RTL_NUMBER_OF(ids); i++) {
        NT_ASSERT(Connection->Threads[i] == NULL);
        Connection->ThreadIds[i] = ids[i];
        Connection->Threads[i] = threads[i];
    }
    WdfSpinLockRelease(MpConnections.Lock);
}

static BOOLEAN MpConnectionTerminates(const MP_CONNECTION *Connection) {
    ULONG i;

    for (i = 0; i < RTL_NUMBER_OF(Connection->Threads); i++) {
        if (Connection->Threads[i] != NULL && PsIsThreadTerminating(Connection->Threads[i])) {
            return TRUE;
        }
    }
    return FALSE;
}

_Use_decl_annotations_ ULONG MpConnectionsTerminating(ULONG64 *Ids) {
    PLIST_ENTRY link;
    ULONG count = 0;

    WdfSpinLockAcquire(MpConnections.Lock);
    for (link = MpConnections.List.Flink; link != &MpConnections.List && count < MP_MAX_CONNECTIONS;
         link = link->Flink) {
        const MP_CONNECTION *connection = CONTAINING_RECORD(link, MP_CONNECTION, Link);

        if (MpConnectionTerminates(connection)) {
            Ids[count++] = connection->Id;
        }
    }
    WdfSpinLockRelease(MpConnections.Lock);
    return count;
}

/// Whether a client named the thread at hello as one whose I/O must not be held.
_Use_decl_annotations_ BOOLEAN MpConnectionsIsClientThread(PETHREAD Thread) {
    PLIST_ENTRY link;
    BOOLEAN found = FALSE;
    ULONG id;

    if (Thread == NULL) {
        return FALSE;
    }
    id = HandleToULong(PsGetThreadId(Thread));
    WdfSpinLockAcquire(MpConnections.Lock);
    for (link = MpConnections.List.Flink; link != &MpConnections.List && !found; link = link->Flink) {
        const MP_CONNECTION *connection = CONTAINING_RECORD(link, MP_CONNECTION, Link);

        found = connection->ThreadIds[0] == id || connection->ThreadIds[1] == id;
    }
    WdfSpinLockRelease(MpConnections.Lock);
    return found && id != 0;
}

/// PASSIVE_LEVEL, in the connecting thread [PORT-03].
static NTSTATUS FLTAPI MpConnect(_In_ PFLT_PORT ClientPort, _In_opt_ PVOID ServerPortCookie,
                                 _In_reads_bytes_opt_(SizeOfContext) PVOID ConnectionContext, _In_ ULONG SizeOfContext,
                                 _Outptr_result_maybenull_ PVOID *ConnectionPortCookie) {
    NTSTATUS status;
    WDFMEMORY memory;
    PVOID block;
    PMP_CONNECTION connection;

    UNREFERENCED_PARAMETER(ServerPortCookie);
    UNREFERENCED_PARAMETER(ConnectionContext);

    *ConnectionPortCookie = NULL;
    if (SizeOfContext != 0) {
        // The protocol has none. Refused, so that a later version may give it a meaning.
        return STATUS_INVALID_PARAMETER;
    }
    status = WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, MP_TAG_CONNECTION, sizeof(*connection), &memory,
                             &block);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    connection = block;
    RtlZeroMemory(connection, sizeof(*connection));
    connection->References = 1;
    connection->Memory = memory;
    connection->ClientPort = ClientPort;
    connection->Id = (ULONG64)InterlockedIncrement64(&MpConnections.LastId);
    connection->ProcessId = HandleToULong(PsGetCurrentProcessId());
    status = MpRulesPrepareTable(&connection->DropTable);
    if (!NT_SUCCESS(status)) {
        WdfObjectDelete(memory);
        return status;
    }

    WdfSpinLockAcquire(MpConnections.Lock);
    InsertTailList(&MpConnections.List, &connection->Link);
    MpConnections.Count++;
    WdfSpinLockRelease(MpConnections.Lock);
    *ConnectionPortCookie = (PVOID)(ULONG_PTR)connection->Id;
    return STATUS_SUCCESS;
}

/// PASSIVE_LEVEL; the client's last handle is closed, or the filter is about to unload [PORT-04].
static VOID FLTAPI MpDisconnect(_In_opt_ PVOID ConnectionCookie) {
    ULONG64 id = (ULONG64)(ULONG_PTR)ConnectionCookie;
    PMP_CONNECTION connection;

    WdfSpinLockAcquire(MpConnections.Lock);
    connection = MpConnectionFind(id);
    if (connection != NULL) {
        RemoveEntryList(&connection->Link);
        MpConnections.Count--;
    }
    WdfSpinLockRelease(MpConnections.Lock);
    if (connection == NULL) {
        NT_ASSERT(FALSE);
        return;
    }

    FltCloseClientPort(MpGlobals.Filter, &connection->ClientPort);
    MpRulesDropConnection(id, connection->DropTable);
    // After the connection has left the list: an operation that matched before and is taken after this finds it gone (MpPend).
    MpHoldReleaseConnection(id, MINIPEND_RELEASE_CAUSE_DISCONNECT);
    MpConnectionDereference(connection);
}

/// PASSIVE_LEVEL, in the sending thread; several at once are possible [MSGN-04].
static NTSTATUS FLTAPI MpMessage(_In_opt_ PVOID PortCookie, _In_reads_bytes_opt_(InputBufferLength) PVOID InputBuffer,
                                 _In_ ULONG InputBufferLength,
                                 _Out_writes_bytes_to_opt_(OutputBufferLength, *ReturnOutputBufferLength)
                                     PVOID OutputBuffer,
                                 _In_ ULONG OutputBufferLength, _Out_ PULONG ReturnOutputBufferLength) {
    PMP_CONNECTION connection = MpConnectionLookup((ULONG64)(ULONG_PTR)PortCookie);
    NTSTATUS status;

    *ReturnOutputBufferLength = 0;
    if (connection == NULL) {
        return STATUS_PORT_DISCONNECTED;
    }
    status = MpMessageHandle(connection, InputBuffer, InputBufferLength, OutputBuffer, OutputBufferLength,
                             ReturnOutputBufferLength);
    MpConnectionDereference(connection);
    return status;
}

/// Creates the port. Messages and connections may come before this returns.
_Use_decl_annotations_ NTSTATUS MpPortOpen(VOID) {
    NTSTATUS status;
    PSECURITY_DESCRIPTOR descriptor;
    OBJECT_ATTRIBUTES attributes;
    DECLARE_CONST_UNICODE_STRING(name, MINIPEND_PORT_NAME);

    PAGED_CODE();

    status = FltBuildDefaultSecurityDescriptor(&descriptor, FLT_PORT_ALL_ACCESS);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    InitializeObjectAttributes(&attributes, (PUNICODE_STRING)&name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL,
                               descriptor);
    status = FltCreateCommunicationPort(MpGlobals.Filter, &MpConnections.ServerPort, &attributes, NULL, MpConnect,
                                        MpDisconnect, MpMessage, MP_MAX_CONNECTIONS);
    FltFreeSecurityDescriptor(descriptor);
    return status;
}

/// No new connections; must come before FltUnregisterFilter, which disconnects the ones there are [PORT-06, UNL-04].
_Use_decl_annotations_ VOID MpPortClose(VOID) {
    PAGED_CODE();

    if (MpConnections.ServerPort != NULL) {
        FltCloseCommunicationPort(MpConnections.ServerPort);
        MpConnections.ServerPort = NULL;
    }
}
