// SPDX-License-Identifier: MIT
//
// This module provides: scenarios in which a rule wants an operation pended and that cannot be, one per refusal cause, made by real I/O.
//
// Not here: capacity (capacity_test.cpp) and tearing down (neighbours_test.cpp).

#include <cstring>

#include "raw_port.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

Rule pend(uint64_t operations, uint32_t flags = 0) {
    Rule rule;
    rule.operations = operations;
    rule.flags = flags;
    return rule;
}

uint64_t refused(const Counters &counters, MINIPEND_OPERATION operation, MINIPEND_REFUSAL cause) {
    return counters.total(operation).Refused[cause];
}

uint64_t refusals(const MINIPEND_OPERATION_COUNTERS &counters) {
    uint64_t sum = 0;
    for (const uint64_t count : counters.Refused) {
        sum += count;
    }
    return sum;
}

} // namespace

SPINE_TEST(fast_io_is_refused_as_not_irp) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const File file = File::create(u"D:\\a");
    CHECK_EQ(file.write("0123456789"), 0u);
    const Client client;
    CHECK_EQ(client.set_rules({pend(bit(MINIPEND_OPERATION_READ))}).Status, STATUS_SUCCESS);
    std::string text;
    for (int i = 0; i < 3; ++i) {
        CHECK_EQ(file.seek(0), 0u);
        CHECK_EQ(file.read(&text, 10), 0u);
        CHECK_EQ(text, std::string("0123456789"));
    }
    Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK(refused(counters, MINIPEND_OPERATION_READ, MINIPEND_REFUSAL_NOT_IRP) >= 2);
    const uint64_t pended = counters.total(MINIPEND_OPERATION_READ).Pended;

    // Sent back, the same read comes as an IRP and can be pended.
    CHECK_EQ(client.set_rules({pend(bit(MINIPEND_OPERATION_READ), MINIPEND_RULE_FAST_IO_TO_IRP)}).Status,
             STATUS_SUCCESS);
    CHECK_EQ(file.seek(0), 0u);
    CHECK_EQ(file.read(&text, 10), 0u);
    CHECK_EQ(text, std::string("0123456789"));
    counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.total(MINIPEND_OPERATION_READ).FastIoDisallowed, 1u);
    CHECK_EQ(counters.total(MINIPEND_OPERATION_READ).Pended, pended + 1);
}

SPINE_TEST(a_mapped_flush_is_refused_as_paging) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const File file = File::create(u"D:\\mapped");
    CHECK_EQ(file.write(std::string(8192, 'a')), 0u);
    CHECK_EQ(file.flush(), 0u);
    const Client client;
    CHECK_EQ(client.set_rules({pend(bit(MINIPEND_OPERATION_WRITE) | bit(MINIPEND_OPERATION_CC_FLUSH))}).Status,
             STATUS_SUCCESS);
    const HANDLE section = CreateFileMappingW(file.handle(), nullptr, PAGE_READWRITE, 0, 0, nullptr);
    auto *const view = static_cast<char *>(MapViewOfFile(section, FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, 0));
    REQUIRE(view != nullptr);
    std::memcpy(view, "changed", 7);
    CHECK(FlushViewOfFile(view, 0) != FALSE);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK(refused(counters, MINIPEND_OPERATION_WRITE, MINIPEND_REFUSAL_PAGING) >= 1);
    CHECK(refused(counters, MINIPEND_OPERATION_CC_FLUSH, MINIPEND_REFUSAL_NOT_IRP) >= 1);
    CHECK_EQ(counters.total(MINIPEND_OPERATION_WRITE).Pended, 0u);
    CHECK(UnmapViewOfFile(view) != FALSE);
    CHECK(CloseHandle(section) != FALSE);
}

SPINE_TEST(fat_completes_under_a_top_level_irp) {
    TestWorld world(executor);
    load_and_attach({u"E:"});
    const Client client;
    CHECK_EQ(client.set_rules({pend(bit(MINIPEND_OPERATION_RENAME) | bit(MINIPEND_OPERATION_CREATE))}).Status,
             STATUS_SUCCESS);
    {
        const File file = File::create(u"E:\\a");
        CHECK_EQ(file.rename(u"E:\\b"), 0u);
    }
    CHECK(exists(u"E:\\b"));
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(refused(counters, MINIPEND_OPERATION_RENAME, MINIPEND_REFUSAL_TOP_LEVEL_IRP), 1u);
    // Creates are completed after the file system has left, with none.
    CHECK(counters.total(MINIPEND_OPERATION_CREATE).Pended > 0);
    CHECK_EQ(counters.head().UnexpectedRefusals, 0u);
}

