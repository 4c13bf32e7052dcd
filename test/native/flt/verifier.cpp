// SPDX-License-Identifier: MIT
//
// This module provides: tests of the verifier's rules about single calls: FltCancelFileOpen, FltDoCompletionProcessingWhenSafe, the top-level IRP,
// memory that was given back, and the names of rename targets [CRE-02..04, SAFE-01..04, NAME-06, POST-12, POST-17, POST-24].

#include "flt/recorder.hpp"

#include "core/faults.hpp"

namespace MINIPEND_TEST_FILE {

using namespace recorder;
using check::stopped_on;

namespace {

using PostBody = std::function<FLT_POSTOP_CALLBACK_STATUS(PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, ULONG)>;

/// One driver with this post-operation; then `fn`.
std::string with_post(const PostBody &post, const std::function<void(Bench &, Driver &)> &fn) {
    return run([&](Bench &bench) {
        // A world that stops leaves its driver; it is never destroyed, because that would unload it.
        static auto &left = *new std::vector<Driver *>;
        Driver *driver = left.emplace_back(new Driver(u"one"));
        REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(*driver) == STATUS_SUCCESS);
        driver->post = post;
        fn(bench, *driver);
        if (driver->filter) {
            bench.unload(*driver);
        }
    });
}

FLT_POSTOP_CALLBACK_STATUS fail_create(PFLT_CALLBACK_DATA data) {
    data->IoStatus.Status = STATUS_ACCESS_DENIED;
    data->IoStatus.Information = 0;
    return FLT_POSTOP_FINISHED_PROCESSING;
}

FLT_POSTOP_CALLBACK_STATUS FLTAPI never(PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
    CHECK(false);
    return FLT_POSTOP_FINISHED_PROCESSING;
}

} // namespace

TEST(cancelled_open_in_the_wrong_place) {
    const auto cancel = [](UCHAR major, NTSTATUS status, ULONG flags, int times) {
        return with_post(
            [=](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID, ULONG) {
                for (int i = 0; i < times; ++i) {
                    FltCancelFileOpen(objects->Instance, objects->FileObject);
                }
                return fail_create(data);
            },
            [=](Bench &bench, Driver &) {
                bench.file->native.Flags |= flags;
                bench.fs->status = status;
                bench.send(bench.operation(major));
            });
    };
    CHECK_EQ(rule_of(cancel(IRP_MJ_CREATE, STATUS_SUCCESS, 0, 1)), std::string());
    CHECK(stopped_on(cancel(IRP_MJ_CREATE, STATUS_SUCCESS, 0, 2), "V12"));
    CHECK(stopped_on(cancel(IRP_MJ_CREATE, STATUS_OBJECT_NAME_NOT_FOUND, 0, 1), "V12"));
    CHECK(stopped_on(cancel(IRP_MJ_CREATE, STATUS_REPARSE, 0, 1), "V12"));
    CHECK(stopped_on(cancel(IRP_MJ_READ, STATUS_SUCCESS, 0, 1), "V12"));
    CHECK(stopped_on(cancel(IRP_MJ_CREATE, STATUS_SUCCESS, FO_HANDLE_CREATED, 1), "F5/6A"));
    // And a successful create cannot be failed without it.
    const std::string left_open =
        with_post([](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) { return fail_create(data); },
                  [](Bench &bench, Driver &) { bench.send(bench.operation(IRP_MJ_CREATE)); });
    CHECK(stopped_on(left_open, "V7"));
}

TEST(cancelled_open_by_a_worker) {
    const std::string report = with_post(
        [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
            const NTSTATUS status = defer(data, [](PFLT_DEFERRED_IO_WORKITEM, PFLT_CALLBACK_DATA pended) {
                FltCancelFileOpen(pended->Iopb->TargetInstance, pended->Iopb->TargetFileObject);
            });
            return NT_SUCCESS(status) ? FLT_POSTOP_MORE_PROCESSING_REQUIRED : FLT_POSTOP_FINISHED_PROCESSING;
        },
        [](Bench &bench, Driver &) { bench.send_and_wait(bench.operation(IRP_MJ_CREATE)); });
    CHECK(stopped_on(report, "V12")); // whether the callback has returned yet or not
}

