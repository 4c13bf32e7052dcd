// SPDX-License-Identifier: MIT
//
// This module provides: tests of a volume that is dismounted under its filters, and of a service that is stopped [LIFE-16, UNL-02].

#include "flt/recorder.hpp"

#include <atomic>
#include <fltsim_user.h>

#include "fltsim.h"

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

constexpr DWORD SHARE = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

HANDLE open(const char16_t *path, DWORD disposition) {
    return CreateFileW(path, GENERIC_READ | GENERIC_WRITE, SHARE, nullptr, disposition, 0, nullptr);
}

NTSTATUS dismount(Bench &bench, const char *volume) {
    int32_t status = STATUS_PENDING;
    CHECK_EQ(FltSimDismountVolume(bench.world.number, volume, &status), 0);
    return status;
}

} // namespace

TEST(instances_go_with_the_volume) {
    for (const Executor executor : {Executor::Fibers, Executor::Threads}) {
        const std::string report = run_known(executor, [](Bench &bench) {
            Driver low(u"low", u"1"), high(u"high", u"2");
            REQUIRE(low.load(bench.world) == STATUS_SUCCESS);
            REQUIRE(high.load(bench.world, 0) == STATUS_SUCCESS); // attaches by itself
            CHECK_EQ(FilterAttach(u"low", u"D:", nullptr, 0, nullptr), S_OK);
            low.query_teardown = [] { return STATUS_FLT_DO_NOT_DETACH; }; // not asked
            std::atomic<ULONG> started{0};
            std::atomic<ULONG> reasons{0};
            std::atomic<bool> held{false};
            std::atomic<bool> release{false};
            std::atomic<bool> given_back{false};
            low.teardown_start = [&](PCFLT_RELATED_OBJECTS, ULONG reason) {
                started = reason;
                release = true;
            };
            low.teardown_complete = [&](PCFLT_RELATED_OBJECTS, ULONG reason) {
                CHECK(given_back);
                reasons = reason;
            };
            low.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS flags) {
                if (flags != 0 || data->Iopb->MajorFunction != IRP_MJ_WRITE) {
                    return FLT_POSTOP_FINISHED_PROCESSING;
                }
                const NTSTATUS status = defer(data, [&](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                    held = true;
                    bench.wait_until([&] { return release.load(); });
                    given_back = true;
                    FltCompletePendedPostOperation(pended);
                    FltFreeDeferredIoWorkItem(item);
                });
                return NT_SUCCESS(status) ? FLT_POSTOP_MORE_PROCESSING_REQUIRED : FLT_POSTOP_FINISHED_PROCESSING;
            };
            const HANDLE file = open(u"D:\\a", CREATE_NEW);
            CHECK(file != INVALID_HANDLE_VALUE);
            std::atomic<BOOL> written{2};
            bench.start("writer", [&] {
                DWORD bytes = 0;
                written = WriteFile(file, "abcd", 4, &bytes, nullptr);
            });
            CHECK(bench.wait_until([&] { return held.load(); }));
            CHECK_EQ(dismount(bench, "D:"), STATUS_SUCCESS);
            CHECK_EQ(started.load(), FLTFL_INSTANCE_TEARDOWN_VOLUME_DISMOUNT);
            CHECK_EQ(reasons.load(), FLTFL_INSTANCE_TEARDOWN_VOLUME_DISMOUNT);
            CHECK(bench.wait_until([&] { return written == TRUE; })); // what was under way has its end

            // The file is cut off, the volume comes back with its data and with the automatic instances only.
            DWORD bytes = 0;
            char data[4] = {};
            CHECK(ReadFile(file, data, 4, &bytes, nullptr) == FALSE);
            CHECK_EQ(RtlGetLastNtStatus(), STATUS_VOLUME_DISMOUNTED);
            CHECK(CloseHandle(file) != FALSE);
            CHECK_EQ(FilterDetach(u"high", u"D:", nullptr), static_cast<HRESULT>(0x801F0015)); // not mounted yet
            const HANDLE again = open(u"D:\\a", OPEN_EXISTING);
            CHECK(again != INVALID_HANDLE_VALUE);
            CHECK(ReadFile(again, data, 4, &bytes, nullptr) != FALSE);
            CHECK_EQ(std::string(data, 4), std::string("abcd"));
            CHECK(CloseHandle(again) != FALSE);
            CHECK_EQ(FilterDetach(u"low", u"D:", nullptr), static_cast<HRESULT>(0x801F0015));
            CHECK_EQ(FilterDetach(u"high", u"D:", nullptr), S_OK);
            CHECK_EQ(bench.unload(low), STATUS_SUCCESS);
            CHECK_EQ(bench.unload(high), STATUS_SUCCESS);
        });
        CHECK_EQ(rule_of(report), std::string());
        CHECK(check::contains(report, "\"leaks\":[]"));
    }
}

TEST(dismount_statuses) {
    const std::string report = run_known(Executor::Fibers, [](Bench &bench) {
        CHECK_EQ(dismount(bench, "C:"), STATUS_ACCESS_DENIED);
        CHECK_EQ(dismount(bench, "X:"), STATUS_OBJECT_NAME_NOT_FOUND);
        CHECK_EQ(dismount(bench, "E:"), STATUS_SUCCESS); // without any instance
        CHECK_EQ(dismount(bench, "E:"), STATUS_SUCCESS);
        int32_t status = 0;
        CHECK_EQ(FltSimDismountVolume(0, "D:", &status), -1);
        CHECK_EQ(FltSimDismountVolume(bench.world.number, nullptr, &status), -1);
    });
    CHECK_EQ(rule_of(report), std::string());
}

TEST(services_are_stopped) {
    const std::string report = run_known(Executor::Fibers, [](Bench &bench) {
        Driver one(u"one");
        REQUIRE(one.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(one) == STATUS_SUCCESS);
        int calls = 0;
        ULONG reason = 0;
        one.teardown_complete = [&](PCFLT_RELATED_OBJECTS, ULONG why) { reason = why; };
        one.unload = [&](ULONG flags) -> NTSTATUS {
            ++calls;
            if ((flags & FLTFL_FILTER_UNLOAD_MANDATORY) == 0) {
                return STATUS_FLT_DO_NOT_DETACH;
            }
            FltUnregisterFilter(one.filter);
            one.filter = nullptr;
            return STATUS_SUCCESS;
        };
        CHECK_EQ(FilterUnload(u"one"), static_cast<HRESULT>(0x801F0010));
        CHECK_EQ(bench.send_and_wait(bench.operation(IRP_MJ_READ)), STATUS_SUCCESS); // still in service
        CHECK_EQ(calls, 1);
        int32_t status = STATUS_PENDING;
        CHECK_EQ(FltSimStopService(bench.world.number, "nobody", &status), 0);
        CHECK_EQ(status, STATUS_FLT_FILTER_NOT_FOUND);
        CHECK_EQ(FltSimStopService(bench.world.number, "one", &status), 0);
        CHECK_EQ(status, STATUS_SUCCESS);
        CHECK_EQ(calls, 2);
        CHECK_EQ(reason, FLTFL_INSTANCE_TEARDOWN_MANDATORY_FILTER_UNLOAD);
        CHECK_EQ(FilterUnload(u"one"), static_cast<HRESULT>(0x801F0013));
        CHECK_EQ(FltSimStopService(0, "one", &status), -1);
    });
    CHECK_EQ(rule_of(report), std::string());
    CHECK(check::contains(report, "\"leaks\":[]"));
}

} // namespace MINIPEND_TEST_FILE
