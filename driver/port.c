// SPDX-License-Identifier: MIT
//
// This module provides: the communication port and its connections.
//
// The port admits administrators and the system only [PORT-02]. A connection is known by a number, not by a pointer: a message that is
// under way while its connection is being closed finds it, and holds a reference, or does not find it. Disconnecting takes
// the connection's rules away and asks for the release of what they hold; it waits for nothing.

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

/// MpConnections.Lock held.
static PMP_CONNECTION MpConnectionFind(ULONG64 Id) {
    PLIST_ENTRY link;

    for (link = MpConnections.List.Flink; link != &MpConnections.List; link = link->Flink) {
        PMP_CONNECTION connection = CONTAINING_RECORD(link, MP_CONNECTION, Link);

        if (connection->Id == Id) {
            return connection;
        }
    }
    return NULL;
}

static PMP_CONNECTION MpConnectionReference(ULONG64 Id) {
    PMP_CONNECTION connection;

    WdfSpinLockAcquire(MpConnections.Lock);
    connection = MpConnectionFind(Id);
    if (connection != NULL) {
        InterlockedIncrement(&connection->References);
    }
    WdfSpinLockRelease(MpConnections.Lock);
    return connection;
}

_Use_decl_annotations_ VOID MpConnectionDereference(PMP_CONNECTION Connection) {
    if (InterlockedDecrement(&Connection->References) == 0) {
        WdfObjectDelete(Connection->Memory);
    }
}

_Use_decl_annotations_ BOOLEAN MpConnectionsIsListed(ULONG64 ConnectionId) {
    BOOLEAN listed;

    WdfSpinLockAcquire(MpConnections.Lock);
    listed = MpConnectionFind(ConnectionId) != NULL;
    WdfSpinLockRelease(MpConnections.Lock);
    return listed;
}

/// Names the connection's threads. By value: the message is in paged pool, and may not be looked at under a spin lock.
_Use_decl_annotations_ VOID MpConnectionNameThreads(PMP_CONNECTION Connection, ULONG ControlThreadId,
                                                    ULONG ScriptThreadId) {
    WdfSpinLockAcquire(MpConnections.Lock);
    Connection->ThreadIds[0] = ControlThreadId;
    Connection->ThreadIds[1] = ScriptThreadId;
    WdfSpinLockRelease(MpConnections.Lock);
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
    MpRulesPublish(id, NULL, connection->DropTable);
    // After the connection has left the list: an operation that matched before and is taken after this finds it gone (MpPend).
    MpHoldReleaseConnection(id);
    MpConnectionDereference(connection);
}

/// PASSIVE_LEVEL, in the sending thread; several at once are possible [MSGN-04].
static NTSTATUS FLTAPI MpMessage(_In_opt_ PVOID PortCookie, _In_reads_bytes_opt_(InputBufferLength) PVOID InputBuffer,
                                 _In_ ULONG InputBufferLength,
                                 _Out_writes_bytes_to_opt_(OutputBufferLength, *ReturnOutputBufferLength)
                                     PVOID OutputBuffer,
                                 _In_ ULONG OutputBufferLength, _Out_ PULONG ReturnOutputBufferLength) {
    PMP_CONNECTION connection = MpConnectionReference((ULONG64)(ULONG_PTR)PortCookie);
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