TEST(top_level_irp_is_not_a_filters) {
    const std::string report = with_post(
        [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
            IoSetTopLevelIrp(nullptr);
            return FLT_POSTOP_FINISHED_PROCESSING;
        },
        [](Bench &bench, Driver &) { bench.send(bench.operation(IRP_MJ_READ)); });
    CHECK(stopped_on(report, "V19"));
}

#if !defined(__SANITIZE_ADDRESS__)
TEST(data_written_after_it_was_given_back) {
    const std::string report = with_post(
        [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
            const NTSTATUS status = defer(data, [](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                FltCompletePendedPostOperation(pended);
                pended->IoStatus.Information = 1;
                FltFreeDeferredIoWorkItem(item);
            });
            return NT_SUCCESS(status) ? FLT_POSTOP_MORE_PROCESSING_REQUIRED : FLT_POSTOP_FINISHED_PROCESSING;
        },
        [](Bench &bench, Driver &) { bench.send_and_wait(bench.operation(IRP_MJ_READ)); });
    CHECK(stopped_on(report, "V13 memory written after it was given back"));
}
#endif

TEST(safe_completion_refused) {
    const auto refused = [](ULONG irp_flags, PVOID top_level, bool with_fault) {
        int refusals = 0;
        const std::string report = with_post(
            [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID context, ULONG flags) {
                FLT_POSTOP_CALLBACK_STATUS result = FLT_POSTOP_MORE_PROCESSING_REQUIRED;
                CHECK(!FltDoCompletionProcessingWhenSafe(data, objects, context, flags, never, &result));
                CHECK_EQ(result, FLT_POSTOP_FINISHED_PROCESSING);
                ++refusals;
                return result;
            },
            [&](Bench &bench, Driver &) {
                bench.fs->hold = true;
                const auto operation = bench.operation(IRP_MJ_READ, io::Form::Irp, irp_flags);
                bench.send(operation);
                if (with_fault) {
                    CHECK(bench.world.faults->set("FltDoCompletionProcessingWhenSafe", 0, 1));
                }
                KernelCall call("dpc");
                bench.world.queue_dpc([&] {
                    Thread &interrupted = current_thread();
                    const PVOID before = interrupted.top_level_irp;
                    interrupted.top_level_irp = top_level;
                    bench.fs->complete_next();
                    interrupted.top_level_irp = before;
                });
                bench.world.block(
                    operation.get(), [&] { return operation->state == io::Operation::State::Completed; },
                    bench.world.interrupt_time_100ns() + 600'000'000);
            });
        CHECK_EQ(refusals, 1);
        return rule_of(report);
    };
    CHECK_EQ(refused(IRP_PAGING_IO | IRP_NOCACHE, nullptr, false), std::string());
    CHECK_EQ(refused(IRP_NOCACHE, reinterpret_cast<PVOID>(2), false), std::string());
    CHECK_EQ(refused(IRP_NOCACHE, nullptr, true), std::string());
}

TEST(safe_completion_in_the_wrong_place) {
    const auto safe = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, ULONG flags) {
        FLT_POSTOP_CALLBACK_STATUS result = FLT_POSTOP_FINISHED_PROCESSING;
        FltDoCompletionProcessingWhenSafe(data, objects, nullptr, flags, never, &result);
        return result;
    };
    const auto in_post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID, ULONG flags) {
        return safe(data, objects, flags);
    };
    CHECK(stopped_on(
        with_post(in_post,
                  [](Bench &bench, Driver &) { bench.send_inline(bench.operation(IRP_MJ_READ, io::Form::FastIo)); }),
        "SAFE-01 not an IRP-based operation"));
    CHECK(stopped_on(with_post(in_post,
                               [](Bench &bench, Driver &driver) {
                                   bench.fs->hold = true;
                                   bench.send(bench.operation(IRP_MJ_READ));
                                   bench.detach(driver);
                               }),
                     "DRAIN-04"));
    CHECK(stopped_on(with_post({},
                               [&](Bench &bench, Driver &driver) {
                                   driver.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *) {
                                       safe(data, objects, 0);
                                       return FLT_PREOP_SUCCESS_NO_CALLBACK;
                                   };
                                   bench.send(bench.operation(IRP_MJ_READ));
                               }),
                     "SAFE-01 not in a post-operation"));
}

