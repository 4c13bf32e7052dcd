// SPDX-License-Identifier: MIT
//
// This module provides: attaching to volumes and detaching from them.
//
//   setup -> (operations) -> TeardownStart: give back what is held -> TeardownComplete: keep the counters -> context freed
//
// Attachment is manual (the instance definition's Flags say so), so every setup was asked for by somebody. TeardownStart must give back
// every pended post-operation; TeardownComplete cannot come before that is done [LIFE-11, LIFE-13, LIFE-14].

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, MpInstancesInitialize)
#pragma alloc_text(PAGE, MpInstanceSetup)
#pragma alloc_text(PAGE, MpInstanceQueryTeardown)
#pragma alloc_text(PAGE, MpInstanceTeardownStart)
#pragma alloc_text(PAGE, MpInstanceTeardownComplete)
#endif

MP_INSTANCES MpInstances;

_Use_decl_annotations_ NTSTATUS MpInstancesInitialize(VOID) {
    PAGED_CODE();

    InitializeListHead(&MpInstances.List);
    MpInstances.Retired.Flags = MINIPEND_INSTANCE_RETIRED;
    return WdfWaitLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &MpInstances.Lock);
}

/// Copies a counted text, cut to what fits with a terminator. The destination is zeroed.
static VOID MpCopyText(WCHAR *To, ULONG ToChars, const VOID *From, ULONG FromBytes) {
    ULONG bytes = min(FromBytes, (ToChars - 1) * (ULONG)sizeof(WCHAR));

    RtlCopyMemory(To, From, bytes);
}

/// Altitude and name of the instance. They are for people to read: where the Filter Manager cannot say them yet, they stay empty.
static VOID MpReadInstanceTexts(PMP_INSTANCE Instance) {
    struct {
        INSTANCE_FULL_INFORMATION Information;
        WCHAR Texts[1024];
    } buffer;
    PINSTANCE_FULL_INFORMATION information = &buffer.Information;
    ULONG bytes;

    if (!NT_SUCCESS(
            FltGetInstanceInformation(Instance->Object, InstanceFullInformation, &buffer, sizeof(buffer), &bytes))) {
        return;
    }
    MpCopyText(Instance->Name, ARRAYSIZE(Instance->Name),
               (const UCHAR *)information + information->InstanceNameBufferOffset, information->InstanceNameLength);
    MpCopyText(Instance->Altitude, ARRAYSIZE(Instance->Altitude),
               (const UCHAR *)information + information->AltitudeBufferOffset, information->AltitudeLength);
}

/// The volume's device name, which rules are compared with.
static NTSTATUS MpReadVolumeName(PFLT_VOLUME Volume, PMP_INSTANCE Instance) {
    UNICODE_STRING name;
    NTSTATUS status;
    ULONG i;

    name.Buffer = Instance->Volume;
    name.Length = 0;
    name.MaximumLength = sizeof(Instance->Volume) - sizeof(WCHAR);
    status = FltGetVolumeName(Volume, &name, NULL);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    for (i = 0; i < name.Length / sizeof(WCHAR); i++) {
        Instance->VolumeUpcased[i] = RtlUpcaseUnicodeChar(name.Buffer[i]);
    }
    Instance->VolumeKey.Buffer = Instance->VolumeUpcased;
    Instance->VolumeKey.Length = name.Length;
    Instance->VolumeKey.MaximumLength = sizeof(Instance->VolumeUpcased);
    return STATUS_SUCCESS;
}

