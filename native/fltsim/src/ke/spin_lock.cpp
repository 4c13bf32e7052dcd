// SPDX-License-Identifier: MIT
#include "ke/spin_lock.hpp"

#include "ke/pool.hpp"
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

/// At its first use: an EX_SPIN_LOCK is not initialised by a call.
void check_storage(const char *api, const HeldLock &lock) {
    if (!world_state().locks.contains(lock.lock)) {
        pool::check_resident(api, lock.lock, "a spin lock");
    }
}

/// Memory that holds the pool's fill or poison is no lock.
void check_initialised(const char *api, const HeldLock &lock, uint64_t value, uint64_t byte_mask) {
    if (value == (0xCCCCCCCCCCCCCCCCu & byte_mask)) {
        bugcheck("V21 spin lock never initialised", api, lock_text(lock));
    }
    if (value == (0xDDDDDDDDDDDDDDDDu & byte_mask)) {
        bugcheck("V21 spin lock in freed memory", api, lock_text(lock));
    }
}

KIRQL raise(Thread &thread) {
    const KIRQL before = thread.irql;
    thread.irql = DISPATCH_LEVEL;
    return before;
}

/// `word`: the lock in memory, which the thread has taken.
void remember(const char *api, Thread &thread, const volatile void *word, const HeldLock &lock, KIRQL before) {
    if (thread.spin_locks_held++ == 0) {
        thread_state(thread).irql_below_locks = before;
    }
    lock_taken(api, thread, lock);
    ORDER_ACQUIRE(word);
}

/// Everything that release has to check and undo for the thread, before the lock word changes.
void forget(const char *api, Thread &thread, const volatile void *word, const HeldLock &lock, KIRQL new_irql) {
    const HeldLock *held = held_lock(lock.lock);
    if (held == nullptr || held->exclusive != lock.exclusive) {
        bugcheck("V21 spin lock released by a thread that does not own it", api, lock_text(lock));
    }
    if (held->kind != lock.kind) {
        bugcheck("V27 spin lock released by a call of another kind", api, "it was taken as a " + lock_text(*held));
    }
    if (thread.irql != DISPATCH_LEVEL) {
        bugcheck("V21 spin lock released below DISPATCH_LEVEL", api,
                 lock_text(lock) + ", IRQL " + std::to_string(thread.irql));
    }
    if (thread.spin_locks_held > 1 && new_irql != DISPATCH_LEVEL) {
        bugcheck("V21 IRQL lowered with a spin lock held", api,
                 lock_text(lock) + " released to IRQL " + std::to_string(new_irql));
    }
    const KIRQL before = thread_state(thread).irql_below_locks;
    if (thread.spin_locks_held == 1 && new_irql != before) {
        bugcheck("V21 spin lock released at a different IRQL", api,
                 lock_text(lock) + " was taken at IRQL " + std::to_string(before) + " and released to " +
                     std::to_string(new_irql));
    }
    lock_released(thread, lock.lock);
    --thread.spin_locks_held;
    ORDER_RELEASE(word);
}

uint32_t load(PEX_SPIN_LOCK lock) {
    return static_cast<uint32_t>(__atomic_load_n(lock, __ATOMIC_ACQUIRE));
}
void store(PEX_SPIN_LOCK lock, uint32_t value) {
    __atomic_store_n(lock, static_cast<LONG>(value), __ATOMIC_RELEASE);
}

KIRQL acquire_shared(const char *api, PEX_SPIN_LOCK lock, const void *code) {
    Thread &thread = executing();
    const HeldLock wanted{lock, LockKind::ReaderWriterSpin, false, code};
    check_initialised(api, wanted, load(lock), 0xFFFFFFFFu);
    check_storage(api, wanted);
    const HeldLock *held = held_lock(lock);
    if (held != nullptr && held->exclusive) {
        bugcheck("V21 spin lock acquired twice", api, lock_text(*held) + " is held exclusively by this thread");
    }
    ask_for_lock(api, wanted);
    const KIRQL before = raise(thread);
    if ((load(lock) & WRITER) != 0) {
        world().spin_wait(const_cast<const LONG *>(lock), [lock] { return (load(lock) & WRITER) == 0; });
    }
    store(lock, load(lock) + 1);
    remember(api, thread, lock, wanted, before);
    return before;
}

KIRQL acquire_exclusive(const char *api, PEX_SPIN_LOCK lock, const void *code) {
    Thread &thread = executing();
    const HeldLock wanted{lock, LockKind::ReaderWriterSpin, true, code};
    check_initialised(api, wanted, load(lock), 0xFFFFFFFFu);
    check_storage(api, wanted);
    if (held_lock(lock) != nullptr) {
        bugcheck("V21 spin lock acquired twice", api, lock_text(wanted) + " is held by this thread");
    }
    ask_for_lock(api, wanted);
    const KIRQL before = raise(thread);
    const void *channel = const_cast<const LONG *>(lock);
    if ((load(lock) & WRITER) != 0) {
        world().spin_wait(channel, [lock] { return (load(lock) & WRITER) == 0; });
    }
    store(lock, load(lock) | WRITER);
    if (load(lock) != WRITER) {
        world().spin_wait(channel, [lock] { return load(lock) == WRITER; });
    }
    remember(api, thread, lock, wanted, before);
    return before;
}

void release_ex(const char *api, PEX_SPIN_LOCK lock, bool exclusive, KIRQL new_irql) {
    Thread &thread = executing();
    const HeldLock given{lock, LockKind::ReaderWriterSpin, exclusive};
    forget(api, thread, lock, given, new_irql);
    const uint32_t value = load(lock);
    if (exclusive ? value != WRITER : (value & ~WRITER) == 0) {
        bugcheck("V21 spin lock overwritten while held", api, lock_text(given));
    }
    store(lock, exclusive ? 0 : value - 1);
    thread.irql = new_irql;
    world().wake(const_cast<const LONG *>(lock));
}

} // namespace

