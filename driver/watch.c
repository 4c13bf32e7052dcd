// SPDX-License-Identifier: MIT
//
// This module provides: the thread that watches while something is held: for threads that terminate, and for give-backs that do not get on.
//
// No callback says that a thread with a pended post-operation is being terminated, and nothing cancels it [CANC-06]: the thread cannot end before
// its operation does [CANC-06a]. And a killed client whose own thread waits in a held operation never gets so far as to close its port. So this
// thread looks, about every 100 ms while something is held. A thread's object cannot go away meanwhile: a record refers to its own.
//
// A releasing thread can be stuck in the post-operation of a filter above [POST-05]. When all of them are, deadlines would pass unheeded. When a record was due
// at one look and is at the next, and none was taken in between, another releasing thread is started.
//
// This thread marks, signals and starts threads; it gives nothing back, so that nobody else's code can stop it. Of the list, which is walked under
// MpHold.Lock, it reads one flag for each held operation, MaxHeld of them at the most.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpWatchStart)
#pragma alloc_text(PAGE, MpWatchStop)
#endif

#define MP_WATCH_INTERVAL_100NS (100 * MP_100NS_PER_MS)

typedef struct _MP_WATCH {
    volatile LONG Stop;
    HANDLE Thread; ///< Joined at unload. NULL: not running.
} MP_WATCH;

static MP_WATCH MpWatch;

/// Those whose own thread is terminating.
static VOID MpWatchHeld(VOID) {
    PLIST_ENTRY link;

    WdfSpinLockAcquire(MpHold.Lock);
    for (link = MpHold.List.Flink; link != &MpHold.List; link = link->Flink) {
        PMP_RECORD record = CONTAINING_RECORD(link, MP_RECORD, HeldLink);

        if (!record->ReleaseRequested && record->Thread != NULL && PsIsThreadTerminating(record->Thread)) {
            MpHoldAskLocked(record, MINIPEND_RELEASE_CAUSE_THREAD);
        }
    }
    WdfSpinLockRelease(MpHold.Lock);
}

static VOID MpWatchThreads(VOID) {
    ULONG64 clients[MP_MAX_CONNECTIONS];
    ULONG count = MpConnectionsTerminating(clients);

    MpWatchHeld();
    while (count > 0) {
        MpHoldReleaseConnection(clients[--count], MINIPEND_RELEASE_CAUSE_CLIENT_THREAD);
    }
}

static KSTART_ROUTINE MpWatchThread;

static VOID NTAPI MpWatchThread(_In_ PVOID Context) {
    UNREFERENCED_PARAMETER(Context);

    for (;;) {
        LARGE_INTEGER interval;

        interval.QuadPart = -(LONGLONG)MP_WATCH_INTERVAL_100NS;
        (VOID) KeWaitForSingleObject(&MpHold.WatchWake, Executive, KernelMode, FALSE,
                                     MpHoldKeepWatch() ? &interval : NULL);
        if (ReadAcquire(&MpWatch.Stop) != 0) {
            return;
        }
        MpWatchThreads();
        if (MpHoldIsStalled()) {
            MpReleaseGrow();
        }
    }
}

_Use_decl_annotations_ NTSTATUS MpWatchStart(VOID) {
    PAGED_CODE();

    InterlockedExchange(&MpWatch.Stop, FALSE);
    return MpThreadStart(MpWatchThread, &MpWatch.Thread);
}

_Use_decl_annotations_ VOID MpWatchStop(VOID) {
    PAGED_CODE();

    InterlockedExchange(&MpWatch.Stop, TRUE);
    KeSetEvent(&MpHold.WatchWake, IO_NO_INCREMENT, FALSE);
    MpThreadJoin(&MpWatch.Thread);
}