/// PASSIVE_LEVEL. Attaches to any volume; a failing status declines.
_Use_decl_annotations_ NTSTATUS FLTAPI MpInstanceSetup(PCFLT_RELATED_OBJECTS FltObjects, FLT_INSTANCE_SETUP_FLAGS Flags,
                                                       DEVICE_TYPE VolumeDeviceType,
                                                       FLT_FILESYSTEM_TYPE VolumeFilesystemType) {
    NTSTATUS status;
    PMP_INSTANCE instance = NULL;
    PVOID cells;
    SIZE_T cellBytes = (SIZE_T)MpGlobals.ProcessorCount * MINIPEND_OPERATION_COUNT * sizeof(MP_CELL);

    PAGED_CODE();
    C_ASSERT(sizeof(MP_INSTANCE) <= MAXUSHORT); // FltAllocateContext's limit
    UNREFERENCED_PARAMETER(Flags);
    UNREFERENCED_PARAMETER(VolumeDeviceType);
    UNREFERENCED_PARAMETER(VolumeFilesystemType);

    status = FltAllocateContext(MpGlobals.Filter, FLT_INSTANCE_CONTEXT, sizeof(MP_INSTANCE), NonPagedPoolNx,
                                (PFLT_CONTEXT *)&instance);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    RtlZeroMemory(instance, sizeof(*instance));
    InitializeListHead(&instance->Link);
    InitializeListHead(&instance->Held);
    instance->Object = FltObjects->Instance;
    instance->Id = (ULONG64)InterlockedIncrement64(&MpInstances.LastId);
    instance->BootVolume = MpGlobals.BootVolume == NULL || MpGlobals.BootVolume == FltObjects->Volume;

    status = MpReadVolumeName(FltObjects->Volume, instance);
    if (!NT_SUCCESS(status)) {
        goto Exit;
    }
    MpReadInstanceTexts(instance);

    status = WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNxCacheAligned, MP_TAG_COUNTERS, cellBytes,
                             &instance->CellMemory, &cells);
    if (!NT_SUCCESS(status)) {
        instance->CellMemory = NULL;
        goto Exit;
    }
    RtlZeroMemory(cells, cellBytes);
    instance->Cells = cells;

    // Both under the lock: no snapshot shows an instance that then declines, or misses one that has operations.
    (VOID) WdfWaitLockAcquire(MpInstances.Lock, NULL);
    status = FltSetInstanceContext(FltObjects->Instance, FLT_SET_CONTEXT_KEEP_IF_EXISTS, instance, NULL);
    if (NT_SUCCESS(status)) {
        InsertTailList(&MpInstances.List, &instance->Link);
        MpInstances.Count++;
    }
    WdfWaitLockRelease(MpInstances.Lock);

Exit:
    FltReleaseContext(instance);
    return status;
}

/// Manual detach is always allowed; without this routine it never would be [LIFE-03].
_Use_decl_annotations_ NTSTATUS FLTAPI MpInstanceQueryTeardown(PCFLT_RELATED_OBJECTS FltObjects,
                                                               FLT_INSTANCE_QUERY_TEARDOWN_FLAGS Flags) {
    PAGED_CODE();
    UNREFERENCED_PARAMETER(FltObjects);
    UNREFERENCED_PARAMETER(Flags);
    return STATUS_SUCCESS;
}

/// Gives back everything pended on the instance, and wakes what waits synchronised: the Filter Manager waits for those callbacks itself.
_Use_decl_annotations_ VOID FLTAPI MpInstanceTeardownStart(PCFLT_RELATED_OBJECTS FltObjects,
                                                           FLT_INSTANCE_TEARDOWN_FLAGS Reason) {
    PMP_INSTANCE instance;

    PAGED_CODE();
    UNREFERENCED_PARAMETER(Reason);

    if (NT_SUCCESS(FltGetInstanceContext(FltObjects->Instance, (PFLT_CONTEXT *)&instance))) {
        MpHoldReleaseInstance(instance);
        FltReleaseContext(instance);
    }
}

/// No operation of the instance is left: moves its counters to the retired sums and takes it off the list.
_Use_decl_annotations_ VOID FLTAPI MpInstanceTeardownComplete(PCFLT_RELATED_OBJECTS FltObjects,
                                                              FLT_INSTANCE_TEARDOWN_FLAGS Reason) {
    PMP_INSTANCE instance;

    PAGED_CODE();
    UNREFERENCED_PARAMETER(Reason);

    if (NT_SUCCESS(FltGetInstanceContext(FltObjects->Instance, (PFLT_CONTEXT *)&instance))) {
        NT_ASSERT(IsListEmpty(&instance->Held));
        (VOID) WdfWaitLockAcquire(MpInstances.Lock, NULL);
        RemoveEntryList(&instance->Link);
        MpInstances.Count--;
        MpCountersAdd(instance, &MpInstances.Retired);
        WdfWaitLockRelease(MpInstances.Lock);
        FltReleaseContext(instance);
    }
}

/// The last reference is gone. IRQL <= APC_LEVEL; also for a context whose setup failed.
_Use_decl_annotations_ VOID FLTAPI MpInstanceContextCleanup(PFLT_CONTEXT Context, FLT_CONTEXT_TYPE ContextType) {
    PMP_INSTANCE instance = Context;

    UNREFERENCED_PARAMETER(ContextType);
    if (instance->CellMemory != NULL) {
        WdfObjectDelete(instance->CellMemory);
    }
}
