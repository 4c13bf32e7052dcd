// SPDX-License-Identifier: MIT
//
// This module provides: scenarios about worlds themselves: making, ending, several at once.

#include <cstring>

#include <vector>

#include "spine.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

TEST(world_options_are_checked) {
    char message[256] = "";
    FLTSIM_OPTIONS options{};
    CHECK_EQ(FltSimCreateWorld(&options, message, sizeof(message)), 0u);
    CHECK(std::strlen(message) != 0);
    CHECK_EQ(FltSimDestroyWorld(99), -1);
    CHECK_EQ(FltSimSelectWorld(99), -1);
}

SPINE_TEST(world_begins_and_ends) {
    TestWorld world(executor);
    CHECK(exists(u"C:\\Windows"));
    CHECK(!exists(u"Q:\\"));
    WCHAR target[64];
    CHECK_EQ(QueryDosDeviceW(u"D:", target, 64), 25u); // the text, its terminator and the list's
    CHECK(std::u16string(target) == u"\\Device\\HarddiskVolume2");
    CHECK_EQ(QueryDosDeviceW(u"D:", target, 8), 0u);
    CHECK_EQ(GetLastError(), ERROR_INSUFFICIENT_BUFFER);
    CHECK_EQ(QueryDosDeviceW(u"Q:", target, 64), 0u);
    CHECK_EQ(GetLastError(), ERROR_FILE_NOT_FOUND);
}

SPINE_TEST(worlds_are_apart) {
    TestWorld one(executor);
    CHECK(File::create(u"D:\\only-in-one").is_open());
    TestWorld two(executor);
    CHECK(!exists(u"D:\\only-in-one"));
    File second = File::create(u"D:\\in-two");
    FltSimSelectWorld(one.number());
    CHECK(exists(u"D:\\only-in-one"));
    CHECK(!exists(u"D:\\in-two"));
    CHECK_EQ(second.write("a handle knows its world"), 0u);
    CHECK(second.close());
}

SPINE_TEST(handles_die_with_their_world) {
    HANDLE handle = INVALID_HANDLE_VALUE;
    {
        TestWorld world(executor);
        handle = CreateFileW(u"D:\\x", GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, 0, nullptr);
        CHECK(handle != INVALID_HANDLE_VALUE);
    }
    CHECK(CloseHandle(handle) == FALSE);
    CHECK_EQ(GetLastError(), ERROR_INVALID_HANDLE);
}

SPINE_TEST(a_call_in_flight_ends_with_its_world) {
    TestWorld world(executor);
    const HANDLE event = CreateEventW(nullptr, TRUE, FALSE, nullptr);
    auto waiter = world.start([event] {
        const DWORD answer = WaitForSingleObject(event, INFINITE);
        return std::pair(answer, GetLastError());
    });
    CHECK(waiter.wait_for(std::chrono::milliseconds(100)) == std::future_status::timeout);
    world.end();
    const auto [answer, error] = waiter.get();
    CHECK_EQ(answer, WAIT_FAILED);
    CHECK_EQ(error, ERROR_SHUTDOWN_IN_PROGRESS);
}

