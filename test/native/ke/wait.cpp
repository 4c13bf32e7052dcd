// SPDX-License-Identifier: MIT
//
// This module provides: tests of mutexes and of waiting for several objects.
#include <functional>
#include <string>
#include <vector>

#include "kernel_thread.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;
using check::Body;
using check::relative_ms;
using check::report_of;
using check::sleep_ms;
using check::Started;
using check::stopped_on;

namespace {

bool goes_well(const std::function<void()> &fn, uint64_t seed = 1) {
    return check::contains(report_of(check::virtual_world(seed), [&](World &) { fn(); }), "\"stopped\":false");
}

std::string stops(const std::function<void()> &fn) {
    return report_of(check::virtual_world(), [&](World &) { fn(); });
}

NTSTATUS wait(PVOID object, LONGLONG ms) {
    LARGE_INTEGER timeout = relative_ms(ms);
    return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, &timeout);
}

NTSTATUS wait_for(std::vector<PVOID> objects, WAIT_TYPE type, LONGLONG ms) {
    LARGE_INTEGER timeout = relative_ms(ms);
    KWAIT_BLOCK blocks[MAXIMUM_WAIT_OBJECTS];
    return KeWaitForMultipleObjects(static_cast<ULONG>(objects.size()), objects.data(), type, Executive, KernelMode,
                                    FALSE, &timeout, blocks);
}

struct Objects {
    Objects() {
        KeInitializeEvent(&event, SynchronizationEvent, FALSE);
        KeInitializeEvent(&notification, NotificationEvent, FALSE);
        KeInitializeSemaphore(&semaphore, 0, 10);
        KeInitializeMutex(&mutex, 0);
        KeInitializeTimer(&timer);
    }
    KEVENT event{};
    KEVENT notification{};
    KSEMAPHORE semaphore{};
    KMUTEX mutex{};
    KTIMER timer{};
};

struct Ticks {
    KDPC dpc{};
    KTIMER timer{};
    KEVENT stop{};
    KMUTEX mutex{};
    volatile LONG dpcs = 0;
    int rounds = 0; ///< under the mutex
    int woken = 0;
};

void NTAPI count_dpc(PKDPC, PVOID context, PVOID, PVOID) {
    InterlockedIncrement(&static_cast<Ticks *>(context)->dpcs);
}

} // namespace

TEST(a_mutex_is_its_owner_s_as_often_as_acquired) {
    CHECK(goes_well([] {
        Objects o;
        const uint32_t before = executing().kernel_apc_disable;
        CHECK_EQ(KeReadStateMutex(&o.mutex), 1);
        CHECK_EQ(wait(&o.mutex, 0), STATUS_SUCCESS);
        CHECK_EQ(wait(&o.mutex, 1), STATUS_SUCCESS);
        CHECK_EQ(KeReadStateMutex(&o.mutex), -1);
        CHECK_EQ(executing().kernel_apc_disable, before + 1);
        NTSTATUS other = STATUS_SUCCESS;
        Body body = [&] { other = wait(&o.mutex, 10); };
        {
            const Started thread(body);
        }
        CHECK_EQ(other, STATUS_TIMEOUT);
        CHECK_EQ(KeReleaseMutex(&o.mutex, FALSE), -1);
        CHECK_EQ(executing().kernel_apc_disable, before + 1);
        CHECK_EQ(KeReleaseMutex(&o.mutex, FALSE), 0);
        CHECK_EQ(executing().kernel_apc_disable, before);
        CHECK_EQ(KeReadStateMutex(&o.mutex), 1);
    }));
}