TEST(safe_completion_that_pends) {
    // SafePostCallback returned MORE_PROCESSING: the filter owes the give-back [SAFE-03].
    static PFLT_CALLBACK_DATA g_owed;
    g_owed = nullptr;
    constexpr auto owing = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS)
                               FLTAPI -> FLT_POSTOP_CALLBACK_STATUS {
        g_owed = data;
        return FLT_POSTOP_MORE_PROCESSING_REQUIRED;
    };
    const std::string report = with_post(
        [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID context, ULONG flags) {
            FLT_POSTOP_CALLBACK_STATUS result = FLT_POSTOP_FINISHED_PROCESSING;
            CHECK(FltDoCompletionProcessingWhenSafe(data, objects, context, flags, owing, &result));
            return result;
        },
        [&](Bench &bench, Driver &) {
            bench.fs->hold = true;
            const auto operation = bench.operation(IRP_MJ_READ, io::Form::Irp, IRP_NOCACHE);
            bench.send(operation);
            {
                KernelCall call("dpc");
                bench.world.queue_dpc([&] { bench.fs->complete_next(); });
            }
            CHECK(bench.wait_until([&] { return g_owed != nullptr; }));
            bench.wait_until([] { return false; }, 50);
            CHECK(operation->state == io::Operation::State::PendedPost);
            FltCompletePendedPostOperation(g_owed);
            CHECK(operation->state == io::Operation::State::Completed);
        });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

TEST(top_level_irp_can_be_overlooked_on_request) {
    std::vector<NTSTATUS> statuses;
    const std::string report = with_post(
        [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
            statuses.push_back(defer(data, [](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                FltCompletePendedPostOperation(pended);
                FltFreeDeferredIoWorkItem(item);
            }));
            return NT_SUCCESS(statuses.back()) ? FLT_POSTOP_MORE_PROCESSING_REQUIRED : FLT_POSTOP_FINISHED_PROCESSING;
        },
        [&](Bench &bench, Driver &) {
            CHECK(bench.world.faults->set("FltQueueDeferredIoWorkItem:TopLevelIrp", 0, 1));
            CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_READ)), STATUS_SUCCESS); // none is set: not used up
            bench.fs->top_level_irp = reinterpret_cast<PVOID>(1);
            CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_READ)), STATUS_SUCCESS);
            CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_READ)), STATUS_SUCCESS);
        });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(statuses == std::vector<NTSTATUS>({STATUS_SUCCESS, STATUS_SUCCESS, STATUS_FLT_NOT_SAFE_TO_POST_OPERATION}));
}

