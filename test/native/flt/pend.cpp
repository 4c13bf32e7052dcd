// SPDX-License-Identifier: MIT
//
// This module provides: tests of pended post-operations: the worker's context, both orders of giving back and returning, refusals, and what the
// verifier says about mistakes [POST-01..37, SIM-03..06].

#include "flt/recorder.hpp"

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

using State = io::Operation::State;

/// A driver whose post-operation is `post`, on one instance; then `fn`.
std::string with_post(Post post, const std::function<void(Bench &, Driver &)> &fn, uint64_t seed = 1) {
    return run(
        [&](Bench &bench) {
            Driver driver(u"one");
            REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
            REQUIRE(bench.attach(driver) == STATUS_SUCCESS);
            driver.post = post;
            fn(bench, driver);
            if (driver.filter) {
                bench.unload(driver);
            }
        },
        seed);
}

FLT_POSTOP_CALLBACK_STATUS pend(PFLT_CALLBACK_DATA data, const Deferred &routine) {
    return NT_SUCCESS(defer(data, routine)) ? FLT_POSTOP_MORE_PROCESSING_REQUIRED : FLT_POSTOP_FINISHED_PROCESSING;
}

void give_back(PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA data) {
    FltCompletePendedPostOperation(data);
    FltFreeDeferredIoWorkItem(item);
}

} // namespace

TEST(both_orders) {
    int before_return = 0;
    int after_return = 0;
    for (uint64_t seed = 1; seed <= 60; ++seed) {
        bool returned = false;
        int completions = 0;
        const std::string report = with_post(
            [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
                const auto result = pend(data, [&](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                    CHECK_EQ(executing().irql, PASSIVE_LEVEL);
                    CHECK(executing().process->system);
                    CHECK(executing().top_level_irp == nullptr);
                    pended->IoStatus.Status = STATUS_DISK_FULL;
                    FltCompletePendedPostOperation(pended);
                    (returned ? after_return : before_return) += 1;
                    FltFreeDeferredIoWorkItem(item);
                });
                KeGetCurrentIrql(); // a scheduling point
                returned = true;
                return result;
            },
            [&](Bench &bench, Driver &) {
                const auto operation = bench.operation(IRP_MJ_WRITE);
                operation->on_completed = [&](io::Operation &) { ++completions; };
                CHECK_EQ(bench.send_and_wait(operation), STATUS_DISK_FULL);
            },
            seed);
        CHECK_EQ(completions, 1);
        CHECK_EQ(rule_of(report), std::string());
        CHECK(check::contains(report, "\"leaks\":[]"));
    }
    CHECK(before_return > 0);
    CHECK(after_return > 0);
}