TEST(a_mutex_has_one_owner_at_a_time) {
    for (uint64_t seed = 1; seed <= 30; ++seed) {
        CHECK(goes_well(
            [] {
                Objects o;
                int inside = 0;
                int passed = 0;
                Body body = [&] {
                    for (int i = 0; i < 5; ++i) {
                        CHECK_EQ(wait(&o.mutex, 10'000), STATUS_SUCCESS);
                        CHECK_EQ(++inside, 1);
                        sleep_ms(1);
                        --inside;
                        ++passed;
                        CHECK_EQ(KeReleaseMutex(&o.mutex, FALSE), 0);
                    }
                };
                {
                    const Started one(body);
                    const Started two(body);
                    const Started three(body);
                }
                CHECK_EQ(passed, 15);
            },
            seed));
    }
}

TEST(any_of_several_objects) {
    CHECK(goes_well([] {
        Objects o;
        CHECK_EQ(wait_for({&o.event, &o.semaphore}, WaitAny, 5), STATUS_TIMEOUT);
        KeReleaseSemaphore(&o.semaphore, 0, 2, FALSE);
        KeSetEvent(&o.event, 0, FALSE);
        // The first in the array, and only that one is taken.
        CHECK_EQ(wait_for({&o.notification, &o.semaphore, &o.event}, WaitAny, 5), STATUS_WAIT_1);
        CHECK_EQ(KeReadStateSemaphore(&o.semaphore), 1);
        CHECK_EQ(KeReadStateEvent(&o.event), 1);
        CHECK_EQ(wait_for({&o.mutex, &o.event}, WaitAny, 5), STATUS_WAIT_0);
        CHECK_EQ(wait_for({&o.mutex, &o.event}, WaitAny, 5), STATUS_WAIT_0); // recursive
        KeReleaseMutex(&o.mutex, FALSE);
        KeReleaseMutex(&o.mutex, FALSE);

        KeClearEvent(&o.event);
        CHECK_EQ(wait(&o.semaphore, 0), STATUS_SUCCESS);
        NTSTATUS status = STATUS_PENDING;
        Body body = [&] { status = wait_for({&o.event, &o.timer, &o.notification}, WaitAny, 1000); };
        {
            const Started thread(body);
            KeSetTimer(&o.timer, relative_ms(10), nullptr);
        }
        CHECK_EQ(status, STATUS_WAIT_1);
        // It left the other objects' waiters: this one is for the next.
        KeSetEvent(&o.event, 0, FALSE);
        CHECK_EQ(wait(&o.event, 0), STATUS_SUCCESS);
    }));
}

TEST(all_of_several_objects_or_none) {
    for (uint64_t seed = 1; seed <= 30; ++seed) {
        CHECK(goes_well(
            [] {
                Objects o;
                KeSetEvent(&o.event, 0, FALSE);
                CHECK_EQ(wait_for({&o.event, &o.semaphore}, WaitAll, 5), STATUS_TIMEOUT);
                CHECK_EQ(KeReadStateEvent(&o.event), 1); // not taken

                NTSTATUS status = STATUS_PENDING;
                Body body = [&] { status = wait_for({&o.event, &o.semaphore, &o.mutex}, WaitAll, 1000); };
                Body taker = [&] {
                    CHECK_EQ(wait(&o.event, 1000), STATUS_SUCCESS); // a wait for all has not taken it
                    sleep_ms(20);
                    KeSetEvent(&o.event, 0, FALSE);
                };
                Body release = [&] {
                    if (status == STATUS_SUCCESS) {
                        KeReleaseMutex(&o.mutex, FALSE);
                    }
                };
                Body waits_and_releases = [&] {
                    body();
                    release();
                };
                {
                    const Started waits(waits_and_releases);
                    const Started takes(taker);
                    sleep_ms(5);
                    KeReleaseSemaphore(&o.semaphore, 0, 1, FALSE);
                }
                CHECK_EQ(status, STATUS_SUCCESS);
                CHECK_EQ(KeReadStateEvent(&o.event), 0);
                CHECK_EQ(KeReadStateSemaphore(&o.semaphore), 0);
                CHECK_EQ(KeReadStateMutex(&o.mutex), 1);
            },
            seed));
    }
}

TEST(threads_among_several_objects) {
    CHECK(goes_well([] {
        Objects o;
        Body ten = [] { sleep_ms(10); };
        Body thirty = [] { sleep_ms(30); };
        const Started first(thirty);
        const Started second(ten);
        CHECK_EQ(wait_for({first.object(), second.object()}, WaitAll, 20), STATUS_TIMEOUT);
        CHECK_EQ(wait_for({&o.event, second.object()}, WaitAny, 1000), STATUS_WAIT_1);
        Body sets = [&] {
            sleep_ms(50);
            KeSetEvent(&o.event, 0, FALSE);
        };
        const Started setter(sets);
        CHECK_EQ(wait_for({first.object(), &o.event, second.object()}, WaitAll, 1000), STATUS_SUCCESS);
        CHECK_EQ(KeReadStateEvent(&o.event), 0);
        CHECK_EQ(wait_for({&o.event, setter.object()}, WaitAny, 1000), STATUS_WAIT_1);
    }));
}

/// Real threads: what the seeds cannot show, a sanitizer may.
TEST(mutexes_timers_and_dpcs_on_real_threads) {
    Ticks ticks;
    const std::string report = report_of(check::wall_world(true), [&](World &) {
        KeInitializeDpc(&ticks.dpc, count_dpc, &ticks);
        KeInitializeTimerEx(&ticks.timer, SynchronizationTimer);
        KeInitializeEvent(&ticks.stop, NotificationEvent, FALSE);
        KeInitializeMutex(&ticks.mutex, 0);
        Body rounds = [&] {
            for (int round = 0; round < 50; ++round) {
                CHECK_EQ(KeWaitForMutexObject(&ticks.mutex, Executive, KernelMode, FALSE, nullptr), STATUS_SUCCESS);
                ++ticks.rounds;
                KeInsertQueueDpc(&ticks.dpc, nullptr, nullptr);
                KeReleaseMutex(&ticks.mutex, FALSE);
            }
        };
        Body counts = [&] {
            PVOID objects[] = {&ticks.stop, &ticks.timer};
            while (KeWaitForMultipleObjects(2, objects, WaitAny, Executive, KernelMode, FALSE, nullptr, nullptr) ==
                   STATUS_WAIT_1) {
                ++ticks.woken;
            }
        };
        {
            const Started counter(counts);
            KeSetTimerEx(&ticks.timer, relative_ms(1), 1, &ticks.dpc);
            {
                const Started one(rounds);
                const Started two(rounds);
                const Started three(rounds);
            }
            while (InterlockedCompareExchange(&ticks.dpcs, 0, 0) < 5) {
                sleep_ms(1);
            }
            KeCancelTimer(&ticks.timer);
            KeSetEvent(&ticks.stop, 0, FALSE);
        }
        KeFlushQueuedDpcs();
        const LONG after = InterlockedCompareExchange(&ticks.dpcs, 0, 0);
        sleep_ms(5);
        CHECK_EQ(InterlockedCompareExchange(&ticks.dpcs, 0, 0), after);
        CHECK_EQ(ticks.rounds, 150);
    });
    CHECK(check::contains(report, "\"stopped\":false"));
}

TEST(misused_mutexes_and_waits_stop_the_world) {
    CHECK(stopped_on(stops([] {
                         Objects o;
                         KeReleaseMutex(&o.mutex, FALSE);
                     }),
                     "STATUS_MUTANT_NOT_OWNED"));
    CHECK(stopped_on(stops([] {
                         Objects o;
                         Body body = [&] { wait(&o.mutex, 0); };
                         const Started thread(body); // ends with it
                     }),
                     "V15"));
    CHECK(stopped_on(stops([] {
                         Objects o;
                         KeReleaseMutex(reinterpret_cast<PRKMUTEX>(&o.event), FALSE);
                     }),
                     "WAIT object has another type"));
    CHECK(stopped_on(stops([] {
                         Objects o;
                         PVOID four[] = {&o.event, &o.semaphore, &o.timer, &o.notification};
                         KeWaitForMultipleObjects(4, four, WaitAny, Executive, KernelMode, FALSE, nullptr, nullptr);
                     }),
                     "MAXIMUM_WAIT_OBJECTS_EXCEEDED"));
    CHECK(stopped_on(stops([] {
                         Objects o;
                         const IrqlScope dispatch(DISPATCH_LEVEL);
                         wait_for({&o.event, &o.semaphore}, WaitAny, 5);
                     }),
                     "V5"));
    CHECK(stopped_on(stops([] {
                         KEVENT event;
                         KeInitializeEvent(&event, NotificationEvent, TRUE);
                         KeWaitForSingleObject(&event, UserRequest, UserMode, FALSE, nullptr);
                     }),
                     "WAIT in user mode for an object on the stack"));
    CHECK(goes_well([] {
        auto &event = check::kept(KEVENT{});
        KeInitializeEvent(&event, NotificationEvent, TRUE);
        CHECK_EQ(KeWaitForSingleObject(&event, UserRequest, UserMode, FALSE, nullptr), STATUS_SUCCESS);
    }));
    CHECK(stopped_on(stops([] {
                         Body body = [] { sleep_ms(10); };
                         const Started one(body);
                         const Started two(body);
                         wait_for({one.object(), two.object()}, WaitAny, 50);
                     }),
                     "UNMODELLED"));
}

} // namespace MINIPEND_TEST_FILE
