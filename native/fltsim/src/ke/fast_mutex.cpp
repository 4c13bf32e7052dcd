// SPDX-License-Identifier: MIT
//
// This module provides: fast mutexes, in the driver's memory with their real layout, and the interlocked calls on lists.
#include <cstdio>
#include <string>

#include "ke/spin_lock.hpp"
#include "ke/state.hpp"

using namespace fltsim;
using ke::LockKind;

namespace {

std::string mutex_text(const void *mutex) {
    char text[40];
    std::snprintf(text, sizeof text, "fast mutex %p", mutex);
    return text;
}

bool is_free(const FAST_MUTEX &mutex) {
    return mutex.Count == FM_LOCK_BIT;
}

void check(const char *api, PFAST_MUTEX mutex) {
    if (mutex == nullptr || (!is_free(*mutex) && (mutex->Count != 0 || mutex->Owner == nullptr))) {
        bugcheck("FAST MUTEX not initialised", api, mutex_text(mutex) + ": it was never initialised, or was freed");
    }
}

void take(const char *api, PFAST_MUTEX mutex, const void *code) {
    mutex->Count = 0;
    mutex->Owner = &current_thread();
    ke::lock_taken(api, current_thread(), {mutex, LockKind::FastMutex, true, code});
}

void acquire(const char *api, PFAST_MUTEX mutex, const void *code) {
    check(api, mutex);
    if (mutex->Owner == &current_thread()) {
        bugcheck("FAST MUTEX acquired twice", api,
                 mutex_text(mutex) + ": this thread has it, and would wait for itself");
    }
    ke::ask_for_lock(api, {mutex, LockKind::FastMutex, true, code});
    if (!is_free(*mutex)) {
        ++mutex->Contention;
        if (!world().block(mutex, [mutex] { return is_free(*mutex); })) {
            return; // the world ends
        }
    }
    take(api, mutex, code);
}

void release(const char *api, PFAST_MUTEX mutex) {
    check(api, mutex);
    if (mutex->Owner != &current_thread()) {
        bugcheck("FAST MUTEX released by a thread that does not own it", api, mutex_text(mutex));
    }
    ke::lock_released(current_thread(), mutex);
    mutex->Owner = nullptr;
    mutex->Count = FM_LOCK_BIT;
    world().wake(mutex);
}

/// Its owner runs without APCs: at APC_LEVEL.
void raise(PFAST_MUTEX mutex) {
    Thread &thread = executing();
    mutex->OldIrql = thread.irql;
    thread.irql = APC_LEVEL;
}

void check_without_apcs(const char *api, const void *mutex, bool acquired) {
    const Thread &thread = current_thread();
    if (thread.irql < APC_LEVEL && thread.kernel_apc_disable == 0) {
        bugcheck(acquired ? "FAST MUTEX released with APCs enabled" : "FAST MUTEX acquired with APCs enabled", api,
                 mutex_text(mutex) + (acquired ? ": the critical region of its acquisition was left before"
                                               : ": call KeEnterCriticalRegion first, or ExAcquireFastMutex"));
    }
}

/// RAII: the spin lock that goes with a list.
class ListLock {
  public:
    ListLock(const char *api, PKSPIN_LOCK lock, const void *code)
        : api_(api), lock_(lock), given_{lock, LockKind::ListSpin, true, code},
          before_(ke::acquire_spin_lock(api, lock, given_)) {}
    ~ListLock() { ke::release_spin_lock(api_, lock_, given_, before_); }
    ListLock(const ListLock &) = delete;
    ListLock &operator=(const ListLock &) = delete;

  private:
    const char *api_;
    PKSPIN_LOCK lock_;
    ke::HeldLock given_;
    KIRQL before_;
};

} // namespace

/// IRQL <= APC_LEVEL. Raises to APC_LEVEL.
FLTSIM_KERNEL void NTAPI ExAcquireFastMutex(PFAST_MUTEX FastMutex) {
    KernelCall call("ExAcquireFastMutex", APC_LEVEL);
    acquire("ExAcquireFastMutex", FastMutex, FLTSIM_CALLER);
    raise(FastMutex);
}

/// IRQL <= APC_LEVEL. FALSE when somebody has it, also this thread.
FLTSIM_KERNEL BOOLEAN NTAPI ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex) {
    KernelCall call("ExTryToAcquireFastMutex", APC_LEVEL);
    check("ExTryToAcquireFastMutex", FastMutex);
    if (!is_free(*FastMutex)) {
        return FALSE;
    }
    take("ExTryToAcquireFastMutex", FastMutex, FLTSIM_CALLER);
    raise(FastMutex);
    return TRUE;
}

/// IRQL = APC_LEVEL. Back to what it was before.
FLTSIM_KERNEL void NTAPI ExReleaseFastMutex(PFAST_MUTEX FastMutex) {
    constexpr const char *kApi = "ExReleaseFastMutex";
    KernelCall call(kApi, APC_LEVEL);
    Thread &thread = executing();
    check(kApi, FastMutex);
    if (thread.irql != APC_LEVEL) {
        bugcheck("V5 IRQL changed with a fast mutex", kApi,
                 mutex_text(FastMutex) + ": it is released at APC_LEVEL, where ExAcquireFastMutex left its owner");
    }
    const auto before = static_cast<KIRQL>(FastMutex->OldIrql);
    release(kApi, FastMutex);
    thread.irql = before;
}

/// IRQL <= APC_LEVEL, without APCs. The IRQL stays as it is.
FLTSIM_KERNEL void NTAPI ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex) {
    constexpr const char *kApi = "ExAcquireFastMutexUnsafe";
    KernelCall call(kApi, APC_LEVEL);
    check_without_apcs(kApi, FastMutex, false);
    acquire(kApi, FastMutex, FLTSIM_CALLER);
}

/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL void NTAPI ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex) {
    constexpr const char *kApi = "ExReleaseFastMutexUnsafe";
    KernelCall call(kApi, APC_LEVEL);
    check_without_apcs(kApi, FastMutex, true);
    release(kApi, FastMutex);
}

/// IRQL <= DISPATCH_LEVEL here: what may be called above shares no lock with anything in the model.
FLTSIM_KERNEL PLIST_ENTRY NTAPI ExInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                                            PKSPIN_LOCK Lock) {
    constexpr const char *kApi = "ExInterlockedInsertHeadList";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const ListLock lock(kApi, Lock, FLTSIM_CALLER);
    const PLIST_ENTRY before = ListHead->Flink;
    InsertHeadList(ListHead, ListEntry);
    return before == ListHead ? nullptr : before;
}

FLTSIM_KERNEL PLIST_ENTRY NTAPI ExInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                                            PKSPIN_LOCK Lock) {
    constexpr const char *kApi = "ExInterlockedInsertTailList";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const ListLock lock(kApi, Lock, FLTSIM_CALLER);
    const PLIST_ENTRY before = ListHead->Blink;
    InsertTailList(ListHead, ListEntry);
    return before == ListHead ? nullptr : before;
}

FLTSIM_KERNEL PLIST_ENTRY NTAPI ExInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock) {
    constexpr const char *kApi = "ExInterlockedRemoveHeadList";
    KernelCall call(kApi, DISPATCH_LEVEL);
    const ListLock lock(kApi, Lock, FLTSIM_CALLER);
    return IsListEmpty(ListHead) ? nullptr : RemoveHeadList(ListHead);
}
