// SPDX-License-Identifier: MIT
//
// This module provides: tests of timers and DPCs: when they come, with many schedules, what cancelling them leaves, and what is misuse.
#include <functional>
#include <string>

#include "ke/pool.hpp"
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

constexpr ULONG TAG = 0x6D695430;
constexpr uint64_t MS_100NS = 10'000;

struct Calls {
    KDPC dpc{};
    KTIMER timer{};
    int count = 0;
    KIRQL irql = 0;
    PVOID first = nullptr;
    PVOID second = nullptr;
    uint64_t at_100ns = 0;
};

uint64_t now_100ns() {
    ULONG64 qpc = 0;
    return KeQueryInterruptTimePrecise(&qpc);
}

void NTAPI note_call(PKDPC dpc, PVOID context, PVOID first, PVOID second) {
    auto &calls = *static_cast<Calls *>(context);
    CHECK(dpc == &calls.dpc);
    ++calls.count;
    calls.irql = KeGetCurrentIrql();
    calls.first = first;
    calls.second = second;
    calls.at_100ns = now_100ns();
}

/// The report of a world in which `fn` has an initialised timer and DPC.
std::string with(const std::function<void(Calls &)> &fn, uint64_t seed = 1) {
    Calls calls;
    return report_of(check::virtual_world(seed), [&](World &) {
        KeInitializeDpc(&calls.dpc, note_call, &calls);
        KeInitializeTimer(&calls.timer);
        fn(calls);
    });
}

bool goes_well(const std::function<void(Calls &)> &fn, uint64_t seed = 1) {
    return check::contains(with(fn, seed), "\"stopped\":false");
}

NTSTATUS wait(PVOID object, LONGLONG ms) {
    LARGE_INTEGER timeout = relative_ms(ms);
    return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, &timeout);
}

} // namespace

TEST(a_dpc_runs_once_for_each_time_it_is_queued) {
    CHECK(goes_well([](Calls &calls) {
        int one = 0;
        int two = 0;
        CHECK(KeInsertQueueDpc(&calls.dpc, &one, &two) == TRUE);
        KeFlushQueuedDpcs();
        CHECK_EQ(calls.count, 1);
        CHECK_EQ(calls.irql, DISPATCH_LEVEL);
        CHECK(calls.first == &one && calls.second == &two);
        CHECK(KeInsertQueueDpc(&calls.dpc, nullptr, nullptr) == TRUE);
        KeFlushQueuedDpcs();
        CHECK_EQ(calls.count, 2);
    }));
}

TEST(a_queued_dpc_keeps_its_arguments_and_can_be_removed) {
    int removed = 0;
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        CHECK(goes_well(
            [&](Calls &calls) {
                int one = 0;
                int two = 0;
                CHECK(KeInsertQueueDpc(&calls.dpc, &one, nullptr) == TRUE);
                const bool again = KeInsertQueueDpc(&calls.dpc, &two, nullptr) == TRUE; // it has begun, then
                const bool was_there = KeRemoveQueueDpc(&calls.dpc) == TRUE;
                removed += was_there ? 1 : 0;
                KeFlushQueuedDpcs();
                CHECK_EQ(calls.count, 1 + (again ? 1 : 0) - (was_there ? 1 : 0));
                CHECK(calls.count == 0 || calls.first == (again && !was_there ? &two : &one));
                CHECK(KeRemoveQueueDpc(&calls.dpc) == FALSE);
            },
            seed));
    }
    CHECK(removed > 0 && removed < 40);
}

TEST(a_timer_signals_and_queues_its_dpc_when_it_is_due) {
    CHECK(goes_well([](Calls &calls) {
        const uint64_t start = now_100ns();
        CHECK(KeSetTimer(&calls.timer, relative_ms(30), &calls.dpc) == FALSE);
        CHECK(KeReadStateTimer(&calls.timer) == FALSE);
        CHECK_EQ(wait(&calls.timer, 20), STATUS_TIMEOUT);
        CHECK_EQ(wait(&calls.timer, 1000), STATUS_SUCCESS);
        CHECK(now_100ns() - start >= 30 * MS_100NS);
        KeFlushQueuedDpcs();
        CHECK_EQ(calls.count, 1);
        // A notification timer stays signalled until it is set again.
        CHECK(KeReadStateTimer(&calls.timer) == TRUE);
        CHECK_EQ(wait(&calls.timer, 0), STATUS_SUCCESS);
        CHECK(KeCancelTimer(&calls.timer) == FALSE); // it is not set any more

        LARGE_INTEGER due{};
        KeQuerySystemTimePrecise(&due);
        due.QuadPart += 15 * static_cast<LONGLONG>(MS_100NS);
        CHECK(KeSetTimer(&calls.timer, due, nullptr) == FALSE);
        CHECK(KeReadStateTimer(&calls.timer) == FALSE);
        CHECK_EQ(wait(&calls.timer, 1000), STATUS_SUCCESS);
        CHECK_EQ(calls.count, 1);
    }));
}

