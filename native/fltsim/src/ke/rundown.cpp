// SPDX-License-Identifier: MIT
//
// This module provides: rundown protection. EX_RUNDOWN_REF.Count is twice the number of references, plus 1 once a wait has begun
// (no new references from then on); it stays 1 when the rundown is complete.
#include <string>

#include "core/world.hpp"

using namespace fltsim;

namespace {

constexpr ULONG_PTR RUNDOWN_ACTIVE = 1;
constexpr ULONG_PTR ONE_REFERENCE = 2;

void check_initialised(const char *api, PEX_RUNDOWN_REF run_ref) {
    if (run_ref->Count == static_cast<ULONG_PTR>(0xCCCCCCCCCCCCCCCCu)) {
        bugcheck("RUNDOWN never initialised", api, "call ExInitializeRundownProtection first");
    }
    if (run_ref->Count == static_cast<ULONG_PTR>(0xDDDDDDDDDDDDDDDDu)) {
        bugcheck("RUNDOWN in freed memory", api, "the structure was freed");
    }
}

} // namespace

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL void NTAPI ExInitializeRundownProtection(PEX_RUNDOWN_REF RunRef) {
    KernelCall call("ExInitializeRundownProtection", APC_LEVEL);
    RunRef->Count = 0;
}

/// IRQL <= APC_LEVEL. Only after a wait for release has returned.
FLTSIM_KERNEL void NTAPI ExReInitializeRundownProtection(PEX_RUNDOWN_REF RunRef) {
    KernelCall call("ExReInitializeRundownProtection", APC_LEVEL);
    check_initialised("ExReInitializeRundownProtection", RunRef);
    if (RunRef->Count != RUNDOWN_ACTIVE) {
        bugcheck("RUNDOWN not complete", "ExReInitializeRundownProtection", "wait for its release first");
    }
    RunRef->Count = 0;
}

/// IRQL <= DISPATCH_LEVEL. FALSE once the rundown has begun.
FLTSIM_KERNEL BOOLEAN NTAPI ExAcquireRundownProtection(PEX_RUNDOWN_REF RunRef) {
    KernelCall call("ExAcquireRundownProtection", DISPATCH_LEVEL);
    check_initialised("ExAcquireRundownProtection", RunRef);
    if ((RunRef->Count & RUNDOWN_ACTIVE) != 0) {
        return FALSE;
    }
    RunRef->Count += ONE_REFERENCE;
    return TRUE;
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI ExReleaseRundownProtection(PEX_RUNDOWN_REF RunRef) {
    KernelCall call("ExReleaseRundownProtection", DISPATCH_LEVEL);
    check_initialised("ExReleaseRundownProtection", RunRef);
    if (RunRef->Count < ONE_REFERENCE) {
        bugcheck("RUNDOWN released too often", "ExReleaseRundownProtection", "no reference is held");
    }
    RunRef->Count -= ONE_REFERENCE;
    if (RunRef->Count == RUNDOWN_ACTIVE) {
        world().wake(RunRef);
    }
}

/// IRQL <= APC_LEVEL. Returns when every reference is gone; new ones fail from now on. May be called again.
FLTSIM_KERNEL void NTAPI ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF RunRef) {
    KernelCall call("ExWaitForRundownProtectionRelease", APC_LEVEL);
    check_initialised("ExWaitForRundownProtectionRelease", RunRef);
    RunRef->Count |= RUNDOWN_ACTIVE;
    world().block(RunRef, [RunRef] { return RunRef->Count == RUNDOWN_ACTIVE; });
}