SPINE_TEST(the_boot_volume_is_left_alone) {
    TestWorld world(executor);
    load_and_attach({u"C:"});
    const Client client;
    CHECK_EQ(client.set_rules({pend(bit(MINIPEND_OPERATION_RENAME))}).Status, STATUS_SUCCESS);
    const File file = File::create(u"C:\\a");
    CHECK_EQ(file.rename(u"C:\\b"), 0u);
    CHECK_EQ(client.set_rules({pend(bit(MINIPEND_OPERATION_RENAME), MINIPEND_RULE_BOOT_VOLUME)}).Status,
             STATUS_SUCCESS);
    CHECK_EQ(file.rename(u"C:\\a"), 0u);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.instance(1).Flags & MINIPEND_INSTANCE_BOOT_VOLUME, MINIPEND_INSTANCE_BOOT_VOLUME);
    CHECK_EQ(refused(counters, MINIPEND_OPERATION_RENAME, MINIPEND_REFUSAL_POLICY), 1u);
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Pended, 1u);
}

SPINE_TEST(the_threads_named_at_hello_are_never_held) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client(GetCurrentThreadId());
    CHECK_EQ(client.set_rules({pend(bit(MINIPEND_OPERATION_RENAME))}).Status, STATUS_SUCCESS);
    CHECK_EQ(File::create(u"D:\\a").rename(u"D:\\b"), 0u);
    world.start([] { CHECK_EQ(File::create(u"D:\\c").rename(u"D:\\d"), 0u); }).get();
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(refused(counters, MINIPEND_OPERATION_RENAME, MINIPEND_REFUSAL_POLICY), 1u);
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Pended, 1u);
}

/// The other thread that hello names: the one that runs the client's script.
SPINE_TEST(the_script_thread_named_at_hello_is_never_held) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    RawPort port;
    MINIPEND_HELLO_REQUEST request = hello();
    request.ScriptThreadId = GetCurrentThreadId();
    CHECK_ANSWER(port.ask(request), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    CHECK_ANSWER(port.ask(OneRule()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    CHECK_EQ(File::create(u"D:\\a").rename(u"D:\\b"), 0u);
    world.start([] { CHECK_EQ(File::create(u"D:\\c").rename(u"D:\\d"), 0u); }).get();
    const Counters counters = Client().counters_at_rest();
    CHECK_EQ(refused(counters, MINIPEND_OPERATION_RENAME, MINIPEND_REFUSAL_POLICY), 1u);
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Pended, 1u);
}

SPINE_TEST(without_memory_nothing_is_held) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    CHECK_EQ(client.set_rules({pend(bit(MINIPEND_OPERATION_RENAME))}).Status, STATUS_SUCCESS);
    const File file = File::create(u"D:\\0");
    uint64_t expected = 0;
    for (const char *function : {"FltAllocateDeferredIoWorkItem", "WdfMemoryCreateFromLookaside"}) {
        CHECK_EQ(FltSimSetFault(world.number(), function, 0, 1), 0);
        const std::u16string name = expected == 0 ? u"D:\\1" : u"D:\\2";
        CHECK_EQ(file.rename(name), 0u);
        ++expected;
        CHECK(exists(name));
    }
    CHECK_EQ(file.rename(u"D:\\3"), 0u);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(refused(counters, MINIPEND_OPERATION_RENAME, MINIPEND_REFUSAL_ALLOCATION), expected);
    CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Pended, 1u);
    CHECK_EQ(FltSimSetFault(world.number(), "NoSuchFunction", 0, 1), -1);
}

SPINE_TEST(an_unexplained_refusal_is_unsafe) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    CHECK_EQ(client.set_rules({pend(bit(MINIPEND_OPERATION_RENAME))}).Status, STATUS_SUCCESS);
    CHECK_EQ(FltSimSetFault(world.number(), "FltQueueDeferredIoWorkItem", 0, 1), 0);
    CHECK_EQ(File::create(u"D:\\a").rename(u"D:\\b"), 0u);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(refused(counters, MINIPEND_OPERATION_RENAME, MINIPEND_REFUSAL_UNSAFE), 1u);
    CHECK_EQ(counters.head().UnexpectedRefusals, 1u);
}

