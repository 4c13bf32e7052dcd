// SPDX-License-Identifier: MIT
//
// This module provides: how an image binds to KMDF: the two exports of wdfldr.sys and their structures.
//
// Only the entry stub and the model of the loader include it.

#pragma once

#include "wdftypes.h"

EXTERN_C_START

/// The loader's own record.
typedef struct _LIBRARY_MODULE *PLIBRARY_MODULE;

typedef ULONG WDF_MAJOR_VERSION;
typedef ULONG WDF_MINOR_VERSION;
typedef ULONG WDF_BUILD_NUMBER;

typedef struct _WDF_VERSION {
    WDF_MAJOR_VERSION Major;
    WDF_MINOR_VERSION Minor;
    WDF_BUILD_NUMBER Build;
} WDF_VERSION;

typedef struct _WDF_BIND_INFO {
    ULONG Size;
    PWCHAR Component;
    WDF_VERSION Version;
    ULONG FuncCount;
    WDFFUNC *FuncTable;
    PLIBRARY_MODULE Module;
} WDF_BIND_INFO;

typedef WDF_BIND_INFO *PWDF_BIND_INFO;
typedef PVOID WDF_COMPONENT_GLOBALS, *PWDF_COMPONENT_GLOBALS;

/// IRQL == PASSIVE_LEVEL. Connects the image to the framework and writes the table's address where BindInfo says.
NTSTATUS NTAPI WdfVersionBind(_In_ struct _DRIVER_OBJECT *DriverObject, _In_ PUNICODE_STRING RegistryPath,
                              _Inout_ PWDF_BIND_INFO BindInfo, _Out_ PWDF_COMPONENT_GLOBALS *ComponentGlobals);
/// IRQL == PASSIVE_LEVEL. Undoes WdfVersionBind; the globals are freed memory afterwards.
NTSTATUS NTAPI WdfVersionUnbind(_In_ PUNICODE_STRING RegistryPath, _In_ PWDF_BIND_INFO BindInfo,
                                _In_ PWDF_COMPONENT_GLOBALS ComponentGlobals);

EXTERN_C_END
