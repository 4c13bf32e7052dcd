// SPDX-License-Identifier: MIT
//
// This module provides: the Filter Manager's push locks, with one exclusive owner or many shared ones. Who acquires one is in a critical region until the
// release. The lock is the driver's word: 0 free, 1 exclusive, else twice the number of shared owners; who they are is kept where all locks are (ke/locks.hpp).

#include "flt/internal.hpp"
#include "ke/locks.hpp"

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

/// The flags that there are concern priorities, which nothing here has.
void check_flags(ULONG flags, const char *api) {
    if ((flags & ~ULONG{FLT_PUSH_LOCK_VALID_FLAGS}) != 0) {
        unmodelled(api, "Flags " + std::to_string(flags));
    }
}

/// Counts the threads that wait for exclusive access; readers let them go first.
class Writer {
  public:
    explicit Writer(PULONG_PTR lock) : lock_(lock) { ++manager().push_lock_writers[lock]; }
    Writer(const Writer &) = delete;
    Writer &operator=(const Writer &) = delete;
    ~Writer() {
        auto &waiting = manager().push_lock_writers;
        if (--waiting[lock_] == 0) {
            waiting.erase(lock_);
        }
    }

  private:
    PULONG_PTR lock_;
};

bool wait_for_exclusive(PULONG_PTR lock) {
    const auto free = [lock] { return *lock == 0; };
    if (free()) {
        return true;
    }
    const Writer waits(lock);
    return world().block(lock, free);
}

/// Who has it shared already gets it once more, whoever waits.
bool wait_for_shared(PULONG_PTR lock, bool again) {
    const auto free = [=] {
        return (*lock & kExclusive) == 0 && (again || !manager().push_lock_writers.contains(lock));
    };
    return free() || world().block(lock, free);
}

void acquire(PULONG_PTR lock, ULONG flags, bool exclusive, const char *api, const void *code) {
    check_flags(flags, api);
    check(lock, api);
    const ke::HeldLock wanted{lock, ke::LockKind::PushLock, exclusive, code};
    const ke::HeldLock *held = ke::held_lock(lock);
    if (held != nullptr && (exclusive || held->exclusive)) {
        bugcheck("PUSH LOCK acquired twice", api,
                 ke::lock_text(*held) + " is this thread's already, which waits for itself now");
    }
    ke::ask_for_lock(api, wanted);
    ++executing().kernel_apc_disable;
    if (exclusive ? wait_for_exclusive(lock) : wait_for_shared(lock, held != nullptr)) {
        *lock += exclusive ? kExclusive : kOneShared;
        ke::lock_taken(api, executing(), wanted);
    }
}

void release(PULONG_PTR lock, ULONG flags, const char *api) {
    check_flags(flags, api);
    check(lock, api);
    Thread &thread = executing();
    if (*lock == 0 || thread.kernel_apc_disable == 0) {
        bugcheck("PUSH LOCK released, but not acquired", api, text(lock));
    }
    if (ke::held_lock(lock) == nullptr) {
        bugcheck("PUSH LOCK released by a thread that does not own it", api, text(lock));
    }
    ke::lock_released(thread, lock);
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
    ke::lock_initialised("FltInitializePushLock", PushLock, sizeof *PushLock);
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
    ke::check_no_lock(kApi, PushLock, sizeof *PushLock);
}

/// IRQL <= APC_LEVEL. Waits until nobody has it.
FLTSIM_KERNEL VOID FLTAPI FltAcquirePushLockExclusive(PULONG_PTR PushLock) {
    KernelCall call("FltAcquirePushLockExclusive", APC_LEVEL);
    acquire(PushLock, 0, true, "FltAcquirePushLockExclusive", FLTSIM_CALLER);
}

/// The same, as newer headers call it.
FLTSIM_KERNEL VOID FLTAPI FltAcquirePushLockExclusiveEx(PULONG_PTR PushLock, ULONG Flags) {
    KernelCall call("FltAcquirePushLockExclusiveEx", APC_LEVEL);
    acquire(PushLock, Flags, true, "FltAcquirePushLockExclusiveEx", FLTSIM_CALLER);
}

/// IRQL <= APC_LEVEL. Waits for an exclusive owner, and for who waits to be that. Who has it shared gets it once more.
FLTSIM_KERNEL VOID FLTAPI FltAcquirePushLockShared(PULONG_PTR PushLock) {
    KernelCall call("FltAcquirePushLockShared", APC_LEVEL);
    acquire(PushLock, 0, false, "FltAcquirePushLockShared", FLTSIM_CALLER);
}

/// The same, as newer headers call it.
FLTSIM_KERNEL VOID FLTAPI FltAcquirePushLockSharedEx(PULONG_PTR PushLock, ULONG Flags) {
    KernelCall call("FltAcquirePushLockSharedEx", APC_LEVEL);
    acquire(PushLock, Flags, false, "FltAcquirePushLockSharedEx", FLTSIM_CALLER);
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
