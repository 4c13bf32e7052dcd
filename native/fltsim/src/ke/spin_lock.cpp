// SPDX-License-Identifier: MIT
#include "ke/spin_lock.hpp"

#include <algorithm>

#include "ke/state.hpp"

#if defined(__SANITIZE_THREAD__)
#define FLTSIM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FLTSIM_TSAN 1
#endif
#endif
#if defined(FLTSIM_TSAN)
extern "C" void __tsan_acquire(void *address);
extern "C" void __tsan_release(void *address);
#define ORDER_ACQUIRE(lock) __tsan_acquire(const_cast<void *>(static_cast<const volatile void *>(lock)))
#define ORDER_RELEASE(lock) __tsan_release(const_cast<void *>(static_cast<const volatile void *>(lock)))
#else
#define ORDER_ACQUIRE(lock) ((void)0)
#define ORDER_RELEASE(lock) ((void)0)
#endif

namespace fltsim::ke {
namespace {

constexpr uint32_t WRITER = 0x80000000u;

HeldLock *find_held(Thread &thread, const volatile void *lock) {
    for (HeldLock &held : thread_state(thread).held) {
        if (held.lock == lock) {
            return &held;
        }
    }
    return nullptr;
}

std::string address_text(const volatile void *lock) {
    char text[32];
    std::snprintf(text, sizeof text, "lock %p", const_cast<const void *>(lock));
    return text;
}

/// Memory that holds the pool's fill or poison is no lock.
void check_initialised(const char *api, const volatile void *lock, uint64_t value, uint64_t byte_mask) {
    if (value == (0xCCCCCCCCCCCCCCCCu & byte_mask)) {
        bugcheck("V21 spin lock never initialised", api, address_text(lock));
    }
    if (value == (0xDDDDDDDDDDDDDDDDu & byte_mask)) {
        bugcheck("V21 spin lock in freed memory", api, address_text(lock));
    }
}

KIRQL raise(Thread &thread) {
    const KIRQL before = thread.irql;
    thread.irql = DISPATCH_LEVEL;
    return before;
}

void remember(Thread &thread, const volatile void *lock, bool exclusive, KIRQL before) {
    ThreadState &state = thread_state(thread);
    if (state.held.empty()) {
        state.irql_below_locks = before;
    }
    state.held.push_back({lock, exclusive});
    ++thread.spin_locks_held;
    ORDER_ACQUIRE(lock);
}

/// Everything that release has to check and undo for the thread, before the lock word changes.
void forget(const char *api, Thread &thread, const volatile void *lock, bool exclusive, KIRQL new_irql) {
    ThreadState &state = thread_state(thread);
    const auto held = std::find_if(state.held.rbegin(), state.held.rend(),
                                   [&](const HeldLock &h) { return h.lock == lock && h.exclusive == exclusive; });
    if (held == state.held.rend()) {
        bugcheck("V21 spin lock released by a thread that does not own it", api, address_text(lock));
    }
    if (thread.irql != DISPATCH_LEVEL) {
        bugcheck("V21 spin lock released below DISPATCH_LEVEL", api,
                 address_text(lock) + ", IRQL " + std::to_string(thread.irql));
    }
    if (state.held.size() > 1 && new_irql != DISPATCH_LEVEL) {
        bugcheck("V21 IRQL lowered with a spin lock held", api,
                 address_text(lock) + " released to IRQL " + std::to_string(new_irql));
    }
    if (state.held.size() == 1 && new_irql != state.irql_below_locks) {
        bugcheck("V21 spin lock released at a different IRQL", api,
                 address_text(lock) + " was taken at IRQL " + std::to_string(state.irql_below_locks) +
                     " and released to " + std::to_string(new_irql));
    }
    state.held.erase(std::next(held).base());
    --thread.spin_locks_held;
    ORDER_RELEASE(lock);
}

uint32_t load(PEX_SPIN_LOCK lock) {
    return static_cast<uint32_t>(__atomic_load_n(lock, __ATOMIC_ACQUIRE));
}
void store(PEX_SPIN_LOCK lock, uint32_t value) {
    __atomic_store_n(lock, static_cast<LONG>(value), __ATOMIC_RELEASE);
}

KIRQL acquire_shared(const char *api, PEX_SPIN_LOCK lock) {
    Thread &thread = executing();
    check_initialised(api, lock, load(lock), 0xFFFFFFFFu);
    const HeldLock *held = find_held(thread, lock);
    if (held != nullptr && held->exclusive) {
        bugcheck("V21 spin lock acquired twice", api, address_text(lock) + " is held exclusively by this thread");
    }
    const KIRQL before = raise(thread);
    if ((load(lock) & WRITER) != 0) {
        world().spin_wait(const_cast<const LONG *>(lock), [lock] { return (load(lock) & WRITER) == 0; });
    }
    store(lock, load(lock) + 1);
    remember(thread, lock, false, before);
    return before;
}

KIRQL acquire_exclusive(const char *api, PEX_SPIN_LOCK lock) {
    Thread &thread = executing();
    check_initialised(api, lock, load(lock), 0xFFFFFFFFu);
    if (find_held(thread, lock) != nullptr) {
        bugcheck("V21 spin lock acquired twice", api, address_text(lock) + " is held by this thread");
    }
    const KIRQL before = raise(thread);
    const void *channel = const_cast<const LONG *>(lock);
    if ((load(lock) & WRITER) != 0) {
        world().spin_wait(channel, [lock] { return (load(lock) & WRITER) == 0; });
    }
    store(lock, load(lock) | WRITER);
    if (load(lock) != WRITER) {
        world().spin_wait(channel, [lock] { return load(lock) == WRITER; });
    }
    remember(thread, lock, true, before);
    return before;
}

void release_ex(const char *api, PEX_SPIN_LOCK lock, bool exclusive, KIRQL new_irql) {
    Thread &thread = executing();
    forget(api, thread, lock, exclusive, new_irql);
    const uint32_t value = load(lock);
    if (exclusive ? value != WRITER : (value & ~WRITER) == 0) {
        bugcheck("V21 spin lock overwritten while held", api, address_text(lock));
    }
    store(lock, exclusive ? 0 : value - 1);
    thread.irql = new_irql;
    world().wake(const_cast<const LONG *>(lock));
}

} // namespace

KIRQL acquire_spin_lock(const char *api, PKSPIN_LOCK lock) {
    Thread &thread = executing();
    const auto value = [lock] { return __atomic_load_n(lock, __ATOMIC_ACQUIRE); };
    check_initialised(api, lock, value(), UINT64_MAX);
    if (find_held(thread, lock) != nullptr) {
        bugcheck("V21 spin lock acquired twice", api, address_text(lock) + " is held by this thread");
    }
    const KIRQL before = raise(thread);
    if (value() != 0) {
        world().spin_wait(lock, [value] { return value() == 0; });
    }
    __atomic_store_n(lock, reinterpret_cast<KSPIN_LOCK>(&thread), __ATOMIC_RELEASE);
    remember(thread, lock, true, before);
    return before;
}

void release_spin_lock(const char *api, PKSPIN_LOCK lock, KIRQL new_irql) {
    Thread &thread = executing();
    forget(api, thread, lock, true, new_irql);
    if (__atomic_load_n(lock, __ATOMIC_ACQUIRE) != reinterpret_cast<KSPIN_LOCK>(&thread)) {
        bugcheck("V21 spin lock overwritten while held", api, address_text(lock));
    }
    __atomic_store_n(lock, KSPIN_LOCK{0}, __ATOMIC_RELEASE);
    thread.irql = new_irql;
    world().wake(lock);
}

} // namespace fltsim::ke

