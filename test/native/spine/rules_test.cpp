// SPDX-License-Identifier: MIT
//
// This module provides: scenarios of rule sets: how many, persistent ones, and which of several commands about one set wins; and the answer to each
// thing that can be wrong with a rule. The order of sets: match_test.cpp.

#include <cstring>

#include "actors.hpp"
#include "raw_port.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr uint64_t FLUSHES = bit(MINIPEND_OPERATION_FLUSH);

Rule failing(NTSTATUS status = STATUS_DISK_FULL) {
    Rule rule;
    rule.operations = FLUSHES;
    rule.failStatus = status;
    return rule;
}

void check_detail(const MINIPEND_REPLY_HEADER &head, MINIPEND_DETAIL detail, int line) {
    if (head.Detail != static_cast<uint32_t>(detail) || (head.Status < 0) != (detail != MINIPEND_DETAIL_NONE)) {
        check::failed(__FILE__, line, "status " + check::shown(head.Status) + ", detail " + check::shown(head.Detail));
    }
}
#define CHECK_DETAIL(Head, Detail) check_detail(Head, MINIPEND_DETAIL_##Detail, __LINE__)

/// A message as bytes, so that its texts and padding can be spoilt.
class RuleBytes {
  public:
    RuleBytes() {
        OneRule message;
        constexpr size_t text_bytes = 6;
        message.rule.PathBytes = text_bytes;
        message.rule.SizeBytes += 8;
        message.request.Header.SizeBytes += 8;
        words_.resize(message.request.Header.SizeBytes / 8);
        std::memcpy(words_.data(), &message, sizeof(message));
        std::memcpy(bytes() + sizeof(message), u"\\a*", text_bytes);
    }
    uint8_t *bytes() { return reinterpret_cast<uint8_t *>(words_.data()); }
    size_t size() const { return words_.size() * 8; }
    MINIPEND_REPLY_HEADER send(RawPort &port) {
        alignas(8) uint8_t reply[64];
        CHECK_EQ(port.send(words_.data(), size(), reply, sizeof(reply)), S_OK);
        MINIPEND_REPLY_HEADER head;
        std::memcpy(&head, reply, sizeof(head));
        return head;
    }

  private:
    std::vector<uint64_t> words_;
};

} // namespace

SPINE_TEST(a_connection_has_so_many_sets) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const Client other;
    for (uint32_t set = 0; set < MINIPEND_MAX_SETS; ++set) {
        CHECK_DETAIL(client.set_rules({failing()}, set * 1000), NONE);
    }
    const uint64_t generation = client.counters().head().RuleGeneration;
    CHECK_DETAIL(client.set_rules({failing()}, 1), SET_COUNT);
    CHECK_EQ(client.counters().head().RuleGeneration, generation);
    CHECK_DETAIL(client.set_rules({failing(STATUS_SHARING_VIOLATION)}, 0), NONE); // it is there already
    CHECK_DETAIL(other.set_rules({failing()}, 1), NONE); // another connection's are its own
    const File file = File::create(u"D:\\a");
    CHECK_EQ(file.flush(), static_cast<DWORD>(ERROR_SHARING_VIOLATION));
    CHECK_DETAIL(client.set_rules({}, 3000), NONE);
    CHECK_DETAIL(client.set_rules({failing()}, 1), NONE);
    CHECK_DETAIL(client.set_rules({failing()}, 2), SET_COUNT);
}

