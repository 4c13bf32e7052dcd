// SPDX-License-Identifier: MIT
//
// This module provides: the Filter Manager's push locks, with one exclusive owner or many shared ones. Who acquires one is in a critical region until the
// release. The lock is the driver's word: 0 free, 1 exclusive, else twice the number of shared owners; who they are is not kept.

#include "flt/internal.hpp"

namespace fltsim::flt {

namespace {

constexpr ULONG_PTR kExclusive = 1;
constexpr ULONG_PTR kOneShared = 2;
constexpr ULONG_PTR kMost = kOneShared * 0x10000;

std::string text(const void *lock) {
    char buffer[40];
    snprintf(buffer, sizeof buffer, "push lock %p", lock);
    return buffer;
}

void check(PULONG_PTR lock, const char *api) {
    if (lock == nullptr || *lock > kMost || ((*lock & kExclusive) != 0 && *lock != kExclusive)) {
        bugcheck("PUSH LOCK not initialised", api, text(lock) + ": it was never initialised, or its memory was freed");
    }
}

void acquire(PULONG_PTR lock, ULONG flags, bool exclusive, const char *api) {
    if (flags != 0) {
        unmodelled(api, "Flags " + std::to_string(flags));
    }
    check(lock, api);
    ++executing().kernel_apc_disable;
    const auto free = [=] { return exclusive ? *lock == 0 : (*lock & kExclusive) == 0; };
    if (free() || world().block(lock, free)) {
        *lock += exclusive ? kExclusive : kOneShared;
    }
}

void release(PULONG_PTR lock, ULONG flags, const char *api) {
    if (flags != 0) {
        unmodelled(api, "Flags " + std::to_string(flags));
    }
    check(lock, api);
    Thread &thread = executing();
    if (*lock == 0 || thread.kernel_apc_disable == 0) {
        bugcheck("PUSH LOCK released, but not acquired", api, text(lock));
    }
    *lock -= *lock == kExclusive ? kExclusive : kOneShared;
    --thread.kernel_apc_disable;
    world().wake(lock);
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltInitializePushLock(PULONG_PTR PushLock) {
    KernelCall call("FltInitializePushLock", APC_LEVEL);
    *PushLock = 0;
}

/// IRQL <= APC_LEVEL. Nobody may have it.
FLTSIM_KERNEL VOID FLTAPI FltDeletePushLock(PULONG_PTR PushLock) {
    constexpr const char *kApi = "FltDeletePushLock";
    KernelCall call(kApi, APC_LEVEL);
    check(PushLock, kApi);
    if (*PushLock != 0) {
        bugcheck("PUSH LOCK deleted while it is owned", kApi, text(PushLock));
    }
}

/// IRQL <= APC_LEVEL. Waits until nobody has it.
FLTSIM_KERNEL VOID FLTAPI FltAcquirePushLockExclusive(PULONG_PTR PushLock) {
    KernelCall call("FltAcquirePushLockExclusive", APC_LEVEL);
    acquire(PushLock, 0, true, "FltAcquirePushLockExclusive");
}

/// The same, as newer headers call it.
FLTSIM_KERNEL VOID FLTAPI FltAcquirePushLockExclusiveEx(PULONG_PTR PushLock, ULONG Flags) {
    KernelCall call("FltAcquirePushLockExclusiveEx", APC_LEVEL);
    acquire(PushLock, Flags, true, "FltAcquirePushLockExclusiveEx");
}

/// IRQL <= APC_LEVEL. Waits for an exclusive owner.
FLTSIM_KERNEL VOID FLTAPI FltAcquirePushLockShared(PULONG_PTR PushLock) {
    KernelCall call("FltAcquirePushLockShared", APC_LEVEL);
    acquire(PushLock, 0, false, "FltAcquirePushLockShared");
}

/// The same, as newer headers call it.
FLTSIM_KERNEL VOID FLTAPI FltAcquirePushLockSharedEx(PULONG_PTR PushLock, ULONG Flags) {
    KernelCall call("FltAcquirePushLockSharedEx", APC_LEVEL);
    acquire(PushLock, Flags, false, "FltAcquirePushLockSharedEx");
}

/// IRQL <= APC_LEVEL, in the thread that acquired it.
FLTSIM_KERNEL VOID FLTAPI FltReleasePushLock(PULONG_PTR PushLock) {
    KernelCall call("FltReleasePushLock", APC_LEVEL);
    release(PushLock, 0, "FltReleasePushLock");
}

/// The same, as newer headers call it.
FLTSIM_KERNEL VOID FLTAPI FltReleasePushLockEx(PULONG_PTR PushLock, ULONG Flags) {
    KernelCall call("FltReleasePushLockEx", APC_LEVEL);
    release(PushLock, Flags, "FltReleasePushLockEx");
}
