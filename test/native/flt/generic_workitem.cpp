// SPDX-License-Identifier: MIT
//
// This module provides: tests of generic work items: where their routine runs, what stays referenced until it has returned, when they are refused,
// and what a driver does wrongly with them.

#include "flt/recorder.hpp"

#include "core/faults.hpp"
#include "flt/internal.hpp"

namespace MINIPEND_TEST_FILE {

using namespace recorder;
using check::contains;

namespace {

using Routine = std::function<void(PFLT_GENERIC_WORKITEM, PVOID)>;

void FLTAPI run_routine(PFLT_GENERIC_WORKITEM item, PVOID object, PVOID context) {
    (*static_cast<Routine *>(context))(item, object);
}

/// One driver on one instance; a world that stops leaves both.
std::string with(const std::function<void(Bench &, Driver &, PFLT_INSTANCE)> &fn, uint64_t seed = 1) {
    return run(
        [&](Bench &bench) {
            static auto &left = *new std::vector<Driver *>;
            Driver *driver = left.emplace_back(new Driver(u"one"));
            REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
            REQUIRE(bench.attach(*driver) == STATUS_SUCCESS);
            PFLT_INSTANCE instance = nullptr;
            driver->pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS objects, PVOID *) {
                instance = objects->Instance;
                return FLT_PREOP_SUCCESS_NO_CALLBACK;
            };
            bench.send(bench.operation(IRP_MJ_READ));
            driver->pre = nullptr;
            fn(bench, *driver, instance);
            if (driver->filter) {
                bench.unload(*driver);
            }
        },
        seed);
}

NTSTATUS queue(PFLT_GENERIC_WORKITEM item, PVOID object, Routine &routine, WORK_QUEUE_TYPE type = DelayedWorkQueue) {
    return FltQueueGenericWorkItem(item, object, run_routine, type, &routine);
}

} // namespace

TEST(routines_run_in_a_system_worker) {
    for (const WORK_QUEUE_TYPE type : {DelayedWorkQueue, CriticalWorkQueue}) {
        const std::string report = with([&](Bench &bench, Driver &driver, PFLT_INSTANCE instance) {
            for (const PVOID object : {static_cast<PVOID>(instance), static_cast<PVOID>(driver.filter)}) {
                PFLT_GENERIC_WORKITEM item = FltAllocateGenericWorkItem();
                REQUIRE(item != nullptr);
                const PETHREAD here = KeGetCurrentThread();
                int done = 0;
                Routine routine = [&](PFLT_GENERIC_WORKITEM given, PVOID target) {
                    CHECK(given == item);
                    CHECK(target == object);
                    CHECK_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
                    CHECK(KeGetCurrentThread() != here);
                    CHECK(executing().process->system);
                    CHECK_EQ(contains(executing().name, "critical"), type == CriticalWorkQueue);
                    if (++done == 1) { // from its own routine it may be queued again
                        CHECK_EQ(queue(given, target, routine, type), STATUS_SUCCESS);
                    } else {
                        FltFreeGenericWorkItem(given);
                    }
                };
                CHECK_EQ(queue(item, object, routine, type), STATUS_SUCCESS);
                CHECK(bench.wait_until([&] { return done == 2; }));
            }
            // Freed by who made it, once it has run.
            PFLT_GENERIC_WORKITEM kept = FltAllocateGenericWorkItem();
            bool ran = false;
            Routine routine = [&](PFLT_GENERIC_WORKITEM, PVOID) { ran = true; };
            CHECK_EQ(queue(kept, instance, routine, type), STATUS_SUCCESS);
            CHECK(bench.wait_until([&] { return ran; }));
            CHECK_EQ(queue(kept, instance, routine, type), STATUS_SUCCESS);
            bench.wait_until([] { return false; }, 100);
            FltFreeGenericWorkItem(kept);
        });
        CHECK_EQ(rule_of(report), std::string());
        CHECK(!contains(report, "never freed"));
    }
}

