// SPDX-License-Identifier: MIT
//
// This module provides: timers, deferred procedure calls, mutexes, and waiting for several objects.

#pragma once

#include "wdm_functions.h"

EXTERN_C_START

#define THREAD_WAIT_OBJECTS 3
#define MAXIMUM_WAIT_OBJECTS 64

typedef enum _WAIT_TYPE { WaitAll = 0, WaitAny = 1, WaitNotification = 2, WaitDequeue = 3 } WAIT_TYPE;

typedef enum _KDPC_IMPORTANCE {
    LowImportance = 0,
    MediumImportance = 1,
    HighImportance = 2,
    MediumHighImportance = 3,
} KDPC_IMPORTANCE;

typedef struct _KDPC *PRKDPC;

typedef struct _KTIMER {
    DISPATCHER_HEADER Header;
    ULARGE_INTEGER DueTime;
    LIST_ENTRY TimerListEntry;
    struct _KDPC *Dpc;
    ULONG Processor;
    ULONG Period;
} KTIMER, *PKTIMER, *PRKTIMER;

typedef struct _KMUTANT {
    DISPATCHER_HEADER Header;
    LIST_ENTRY MutantListEntry;
    struct _KTHREAD *OwnerThread;
    BOOLEAN Abandoned;
    UCHAR ApcDisable;
} KMUTANT, *PKMUTANT, *PRKMUTANT, KMUTEX, *PKMUTEX, *PRKMUTEX;

typedef struct _KWAIT_BLOCK {
    LIST_ENTRY WaitListEntry;
    UCHAR WaitType;
    volatile UCHAR BlockState;
    USHORT WaitKey;
    LONG SpareLong;
    union {
        struct _KTHREAD *Thread;
        struct _KQUEUE *NotificationQueue;
    };
    PVOID Object;
    PVOID SparePtr;
} KWAIT_BLOCK, *PKWAIT_BLOCK, *PRKWAIT_BLOCK;

/// Any IRQL.
void NTAPI KeInitializeDpc(_Out_ PRKDPC Dpc, _In_ PKDEFERRED_ROUTINE DeferredRoutine, _In_opt_ PVOID DeferredContext);

/// Any IRQL. FALSE: it is queued already, and keeps its arguments.
BOOLEAN NTAPI KeInsertQueueDpc(_Inout_ PRKDPC Dpc, _In_opt_ PVOID SystemArgument1, _In_opt_ PVOID SystemArgument2);

/// Any IRQL. FALSE: it is not queued (any more); its routine may be running.
BOOLEAN NTAPI KeRemoveQueueDpc(_Inout_ PRKDPC Dpc);

/// IRQL <= APC_LEVEL. Returns when the routines of all that are queued now have returned.
void NTAPI KeFlushQueuedDpcs(void);

/// Any IRQL.
void NTAPI KeSetImportanceDpc(_Inout_ PRKDPC Dpc, _In_ KDPC_IMPORTANCE Importance);

/// IRQL <= DISPATCH_LEVEL.
void NTAPI KeInitializeTimer(_Out_ PKTIMER Timer);

/// IRQL <= DISPATCH_LEVEL.
void NTAPI KeInitializeTimerEx(_Out_ PKTIMER Timer, _In_ TIMER_TYPE Type);

/// IRQL <= DISPATCH_LEVEL. TRUE: it was set, and is set anew.
BOOLEAN NTAPI KeSetTimer(_Inout_ PKTIMER Timer, _In_ LARGE_INTEGER DueTime, _In_opt_ PKDPC Dpc);

/// IRQL <= DISPATCH_LEVEL. Period in ms, 0: once.
BOOLEAN NTAPI KeSetTimerEx(_Inout_ PKTIMER Timer, _In_ LARGE_INTEGER DueTime, _In_ LONG Period, _In_opt_ PKDPC Dpc);

/// IRQL <= DISPATCH_LEVEL. Period and TolerableDelay in ms.
BOOLEAN NTAPI KeSetCoalescableTimer(_Inout_ PKTIMER Timer, _In_ LARGE_INTEGER DueTime, _In_ ULONG Period,
                                    _In_ ULONG TolerableDelay, _In_opt_ PKDPC Dpc);

/// IRQL <= DISPATCH_LEVEL. TRUE: it was set. Its DPC may be queued or running.
BOOLEAN NTAPI KeCancelTimer(_Inout_ PKTIMER Timer);

/// IRQL <= DISPATCH_LEVEL.
BOOLEAN NTAPI KeReadStateTimer(_In_ PKTIMER Timer);

/// Any IRQL.
void NTAPI KeInitializeMutex(_Out_ PRKMUTEX Mutex, _In_ ULONG Level);

/// IRQL <= APC_LEVEL. By its owner. Returns the state before: 0 when it is free now.
LONG NTAPI KeReleaseMutex(_Inout_ PRKMUTEX Mutex, _In_ BOOLEAN Wait);

/// IRQL <= DISPATCH_LEVEL. 1: free.
LONG NTAPI KeReadStateMutex(_In_ PRKMUTEX Mutex);

/// IRQL <= DISPATCH_LEVEL.
LONG NTAPI KeReadStateSemaphore(_In_ PRKSEMAPHORE Semaphore);

/// IRQL <= APC_LEVEL, with a timeout of 0 <= DISPATCH_LEVEL. WaitAny: STATUS_WAIT_0 + the index of the object.
NTSTATUS NTAPI KeWaitForMultipleObjects(_In_ ULONG Count, _In_reads_(Count) PVOID Object[], _In_ WAIT_TYPE WaitType,
                                        _In_ KWAIT_REASON WaitReason, _In_ KPROCESSOR_MODE WaitMode,
                                        _In_ BOOLEAN Alertable, _In_opt_ PLARGE_INTEGER Timeout,
                                        _Out_opt_ PKWAIT_BLOCK WaitBlockArray);

#define KeWaitForMutexObject KeWaitForSingleObject

EXTERN_C_END
