// SPDX-License-Identifier: MIT
//
// This module provides: tests of the verifier's rules about what a driver gives back wrongly: callback data, return values, the output length of a message, DriverUnload,
// a veto that comes too late, strings.

#include "flt/recorder.hpp"

#include <cstring>
#include <fltsim_user.h>

#include "core/handles.hpp"
#include "flt/internal.hpp"
#include "fltsim.h"

namespace MINIPEND_TEST_FILE {

using namespace recorder;
using check::stopped_on;

namespace {

/// One driver with these callbacks on one instance; then `fn`. A world that stops leaves its driver.
std::string with(const Pre &pre, const Post &post, const std::function<void(Bench &, Driver &)> &fn) {
    return run([&](Bench &bench) {
        static auto &left = *new std::vector<Driver *>;
        Driver *driver = left.emplace_back(new Driver(u"one"));
        REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(*driver) == STATUS_SUCCESS);
        driver->pre = pre;
        driver->post = post;
        fn(bench, *driver);
        if (driver->filter) {
            bench.unload(*driver);
        }
    });
}

void send_a_read(Bench &bench, Driver &) {
    bench.send_and_wait(bench.operation(IRP_MJ_READ));
}

FLT_POSTOP_CALLBACK_STATUS finish(PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
    return FLT_POSTOP_FINISHED_PROCESSING;
}

} // namespace

TEST(thread_and_mode_are_not_a_filters) {
    const auto changed = [](const std::function<void(PFLT_CALLBACK_DATA)> &change) {
        return rule_of(with(
            nullptr,
            [=](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
                change(data);
                FltSetCallbackDataDirty(data);
                return FLT_POSTOP_FINISHED_PROCESSING;
            },
            send_a_read));
    };
    const std::string rule = "INFO-03 callback data changed";
    CHECK_EQ(changed([](PFLT_CALLBACK_DATA data) { const_cast<PETHREAD &>(data->Thread) = nullptr; }), rule);
    CHECK_EQ(changed([](PFLT_CALLBACK_DATA data) {
                 data->RequestorMode = data->RequestorMode == KernelMode ? UserMode : KernelMode;
             }),
             rule);
    CHECK_EQ(changed([](PFLT_CALLBACK_DATA) {}), std::string());
}

TEST(what_cannot_be_synchronised) {
    const auto synchronised = [](UCHAR major, UCHAR minor, ULONG code = 0) {
        return rule_of(with([](PFLT_CALLBACK_DATA, PCFLT_RELATED_OBJECTS, PVOID *) { return FLT_PREOP_SYNCHRONIZE; },
                            finish,
                            [=](Bench &bench, Driver &driver) {
                                const auto operation = bench.operation(major, io::Form::Irp, IRP_SYNCHRONOUS_API);
                                operation->minor = minor;
                                operation->parameters.FileSystemControl.Common.FsControlCode = code;
                                bench.send_and_wait(operation);
                                driver.pre = nullptr;
                            }));
    };
    const std::string rule = "V22 SYNCHRONIZE not allowed";
    CHECK_EQ(synchronised(IRP_MJ_DIRECTORY_CONTROL, IRP_MN_NOTIFY_CHANGE_DIRECTORY), rule);
    CHECK_EQ(synchronised(IRP_MJ_DIRECTORY_CONTROL, IRP_MN_QUERY_DIRECTORY), std::string());
    CHECK_EQ(synchronised(IRP_MJ_LOCK_CONTROL, IRP_MN_LOCK), rule);
    CHECK_EQ(synchronised(IRP_MJ_LOCK_CONTROL, IRP_MN_UNLOCK_SINGLE), std::string());
    for (const ULONG code : {FSCTL_REQUEST_OPLOCK_LEVEL_1, FSCTL_REQUEST_OPLOCK_LEVEL_2, FSCTL_REQUEST_BATCH_OPLOCK,
                             FSCTL_REQUEST_FILTER_OPLOCK, FSCTL_REQUEST_OPLOCK}) {
        CHECK_EQ(synchronised(IRP_MJ_FILE_SYSTEM_CONTROL, IRP_MN_USER_FS_REQUEST, code), rule);
    }
    CHECK_EQ(synchronised(IRP_MJ_FILE_SYSTEM_CONTROL, IRP_MN_USER_FS_REQUEST, FSCTL_GET_REPARSE_POINT), std::string());
}

TEST(given_back_where_nothing_was_pended) {
    const std::string in_pre = with(
        [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            FltCompletePendedPostOperation(data);
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        },
        nullptr, send_a_read);
    CHECK_EQ(rule_of(in_pre), std::string("V3 FltCompletePendedPostOperation in a pre-operation"));
    const std::string draining = with(
        nullptr,
        [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
            FltCompletePendedPostOperation(data);
            return FLT_POSTOP_FINISHED_PROCESSING;
        },
        [](Bench &bench, Driver &driver) {
            bench.fs->hold = true;
            bench.send(bench.operation(IRP_MJ_READ));
            bench.detach(driver);
        });
    CHECK_EQ(rule_of(draining), std::string("V3 FltCompletePendedPostOperation of a draining call"));
}

/// What was given back is named, and its history is in the report.
TEST(what_was_given_back_twice_is_named) {
    const std::string report = with(
        nullptr,
        [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, ULONG) {
            static_cast<void>(defer(data, [](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                FltFreeDeferredIoWorkItem(item);
                FltCompletePendedPostOperation(pended);
                FltCompletePendedPostOperation(pended);
            }));
            return FLT_POSTOP_MORE_PROCESSING_REQUIRED;
        },
        [](Bench &bench, Driver &driver) {
            send_a_read(bench, driver);
            bench.wait_until([] { return false; }, 100);
        });
    CHECK(stopped_on(report, "V3"));
    CHECK(check::contains(report, "op 1 was given back already"));
    CHECK(check::contains(report, "\"operation\":[\"op 1 READ irp T:\\\\dir\\\\file.txt: queued by "));
}