TEST(unload_waits_for_generic_routines) {
    for (uint64_t seed = 1; seed <= 30; ++seed) {
        for (const bool on_filter : {false, true}) {
            const std::string report = with(
                [&](Bench &bench, Driver &driver, PFLT_INSTANCE instance) {
                    const PVOID object = on_filter ? static_cast<PVOID>(driver.filter) : instance;
                    PFLT_GENERIC_WORKITEM item = FltAllocateGenericWorkItem();
                    bool torn = false;
                    bool left = false;
                    NTSTATUS again = STATUS_SUCCESS;
                    driver.teardown_complete = [&](PCFLT_RELATED_OBJECTS, ULONG) { torn = true; };
                    Routine routine = [&](PFLT_GENERIC_WORKITEM own, PVOID target) {
                        bench.wait_until([&] { return torn; });
                        again = queue(own, target, routine); // it is going: the item stays ours
                        bench.wait_until([] { return false; }, 20);
                        FltFreeGenericWorkItem(own);
                        left = true;
                    };
                    CHECK_EQ(queue(item, object, routine), STATUS_SUCCESS);
                    CHECK_EQ(bench.unload(driver), STATUS_SUCCESS);
                    CHECK(left);
                    CHECK_EQ(again, STATUS_FLT_DELETING_OBJECT);
                },
                seed);
            CHECK_EQ(rule_of(report), std::string());
            CHECK(!contains(report, "never freed"));
        }
    }
}

