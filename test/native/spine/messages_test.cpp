// SPDX-License-Identifier: MIT
//
// This module provides: hostile messages: wrong heads and counts, every command wrong in every way, misaligned buffers, rules set by several
// threads at once. Each gets its own answer and changes nothing. Rules: rules_test.cpp. Buffers that are not there: messages_seh.cpp.

#include "core/thread_impl.hpp"
#include "raw_port.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

const HRESULT NO_ACCESS = HRESULT_FROM_WIN32(ERROR_NOACCESS);

template <class F> OneRule changed(F &&change) {
    OneRule message;
    change(message);
    return message;
}

/// A message of a fixed size.
template <class T> T made(uint16_t command, const std::function<void(T &)> &change) {
    T message{};
    message.Header = head_of(sizeof(T), command);
    change(message);
    return message;
}

/// Shorter and longer than it should be, with a head that agrees.
template <class T> void check_sizes(RawPort &port, uint16_t command) {
    for (const size_t bytes : {sizeof(MINIPEND_MESSAGE_HEADER), sizeof(T) - 8, sizeof(T) + 8, sizeof(T) + 4096}) {
        T message{};
        message.Header = head_of(bytes, command);
        CHECK_ANSWER(port.ask(message, bytes), STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
}

template <class T> struct Bad {
    std::function<void(T &)> change;
    MINIPEND_DETAIL detail;
};

template <class T> void check_bad(RawPort &port, uint16_t command, const std::vector<Bad<T>> &cases) {
    int number = 0;
    for (const auto &[change, detail] : cases) {
        check_answer(port.ask(made<T>(command, change)), STATUS_INVALID_PARAMETER, detail, number++);
    }
}

/// Good in a reply buffer of `bytes`, not in one that is smaller.
template <class T>
void check_room(RawPort &port, uint16_t command, const std::function<void(T &)> &change, size_t bytes) {
    const auto small = port.ask(made<T>(command, change), sizeof(T), bytes - 8);
    CHECK_ANSWER(small, STATUS_BUFFER_TOO_SMALL, MINIPEND_DETAIL_REPLY_BUFFER);
    CHECK_EQ(small.RequiredBytes, bytes);
    CHECK_ANSWER(port.ask(made<T>(command, change), sizeof(T), bytes), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
}

} // namespace

SPINE_TEST(heads_are_checked) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    RawPort port;
    auto request = hello();
    CHECK_ANSWER(port.ask(head_of(16, MINIPEND_COMMAND_COUNTERS)), STATUS_INVALID_DEVICE_STATE,
                 MINIPEND_DETAIL_NOT_GREETED);
    CHECK_ANSWER(port.ask(OneRule()), STATUS_INVALID_DEVICE_STATE, MINIPEND_DETAIL_NOT_GREETED);
    for (const uint16_t version : {uint16_t{0}, uint16_t{MINIPEND_PROTOCOL_VERSION - 1},
                                   uint16_t{MINIPEND_PROTOCOL_VERSION + 1}, uint16_t{0xFFFF}}) {
        request.Header.Version = version;
        CHECK_ANSWER(port.ask(request), STATUS_REVISION_MISMATCH, MINIPEND_DETAIL_VERSION);
    }
    request = hello();
    for (const uint32_t size : {0u, 31u, 33u, 0xFFFFFFFFu}) {
        request.Header.SizeBytes = size;
        CHECK_ANSWER(port.ask(request), STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
    CHECK_ANSWER(port.ask(head_of(16, MINIPEND_COMMAND_HELLO)), STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    request = hello();
    request.Reserved = 1;
    CHECK_ANSWER(port.ask(request), STATUS_INVALID_PARAMETER, MINIPEND_DETAIL_RESERVED);
    const auto small = port.ask(hello(), sizeof(MINIPEND_HELLO_REQUEST), sizeof(MINIPEND_HELLO_REPLY) - 8);
    CHECK_ANSWER(small, STATUS_BUFFER_TOO_SMALL, MINIPEND_DETAIL_REPLY_BUFFER);
    CHECK_EQ(small.RequiredBytes, sizeof(MINIPEND_HELLO_REPLY));
    CHECK_ANSWER(port.ask(hello()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    CHECK_ANSWER(port.ask(hello()), STATUS_INVALID_DEVICE_STATE, MINIPEND_DETAIL_GREETED);
    for (const uint16_t command : {uint16_t{0}, uint16_t{MINIPEND_COMMAND_LIST_RULES + 1}, uint16_t{0xFFFF}}) {
        CHECK_ANSWER(port.ask(head_of(16, command)), STATUS_INVALID_DEVICE_REQUEST, MINIPEND_DETAIL_COMMAND);
    }
    CHECK_ANSWER(port.ask(head_of(24, MINIPEND_COMMAND_COUNTERS), 24), STATUS_INFO_LENGTH_MISMATCH,
                 MINIPEND_DETAIL_SIZE);
    const auto tight = port.ask(head_of(16, MINIPEND_COMMAND_COUNTERS));
    CHECK_ANSWER(tight, STATUS_BUFFER_TOO_SMALL, MINIPEND_DETAIL_REPLY_BUFFER);
    CHECK_EQ(tight.RequiredBytes, sizeof(MINIPEND_COUNTERS_REPLY) + 2 * sizeof(MINIPEND_INSTANCE));
    CHECK_ANSWER(port.ask(head_of(16, MINIPEND_COMMAND_COUNTERS), 16, tight.RequiredBytes), STATUS_SUCCESS,
                 MINIPEND_DETAIL_NONE);
    // Too long for any message.
    std::vector<uint64_t> huge(MINIPEND_MAX_MESSAGE_BYTES / 8 + 1);
    uint64_t out[8];
    CHECK(port.send(huge.data(), huge.size() * 8, out, sizeof(out)) < 0);
    CHECK_EQ(port.returned, 0u);
}

/// The threads that hello names are kept, so that their numbers stay theirs, and let go with the connection.
SPINE_TEST(named_threads_are_kept_for_the_connection) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const uint32_t id = GetCurrentThreadId();
    const auto references = [&] {
        uint32_t count = 0;
        inside(world, [&](fltsim::World &here) {
            const fltsim::KernelCall call("PsLookupThreadByThreadId");
            fltsim::Thread *thread = here.reference_thread(id);
            need(thread != nullptr, "the test's thread is there");
            count = thread->impl->references;
            thread->dereference();
        });
        return count;
    };
    const uint32_t before = references();
    {
        const Client one(id);
        CHECK_EQ(references(), before + 1);
        const Client two(id);
        CHECK_EQ(references(), before + 2);
    }
    CHECK_EQ(references(), before);
    CHECK_EQ(FltSimSetFault(world.number(), "PsLookupThreadByThreadId", 0, 1), 0);
    const Client three(id);
    CHECK_EQ(references(), before);
    CHECK_EQ(three.counters().head().ConnectionCount, 1u);
}

SPINE_TEST(rules_are_checked) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    RawPort port;
    CHECK_ANSWER(port.ask(hello()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    CHECK_ANSWER(port.ask(head_of(16, MINIPEND_COMMAND_SET_RULES)), STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    const struct {
        OneRule message;
        MINIPEND_DETAIL detail;
    } bad[] = {
        {changed([](OneRule &m) { m.request.Count = 0; }), MINIPEND_DETAIL_SIZE},
        {changed([](OneRule &m) { m.request.Count = 2; }), MINIPEND_DETAIL_RULE_SIZE},
        {changed([](OneRule &m) { m.request.Count = MINIPEND_MAX_RULES + 1; }), MINIPEND_DETAIL_RULE_COUNT},
        {changed([](OneRule &m) { m.request.Count = 0xFFFFFFFF; }), MINIPEND_DETAIL_RULE_COUNT},
        {changed([](OneRule &m) { m.request.Reserved = 1; }), MINIPEND_DETAIL_RESERVED},
        {changed([](OneRule &m) { m.request.Flags = 2; }), MINIPEND_DETAIL_FLAGS},
        {changed([](OneRule &m) { m.request.Flags = 0x80000000; }), MINIPEND_DETAIL_FLAGS},
        {changed([](OneRule &m) { m.rule.SizeBytes = 0; }), MINIPEND_DETAIL_RULE_SIZE},
        {changed([](OneRule &m) { m.rule.SizeBytes = sizeof(MINIPEND_RULE) + 8; }), MINIPEND_DETAIL_RULE_SIZE},
        {changed([](OneRule &m) { m.rule.SizeBytes = 0xFFFFFFF8; }), MINIPEND_DETAIL_RULE_SIZE},
        {changed([](OneRule &m) { m.rule.PathBytes = 8; }), MINIPEND_DETAIL_RULE_SIZE},
        // A path that would stand behind the message, by a rule that is right in itself.
        {changed([](OneRule &m) { m.rule.PathBytes = 8, m.rule.SizeBytes += 8; }), MINIPEND_DETAIL_RULE_SIZE},
        {changed([](OneRule &m) { m.rule.PathBytes = 1; }), MINIPEND_DETAIL_RULE_PATH},
        {changed([](OneRule &m) { m.rule.PathBytes = 0xFFFE; }), MINIPEND_DETAIL_RULE_PATH},
        {changed([](OneRule &m) { m.rule.VolumeBytes = 3; }), MINIPEND_DETAIL_RULE_VOLUME},
        {changed([](OneRule &m) { m.rule.VolumeBytes = 0xFFFE; }), MINIPEND_DETAIL_RULE_VOLUME},
        {changed([](OneRule &m) { m.rule.Operations = 0; }), MINIPEND_DETAIL_RULE_OPERATIONS},
        {changed([](OneRule &m) { m.rule.Operations |= bit(MINIPEND_OPERATION_COUNT); }),
         MINIPEND_DETAIL_RULE_OPERATIONS},
        {changed([](OneRule &m) { m.rule.Action = 0; }), MINIPEND_DETAIL_RULE_ACTION},
        {changed([](OneRule &m) { m.rule.Queue = MINIPEND_QUEUE_NONE; }), MINIPEND_DETAIL_RULE_QUEUE},
        {changed([](OneRule &m) { m.rule.Action = MINIPEND_ACTION_OBSERVE; }), MINIPEND_DETAIL_RULE_QUEUE},
        {changed([](OneRule &m) { m.rule.DelayMs = 1; }), MINIPEND_DETAIL_RULE_DELAY},
        {changed([](OneRule &m) { m.rule.Hold = MINIPEND_HOLD_DELAY, m.rule.DelayMs = 30'001; }),
         MINIPEND_DETAIL_RULE_DELAY},
    };
    int line = 0;
    for (const auto &[message, detail] : bad) {
        const NTSTATUS status = detail == MINIPEND_DETAIL_SIZE ? STATUS_INFO_LENGTH_MISMATCH : STATUS_INVALID_PARAMETER;
        check_answer(port.ask(message), status, detail, line++);
    }
    const auto small = port.ask(OneRule(), sizeof(OneRule), sizeof(MINIPEND_SET_RULES_REPLY) - 8);
    CHECK_ANSWER(small, STATUS_BUFFER_TOO_SMALL, MINIPEND_DETAIL_REPLY_BUFFER);
    CHECK_EQ(small.RequiredBytes, sizeof(MINIPEND_SET_RULES_REPLY));
    const Client watcher;
    CHECK_EQ(watcher.counters().head().RuleGeneration, 0u);
    CHECK_ANSWER(port.ask(OneRule()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    CHECK_EQ(File::create(u"D:\\a").rename(u"D:\\b"), 0u);
    CHECK_EQ(watcher.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Pended, 1u);
}

SPINE_TEST(requests_about_held_operations_are_checked) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    RawPort port;
    CHECK_ANSWER(port.ask(hello()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    using List = MINIPEND_LIST_HELD_REQUEST;
    check_sizes<List>(port, MINIPEND_COMMAND_LIST_HELD);
    check_bad<List>(port, MINIPEND_COMMAND_LIST_HELD,
                    {{[](List &m) { m.Flags = 4; }, MINIPEND_DETAIL_FLAGS},
                     {[](List &m) { m.Flags = 0x80000003; }, MINIPEND_DETAIL_FLAGS}});
    check_room<List>(port, MINIPEND_COMMAND_LIST_HELD, [](List &) {}, sizeof(MINIPEND_LIST_HELD_REPLY));
    for (const uint32_t most : {1u, 0xFFFFFFFFu}) {
        check_room<List>(
            port, MINIPEND_COMMAND_LIST_HELD, [most](List &m) { m.MaxEntries = most, m.AfterParkSequence = ~0ull; },
            sizeof(MINIPEND_LIST_HELD_REPLY) + sizeof(MINIPEND_HELD_ENTRY));
    }

    using Release = MINIPEND_RELEASE_REQUEST;
    check_sizes<Release>(port, MINIPEND_COMMAND_RELEASE);
    const auto set = [](uint32_t what, auto change) {
        return [what, change](Release &m) {
            m.What = what;
            change(m);
        };
    };
    check_bad<Release>(
        port, MINIPEND_COMMAND_RELEASE,
        {{set(MINIPEND_RELEASE_WHAT_ALL, [](auto &m) { m.Flags = 2; }), MINIPEND_DETAIL_FLAGS},
         {set(MINIPEND_RELEASE_WHAT_RULE, [](auto &m) { m.Flags = MINIPEND_RELEASE_FORCE; }), MINIPEND_DETAIL_FLAGS},
         {set(MINIPEND_RELEASE_WHAT_SET, [](auto &m) { m.Flags = MINIPEND_RELEASE_FORCE; }), MINIPEND_DETAIL_FLAGS},
         {set(MINIPEND_RELEASE_WHAT_ALL, [](auto &m) { m.Reserved = 1; }), MINIPEND_DETAIL_RESERVED},
         {set(MINIPEND_RELEASE_WHAT_ALL, [](auto &m) { m.HeldId = 1; }), MINIPEND_DETAIL_RESERVED},
         {set(MINIPEND_RELEASE_WHAT_ALL, [](auto &m) { m.SetId = 1; }), MINIPEND_DETAIL_RESERVED},
         {set(MINIPEND_RELEASE_WHAT_SET, [](auto &m) { m.RuleId = 1; }), MINIPEND_DETAIL_RESERVED},
         {set(MINIPEND_RELEASE_WHAT_ONE, [](auto &m) { m.RuleId = 1; }), MINIPEND_DETAIL_RESERVED},
         {set(MINIPEND_RELEASE_WHAT_RULE, [](auto &m) { m.HeldId = 1; }), MINIPEND_DETAIL_RESERVED},
         {set(0, [](auto &) {}), MINIPEND_DETAIL_RELEASE_WHAT},
         {set(5, [](auto &) {}), MINIPEND_DETAIL_RELEASE_WHAT},
         {set(0xFFFFFFFF, [](auto &) {}), MINIPEND_DETAIL_RELEASE_WHAT},
         {set(MINIPEND_RELEASE_WHAT_ALL, [](auto &m) { m.Status = STATUS_PENDING; }), MINIPEND_DETAIL_RELEASE_STATUS},
         {set(MINIPEND_RELEASE_WHAT_ALL, [](auto &m) { m.Status = STATUS_REPARSE; }), MINIPEND_DETAIL_RELEASE_STATUS},
         {set(MINIPEND_RELEASE_WHAT_ALL, [](auto &m) { m.Status = STATUS_BUFFER_OVERFLOW; }),
          MINIPEND_DETAIL_RELEASE_STATUS},
         {set(MINIPEND_RELEASE_WHAT_ALL, [](auto &m) { m.Status = STATUS_FLT_DISALLOW_FAST_IO; }),
          MINIPEND_DETAIL_RELEASE_STATUS}});
    check_room<Release>(
        port, MINIPEND_COMMAND_RELEASE, [](Release &m) { m.What = MINIPEND_RELEASE_WHAT_ALL; },
        sizeof(MINIPEND_RELEASE_REPLY));
    for (const uint64_t id : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}}) {
        CHECK_EQ(client.release_one(id).Header.Detail, static_cast<uint32_t>(MINIPEND_DETAIL_HELD_UNKNOWN));
        CHECK_EQ(client.release_one(id).Header.Status, STATUS_NOT_FOUND);
    }
}

SPINE_TEST(requests_about_events_are_checked) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    RawPort port;
    CHECK_ANSWER(port.ask(hello()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    using Subscribe = MINIPEND_SUBSCRIBE_REQUEST;
    using Pull = MINIPEND_PULL_EVENTS_REQUEST;
    const auto pull = made<Pull>(MINIPEND_COMMAND_PULL_EVENTS, [](Pull &) {});
    CHECK_ANSWER(port.ask(pull), STATUS_INVALID_DEVICE_STATE, MINIPEND_DETAIL_NOT_SUBSCRIBED);

    check_sizes<Subscribe>(port, MINIPEND_COMMAND_SUBSCRIBE);
    const auto ring = [](uint32_t events) {
        return [events](Subscribe &m) {
            m.Kinds = 1;
            m.RingEvents = events;
        };
    };
    check_bad<Subscribe>(
        port, MINIPEND_COMMAND_SUBSCRIBE,
        {{[](Subscribe &m) { m.Flags = 2; }, MINIPEND_DETAIL_FLAGS},
         {[](Subscribe &m) { m.Reserved = 1; }, MINIPEND_DETAIL_RESERVED},
         {[](Subscribe &m) { m.Kinds = 1u << MINIPEND_EVENT_KIND_COUNT; }, MINIPEND_DETAIL_EVENT_KINDS},
         {[](Subscribe &m) { m.Kinds = 0xFFFFFFFF; }, MINIPEND_DETAIL_EVENT_KINDS},
         {ring(1), MINIPEND_DETAIL_EVENT_RING},
         {ring(MINIPEND_MIN_EVENT_RING - 1), MINIPEND_DETAIL_EVENT_RING},
         {ring(MINIPEND_MAX_EVENT_RING + 1), MINIPEND_DETAIL_EVENT_RING},
         {ring(0xFFFFFFFF), MINIPEND_DETAIL_EVENT_RING}});
    CHECK_ANSWER(port.ask(pull), STATUS_INVALID_DEVICE_STATE, MINIPEND_DETAIL_NOT_SUBSCRIBED);
    check_room<Subscribe>(port, MINIPEND_COMMAND_SUBSCRIBE, ring(0), sizeof(MINIPEND_SUBSCRIBE_REPLY));
    CHECK_ANSWER(port.ask(made<Subscribe>(MINIPEND_COMMAND_SUBSCRIBE, ring(MINIPEND_MAX_EVENT_RING))), STATUS_SUCCESS,
                 MINIPEND_DETAIL_NONE);

    check_sizes<Pull>(port, MINIPEND_COMMAND_PULL_EVENTS);
    check_bad<Pull>(port, MINIPEND_COMMAND_PULL_EVENTS,
                    {{[](Pull &m) { m.Flags = 2; }, MINIPEND_DETAIL_FLAGS},
                     {[](Pull &m) { m.Acknowledge = 1; }, MINIPEND_DETAIL_EVENT_CURSOR},
                     {[](Pull &m) { m.Acknowledge = ~0ull; }, MINIPEND_DETAIL_EVENT_CURSOR}});
    check_room<Pull>(port, MINIPEND_COMMAND_PULL_EVENTS, [](Pull &) {}, sizeof(MINIPEND_PULL_EVENTS_REPLY));
    for (const uint32_t most : {1u, 0xFFFFFFFFu}) {
        check_room<Pull>(
            port, MINIPEND_COMMAND_PULL_EVENTS, [most](Pull &m) { m.MaxEvents = most; },
            sizeof(MINIPEND_PULL_EVENTS_REPLY) + sizeof(MINIPEND_EVENT));
    }
    check_room<Subscribe>(port, MINIPEND_COMMAND_SUBSCRIBE, [](Subscribe &) {}, sizeof(MINIPEND_SUBSCRIBE_REPLY));
    CHECK_ANSWER(port.ask(pull), STATUS_INVALID_DEVICE_STATE, MINIPEND_DETAIL_NOT_SUBSCRIBED);
}

/// What a message needs memory for: one by one it is not to be had, and the answer says so.
SPINE_TEST(commands_that_find_no_memory_say_so) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    RawPort port;
    CHECK_ANSWER(port.ask(hello()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    const auto subscribe = made<MINIPEND_SUBSCRIBE_REQUEST>(MINIPEND_COMMAND_SUBSCRIBE, [](auto &m) { m.Kinds = 1; });
    const auto pull = made<MINIPEND_PULL_EVENTS_REQUEST>(MINIPEND_COMMAND_PULL_EVENTS, [](auto &) {});
    const auto list = made<MINIPEND_LIST_HELD_REQUEST>(MINIPEND_COMMAND_LIST_HELD, [](auto &) {});
    const auto starve = [&] { CHECK_EQ(FltSimSetFault(world.number(), "WdfMemoryCreate", 1, 1), 0); };
    starve();
    CHECK_ANSWER(port.ask(subscribe), STATUS_INSUFFICIENT_RESOURCES, MINIPEND_DETAIL_MEMORY);
    CHECK_ANSWER(port.ask(pull), STATUS_INVALID_DEVICE_STATE, MINIPEND_DETAIL_NOT_SUBSCRIBED);
    CHECK_ANSWER(port.ask(subscribe), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    starve();
    CHECK_ANSWER(port.ask(pull), STATUS_INSUFFICIENT_RESOURCES, MINIPEND_DETAIL_MEMORY);
    CHECK_ANSWER(port.ask(pull), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    starve();
    CHECK_ANSWER(port.ask(list), STATUS_INSUFFICIENT_RESOURCES, MINIPEND_DETAIL_MEMORY);
    CHECK_ANSWER(port.ask(list), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    starve();
    CHECK_ANSWER(port.ask(head_of(16, MINIPEND_COMMAND_COUNTERS), 16, 1 << 20), STATUS_INSUFFICIENT_RESOURCES,
                 MINIPEND_DETAIL_MEMORY);
}

SPINE_TEST(misaligned_buffers_are_refused) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    RawPort port;
    alignas(8) char in[64] = {};
    alignas(8) char out[128] = {};
    const auto request = hello();
    for (size_t i = 0; i < 8; ++i) {
        for (size_t o = 0; o < 8; ++o) {
            if (i == 0 && o == 0) {
                continue;
            }
            std::memcpy(in + i, &request, sizeof(request));
            CHECK_EQ(port.send(in + i, sizeof(request), out + o, 96), NO_ACCESS);
            CHECK_EQ(port.returned, 0u);
        }
    }
    CHECK_ANSWER(port.ask(hello()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
}

/// Several threads of one client set rules at once: what is in force in the end is what the highest generation said.
SPINE_TEST(the_highest_generation_wins) {
    constexpr int threads = 4;
    constexpr int rounds = 25;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    RawPort port;
    CHECK_ANSWER(port.ask(hello()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    std::atomic<uint64_t> highest{0}; // generation * 2 + whether it pends
    std::vector<std::future<void>> senders;
    const Client watcher;
    const File file = File::create(u"D:\\a");
    for (int round = 0; round < rounds; ++round) {
        for (int t = 0; t < threads; ++t) {
            senders.push_back(world.start([&, t] {
                OneRule message;
                const bool pends = t % 2 == 0;
                message.rule.Operations = bit(pends ? MINIPEND_OPERATION_RENAME : MINIPEND_OPERATION_LINK);
                alignas(8) MINIPEND_SET_RULES_REPLY reply{};
                DWORD returned = 0;
                CHECK_EQ(FilterSendMessage(port.handle(), &message, sizeof(message), &reply, sizeof(reply), &returned),
                         S_OK);
                const uint64_t mine = reply.Generation * 2 + (pends ? 1 : 0);
                uint64_t before = highest;
                while (before < mine && !highest.compare_exchange_weak(before, mine)) {
                }
            }));
        }
        for (auto &sender : senders) {
            sender.get();
        }
        senders.clear();
        const uint64_t pended = watcher.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Pended;
        CHECK_EQ(file.rename(round % 2 == 0 ? u"D:\\b" : u"D:\\a"), 0u);
        const Counters counters = watcher.counters_at_rest();
        CHECK_EQ(counters.head().RuleGeneration, highest / 2);
        CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Pended, pended + highest % 2);
    }
}

} // namespace MINIPEND_TEST_FILE
