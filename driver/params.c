// SPDX-License-Identifier: MIT
//
// This module provides: the driver's registry parameters, and the fault switch among them.
//
// Read once, at load. A value that is not there, or cannot be read, has its default; one outside its range is replaced by the nearest end of
// it, and hello says what holds.

#include "minipend.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(INIT, MpReadLimits)
#endif

typedef struct _MP_PARAMETER {
    UNICODE_STRING Name;
    ULONG Least;
    ULONG Most;
    ULONG Default;
} MP_PARAMETER;

static ULONG MpReadParameter(_In_opt_ WDFKEY Key, _In_ const MP_PARAMETER *Parameter) {
    ULONG value = Parameter->Default;

    if (Key != NULL && !NT_SUCCESS(WdfRegistryQueryULong(Key, &Parameter->Name, &value))) {
        value = Parameter->Default;
    }
    return max(Parameter->Least, min(Parameter->Most, value));
}

_Use_decl_annotations_ VOID MpReadLimits(VOID) {
    static const MP_PARAMETER maxHeld = {RTL_CONSTANT_STRING(L"MaxHeld"), 1, 65536, 16384};
    static const MP_PARAMETER maxDelayMs = {RTL_CONSTANT_STRING(L"MaxDelayMs"), 1, 600000, 30000};
    static const MP_PARAMETER releaseThreads = {RTL_CONSTANT_STRING(L"ReleaseThreads"), 2, 16, 2};
    static const MP_PARAMETER maxReleaseThreads = {RTL_CONSTANT_STRING(L"MaxReleaseThreads"), 2, MP_MAX_RELEASE_THREADS,
                                                   MP_MAX_RELEASE_THREADS};
    static const MP_PARAMETER refuseUnload = {RTL_CONSTANT_STRING(L"RefuseUnloadWhileHeld"), 0, 1, 0};
    static const MP_PARAMETER faultEveryNth = {RTL_CONSTANT_STRING(L"FaultAllocationEveryNth"), 0, MAXLONG, 0};
    WDFKEY key = NULL;

    if (!NT_SUCCESS(WdfDriverOpenParametersRegistryKey(WdfGetDriver(), KEY_READ, WDF_NO_OBJECT_ATTRIBUTES, &key))) {
        // A service without parameters is the normal case: the defaults hold.
        key = NULL;
    }
    MpGlobals.Limits.MaxHeld = MpReadParameter(key, &maxHeld);
    MpGlobals.Limits.MaxDelayMs = MpReadParameter(key, &maxDelayMs);
    MpGlobals.Limits.ReleaseThreads = MpReadParameter(key, &releaseThreads);
    MpGlobals.Limits.MaxReleaseThreads = MpReadParameter(key, &maxReleaseThreads);
    MpGlobals.Limits.MaxReleaseThreads = max(MpGlobals.Limits.MaxReleaseThreads, MpGlobals.Limits.ReleaseThreads);
    MpGlobals.Limits.RefuseUnloadWhileHeld = MpReadParameter(key, &refuseUnload);
    MpGlobals.Limits.FaultAllocationEveryNth = MpReadParameter(key, &faultEveryNth);
    if (key != NULL) {
        WdfRegistryClose(key);
    }
}

/// Of FaultAllocationEveryNth = n, every n-th call is TRUE: n - 1 allocations go through, then one is treated as failed.
_Use_decl_annotations_ BOOLEAN MpFaultAllocation(VOID) {
    ULONG every = MpGlobals.Limits.FaultAllocationEveryNth;

    return (BOOLEAN)(every != 0 && (ULONG)InterlockedIncrement(&MpGlobals.FaultedAllocations) % every == 0);
}
