// SPDX-License-Identifier: MIT
//
// This module provides: loading and unloading.
//
// KMDF where it fits: the driver object, registry parameters, lookaside list, memory, locks. NonPnP and NoDispatchOverride, because the Filter
// Manager owns the driver object's entry points [KMDF-01, KMDF-03]; no EvtDriverUnload, because the framework would not call it
// [KMDF-04]; WdfDriverMiniportUnload last, because it takes the framework away [KMDF-06].
//
// Loading:   framework, parameters, tables, tracing, releasing and watching threads, FltRegisterFilter, boot volume, bell, port, FltStartFiltering.
// Unloading: port closed, bell thread joined (it sends through the filter), FltUnregisterFilter (which tears every instance down and disconnects
//            every client), deferred routines run down, watching and releasing threads joined, tables freed, tracing off, framework gone. After
//            FltUnregisterFilter no callback comes any more; the releasing threads must outlive it, because it waits for what they give back.

#include "minipend.h"

DRIVER_INITIALIZE DriverEntry;

#ifdef ALLOC_PRAGMA
#pragma alloc_text(INIT, DriverEntry)
#pragma alloc_text(PAGE, MpUnload)
#endif

MP_GLOBALS MpGlobals;

static NTSTATUS MpCreateFrameworkDriver(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    WDF_DRIVER_CONFIG config;

    WDF_DRIVER_CONFIG_INIT(&config, WDF_NO_EVENT_CALLBACK);
    config.DriverInitFlags = WdfDriverInitNonPnpDriver | WdfDriverInitNoDispatchOverride;
    config.EvtDriverUnload = NULL;
    config.DriverPoolTag = MP_TAG_HOLD;
    return WdfDriverCreate(DriverObject, RegistryPath, WDF_NO_OBJECT_ATTRIBUTES, &config, WDF_NO_HANDLE);
}

static NTSTATUS MpCreateTables(VOID) {
    NTSTATUS status;

    MpGlobals.ProcessorCount = KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS);
    ExInitializeRundownProtection(&MpGlobals.DeferredRoutines);

    status = WdfLookasideListCreate(WDF_NO_OBJECT_ATTRIBUTES, sizeof(MP_RECORD), NonPagedPoolNx,
                                    WDF_NO_OBJECT_ATTRIBUTES, MP_TAG_RECORD, &MpGlobals.RecordLookaside);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = MpInstancesInitialize();
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = MpRulesInitialize();
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = MpConnectionsInitialize();
    if (!NT_SUCCESS(status)) {
        return status;
    }
    return MpHoldInitialize();
}

/// Finds the volume that holds \SystemRoot. When that fails, BootVolume stays NULL and every volume is treated as the boot volume: the safe side.
static VOID MpFindBootVolume(VOID) {
    DECLARE_CONST_UNICODE_STRING(systemRoot, L"\\SystemRoot");
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK ioStatus;
    HANDLE handle;
    PVOID fileObject;
    NTSTATUS status;

    InitializeObjectAttributes(&attributes, (PUNICODE_STRING)&systemRoot, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE,
                               NULL, NULL);
    status = ZwOpenFile(&handle, FILE_READ_ATTRIBUTES | SYNCHRONIZE, &attributes, &ioStatus,
                        FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                        FILE_DIRECTORY_FILE | FILE_SYNCHRONOUS_IO_NONALERT);
    if (!NT_SUCCESS(status)) {
        return;
    }
    status = ObReferenceObjectByHandle(handle, 0, *IoFileObjectType, KernelMode, &fileObject, NULL);
    if (NT_SUCCESS(status)) {
        if (!NT_SUCCESS(FltGetVolumeFromFileObject(MpGlobals.Filter, fileObject, &MpGlobals.BootVolume))) {
            MpGlobals.BootVolume = NULL;
        }
        ObDereferenceObject(fileObject);
    }
    NT_VERIFY(NT_SUCCESS(ZwClose(handle)));
}

static VOID MpForgetBootVolume(VOID) {
    if (MpGlobals.BootVolume != NULL) {
        FltObjectDereference(MpGlobals.BootVolume);
        MpGlobals.BootVolume = NULL;
    }
}

/// After FltUnregisterFilter, or instead of it when there is no filter: ends what may still run and frees what is not the framework's to free.
static VOID MpStopAndClean(VOID) {
    ExWaitForRundownProtectionRelease(&MpGlobals.DeferredRoutines);
    MpReleaseStop();
    MpRulesCleanup();
    MpTraceStop();
}

/// PASSIVE_LEVEL. Agrees, and what is held is given back by the teardown of the instances; but with RefuseUnloadWhileHeld an unload that asks gets a
/// veto while something is held [UNL-01]. One that does not ask is told nothing by a veto [UNL-02]. Decided before anything is closed [UNL-03].
_Use_decl_annotations_ NTSTATUS FLTAPI MpUnload(FLT_FILTER_UNLOAD_FLAGS Flags) {
    PAGED_CODE();

    if (MpGlobals.Limits.RefuseUnloadWhileHeld != 0 && !FlagOn(Flags, FLTFL_FILTER_UNLOAD_MANDATORY) &&
        ReadULongNoFence(&MpHold.Count) != 0) {
        return STATUS_FLT_DO_NOT_DETACH;
    }
    MpPortClose();
    MpBellStop();
    MpForgetBootVolume();
    FltUnregisterFilter(MpGlobals.Filter);
    MpStopAndClean();
    WdfDriverMiniportUnload(WdfGetDriver());
    return STATUS_SUCCESS;
}

/// On failure everything is undone but the framework's part, which its entry stub undoes [KMDF-07].
_Use_decl_annotations_ NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    NTSTATUS status;

    status = MpCreateFrameworkDriver(DriverObject, RegistryPath);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    MpReadLimits();
    status = MpCreateTables();
    if (!NT_SUCCESS(status)) {
        return status;
    }
    MpStateInitialize();
    status = MpTraceStart();
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = MpReleaseStart();
    if (!NT_SUCCESS(status)) {
        MpTraceStop();
        return status;
    }

    status = FltRegisterFilter(DriverObject, &MpRegistration, &MpGlobals.Filter);
    if (!NT_SUCCESS(status)) {
        goto StopThreads;
    }
    MpFindBootVolume();
    status = MpBellStart();
    if (!NT_SUCCESS(status)) {
        goto Unregister;
    }
    status = MpPortOpen();
    if (!NT_SUCCESS(status)) {
        goto StopBell;
    }
    status = FltStartFiltering(MpGlobals.Filter);
    if (NT_SUCCESS(status)) {
        return STATUS_SUCCESS;
    }

    MpPortClose();
StopBell:
    MpBellStop();
Unregister:
    MpForgetBootVolume();
    FltUnregisterFilter(MpGlobals.Filter);
StopThreads:
    MpStopAndClean();
    return status;
}
