// SPDX-License-Identifier: MIT
//
// This module provides: loading and unloading.
//
// KMDF where it fits: the driver object, registry parameters, lookaside list, memory, locks. NonPnP and NoDispatchOverride, because the Filter
// Manager owns the driver object's entry points [KMDF-01, KMDF-03]; no EvtDriverUnload, because the framework would not call it
// [KMDF-04]; WdfDriverMiniportUnload last, because it takes the framework away [KMDF-06].
//
// Loading:   framework, parameters, tables, releasing threads, FltRegisterFilter, boot volume, port, FltStartFiltering.
// Unloading: port closed, FltUnregisterFilter (which tears every instance down and disconnects every client), deferred routines run
//            down, threads joined, tables freed, framework gone. After FltUnregisterFilter no callback comes any more; the threads must
//            outlive it, because it waits for what they give back.

#include "minipend.h"

DRIVER_INITIALIZE DriverEntry;

#ifdef ALLOC_PRAGMA
#pragma alloc_text(INIT, DriverEntry)
#pragma alloc_text(PAGE, MpUnload)
#endif

MP_GLOBALS MpGlobals;

typedef struct _MP_PARAMETER {
    UNICODE_STRING Name;
    ULONG Least;
    ULONG Most;
    ULONG Default;
} MP_PARAMETER;

/// A registry value, or its default, moved into its range.
static ULONG MpReadParameter(WDFKEY Key, const MP_PARAMETER *Parameter) {
    ULONG value = Parameter->Default;

    if (Key != NULL && !NT_SUCCESS(WdfRegistryQueryULong(Key, &Parameter->Name, &value))) {
        value = Parameter->Default;
    }
    return max(Parameter->Least, min(Parameter->Most, value));
}

static VOID MpReadLimits(VOID) {
    static const MP_PARAMETER maxHeld = {RTL_CONSTANT_STRING(L"MaxHeld"), 1, 65536, 16384};
    static const MP_PARAMETER maxDelayMs = {RTL_CONSTANT_STRING(L"MaxDelayMs"), 1, 600000, 30000};
    static const MP_PARAMETER releaseThreads = {RTL_CONSTANT_STRING(L"ReleaseThreads"), 2, 16, 2};
    WDFKEY key = NULL;

    if (!NT_SUCCESS(WdfDriverOpenParametersRegistryKey(WdfGetDriver(), KEY_READ, WDF_NO_OBJECT_ATTRIBUTES, &key))) {
        // A service without parameters is the normal case: the defaults hold.
        key = NULL;
    }
    MpGlobals.Limits.MaxHeld = MpReadParameter(key, &maxHeld);
    MpGlobals.Limits.MaxDelayMs = MpReadParameter(key, &maxDelayMs);
    MpGlobals.Limits.ReleaseThreads = MpReadParameter(key, &releaseThreads);
    if (key != NULL) {
        WdfRegistryClose(key);
    }
}

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
}

/// PASSIVE_LEVEL. Always agrees: what is held is given back by the teardown of the instances.
_Use_decl_annotations_ NTSTATUS FLTAPI MpUnload(FLT_FILTER_UNLOAD_FLAGS Flags) {
    PAGED_CODE();
    UNREFERENCED_PARAMETER(Flags);

    MpPortClose();
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
    status = MpReleaseStart();
    if (!NT_SUCCESS(status)) {
        return status;
    }

    status = FltRegisterFilter(DriverObject, &MpRegistration, &MpGlobals.Filter);
    if (!NT_SUCCESS(status)) {
        goto StopThreads;
    }
    MpFindBootVolume();
    status = MpPortOpen();
    if (!NT_SUCCESS(status)) {
        goto Unregister;
    }
    status = FltStartFiltering(MpGlobals.Filter);
    if (NT_SUCCESS(status)) {
        return STATUS_SUCCESS;
    }

    MpPortClose();
Unregister:
    MpForgetBootVolume();
    FltUnregisterFilter(MpGlobals.Filter);
StopThreads:
    MpStopAndClean();
    return status;
}
