// SPDX-License-Identifier: MIT
//
// This module provides: the KMDF entry stub of a driver image: FxDriverEntry, which binds to the framework, runs the
// driver's DriverEntry and unbinds again on failure or unload.
//
// Invariants: WdfVersionBind and WdfVersionUnbind get the same copy of the registry path, which lives as long as the image;
// after the unbind no framework call is possible; the image is a version 1.15 client of 444 functions.

#include <ntifs.h>
#include <wdf.h>
#include <wdf_loader.h>

DRIVER_INITIALIZE DriverEntry;

#if defined(_WIN32) && defined(FLTSIM_HOST)
#define FX_ENTRY_EXPORT __attribute__((dllexport))
#elif defined(_WIN32)
#define FX_ENTRY_EXPORT
#else
#define FX_ENTRY_EXPORT __attribute__((visibility("default")))
#endif
FX_ENTRY_EXPORT DRIVER_INITIALIZE FxDriverEntry;

#define FX_REGISTRY_PATH_CHARS 260

const WDFFUNC *WdfFunctions_01015;
PWDF_DRIVER_GLOBALS WdfDriverGlobals;
WDFFUNC WdfDriverMiniportUnloadOverride;

static WCHAR FxRegistryPathBuffer[FX_REGISTRY_PATH_CHARS];
static UNICODE_STRING FxRegistryPath = {0, sizeof(FxRegistryPathBuffer), FxRegistryPathBuffer};

static WDF_BIND_INFO FxBindInfo = {
    .Size = sizeof(WDF_BIND_INFO),
    .Component = (PWCHAR)L"KmdfLibrary",
    .Version = {.Major = 1, .Minor = 15, .Build = 0},
    .FuncCount = WdfFunctionTableNumEntries,
    // From 444 functions on the framework stores its table's address here instead of filling an array.
    .FuncTable = (WDFFUNC *)&WdfFunctions_01015,
    .Module = NULL,
};

static PDRIVER_UNLOAD FxDisplacedUnload;

static VOID FxUnbind(VOID) {
    // The unbind of an image that is going away has no one to report a failure to.
    (VOID) WdfVersionUnbind(&FxRegistryPath, &FxBindInfo, (PWDF_COMPONENT_GLOBALS)WdfDriverGlobals);
    WdfDriverGlobals = NULL;
}

/// DriverUnload of a driver whose unload routine the framework asked the stub to displace. IRQL == PASSIVE_LEVEL.
static VOID NTAPI FxUnload(_In_ struct _DRIVER_OBJECT *DriverObject) {
    if (FxDisplacedUnload != NULL) {
        FxDisplacedUnload(DriverObject);
    }
    FxUnbind();
}

/// What WdfDriverMiniportUnload runs once DriverEntry has succeeded: a minifilter's DriverUnload belongs to the Filter Manager,
/// so its unload callback unbinds through this [KMDF]. IRQL == PASSIVE_LEVEL.
static VOID NTAPI FxMiniportUnload(_In_ PWDF_DRIVER_GLOBALS Globals, _In_ WDFDRIVER Driver) {
    UNREFERENCED_PARAMETER(Globals);
    UNREFERENCED_PARAMETER(Driver);
    FxUnbind();
}

/// The image's entry point. IRQL == PASSIVE_LEVEL.
NTSTATUS NTAPI FxDriverEntry(_In_ struct _DRIVER_OBJECT *DriverObject, _In_ PUNICODE_STRING RegistryPath) {
    NTSTATUS Status;

    // Loaded as a library for its exports: there is no driver object, and nothing to bind.
    if (DriverObject == NULL) {
        return DriverEntry(NULL, RegistryPath);
    }

    RtlCopyUnicodeString(&FxRegistryPath, RegistryPath);
    Status = WdfVersionBind(DriverObject, &FxRegistryPath, &FxBindInfo, (PWDF_COMPONENT_GLOBALS *)&WdfDriverGlobals);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    WdfDriverMiniportUnloadOverride = WdfFunctions_01015[WdfDriverMiniportUnloadTableIndex];

    Status = DriverEntry(DriverObject, RegistryPath);
    if (!NT_SUCCESS(Status)) {
        FxUnbind();
        return Status;
    }

    if (WdfDriverGlobals->DisplaceDriverUnload) {
        if (DriverObject->DriverUnload != NULL && DriverObject->DriverUnload != FxUnload) {
            FxDisplacedUnload = DriverObject->DriverUnload;
        }
        DriverObject->DriverUnload = FxUnload;
    } else if ((WdfDriverGlobals->DriverFlags & WdfDriverInitNoDispatchOverride) != 0) {
        WdfDriverMiniportUnloadOverride = (WDFFUNC)FxMiniportUnload;
    }
    return STATUS_SUCCESS;
}
