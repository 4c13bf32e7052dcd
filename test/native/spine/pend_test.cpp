// SPDX-License-Identifier: MIT
//
// This module provides: scenarios in which the driver holds operations, and gives them back.

#include <atomic>

#include "inside.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

void make_inbox() {
    CHECK(CreateDirectoryW(u"D:\\inbox", nullptr) != FALSE);
    CHECK(File::create(u"D:\\inbox\\a.txt").is_open());
}

Rule slow_renames(uint32_t delayMs) {
    Rule rule;
    rule.operations = bit(MINIPEND_OPERATION_RENAME);
    rule.delayMs = delayMs;
    rule.path = u"\\inbox\\*";
    return rule;
}

/// Starts a rename that the rules hold, and returns once the driver holds it.
std::future<std::pair<DWORD, uint32_t>> start_held_rename(const TestWorld &world, const Client &client) {
    auto renaming = world.start([] {
        const File file = File::open(u"D:\\inbox\\a.txt");
        const auto start = Clock::now();
        const DWORD error = file.rename(u"D:\\inbox\\b.txt");
        return std::pair(error, elapsedMs(start));
    });
    // Held once the queue call has succeeded, which a detach in between can keep it from; HeldNow has it a moment before.
    CHECK(eventually([&] { return client.counters().head().HeldHighWater == 1; }));
    return renaming;
}

} // namespace

SPINE_TEST(hello_says_who_is_there) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    CHECK_EQ(FilterLoad(u"minipend"), HRESULT_FROM_WIN32(ERROR_SERVICE_ALREADY_RUNNING));
    CHECK_EQ(FilterAttach(u"minipend", u"Q:", nullptr, 0, nullptr), static_cast<HRESULT>(0x801F0014));
    CHECK_EQ(FilterAttach(u"nobody", u"D:", nullptr, 0, nullptr), static_cast<HRESULT>(0x801F0013));
    const Client client;
    CHECK_EQ(client.hello().OperationCount, static_cast<uint32_t>(MINIPEND_OPERATION_COUNT));
    CHECK_EQ(client.hello().ProcessorCount, 2u);
    const Counters counters = client.counters();
    CHECK_EQ(counters.head().InstanceCount, 2u); // the retired sum, and D:
    CHECK(std::u16string(reinterpret_cast<const char16_t *>(counters.instance(1).Volume)) ==
          u"\\Device\\HarddiskVolume2");
    CHECK_EQ(counters.instance(0).Flags & MINIPEND_INSTANCE_RETIRED, MINIPEND_INSTANCE_RETIRED);
}

SPINE_TEST(a_held_rename_has_already_happened) {
    constexpr uint32_t hold_ms = 1'000;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    make_inbox();
    CHECK(CreateDirectoryW(u"D:\\outbox", nullptr) != FALSE);
    const Client client;
    CHECK_EQ(client.set_rules({slow_renames(hold_ms)}).Status, STATUS_SUCCESS);
    auto renaming = start_held_rename(world, client);
    // Visible at once, and other files do not wait.
    CHECK(exists(u"D:\\inbox\\b.txt"));
    CHECK(!exists(u"D:\\inbox\\a.txt"));
    const File other = File::create(u"D:\\outbox\\c.txt");
    CHECK_EQ(other.write("meanwhile"), 0u);
    CHECK_EQ(other.rename(u"D:\\outbox\\d.txt"), 0u);
    CHECK_EQ(client.counters().head().HeldNow, 1u);
    CHECK(client.counters().balanced(false));
    const auto [error, took_ms] = renaming.get();
    CHECK_EQ(error, 0u);
    CHECK(took_ms >= hold_ms);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    const auto renames = counters.of(1, MINIPEND_OPERATION_RENAME);
    CHECK_EQ(renames.PostOperations, 2u);
    CHECK_EQ(renames.Pended, 1u);
    CHECK_EQ(renames.Completed, 1u);
    CHECK_EQ(renames.Unmatched, 1u);
    CHECK_EQ(counters.head().HeldHighWater, 1u);
    CHECK_EQ(counters.head().UnexpectedRefusals, 0u);
}

