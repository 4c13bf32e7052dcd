// SPDX-License-Identifier: MIT
//
// This module provides: messages whose buffers are not there, or not writable: the driver meets them inside its exception guard, answers with a
// status and has changed nothing.
//
// The file's name puts it among the tests that the ThreadSanitizer lane leaves out: the sanitizer does not survive several faults in its memcpy.

#include <sys/mman.h>

#include <set>

#include "raw_port.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr size_t PAGE = 4096;
/// Longer than any copy here: what lies behind must not be somebody else's memory, which a sanitizer would speak of first.
constexpr size_t GAP = 1024 * 1024;
const HRESULT NO_ACCESS = HRESULT_FROM_WIN32(ERROR_NOACCESS);

/// A page to read and write, before a gap where nothing is.
class Edge {
  public:
    Edge() : base_(mmap(nullptr, PAGE + GAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
        need(base_ != MAP_FAILED, "mmap");
        need(mprotect(static_cast<char *>(base_) + PAGE, GAP, PROT_NONE) == 0, "mprotect");
    }
    ~Edge() { munmap(base_, PAGE + GAP); }
    Edge(const Edge &) = delete;
    Edge &operator=(const Edge &) = delete;
    /// `bytes` before the edge.
    char *before(size_t bytes) const { return static_cast<char *>(base_) + PAGE - bytes; }
    void protect(int protection) { need(mprotect(base_, PAGE, protection) == 0, "mprotect"); }

  private:
    void *base_;
};

} // namespace

SPINE_TEST(buffers_that_are_not_there_change_nothing) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client watcher;
    RawPort port;
    Edge in;
    Edge out;
    const auto request = hello();
    // The message ends behind the edge; it was never greeted.
    std::memcpy(in.before(16), &request, 16);
    CHECK_EQ(port.send(in.before(16), sizeof(request), out.before(128), 128), NO_ACCESS);
    std::memcpy(in.before(32), &request, sizeof(request));
    // The reply does; the hello has not happened.
    CHECK_EQ(port.send(in.before(32), sizeof(request), out.before(0), 128), NO_ACCESS);
    CHECK_EQ(port.send(in.before(32), sizeof(request), out.before(40), 128), NO_ACCESS);
    CHECK_EQ(port.returned, 0u);
    CHECK_ANSWER(port.ask(head_of(16, MINIPEND_COMMAND_COUNTERS)), STATUS_INVALID_DEVICE_STATE,
                 MINIPEND_DETAIL_NOT_GREETED);
    CHECK_ANSWER(port.ask(request), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);

    // Rules whose reply cannot be written are not in force.
    const OneRule rule;
    std::memcpy(in.before(sizeof(rule)), &rule, sizeof(rule));
    CHECK_EQ(port.send(in.before(sizeof(rule)), sizeof(rule), out.before(0), 64), NO_ACCESS);
    out.protect(PROT_READ);
    CHECK_EQ(port.send(in.before(sizeof(rule)), sizeof(rule), out.before(64), 64), NO_ACCESS);
    out.protect(PROT_READ | PROT_WRITE);
    CHECK_EQ(watcher.counters().head().RuleGeneration, 0u);
    CHECK_EQ(File::create(u"D:\\a").rename(u"D:\\b"), 0u);
    CHECK_EQ(watcher.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Unmatched, 1u);

    auto counters = head_of(16, MINIPEND_COMMAND_COUNTERS);
    std::memcpy(in.before(16), &counters, sizeof(counters));
    CHECK_EQ(port.send(in.before(16), 16, out.before(64), 1 << 20), NO_ACCESS);
    std::memcpy(in.before(sizeof(rule)), &rule, sizeof(rule));
    CHECK_EQ(port.send(in.before(sizeof(rule)), sizeof(rule), out.before(64), 64), S_OK);
    CHECK(watcher.counters().head().RuleGeneration > 0);
}