KIRQL acquire_spin_lock(const char *api, PKSPIN_LOCK lock, const HeldLock &wanted) {
    Thread &thread = executing();
    const auto value = [lock] { return __atomic_load_n(lock, __ATOMIC_ACQUIRE); };
    check_initialised(api, wanted, value(), UINT64_MAX);
    check_storage(api, wanted);
    if (held_lock(wanted.lock) != nullptr) {
        bugcheck("V21 spin lock acquired twice", api, lock_text(wanted) + " is held by this thread");
    }
    ask_for_lock(api, wanted);
    const KIRQL before = raise(thread);
    if (value() != 0) {
        world().spin_wait(lock, [value] { return value() == 0; });
    }
    __atomic_store_n(lock, reinterpret_cast<KSPIN_LOCK>(&thread), __ATOMIC_RELEASE);
    remember(api, thread, lock, wanted, before);
    return before;
}

void release_spin_lock(const char *api, PKSPIN_LOCK lock, const HeldLock &given, KIRQL new_irql) {
    Thread &thread = executing();
    forget(api, thread, lock, given, new_irql);
    if (__atomic_load_n(lock, __ATOMIC_ACQUIRE) != reinterpret_cast<KSPIN_LOCK>(&thread)) {
        bugcheck("V21 spin lock overwritten while held", api, lock_text(given));
    }
    __atomic_store_n(lock, KSPIN_LOCK{0}, __ATOMIC_RELEASE);
    thread.irql = new_irql;
    world().wake(lock);
}

} // namespace fltsim::ke

using namespace fltsim;
using ke::LockKind;

/// Any IRQL.
FLTSIM_KERNEL void NTAPI KeInitializeSpinLock(PKSPIN_LOCK SpinLock) {
    KernelCall call("KeInitializeSpinLock", HIGH_LEVEL);
    pool::check_resident("KeInitializeSpinLock", SpinLock, "a spin lock");
    ke::lock_initialised("KeInitializeSpinLock", SpinLock, sizeof *SpinLock);
    __atomic_store_n(SpinLock, KSPIN_LOCK{0}, __ATOMIC_RELEASE);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock) {
    KernelCall call("KeAcquireSpinLockRaiseToDpc", DISPATCH_LEVEL);
    return ke::acquire_spin_lock("KeAcquireSpinLockRaiseToDpc", SpinLock,
                                 {SpinLock, LockKind::Spin, true, FLTSIM_CALLER});
}

/// IRQL = DISPATCH_LEVEL. NewIrql must be what the acquisition returned [V21].
FLTSIM_KERNEL void NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql) {
    KernelCall call("KeReleaseSpinLock", DISPATCH_LEVEL);
    ke::release_spin_lock("KeReleaseSpinLock", SpinLock, {SpinLock, LockKind::Spin}, NewIrql);
}

/// IRQL = DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock) {
    KernelCall call("KeAcquireSpinLockAtDpcLevel", DISPATCH_LEVEL);
    if (executing().irql != DISPATCH_LEVEL) {
        bugcheck("V21 AtDpcLevel spin lock below DISPATCH_LEVEL", "KeAcquireSpinLockAtDpcLevel",
                 "use KeAcquireSpinLock");
    }
    ke::acquire_spin_lock("KeAcquireSpinLockAtDpcLevel", SpinLock, {SpinLock, LockKind::Spin, true, FLTSIM_CALLER});
}

/// IRQL = DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock) {
    KernelCall call("KeReleaseSpinLockFromDpcLevel", DISPATCH_LEVEL);
    ke::release_spin_lock("KeReleaseSpinLockFromDpcLevel", SpinLock, {SpinLock, LockKind::Spin}, DISPATCH_LEVEL);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
    KernelCall call("KeAcquireInStackQueuedSpinLock", DISPATCH_LEVEL);
    LockHandle->OldIrql = ke::acquire_spin_lock("KeAcquireInStackQueuedSpinLock", SpinLock,
                                                {SpinLock, LockKind::QueuedSpin, true, FLTSIM_CALLER});
    LockHandle->LockQueue.Next = nullptr;
    LockHandle->LockQueue.Lock = SpinLock;
}

/// IRQL = DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle) {
    KernelCall call("KeReleaseInStackQueuedSpinLock", DISPATCH_LEVEL);
    PKSPIN_LOCK lock = LockHandle->LockQueue.Lock;
    LockHandle->LockQueue.Lock = nullptr;
    ke::release_spin_lock("KeReleaseInStackQueuedSpinLock", lock, {lock, LockKind::QueuedSpin}, LockHandle->OldIrql);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock) {
    KernelCall call("ExAcquireSpinLockShared", DISPATCH_LEVEL);
    return ke::acquire_shared("ExAcquireSpinLockShared", SpinLock, FLTSIM_CALLER);
}

/// IRQL = DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql) {
    KernelCall call("ExReleaseSpinLockShared", DISPATCH_LEVEL);
    ke::release_ex("ExReleaseSpinLockShared", SpinLock, false, OldIrql);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock) {
    KernelCall call("ExAcquireSpinLockExclusive", DISPATCH_LEVEL);
    return ke::acquire_exclusive("ExAcquireSpinLockExclusive", SpinLock, FLTSIM_CALLER);
}

/// IRQL = DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql) {
    KernelCall call("ExReleaseSpinLockExclusive", DISPATCH_LEVEL);
    ke::release_ex("ExReleaseSpinLockExclusive", SpinLock, true, OldIrql);
}