SPINE_TEST(a_client_that_leaves_releases_what_it_held) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    make_inbox();
    const Client watcher;
    {
        Client client;
        CHECK_EQ(client.set_rules({slow_renames(LONG_MS)}).Status, STATUS_SUCCESS);
        auto renaming = start_held_rename(world, client);
        client.close();
        const auto [error, took_ms] = renaming.get();
        CHECK_EQ(error, 0u);
        CHECK(took_ms < LONG_MS);
    }
    // The rules went with it.
    const auto start = Clock::now();
    CHECK_EQ(File::open(u"D:\\inbox\\b.txt").rename(u"D:\\inbox\\a.txt"), 0u);
    CHECK(elapsedMs(start) < LONG_MS);
    const Counters counters = watcher.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.of(1, MINIPEND_OPERATION_RENAME).Pended, 1u);
    CHECK_EQ(counters.head().ConnectionCount, 1u);
}

SPINE_TEST(detach_releases_what_is_held) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    make_inbox();
    const Client client;
    CHECK_EQ(client.set_rules({slow_renames(LONG_MS)}).Status, STATUS_SUCCESS);
    auto renaming = start_held_rename(world, client);
    CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK);
    const auto [error, took_ms] = renaming.get();
    CHECK_EQ(error, 0u);
    CHECK(took_ms < LONG_MS);
    const Counters counters = client.counters_at_rest();
    CHECK_EQ(counters.head().InstanceCount, 1u);
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.of(0, MINIPEND_OPERATION_RENAME).Completed, 1u);
    CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), static_cast<HRESULT>(0x801F0015));
    CHECK_EQ(FilterAttach(u"minipend", u"D:", nullptr, 0, nullptr), S_OK);
}

SPINE_TEST(unload_releases_what_is_held) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    make_inbox();
    const Client client;
    CHECK_EQ(client.set_rules({slow_renames(LONG_MS)}).Status, STATUS_SUCCESS);
    auto renaming = start_held_rename(world, client);
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
    const auto [error, took_ms] = renaming.get();
    CHECK_EQ(error, 0u);
    CHECK(took_ms < LONG_MS);
    CHECK_EQ(FilterUnload(u"minipend"), static_cast<HRESULT>(0x801F0013));
    std::vector<uint64_t> reply(8);
    CHECK_EQ(send_raw(client.port(), std::vector<uint64_t>(2), 16, &reply), HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE));
    // And it can come back.
    load_and_attach({u"D:"});
    CHECK(Client().counters_at_rest().balanced(true));
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

SPINE_TEST(a_world_ends_with_an_operation_held) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    make_inbox();
    const Client client;
    CHECK_EQ(client.set_rules({slow_renames(LONG_MS)}).Status, STATUS_SUCCESS);
    auto renaming = start_held_rename(world, client);
    world.expect_held();
    world.end();
    const auto [error, took_ms] = renaming.get();
    CHECK(error == ERROR_SUCCESS || error == ERROR_SHUTDOWN_IN_PROGRESS);
    CHECK(took_ms < LONG_MS);
}

SPINE_TEST(every_pendable_operation_comes_back) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    Rule rule;
    rule.operations = (uint64_t{1} << MINIPEND_OPERATION_COUNT) - 1;
    rule.delayMs = 5;
    rule.flags = MINIPEND_RULE_KERNEL_MODE; // the I/O manager sends cleanup and close in its own name
    CHECK_EQ(client.set_rules({rule}).Status, STATUS_SUCCESS);
    CHECK(CreateDirectoryW(u"D:\\dir", nullptr) != FALSE);
    {
        const File file = File::create(u"D:\\dir\\a");
        CHECK_EQ(file.write("hello"), 0u);
        CHECK_EQ(file.seek(0), 0u);
        std::string text;
        CHECK_EQ(file.read(&text, 5), 0u);
        CHECK_EQ(text, std::string("hello"));
        CHECK_EQ(file.flush(), 0u);
        CHECK_EQ(file.rename(u"D:\\dir\\b"), 0u);
        FILE_BASIC_INFO basic{};
        CHECK(GetFileInformationByHandleEx(file.handle(), FileBasicInfo, &basic, sizeof(basic)) != FALSE);
        CHECK(SetFileInformationByHandle(file.handle(), FileBasicInfo, &basic, sizeof(basic)) != FALSE);
        CHECK_EQ(list(u"D:\\dir").size(), size_t{1});
        CHECK_EQ(file.mark_deleted(), 0u);
    }
    CHECK_EQ(list(u"D:\\dir").size(), size_t{0});
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    for (const auto operation :
         {MINIPEND_OPERATION_CREATE, MINIPEND_OPERATION_WRITE, MINIPEND_OPERATION_FLUSH, MINIPEND_OPERATION_RENAME,
          MINIPEND_OPERATION_SET_INFORMATION, MINIPEND_OPERATION_DELETE, MINIPEND_OPERATION_QUERY_DIRECTORY,
          MINIPEND_OPERATION_CLEANUP}) {
        CHECK(counters.total(operation).Pended > 0);
    }
    CHECK_EQ(counters.head().UnexpectedRefusals, 0u);
}