/// Messages that would each add a set are under way at once: no more of them are told "success" than there is room for.
TEST(sets_that_come_at_once_are_as_many_as_there_is_room_for) {
    constexpr uint32_t threads = 4;
    Seeds(3, 1'000).play([](fltsim::World &world) {
        load_and_attach({u"D:"});
        const Client client;
        for (uint32_t set = 1; set < MINIPEND_MAX_SETS; ++set) {
            CHECK_DETAIL(client.set_rules({failing()}, set), NONE);
        }
        uint32_t added = 0;
        Actors actors(world);
        for (uint32_t t = 0; t < threads; ++t) {
            actors.add("adder", 1, [&, t] {
                const MINIPEND_REPLY_HEADER head = client.set_rules({failing()}, 100 + t);
                CHECK(head.Status == STATUS_SUCCESS || head.Detail == MINIPEND_DETAIL_SET_COUNT);
                added += head.Status == STATUS_SUCCESS ? 1 : 0;
            });
        }
        actors.join();
        CHECK_EQ(added, 1u);
        CHECK_DETAIL(client.set_rules({failing()}, 200), SET_COUNT);
        CHECK_DETAIL(client.set_rules({}, 1), NONE);
        CHECK_DETAIL(client.set_rules({failing()}, 200), NONE);
        CHECK_DETAIL(client.set_rules({failing()}, 201), SET_COUNT);
    });
}

/// A set is replaced while its place is given away: either it keeps its place, or the other gets it.
TEST(a_set_that_is_replaced_keeps_its_place) {
    Seeds(3, 1'000).play([](fltsim::World &world) {
        load_and_attach({u"D:"});
        const Client client;
        for (uint32_t set = 0; set < MINIPEND_MAX_SETS; ++set) {
            CHECK_DETAIL(client.set_rules({failing()}, set), NONE);
        }
        Actors actors(world);
        bool another = false;
        actors.add("replacer", 1, [&] {
            const MINIPEND_REPLY_HEADER head = client.set_rules({failing()}, 7);
            CHECK(head.Status == STATUS_SUCCESS || head.Detail == MINIPEND_DETAIL_SET_COUNT);
        });
        actors.add("remover", 1, [&] { CHECK_DETAIL(client.set_rules({}, 7), NONE); });
        actors.add("adder", 1, [&] { another = client.set_rules({failing()}, 100).Status == STATUS_SUCCESS; });
        actors.join();
        // However it came about, there are not more than allowed: with the one given back there is room for exactly one.
        CHECK_DETAIL(client.set_rules({}, 7), NONE);
        check_detail(client.set_rules({failing()}, 200), another ? MINIPEND_DETAIL_SET_COUNT : MINIPEND_DETAIL_NONE,
                     __LINE__);
        CHECK_DETAIL(client.set_rules({failing()}, 201), SET_COUNT);
    });
}

/// All connections full, and one persistent set that is nobody's: every one is in force.
SPINE_TEST(all_connections_can_be_full) {
    constexpr int connections = 16;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    {
        const Client gone;
        Rule rule = failing();
        rule.path = u"\\persistent";
        CHECK_DETAIL(gone.set_rules({rule}, 0, MINIPEND_SET_RULES_PERSIST), NONE);
    }
    std::vector<std::unique_ptr<Client>> clients;
    for (int c = 0; c < connections; ++c) {
        CHECK(eventually([&] {
            return (clients.emplace_back(Client::try_connect()), clients.back() != nullptr) ||
                   (clients.pop_back(), false);
        }));
        for (uint32_t set = 0; set < MINIPEND_MAX_SETS; ++set) {
            Rule rule = failing();
            rule.path = u"\\" + std::u16string(1, static_cast<char16_t>(u'A' + c)) +
                        std::u16string(1, static_cast<char16_t>(u'A' + set));
            CHECK_DETAIL(clients.back()->set_rules({rule}, set), NONE);
        }
    }
    for (const char16_t *const path : {u"D:\\persistent", u"D:\\AA", u"D:\\AP", u"D:\\PA", u"D:\\PP"}) {
        CHECK_EQ(File::create(path).flush(), static_cast<DWORD>(ERROR_DISK_FULL));
    }
    CHECK_DETAIL(clients.back()->set_rules({failing()}, 99), SET_COUNT);
    CHECK(clients.back()->counters_at_rest().balanced(true));
}

