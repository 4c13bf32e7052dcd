// SPDX-License-Identifier: MIT
//
// This module provides: tests of cancel routines of pended pre-operations [CANC-05]: who has the operation in the end, whatever comes first, and what a
// driver does wrongly with them.

#include "flt/recorder.hpp"

#include <utility>

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

using State = io::Operation::State;

/// What the routine of these tests does. A routine is told the callback data alone.
std::function<void(PFLT_CALLBACK_DATA)> g_cancelled;

void FLTAPI on_cancel(PFLT_CALLBACK_DATA data) {
    g_cancelled(data);
}

void give_back_cancelled(PFLT_CALLBACK_DATA data) {
    data->IoStatus.Status = STATUS_CANCELLED;
    data->IoStatus.Information = 0;
    FltCompletePendedPreOperation(data, FLT_PREOP_COMPLETE, nullptr);
}

/// As IoCancelIrp.
void cancel(io::Operation &operation) {
    KernelCall kernel("IoCancelIrp");
    operation.cancel_requested = true;
    if (const auto routine = std::exchange(operation.cancel_routine, nullptr)) {
        routine();
    }
}

/// One filter whose pre-operation is `pre`; left alone when the world stops.
std::string with(const Pre &pre, const std::function<void(Bench &, Driver &)> &fn, uint64_t seed = 1) {
    return run(
        [&](Bench &bench) {
            static auto &left = *new std::vector<Driver *>;
            Driver *driver = left.emplace_back(new Driver(u"one"));
            REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
            REQUIRE(bench.attach(*driver) == STATUS_SUCCESS);
            driver->pre = pre;
            fn(bench, *driver);
            if (driver->filter) {
                bench.unload(*driver);
            }
        },
        seed);
}

} // namespace

