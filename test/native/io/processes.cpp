// SPDX-License-Identifier: MIT
//
// This module provides: tests of several client processes: whose a handle, a lock, an operation is, and what goes when one ends [SEQ-24].

#include <future>
#include <thread>

#include "io/host_world.hpp"
#include "io/waiting.hpp"
#include "other_process.hpp"

namespace MINIPEND_TEST_FILE {

using namespace io_bench;

namespace {

/// Polls an answer that another thread brings about.
bool eventually(const std::function<bool()> &pred) {
    for (int i = 0; i < 5000; ++i) {
        if (pred()) {
            return true;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
}

} // namespace

TEST(threads_belong_to_processes) {
    for (const bool threads : {false, true}) {
        const HostWorld world(threads);
        const OtherProcess other(world);
        const DWORD first = GetCurrentProcessId();
        CHECK(first != other.id());
        other.run([&] { CHECK_EQ(GetCurrentProcessId(), other.id()); });
        CHECK_EQ(GetCurrentProcessId(), first);
        CHECK_EQ(FltSimEnterProcess(world.number(), 1), -1);
        CHECK_EQ(FltSimTerminateProcess(world.number(), 1), -1);
        CHECK_EQ(FltSimWaitForProcess(world.number(), other.id(), 0), 0);
    }
}

/// A lock's owner is the process too: one handle's file object, two processes.
TEST(locks_are_a_processes) {
    const HostWorld world(false);
    const OtherProcess other(world);
    HostFile file(u"D:\\a", CREATE_NEW);
    void *shared = nullptr;
    CHECK_EQ(FltSimDuplicateHandle(world.number(), file.get(), other.id(), &shared), 0);
    CHECK(LockFile(file.get(), 0, 0, 10, 0));
    other.run([&] {
        CHECK(!LockFile(shared, 5, 0, 1, 0));
        CHECK_EQ(GetLastError(), ERROR_LOCK_VIOLATION);
        CHECK(LockFile(shared, 20, 0, 1, 0));
    });
    CHECK(!LockFile(file.get(), 20, 0, 1, 0));
    other.run([&] { CHECK(CloseHandle(shared)); }); // not the file's last handle, but the process's
    CHECK(LockFile(file.get(), 20, 0, 1, 0));
    char buffer[4] = "abc";
    DWORD bytes = 0;
    CHECK(WriteFile(file.get(), buffer, 3, &bytes, nullptr)); // the first one's lock is still its own
}

TEST(handles_are_duplicated) {
    const HostWorld world(false);
    HostFile file(u"D:\\a", CREATE_NEW);
    HANDLE copy = nullptr;
    CHECK(
        DuplicateHandle(GetCurrentProcess(), file.get(), GetCurrentProcess(), &copy, 0, FALSE, DUPLICATE_SAME_ACCESS));
    file.close();
    DWORD bytes = 0;
    CHECK(WriteFile(copy, "x", 1, &bytes, nullptr)); // the file is open as long as one handle is
    CHECK(CloseHandle(copy));
    CHECK(!CloseHandle(copy));
}

TEST(a_killed_process_lets_everything_go) {
    for (const bool threads : {false, true}) {
        const HostWorld world(threads);
        const OtherProcess victim(world);
        HostFile mine(u"D:\\a", CREATE_NEW);
        CHECK(LockFile(mine.get(), 0, 0, 10, 0));
        std::promise<void> waits;
        std::thread killed = victim.start([&] {
            // Exclusive use of b, a lock wait on a, a watch: none of it is given back by the process itself.
            const HANDLE b = CreateFileW(u"D:\\b", GENERIC_READ | GENERIC_WRITE, 0, nullptr, CREATE_NEW, 0, nullptr);
            CHECK(b != INVALID_HANDLE_VALUE);
            const HANDLE root = CreateFileW(u"D:\\", GENERIC_READ, 7, nullptr, OPEN_EXISTING,
                                            FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED, nullptr);
            static OVERLAPPED watching; // outlives the thread
            static uint8_t changes[64];
            watching = {};
            CHECK(ReadDirectoryChangesW(root, changes, sizeof changes, FALSE, 1, nullptr, &watching, nullptr));
            const HANDLE a = CreateFileW(u"D:\\a", GENERIC_READ | GENERIC_WRITE, 7, nullptr, OPEN_EXISTING, 0, nullptr);
            waits.set_value();
            OVERLAPPED lock{};
            CHECK(!LockFileEx(a, LOCKFILE_EXCLUSIVE_LOCK, 0, 10, 0, &lock)); // until it is killed
            CHECK(!WriteFile(b, "x", 1, nullptr, &lock));
            CHECK_EQ(GetLastError(), ERROR_ACCESS_DENIED);
        });
        waits.get_future().wait();
        CHECK(CreateFileW(u"D:\\b", GENERIC_READ, 7, nullptr, OPEN_EXISTING, 0, nullptr) == INVALID_HANDLE_VALUE);
        CHECK_EQ(GetLastError(), ERROR_SHARING_VIOLATION);
        CHECK_EQ(FltSimTerminateProcess(world.number(), victim.id()), 0);
        CHECK_EQ(FltSimTerminateProcess(world.number(), victim.id()), 0); // is being killed already
        CHECK(eventually([&] { return FltSimWaitForProcess(world.number(), victim.id(), 100) == 1; }));
        killed.join();
        CHECK_EQ(FltSimEnterProcess(world.number(), victim.id()), -1);
        HostFile b(u"D:\\b"); // its handle is closed
    }
}

TEST(views_outlive_the_handles_of_a_killed_process) {
    const HostWorld world(false);
    const OtherProcess victim(world);
    victim.run([&] {
        const HANDLE file = CreateFileW(u"D:\\a", GENERIC_READ | GENERIC_WRITE, 7, nullptr, CREATE_NEW, 0, nullptr);
        const HANDLE section = CreateFileMappingW(file, nullptr, PAGE_READWRITE, 0, 4096, nullptr);
        auto *view = static_cast<char *>(MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0));
        CHECK(view != nullptr);
        if (view != nullptr) {
            view[0] = 'v';
        }
    });
    CHECK_EQ(FltSimTerminateProcess(world.number(), victim.id()), 0);
    CHECK(eventually([&] { return FltSimWaitForProcess(world.number(), victim.id(), 100) == 1; }));
    HostFile file(u"D:\\a");
    char byte = 0;
    DWORD bytes = 0;
    CHECK(ReadFile(file.get(), &byte, 1, &bytes, nullptr));
    CHECK_EQ(byte, 'v'); // written though nobody unmapped it
}

TEST(a_server_reads_and_writes) {
    for (const bool threads : {false, true}) {
        const HostWorld world(threads);
        HostFile file(u"D:\\a", CREATE_NEW);
        DWORD bytes = 0;
        CHECK(WriteFile(file.get(), "hello", 5, &bytes, nullptr));
        char buffer[8] = {};
        uint32_t moved = 0;
        int32_t status = -1;
        CHECK_EQ(FltSimServerTransfer(world.number(), file.get(), 0, 1, buffer, 3, &moved, &status), 0);
        CHECK_EQ(status, STATUS_SUCCESS);
        CHECK(std::string(buffer, moved) == "ell");
        CHECK_EQ(FltSimServerTransfer(world.number(), file.get(), 1, 0, buffer, 3, &moved, &status), 0);
        CHECK_EQ(FltSimServerTransfer(world.number(), nullptr, 1, 0, buffer, 3, &moved, &status), -1);
        CHECK_EQ(FltSimWriteMappedPages(world.number()), 0);
        LARGE_INTEGER start{};
        CHECK(SetFilePointerEx(file.get(), start, nullptr, FILE_BEGIN));
        CHECK(ReadFile(file.get(), buffer, 5, &bytes, nullptr));
        CHECK(std::string(buffer, 5) == "elllo");
    }
}

} // namespace MINIPEND_TEST_FILE
