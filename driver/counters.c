// SPDX-License-Identifier: MIT
//
// This module provides: the idle-path counters, and the snapshot that the counters command sends.
//
// An operation that no rule wants costs three interlocked adds on a cache line of this processor, and nothing else. The pend-path counters and the
// histograms are written by hold.c, under its lock, because their balance must hold at every moment.
//
// The snapshot is built in paged pool by paged code. What needs a spin lock is copied to the stack by code that is not paged, and never
// inlined into code that is: at DISPATCH_LEVEL neither the reply nor a paged instruction may be touched.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpCountersSnapshot)
#endif

/// The current processor's cell. A migration after this is harmless, see MP_CELL.
_Use_decl_annotations_ PMP_CELL MpCell(const MP_INSTANCE *Instance, MINIPEND_OPERATION Operation) {
    ULONG processor = KeGetCurrentProcessorNumberEx(NULL);

    NT_ASSERT(processor < MpGlobals.ProcessorCount);
    return &Instance->Cells[(SIZE_T)processor * MINIPEND_OPERATION_COUNT + Operation];
}

/// The bucket of a time: two for each power of two, see MINIPEND_BUCKET_FLOOR_100NS.
_Use_decl_annotations_ VOID MpHistogramAdd(uint64_t *Buckets, ULONG64 Time100ns) {
    ULONG bucket = 0;

    // With e the exponent of the highest bit and h the bit below it: 1 + 2 (e - 1) + h.
    while (Time100ns > 3) {
        Time100ns >>= 1;
        bucket += 2;
    }
    if (Time100ns >= 2) {
        bucket += (ULONG)Time100ns - 1;
    }
    Buckets[min(bucket, MINIPEND_HISTOGRAM_BUCKETS - 1)]++;
}

static VOID MpCellsAdd(const MP_INSTANCE *Instance, MINIPEND_OPERATION Operation, MINIPEND_OPERATION_COUNTERS *Sum) {
    ULONG processor;
    ULONG cause;

    for (processor = 0; processor < MpGlobals.ProcessorCount; processor++) {
        const MP_CELL *cell = &Instance->Cells[(SIZE_T)processor * MINIPEND_OPERATION_COUNT + Operation];

        // Left before PostOperations: a callback that comes between the two reads shows as inside, not as a negative number.
        Sum->InCallback -= (ULONG64)ReadAcquire64(&cell->Left);
        Sum->Unmatched += (ULONG64)ReadNoFence64(&cell->Unmatched);
        Sum->Observed += (ULONG64)ReadNoFence64(&cell->Observed);
        Sum->Draining += (ULONG64)ReadNoFence64(&cell->Draining);
        Sum->NameUnavailable += (ULONG64)ReadNoFence64(&cell->NameUnavailable);
        Sum->FastIoDisallowed += (ULONG64)ReadNoFence64(&cell->FastIoDisallowed);
        for (cause = 0; cause < MINIPEND_REFUSAL_COUNT; cause++) {
            Sum->Refused[cause] += (ULONG64)ReadNoFence64(&cell->Refused[cause]);
        }
    }
    for (processor = 0; processor < MpGlobals.ProcessorCount; processor++) {
        const MP_CELL *cell = &Instance->Cells[(SIZE_T)processor * MINIPEND_OPERATION_COUNT + Operation];
        ULONG64 posts = (ULONG64)ReadNoFence64(&cell->PostOperations);

        Sum->PostOperations += posts;
        Sum->InCallback += posts;
    }
}

/// The pend-path counters of all operations, from one moment. Held is on the stack: it is written at DISPATCH_LEVEL.
static DECLSPEC_NOINLINE VOID MpReadHeldCounters(const MP_INSTANCE *Instance, MP_HELD_COUNTERS *Held) {
    WdfSpinLockAcquire(MpHold.Lock);
    RtlCopyMemory(Held, Instance->HeldCounters, sizeof(Instance->HeldCounters));
    WdfSpinLockRelease(MpHold.Lock);
}

/// The same for the histograms of one operation.
static DECLSPEC_NOINLINE VOID MpReadHistograms(const MP_INSTANCE *Instance, ULONG Operation,
                                               MINIPEND_HISTOGRAMS *Histograms) {
    WdfSpinLockAcquire(MpHold.Lock);
    RtlCopyMemory(Histograms, &Instance->Histograms[Operation], sizeof(*Histograms));
    WdfSpinLockRelease(MpHold.Lock);
}

static VOID MpHistogramsAdd(const MP_INSTANCE *Instance, ULONG Operation, MINIPEND_HISTOGRAMS *Sum) {
    MINIPEND_HISTOGRAMS histograms;
    ULONG bucket;

    MpReadHistograms(Instance, Operation, &histograms);
    for (bucket = 0; bucket < MINIPEND_HISTOGRAM_BUCKETS; bucket++) {
        Sum->Queue[bucket] += histograms.Queue[bucket];
        Sum->Hold[bucket] += histograms.Hold[bucket];
    }
}