/// A command whose reply cannot be written has done nothing: what it would have released, taken out of a ring or replaced is as it was.
SPINE_TEST(replies_that_cannot_be_written_change_nothing) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    Edge out;
    const auto send = [&](auto request, uint16_t command) {
        request.Header = head_of(sizeof(request), command);
        DWORD returned = 0xCC;
        // The reply begins before the edge and goes on behind it.
        const HRESULT answer =
            FilterSendMessage(client.port(), &request, sizeof(request), out.before(40), 1 << 20, &returned);
        CHECK_EQ(returned, 0u);
        return answer;
    };
    CHECK_EQ(client.set_rules({gate_rule(bit(MINIPEND_OPERATION_RENAME), LONG_MS)}, 1).Status, STATUS_SUCCESS);
    CHECK_EQ(client.subscribe(1u << MINIPEND_EVENT_KIND_TAKEN).Header.Status, STATUS_SUCCESS);
    const File file = File::create(u"D:\\a");
    auto rename = world.start([&] { return file.rename(u"D:\\b"); });
    const uint64_t id = client.held(1).entries[0].HeldId;

    MINIPEND_PULL_EVENTS_REQUEST pull{};
    pull.MaxEvents = 100;
    CHECK_EQ(send(pull, MINIPEND_COMMAND_PULL_EVENTS), NO_ACCESS);
    pull.MaxEvents = 0;
    CHECK_EQ(send(pull, MINIPEND_COMMAND_PULL_EVENTS), NO_ACCESS);
    pull.Acknowledge = 1; // was never sent
    CHECK_EQ(client.pull(0).events.size(), 1u);
    CHECK_EQ(send(pull, MINIPEND_COMMAND_PULL_EVENTS), NO_ACCESS);
    CHECK_EQ(client.pull(0).events.size(), 1u);
    MINIPEND_SUBSCRIBE_REQUEST subscribe{};
    CHECK_EQ(send(subscribe, MINIPEND_COMMAND_SUBSCRIBE), NO_ACCESS);
    subscribe.Kinds = 2;
    CHECK_EQ(send(subscribe, MINIPEND_COMMAND_SUBSCRIBE), NO_ACCESS);
    CHECK_EQ(client.pull(0).events.size(), 1u);
    MINIPEND_LIST_HELD_REQUEST list{};
    list.MaxEntries = 5;
    CHECK_EQ(send(list, MINIPEND_COMMAND_LIST_HELD), NO_ACCESS);
    MINIPEND_LIST_RULES_REQUEST rules{};
    rules.MaxEntries = 5;
    CHECK_EQ(send(rules, MINIPEND_COMMAND_LIST_RULES), NO_ACCESS);

    MINIPEND_RELEASE_REQUEST release{};
    out.protect(PROT_READ); // its reply is short
    release.What = MINIPEND_RELEASE_WHAT_ALL;
    CHECK_EQ(send(release, MINIPEND_COMMAND_RELEASE), NO_ACCESS);
    release.What = MINIPEND_RELEASE_WHAT_ONE;
    release.HeldId = id;
    release.Status = STATUS_DISK_FULL;
    CHECK_EQ(send(release, MINIPEND_COMMAND_RELEASE), NO_ACCESS);
    const HeldList still = client.held(1);
    CHECK_EQ(still.entries[0].HeldId, id);
    CHECK_EQ(client.release_one(id).Released, 1u);
    CHECK_EQ(rename.get(), 0u);
}

namespace {

constexpr int SENDS = 300;
constexpr uint32_t MEET_MS = 10'000; ///< only a machine that never runs both threads gets so far

/// Does something to a message's memory again and again, on a host thread that no world knows, while `send` is called: `times` times, and on until `met` what
/// the test is about.
template <class Spoil, class Send, class Met> void while_spoilt(Spoil &&spoil, int times, Send &&send, Met &&met) {
    std::atomic<bool> stop{false};
    std::thread spoiler([&] {
        for (uint32_t round = 0; !stop; ++round) {
            spoil(round);
        }
    });
    int sent = 0;
    const auto start = Clock::now();
    for (; sent < times || (!met() && elapsedMs(start) < MEET_MS); ++sent) {
        send();
    }
    stop = true;
    spoiler.join();
    CHECK(met());
}

} // namespace