SPINE_TEST(rules_end_with_their_client_unless_they_persist) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const File file = File::create(u"D:\\a");
    const Client watcher;
    {
        const Client client;
        CHECK_DETAIL(client.set_rules({failing()}), NONE);
        CHECK_EQ(file.flush(), static_cast<DWORD>(ERROR_DISK_FULL));
    }
    CHECK(eventually([&] { return watcher.counters().head().ConnectionCount == 1; }));
    CHECK_EQ(file.flush(), 0u);
    {
        const Client client;
        CHECK_DETAIL(client.set_rules({failing()}, 0, MINIPEND_SET_RULES_PERSIST), NONE);
        CHECK_DETAIL(client.set_rules({gate_rule(bit(MINIPEND_OPERATION_RENAME), LONG_MS)}, 1), NONE);
    }
    CHECK(eventually([&] { return watcher.counters().head().ConnectionCount == 1; }));
    CHECK_EQ(file.flush(), static_cast<DWORD>(ERROR_DISK_FULL));
    CHECK_EQ(file.rename(u"D:\\b"), 0u); // the gate has gone
    // A set 0 of another client is another set, and comes after it.
    CHECK_DETAIL(watcher.set_rules({failing(STATUS_SHARING_VIOLATION)}), NONE);
    CHECK_EQ(file.flush(), static_cast<DWORD>(ERROR_DISK_FULL));
    CHECK_DETAIL(watcher.set_rules({}), NONE);
    CHECK_EQ(file.flush(), static_cast<DWORD>(ERROR_DISK_FULL));
    {
        // A persistent one replaces it, and stays.
        const Client client;
        CHECK_DETAIL(client.set_rules({failing(STATUS_FILE_LOCK_CONFLICT)}, 0, MINIPEND_SET_RULES_PERSIST), NONE);
        CHECK_EQ(file.flush(), static_cast<DWORD>(ERROR_LOCK_VIOLATION));
    }
    CHECK(eventually([&] { return watcher.counters().head().ConnectionCount == 1; }));
    CHECK_EQ(file.flush(), static_cast<DWORD>(ERROR_LOCK_VIOLATION));
    // An empty one removes it, whoever sends it.
    CHECK_DETAIL(watcher.set_rules({}, 0, MINIPEND_SET_RULES_PERSIST), NONE);
    CHECK_EQ(file.flush(), 0u);
    // While its client is there, it is that client's set 0 and nothing else.
    CHECK_DETAIL(watcher.set_rules({failing()}, 0, MINIPEND_SET_RULES_PERSIST), NONE);
    CHECK_DETAIL(watcher.set_rules({failing(STATUS_SHARING_VIOLATION)}), NONE);
    CHECK_EQ(file.flush(), static_cast<DWORD>(ERROR_SHARING_VIOLATION));
    CHECK_DETAIL(watcher.set_rules({}), NONE);
    CHECK_EQ(file.flush(), 0u);
    CHECK(watcher.counters_at_rest().balanced(true));
}

/// Commands about one set, some of which remove it, come from several threads at once: the one with the highest generation decides.
SPINE_TEST(the_last_command_wins_also_when_it_removes) {
    constexpr int threads = 4;
    constexpr int rounds = 25;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    RawPort port;
    CHECK_DETAIL(port.ask(hello()), NONE);
    const Client watcher;
    const File file = File::create(u"D:\\a");
    for (int round = 0; round < rounds; ++round) {
        std::atomic<uint64_t> highest{0}; // generation * 2 + whether there are rules
        std::vector<std::future<void>> senders;
        for (int t = 0; t < threads; ++t) {
            senders.push_back(world.start([&, t] {
                const bool removes = t % 2 == 0;
                OneRule message;
                message.rule.Operations = FLUSHES;
                message.rule.FailStatus = STATUS_DISK_FULL;
                message.request.SetId = 5;
                const auto bytes = static_cast<DWORD>(removes ? sizeof(message.request) : sizeof(message));
                message.request.Header.SizeBytes = bytes;
                message.request.Count = removes ? 0 : 1;
                alignas(8) MINIPEND_SET_RULES_REPLY reply{};
                DWORD returned = 0;
                CHECK_EQ(FilterSendMessage(port.handle(), &message, bytes, &reply, sizeof(reply), &returned), S_OK);
                CHECK_DETAIL(reply.Header, NONE);
                const uint64_t mine = reply.Generation * 2 + (removes ? 0 : 1);
                uint64_t before = highest;
                while (before < mine && !highest.compare_exchange_weak(before, mine)) {
                }
            }));
        }
        for (auto &sender : senders) {
            sender.get();
        }
        CHECK_EQ(file.flush(), highest % 2 == 0 ? 0u : static_cast<DWORD>(ERROR_DISK_FULL));
        CHECK_EQ(watcher.counters().head().RuleGeneration, highest / 2);
    }
}

