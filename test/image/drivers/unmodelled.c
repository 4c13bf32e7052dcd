// SPDX-License-Identifier: MIT
//
// This driver provides: a minifilter that calls what the model does not have: a quota query of its own, and a timer. It must never run there: its imports
// are named first.

#include <fltkernel.h>

DRIVER_INITIALIZE FxDriverEntry;

NTSTATUS NTAPI FltQueryQuotaInformationFile(PVOID Instance, PVOID FileObject, PVOID Buffer, ULONG Length,
                                            BOOLEAN ReturnSingleEntry, PVOID SidList, ULONG SidListLength,
                                            PVOID StartSid, BOOLEAN RestartScan, PULONG LengthReturned);
VOID NTAPI KeSetTargetProcessorDpc(PVOID Dpc, CHAR Number);

NTSTATUS NTAPI FxDriverEntry(_In_ struct _DRIVER_OBJECT *DriverObject, _In_ PUNICODE_STRING RegistryPath) {
    ULONG64 Space[16];

    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    KeSetTargetProcessorDpc(Space, 0);
    return FltQueryQuotaInformationFile(NULL, NULL, Space, 0, FALSE, NULL, 0, NULL, FALSE, NULL);
}