/// What has been checked may be different when it is used, if it is read twice: so it is read once. Every answer is one to a message that was there.
SPINE_TEST(buffers_rewritten_between_check_and_use) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    RawPort port;
    CHECK_ANSWER(port.ask(hello()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    alignas(8) volatile OneRule message;
    alignas(8) char reply[64];
    const auto whole = static_cast<uint32_t>(sizeof(OneRule));
    std::set<uint32_t> details;
    const auto spoil = [&](uint32_t round) {
        const bool good = round % 2 == 1; // one field at a time is bad, and then good again
        switch (round / 2 % 5) {
        case 0:
            message.request.Header.SizeBytes = good ? whole : 0xFFFFFFF8;
            break;
        case 1:
            message.request.Count = good ? 1 : 0xFFFFFFFF;
            break;
        case 2:
            message.rule.SizeBytes = good ? sizeof(MINIPEND_RULE) : 0x10000;
            break;
        case 3:
            message.rule.PathBytes = good ? 0 : 0xFFFE;
            break;
        default:
            message.request.Header.Command = good ? MINIPEND_COMMAND_SET_RULES : MINIPEND_COMMAND_LIST_HELD;
            break;
        }
    };
    while_spoilt(
        spoil, SENDS,
        [&] {
            CHECK_EQ(port.send(const_cast<OneRule *>(&message), sizeof(message), reply, sizeof(reply)), S_OK);
            MINIPEND_REPLY_HEADER head;
            std::memcpy(&head, reply, sizeof(head));
            CHECK_EQ(head.SizeBytes, port.returned);
            CHECK_EQ(head.Status == STATUS_SUCCESS, head.Detail == MINIPEND_DETAIL_NONE);
            details.insert(head.Detail);
        },
        [&] { return details.contains(MINIPEND_DETAIL_NONE) && details.size() > 1; });
    for (const uint32_t detail : details) {
        CHECK(detail == MINIPEND_DETAIL_NONE || detail == MINIPEND_DETAIL_SIZE ||
              detail == MINIPEND_DETAIL_RULE_COUNT || detail == MINIPEND_DETAIL_RULE_SIZE ||
              detail == MINIPEND_DETAIL_RULE_PATH);
    }
    const Client watcher;
    CHECK_EQ(watcher.set_rules({}, 0).Status, STATUS_SUCCESS);
    CHECK(watcher.counters_at_rest().balanced(true));
}

/// The memory goes and comes: each message is answered, or was not to be read or answered, and then nothing has changed.
SPINE_TEST(buffers_unmapped_between_check_and_use) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client watcher;
    RawPort port;
    CHECK_ANSWER(port.ask(hello()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    for (const bool of_reply : {false, true}) {
        Edge in;
        Edge out;
        const OneRule rule;
        std::memcpy(in.before(sizeof(rule)), &rule, sizeof(rule));
        Edge &spoilt = of_reply ? out : in;
        const auto spoil = [&](uint32_t round) { spoilt.protect(round % 2 == 0 ? PROT_NONE : PROT_READ | PROT_WRITE); };
        uint64_t generation = watcher.counters().head().RuleGeneration;
        uint64_t answered = 0;
        uint64_t sent = 0;
        while_spoilt(
            spoil, SENDS,
            [&] {
                const HRESULT answer = port.send(in.before(sizeof(rule)), sizeof(rule), out.before(64), 64);
                CHECK(answer == S_OK || answer == NO_ACCESS);
                const uint64_t now = watcher.counters().head().RuleGeneration;
                CHECK_EQ(now != generation, answer == S_OK);
                generation = now;
                answered += answer == S_OK ? 1 : 0;
                sent++;
            },
            [&] { return answered > 0 && answered < sent; });
        spoilt.protect(PROT_READ | PROT_WRITE);
    }
    CHECK(watcher.counters_at_rest().balanced(true));
}

} // namespace MINIPEND_TEST_FILE
