// SPDX-License-Identifier: MIT
//
// This module provides: tests of what may not happen to a lock of any kind that is held, and of spin locks that are taken by calls of two kinds [V27].
#include <cstring>
#include <functional>
#include <string>

#include "kernel_thread.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::Body;
using check::contains;
using check::kept;
using check::report_of;
using check::Started;
using check::stopped_on;

namespace {

constexpr ULONG TAG = 0x6b636f4c; // 'Lock'

std::string stop_of(const std::function<void()> &fn) {
    return report_of(check::virtual_world(), [&](World &) { fn(); });
}

bool runs(const std::function<void()> &fn) {
    return contains(stop_of(fn), "\"stopped\":false");
}

} // namespace

TEST(held_locks_are_left_alone) {
    const auto pool_memory = [](size_t bytes) {
        return std::memset(ExAllocatePoolWithTag(NonPagedPoolNx, bytes, TAG), 0, bytes);
    };
    const std::string freed = stop_of([&] {
        auto *locks = static_cast<KSPIN_LOCK *>(pool_memory(2 * sizeof(KSPIN_LOCK)));
        KeAcquireSpinLockRaiseToDpc(&locks[1]);
        ExFreePoolWithTag(locks, TAG);
    });
    CHECK(stopped_on(freed, "V27 lock in memory that is freed"));
    CHECK(contains(freed, " is held by client, taken at "));
    CHECK(stopped_on(stop_of([&] {
                         auto *mutex = static_cast<PFAST_MUTEX>(pool_memory(sizeof(FAST_MUTEX)));
                         ExInitializeFastMutex(mutex);
                         ExAcquireFastMutex(mutex);
                         ExFreePoolWithTag(mutex, TAG);
                     }),
                     "V27 lock in memory that is freed"));
    CHECK(runs([&] {
        auto *lock = static_cast<KSPIN_LOCK *>(pool_memory(sizeof(KSPIN_LOCK)));
        KeReleaseSpinLock(lock, KeAcquireSpinLockRaiseToDpc(lock));
        ExFreePoolWithTag(lock, TAG);
    }));
    for (const auto initialise : {std::function<void()>([] {
                                      auto &lock = kept(KSPIN_LOCK{0});
                                      KeAcquireSpinLockRaiseToDpc(&lock);
                                      KeInitializeSpinLock(&lock);
                                  }),
                                  std::function<void()>([] {
                                      auto &mutex = kept(FAST_MUTEX{});
                                      ExInitializeFastMutex(&mutex);
                                      ExAcquireFastMutex(&mutex);
                                      ExInitializeFastMutex(&mutex);
                                  }),
                                  std::function<void()>([] {
                                      auto &mutex = kept(KMUTEX{});
                                      KeInitializeMutex(&mutex, 0);
                                      KeWaitForSingleObject(&mutex, Executive, KernelMode, FALSE, nullptr);
                                      KeInitializeMutex(&mutex, 0);
                                  }),
                                  std::function<void()>([] {
                                      auto &lock = kept(ULONG_PTR{0});
                                      FltInitializePushLock(&lock);
                                      FltAcquirePushLockShared(&lock);
                                      FltInitializePushLock(&lock);
                                  })}) {
        CHECK(stopped_on(stop_of(initialise), "V27 lock initialised while it is held"));
    }
}

TEST(a_thread_ends_with_a_lock) {
    const std::string report = stop_of([] {
        Body body = [] {
            auto &resource = kept(ERESOURCE{});
            ExInitializeResourceLite(&resource);
            FltAcquireResourceExclusive(&resource);
            KeLeaveCriticalRegion(); // all that a return is asked for
        };
        const Started thread(body);
    });
    CHECK(stopped_on(report, "V27 thread ends with a lock"));
}

TEST(spin_locks_of_one_kind_of_calls) {
    const auto ordinary = [](KSPIN_LOCK &lock) { KeReleaseSpinLock(&lock, KeAcquireSpinLockRaiseToDpc(&lock)); };
    const auto queued = [](KSPIN_LOCK &lock) {
        KLOCK_QUEUE_HANDLE handle;
        KeAcquireInStackQueuedSpinLock(&lock, &handle);
        KeReleaseInStackQueuedSpinLock(&handle);
    };
    const auto list = [](KSPIN_LOCK &lock) {
        LIST_ENTRY head;
        InitializeListHead(&head);
        ExInterlockedRemoveHeadList(&head, &lock);
    };
    const std::function<void(KSPIN_LOCK &)> kinds[] = {ordinary, queued, list};
    for (const auto &one : kinds) {
        for (const auto &other : kinds) {
            const std::string report = stop_of([&] {
                auto &lock = kept(KSPIN_LOCK{0});
                one(lock);
                other(lock);
            });
            CHECK_EQ(stopped_on(report, "V27 spin lock taken by calls of two kinds"), &one != &other);
            CHECK(runs([&] {
                auto &lock = kept(KSPIN_LOCK{0});
                one(lock);
                KeInitializeSpinLock(&lock);
                other(lock);
            }));
        }
    }
    CHECK(stopped_on(stop_of([] {
                         auto &lock = kept(KSPIN_LOCK{0});
                         KLOCK_QUEUE_HANDLE handle;
                         KeAcquireInStackQueuedSpinLock(&lock, &handle);
                         KeReleaseSpinLock(&lock, handle.OldIrql);
                     }),
                     "V27 spin lock released by a call of another kind"));
}

} // namespace MINIPEND_TEST_FILE
