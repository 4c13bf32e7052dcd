// SPDX-License-Identifier: MIT
//
// This module provides: tests of the order and the rules of pre- and post-operation callbacks [ALT-02, PRE-*, POST-37, SYNC-*, VER-05].

#include "flt/recorder.hpp"

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

using State = io::Operation::State;

struct Log {
    std::string text;
    void operator()(const std::string &line) { text += line + " "; }
};

void log_all(Driver &driver, Log &log, const std::string &name) {
    driver.pre = [&log, name](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *context) {
        log("pre-" + name);
        *context = &log;
        return FLT_PREOP_SUCCESS_WITH_CALLBACK;
    };
    driver.post = [&log, name](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID context, FLT_POST_OPERATION_FLAGS) {
        CHECK(context == &log);
        log("post-" + name);
        return FLT_POSTOP_FINISHED_PROCESSING;
    };
}

} // namespace

TEST(pre_high_to_low_post_low_to_high) {
    Log log;
    const std::string report = run([&](Bench &bench) {
        Driver low(u"low", u"99.9"), high(u"high", u"100");
        CHECK_EQ(low.load(bench.world), STATUS_SUCCESS);
        CHECK_EQ(high.load(bench.world), STATUS_SUCCESS);
        log_all(low, log, "low");
        log_all(high, log, "high");
        CHECK_EQ(bench.attach(low), STATUS_SUCCESS);
        CHECK_EQ(bench.attach(high), STATUS_SUCCESS);
        CHECK_EQ(bench.send(bench.operation(IRP_MJ_READ)), STATUS_SUCCESS);
        CHECK_EQ(bench.unload(low), STATUS_SUCCESS);
        CHECK_EQ(bench.unload(high), STATUS_SUCCESS);
    });
    CHECK_EQ(log.text, std::string("pre-high pre-low post-low post-high "));
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

TEST(form_flags_and_status) {
    const std::string report = run([&](Bench &bench) {
        Driver driver(u"one");
        REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
        CHECK_EQ(bench.attach(driver), STATUS_SUCCESS);
        ULONG seen = 0;
        NTSTATUS status = -1;
        driver.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID,
                          FLT_POST_OPERATION_FLAGS flags) {
            seen = data->Flags;
            status = data->IoStatus.Status;
            CHECK_EQ(flags, 0u);
            CHECK(data->Iopb->TargetInstance == objects->Instance);
            CHECK(data->Thread == reinterpret_cast<PETHREAD>(&executing()));
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        bench.fs->status = STATUS_END_OF_FILE;
        CHECK_EQ(bench.send(bench.operation(IRP_MJ_READ)), STATUS_END_OF_FILE);
        CHECK_EQ(seen, FLTFL_CALLBACK_DATA_IRP_OPERATION | FLTFL_CALLBACK_DATA_POST_OPERATION);
        CHECK_EQ(status, STATUS_END_OF_FILE);
        CHECK(bench.send_inline(bench.operation(IRP_MJ_READ, io::Form::FastIo)));
        CHECK_EQ(seen, FLTFL_CALLBACK_DATA_FAST_IO_OPERATION | FLTFL_CALLBACK_DATA_POST_OPERATION);
        CHECK(bench.send_inline(bench.operation(static_cast<UCHAR>(IRP_MJ_ACQUIRE_FOR_CC_FLUSH), io::Form::FsFilter)));
        CHECK_EQ(seen, FLTFL_CALLBACK_DATA_FS_FILTER_OPERATION | FLTFL_CALLBACK_DATA_POST_OPERATION);
        bench.fs->fast_io = false; // turned away by the file system
        CHECK(!bench.send_inline(bench.operation(IRP_MJ_READ, io::Form::FastIo)));
        CHECK_EQ(status, STATUS_FLT_DISALLOW_FAST_IO);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(fast_io_disallowed_by_a_lower_filter) {
    run([&](Bench &bench) {
        Driver low(u"low", u"1"), high(u"high", u"2");
        REQUIRE(low.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(high.load(bench.world) == STATUS_SUCCESS);
        bench.attach(low);
        bench.attach(high);
        NTSTATUS seen = 0;
        int low_posts = 0;
        low.pre = [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) { return FLT_PREOP_DISALLOW_FASTIO; };
        low.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            ++low_posts;
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        high.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            seen = data->IoStatus.Status;
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        CHECK(!bench.send_inline(bench.operation(IRP_MJ_READ, io::Form::FastIo)));
        CHECK_EQ(seen, STATUS_FLT_DISALLOW_FAST_IO);
        CHECK_EQ(low_posts, 0);
    });
}

TEST(completed_by_a_pre_operation) {
    Log log;
    run([&](Bench &bench) {
        Driver low(u"low", u"1"), high(u"high", u"2");
        REQUIRE(low.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(high.load(bench.world) == STATUS_SUCCESS);
        bench.attach(low);
        bench.attach(high);
        log_all(high, log, "high");
        low.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            data->IoStatus.Status = STATUS_ACCESS_DENIED;
            log("complete-low");
            return FLT_PREOP_COMPLETE;
        };
        low.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            log("post-low");
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        CHECK_EQ(bench.send(bench.operation(IRP_MJ_READ)), STATUS_ACCESS_DENIED);
    });
    CHECK_EQ(log.text, std::string("pre-high complete-low post-high "));
}

TEST(own_post_sees_its_own_parameters) {
    const std::string report = run([&](Bench &bench) {
        Driver driver(u"one");
        REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
        bench.attach(driver);
        ULONG in_post = 0;
        driver.pre = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            data->Iopb->Parameters.Read.Length = 7;
            FltSetCallbackDataDirty(data);
            return FLT_PREOP_SUCCESS_WITH_CALLBACK;
        };
        driver.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            in_post = data->Iopb->Parameters.Read.Length;
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        const auto operation = bench.operation(IRP_MJ_READ);
        operation->parameters.Read.Length = 512;
        bench.fs->hold = true;
        CHECK_EQ(bench.send(operation), STATUS_PENDING);
        CHECK_EQ(operation->parameters.Read.Length, 7u); // below
        bench.fs->complete_next();
        CHECK_EQ(in_post, 512u);
        CHECK_EQ(operation->parameters.Read.Length, 512u); // the requestor's own again
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(skip_flags) {
    run([&](Bench &bench) {
        Driver driver(u"one");
        driver.operation_flags = FLTFL_OPERATION_REGISTRATION_SKIP_PAGING_IO;
        REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
        bench.attach(driver);
        int pres = 0;
        driver.pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) {
            ++pres;
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        bench.send(bench.operation(IRP_MJ_READ, io::Form::Irp, IRP_PAGING_IO | IRP_NOCACHE));
        CHECK_EQ(pres, 0);
        bench.send(bench.operation(IRP_MJ_READ));
        CHECK_EQ(pres, 1);
    });
}

TEST(synchronised_post_runs_in_the_pre_operations_thread) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        const std::string report = run(
            [&](Bench &bench) {
                Driver driver(u"one");
                REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
                bench.attach(driver);
                Thread *const caller = &executing();
                bool ran = false;
                driver.pre = [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) { return FLT_PREOP_SYNCHRONIZE; };
                driver.post = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
                    CHECK(&executing() == caller);
                    CHECK_EQ(executing().irql, PASSIVE_LEVEL);
                    CHECK(executing().top_level_irp == nullptr);
                    ran = true;
                    return FLT_POSTOP_FINISHED_PROCESSING;
                };
                bench.fs->hold = true;
                {
                    KernelCall call("dpc");
                    bench.world.queue_dpc(
                        [&] {
                            while (bench.fs->below.empty()) {
                                return;
                            }
                            bench.fs->complete_next();
                        },
                        bench.world.interrupt_time_100ns() + 50'000);
                }
                CHECK_EQ(bench.send(bench.operation(IRP_MJ_SET_INFORMATION)), STATUS_SUCCESS);
                CHECK(ran);
                // FAT: completed inline with a top-level IRP; the synchronised post-operation comes after it was cleared [POST-13].
                bench.fs->hold = false;
                bench.fs->top_level_irp = &bench;
                ran = false;
                CHECK_EQ(bench.send(bench.operation(IRP_MJ_SET_INFORMATION)), STATUS_SUCCESS);
                CHECK(ran);
            },
            seed);
        CHECK_EQ(rule_of(report), std::string());
    }
}

TEST(bad_return_values_stop_the_world) {
    const auto with_pre = [](FLT_PREOP_CALLBACK_STATUS status, UCHAR major, ULONG irp_flags = 0) {
        return rule_of(run([&](Bench &bench) {
                   Driver driver(u"one");
                   REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
                   bench.attach(driver);
                   driver.pre = [=](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) { return status; };
                   bench.send(bench.operation(major, io::Form::Irp, irp_flags));
               }))
            .substr(0, 3);
    };
    CHECK_EQ(with_pre(static_cast<FLT_PREOP_CALLBACK_STATUS>(7), IRP_MJ_READ), std::string("V8 "));
    CHECK_EQ(with_pre(FLT_PREOP_DISALLOW_FASTIO, IRP_MJ_READ), std::string("V8 "));
    CHECK_EQ(with_pre(FLT_PREOP_DISALLOW_FSFILTER_IO, IRP_MJ_READ), std::string("V8 "));
    CHECK_EQ(with_pre(FLT_PREOP_SYNCHRONIZE, IRP_MJ_READ), std::string("V22"));
    CHECK_EQ(with_pre(FLT_PREOP_SYNCHRONIZE, IRP_MJ_READ, IRP_SYNCHRONOUS_API), std::string(""));
}

TEST(changes_are_checked) {
    const auto with_post = [](UCHAR major, const std::function<void(PFLT_CALLBACK_DATA)> &change) {
        return rule_of(run([&](Bench &bench) {
                   Driver driver(u"one");
                   REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
                   bench.attach(driver);
                   driver.post = [=](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
                       change(data);
                       return FLT_POSTOP_FINISHED_PROCESSING;
                   };
                   bench.send(bench.operation(major));
               }))
            .substr(0, 3);
    };
    CHECK_EQ(with_post(IRP_MJ_READ, [](PFLT_CALLBACK_DATA data) { data->Iopb->Parameters.Read.Length = 1; }),
             std::string("V6 "));
    CHECK_EQ(with_post(IRP_MJ_READ, [](PFLT_CALLBACK_DATA data) { data->IoStatus.Status = STATUS_PENDING; }),
             std::string("V7 "));
    CHECK_EQ(with_post(IRP_MJ_CLEANUP, [](PFLT_CALLBACK_DATA data) { data->IoStatus.Status = STATUS_ACCESS_DENIED; }),
             std::string("V7 "));
    CHECK_EQ(with_post(IRP_MJ_CREATE, [](PFLT_CALLBACK_DATA data) { data->IoStatus.Status = STATUS_ACCESS_DENIED; }),
             std::string("V7 "));
    CHECK_EQ(with_post(IRP_MJ_READ, [](PFLT_CALLBACK_DATA data) { data->IoStatus.Status = STATUS_ACCESS_DENIED; }),
             std::string(""));
}

TEST(completion_context_without_post) {
    const std::string report = run([&](Bench &bench) {
        Driver driver(u"one");
        REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
        bench.attach(driver);
        driver.pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *context) {
            *context = &bench;
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        bench.send(bench.operation(IRP_MJ_READ));
    });
    CHECK(check::stopped_on(report, "V9"));
}

TEST(cancelled_open_is_cleaned_up_below) {
    Log log;
    const std::string report = run([&](Bench &bench) {
        Driver low(u"low", u"1"), middle(u"middle", u"2"), high(u"high", u"3");
        for (Driver *driver : {&low, &middle, &high}) {
            REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
            REQUIRE(bench.attach(*driver) == STATUS_SUCCESS);
        }
        const auto record = [&](const std::string &name) {
            return [&log, name](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
                log(name + std::to_string(data->Iopb->MajorFunction) + (NT_SUCCESS(data->IoStatus.Status) ? "+" : "-"));
                return FLT_POSTOP_FINISHED_PROCESSING;
            };
        };
        low.post = record("low");
        high.post = record("high");
        middle.post = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID, FLT_POST_OPERATION_FLAGS) {
            FltCancelFileOpen(objects->Instance, objects->FileObject);
            data->IoStatus.Status = STATUS_ACCESS_DENIED;
            data->IoStatus.Information = 0;
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        CHECK_EQ(bench.send(bench.operation(IRP_MJ_CREATE)), STATUS_ACCESS_DENIED);
    });
    CHECK_EQ(log.text, std::string("low0+ low18+ low2+ high0- "));
    CHECK_EQ(rule_of(report), std::string());
}

} // namespace MINIPEND_TEST_FILE
