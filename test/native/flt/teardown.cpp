// SPDX-License-Identifier: MIT
//
// This module provides: tests of attach, detach, draining and unload [LIFE-*, DRAIN-*, UNL-*, ALT-01, SIM-11, SIM-12].

#include "flt/recorder.hpp"

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

using State = io::Operation::State;

void give_back(PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA data) {
    FltCompletePendedPostOperation(data);
    FltFreeDeferredIoWorkItem(item);
}

bool no_leaks(const std::string &report) {
    return check::contains(report, "\"leaks\":[]");
}

} // namespace

TEST(attach_statuses) {
    const std::string report = run([](Bench &bench) {
        Driver one(u"one", u"100.50"), two(u"two", u"0100.5"), three(u"three", u"7");
        CHECK_EQ(bench.attach(one), STATUS_FLT_FILTER_NOT_FOUND);
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(two.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(three.load(bench.world) == STATUS_SUCCESS);
        CHECK_EQ(one.load(bench.world), STATUS_IMAGE_ALREADY_LOADED);
        CHECK_EQ(bench.attach(one), STATUS_SUCCESS);
        CHECK_EQ(bench.attach(one), STATUS_FLT_INSTANCE_NAME_COLLISION);
        CHECK_EQ(bench.attach(two), STATUS_FLT_INSTANCE_ALTITUDE_COLLISION);
        CHECK_EQ(bench.attach(one, u"second", u"100.50"), STATUS_FLT_INSTANCE_ALTITUDE_COLLISION);
        CHECK_EQ(bench.attach(one, u"second", u"100.51"), STATUS_SUCCESS);
        CHECK_EQ(bench.attach(one, u"third", u"abc"), STATUS_INVALID_PARAMETER);
        CHECK_EQ(bench.attach(one, u"unknown"), STATUS_OBJECT_NAME_NOT_FOUND);
        three.setup = [] { return STATUS_FLT_DO_NOT_ATTACH; };
        CHECK_EQ(bench.attach(three), STATUS_FLT_DO_NOT_ATTACH);
        CHECK_EQ(bench.detach(three), STATUS_FLT_INSTANCE_NOT_FOUND);
        three.setup = nullptr;
        CHECK_EQ(bench.attach(three), STATUS_SUCCESS);
        three.query_teardown = [] { return STATUS_FLT_DO_NOT_DETACH; };
        CHECK_EQ(bench.detach(three), STATUS_FLT_DO_NOT_DETACH);
        CHECK_EQ(bench.detach(one, u"second"), STATUS_SUCCESS);
        CHECK_EQ(bench.detach(one), STATUS_SUCCESS);
        CHECK_EQ(bench.detach(one), STATUS_FLT_INSTANCE_NOT_FOUND);
        CHECK_EQ(bench.attach(one), STATUS_SUCCESS); // again
        CHECK_EQ(bench.unload(one), STATUS_SUCCESS);
        CHECK_EQ(bench.unload(two), STATUS_SUCCESS);
        CHECK_EQ(bench.unload(three), STATUS_SUCCESS);
        CHECK_EQ(bench.unload(three), STATUS_FLT_FILTER_NOT_FOUND);
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(no_leaks(report));
}

TEST(no_query_teardown_no_manual_detach) {
    const std::string report = run([](Bench &bench) {
        Driver one(u"one");
        one.with_query_teardown = false;
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(one) == STATUS_SUCCESS);
        CHECK_EQ(bench.detach(one), STATUS_FLT_DO_NOT_DETACH);
        CHECK_EQ(bench.unload(one), STATUS_SUCCESS);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(registration_is_checked) {
    const std::string report = run([](Bench &bench) {
        Driver one(u"one");
        one.version = 0x0300;
        CHECK_EQ(one.load(bench.world), STATUS_INVALID_PARAMETER);
        one.version = FLT_REGISTRATION_VERSION;
        one.with_unload = false;
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        CHECK_EQ(bench.unload(one), STATUS_FLT_DO_NOT_DETACH);
        CHECK_EQ(bench.unload(one, true), STATUS_FLT_DO_NOT_DETACH);
        CHECK_EQ(FltStartFiltering(one.filter), STATUS_INVALID_PARAMETER);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(failing_entry_must_unregister) {
    const std::string clean = run([](Bench &bench) {
        Driver one(u"one");
        one.after_register = [&] {
            FltUnregisterFilter(one.filter);
            return STATUS_UNSUCCESSFUL;
        };
        CHECK_EQ(one.load(bench.world), STATUS_UNSUCCESSFUL);
        one.after_register = nullptr;
        CHECK_EQ(one.load(bench.world), STATUS_SUCCESS); // and again
        CHECK_EQ(bench.unload(one), STATUS_SUCCESS);
    });
    CHECK_EQ(rule_of(clean), std::string());
    const std::string dirty = run([](Bench &bench) {
        Driver one(u"one");
        one.after_register = [] { return STATUS_UNSUCCESSFUL; };
        one.load(bench.world);
    });
    CHECK(check::stopped_on(dirty, "REG-09"));
}

TEST(veto_and_mandatory_unload) {
    const std::string report = run([](Bench &bench) {
        Driver one(u"one");
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        one.unload = [&](ULONG flags) -> NTSTATUS {
            if ((flags & FLTFL_FILTER_UNLOAD_MANDATORY) == 0) {
                return STATUS_FLT_DO_NOT_DETACH;
            }
            FltUnregisterFilter(one.filter);
            one.filter = nullptr;
            return STATUS_FLT_DO_NOT_DETACH; // ignored
        };
        CHECK_EQ(bench.unload(one), STATUS_FLT_DO_NOT_DETACH);
        CHECK_EQ(bench.attach(one), STATUS_SUCCESS); // still works
        CHECK_EQ(bench.unload(one, true), STATUS_SUCCESS);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(draining) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        const std::string report = run(
            [](Bench &bench) {
                Driver low(u"low", u"1"), high(u"high", u"2");
                REQUIRE(low.load(bench.world) == STATUS_SUCCESS);
                REQUIRE(high.load(bench.world) == STATUS_SUCCESS);
                REQUIRE(bench.attach(low) == STATUS_SUCCESS);
                REQUIRE(bench.attach(high) == STATUS_SUCCESS);
                int drained = 0;
                int normal = 0;
                int high_posts = 0;
                int completed = 0;
                bool complete_called = false;
                std::string context = "mine";
                low.pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *completion) {
                    *completion = &context;
                    return FLT_PREOP_SUCCESS_WITH_CALLBACK;
                };
                low.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID completion,
                               FLT_POST_OPERATION_FLAGS flags) {
                    CHECK(completion == &context);
                    CHECK(!complete_called);
                    CHECK(executing().irql <= APC_LEVEL);
                    if ((flags & FLTFL_POST_OPERATION_DRAINING) != 0) {
                        ++drained;
                        CHECK((data->Flags & FLTFL_CALLBACK_DATA_DRAINING_IO) != 0);
                        data->IoStatus.Status = STATUS_ACCESS_DENIED; // a copy: no effect
                    } else {
                        ++normal;
                    }
                    return FLT_POSTOP_FINISHED_PROCESSING;
                };
                low.teardown_complete = [&](PCFLT_RELATED_OBJECTS, ULONG reason) {
                    complete_called = true;
                    CHECK_EQ(reason, FLTFL_INSTANCE_TEARDOWN_MANUAL);
                };
                high.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
                    ++high_posts;
                    return FLT_POSTOP_FINISHED_PROCESSING;
                };
                bench.fs->hold = true;
                std::vector<std::shared_ptr<io::Operation>> operations;
                for (int i = 0; i < 5; ++i) {
                    operations.push_back(bench.operation(IRP_MJ_READ));
                    operations.back()->on_completed = [&](io::Operation &) { ++completed; };
                    CHECK_EQ(bench.send(operations.back()), STATUS_PENDING);
                }
                bench.fs->complete_next();
                CHECK_EQ(normal, 1);
                CHECK_EQ(bench.detach(low), STATUS_SUCCESS);
                CHECK(complete_called);
                CHECK_EQ(drained, 4);
                CHECK_EQ(completed, 1);
                for (int i = 0; i < 4; ++i) {
                    bench.fs->complete_next(STATUS_DATA_ERROR);
                }
                CHECK_EQ(completed, 5);
                CHECK_EQ(normal, 1);
                CHECK_EQ(high_posts, 5);
                CHECK_EQ(operations.back()->io_status.Status, STATUS_DATA_ERROR);
            },
            seed);
        CHECK_EQ(rule_of(report), std::string());
        CHECK(no_leaks(report));
    }
}

TEST(draining_must_finish) {
    const std::string report = run([](Bench &bench) {
        Driver one(u"one");
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(one) == STATUS_SUCCESS);
        one.post = [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            return FLT_POSTOP_MORE_PROCESSING_REQUIRED;
        };
        bench.fs->hold = true;
        bench.send(bench.operation(IRP_MJ_READ));
        bench.detach(one);
    });
    CHECK(check::stopped_on(report, "V2"));
}

TEST(teardown_waits_for_pended_operations) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        const std::string report = run(
            [](Bench &bench) {
                Driver one(u"one");
                REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
                REQUIRE(bench.attach(one) == STATUS_SUCCESS);
                constexpr int kOperations = 4;
                int given_back = 0;
                bool torn = false;
                bool released = false;
                one.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS flags) {
                    CHECK_EQ(flags, 0u);
                    const NTSTATUS status = defer(data, [&](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                        bench.wait_until([&] { return released; });
                        CHECK(!torn);
                        ++given_back;
                        give_back(item, pended);
                    });
                    CHECK_EQ(status, STATUS_SUCCESS);
                    return FLT_POSTOP_MORE_PROCESSING_REQUIRED;
                };
                one.teardown_start = [&](PCFLT_RELATED_OBJECTS, ULONG) { released = true; };
                one.teardown_complete = [&](PCFLT_RELATED_OBJECTS, ULONG) {
                    torn = true;
                    CHECK_EQ(given_back, kOperations);
                };
                for (int i = 0; i < kOperations; ++i) {
                    CHECK_EQ(bench.send(bench.operation(IRP_MJ_WRITE)), STATUS_PENDING);
                }
                CHECK_EQ(bench.unload(one), STATUS_SUCCESS);
                CHECK(torn);
            },
            seed);
        CHECK_EQ(rule_of(report), std::string());
        CHECK(no_leaks(report));
    }
}

TEST(synchronised_operation_goes_on_when_drained) {
    const std::string report = run([](Bench &bench) {
        Driver one(u"one");
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(one) == STATUS_SUCCESS);
        one.pre = [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) { return FLT_PREOP_SYNCHRONIZE; };
        int drained = 0;
        one.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS flags) {
            drained += (flags & FLTFL_POST_OPERATION_DRAINING) != 0;
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        bench.fs->hold = true;
        bool returned = false;
        bench.start("requestor", [&] {
            CHECK_EQ(bench.send(bench.operation(IRP_MJ_SET_INFORMATION)), STATUS_PENDING);
            returned = true;
        });
        CHECK(bench.wait_until([&] { return !bench.fs->below.empty(); }));
        CHECK(!bench.wait_until([&] { return returned; }, 100));
        CHECK_EQ(bench.detach(one), STATUS_SUCCESS);
        CHECK_EQ(drained, 1);
        CHECK(bench.wait_until([&] { return returned; }));
        bench.fs->complete_next();
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(references_delay_unload_not_teardown) {
    const std::string report = run([](Bench &bench) {
        Driver one(u"one");
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(one) == STATUS_SUCCESS);
        PFLT_INSTANCE instance = nullptr;
        one.pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS objects, PVOID *) {
            instance = objects->Instance;
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        bench.send(bench.operation(IRP_MJ_READ));
        CHECK_EQ(FltObjectReference(instance), STATUS_SUCCESS);
        CHECK_EQ(FltObjectReference(one.filter), STATUS_SUCCESS);
        bool torn = false;
        bool unloaded = false;
        const PFLT_FILTER filter = one.filter;
        one.teardown_complete = [&](PCFLT_RELATED_OBJECTS, ULONG) { torn = true; };
        bench.start("unloader", [&] {
            CHECK_EQ(bench.unload(one), STATUS_SUCCESS);
            unloaded = true;
        });
        CHECK(bench.wait_until([&] { return torn; }));
        CHECK_EQ(FltObjectReference(instance), STATUS_FLT_DELETING_OBJECT);
        CHECK_EQ(FltObjectReference(filter), STATUS_FLT_DELETING_OBJECT);
        CHECK(!bench.wait_until([&] { return unloaded; }, 100));
        FltObjectDereference(instance);
        CHECK(!bench.wait_until([&] { return unloaded; }, 100));
        FltObjectDereference(filter);
        CHECK(bench.wait_until([&] { return unloaded; }));
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(unload_waits_for_the_workers_last_instruction) {
    const std::string report = run([](Bench &bench) {
        Driver one(u"one");
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(one) == STATUS_SUCCESS);
        bool worker_left = false;
        one.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            static_cast<void>(defer(data, [&](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                FltCompletePendedPostOperation(pended);
                bench.wait_until([] { return false; }, 500);
                FltFreeDeferredIoWorkItem(item);
                worker_left = true;
            }));
            return FLT_POSTOP_MORE_PROCESSING_REQUIRED;
        };
        CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_READ)), STATUS_SUCCESS);
        CHECK_EQ(bench.unload(one), STATUS_SUCCESS);
        CHECK(worker_left);
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(no_leaks(report));
}

TEST(lost_operation_is_v18_at_shutdown) {
    const std::string report = run([](Bench &bench) {
        static Driver *one;
        one = new Driver(u"one"); // it is still loaded at shutdown
        REQUIRE(one->load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(*one) == STATUS_SUCCESS);
        one->post = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            static_cast<void>(defer(
                data, [](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA) { FltFreeDeferredIoWorkItem(item); }));
            return FLT_POSTOP_MORE_PROCESSING_REQUIRED;
        };
        CHECK_EQ(bench.send(bench.operation(IRP_MJ_READ)), STATUS_PENDING);
    });
    CHECK(check::stopped_on(report, "V18"));
    CHECK(check::contains(report, "pended: op 1 READ irp"));
    CHECK(check::contains(report, "teardown waits for 1 pended"));
}

} // namespace MINIPEND_TEST_FILE
