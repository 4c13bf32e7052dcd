// SPDX-License-Identifier: MIT
//
// This module provides: tests of I/O completion ports and of what pending does to their users [POST-28], through the user-side calls on both
// executors.

#include <thread>
#include <vector>

#include "io/host_world.hpp"

namespace MINIPEND_TEST_FILE {

using namespace io_bench;

namespace {

struct Packet {
    BOOL success = FALSE;
    DWORD error = 0;
    DWORD bytes = 0;
    ULONG_PTR key = 0;
    LPOVERLAPPED overlapped = nullptr;
};

Packet take(HANDLE port, DWORD timeoutMs = INFINITE) {
    Packet packet;
    packet.success = GetQueuedCompletionStatus(port, &packet.bytes, &packet.key, &packet.overlapped, timeoutMs);
    packet.error = packet.success ? 0 : GetLastError();
    return packet;
}

bool empty(HANDLE port) {
    const Packet packet = take(port, 0);
    return !packet.success && packet.overlapped == nullptr && packet.error == WAIT_TIMEOUT;
}

constexpr DWORD DIRECT = FILE_FLAG_OVERLAPPED | FILE_FLAG_NO_BUFFERING;

} // namespace

TEST(packets_of_a_port) {
    for (const bool threads : {false, true}) {
        const HostWorld world(threads);
        const HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 0);
        REQUIRE(port != nullptr);
        HostFile file(u"D:\\a", CREATE_ALWAYS, DIRECT);
        HostFile synchronous(u"D:\\b", CREATE_ALWAYS);
        CHECK(CreateIoCompletionPort(synchronous.get(), port, 1, 0) == nullptr);
        CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER);
        CHECK(CreateIoCompletionPort(file.get(), port, 7, 0) == port);
        CHECK(CreateIoCompletionPort(file.get(), port, 8, 0) == nullptr); // once only
        alignas(8) char buffer[1024] = {};
        OVERLAPPED writing{};
        CHECK(!WriteFile(file.get(), buffer, sizeof buffer, nullptr, &writing));
        CHECK_EQ(GetLastError(), ERROR_IO_PENDING);
        Packet packet = take(port);
        CHECK(packet.success && packet.overlapped == &writing && packet.key == 7);
        CHECK_EQ(packet.bytes, sizeof buffer);
        OVERLAPPED reading{};
        reading.Offset = 512;
        CHECK(!ReadFile(file.get(), buffer, sizeof buffer, nullptr, &reading));
        packet = take(port);
        CHECK(packet.success && packet.overlapped == &reading && packet.bytes == 512);
        // An error at once has no packet.
        OVERLAPPED behind{};
        behind.Offset = 4096;
        CHECK(!ReadFile(file.get(), buffer, sizeof buffer, nullptr, &behind));
        CHECK_EQ(GetLastError(), ERROR_HANDLE_EOF);
        CHECK(empty(port));
        // hEvent's lowest bit keeps the packet away.
        const HANDLE event = CreateEventW(nullptr, TRUE, FALSE, nullptr);
        OVERLAPPED quiet{};
        quiet.hEvent = reinterpret_cast<HANDLE>(reinterpret_cast<uintptr_t>(event) | 1);
        CHECK(!WriteFile(file.get(), buffer, 512, nullptr, &quiet));
        CHECK_EQ(WaitForSingleObject(event, INFINITE), WAIT_OBJECT_0);
        CHECK(empty(port));
        CHECK(CloseHandle(event));
        // Anybody may post.
        CHECK(PostQueuedCompletionStatus(port, 3, 4, &quiet));
        packet = take(port);
        CHECK(packet.success && packet.bytes == 3 && packet.key == 4 && packet.overlapped == &quiet);
        file.close();
        CHECK(CloseHandle(port));
    }
}

TEST(skipping_packets_on_success) {
    for (const bool threads : {false, true}) {
        const HostWorld world(threads);
        HostFile file(u"D:\\a", CREATE_ALWAYS, FILE_FLAG_OVERLAPPED);
        const HANDLE port = CreateIoCompletionPort(file.get(), nullptr, 5, 0);
        REQUIRE(port != nullptr);
        char buffer[16] = "cached";
        OVERLAPPED plain{};
        CHECK(WriteFile(file.get(), buffer, sizeof buffer, nullptr, &plain)); // at once, and with a packet
        const Packet packet = take(port);
        CHECK(packet.success && packet.overlapped == &plain && packet.bytes == sizeof buffer);
        CHECK(!SetFileCompletionNotificationModes(file.get(), 8));
        CHECK(SetFileCompletionNotificationModes(file.get(),
                                                 FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE));
        OVERLAPPED skipped{};
        CHECK(ReadFile(file.get(), buffer, sizeof buffer, nullptr, &skipped));
        CHECK_EQ(skipped.InternalHigh, sizeof buffer);
        CHECK(empty(port));
        file.close();
        CHECK(CloseHandle(port));
    }
}

TEST(several_packets_and_closing) {
    for (const bool threads : {false, true}) {
        const HostWorld world(threads);
        const HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 0);
        OVERLAPPED overlapped[5]{};
        for (OVERLAPPED &one : overlapped) {
            CHECK(PostQueuedCompletionStatus(port, 1, 2, &one));
        }
        OVERLAPPED_ENTRY entries[3]{};
        ULONG removed = 0;
        CHECK(GetQueuedCompletionStatusEx(port, entries, 3, &removed, INFINITE, FALSE));
        CHECK_EQ(removed, 3);
        CHECK(entries[0].lpOverlapped == &overlapped[0] && entries[2].lpOverlapped == &overlapped[2]);
        CHECK(GetQueuedCompletionStatusEx(port, entries, 3, &removed, 0, FALSE));
        CHECK_EQ(removed, 2);
        CHECK(!GetQueuedCompletionStatusEx(port, entries, 3, &removed, 0, FALSE));
        CHECK_EQ(GetLastError(), WAIT_TIMEOUT);
        std::thread waiter([&, number = world.number()] {
            FltSimSelectWorld(number);
            const Packet packet = take(port);
            CHECK(!packet.success && packet.overlapped == nullptr);
            CHECK(packet.error == ERROR_ABANDONED_WAIT_0 || packet.error == ERROR_INVALID_HANDLE);
        });
        CHECK(CloseHandle(port));
        waiter.join();
    }
}

