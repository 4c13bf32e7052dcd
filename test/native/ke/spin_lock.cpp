// SPDX-License-Identifier: MIT
//
// This module provides: tests of spin locks [V21].
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::report_of;
using check::stopped_on;

namespace {

struct Counter {
    KSPIN_LOCK lock = 0;
    KSPIN_LOCK queued = 0; ///< guards queued_value
    EX_SPIN_LOCK ex_lock = 0;
    uint64_t value = 0; ///< guarded
    uint64_t queued_value = 0;
    int readers = 0;
    int readers_max = 0;
    bool writer = false;
    int done = 0;
};

/// Adds with a scheduling point in the middle: only a lock that excludes keeps the sum right.
void add_slowly(uint64_t &value) {
    const uint64_t before = value;
    KeGetCurrentProcessorNumberEx(nullptr);
    value = before + 1;
}

void run_threads(World &world, int count, const std::function<void()> &body, Counter &counter) {
    for (int i = 0; i < count; ++i) {
        world.spawn("worker " + std::to_string(i), nullptr, [&] {
            body();
            const KernelCall call("test");
            ++counter.done;
            fltsim::world().wake(&counter);
        });
    }
    const KernelCall call("test");
    world.block(&counter, [&] { return counter.done == count; });
}

std::string stop_of(const std::function<void()> &fn) {
    return report_of(check::virtual_world(), [&](World &) { fn(); });
}

} // namespace

TEST(spin_locks_exclude) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        const std::string report = report_of(check::virtual_world(seed), [](World &world) {
            Counter counter;
            run_threads(
                world, 4,
                [&] {
                    for (int i = 0; i < 50; ++i) {
                        const KIRQL before = KeAcquireSpinLockRaiseToDpc(&counter.lock);
                        CHECK_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
                        add_slowly(counter.value);
                        KeReleaseSpinLock(&counter.lock, before);
                        KLOCK_QUEUE_HANDLE handle;
                        KeAcquireInStackQueuedSpinLock(&counter.queued, &handle);
                        add_slowly(counter.queued_value);
                        KeReleaseInStackQueuedSpinLock(&handle);
                        CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
                    }
                },
                counter);
            CHECK_EQ(counter.value, uint64_t{200});
            CHECK_EQ(counter.queued_value, uint64_t{200});
        });
        CHECK(check::contains(report, "\"stopped\":false"));
    }
}

TEST(readers_share_and_writers_do_not) {
    int readers_seen = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        const std::string report = report_of(check::virtual_world(seed), [&](World &world) {
            Counter counter;
            run_threads(
                world, 4,
                [&] {
                    for (int i = 0; i < 30; ++i) {
                        KIRQL before = ExAcquireSpinLockShared(&counter.ex_lock);
                        ++counter.readers;
                        counter.readers_max = std::max(counter.readers_max, counter.readers);
                        CHECK(!counter.writer);
                        KeGetCurrentProcessorNumberEx(nullptr);
                        --counter.readers;
                        ExReleaseSpinLockShared(&counter.ex_lock, before);
                        before = ExAcquireSpinLockExclusive(&counter.ex_lock);
                        CHECK(!counter.writer);
                        CHECK_EQ(counter.readers, 0);
                        counter.writer = true;
                        add_slowly(counter.value);
                        counter.writer = false;
                        ExReleaseSpinLockExclusive(&counter.ex_lock, before);
                    }
                },
                counter);
            CHECK_EQ(counter.value, uint64_t{120});
            CHECK_EQ(static_cast<LONG>(counter.ex_lock), 0);
            readers_seen = std::max(readers_seen, counter.readers_max);
        });
        CHECK(check::contains(report, "\"stopped\":false"));
    }
    CHECK(readers_seen >= 2);
}

TEST(misused_spin_locks_stop_the_world) {
    CHECK(stopped_on(stop_of([] {
                         KSPIN_LOCK lock = 0;
                         KeAcquireSpinLockRaiseToDpc(&lock);
                         KeAcquireSpinLockRaiseToDpc(&lock);
                     }),
                     "V21 spin lock acquired twice"));
    CHECK(stopped_on(stop_of([] {
                         KSPIN_LOCK lock = 0;
                         KeReleaseSpinLock(&lock, PASSIVE_LEVEL);
                     }),
                     "V21 spin lock released by a thread that does not own it"));
    CHECK(stopped_on(stop_of([] {
                         KSPIN_LOCK lock = 0;
                         KeAcquireSpinLockRaiseToDpc(&lock);
                         KeReleaseSpinLock(&lock, APC_LEVEL);
                     }),
                     "V21 spin lock released at a different IRQL"));
    CHECK(stopped_on(stop_of([] {
                         KSPIN_LOCK one = 0;
                         KSPIN_LOCK two = 0;
                         const KIRQL before = KeAcquireSpinLockRaiseToDpc(&one);
                         KeAcquireSpinLockRaiseToDpc(&two);
                         KeReleaseSpinLock(&two, before);
                     }),
                     "V21 IRQL lowered with a spin lock held"));
    CHECK(stopped_on(stop_of([] {
                         EX_SPIN_LOCK lock = 0;
                         ExAcquireSpinLockShared(&lock);
                         ExReleaseSpinLockExclusive(&lock, PASSIVE_LEVEL);
                     }),
                     "V21 spin lock released by a thread that does not own it"));
    CHECK(stopped_on(stop_of([] {
                         KSPIN_LOCK lock = static_cast<KSPIN_LOCK>(0xCCCCCCCCCCCCCCCCu);
                         KeAcquireSpinLockRaiseToDpc(&lock);
                     }),
                     "V21 spin lock never initialised"));
}

} // namespace MINIPEND_TEST_FILE
