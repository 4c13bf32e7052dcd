// SPDX-License-Identifier: MIT
//
// This module provides: what every module of the driver shares: the tags, the limits, the globals, and the headers of its parts.
//
//   entry.c        loading, unloading            params.c        registry parameters, fault switches
//   registration.c what the Filter Manager is told   instance.c  attaching and detaching          [instances.h]
//   operations.c   the pre- and post-operation callbacks   classify.c  which operation is this     counters.c  counters, the snapshot
//   policy.c       the safety defaults                                                           [operations.h]
//   rules.c        the rule table                rules_parse.c, rules_check.c  rules as they arrive             match.c  which rules may win    [rules.h]
//   rules_list.c   what clients see of it        names.c         names for matching            pattern.c       the path matcher
//   record.c       one operation's record        pend.c          taking an operation              [hold.h]
//   synchronize.c  holding it in its own thread  safe.c          FltDoCompletionProcessingWhenSafe   fail.c  failing it
//   hold.c         what is held, and the states  held.c          what clients see and ask of it
//   release.c      the threads that give back    watch.c         terminating threads, stalled give-backs
//   threads.c      the driver's threads
//   port.c         connections                   messages*.c     the commands                    [connections.h]
//   events.c       event rings                   bell.c          telling a client that there is something   capture.c  a caller's memory
//   trace.c        ETW                           state.c         the state block for dumps       [trace.h]
//
// Locks, in the order in which they are taken (a later one may be taken while an earlier one is held, never the reverse):
//   MpInstances.Lock (wait lock)  ->  MpRules.WriteLock (wait lock)  ->  MpConnections.Lock (spin)  ->  MpRules.TableLock (spin)
//   ->  MpHold.Lock (spin)
// No lock is held while the Filter Manager is asked to complete, queue, send or unregister anything, nor while a caller's memory is touched.

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
#define MP_TAG_EVENTS 'epDM'

#define MP_100NS_PER_MS 10000ull
#define MP_MAX_CONNECTIONS 16

/// Values under the service's Parameters key; one outside its range is replaced by the nearest end of it.
typedef struct _MP_LIMITS {
    ULONG MaxHeld; ///< MaxHeld, 1 to 65,536, default 16,384: operations held at once.
    ULONG MaxDelayMs; ///< MaxDelayMs, 1 to 600,000, default 30,000: longest delay or gate deadline a rule may ask for.
    ULONG ReleaseThreads; ///< ReleaseThreads, 2 to 16, default 2: releasing threads from the beginning.
    ULONG MaxReleaseThreads; ///< MaxReleaseThreads, 2 to 64, default 64: the most when all of them are stuck.
    /// RefuseUnloadWhileHeld, 0 or 1, default 0: an unload that is not mandatory is refused while something is held.
    ULONG RefuseUnloadWhileHeld;
    /// FaultAllocationEveryNth, default 0 (off): of so many allocations of records and work items, one is treated as failed.
    ULONG FaultAllocationEveryNth;
} MP_LIMITS;

typedef struct _MP_GLOBALS {
    PFLT_FILTER Filter; ///< Set by DriverEntry before filtering starts, constant until unload.
    PFLT_VOLUME BootVolume; ///< Referenced. NULL: it could not be found out, so every volume counts as the boot volume.
    ULONG ProcessorCount; ///< KeQueryMaximumProcessorCountEx at load; constant.
    MP_LIMITS Limits; ///< Constant after DriverEntry.
    WDFLOOKASIDE RecordLookaside;
    EX_RUNDOWN_REF DeferredRoutines; ///< One reference per accepted deferred work item, until its routine is through.
    volatile LONG FaultedAllocations; ///< Numbers the allocations that FaultAllocationEveryNth looks at.
} MP_GLOBALS;

extern MP_GLOBALS MpGlobals;

#include "instances.h"
#include "rules.h"
#include "hold.h"
#include "connections.h"
#include "trace.h"
#include "operations.h"

// entry.c
NTSTATUS FLTAPI MpUnload(_In_ FLT_FILTER_UNLOAD_FLAGS Flags);

// params.c
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpReadLimits(VOID);
/// Whether the fault switch makes this allocation fail.
_IRQL_requires_max_(DISPATCH_LEVEL) BOOLEAN MpFaultAllocation(VOID);

// threads.c
/// Starts one. *Thread is for MpThreadJoin; NULL when it fails.
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS
    MpThreadStart(_In_ PKSTART_ROUTINE Routine, _Out_ PHANDLE Thread);
/// Waits for a thread's end, which has been asked for. NULL: there is none.
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpThreadJoin(_Inout_ PHANDLE Thread);

// registration.c
extern const FLT_REGISTRATION MpRegistration;
