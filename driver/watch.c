// SPDX-License-Identifier: MIT
//
// This module provides: the release of what terminating threads wait for.
//
// No callback says that a thread with a pended post-operation is being terminated, and nothing cancels it [CANC-06]: the thread cannot end before
// its operation does [CANC-06a]. And a killed client whose own thread waits in a held operation never gets so far as to close its port. So a releasing
// thread looks, about every 100 ms while something is held. A thread's object cannot go away meanwhile: a record refers to its own.
//
// The list is walked under MpHold.Lock: one flag is read for each held operation, MaxHeld of them at the most.

#include "minipend.h"

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

_Use_decl_annotations_ VOID MpWatchThreads(VOID) {
    ULONG64 clients[MP_MAX_CONNECTIONS];
    ULONG count = MpConnectionsTerminating(clients);

    MpWatchHeld();
    while (count > 0) {
        MpHoldReleaseConnection(clients[--count], MINIPEND_RELEASE_CAUSE_CLIENT_THREAD);
    }
}