TEST(cancelled_operations_have_packets) {
    const HostWorld world(false);
    HostFile file(u"D:\\a", CREATE_ALWAYS, FILE_FLAG_OVERLAPPED);
    HostFile holder(u"D:\\a");
    const HANDLE port = CreateIoCompletionPort(file.get(), nullptr, 5, 0);
    CHECK(LockFile(holder.get(), 0, 0, 10, 0));
    OVERLAPPED waiting{};
    CHECK(!LockFileEx(file.get(), LOCKFILE_EXCLUSIVE_LOCK, 0, 10, 0, &waiting));
    CHECK_EQ(GetLastError(), ERROR_IO_PENDING);
    CHECK(CancelIoEx(file.get(), &waiting));
    const Packet packet = take(port);
    CHECK(!packet.success && packet.overlapped == &waiting);
    CHECK_EQ(packet.error, ERROR_OPERATION_ABORTED);
    OVERLAPPED refused{};
    CHECK(!LockFileEx(file.get(), LOCKFILE_FAIL_IMMEDIATELY, 0, 10, 0, &refused));
    CHECK_EQ(GetLastError(), ERROR_LOCK_VIOLATION);
    CHECK(UnlockFile(holder.get(), 0, 0, 10, 0));
    CHECK(LockFileEx(file.get(), LOCKFILE_EXCLUSIVE_LOCK, 0, 10, 0, &refused)); // as fast I/O, with a packet
    CHECK(take(port).overlapped == &refused);
    CHECK(UnlockFileEx(file.get(), 0, 10, 0, &refused));
    file.close();
    CHECK(CloseHandle(port));
}

TEST(directory_changes_through_win32) {
    const HostWorld world(false);
    CHECK(CreateDirectoryW(u"D:\\dir", nullptr));
    HostFile directory(u"D:\\dir", OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED, GENERIC_READ);
    alignas(4) uint8_t buffer[256] = {};
    OVERLAPPED watching{};
    CHECK(ReadDirectoryChangesW(directory.get(), buffer, sizeof buffer, FALSE, 1, nullptr, &watching, nullptr));
    DWORD bytes = 0;
    CHECK(!GetOverlappedResult(directory.get(), &watching, &bytes, FALSE));
    CHECK_EQ(GetLastError(), ERROR_IO_INCOMPLETE);
    HostFile file(u"D:\\dir\\a", CREATE_NEW);
    CHECK(GetOverlappedResult(directory.get(), &watching, &bytes, TRUE));
    CHECK_EQ(bytes, 12 + sizeof(char16_t));
    CHECK(!ReadDirectoryChangesW(directory.get(), buffer, sizeof buffer, FALSE, 0, nullptr, &watching, nullptr));
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER);
}

TEST(device_io_control_through_win32) {
    const HostWorld world(false);
    HostFile volume(u"\\\\.\\D:", OPEN_EXISTING, 0, GENERIC_READ);
    int64_t length = 0;
    DWORD bytes = 0;
    constexpr DWORD DISK_GET_LENGTH_INFO = 0x7405C;
    CHECK(DeviceIoControl(volume.get(), DISK_GET_LENGTH_INFO, nullptr, 0, &length, sizeof length, &bytes, nullptr));
    CHECK_EQ(bytes, sizeof length);
    CHECK(!DeviceIoControl(volume.get(), 0x70FFC, nullptr, 0, nullptr, 0, &bytes, nullptr));
    CHECK_EQ(GetLastError(), ERROR_INVALID_FUNCTION);
    HostFile file(u"D:\\a", CREATE_NEW, FILE_FLAG_OVERLAPPED);
    OVERLAPPED granted{};
    constexpr DWORD REQUEST_BATCH_OPLOCK = 0x90008;
    CHECK(!DeviceIoControl(file.get(), REQUEST_BATCH_OPLOCK, nullptr, 0, nullptr, 0, &bytes, &granted));
    CHECK_EQ(GetLastError(), ERROR_IO_PENDING);
    IO_STATUS_BLOCK iosb{};
    CHECK_EQ(
        NtFsControlFile(file.get(), nullptr, nullptr, nullptr, &iosb, REQUEST_BATCH_OPLOCK, nullptr, 0, nullptr, 0),
        STATUS_OPLOCK_NOT_GRANTED);
    CHECK_EQ(NtFlushBuffersFileEx(file.get(), 0, nullptr, 0, &iosb), STATUS_SUCCESS);
    CHECK_EQ(NtFlushBuffersFileEx(file.get(), 3, nullptr, 0, &iosb), STATUS_INVALID_PARAMETER);
    CHECK_EQ(NtFlushBuffersFileEx(nullptr, 0, nullptr, 0, &iosb), STATUS_INVALID_HANDLE);
    file.close();
    CHECK(GetOverlappedResult(volume.get(), &granted, &bytes, TRUE)); // its OVERLAPPED says it all
    CHECK_EQ(granted.Internal, 0);
}

} // namespace MINIPEND_TEST_FILE