/// The pend-path counters of all operations are from one moment; each operation's histograms are from one a little later.
_Use_decl_annotations_ VOID MpCountersAdd(const MP_INSTANCE *Instance, MINIPEND_INSTANCE *Sum) {
    MP_HELD_COUNTERS held[MINIPEND_OPERATION_COUNT];
    ULONG operation;

    for (operation = 0; operation < MINIPEND_OPERATION_COUNT; operation++) {
        MpCellsAdd(Instance, operation, &Sum->Operations[operation]);
    }
    MpReadHeldCounters(Instance, held);
    for (operation = 0; operation < MINIPEND_OPERATION_COUNT; operation++) {
        MINIPEND_OPERATION_COUNTERS *sum = &Sum->Operations[operation];

        sum->Pended += held[operation].Pended;
        sum->Completed += held[operation].Completed;
        sum->InFlight += held[operation].InFlight;
        sum->InFlightHighWater = max(sum->InFlightHighWater, held[operation].InFlightHighWater);
        sum->WhenSafe += held[operation].WhenSafe;
        sum->Synchronized += held[operation].Synchronized;
        sum->Waiting += held[operation].Waiting;
        sum->Failed += held[operation].Failed;
        if (held[operation].Pended != 0) {
            MpHistogramsAdd(Instance, operation, &Sum->Histograms[operation]);
        }
    }
}

typedef struct _MP_TOTALS {
    ULONG HeldNow;
    ULONG HeldHighWater;
    ULONG ConnectionCount;
} MP_TOTALS;

/// What the snapshot reads under spin locks, apart from the instances. Totals is on the stack.
static DECLSPEC_NOINLINE VOID MpReadTotals(MP_TOTALS *Totals) {
    WdfSpinLockAcquire(MpHold.Lock);
    Totals->HeldNow = MpHold.Count;
    Totals->HeldHighWater = MpHold.HighWater;
    WdfSpinLockRelease(MpHold.Lock);
    WdfSpinLockAcquire(MpConnections.Lock);
    Totals->ConnectionCount = MpConnections.Count;
    WdfSpinLockRelease(MpConnections.Lock);
}

static VOID MpDescribeInstance(const MP_INSTANCE *Instance, MINIPEND_INSTANCE *Entry) {
    Entry->InstanceId = Instance->Id;
    Entry->Flags = (Instance->BootVolume ? MINIPEND_INSTANCE_BOOT_VOLUME : 0) |
                   (ReadBooleanNoFence(&Instance->TearingDown) ? MINIPEND_INSTANCE_TEARING_DOWN : 0);
    C_ASSERT(sizeof(Entry->Altitude) == sizeof(Instance->Altitude));
    C_ASSERT(sizeof(Entry->Name) == sizeof(Instance->Name));
    C_ASSERT(sizeof(Entry->Volume) == sizeof(Instance->Volume));
    RtlCopyMemory(Entry->Altitude, Instance->Altitude, sizeof(Entry->Altitude));
    RtlCopyMemory(Entry->Name, Instance->Name, sizeof(Entry->Name));
    RtlCopyMemory(Entry->Volume, Instance->Volume, sizeof(Entry->Volume));
    MpCountersAdd(Instance, Entry);
}

/// Builds the reply of the counters command, header left to the caller. STATUS_BUFFER_TOO_SMALL: ReplyBytes says what it needs, nothing was
/// built. On success the caller deletes Memory, which owns Reply.
_Use_decl_annotations_ NTSTATUS MpCountersSnapshot(ULONG LargestBytes, MINIPEND_COUNTERS_REPLY **Reply,
                                                   WDFMEMORY *Memory, PULONG ReplyBytes) {
    NTSTATUS status;
    MINIPEND_COUNTERS_REPLY *reply;
    MINIPEND_INSTANCE *entry;
    MP_TOTALS totals;
    ULONG64 precise;
    PLIST_ENTRY link;
    ULONG bytes;

    PAGED_CODE();

    *Reply = NULL;
    *Memory = NULL;

    (VOID) WdfWaitLockAcquire(MpInstances.Lock, NULL);
    bytes = (ULONG)sizeof(*reply) + (MpInstances.Count + 1) * (ULONG)sizeof(MINIPEND_INSTANCE);
    *ReplyBytes = bytes;
    if (bytes > LargestBytes) {
        status = STATUS_BUFFER_TOO_SMALL;
        goto Exit;
    }
    status = WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, PagedPool, MP_TAG_COUNTERS, bytes, Memory, (PVOID *)&reply);
    if (!NT_SUCCESS(status)) {
        *Memory = NULL;
        goto Exit;
    }
    RtlZeroMemory(reply, bytes);

    entry = (MINIPEND_INSTANCE *)(reply + 1);
    RtlCopyMemory(entry, &MpInstances.Retired, sizeof(*entry));
    for (link = MpInstances.List.Flink; link != &MpInstances.List; link = link->Flink) {
        MpDescribeInstance(CONTAINING_RECORD(link, MP_INSTANCE, Link), ++entry);
    }
    reply->InstanceCount = MpInstances.Count + 1;
    reply->InstanceBytes = sizeof(MINIPEND_INSTANCE);
    *Reply = reply;
    status = STATUS_SUCCESS;

Exit:
    WdfWaitLockRelease(MpInstances.Lock);
    if (!NT_SUCCESS(status)) {
        return status;
    }

    reply->RuleGeneration = MpRulesGeneration();
    reply->UnexpectedRefusals = (ULONG64)ReadNoFence64(&MpHold.UnexpectedRefusals);
    reply->UnexpectedSuccesses = (ULONG64)ReadNoFence64(&MpHold.UnexpectedSuccesses);
    reply->Time100ns = KeQueryInterruptTimePrecise(&precise);
    MpReadTotals(&totals);
    reply->HeldNow = totals.HeldNow;
    reply->HeldHighWater = totals.HeldHighWater;
    reply->ConnectionCount = totals.ConnectionCount;
    return STATUS_SUCCESS;
}