TEST(upper_post_runs_on_the_worker) {
    const std::string report = run([&](Bench &bench) {
        Driver low(u"low", u"1"), high(u"high", u"2");
        REQUIRE(low.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(high.load(bench.world) == STATUS_SUCCESS);
        bench.attach(low);
        bench.attach(high);
        Thread *worker = nullptr;
        Thread *upper = nullptr;
        bool release = false;
        low.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            return pend(data, [&](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                bench.wait_until([&] { return release; });
                worker = &executing();
                give_back(item, pended);
            });
        };
        high.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            upper = &executing();
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        const auto operation = bench.operation(IRP_MJ_WRITE);
        CHECK_EQ(bench.send(operation), STATUS_PENDING);
        CHECK(operation->state == State::PendedPost);
        CHECK(upper == nullptr);
        release = true;
        CHECK(bench.wait_until([&] { return operation->state == State::Completed; }));
        CHECK(upper != nullptr && upper == worker);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(refusals) {
    std::map<std::string, NTSTATUS> seen;
    std::string now;
    const std::string report = with_post(
        [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            seen[now] = defer(data, give_back);
            return NT_SUCCESS(seen[now]) ? FLT_POSTOP_MORE_PROCESSING_REQUIRED : FLT_POSTOP_FINISHED_PROCESSING;
        },
        [&](Bench &bench, Driver &driver) {
            now = "fast";
            bench.send_inline(bench.operation(IRP_MJ_READ, io::Form::FastIo));
            now = "paging";
            bench.send(
                bench.operation(IRP_MJ_READ, io::Form::Irp, IRP_PAGING_IO | IRP_NOCACHE | IRP_SYNCHRONOUS_PAGING_IO));
            now = "tli";
            bench.fs->top_level_irp = &bench;
            bench.send(bench.operation(IRP_MJ_READ));
            bench.fs->top_level_irp = nullptr;
            now = "teardown";
            driver.teardown_start = [&](PCFLT_RELATED_OBJECTS, ULONG) { bench.fs->complete_next(); };
            bench.fs->hold = true;
            bench.send(bench.operation(IRP_MJ_READ));
            CHECK_EQ(bench.detach(driver), STATUS_SUCCESS);
            bench.fs->hold = false;
            driver.teardown_start = nullptr;
            CHECK_EQ(bench.attach(driver), STATUS_SUCCESS);
            now = "good";
            CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_READ)), STATUS_SUCCESS);
        });
    CHECK_EQ(seen["fast"], STATUS_FLT_NOT_SAFE_TO_POST_OPERATION);
    CHECK_EQ(seen["paging"], STATUS_FLT_NOT_SAFE_TO_POST_OPERATION);
    CHECK_EQ(seen["tli"], STATUS_FLT_NOT_SAFE_TO_POST_OPERATION);
    CHECK_EQ(seen["teardown"], STATUS_FLT_DELETING_OBJECT);
    CHECK_EQ(seen["good"], STATUS_SUCCESS);
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

TEST(pended_create_keeps_the_opener_waiting) {
    const std::string report = run([&](Bench &bench) {
        Driver driver(u"one"), upper(u"upper", u"200000");
        REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(upper.load(bench.world) == STATUS_SUCCESS);
        bench.attach(driver);
        bench.attach(upper);
        Thread *const opener = &executing();
        bool given_back = false;
        driver.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            CHECK(&executing() == opener);
            return pend(data, [&](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                bench.wait_until([] { return false; }, 20);
                given_back = true;
                give_back(item, pended);
            });
        };
        upper.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            CHECK(&executing() == opener); // create is synchronised for every filter [IRQL-02]
            CHECK(given_back);
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        bench.fs->top_level_irp = &bench; // must not matter: cleared before the post-operation runs
        CHECK_EQ(bench.send(bench.operation(IRP_MJ_CREATE)), STATUS_SUCCESS);
        CHECK(given_back);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(completed_on_a_dpc) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        KIRQL post_irql = PASSIVE_LEVEL;
        const std::string report = with_post(
            [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
                post_irql = executing().irql;
                return pend(data, give_back);
            },
            [&](Bench &bench, Driver &) {
                bench.fs->hold = true;
                const auto operation = bench.operation(IRP_MJ_READ, io::Form::Irp, IRP_NOCACHE);
                CHECK_EQ(bench.send(operation), STATUS_PENDING);
                {
                    KernelCall call("dpc");
                    bench.world.queue_dpc([&] { bench.fs->complete_next(); });
                }
                CHECK(bench.wait_until([&] { return operation->state == State::Completed; }));
            },
            seed);
        CHECK_EQ(post_irql, DISPATCH_LEVEL);
        CHECK_EQ(rule_of(report), std::string());
    }
}

TEST(double_give_back_is_v3) {
    const std::string report = with_post(
        [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            return pend(data, [](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                FltCompletePendedPostOperation(pended);
                FltCompletePendedPostOperation(pended);
                FltFreeDeferredIoWorkItem(item);
            });
        },
        [&](Bench &bench, Driver &) { bench.send_and_wait(bench.operation(IRP_MJ_READ)); });
    CHECK(check::stopped_on(report, "V3 double FltCompletePendedPostOperation"));
    CHECK(check::contains(report, "pended by") || check::contains(report, "queued by"));
}

TEST(give_back_without_pend) {
    const std::string finished = with_post(
        [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            FltCompletePendedPostOperation(data);
            return FLT_POSTOP_FINISHED_PROCESSING;
        },
        [&](Bench &bench, Driver &) { bench.send(bench.operation(IRP_MJ_READ)); });
    CHECK(check::stopped_on(finished, "POST-07"));
    const std::string nonsense = with_post({}, [&](Bench &, Driver &) {
        FLT_CALLBACK_DATA data{};
        FltCompletePendedPostOperation(&data);
    });
    CHECK(check::stopped_on(nonsense, "V3"));
}

TEST(more_processing_without_queue_is_v1) {
    const auto more = [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
        return FLT_POSTOP_MORE_PROCESSING_REQUIRED;
    };
    CHECK(check::stopped_on(with_post(more,
                                      [&](Bench &bench, Driver &) {
                                          bench.send(bench.operation(IRP_MJ_READ));
                                          bench.wait_until([] { return false; }, 5'000);
                                      }),
                            "V1 "));
    CHECK(check::stopped_on(
        with_post(more,
                  [&](Bench &bench, Driver &) { bench.send_inline(bench.operation(IRP_MJ_READ, io::Form::FastIo)); }),
        "V1 "));
}

TEST(queued_but_finished) {
    const std::string report = with_post(
        [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            static_cast<void>(defer(data, give_back));
            return FLT_POSTOP_FINISHED_PROCESSING;
        },
        [&](Bench &bench, Driver &) { bench.send_and_wait(bench.operation(IRP_MJ_READ)); });
    CHECK(check::stopped_on(report, "POST-07"));
}

TEST(work_item_rules) {
    const auto with_item = [](const std::function<void(PFLT_DEFERRED_IO_WORKITEM, PFLT_CALLBACK_DATA)> &use) {
        return rule_of(with_post(
                           [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
                               use(FltAllocateDeferredIoWorkItem(), data);
                               return FLT_POSTOP_FINISHED_PROCESSING;
                           },
                           [&](Bench &bench, Driver &) { bench.send(bench.operation(IRP_MJ_READ)); }))
            .substr(0, 3);
    };
    constexpr auto routine = [](PFLT_DEFERRED_IO_WORKITEM, PFLT_CALLBACK_DATA, PVOID) FLTAPI {};
    CHECK_EQ(with_item([](auto item, auto) { FltFreeDeferredIoWorkItem(item); }), std::string(""));
    CHECK_EQ(with_item([](auto item, auto) {
                 FltFreeDeferredIoWorkItem(item);
                 FltFreeDeferredIoWorkItem(item);
             }),
             std::string("V4 "));
    CHECK_EQ(with_item([&](auto item, auto data) {
                 static_cast<void>(FltQueueDeferredIoWorkItem(item, data, routine, HyperCriticalWorkQueue, nullptr));
             }),
             std::string("POS"));
    const std::string leaked = with_post(
        [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            static_cast<void>(FltAllocateDeferredIoWorkItem());
            return FLT_POSTOP_FINISHED_PROCESSING;
        },
        [&](Bench &bench, Driver &) { bench.send(bench.operation(IRP_MJ_READ)); });
    CHECK(check::contains(leaked, "never freed (V4)"));
}

TEST(safe_completion_processing) {
    for (const bool at_dispatch : {false, true}) {
        KIRQL safe_irql = HIGH_LEVEL;
        static KIRQL *g_irql;
        g_irql = &safe_irql;
        constexpr auto safe = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS)
                                  FLTAPI -> FLT_POSTOP_CALLBACK_STATUS {
            *g_irql = executing().irql;
            data->IoStatus.Status = STATUS_DATA_ERROR;
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        const std::string report = with_post(
            [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID context, FLT_POST_OPERATION_FLAGS flags) {
                FLT_POSTOP_CALLBACK_STATUS result = FLT_POSTOP_FINISHED_PROCESSING;
                CHECK(FltDoCompletionProcessingWhenSafe(data, objects, context, flags, safe, &result));
                CHECK_EQ(result, at_dispatch ? FLT_POSTOP_MORE_PROCESSING_REQUIRED : FLT_POSTOP_FINISHED_PROCESSING);
                return result;
            },
            [&](Bench &bench, Driver &) {
                bench.fs->hold = true;
                const auto operation = bench.operation(IRP_MJ_READ, io::Form::Irp, IRP_NOCACHE);
                bench.send(operation);
                if (at_dispatch) {
                    KernelCall call("dpc");
                    bench.world.queue_dpc([&] { bench.fs->complete_next(); });
                } else {
                    bench.fs->complete_next();
                }
                CHECK(bench.wait_until([&] { return operation->state == State::Completed; }));
                CHECK_EQ(operation->io_status.Status, STATUS_DATA_ERROR);
            });
        CHECK_EQ(safe_irql, PASSIVE_LEVEL);
        CHECK_EQ(rule_of(report), std::string());
    }
}

} // namespace MINIPEND_TEST_FILE
