// SPDX-License-Identifier: MIT
//
// This module provides: tests of completion routines: ReadFileEx, WriteFileEx and the alertable waits that run them, on both executors.

#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "io/host_world.hpp"

namespace MINIPEND_TEST_FILE {

using namespace io_bench;

namespace {

struct Call {
    DWORD error;
    DWORD bytes;
    LPOVERLAPPED overlapped;
    std::thread::id thread;
};
std::mutex g_mutex; ///< Of g_calls.
std::vector<Call> g_calls;

void completed(DWORD error, DWORD bytes, LPOVERLAPPED overlapped) {
    const std::lock_guard guard(g_mutex);
    g_calls.push_back({error, bytes, overlapped, std::this_thread::get_id()});
}

std::vector<Call> calls() {
    const std::lock_guard guard(g_mutex);
    return std::exchange(g_calls, {});
}

constexpr DWORD DIRECT = FILE_FLAG_OVERLAPPED | FILE_FLAG_NO_BUFFERING;

struct Transfers {
    HostFile file{u"D:\\a", CREATE_ALWAYS, DIRECT};
    alignas(8) char buffer[1024] = {};
    OVERLAPPED one{}, two{};

    void write(OVERLAPPED &overlapped, DWORD bytes) {
        CHECK(WriteFileEx(file.get(), buffer, bytes, &overlapped, completed));
        CHECK_EQ(GetLastError(), ERROR_SUCCESS);
    }
    /// Without an alertable wait.
    void wait_for_the_end(const OVERLAPPED &overlapped) const {
        while (static_cast<NTSTATUS>(overlapped.Internal) == STATUS_PENDING) {
            CHECK_EQ(SleepEx(1, FALSE), 0u);
        }
    }
};

} // namespace

TEST(completion_routines_run_in_alertable_waits_alone) {
    for (const bool threads : {false, true}) {
        const HostWorld world(threads);
        Transfers transfers;
        const HANDLE event = CreateEventW(nullptr, TRUE, FALSE, nullptr);
        transfers.one.hEvent = reinterpret_cast<HANDLE>(uintptr_t{0x1234}); // the caller's own
        transfers.write(transfers.one, 1024);
        transfers.wait_for_the_end(transfers.one);
        transfers.two.Offset = 512;
        CHECK(ReadFileEx(transfers.file.get(), transfers.buffer, 1024, &transfers.two, completed));
        transfers.wait_for_the_end(transfers.two);
        CHECK_EQ(WaitForSingleObject(event, 1), WAIT_TIMEOUT);
        CHECK_EQ(WaitForSingleObjectEx(event, 1, FALSE), WAIT_TIMEOUT);
        Sleep(1);
        CHECK(calls().empty());
        // Another thread's alertable wait is not theirs.
        std::thread([&] {
            CHECK_EQ(FltSimSelectWorld(world.number()), 0);
            CHECK_EQ(SleepEx(1, TRUE), 0u);
        }).join();
        CHECK(calls().empty());
        CHECK_EQ(SleepEx(INFINITE, TRUE), WAIT_IO_COMPLETION);
        const std::vector<Call> done = calls();
        REQUIRE(done.size() == 2);
        CHECK(done[0].overlapped == &transfers.one && done[0].error == 0 && done[0].bytes == 1024);
        CHECK(done[1].overlapped == &transfers.two && done[1].error == 0 && done[1].bytes == 512);
        CHECK(done[0].thread == std::this_thread::get_id());
        CHECK_EQ(SleepEx(1, TRUE), 0u); // once only
        CHECK(CloseHandle(event));
    }
}

TEST(a_completion_ends_an_alertable_wait) {
    for (const bool threads : {false, true}) {
        const HostWorld world(threads);
        Transfers transfers;
        const HANDLE event = CreateEventW(nullptr, TRUE, FALSE, nullptr);
        FltSimSetStorageDelay(world.number(), 2000);
        transfers.write(transfers.one, 512);
        CHECK_EQ(WaitForSingleObjectEx(event, INFINITE, TRUE), WAIT_IO_COMPLETION);
        CHECK_EQ(calls().size(), size_t{1});
        transfers.write(transfers.one, 512);
        CHECK_EQ(SleepEx(INFINITE, TRUE), WAIT_IO_COMPLETION);
        CHECK_EQ(calls().size(), size_t{1});
        // What is waited for comes first: the routine waits on.
        transfers.write(transfers.one, 512);
        transfers.wait_for_the_end(transfers.one);
        CHECK(SetEvent(event));
        CHECK_EQ(WaitForSingleObjectEx(event, INFINITE, TRUE), WAIT_OBJECT_0);
        CHECK(calls().empty());
        OVERLAPPED ordinary{};
        CHECK(!WriteFile(transfers.file.get(), transfers.buffer, 512, nullptr, &ordinary));
        DWORD bytes = 0;
        CHECK(!GetOverlappedResultEx(transfers.file.get(), &ordinary, &bytes, INFINITE, TRUE));
        CHECK_EQ(GetLastError(), WAIT_IO_COMPLETION);
        CHECK_EQ(calls().size(), size_t{1});
        CHECK(GetOverlappedResultEx(transfers.file.get(), &ordinary, &bytes, INFINITE, TRUE));
        CHECK_EQ(bytes, 512u);
        CHECK(CloseHandle(event));
    }
}

namespace {

HANDLE g_chained_file = nullptr;
alignas(8) char g_chained_buffer[512];

/// Starts the next write, and waits for it inside of the routine.
void chained(DWORD error, DWORD bytes, LPOVERLAPPED overlapped) {
    completed(error, bytes, overlapped);
    overlapped->Offset += 512;
    if (overlapped->Offset < 2048) {
        CHECK(WriteFileEx(g_chained_file, g_chained_buffer, 512, overlapped, chained));
        if (overlapped->Offset == 512) {
            CHECK_EQ(SleepEx(INFINITE, TRUE), WAIT_IO_COMPLETION);
        }
    }
}

} // namespace

TEST(completion_routines_start_others) {
    for (const bool threads : {false, true}) {
        const HostWorld world(threads);
        HostFile file(u"D:\\a", CREATE_ALWAYS, DIRECT);
        g_chained_file = file.get();
        OVERLAPPED overlapped{};
        CHECK(WriteFileEx(file.get(), g_chained_buffer, 512, &overlapped, chained));
        size_t done = 0;
        while (done < 4) {
            CHECK_EQ(SleepEx(INFINITE, TRUE), WAIT_IO_COMPLETION);
            done += calls().size();
        }
        CHECK_EQ(done, size_t{4});
        CHECK_EQ(overlapped.Offset, 2048u);
    }
}

TEST(completion_routines_of_failures) {
    for (const bool threads : {false, true}) {
        const HostWorld world(threads);
        Transfers transfers;
        transfers.write(transfers.one, 1024);
        CHECK_EQ(SleepEx(INFINITE, TRUE), WAIT_IO_COMPLETION);
        calls();
        // At once: the call fails, and that is all.
        transfers.two.Offset = 4096;
        CHECK(!ReadFileEx(transfers.file.get(), transfers.buffer, 512, &transfers.two, completed));
        CHECK_EQ(GetLastError(), ERROR_HANDLE_EOF);
        CHECK(!ReadFileEx(transfers.file.get(), transfers.buffer, 512, nullptr, completed));
        CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER);
        CHECK(!ReadFileEx(transfers.file.get(), transfers.buffer, 512, &transfers.one, nullptr));
        CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER);
        CHECK_EQ(SleepEx(1, TRUE), 0u);
        FltSimSetStorageDelay(world.number(), 60'000'000);
        transfers.write(transfers.one, 512);
        CHECK(CancelIoEx(transfers.file.get(), &transfers.one));
        CHECK_EQ(SleepEx(INFINITE, TRUE), WAIT_IO_COMPLETION);
        const std::vector<Call> cancelled = calls();
        REQUIRE(cancelled.size() == 1);
        CHECK_EQ(cancelled[0].error, ERROR_OPERATION_ABORTED);
        CHECK_EQ(cancelled[0].bytes, 0u);
        FltSimSetStorageDelay(world.number(), 0);
        const HANDLE port = CreateIoCompletionPort(transfers.file.get(), nullptr, 1, 0);
        REQUIRE(port != nullptr);
        CHECK(!WriteFileEx(transfers.file.get(), transfers.buffer, 512, &transfers.one, completed));
        CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER);
        CHECK(CloseHandle(port));
    }
}

} // namespace MINIPEND_TEST_FILE
