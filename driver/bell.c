// SPDX-License-Identifier: MIT
//
// This module provides: the bell: one thread that tells clients that there is something to ask for.
//
//   a reason comes up (MpBellNote)  -> BellReasons
//   the client asks to be told      -> BellArmed
//   both                            -> the thread sends MINIPEND_BELL, once; both bits go
//
// FltSendMessage waits until the client takes the message, so it is called on a thread of its own, with no lock held and 50 ms at most [MSG-01,
// MSG-07]. A client that has no FilterGetMessage under way then is tried again 100 ms later; one that has left is forgotten. STATUS_TIMEOUT
// is a success code [MSG-03]: only STATUS_SUCCESS says that the message has arrived. The port may be closed while a message is being sent:
// FltCloseClientPort synchronises with it [PORT-04].

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpBellStart)
#pragma alloc_text(PAGE, MpBellStop)
#endif

#define MP_BELL_TIMEOUT_100NS (50 * MP_100NS_PER_MS)
#define MP_BELL_RETRY_100NS (100 * MP_100NS_PER_MS)

typedef struct _MP_BELLS {
    KEVENT Wake; ///< Synchronization event: there may be a bell to ring, or Stop was set.
    volatile LONG Stop;
    HANDLE Thread; ///< Joined at unload. NULL: not running.
} MP_BELLS;

static MP_BELLS MpBells;

_Use_decl_annotations_ VOID MpBellWake(VOID) {
    KeSetEvent(&MpBells.Wake, IO_NO_INCREMENT, FALSE);
}

_Use_decl_annotations_ BOOLEAN MpBellNote(PMP_CONNECTION Connection, ULONG Reason) {
    Connection->BellReasons |= Reason;
    return (BOOLEAN)((Connection->BellArmed & Reason) != 0);
}

_Use_decl_annotations_ VOID MpBellRing(ULONG64 ConnectionId, ULONG Reason) {
    PMP_CONNECTION connection;
    BOOLEAN wake = FALSE;

    WdfSpinLockAcquire(MpConnections.Lock);
    connection = MpConnectionFind(ConnectionId);
    if (connection != NULL) {
        wake = MpBellNote(connection, Reason);
    }
    WdfSpinLockRelease(MpConnections.Lock);
    if (wake) {
        MpBellWake();
    }
}

_Use_decl_annotations_ BOOLEAN MpBellForget(PMP_CONNECTION Connection, ULONG Reason) {
    BOOLEAN had;

    WdfSpinLockAcquire(MpConnections.Lock);
    had = (Connection->BellReasons & Reason) != 0;
    Connection->BellReasons &= ~Reason;
    WdfSpinLockRelease(MpConnections.Lock);
    return had;
}

_Use_decl_annotations_ VOID MpBellArm(PMP_CONNECTION Connection, ULONG Reason) {
    BOOLEAN wake;

    WdfSpinLockAcquire(MpConnections.Lock);
    Connection->BellArmed |= Reason;
    wake = (Connection->BellReasons & Reason) != 0;
    WdfSpinLockRelease(MpConnections.Lock);
    if (wake) {
        MpBellWake();
    }
}

// ---- the thread ------------------------------------------------------------------------------------------------------------

/// A connection that is to be told something, referenced; its reasons are taken out. NULL: none now; WaitUntil says when to look again.
static PMP_CONNECTION MpBellNext(_Out_ PULONG Reasons, _Out_ PULONG64 WaitUntil) {
    ULONG64 precise;
    ULONG64 now = KeQueryInterruptTimePrecise(&precise);
    PMP_CONNECTION found = NULL;
    PLIST_ENTRY link;

    *Reasons = 0;
    *WaitUntil = MP_NEVER;
    WdfSpinLockAcquire(MpConnections.Lock);
    for (link = MpConnections.List.Flink; link != &MpConnections.List && found == NULL; link = link->Flink) {
        PMP_CONNECTION connection = CONTAINING_RECORD(link, MP_CONNECTION, Link);
        ULONG reasons = connection->BellReasons & connection->BellArmed;

        if (reasons == 0) {
            continue;
        }
        if (connection->BellRetryTime > now) {
            *WaitUntil = min(*WaitUntil, connection->BellRetryTime);
            continue;
        }
        connection->BellReasons &= ~reasons;
        connection->BellArmed &= ~reasons;
        MpConnectionReference(connection);
        *Reasons = reasons;
        found = connection;
    }
    WdfSpinLockRelease(MpConnections.Lock);
    return found;
}

/// The client was not there to take it: as if it had not been tried, but not before a while.
static VOID MpBellPutBack(_Inout_ PMP_CONNECTION Connection, _In_ ULONG Reasons) {
    ULONG64 precise;
    ULONG64 now = KeQueryInterruptTimePrecise(&precise);

    WdfSpinLockAcquire(MpConnections.Lock);
    Connection->BellReasons |= Reasons;
    Connection->BellArmed |= Reasons;
    Connection->BellRetryTime = now + MP_BELL_RETRY_100NS;
    WdfSpinLockRelease(MpConnections.Lock);
}

static VOID MpBellSend(_Inout_ PMP_CONNECTION Connection, _In_ ULONG Reasons) {
    MINIPEND_BELL bell = {sizeof(bell), MINIPEND_PROTOCOL_VERSION, (USHORT)Reasons, Connection->BellCount + 1};
    LARGE_INTEGER timeout;
    NTSTATUS status;

    timeout.QuadPart = -(LONGLONG)MP_BELL_TIMEOUT_100NS;
    status = FltSendMessage(MpGlobals.Filter, &Connection->ClientPort, &bell, sizeof(bell), NULL, NULL, &timeout);
    if (status == STATUS_SUCCESS) {
        Connection->BellCount++;
    } else if (status != STATUS_PORT_DISCONNECTED) {
        MpBellPutBack(Connection, Reasons);
    }
}

static KSTART_ROUTINE MpBellThread;

static VOID NTAPI MpBellThread(_In_ PVOID Context) {
    UNREFERENCED_PARAMETER(Context);

    while (ReadAcquire(&MpBells.Stop) == 0) {
        ULONG reasons;
        ULONG64 waitUntil;
        PMP_CONNECTION connection = MpBellNext(&reasons, &waitUntil);

        if (connection != NULL) {
            MpBellSend(connection, reasons);
            MpConnectionDereference(connection);
        } else {
            LARGE_INTEGER timeout;
            ULONG64 precise;
            ULONG64 now = KeQueryInterruptTimePrecise(&precise);

            timeout.QuadPart = waitUntil > now ? -(LONGLONG)(waitUntil - now) : 0;
            (VOID) KeWaitForSingleObject(&MpBells.Wake, Executive, KernelMode, FALSE,
                                         waitUntil != MP_NEVER ? &timeout : NULL);
        }
    }
}

/// Starts the thread, before the first connection.
_Use_decl_annotations_ NTSTATUS MpBellStart(VOID) {
    PAGED_CODE();

    KeInitializeEvent(&MpBells.Wake, SynchronizationEvent, FALSE);
    InterlockedExchange(&MpBells.Stop, FALSE);
    return MpThreadStart(MpBellThread, &MpBells.Thread);
}

/// Ends and joins the thread. Bells that are armed later stay silent.
_Use_decl_annotations_ VOID MpBellStop(VOID) {
    PAGED_CODE();

    InterlockedExchange(&MpBells.Stop, TRUE);
    MpBellWake();
    MpThreadJoin(&MpBells.Thread);
}