TEST(a_cancelled_operation_goes_to_its_routine) {
    PFLT_CALLBACK_DATA held = nullptr;
    int calls = 0;
    g_cancelled = [&](PFLT_CALLBACK_DATA data) {
        CHECK(data == held);
        CHECK(FltIsIoCanceled(data) != FALSE);
        CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
        CHECK_EQ(FltClearCancelCompletion(data), STATUS_CANCELLED); // it is under way
        ++calls;
        give_back_cancelled(data);
    };
    const std::string report = with(
        [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            CHECK(FltIsIoCanceled(data) == FALSE);
            CHECK_EQ(FltClearCancelCompletion(data), STATUS_CANCELLED); // there is none
            CHECK_EQ(FltSetCancelCompletion(data, on_cancel), STATUS_SUCCESS);
            held = data;
            return FLT_PREOP_PENDING;
        },
        [&](Bench &bench, Driver &) {
            const auto write = bench.operation(IRP_MJ_WRITE);
            CHECK_EQ(bench.send(write), STATUS_PENDING);
            CHECK_EQ(calls, 0);
            cancel(*write);
            CHECK_EQ(calls, 1);
            CHECK(write->state == State::Completed);
            CHECK_EQ(write->io_status.Status, STATUS_CANCELLED);
        });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

TEST(a_cleared_routine_is_not_called) {
    PFLT_CALLBACK_DATA held = nullptr;
    g_cancelled = [](PFLT_CALLBACK_DATA) { CHECK(false); };
    const std::string report = with(
        [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            CHECK_EQ(FltSetCancelCompletion(data, on_cancel), STATUS_SUCCESS);
            held = data;
            return FLT_PREOP_PENDING;
        },
        [&](Bench &bench, Driver &driver) {
            const auto write = bench.operation(IRP_MJ_WRITE);
            CHECK_EQ(bench.send(write), STATUS_PENDING);
            CHECK_EQ(FltClearCancelCompletion(held), STATUS_SUCCESS);
            CHECK_EQ(FltClearCancelCompletion(held), STATUS_CANCELLED);
            CHECK_EQ(FltSetCancelCompletion(held, on_cancel), STATUS_SUCCESS); // and set again
            CHECK_EQ(FltClearCancelCompletion(held), STATUS_SUCCESS);
            cancel(*write);
            CHECK(FltIsIoCanceled(held) != FALSE);
            FltCompletePendedPreOperation(held, FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr);
            CHECK(write->state == State::Completed);
            CHECK_EQ(write->io_status.Status, STATUS_SUCCESS);
            // Cancelled before it came: the routine is not set, and the operation stays the driver's.
            driver.pre = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                CHECK_EQ(FltSetCancelCompletion(data, on_cancel), STATUS_CANCELLED);
                CHECK_EQ(FltClearCancelCompletion(data), STATUS_CANCELLED);
                return FLT_PREOP_SUCCESS_NO_CALLBACK;
            };
            const auto early = bench.operation(IRP_MJ_WRITE);
            early->cancel_requested = true;
            CHECK_EQ(bench.send(early), STATUS_SUCCESS);
        });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

namespace {

/// A write whose pre-operation sets the routine, then hands it to `worker`; meanwhile somebody cancels it. The report.
std::string raced(uint64_t seed, bool &returned, const Deferred &worker) {
    bool pended = false;
    returned = false;
    return with(
        [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            if (!NT_SUCCESS(FltSetCancelCompletion(data, on_cancel))) {
                return FLT_PREOP_SUCCESS_NO_CALLBACK;
            }
            pended = true;
            CHECK_EQ(defer(data, worker), STATUS_SUCCESS);
            KeGetCurrentIrql(); // a scheduling point
            returned = true;
            return FLT_PREOP_PENDING;
        },
        [&](Bench &bench, Driver &) {
            const auto write = bench.operation(IRP_MJ_WRITE);
            bool over = false;
            bench.start("canceller", [&] {
                bench.wait_until([&] { return pended || write->state == State::Completed; });
                cancel(*write);
                over = true;
            });
            bench.send_and_wait(write);
            CHECK(bench.wait_until([&] { return over; }));
        },
        seed);
}

} // namespace

/// The worker alone gives back, and after the routine: nobody has the data when it goes.
TEST(cancelled_while_a_worker_has_it) {
    int worked = 0;
    int cancelled = 0;
    int before_return = 0;
    for (uint64_t seed = 1; seed <= 200; ++seed) {
        bool called = false;
        bool returned = false;
        g_cancelled = [&](PFLT_CALLBACK_DATA data) {
            CHECK(FltIsIoCanceled(data) != FALSE);
            before_return += returned ? 0 : 1;
            called = true;
        };
        const std::string report = raced(seed, returned, [&](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA data) {
            if (NT_SUCCESS(FltClearCancelCompletion(data))) {
                ++worked;
                CHECK(!called);
                FltCompletePendedPreOperation(data, FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr);
            } else {
                ++cancelled;
                LARGE_INTEGER moment{};
                for (moment.QuadPart = -1'000; !called;) {
                    KeDelayExecutionThread(KernelMode, FALSE, &moment);
                }
                give_back_cancelled(data);
            }
            FltFreeDeferredIoWorkItem(item);
        });
        CHECK_EQ(rule_of(report), std::string());
        CHECK(check::contains(report, "\"leaks\":[]"));
    }
    CHECK(worked > 0);
    CHECK(cancelled > 0);
    CHECK(before_return > 0);
}

/// The routine gives back, while the worker may still ask whose the operation is.
TEST(given_back_by_the_routine_behind_the_workers_back) {
    int stopped = 0;
    for (uint64_t seed = 1; seed <= 60; ++seed) {
        bool returned = false;
        g_cancelled = give_back_cancelled;
        const std::string report = raced(seed, returned, [&](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA data) {
            if (NT_SUCCESS(FltClearCancelCompletion(data))) {
                FltCompletePendedPreOperation(data, FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr);
            }
            FltFreeDeferredIoWorkItem(item);
        });
        const std::string rule = rule_of(report);
        CHECK(rule.empty() || rule == "V13 callback data not owned");
        stopped += rule.empty() ? 0 : 1;
    }
    CHECK(stopped > 0);
}

TEST(mistakes_with_cancel_routines) {
    g_cancelled = [](PFLT_CALLBACK_DATA data) { give_back_cancelled(data); };
    const auto rule = [](const Pre &pre, ULONG irp_flags = 0) {
        return rule_of(with(
            pre, [&](Bench &bench, Driver &) { bench.send(bench.operation(IRP_MJ_WRITE, io::Form::Irp, irp_flags)); }));
    };
    const auto set = [](PFLT_CALLBACK_DATA data) { static_cast<void>(FltSetCancelCompletion(data, on_cancel)); };
    CHECK_EQ(rule([&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                 set(data);
                 return FLT_PREOP_SUCCESS_NO_CALLBACK;
             }),
             std::string("CANC-05 cancel routine set, but not pended"));
    CHECK_EQ(rule([&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                 set(data);
                 FltCompletePendedPreOperation(data, FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr);
                 return FLT_PREOP_PENDING;
             }),
             std::string("CANC-05 given back with its cancel routine"));
    CHECK_EQ(rule([](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                 static_cast<void>(FltSetCancelCompletion(data, nullptr));
                 return FLT_PREOP_PENDING;
             }),
             std::string("VER-02 parameter"));
    CHECK_EQ(rule([&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                 set(data);
                 set(data);
                 return FLT_PREOP_PENDING;
             }),
             std::string("UNMODELLED"));
    CHECK_EQ(rule(
                 [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                     set(data);
                     return FLT_PREOP_PENDING;
                 },
                 IRP_PAGING_IO),
             std::string("CANC-05 cancel routine of paging I/O"));
    CHECK_EQ(rule_of(with(
                 [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                     set(data);
                     return FLT_PREOP_SUCCESS_NO_CALLBACK;
                 },
                 [](Bench &bench, Driver &) { bench.send_inline(bench.operation(IRP_MJ_READ, io::Form::FastIo)); })),
             std::string("CANC-05 not an IRP"));
    CHECK_EQ(
        rule_of(with([](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) { return FLT_PREOP_SUCCESS_WITH_CALLBACK; },
                     [&](Bench &bench, Driver &driver) {
                         driver.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID,
                                           FLT_POST_OPERATION_FLAGS) {
                             set(data);
                             return FLT_POSTOP_FINISHED_PROCESSING;
                         };
                         bench.send(bench.operation(IRP_MJ_WRITE));
                     })),
        std::string("CANC-06 cancel routine of a post-operation"));
    // The routine gives it back, and so does somebody who did not ask.
    PFLT_CALLBACK_DATA held = nullptr;
    CHECK_EQ(rule_of(with(
                 [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
                     set(data);
                     held = data;
                     return FLT_PREOP_PENDING;
                 },
                 [&](Bench &bench, Driver &) {
                     const auto write = bench.operation(IRP_MJ_WRITE);
                     bench.send(write);
                     cancel(*write);
                     FltCompletePendedPreOperation(held, FLT_PREOP_SUCCESS_NO_CALLBACK, nullptr);
                 })),
             std::string("V3 double FltCompletePendedPreOperation"));
}

} // namespace MINIPEND_TEST_FILE
