// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter that calls what the model does not have: a cancel-safe queue for pended pre-operations, and a timer. It must never
// run there: its imports are named first.

#include <fltkernel.h>

DRIVER_INITIALIZE FxDriverEntry;

NTSTATUS NTAPI FltCbdqInitialize(PVOID Instance, PVOID Queue, PVOID Insert, PVOID Remove, PVOID Peek, PVOID Acquire,
                                 PVOID Release, PVOID Complete);
VOID NTAPI KeInitializeTimer(PVOID Timer);

NTSTATUS NTAPI FxDriverEntry(_In_ struct _DRIVER_OBJECT *DriverObject, _In_ PUNICODE_STRING RegistryPath) {
    ULONG64 Space[16];

    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    KeInitializeTimer(Space);
    return FltCbdqInitialize(NULL, Space, NULL, NULL, NULL, NULL, NULL, NULL);
}
