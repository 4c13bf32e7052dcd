// SPDX-License-Identifier: MIT
//
// This module provides: hostile messages: wrong heads and counts, misaligned buffers, rules set by several threads at
// once. Each gets its own answer and changes nothing. Buffers that are not there: messages_seh.cpp.

#include "raw_port.hpp"

using namespace spine;

namespace {

const HRESULT NO_ACCESS = HRESULT_FROM_WIN32(ERROR_NOACCESS);

template <class F> OneRule changed(F &&change) {
    OneRule message;
    change(message);
    return message;
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
    request.Header.Version = 2;
    CHECK_ANSWER(port.ask(request), STATUS_REVISION_MISMATCH, MINIPEND_DETAIL_VERSION);
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
    for (const uint16_t command : {uint16_t{0}, uint16_t{4}, uint16_t{0xFFFF}}) {
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
        {changed([](OneRule &m) { m.rule.SizeBytes = 0; }), MINIPEND_DETAIL_RULE_SIZE},
        {changed([](OneRule &m) { m.rule.SizeBytes = 48; }), MINIPEND_DETAIL_RULE_SIZE},
        {changed([](OneRule &m) { m.rule.SizeBytes = 0xFFFFFFF8; }), MINIPEND_DETAIL_RULE_SIZE},
        {changed([](OneRule &m) { m.rule.PathBytes = 8; }), MINIPEND_DETAIL_RULE_SIZE},
        {changed([](OneRule &m) { m.rule.SizeBytes = 48, m.rule.PathBytes = 8; }), MINIPEND_DETAIL_RULE_SIZE},
        {changed([](OneRule &m) { m.rule.PathBytes = 1; }), MINIPEND_DETAIL_RULE_PATH},
        {changed([](OneRule &m) { m.rule.PathBytes = 0xFFFE; }), MINIPEND_DETAIL_RULE_PATH},
        {changed([](OneRule &m) { m.rule.VolumeBytes = 3; }), MINIPEND_DETAIL_RULE_VOLUME},
        {changed([](OneRule &m) { m.rule.VolumeBytes = 0xFFFE; }), MINIPEND_DETAIL_RULE_VOLUME},
        {changed([](OneRule &m) { m.rule.Operations |= bit(MINIPEND_OPERATION_COUNT); }),
         MINIPEND_DETAIL_RULE_OPERATIONS},
        {changed([](OneRule &m) { m.rule.Hold = 2; }), MINIPEND_DETAIL_RULE_HOLD},
        {changed([](OneRule &m) { m.rule.DelayMs = 1; }), MINIPEND_DETAIL_RULE_DELAY},
        {changed([](OneRule &m) { m.rule.Hold = MINIPEND_HOLD_DELAY, m.rule.DelayMs = 30'001; }),
         MINIPEND_DETAIL_RULE_DELAY},
        {changed([](OneRule &m) { m.rule.Queue = MINIPEND_QUEUE_NONE; }), MINIPEND_DETAIL_RULE_QUEUE},
        {changed([](OneRule &m) { m.rule.Action = MINIPEND_ACTION_OBSERVE; }), MINIPEND_DETAIL_RULE_QUEUE},
        {changed([](OneRule &m) {
             m.rule.Action = MINIPEND_ACTION_OBSERVE, m.rule.Queue = 0, m.rule.Hold = MINIPEND_HOLD_DELAY;
         }),
         MINIPEND_DETAIL_RULE_HOLD},
        {changed([](OneRule &m) { m.rule.Action = 0; }), MINIPEND_DETAIL_RULE_ACTION},
        {changed([](OneRule &m) { m.rule.Flags = 0x10; }), MINIPEND_DETAIL_RULE_FLAGS},
    };
    int line = 0;
    for (const auto &[message, detail] : bad) {
        const NTSTATUS status = detail == MINIPEND_DETAIL_SIZE ? STATUS_INFO_LENGTH_MISMATCH : STATUS_INVALID_PARAMETER;
        check_answer(port.ask(message), status, detail, line++);
    }
    const Client watcher;
    CHECK_EQ(watcher.counters().head().RuleGeneration, 0u);
    CHECK_ANSWER(port.ask(OneRule()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    CHECK_EQ(File::create(u"D:\\a").rename(u"D:\\b"), 0u);
    CHECK_EQ(watcher.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Pended, 1u);
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