SPINE_TEST(overlapped_reads_are_held_and_counted_exactly) {
    constexpr DWORD count = 32;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    CHECK_EQ(File::create(u"D:\\big").write(std::string(count * 4096, 'x')), 0u);
    const Client client;
    Rule rule;
    rule.operations = bit(MINIPEND_OPERATION_READ);
    rule.delayMs = 50;
    CHECK_EQ(client.set_rules({rule}).Status, STATUS_SUCCESS);
    const File file(u"D:\\big", {.access = GENERIC_READ, .flags = FILE_FLAG_OVERLAPPED | FILE_FLAG_NO_BUFFERING});
    alignas(4096) static char buffer[count][4096];
    OVERLAPPED overlapped[count]{};
    const auto start = Clock::now();
    for (DWORD i = 0; i < count; ++i) {
        overlapped[i].Offset = i * 4096;
        CHECK(ReadFile(file.handle(), buffer[i], 4096, nullptr, &overlapped[i]) == FALSE);
        CHECK_EQ(GetLastError(), ERROR_IO_PENDING);
    }
    for (OVERLAPPED &one : overlapped) {
        DWORD bytes = 0;
        CHECK(GetOverlappedResult(file.handle(), &one, &bytes, TRUE) != FALSE);
        CHECK_EQ(bytes, 4096u);
    }
    CHECK(elapsedMs(start) >= 50);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    // The storage's DPC may have interrupted a thread that was inside the file system.
    const auto reads = counters.total(MINIPEND_OPERATION_READ);
    CHECK_EQ(reads.Completed + reads.Refused[MINIPEND_REFUSAL_TOP_LEVEL_IRP], uint64_t{count});
    CHECK(reads.Completed > 0);
}

SPINE_TEST(many_threads_lose_no_operation) {
    constexpr int threads = 6;
    constexpr int rounds = 20;
    TestWorld world(executor);
    load_and_attach({u"D:", u"E:"});
    const Client client;
    Rule rule;
    rule.operations = bit(MINIPEND_OPERATION_WRITE) | bit(MINIPEND_OPERATION_RENAME) | bit(MINIPEND_OPERATION_CLEANUP);
    rule.flags = MINIPEND_RULE_KERNEL_MODE;
    CHECK_EQ(client.set_rules({rule}).Status, STATUS_SUCCESS);
    std::vector<std::future<void>> workers;
    for (int t = 0; t < threads; ++t) {
        workers.push_back(world.start([t] {
            const std::u16string base =
                (t % 2 == 0 ? u"D:\\" : u"E:\\") + std::u16string(1, static_cast<char16_t>(u'a' + t));
            for (int i = 0; i < rounds; ++i) {
                const File file = File::create(base);
                CHECK_EQ(file.write("some text"), 0u);
                CHECK_EQ(file.rename(base + u"-renamed"), 0u);
                CHECK_EQ(file.mark_deleted(), 0u);
            }
        }));
    }
    for (auto &worker : workers) {
        worker.get();
    }
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    const auto renames = counters.total(MINIPEND_OPERATION_RENAME);
    CHECK_EQ(renames.PostOperations, static_cast<uint64_t>(threads * rounds));
    CHECK_EQ(renames.Completed, static_cast<uint64_t>(threads / 2 * rounds));
    CHECK_EQ(renames.Refused[MINIPEND_REFUSAL_TOP_LEVEL_IRP], static_cast<uint64_t>(threads / 2 * rounds));
}

TEST(a_virtual_clock_jumps_over_a_hold) {
    TestWorld world(FLTSIM_EXECUTOR_FIBERS, FLTSIM_CLOCK_VIRTUAL);
    load_and_attach({u"D:"});
    make_inbox();
    const Client client;
    CHECK_EQ(client.set_rules({slow_renames(LONG_MS)}).Status, STATUS_SUCCESS);
    const auto start = Clock::now();
    CHECK_EQ(File::open(u"D:\\inbox\\a.txt").rename(u"D:\\inbox\\b.txt"), 0u);
    CHECK(elapsedMs(start) < LONG_MS);
    CHECK_EQ(client.counters_at_rest().of(1, MINIPEND_OPERATION_RENAME).Completed, 1u);
}

} // namespace MINIPEND_TEST_FILE
