// SPDX-License-Identifier: MIT
//
// This module provides: fast mutexes, and lists with a spin lock for each call; DbgPrint.

#pragma once

#include "wdm_functions.h"

EXTERN_C_START

typedef struct _FAST_MUTEX {
    LONG Count;
    PVOID Owner;
    ULONG Contention;
    KEVENT Event;
    ULONG OldIrql;
} FAST_MUTEX;
typedef struct _FAST_MUTEX *PFAST_MUTEX;

#define FM_LOCK_BIT 0x1

/// IRQL <= DISPATCH_LEVEL.
FORCEINLINE void ExInitializeFastMutex(_Out_ PFAST_MUTEX FastMutex) {
    FastMutex->Count = FM_LOCK_BIT;
    FastMutex->Owner = NULL;
    FastMutex->Contention = 0;
    KeInitializeEvent(&FastMutex->Event, SynchronizationEvent, FALSE);
}

/// IRQL <= APC_LEVEL; APC_LEVEL afterwards.
void NTAPI ExAcquireFastMutex(_Inout_ PFAST_MUTEX FastMutex);

/// The same, when it is free at once.
BOOLEAN NTAPI ExTryToAcquireFastMutex(_Inout_ PFAST_MUTEX FastMutex);

/// IRQL == APC_LEVEL; what it was before afterwards.
void NTAPI ExReleaseFastMutex(_Inout_ PFAST_MUTEX FastMutex);

/// IRQL <= APC_LEVEL, with APCs disabled by the caller. The IRQL stays.
void NTAPI ExAcquireFastMutexUnsafe(_Inout_ PFAST_MUTEX FastMutex);

/// IRQL <= APC_LEVEL.
void NTAPI ExReleaseFastMutexUnsafe(_Inout_ PFAST_MUTEX FastMutex);

/// IRQL <= DISPATCH_LEVEL. The head before, or null.
PLIST_ENTRY NTAPI ExInterlockedInsertHeadList(_Inout_ PLIST_ENTRY ListHead, _Inout_ PLIST_ENTRY ListEntry,
                                              _Inout_ PKSPIN_LOCK Lock);

/// IRQL <= DISPATCH_LEVEL. The tail before, or null.
PLIST_ENTRY NTAPI ExInterlockedInsertTailList(_Inout_ PLIST_ENTRY ListHead, _Inout_ PLIST_ENTRY ListEntry,
                                              _Inout_ PKSPIN_LOCK Lock);

/// IRQL <= DISPATCH_LEVEL. Null when it is empty.
PLIST_ENTRY NTAPI ExInterlockedRemoveHeadList(_Inout_ PLIST_ENTRY ListHead, _Inout_ PKSPIN_LOCK Lock);

/// Any IRQL.
ULONG NTAPI DbgPrint(PCSTR Format, ...);

EXTERN_C_END