SPINE_TEST(events) {
    TestWorld world(executor);
    const HANDLE manual = CreateEventW(nullptr, TRUE, TRUE, nullptr);
    CHECK_EQ(WaitForSingleObject(manual, 0), WAIT_OBJECT_0);
    CHECK_EQ(WaitForSingleObject(manual, 0), WAIT_OBJECT_0);
    CHECK(ResetEvent(manual) != FALSE);
    CHECK_EQ(WaitForSingleObject(manual, 10), WAIT_TIMEOUT);
    const HANDLE automatic = CreateEventW(nullptr, FALSE, TRUE, nullptr);
    CHECK_EQ(WaitForSingleObject(automatic, 0), WAIT_OBJECT_0);
    CHECK_EQ(WaitForSingleObject(automatic, 0), WAIT_TIMEOUT);
    auto waiter = world.start([automatic] { return WaitForSingleObject(automatic, 10'000); });
    CHECK(SetEvent(automatic) != FALSE);
    CHECK_EQ(waiter.get(), WAIT_OBJECT_0);
    CHECK(CloseHandle(manual) != FALSE);
    CHECK(CloseHandle(manual) == FALSE);
    CHECK(CloseHandle(automatic) != FALSE);
}

SPINE_TEST(thread_ids_are_stable_and_distinct) {
    TestWorld world(executor);
    const DWORD mine = GetCurrentThreadId();
    CHECK(mine != 0);
    CHECK_EQ(GetCurrentThreadId(), mine);
    CHECK(world.start([] { return GetCurrentThreadId(); }).get() != mine);
    const HANDLE thread = OpenThread(1, FALSE, mine);
    CHECK(thread != nullptr);
    CHECK(CancelSynchronousIo(thread) == FALSE);
    CHECK_EQ(GetLastError(), ERROR_NOT_FOUND);
    CHECK(CloseHandle(thread) != FALSE);
    CHECK(OpenThread(1, FALSE, 0x7FFFFFFC) == nullptr);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER);
}

TEST(what_is_not_modelled_stops_the_world_by_name) {
    TestWorld world(FLTSIM_EXECUTOR_FIBERS);
    world.expect_stop();
    CHECK(CreateEventW(nullptr, TRUE, FALSE, u"a name") == nullptr);
    CHECK_EQ(GetLastError(), ERROR_SHUTDOWN_IN_PROGRESS);
    CHECK(File::create(u"D:\\x").error() == ERROR_SHUTDOWN_IN_PROGRESS);
    const std::string report = world.report();
    CHECK(report.find("\"rule\":\"UNMODELLED\"") != std::string::npos);
    CHECK(report.find("\"call\":\"CreateEventW\"") != std::string::npos);
}

TEST(sections_that_are_not_modelled_stop_the_world_by_name) {
    const struct {
        bool of_file;
        DWORD protect;
        const char16_t *name;
        const char *text;
    } cases[] = {
        {true, PAGE_READONLY, u"a name", "a section with a name"},
        {false, PAGE_READWRITE, nullptr, "a section of the paging file"},
        {true, PAGE_WRITECOPY | SEC_IMAGE, nullptr, "an image section that is written or copied"},
        {true, PAGE_READWRITE | SEC_RESERVE, nullptr, "a section that only reserves"},
        {true, PAGE_EXECUTE_READ, nullptr, "an executable section"},
        {true, PAGE_WRITECOPY, nullptr, "a copy-on-write section"},
    };
    for (const auto &[of_file, protect, name, text] : cases) {
        TestWorld world(FLTSIM_EXECUTOR_FIBERS);
        world.expect_stop();
        const File file = File::create(u"D:\\x");
        const HANDLE section =
            CreateFileMappingW(of_file ? file.handle() : INVALID_HANDLE_VALUE, nullptr, protect, 0, 4096, name);
        CHECK(section == nullptr);
        CHECK_EQ(GetLastError(), ERROR_SHUTDOWN_IN_PROGRESS);
        const std::string report = world.report();
        CHECK(report.find("\"call\":\"CreateFileMappingW\"") != std::string::npos);
        CHECK(report.find(text) != std::string::npos);
    }
    {
        TestWorld world(FLTSIM_EXECUTOR_FIBERS);
        world.expect_stop();
        const File file = File::create(u"D:\\x");
        // Headers alone, and a section alignment of 512 bytes.
        std::vector<uint16_t> program(256);
        program[0] = 0x5A4D; // MZ
        program[30] = 0x40; // where PE is
        program[0x40 / 2] = 0x4550;
        program[0x54 / 2] = 0xF0;
        constexpr size_t optional = 0x58 / 2;
        program[optional] = 0x20B;
        program[optional + 16] = 0x200;
        program[optional + 28] = 0x1000;
        program[optional + 30] = 0x200;
        DWORD written = 0;
        REQUIRE(WriteFile(file.handle(), program.data(), 512, &written, nullptr));
        CHECK(CreateFileMappingW(file.handle(), nullptr, PAGE_READONLY | SEC_IMAGE, 0, 0, nullptr) == nullptr);
        CHECK(world.report().find("an image whose sections are not at pages of their own") != std::string::npos);
    }
    TestWorld world(FLTSIM_EXECUTOR_FIBERS);
    const File file = File::create(u"D:\\x");
    const HANDLE section = CreateFileMappingW(file.handle(), nullptr, PAGE_READWRITE | SEC_COMMIT, 0, 4096, nullptr);
    CHECK(section != nullptr && CloseHandle(section) != FALSE);
    CHECK(CreateFileMappingW(file.handle(), nullptr, 0, 0, 4096, nullptr) == nullptr);
    CHECK_EQ(GetLastError(), ERROR_INVALID_PARAMETER);
}

} // namespace MINIPEND_TEST_FILE
