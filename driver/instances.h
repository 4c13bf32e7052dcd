// SPDX-License-Identifier: MIT
//
// This module provides: instances and their counters (instance.c, counters.c).

#pragma once

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

/// Pend-path counters of one operation; MpHold.Lock. Names as in MINIPEND_OPERATION_COUNTERS.
typedef struct _MP_HELD_COUNTERS {
    ULONG64 Pended;
    ULONG64 Completed;
    ULONG64 InFlight;
    ULONG64 InFlightHighWater;
    ULONG64 WhenSafe;
    ULONG64 Synchronized;
    ULONG64 Waiting;
    ULONG64 Failed;
} MP_HELD_COUNTERS;

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
    MINIPEND_HISTOGRAMS Histograms
        [MINIPEND_OPERATION_COUNT]; ///< MpHold.Lock. The only thing that grows with the number of operations' kinds.
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
    MINIPEND_INSTANCE Retired; ///< Sums of the instances that are gone; Lock. Its texts stay empty.
} MP_INSTANCES;

extern MP_INSTANCES MpInstances;

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
/// Adds a time to 64 buckets that end as MINIPEND_BUCKET_FLOOR_100NS says.
_IRQL_requires_max_(DISPATCH_LEVEL) VOID
    MpHistogramAdd(_Inout_updates_(MINIPEND_HISTOGRAM_BUCKETS) uint64_t *Buckets, _In_ ULONG64 Time100ns);
/// Adds all of an instance's counters and histograms to Sum, which may be paged.
_IRQL_requires_max_(PASSIVE_LEVEL) VOID MpCountersAdd(_In_ const MP_INSTANCE *Instance, _Inout_ MINIPEND_INSTANCE *Sum);
_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ NTSTATUS
    MpCountersSnapshot(_In_ ULONG LargestBytes, _Outptr_ MINIPEND_COUNTERS_REPLY **Reply, _Out_ WDFMEMORY *Memory,
                       _Out_ PULONG ReplyBytes);

#define MP_COUNT(Cell, Field) InterlockedIncrementNoFence64(&(Cell)->Field)
/// With a full fence: who sees that a callback has left also sees that it had come, so InCallback never shows below zero.
#define MP_LEAVE(Cell) InterlockedIncrement64(&(Cell)->Left)
