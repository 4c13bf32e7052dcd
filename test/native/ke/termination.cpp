// SPDX-License-Identifier: MIT
//
// This module provides: tests of threads that are terminated (FltSimTerminateThread), and of looking threads up by their id [CANC-06a].

#include "flt/recorder.hpp"

#include <atomic>
#include <fltsim_user.h>

#include "fltsim.h"

namespace MINIPEND_TEST_FILE {

using namespace recorder;

namespace {

HANDLE id_of(uint64_t id) {
    return reinterpret_cast<HANDLE>(static_cast<uintptr_t>(id));
}

/// With both executors.
void on_each(const std::function<void(Bench &)> &fn) {
    for (const Executor executor : {Executor::Fibers, Executor::Threads}) {
        const std::string report = run_known(executor, fn);
        CHECK_EQ(rule_of(report), std::string());
        CHECK(check::contains(report, "\"leaks\":[]"));
    }
}

} // namespace

TEST(threads_are_found_by_id) {
    on_each([](Bench &bench) {
        PETHREAD thread = nullptr;
        const HANDLE own = PsGetCurrentThreadId();
        CHECK_EQ(PsLookupThreadByThreadId(own, &thread), STATUS_SUCCESS);
        CHECK(thread == PsGetCurrentThread());
        CHECK(!PsIsThreadTerminating(thread));
        ObDereferenceObject(thread);
        CHECK_EQ(PsLookupThreadByThreadId(id_of(0xFFFFFF0), &thread), STATUS_INVALID_PARAMETER);
        CHECK(thread == nullptr);
        CHECK_EQ(FltSimSetFault(bench.world.number, "PsLookupThreadByThreadId", 0, 1), 0);
        CHECK_EQ(PsLookupThreadByThreadId(own, &thread), STATUS_INVALID_PARAMETER);

        // A reference outlives the thread, and tells that it is over.
        std::atomic<uint64_t> id{0};
        std::atomic<bool> go{false};
        bench.start("short", [&] {
            id = GetCurrentThreadId();
            bench.wait_until([&] { return go.load(); });
        });
        CHECK(bench.wait_until([&] { return id != 0; }));
        CHECK_EQ(PsLookupThreadByThreadId(id_of(id), &thread), STATUS_SUCCESS);
        go = true;
        CHECK(bench.wait_until([&] { return PsIsThreadTerminating(thread) != FALSE; }));
        CHECK_EQ(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, nullptr), STATUS_SUCCESS);
        CHECK_EQ(ObReferenceObjectByPointer(thread, 0, *PsThreadType, KernelMode), STATUS_SUCCESS);
        CHECK_EQ(ObReferenceObjectByPointer(thread, 0, *IoFileObjectType, KernelMode), STATUS_OBJECT_TYPE_MISMATCH);
        ObDereferenceObject(thread);
        ObDereferenceObject(thread);
        CHECK_EQ(PsLookupThreadByThreadId(id_of(id), &thread), STATUS_INVALID_PARAMETER);
    });
}

TEST(terminated_threads_leave_user_waits) {
    on_each([](Bench &bench) {
        const HANDLE event = CreateEventW(nullptr, TRUE, FALSE, nullptr);
        std::atomic<DWORD> id{0};
        std::atomic<DWORD> result{1234};
        std::atomic<DWORD> error{0};
        std::atomic<DWORD> later{0};
        bench.start("victim", [&] {
            id = GetCurrentThreadId();
            const DWORD waited = WaitForSingleObject(event, INFINITE);
            error = GetLastError();
            CHECK(SetEvent(event) == FALSE); // and no call works any more
            later = GetLastError();
            result = waited;
        });
        CHECK(bench.wait_until([&] { return id != 0; }));
        bench.wait_until([] { return false; }, 5);
        CHECK_EQ(result.load(), 1234u);
        CHECK_EQ(FltSimTerminateThread(bench.world.number, id), 0);
        CHECK(bench.wait_until([&] { return result != 1234; }));
        CHECK_EQ(result.load(), WAIT_FAILED);
        CHECK_EQ(error.load(), ERROR_ACCESS_DENIED);
        CHECK_EQ(later.load(), ERROR_ACCESS_DENIED);
        CHECK_EQ(WaitForSingleObject(event, 0), static_cast<DWORD>(WAIT_TIMEOUT));
        CloseHandle(event);
    });
}

TEST(terminated_threads_wait_for_what_is_held) {
    on_each([](Bench &bench) {
        Driver driver(u"one");
        REQUIRE(driver.load(bench.world) == STATUS_SUCCESS);
        REQUIRE(bench.attach(driver) == STATUS_SUCCESS);
        std::atomic<bool> held{false};
        std::atomic<bool> release{false};
        std::atomic<bool> seen_terminating{false};
        driver.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            const NTSTATUS status = defer(data, [&](PFLT_DEFERRED_IO_WORKITEM item, PFLT_CALLBACK_DATA pended) {
                held = true;
                // What a driver polls for: nothing else tells it [CANC-06].
                bench.wait_until([&] {
                    if (PsIsThreadTerminating(pended->Thread)) {
                        seen_terminating = true;
                    }
                    return seen_terminating && release;
                });
                FltCompletePendedPostOperation(pended);
                FltFreeDeferredIoWorkItem(item);
            });
            CHECK_EQ(status, STATUS_SUCCESS);
            return FLT_POSTOP_MORE_PROCESSING_REQUIRED;
        };
        std::atomic<DWORD> id{0};
        std::atomic<NTSTATUS> result{STATUS_PENDING};
        bench.start("victim", [&] {
            id = GetCurrentThreadId();
            const auto operation = bench.operation(IRP_MJ_WRITE);
            operation->requestor = &executing();
            operation->requestor->reference();
            result = bench.send_and_wait(operation);
        });
        CHECK(bench.wait_until([&] { return held.load(); }));
        CHECK_EQ(FltSimTerminateThread(bench.world.number, id), 0);
        CHECK(bench.wait_until([&] { return seen_terminating.load(); }));
        CHECK_EQ(result.load(), STATUS_PENDING); // the killed thread is still in its system call
        release = true;
        CHECK(bench.wait_until([&] { return result == STATUS_SUCCESS; }));
        CHECK_EQ(bench.unload(driver), STATUS_SUCCESS);
    });
}

TEST(only_client_threads_are_terminated) {
    on_each([](Bench &bench) {
        CHECK_EQ(FltSimTerminateThread(bench.world.number, 0xFFFFFF0), -1);
        CHECK_EQ(FltSimTerminateThread(0, static_cast<uint32_t>(GetCurrentThreadId())), -1);
        std::atomic<uint64_t> id{0};
        {
            KernelCall call("spawn");
            bench.world.spawn("system", nullptr, [&] { id = executing().id; });
        }
        CHECK(bench.wait_until([&] { return id != 0; }));
        CHECK_EQ(FltSimTerminateThread(bench.world.number, static_cast<uint32_t>(id)), -1);
    });
}

} // namespace MINIPEND_TEST_FILE