/// Detaches while uncached reads are below, until one was drained. Whatever became of the others, the balance is exact.
SPINE_TEST(detach_drains_what_is_below) {
    constexpr DWORD count = 16;
    constexpr int tries = 200;
    TestWorld world(executor);
    load_and_attach({});
    CHECK_EQ(File::create(u"D:\\big").write(std::string(count * 4096, 'x')), 0u);
    const Client client;
    CHECK_EQ(client.set_rules({pend(bit(MINIPEND_OPERATION_READ))}).Status, STATUS_SUCCESS);
    const File file(u"D:\\big", {.access = GENERIC_READ, .flags = FILE_FLAG_OVERLAPPED | FILE_FLAG_NO_BUFFERING});
    alignas(4096) static char buffer[count][4096];
    uint64_t sent = 0;
    bool drained = false;
    for (int i = 0; i < tries && !drained; ++i) {
        CHECK_EQ(FilterAttach(u"minipend", u"D:", nullptr, 0, nullptr), S_OK);
        auto reading = world.start([&file] {
            OVERLAPPED overlapped[count]{};
            for (DWORD n = 0; n < count; ++n) {
                overlapped[n].Offset = n * 4096;
                ReadFile(file.handle(), buffer[n], 4096, nullptr, &overlapped[n]);
            }
            for (OVERLAPPED &one : overlapped) {
                DWORD bytes = 0;
                CHECK(GetOverlappedResult(file.handle(), &one, &bytes, TRUE) != FALSE);
                CHECK_EQ(bytes, 4096u);
            }
        });
        std::this_thread::sleep_for(std::chrono::microseconds(50 * (i % 20)));
        CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK);
        reading.get();
        sent += count;
        drained = refused(client.counters_at_rest(), MINIPEND_OPERATION_READ, MINIPEND_REFUSAL_DRAINING) > 0;
    }
    CHECK(drained);
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    const auto reads = counters.total(MINIPEND_OPERATION_READ);
    CHECK(reads.PostOperations <= sent); // a read that came after the detach was not seen
    CHECK_EQ(reads.PostOperations, reads.Completed + refusals(reads));
}

SPINE_TEST(bad_messages_change_nothing) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const uint64_t generation = client.counters().head().RuleGeneration;
    const struct {
        Rule rule;
        MINIPEND_DETAIL detail;
    } bad[] = {
        {.rule = {.operations = 0}, .detail = MINIPEND_DETAIL_RULE_OPERATIONS},
        {.rule = {.operations = uint64_t{1} << 63}, .detail = MINIPEND_DETAIL_RULE_OPERATIONS},
        {.rule = {.operations = 1, .action = 99}, .detail = MINIPEND_DETAIL_RULE_ACTION},
        {.rule = {.operations = 1, .queue = 99}, .detail = MINIPEND_DETAIL_RULE_QUEUE},
        {.rule = {.operations = 1, .delayMs = 0xFFFFFFFF}, .detail = MINIPEND_DETAIL_RULE_DELAY},
        {.rule = {.operations = 1, .flags = 0x80000000}, .detail = MINIPEND_DETAIL_RULE_FLAGS},
        {.rule = {.operations = 1, .path = std::u16string(513, u'x')}, .detail = MINIPEND_DETAIL_RULE_PATH},
    };
    for (const auto &one : bad) {
        const MINIPEND_REPLY_HEADER head = client.set_rules({pend(1), one.rule});
        CHECK_EQ(head.Status, STATUS_INVALID_PARAMETER);
        CHECK_EQ(head.Detail, static_cast<uint32_t>(one.detail));
        CHECK_EQ(head.Index, 1u);
    }
    CHECK_EQ(client.counters().head().RuleGeneration, generation);
    // What has no readable head or no room for a reply fails as a call.
    std::vector<uint64_t> reply(64);
    CHECK_EQ(send_raw(client.port(), std::vector<uint64_t>(2), 15, &reply), HRESULT_FROM_WIN32(ERROR_BAD_LENGTH));
    reply.clear();
    CHECK_EQ(send_raw(client.port(), std::vector<uint64_t>(2), 16, &reply),
             HRESULT_FROM_WIN32(ERROR_INSUFFICIENT_BUFFER));
    DWORD returned = 0;
    alignas(8) char bytes[128] = {};
    CHECK_EQ(FilterSendMessage(client.port(), bytes + 1, 16, bytes + 64, 64, &returned),
             HRESULT_FROM_WIN32(ERROR_NOACCESS));
    // A pointer to nowhere is met inside the driver's guard.
    CHECK_EQ(FilterSendMessage(client.port(), reinterpret_cast<void *>(0x10000), 16, bytes, 64, &returned),
             HRESULT_FROM_WIN32(ERROR_NOACCESS));
    CHECK(client.counters_at_rest().balanced(true));
}

} // namespace MINIPEND_TEST_FILE
