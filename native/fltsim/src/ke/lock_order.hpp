// SPDX-License-Identifier: MIT
//
// This module provides: the orders in which locks were taken, and the circles in them, as Driver Verifier's deadlock detection looks for (0xC4, 0x1001): a
// circle is found when its last step is taken, by whichever thread and whenever that is, so no deadlock has to come about.
//
//      a thread has A and waits for B              A -> B
//      ... has B and waits for C                   B -> C
//      ... has C and waits for A                   C -> A: each of three threads can have one lock and wait for the next
//
// A circle counts when each of its steps can be under way in a thread of its own: not when two of them are only ever taken with one and the same lock
// held around them (exclusively by one of the two), which keeps these threads apart. Shared owners count as exclusive ones do: a writer that waits
// between two readers holds the second one up. Who only tries, or waits with a timeout, adds no step, but what it gets is held like any other lock.
//
// Invariants: a lock is known by its address until its memory is freed or it is initialised again; nothing here looks into the memory of a lock. Model
// lock held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace fltsim::ke {

enum class LockKind : uint8_t {
    Spin, ///< KSPIN_LOCK by KeAcquireSpinLock and its like
    QueuedSpin, ///< KSPIN_LOCK by KeAcquireInStackQueuedSpinLock
    ListSpin, ///< KSPIN_LOCK of ExInterlockedInsertHeadList and its like
    ReaderWriterSpin, ///< EX_SPIN_LOCK
    FrameworkSpin, ///< WDFSPINLOCK
    FrameworkWait, ///< WDFWAITLOCK
    FastMutex,
    Mutex, ///< KMUTEX
    Resource, ///< ERESOURCE
    PushLock, ///< the Filter Manager's
};

/// A lock that a thread has, or asks for.
struct HeldLock {
    const volatile void *lock = nullptr;
    LockKind kind = LockKind::Spin;
    bool exclusive = true;
    const void *code = nullptr; ///< behind the call that took it, or asks for it
    uint32_t times = 1; ///< of a recursive lock
};

class LockOrder {
  public:
    /// One thread had `locks`, and waited for `wanted`.
    struct Step {
        HeldLock first; ///< the one of `locks` from which this step goes to `wanted`
        HeldLock wanted;
        std::vector<HeldLock> locks;
        std::string thread;
    };

    /// The thread has `locks` and is about to wait for `wanted`. Returns a shortest circle that this closes, its own step first; empty: there is none.
    std::vector<Step> ask(const std::vector<HeldLock> &locks, const HeldLock &wanted, const std::string &thread);
    /// Locks in this memory are no longer the same.
    void forget(const volatile void *begin, size_t bytes);
    /// Pairs of locks of which one was waited for with the other held.
    size_t pairs() const;

  private:
    using Lock = const volatile void *;
    bool reaches(Lock start, Lock goal) const;
    bool close(std::vector<Step> &circle, size_t length, size_t &budget) const;
    std::map<Lock, std::map<Lock, std::vector<Step>>> from_;
    std::map<Lock, std::set<Lock>> into_; ///< from_ the other way round
};

} // namespace fltsim::ke