TEST(a_detached_instance_refuses_generic_items) {
    const std::string report = with([](Bench &bench, Driver &driver, PFLT_INSTANCE instance) {
        PFLT_GENERIC_WORKITEM item = FltAllocateGenericWorkItem();
        int ran = 0;
        NTSTATUS torn = STATUS_SUCCESS;
        NTSTATUS filter = STATUS_UNSUCCESSFUL;
        Routine routine = [&](PFLT_GENERIC_WORKITEM, PVOID) { ++ran; };
        driver.teardown_start = [&](PCFLT_RELATED_OBJECTS, ULONG) {
            torn = queue(item, instance, routine);
            filter = queue(item, driver.filter, routine); // which stays
        };
        CHECK_EQ(bench.detach(driver), STATUS_SUCCESS);
        CHECK_EQ(torn, STATUS_FLT_DELETING_OBJECT);
        CHECK_EQ(filter, STATUS_SUCCESS);
        CHECK(bench.wait_until([&] { return ran == 1; }));
        bench.wait_until([] { return false; }, 20);
        FltFreeGenericWorkItem(item);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(operations_given_back_by_a_generic_item) {
    // Even where FltQueueDeferredIoWorkItem refuses, and however long it takes.
    const std::string report = with([](Bench &bench, Driver &driver, PFLT_INSTANCE instance) {
        bench.fs->top_level_irp = &bench;
        NTSTATUS deferred = STATUS_SUCCESS;
        PFLT_CALLBACK_DATA held = nullptr;
        Routine routine = [&](PFLT_GENERIC_WORKITEM item, PVOID) {
            bench.wait_until([] { return false; }, 5'000);
            FltCompletePendedPostOperation(held);
            FltFreeGenericWorkItem(item);
        };
        driver.pre = [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) { return FLT_PREOP_SUCCESS_WITH_CALLBACK; };
        driver.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            deferred = defer(data, [](PFLT_DEFERRED_IO_WORKITEM, PFLT_CALLBACK_DATA) {});
            held = data;
            CHECK_EQ(queue(FltAllocateGenericWorkItem(), instance, routine), STATUS_SUCCESS);
            return FLT_POSTOP_MORE_PROCESSING_REQUIRED;
        };
        CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_READ)), STATUS_SUCCESS);
        CHECK_EQ(deferred, STATUS_FLT_NOT_SAFE_TO_POST_OPERATION);
        driver.pre = nullptr;
        driver.post = nullptr;
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(generic_items_that_fail) {
    const std::string report = with([](Bench &bench, Driver &, PFLT_INSTANCE instance) {
        bench.world.faults->set("FltAllocateGenericWorkItem", 0, 1);
        CHECK(FltAllocateGenericWorkItem() == nullptr);
        PFLT_GENERIC_WORKITEM item = FltAllocateGenericWorkItem();
        REQUIRE(item != nullptr);
        bench.world.faults->set("FltQueueGenericWorkItem", 0, 1);
        Routine never = [](PFLT_GENERIC_WORKITEM, PVOID) { CHECK(false); };
        CHECK_EQ(queue(item, instance, never), STATUS_FLT_DELETING_OBJECT);
        FltFreeGenericWorkItem(item);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(generic_work_item_rules) {
    static Routine nothing = [](PFLT_GENERIC_WORKITEM, PVOID) {};
    const auto rule = [](const std::function<void(PFLT_GENERIC_WORKITEM, PFLT_INSTANCE, Driver &)> &use) {
        return rule_of(with([&](Bench &, Driver &driver, PFLT_INSTANCE instance) {
            IrqlScope dispatch(
                DISPATCH_LEVEL); // no worker comes in between on this processor, and every call may be made here
            use(FltAllocateGenericWorkItem(), instance, driver);
        }));
    };
    const std::string item_rule = "V4 generic work item";
    CHECK_EQ(rule([](auto item, auto, auto &) { FltFreeGenericWorkItem(item); }), std::string());
    CHECK_EQ(rule([](auto item, auto, auto &) {
                 FltFreeGenericWorkItem(item);
                 FltFreeGenericWorkItem(item);
             }),
             item_rule);
    CHECK_EQ(rule([](auto item, auto instance, auto &) {
                 FltFreeGenericWorkItem(item);
                 static_cast<void>(queue(item, instance, nothing));
             }),
             item_rule);
    CHECK_EQ(rule([](auto item, auto, auto &) {
                 static_cast<void>(FltQueueGenericWorkItem(item, item, run_routine, DelayedWorkQueue, &nothing));
             }),
             std::string("VER-02 parameter"));
    CHECK_EQ(rule([](auto item, auto instance, auto &) {
                 static_cast<void>(FltQueueGenericWorkItem(item, instance, nullptr, DelayedWorkQueue, nullptr));
             }),
             std::string("VER-02 parameter"));
    CHECK_EQ(rule([](auto item, auto instance, auto &) {
                 static_cast<void>(queue(item, instance, nothing, HyperCriticalWorkQueue));
             }),
             std::string("POST-03 queue type"));
    for (const bool frees : {true, false}) { // while it is queued: every delayed worker is busy
        CHECK_EQ(rule_of(with([&](Bench &bench, Driver &driver, PFLT_INSTANCE instance) {
                     static bool go;
                     go = false;
                     static Routine busy; // outlives the stop
                     busy = [&bench](PFLT_GENERIC_WORKITEM item, PVOID) {
                         bench.wait_until([] { return go; });
                         FltFreeGenericWorkItem(item);
                     };
                     for (int i = 0; i < bench.world.flt->impl().delayed.threads; ++i) {
                         CHECK_EQ(queue(FltAllocateGenericWorkItem(), driver.filter, busy), STATUS_SUCCESS);
                     }
                     PFLT_GENERIC_WORKITEM item = FltAllocateGenericWorkItem();
                     CHECK_EQ(queue(item, instance, nothing), STATUS_SUCCESS);
                     if (frees) {
                         FltFreeGenericWorkItem(item);
                     } else {
                         static_cast<void>(queue(item, instance, nothing));
                     }
                     go = true;
                 })),
                 item_rule);
    }
    // It belongs to no filter: the driver may free it when that is unregistered, until its image goes.
    const std::string late = with([](Bench &, Driver &driver, PFLT_INSTANCE instance) {
        PFLT_GENERIC_WORKITEM item = FltAllocateGenericWorkItem();
        CHECK_EQ(queue(item, instance, nothing), STATUS_SUCCESS);
        driver.unload = [&driver, item](ULONG) {
            FltUnregisterFilter(driver.filter);
            driver.filter = nullptr;
            FltFreeGenericWorkItem(item);
            return STATUS_SUCCESS;
        };
    });
    CHECK_EQ(rule_of(late), std::string());
    CHECK(contains(late, "\"leaks\":[]"));
    const std::string leaked =
        with([](Bench &, Driver &, PFLT_INSTANCE) { static_cast<void>(FltAllocateGenericWorkItem()); });
    CHECK(contains(leaked, "a generic work item was never freed (V4)"));
}

} // namespace MINIPEND_TEST_FILE
