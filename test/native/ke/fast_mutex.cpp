// SPDX-License-Identifier: MIT
//
// This module provides: tests of fast mutexes and of the interlocked calls on lists.
#include <string>
#include <utility>

#include "kernel_thread.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::kept;
using check::report_of;
using check::stopped_on;

namespace {

FAST_MUTEX &new_mutex() {
    auto &mutex = kept(FAST_MUTEX{});
    ExInitializeFastMutex(&mutex);
    return mutex;
}

bool stops(const std::string &rule, const std::function<void(FAST_MUTEX &)> &fn) {
    return stopped_on(report_of(check::virtual_world(), [&](World &) { fn(new_mutex()); }), rule);
}

} // namespace

TEST(fast_mutex_raises_its_owner) {
    const std::string report = report_of(check::virtual_world(), [](World &) {
        FAST_MUTEX &mutex = new_mutex();
        ExAcquireFastMutex(&mutex);
        CHECK_EQ(KeGetCurrentIrql(), APC_LEVEL);
        CHECK(mutex.Owner == KeGetCurrentThread());
        CHECK(ExTryToAcquireFastMutex(&mutex) == FALSE);
        FAST_MUTEX &inner = new_mutex();
        CHECK(ExTryToAcquireFastMutex(&inner) != FALSE);
        ExReleaseFastMutex(&inner);
        CHECK_EQ(KeGetCurrentIrql(), APC_LEVEL); // where it was
        ExReleaseFastMutex(&mutex);
        CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
        CHECK(mutex.Owner == nullptr);
        KeEnterCriticalRegion();
        ExAcquireFastMutexUnsafe(&mutex);
        CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
        ExReleaseFastMutexUnsafe(&mutex);
        KeLeaveCriticalRegion();
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(fast_mutex_is_one_threads) {
    for (uint64_t seed = 1; seed <= 30; ++seed) {
        int most = 0;
        uint32_t contention = 0;
        const std::string report = report_of(check::virtual_world(seed), [&](World &world) {
            FAST_MUTEX &mutex = new_mutex();
            int inside = 0;
            int running = 3;
            for (int thread = 0; thread < 3; ++thread) {
                KernelCall call("test");
                world.spawn("owner", nullptr, [&] {
                    for (int i = 0; i < 5; ++i) {
                        ExAcquireFastMutex(&mutex);
                        most = std::max(most, ++inside);
                        KeGetCurrentIrql(); // a scheduling point
                        --inside;
                        ExReleaseFastMutex(&mutex);
                    }
                    KernelCall end("test");
                    --running;
                    world.wake(&running);
                });
            }
            KernelCall call("test");
            world.block(&running, [&] { return running == 0; });
            contention += mutex.Contention;
        });
        CHECK(check::contains(report, "\"stopped\":false"));
        CHECK_EQ(most, 1);
        CHECK(seed < 30 || contention != 0);
    }
}

TEST(fast_mutex_mistakes) {
    CHECK(stops("FAST MUTEX not initialised", [](FAST_MUTEX &mutex) {
        mutex = FAST_MUTEX{};
        ExAcquireFastMutex(&mutex);
    }));
    CHECK(stops("FAST MUTEX acquired twice", [](FAST_MUTEX &mutex) {
        ExAcquireFastMutex(&mutex);
        ExAcquireFastMutex(&mutex);
    }));
    CHECK(stops("FAST MUTEX released by a thread that does not own it", [](FAST_MUTEX &mutex) {
        IrqlScope apc(APC_LEVEL);
        ExReleaseFastMutex(&mutex);
    }));
    CHECK(stops("V5 IRQL changed with a fast mutex", [](FAST_MUTEX &mutex) {
        ExAcquireFastMutex(&mutex);
        IrqlScope passive(PASSIVE_LEVEL);
        ExReleaseFastMutex(&mutex);
    }));
    CHECK(stops("FAST MUTEX acquired with APCs enabled", [](FAST_MUTEX &mutex) { ExAcquireFastMutexUnsafe(&mutex); }));
    CHECK(stops("FAST MUTEX released with APCs enabled", [](FAST_MUTEX &mutex) {
        KeEnterCriticalRegion();
        ExAcquireFastMutexUnsafe(&mutex);
        KeLeaveCriticalRegion();
        ExReleaseFastMutexUnsafe(&mutex);
    }));
    CHECK(stops("V5 IRQL too high", [](FAST_MUTEX &mutex) {
        IrqlScope dispatch(DISPATCH_LEVEL);
        ExAcquireFastMutex(&mutex);
    }));
}

TEST(interlocked_list_calls) {
    const std::string report = report_of(check::virtual_world(), [](World &) {
        KSPIN_LOCK lock;
        KeInitializeSpinLock(&lock);
        LIST_ENTRY head;
        InitializeListHead(&head);
        LIST_ENTRY entries[3];
        CHECK(ExInterlockedRemoveHeadList(&head, &lock) == nullptr);
        CHECK(ExInterlockedInsertTailList(&head, &entries[0], &lock) == nullptr);
        CHECK(ExInterlockedInsertTailList(&head, &entries[1], &lock) == &entries[0]);
        CHECK(ExInterlockedInsertHeadList(&head, &entries[2], &lock) == &entries[0]);
        CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
        for (const int i : {2, 0, 1}) {
            CHECK(ExInterlockedRemoveHeadList(&head, &lock) == &entries[i]);
        }
        CHECK(IsListEmpty(&head));
        CHECK(ExInterlockedInsertHeadList(&head, &entries[0], &lock) == nullptr);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

namespace {

ULONG_PTR &new_push_lock() {
    auto &lock = kept(ULONG_PTR{0x5555});
    FltInitializePushLock(&lock);
    return lock;
}

bool push_lock_stops(const std::string &rule, const std::function<void(ULONG_PTR &)> &fn) {
    return stopped_on(report_of(check::virtual_world(), [&](World &) { fn(new_push_lock()); }), rule);
}

} // namespace

TEST(push_locks_have_readers_or_one_writer) {
    int together = 0;
    for (uint64_t seed = 1; seed <= 30; ++seed) {
        const std::string report = report_of(check::virtual_world(seed), [&](World &world) {
            ULONG_PTR &lock = new_push_lock();
            int readers = 0;
            int writers = 0;
            int running = 4;
            for (int thread = 0; thread < 4; ++thread) {
                KernelCall call("test");
                world.spawn("owner", nullptr, [&, writes = thread == 0] {
                    for (int i = 0; i < 5; ++i) {
                        if (writes) {
                            FltAcquirePushLockExclusiveEx(&lock, 0);
                        } else {
                            FltAcquirePushLockShared(&lock);
                        }
                        CHECK(KeAreAllApcsDisabled() == FALSE && executing().kernel_apc_disable == 1);
                        (writes ? writers : readers) += 1;
                        CHECK(writers == 0 || (writers == 1 && readers == 0));
                        together = std::max(together, readers);
                        KeGetCurrentIrql(); // a scheduling point
                        (writes ? writers : readers) -= 1;
                        FltReleasePushLock(&lock);
                        CHECK_EQ(executing().kernel_apc_disable, 0u);
                    }
                    KernelCall end("test");
                    --running;
                    world.wake(&running);
                });
            }
            {
                KernelCall call("test");
                world.block(&running, [&] { return running == 0; });
            }
            FltDeletePushLock(&lock);
        });
        CHECK(check::contains(report, "\"stopped\":false"));
    }
    CHECK(together > 1);
}

TEST(readers_of_a_push_lock_let_a_writer_go_first) {
    std::string order;
    const std::string report = report_of(check::virtual_world(), [&](World &) {
        ULONG_PTR &lock = new_push_lock();
        check::Body write = [&] {
            FltAcquirePushLockExclusiveEx(&lock, FLT_PUSH_LOCK_DISABLE_AUTO_BOOST);
            order += "w";
            FltReleasePushLockEx(&lock, FLT_PUSH_LOCK_DISABLE_AUTO_BOOST);
        };
        check::Body read = [&] {
            FltAcquirePushLockSharedEx(&lock, FLT_PUSH_LOCK_ENABLE_AUTO_BOOST);
            order += "r";
            FltReleasePushLock(&lock);
        };
        FltAcquirePushLockShared(&lock);
        const check::Started writer(write);
        check::sleep_ms(1);
        const check::Started reader(read);
        check::sleep_ms(1);
        FltAcquirePushLockShared(&lock); // this thread's already
        order += "again ";
        FltReleasePushLock(&lock);
        check::sleep_ms(1);
        FltReleasePushLock(&lock);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
    CHECK_EQ(order, "again wr");
}

TEST(push_lock_mistakes) {
    CHECK(push_lock_stops("PUSH LOCK not initialised", [](ULONG_PTR &lock) {
        lock = 0xDDDDDDDDDDDDDDDD;
        FltAcquirePushLockShared(&lock);
    }));
    CHECK(push_lock_stops("PUSH LOCK released, but not acquired", [](ULONG_PTR &lock) { FltReleasePushLock(&lock); }));
    CHECK(push_lock_stops("PUSH LOCK deleted while it is owned", [](ULONG_PTR &lock) {
        FltAcquirePushLockSharedEx(&lock, 0);
        FltDeletePushLock(&lock);
    }));
    for (const auto acquire : {FltAcquirePushLockExclusive, FltAcquirePushLockShared}) {
        CHECK(push_lock_stops("PUSH LOCK acquired twice", [=](ULONG_PTR &lock) {
            FltAcquirePushLockExclusive(&lock);
            acquire(&lock);
        }));
    }
    CHECK(push_lock_stops("PUSH LOCK acquired twice", [](ULONG_PTR &lock) {
        FltAcquirePushLockShared(&lock);
        FltAcquirePushLockExclusive(&lock);
    }));
    CHECK(push_lock_stops("PUSH LOCK released by a thread that does not own it", [](ULONG_PTR &lock) {
        FltAcquirePushLockShared(&lock);
        check::Body release = [&] {
            KeEnterCriticalRegion();
            FltReleasePushLock(&lock);
        };
        const check::Started other(release);
    }));
    CHECK(push_lock_stops("UNMODELLED", [](ULONG_PTR &lock) { FltAcquirePushLockSharedEx(&lock, 4); }));
    CHECK(push_lock_stops("UNMODELLED", [](ULONG_PTR &lock) {
        FltAcquirePushLockExclusive(&lock);
        FltReleasePushLockEx(&lock, 4);
    }));
    CHECK(push_lock_stops("V5 IRQL too high", [](ULONG_PTR &lock) {
        IrqlScope dispatch(DISPATCH_LEVEL);
        FltAcquirePushLockExclusive(&lock);
    }));
}

} // namespace MINIPEND_TEST_FILE