TEST(names_of_rename_targets) {
    std::map<std::u16string, std::u16string> names;
    NTSTATUS bad_format = 0;
    NTSTATUS other_volume = 0;
    NTSTATUS odd = 0;
    const std::string report = with_post({}, [&](Bench &bench, Driver &driver) {
        driver.pre = [&](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS objects, PVOID *) {
            const auto ask = [&](std::u16string target, ULONG options, PFLT_FILE_NAME_INFORMATION *answer,
                                 ULONG bytes = 0) {
                return FltGetDestinationFileNameInformation(
                    objects->Instance, objects->FileObject, nullptr, reinterpret_cast<PWSTR>(target.data()),
                    bytes != 0 ? bytes : static_cast<ULONG>(target.size() * 2), options, answer);
            };
            for (const std::u16string target : {u"new.txt", u"\\Device\\TestVolume\\other\\x"}) {
                PFLT_FILE_NAME_INFORMATION information = nullptr;
                CHECK_EQ(ask(target, FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_DEFAULT, &information),
                         STATUS_SUCCESS);
                if (information) {
                    names[target].assign(reinterpret_cast<const char16_t *>(information->Name.Buffer),
                                         information->Name.Length / 2);
                    FltReleaseFileNameInformation(information);
                }
            }
            PFLT_FILE_NAME_INFORMATION none = nullptr;
            bad_format = ask(u"x", FLT_FILE_NAME_SHORT, &none);
            other_volume = ask(u"\\??\\C:\\x", FLT_FILE_NAME_OPENED, &none);
            odd = ask(u"xy", FLT_FILE_NAME_OPENED, &none, 3);
            CHECK(none == nullptr);
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        bench.send(bench.operation(IRP_MJ_SET_INFORMATION));
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(names[u"new.txt"] == u"\\Device\\TestVolume\\dir\\new.txt");
    CHECK(names[u"\\Device\\TestVolume\\other\\x"] == u"\\Device\\TestVolume\\other\\x");
    CHECK_EQ(bad_format, STATUS_INVALID_PARAMETER);
    CHECK_EQ(other_volume, STATUS_NOT_SAME_DEVICE);
    CHECK_EQ(odd, STATUS_INVALID_PARAMETER);
    CHECK(check::contains(report, "\"leaks\":[]"));
}

TEST(objects_that_are_none_or_gone) {
    const auto nothing = [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
        return FLT_POSTOP_FINISHED_PROCESSING;
    };
    const auto rule = [&](const std::function<void(Driver &)> &mistake) {
        return with_post(nothing, [&](Bench &, Driver &driver) { mistake(driver); });
    };
    CHECK(stopped_on(rule([](Driver &driver) {
                         ULONG bytes = 0;
                         FltGetVolumeName(reinterpret_cast<PFLT_VOLUME>(driver.filter), nullptr, &bytes);
                     }),
                     "VER-02 bad object"));
    CHECK(stopped_on(rule([](Driver &driver) {
                         ULONG bytes = 0;
                         FltGetInstanceInformation(reinterpret_cast<PFLT_INSTANCE>(driver.filter),
                                                   InstanceFullInformation, nullptr, 0, &bytes);
                     }),
                     "VER-02 bad object"));
    CHECK(stopped_on(rule([](Driver &driver) { FltObjectDereference(driver.filter); }), "VER-02 reference"));
    CHECK(stopped_on(rule([](Driver &) { FltObjectDereference(nullptr); }), "VER-02 bad object"));
    CHECK(stopped_on(rule([](Driver &) {
                         alignas(16) char bytes[16];
                         ProbeForRead(bytes, sizeof bytes, 3);
                     }),
                     "PROBE"));
}

TEST(names_that_are_released_too_often) {
    const auto release = [](int times) {
        return with_post(
            [=](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
                PFLT_FILE_NAME_INFORMATION name = nullptr;
                CHECK_EQ(FltGetFileNameInformation(data, FLT_FILE_NAME_NORMALIZED | FLT_FILE_NAME_QUERY_DEFAULT, &name),
                         STATUS_SUCCESS);
                for (int i = 0; i < times; ++i) {
                    FltReleaseFileNameInformation(name);
                }
                return FLT_POSTOP_FINISHED_PROCESSING;
            },
            [](Bench &bench, Driver &) { bench.send(bench.operation(IRP_MJ_READ)); });
    };
    CHECK_EQ(rule_of(release(1)), std::string());
    CHECK(stopped_on(release(2), "F5/68"));
}

TEST(completed_with_pending) {
    const std::string report = with_post(
        [](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, ULONG) { return FLT_POSTOP_FINISHED_PROCESSING; },
        [](Bench &bench, Driver &) {
            bench.fs->hold = true;
            bench.send(bench.operation(IRP_MJ_READ));
            bench.fs->complete_next(STATUS_PENDING);
        });
    CHECK(stopped_on(report, "C9/6"));
}

} // namespace MINIPEND_TEST_FILE