using namespace fltsim;

/// Any IRQL.
FLTSIM_KERNEL void NTAPI KeInitializeSpinLock(PKSPIN_LOCK SpinLock) {
    KernelCall call("KeInitializeSpinLock", HIGH_LEVEL);
    __atomic_store_n(SpinLock, KSPIN_LOCK{0}, __ATOMIC_RELEASE);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock) {
    KernelCall call("KeAcquireSpinLockRaiseToDpc", DISPATCH_LEVEL);
    return ke::acquire_spin_lock("KeAcquireSpinLockRaiseToDpc", SpinLock);
}

/// IRQL = DISPATCH_LEVEL. NewIrql must be what the acquisition returned [V21].
FLTSIM_KERNEL void NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql) {
    KernelCall call("KeReleaseSpinLock", DISPATCH_LEVEL);
    ke::release_spin_lock("KeReleaseSpinLock", SpinLock, NewIrql);
}

/// IRQL = DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock) {
    KernelCall call("KeAcquireSpinLockAtDpcLevel", DISPATCH_LEVEL);
    if (executing().irql != DISPATCH_LEVEL) {
        bugcheck("V21 AtDpcLevel spin lock below DISPATCH_LEVEL", "KeAcquireSpinLockAtDpcLevel",
                 "use KeAcquireSpinLock");
    }
    ke::acquire_spin_lock("KeAcquireSpinLockAtDpcLevel", SpinLock);
}

/// IRQL = DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock) {
    KernelCall call("KeReleaseSpinLockFromDpcLevel", DISPATCH_LEVEL);
    ke::release_spin_lock("KeReleaseSpinLockFromDpcLevel", SpinLock, DISPATCH_LEVEL);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
    KernelCall call("KeAcquireInStackQueuedSpinLock", DISPATCH_LEVEL);
    LockHandle->OldIrql = ke::acquire_spin_lock("KeAcquireInStackQueuedSpinLock", SpinLock);
    LockHandle->LockQueue.Next = nullptr;
    LockHandle->LockQueue.Lock = SpinLock;
}

/// IRQL = DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle) {
    KernelCall call("KeReleaseInStackQueuedSpinLock", DISPATCH_LEVEL);
    PKSPIN_LOCK lock = LockHandle->LockQueue.Lock;
    LockHandle->LockQueue.Lock = nullptr;
    ke::release_spin_lock("KeReleaseInStackQueuedSpinLock", lock, LockHandle->OldIrql);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock) {
    KernelCall call("ExAcquireSpinLockShared", DISPATCH_LEVEL);
    return ke::acquire_shared("ExAcquireSpinLockShared", SpinLock);
}

/// IRQL = DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql) {
    KernelCall call("ExReleaseSpinLockShared", DISPATCH_LEVEL);
    ke::release_ex("ExReleaseSpinLockShared", SpinLock, false, OldIrql);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock) {
    KernelCall call("ExAcquireSpinLockExclusive", DISPATCH_LEVEL);
    return ke::acquire_exclusive("ExAcquireSpinLockExclusive", SpinLock);
}

/// IRQL = DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql) {
    KernelCall call("ExReleaseSpinLockExclusive", DISPATCH_LEVEL);
    ke::release_ex("ExReleaseSpinLockExclusive", SpinLock, true, OldIrql);
}