/// The stop below, and those of files' and creates' mistakes, come in the model itself and do not return: what only its frames hold is dead there, not
/// leaked.
extern "C" const char *__lsan_default_suppressions() {
    return "leak:test_a_create_that_opens_nothing\n"
           "leak:test_mistakes_with_own_files\n"
           "leak:report_of_swap\n"
           "leak:test_mistakes_with_callback_data\n"
           "leak:test_mistakes_with_extra_create_parameters\n"
           "leak:test_mistakes_with_process_notify_routines\n"
           "leak:test_mistakes_with_processes\n"
           "leak:test_a_file_that_is_not_open_has_no_name_yet\n"
           "leak:test_queries_need_a_thread_without_a_top_level_irp\n";
}

/// A create that ends with success without having come to a file system.
TEST(a_create_that_opens_nothing) {
    const std::string report = run_known(Executor::Fibers, [](Bench &bench) {
        static auto &left = *new std::vector<Driver *>;
        Driver *driver = left.emplace_back(new Driver(u"one"));
        REQUIRE(driver->load(bench.world, 0) == STATUS_SUCCESS); // on all volumes
        driver->pre = [](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            if (data->Iopb->MajorFunction != IRP_MJ_CREATE) {
                return FLT_PREOP_SUCCESS_NO_CALLBACK;
            }
            data->IoStatus.Status = STATUS_SUCCESS;
            data->IoStatus.Information = FILE_OPENED;
            return FLT_PREOP_COMPLETE;
        };
        CreateFileW(u"D:\\none", GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, 0, nullptr);
    });
    CHECK_EQ(rule_of(report), std::string("INVALID_CREATE_STATUS"));
    CHECK(check::contains(report, "\\\\none"));
}

namespace {

Driver *g_driver = nullptr;

NTSTATUS FLTAPI say_more(PVOID, PVOID, ULONG, PVOID, ULONG out_bytes, PULONG returned) {
    *returned = out_bytes + 1;
    return STATUS_SUCCESS;
}

} // namespace

TEST(a_reply_longer_than_its_buffer) {
    const std::string report = run([](Bench &bench) {
        static auto &left = *new std::vector<Driver *>;
        Driver *driver = g_driver = left.emplace_back(new Driver(u"one"));
        driver->after_register = [] {
            static char16_t name[] = u"\\LongPort";
            UNICODE_STRING text{sizeof name - 2, sizeof name, reinterpret_cast<PWCH>(name)};
            OBJECT_ATTRIBUTES object{};
            object.Length = sizeof object;
            object.ObjectName = &text;
            object.Attributes = OBJ_KERNEL_HANDLE;
            static PFLT_PORT port;
            return FltCreateCommunicationPort(
                g_driver->filter, &port, &object, nullptr,
                [](PFLT_PORT, PVOID, PVOID, ULONG, PVOID *) FLTAPI -> NTSTATUS { return STATUS_SUCCESS; },
                [](PVOID) FLTAPI {}, say_more, 1);
        };
        REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
        std::shared_ptr<Object> port;
        const KernelCall call("FilterConnectCommunicationPort");
        REQUIRE(bench.world.flt->connect_port(u"\\LongPort", nullptr, 0, &port) == STATUS_SUCCESS);
        char out[4];
        uint32_t returned = 0;
        bench.world.flt->send_message(*port, nullptr, 0, out, sizeof out, &returned);
    });
    CHECK_EQ(rule_of(report), std::string("MSGN-03 ReturnOutputBufferLength"));
}

TEST(unloading_against_the_rules) {
    const std::string veto = run([](Bench &bench) {
        static auto &left = *new std::vector<Driver *>;
        Driver *driver = left.emplace_back(new Driver(u"one"));
        REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
        driver->unload = [driver](ULONG) {
            FltUnregisterFilter(driver->filter);
            driver->filter = nullptr;
            return STATUS_FLT_DO_NOT_DETACH;
        };
        bench.unload(*driver);
    });
    CHECK_EQ(rule_of(veto), std::string("UNL-01 veto after FltUnregisterFilter"));
    const std::string overwritten = run([](Bench &bench) {
        static auto &left = *new std::vector<Driver *>;
        Driver *driver = left.emplace_back(new Driver(u"one"));
        REQUIRE(driver->load(bench.world) == STATUS_SUCCESS);
        flt::manager().drivers.back()->object.DriverUnload = nullptr;
        bench.unload(*driver);
    });
    CHECK_EQ(rule_of(overwritten), std::string("KMDF-03 DriverUnload overwritten"));
}

TEST(strings_that_are_none) {
    const auto compared = [](PCUNICODE_STRING text) {
        return rule_of(run([=](Bench &) {
            UNICODE_STRING empty{};
            static_cast<void>(RtlEqualUnicodeString(text, &empty, FALSE));
        }));
    };
    WCHAR buffer[2] = {'a', 'b'};
    UNICODE_STRING odd{3, 4, buffer};
    UNICODE_STRING longer{4, 2, buffer};
    UNICODE_STRING nowhere{4, 4, nullptr};
    CHECK_EQ(compared(nullptr), std::string("STRING is null"));
    for (const UNICODE_STRING *text : {&odd, &longer, &nowhere}) {
        CHECK_EQ(compared(text), std::string("STRING is malformed"));
    }
}

} // namespace MINIPEND_TEST_FILE