SPINE_TEST(each_field_of_a_rule_is_checked) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    RawPort port;
    CHECK_DETAIL(port.ask(hello()), NONE);
    const auto gate = [](MINIPEND_RULE &r) { r.Hold = MINIPEND_HOLD_GATE, r.DelayMs = 1; };
    const auto acts = [](MINIPEND_RULE &r, MINIPEND_ACTION action) { r.Action = action, r.Queue = 0; };
    const struct {
        std::function<void(MINIPEND_RULE &)> change;
        MINIPEND_DETAIL detail;
    } cases[] = {
        {[](auto &) {}, MINIPEND_DETAIL_NONE},
        {[](auto &r) { r.MinorFunctions = 1; }, MINIPEND_DETAIL_RULE_MINORS},
        {[](auto &r) { r.MinorFunctions = 0xFFFFFFFF, r.Operations = MINIPEND_MINOR_OPERATIONS; },
         MINIPEND_DETAIL_NONE},
        {[](auto &r) { r.MinorFunctions = 1, r.Operations = MINIPEND_MINOR_OPERATIONS | 1; },
         MINIPEND_DETAIL_RULE_MINORS},
        {[](auto &r) { r.Conditions = 0x20; }, MINIPEND_DETAIL_RULE_CONDITIONS},
        {[](auto &r) { r.Conditions = MINIPEND_CONDITION_VALID; }, MINIPEND_DETAIL_NONE},
        {[](auto &r) { r.Flags = MINIPEND_RULE_VALID_FLAGS; }, MINIPEND_DETAIL_NONE},
        {[](auto &r) { r.Flags = MINIPEND_RULE_VALID_FLAGS + 1; }, MINIPEND_DETAIL_RULE_FLAGS},
        {[](auto &r) { r.Action = MINIPEND_ACTION_SYNCHRONIZE + 1; }, MINIPEND_DETAIL_RULE_ACTION},
        {[](auto &r) { r.Hold = MINIPEND_HOLD_GATE + 1; }, MINIPEND_DETAIL_RULE_HOLD},
        {[&](auto &r) { acts(r, MINIPEND_ACTION_WHEN_SAFE); }, MINIPEND_DETAIL_NONE},
        {[&](auto &r) { acts(r, MINIPEND_ACTION_WHEN_SAFE), r.Queue = 1; }, MINIPEND_DETAIL_RULE_QUEUE},
        {[&](auto &r) { acts(r, MINIPEND_ACTION_WHEN_SAFE), gate(r); }, MINIPEND_DETAIL_RULE_HOLD},
        {[&](auto &r) { acts(r, MINIPEND_ACTION_WHEN_SAFE), r.Hold = 1; }, MINIPEND_DETAIL_RULE_HOLD},
        {[&](auto &r) { acts(r, MINIPEND_ACTION_SYNCHRONIZE); }, MINIPEND_DETAIL_NONE},
        {[&](auto &r) { acts(r, MINIPEND_ACTION_SYNCHRONIZE), r.Queue = 1; }, MINIPEND_DETAIL_RULE_QUEUE},
        {[&](auto &r) { acts(r, MINIPEND_ACTION_SYNCHRONIZE), gate(r); }, MINIPEND_DETAIL_NONE},
        {[&](auto &r) { acts(r, MINIPEND_ACTION_SYNCHRONIZE), r.Hold = 1, r.DelayMs = 1; }, MINIPEND_DETAIL_NONE},
        {[&](auto &r) { acts(r, MINIPEND_ACTION_OBSERVE), gate(r); }, MINIPEND_DETAIL_RULE_HOLD},
        {[](auto &r) { r.Queue = MINIPEND_QUEUE_DELAYED + 1; }, MINIPEND_DETAIL_RULE_QUEUE},
        {[&](auto &r) { gate(r); }, MINIPEND_DETAIL_NONE},
        {[&](auto &r) { gate(r), r.DelayMs = 0; }, MINIPEND_DETAIL_RULE_DELAY},
        {[&](auto &r) { gate(r), r.DelayMs = 30'000; }, MINIPEND_DETAIL_NONE},
        {[&](auto &r) { gate(r), r.DelayMs = 30'001; }, MINIPEND_DETAIL_RULE_DELAY},
        {[](auto &r) { r.StatusFilter = MINIPEND_STATUS_FILTER_EXACT + 1; }, MINIPEND_DETAIL_RULE_STATUS},
        {[](auto &r) { r.StatusFilter = MINIPEND_STATUS_FILTER_SUCCESS, r.MatchStatus = 1; },
         MINIPEND_DETAIL_RULE_STATUS},
        {[](auto &r) { r.MatchStatus = 1; }, MINIPEND_DETAIL_RULE_STATUS},
        {[](auto &r) { r.StatusFilter = MINIPEND_STATUS_FILTER_EXACT, r.MatchStatus = 1; }, MINIPEND_DETAIL_NONE},
        {[](auto &r) { r.FailStatus = STATUS_DISK_FULL; }, MINIPEND_DETAIL_NONE},
        {[](auto &r) { r.FailStatus = STATUS_PENDING; }, MINIPEND_DETAIL_RULE_FAIL},
        {[&](auto &r) { r.FailStatus = STATUS_DISK_FULL, acts(r, MINIPEND_ACTION_OBSERVE); },
         MINIPEND_DETAIL_RULE_FAIL},
        {[](auto &r) { r.FailStatus = STATUS_DISK_FULL, r.Operations |= bit(MINIPEND_OPERATION_CLEANUP); },
         MINIPEND_DETAIL_RULE_FAIL},
        {[](auto &r) { r.FailStatus = STATUS_DISK_FULL, r.Operations |= bit(MINIPEND_OPERATION_CLOSE); },
         MINIPEND_DETAIL_RULE_FAIL},
        {[](auto &r) { r.ProbabilityPpm = 1'000'000; }, MINIPEND_DETAIL_NONE},
        {[](auto &r) { r.ProbabilityPpm = 1'000'001; }, MINIPEND_DETAIL_RULE_SAMPLING},
        {[](auto &r) { r.MaxHeld = 1; }, MINIPEND_DETAIL_RULE_CAP},
        {[](auto &r) { r.Hold = MINIPEND_HOLD_DELAY, r.DelayMs = 1, r.MaxHeld = 1; }, MINIPEND_DETAIL_RULE_CAP},
        {[&](auto &r) { gate(r), r.MaxHeld = 1; }, MINIPEND_DETAIL_NONE},
        // Of several things that are wrong, the first in the order of rules_check.c.
        {[](auto &r) { r.MaxHeld = 1, r.ProbabilityPpm = 1'000'001; }, MINIPEND_DETAIL_RULE_SAMPLING},
        {[](auto &r) { r.Queue = 9, r.Hold = 9, r.Action = 9; }, MINIPEND_DETAIL_RULE_ACTION},
        {[](auto &r) { r.Queue = 9, r.Hold = 9; }, MINIPEND_DETAIL_RULE_HOLD},
        {[](auto &r) { r.MinorFunctions = 1, r.Operations = 0; }, MINIPEND_DETAIL_RULE_OPERATIONS},
        {[](auto &r) { r.MinorFunctions = 1, r.Flags = 0xFFFF; }, MINIPEND_DETAIL_RULE_MINORS},
    };
    int number = 0;
    for (const auto &[change, detail] : cases) {
        OneRule message;
        change(message.rule);
        check_detail(port.ask(message), detail, number++);
    }
}

/// Of LOCK_CONTROL only the unlocking of everything, which closing the handle sends.
SPINE_TEST(a_rule_selects_minor_functions) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    client.subscribe(1u << MINIPEND_EVENT_KIND_COMPLETED);
    Rule rule;
    rule.operations = bit(MINIPEND_OPERATION_LOCK);
    rule.minorFunctions = 1u << IRP_MN_UNLOCK_ALL;
    rule.flags = MINIPEND_RULE_FAST_IO_TO_IRP | MINIPEND_RULE_KERNEL_MODE; // a close is sent in kernel mode
    CHECK_EQ(client.set_rules({rule}).Status, STATUS_SUCCESS);
    {
        const File file = File::create(u"D:\\a");
        CHECK(LockFile(file.handle(), 0, 0, 10, 0) != FALSE);
        CHECK(LockFile(file.handle(), 20, 0, 10, 0) != FALSE);
        CHECK(UnlockFile(file.handle(), 20, 0, 10, 0) != FALSE);
    }
    const auto locks = client.counters_at_rest().total(MINIPEND_OPERATION_LOCK);
    CHECK_EQ(locks.Unmatched, 3u);
    CHECK_EQ(locks.FastIoDisallowed, 1u);
    CHECK_EQ(locks.Completed, 1u);
    rule.minorFunctions = (1u << IRP_MN_LOCK) | (1u << IRP_MN_UNLOCK_SINGLE);
    CHECK_EQ(client.set_rules({rule}).Status, STATUS_SUCCESS);
    {
        const File file = File::open(u"D:\\a");
        CHECK(LockFile(file.handle(), 0, 0, 10, 0) != FALSE);
        CHECK(UnlockFile(file.handle(), 0, 0, 10, 0) != FALSE);
        CHECK(LockFile(file.handle(), 0, 0, 10, 0) != FALSE);
    }
    const auto then = client.counters_at_rest().total(MINIPEND_OPERATION_LOCK);
    CHECK_EQ(then.Completed, 4u);
    CHECK_EQ(then.Unmatched, 4u);
}

SPINE_TEST(padding_and_set_flags_are_checked) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    RawPort port;
    CHECK_DETAIL(port.ask(hello()), NONE);
    RuleBytes message;
    CHECK_DETAIL(message.send(port), NONE);
    for (size_t at = message.size() - 2; at < message.size(); ++at) {
        message.bytes()[at] = 1;
        CHECK_DETAIL(message.send(port), RULE_PADDING);
        message.bytes()[at] = 0;
    }
    OneRule set;
    set.request.Flags = 2;
    CHECK_DETAIL(port.ask(set), FLAGS);
    set.request.Flags = MINIPEND_SET_RULES_PERSIST;
    CHECK_DETAIL(port.ask(set), NONE);
    set.request.SetId = 1;
    CHECK_DETAIL(port.ask(set), SET_PERSIST);
    set.request.SetId = 0;
    set.rule.Hold = MINIPEND_HOLD_GATE;
    set.rule.DelayMs = 1;
    CHECK_DETAIL(port.ask(set), SET_PERSIST);
    set.request.Flags = 0;
    CHECK_DETAIL(port.ask(set), NONE);
}

} // namespace MINIPEND_TEST_FILE