TEST(a_synchronization_timer_wakes_one) {
    CHECK(goes_well([](Calls &calls) {
        KeInitializeTimerEx(&calls.timer, SynchronizationTimer);
        int woken = 0;
        Body body = [&] { woken += wait(&calls.timer, 500) == STATUS_SUCCESS ? 1 : 0; };
        {
            const Started one(body);
            const Started other(body);
            CHECK(KeSetTimer(&calls.timer, relative_ms(10), nullptr) == FALSE);
        }
        CHECK_EQ(woken, 1);
        CHECK(KeReadStateTimer(&calls.timer) == FALSE);
    }));
}

TEST(a_timer_that_is_set_again_forgets_its_first_time) {
    CHECK(goes_well([](Calls &calls) {
        CHECK(KeSetTimer(&calls.timer, relative_ms(10), &calls.dpc) == FALSE);
        CHECK(KeSetTimer(&calls.timer, relative_ms(100), &calls.dpc) == TRUE);
        sleep_ms(50);
        CHECK_EQ(calls.count, 0);
        sleep_ms(100);
        CHECK_EQ(calls.count, 1);
        CHECK(KeSetTimer(&calls.timer, relative_ms(10), &calls.dpc) == FALSE);
        CHECK(KeCancelTimer(&calls.timer) == TRUE);
        CHECK(KeCancelTimer(&calls.timer) == FALSE);
        sleep_ms(50);
        CHECK_EQ(calls.count, 1);
    }));
}

TEST(a_periodic_timer_comes_until_it_is_cancelled) {
    CHECK(goes_well([](Calls &calls) {
        const uint64_t start = now_100ns();
        CHECK(KeSetTimerEx(&calls.timer, relative_ms(5), 20, &calls.dpc) == FALSE);
        sleep_ms(110); // due after 5, 25, 45, 65, 85, 105 ms
        CHECK(KeCancelTimer(&calls.timer) == TRUE);
        KeFlushQueuedDpcs();
        CHECK_EQ(calls.count, 6);
        CHECK(calls.at_100ns - start >= 105 * MS_100NS);
        sleep_ms(100);
        CHECK_EQ(calls.count, 6);
    }));
}

/// A cancelled timer's DPC may be on its way: only a flush makes sure.
TEST(cancel_and_flush_leave_nothing) {
    int came = 0;
    for (uint64_t seed = 1; seed <= 60; ++seed) {
        CHECK(goes_well(
            [&](Calls &calls) {
                CHECK(KeSetTimer(&calls.timer, relative_ms(1), &calls.dpc) == FALSE);
                LARGE_INTEGER interval{};
                interval.QuadPart = -static_cast<LONGLONG>(MS_100NS + seed % 4);
                KeDelayExecutionThread(KernelMode, FALSE, &interval);
                const bool was_set = KeCancelTimer(&calls.timer) == TRUE;
                KeFlushQueuedDpcs();
                const int count = calls.count;
                CHECK_EQ(count, was_set ? 0 : 1);
                came += count;
                sleep_ms(10);
                CHECK_EQ(calls.count, count);
            },
            seed));
    }
    CHECK(came > 0);
}

TEST(misused_timers_and_dpcs_stop_the_world) {
    constexpr const char *RULE = "TIMER_OR_DPC_INVALID";
    CHECK(stopped_on(with([](Calls &calls) {
                         KeSetTimer(&calls.timer, relative_ms(10), nullptr);
                         KeInitializeTimer(&calls.timer);
                     }),
                     RULE));
    CHECK(stopped_on(with([](Calls &) {
                         KDPC never{};
                         KeInsertQueueDpc(&never, nullptr, nullptr);
                     }),
                     RULE));
    CHECK(stopped_on(with([](Calls &) {
                         KTIMER never{};
                         KeCancelTimer(&never);
                     }),
                     "WAIT object was never initialised"));
    CHECK(stopped_on(with([](Calls &calls) {
                         KEVENT event{};
                         KeInitializeEvent(&event, NotificationEvent, FALSE);
                         KeSetTimer(reinterpret_cast<PKTIMER>(&event), relative_ms(10), &calls.dpc);
                     }),
                     "WAIT object has another type"));
    CHECK(stopped_on(with([](Calls &) {
                         auto *timer = static_cast<PKTIMER>(ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(KTIMER), TAG));
                         KeInitializeTimer(timer);
                         KeSetTimer(timer, relative_ms(10), nullptr);
                         ExFreePoolWithTag(timer, TAG);
                     }),
                     RULE));
    CHECK(stopped_on(with([](Calls &calls) {
                         auto *dpc = static_cast<PKDPC>(ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(KDPC), TAG));
                         KeInitializeDpc(dpc, note_call, &calls);
                         const KernelCall call("test"); // nothing else runs until it is freed
                         KeInsertQueueDpc(dpc, nullptr, nullptr);
                         ExFreePoolWithTag(dpc, TAG);
                     }),
                     RULE));
    CHECK(stopped_on(with([](Calls &calls) {
                         KeSetTimer(&calls.timer, relative_ms(10), nullptr);
                         const KernelCall call("test");
                         pool::report_leaks(); // as when the image goes
                     }),
                     RULE));
}

} // namespace MINIPEND_TEST_FILE
