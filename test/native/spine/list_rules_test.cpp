// SPDX-License-Identifier: MIT
//
// This module provides: the rule table as clients see it: rules as they were compiled, whose they are, their counts, listings in pages while sets are
// replaced, and requests that are wrong.

#include <map>
#include <set>

#include "actions.hpp"
#include "actors.hpp"
#include "raw_port.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

using Request = MINIPEND_LIST_RULES_REQUEST;
constexpr size_t HEAD_BYTES = sizeof(MINIPEND_LIST_RULES_REPLY);

Request asked(uint64_t table_id, uint32_t first, uint32_t max_entries) {
    Request request{};
    request.Header = head_of(sizeof(request), MINIPEND_COMMAND_LIST_RULES);
    request.TableId = table_id;
    request.First = first;
    request.MaxEntries = max_entries;
    return request;
}

/// The counts of the only rule.
MINIPEND_RULE_ENTRY only(const Client &client) {
    const RuleList list = client.list_rules();
    need(list.rules.size() == 1, "there is one rule");
    return list.rules[0].entry;
}

Rule numbered(uint32_t id) {
    Rule rule = rule_of(MINIPEND_ACTION_OBSERVE);
    rule.id = id;
    return rule;
}

/// `count` rules that say in their ids which set they are of.
std::vector<Rule> many(uint32_t count, uint32_t id) {
    return std::vector<Rule>(count, numbered(id));
}

void check_counts(const MINIPEND_RULE_ENTRY &entry, uint64_t selected, uint64_t refused, uint64_t taken,
                  uint32_t held_now, int line) {
    if (entry.Selected != selected || entry.Refused != refused || entry.Taken != taken || entry.HeldNow != held_now) {
        check::failed(__FILE__, line,
                      "selected " + std::to_string(entry.Selected) + ", refused " + std::to_string(entry.Refused) +
                          ", taken " + std::to_string(entry.Taken) + ", held now " + std::to_string(entry.HeldNow));
    }
}
#define CHECK_COUNTS(Entry, Selected, Refused, Taken, HeldNow)                                                         \
    check_counts(Entry, Selected, Refused, Taken, HeldNow, __LINE__)

DWORD rename(const std::u16string &name) {
    return File::create(u"D:\\" + name).rename(u"D:\\" + name + u"2");
}

} // namespace

SPINE_TEST(rules_are_listed_as_they_were_compiled) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    RuleList list = client.list_rules();
    CHECK_EQ(list.reply.Header.Status, STATUS_SUCCESS);
    CHECK_EQ(list.reply.TableId, 0u);
    CHECK_EQ(list.reply.RuleCount, 0u);

    Rule full = rule_of(MINIPEND_ACTION_PEND, RENAMES | bit(MINIPEND_OPERATION_WRITE));
    full.queue = MINIPEND_QUEUE_CRITICAL;
    full.delayMs = 5;
    full.flags = MINIPEND_RULE_KERNEL_MODE | MINIPEND_RULE_NAME;
    full.path = u"*.tmp";
    full.volume = u"\\Device\\HarddiskVolume2";
    full.id = 11;
    full.conditions = MINIPEND_CONDITION_USER_MODE;
    full.processId = 4711;
    full.statusFilter = MINIPEND_STATUS_FILTER_EXACT;
    full.matchStatus = STATUS_DISK_FULL;
    full.failStatus = STATUS_ACCESS_DENIED;
    full.everyNth = 3;
    full.atMost = 9;
    full.probabilityPpm = 250'000;
    full.seed = 0x123456789abcdef0u;
    Rule anywhere = numbered(12);
    anywhere.path = u"tail";
    anywhere.operations = bit(MINIPEND_OPERATION_FLUSH);
    anywhere.minorFunctions = 1u << 2;
    Rule everything = numbered(13);
    everything.path = u"*";
    Rule gate = gate_rule(RENAMES, LONG_MS, u"\\gate");
    gate.id = 14;
    gate.maxHeld = 7;
    const auto set = client.set_rules({full, anywhere, everything}, 0);
    take(client, {gate}, 5);

    list = client.list_rules();
    CHECK_EQ(list.reply.Header.Status, STATUS_SUCCESS);
    CHECK_EQ(list.reply.SetCount, 2u);
    CHECK_EQ(list.reply.RuleCount, 4u);
    CHECK_EQ(list.reply.Next, 4u);
    CHECK_EQ(list.reply.Generation, client.counters().head().RuleGeneration);
    need(list.rules.size() == 4 && set.Status == STATUS_SUCCESS, "four rules");
    const MINIPEND_RULE_ENTRY &entry = list.rules[0].entry;
    CHECK_EQ(entry.SetId, 0u);
    CHECK_EQ(entry.ConnectionId, client.hello().ConnectionId);
    CHECK_EQ(entry.ProcessId, GetCurrentProcessId());
    CHECK_EQ(entry.SetFlags, 0u);
    CHECK(entry.SetGeneration < list.rules[3].entry.SetGeneration);
    CHECK_EQ(list.rules[3].entry.SetGeneration, list.reply.Generation);
    CHECK_EQ(entry.Rule.Id, full.id);
    CHECK_EQ(entry.Rule.Operations, full.operations);
    CHECK_EQ(entry.Rule.Action, uint32_t{MINIPEND_ACTION_PEND});
    CHECK_EQ(entry.Rule.Queue, uint32_t{MINIPEND_QUEUE_CRITICAL});
    CHECK_EQ(entry.Rule.Hold, uint32_t{MINIPEND_HOLD_DELAY});
    CHECK_EQ(entry.Rule.DelayMs, full.delayMs);
    CHECK_EQ(entry.Rule.Flags, full.flags);
    CHECK_EQ(entry.Rule.Conditions, full.conditions);
    CHECK_EQ(entry.Rule.ProcessId, full.processId);
    CHECK_EQ(entry.Rule.StatusFilter, full.statusFilter);
    CHECK_EQ(entry.Rule.MatchStatus, full.matchStatus);
    CHECK_EQ(entry.Rule.FailStatus, full.failStatus);
    CHECK_EQ(entry.Rule.EveryNth, full.everyNth);
    CHECK_EQ(entry.Rule.AtMost, full.atMost);
    CHECK_EQ(entry.Rule.ProbabilityPpm, full.probabilityPpm);
    CHECK_EQ(entry.Rule.Seed, full.seed);
    CHECK(list.rules[0].path == u"*.TMP");
    CHECK(list.rules[0].volume == u"\\DEVICE\\HARDDISKVOLUME2");
    CHECK(list.rules[1].path == u"*\\TAIL");
    CHECK(list.rules[2].path.empty());
    CHECK_EQ(list.rules[1].entry.Rule.MinorFunctions, 1u << 2);
    CHECK_EQ(list.rules[1].entry.Rule.Queue, uint32_t{MINIPEND_QUEUE_NONE});
    CHECK_EQ(list.rules[1].entry.Rule.EveryNth, 1u);
    CHECK_EQ(list.rules[1].entry.Rule.ProbabilityPpm, 1'000'000u);
    CHECK_EQ(list.rules[3].entry.SetId, 5u);
    CHECK_EQ(list.rules[3].entry.Rule.Hold, uint32_t{MINIPEND_HOLD_GATE});
    CHECK_EQ(list.rules[3].entry.Rule.DelayMs, LONG_MS);
    CHECK_EQ(list.rules[3].entry.Rule.MaxHeld, 7u);
}

/// Whose rules they are: told to everybody; of a persistent set whose client has left, nobody's.
SPINE_TEST(a_listing_says_whose_rules_they_are) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client watcher;
    take(watcher, {numbered(1)}, 1);
    uint64_t maker_id = 0;
    {
        const Client maker;
        maker_id = maker.hello().ConnectionId;
        CHECK_EQ(maker.set_rules({numbered(2)}, 0, MINIPEND_SET_RULES_PERSIST).Status, STATUS_SUCCESS);
        take(maker, {numbered(3)}, 1);
        const RuleList list = watcher.list_rules();
        need(list.rules.size() == 3, "everybody's");
        CHECK_EQ(list.rules[0].entry.ConnectionId, watcher.hello().ConnectionId);
        CHECK_EQ(list.rules[1].entry.ConnectionId, maker_id);
        CHECK_EQ(list.rules[1].entry.ProcessId, GetCurrentProcessId());
        CHECK_EQ(list.rules[1].entry.SetFlags, uint32_t{MINIPEND_SET_RULES_PERSIST});
        CHECK_EQ(list.rules[2].entry.ConnectionId, maker_id);
        CHECK_EQ(list.rules[2].entry.SetFlags, 0u);
    }
    CHECK(eventually([&] { return watcher.list_rules().reply.RuleCount == 2; }));
    const RuleList list = watcher.list_rules();
    need(list.rules.size() == 2, "the persistent one stays");
    CHECK_EQ(list.rules[1].entry.ConnectionId, 0u);
    CHECK_EQ(list.rules[1].entry.ProcessId, 0u);
    CHECK_EQ(list.rules[1].entry.Rule.Id, 2u);
    CHECK_EQ(list.rules[1].entry.SetFlags, uint32_t{MINIPEND_SET_RULES_PERSIST});
}

SPINE_TEST(counts_of_rules_are_exact) {
    constexpr uint32_t capacity = 2;
    TestWorld world(executor);
    set_parameter(world, u"MaxHeld", capacity);
    load_and_attach({u"D:"});
    const Client client;
    // Held by a gate, refused for want of room, without memory for a work item or a record.
    take(client, {gate_rule(RENAMES, LONG_MS)});
    auto one = start_rename(world, u"D:\\a", u"D:\\a2");
    auto two = start_rename(world, u"D:\\b", u"D:\\b2");
    client.held(capacity);
    CHECK_EQ(rename(u"c"), 0u);
    CHECK_COUNTS(only(client), 3, 1, 2, 2);
    CHECK_EQ(client.release_all().Released, capacity);
    CHECK_EQ(one.get(), 0u);
    CHECK_EQ(two.get(), 0u);
    CHECK_COUNTS(only(client), 3, 1, 2, 0);
    for (const char *allocation : {"FltAllocateDeferredIoWorkItem", "WdfMemoryCreateFromLookaside"}) {
        CHECK_EQ(FltSimSetFault(world.number(), allocation, 0, 1), 0);
        CHECK_EQ(rename(u"d"), 0u);
        CHECK_EQ(FltSimSetFault(world.number(), allocation, 0, 0), 0);
        CHECK(File::open(u"D:\\d2").mark_deleted() == 0);
    }
    CHECK_COUNTS(only(client), 5, 3, 2, 0);
    CHECK_EQ(only(client).Fitted, 0u);

    // A set that is put in force again counts from the beginning.
    take(client, {rule_of(MINIPEND_ACTION_OBSERVE)});
    CHECK_COUNTS(only(client), 0, 0, 0, 0);
    CHECK_EQ(rename(u"e"), 0u);
    CHECK_EQ(rename(u"f"), 0u);
    CHECK_COUNTS(only(client), 2, 0, 0, 0);
    take(client, {rule_of(MINIPEND_ACTION_WHEN_SAFE)});
    CHECK_EQ(rename(u"g"), 0u);
    CHECK_COUNTS(only(client), 1, 0, 0, 0);
    take(client, {synchronize(RENAMES)});
    CHECK_EQ(rename(u"h"), 0u);
    CHECK_COUNTS(only(client), 1, 0, 1, 0);

    // Of four that fit every second is chosen, once.
    Rule sampled = pend_renames(0);
    sampled.everyNth = 2;
    sampled.atMost = 1;
    take(client, {sampled});
    for (const char16_t *name : {u"i", u"j", u"k", u"l"}) {
        CHECK_EQ(rename(name), 0u);
    }
    CHECK_COUNTS(only(client), 1, 0, 1, 0);
    CHECK_EQ(only(client).Fitted, 4u);
    CHECK_EQ(only(client).Applied, 1u);
    // Fast I/O and paging I/O may never be pended; with events read, the same.
    for (const bool watched : {false, true}) {
        if (watched) {
            CHECK_EQ(client.subscribe().Header.Status, STATUS_SUCCESS);
        }
        take(client, {rule_of(MINIPEND_ACTION_PEND, bit(MINIPEND_OPERATION_WRITE))});
        {
            const File file = File::create(watched ? u"D:\\m" : u"D:\\n");
            CHECK_EQ(file.write("once"), 0u);
            CHECK_EQ(file.write("again"), 0u);
            CHECK_EQ(file.flush(), 0u);
        }
        const Counters counters = client.counters_at_rest();
        const MINIPEND_RULE_ENTRY entry = only(client);
        CHECK_EQ(entry.Selected, entry.Refused + entry.Taken);
        CHECK(entry.Refused > 0);
        CHECK(entry.Taken > 0);
    }
    CHECK(client.counters_at_rest().balanced(true));
}

/// At every moment, whatever runs: what is told of a rule does not contradict itself.
SPINE_TEST(counts_hold_while_operations_run) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    Rule rule = pend_renames(1);
    rule.maxHeld = 0;
    take(client, {rule});
    CHECK_EQ(FltSimSetFault(world.number(), "FltAllocateDeferredIoWorkItem", 1, 2), 0);
    constexpr uint32_t each = 20;
    std::vector<std::future<void>> requestors;
    for (const char16_t name : {u'a', u'b', u'c'}) {
        requestors.push_back(world.start([name] {
            for (uint32_t i = 0; i < each; ++i) {
                const std::u16string file = std::u16string(u"D:\\") + name;
                CHECK_EQ(File::create(file).rename(file + u"2", true), 0u);
            }
        }));
    }
    MINIPEND_RULE_ENTRY entry{};
    CHECK(eventually([&] {
        entry = only(client);
        CHECK(entry.Selected >= entry.Refused + entry.Taken);
        CHECK(entry.Taken >= entry.HeldNow);
        return entry.Selected == requestors.size() * each;
    }));
    for (auto &requestor : requestors) {
        requestor.get();
    }
    const auto total = client.counters_at_rest().total(MINIPEND_OPERATION_RENAME);
    entry = only(client);
    CHECK_EQ(entry.Taken, total.Pended);
    CHECK_EQ(entry.Refused, total.Refused[MINIPEND_REFUSAL_ALLOCATION]);
    CHECK_COUNTS(entry, requestors.size() * each, entry.Refused, entry.Taken, 0);
}

SPINE_TEST(a_page_of_another_table_is_refused) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    take(client, many(3, 1), 1);
    take(client, many(4, 2), 2);
    RuleList page = client.list_rules(0, 0, 2);
    CHECK_EQ(page.rules.size(), 2u);
    CHECK_EQ(page.reply.Next, 2u);
    const uint64_t table = page.reply.TableId;
    page = client.list_rules(table, 2, 2);
    need(page.rules.size() == 2, "the next page");
    CHECK_EQ(page.rules[0].entry.Rule.Id, 1u);
    CHECK_EQ(page.rules[1].entry.Rule.Id, 2u);
    page = client.list_rules(table, 4);
    CHECK_EQ(page.rules.size(), 3u);
    CHECK_EQ(page.reply.Next, 7u);
    CHECK_EQ(client.list_rules(table, 7).rules.size(), 0u);
    CHECK_EQ(client.list_rules(table, 3, 0).reply.Next, 3u);

    // The same rules once more are another table; so is what a failing command leaves as it was not.
    CHECK_EQ(client.list_rules().reply.TableId, table);
    CHECK_EQ(client.set_rules({gate_rule(RENAMES, 0)}, 3).Detail, uint32_t{MINIPEND_DETAIL_RULE_DELAY});
    CHECK_EQ(client.list_rules().reply.TableId, table);
    take(client, many(4, 2), 2);
    page = client.list_rules(table, 2, 2);
    CHECK_EQ(page.reply.Header.Status, STATUS_RETRY);
    CHECK_EQ(page.reply.Header.Detail, uint32_t{MINIPEND_DETAIL_RULES_CHANGED});
    CHECK(client.list_rules().reply.TableId > table);
}

/// A listing in pages of one and of a few, while sets are put in force, replaced by larger and smaller ones, and removed, and a client leaves: what comes
/// together is of one table, whole sets of one generation.
TEST(sets_replaced_while_they_are_listed) {
    uint64_t begun_again = 0;
    uint64_t listed = 0;
    const Seeds seeds(3, 500);
    seeds.play([&](fltsim::World &world) {
        load_and_attach({u"D:"});
        const Client lister;
        Actors actors(world);
        bool ended = false;
        actors.add("replacer", 1, [&] {
            const Client client;
            for (uint32_t round = 1; round <= 6; ++round) {
                const auto id = static_cast<uint32_t>(1 + world.random(4));
                CHECK_EQ(client.set_rules(many(id, id), static_cast<uint32_t>(1 + world.random(3))).Status,
                         STATUS_SUCCESS);
                if (world.random(3) == 0) {
                    CHECK_EQ(client.set_rules({}, 1).Status, STATUS_SUCCESS);
                }
                nap(world, world.random(50));
            }
            ended = true;
        });
        actors.add("lister", 1, [&] {
            uint64_t table = 0;
            uint32_t next = 0;
            uint32_t total = 0;
            std::map<std::pair<uint64_t, uint32_t>, std::vector<MINIPEND_RULE_ENTRY>> sets;
            for (bool last = false; !last;) {
                if (table == 0) {
                    last = ended;
                }
                const RuleList page = lister.list_rules(table, next, 1 + static_cast<uint32_t>(world.random(3)));
                if (page.reply.Header.Status != STATUS_SUCCESS) {
                    CHECK_EQ(page.reply.Header.Detail, uint32_t{MINIPEND_DETAIL_RULES_CHANGED});
                    CHECK(table != 0);
                    begun_again++;
                    last = false;
                    table = 0, next = 0, total = 0;
                    sets.clear();
                    continue;
                }
                CHECK(table == 0 || table == page.reply.TableId);
                table = page.reply.TableId;
                total += page.reply.Count;
                next = page.reply.Next;
                for (const ListedRule &rule : page.rules) {
                    sets[{rule.entry.ConnectionId, rule.entry.SetId}].push_back(rule.entry);
                }
                if (next < page.reply.RuleCount) {
                    last = false;
                    continue;
                }
                CHECK_EQ(total, page.reply.RuleCount);
                CHECK_EQ(sets.size(), page.reply.SetCount);
                for (const auto &[key, entries] : sets) {
                    CHECK_EQ(entries.size(), entries.front().Rule.Id);
                    for (const MINIPEND_RULE_ENTRY &entry : entries) {
                        CHECK_EQ(entry.Rule.Id, entries.front().Rule.Id);
                        CHECK_EQ(entry.SetGeneration, entries.front().SetGeneration);
                        CHECK(entry.SetGeneration <= page.reply.Generation);
                    }
                }
                listed++;
                table = 0, next = 0, total = 0;
                sets.clear();
                nap(world, world.random(20));
            }
        });
        actors.join();
        CHECK_EQ(lister.list_rules().reply.RuleCount, 0u); // its client has left
    });
    CHECK(listed > 0);
    CHECK(begun_again > 0 || !seeds.all());
}

SPINE_TEST(requests_for_the_rule_table_are_checked) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    RawPort port;
    CHECK_ANSWER(port.ask(asked(0, 0, 0)), STATUS_INVALID_DEVICE_STATE, MINIPEND_DETAIL_NOT_GREETED);
    CHECK_ANSWER(port.ask(hello()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
    for (const size_t bytes :
         {sizeof(MINIPEND_MESSAGE_HEADER), sizeof(Request) - 8, sizeof(Request) + 8, sizeof(Request) + 4096}) {
        Request request = asked(0, 0, 0);
        request.Header.SizeBytes = static_cast<uint32_t>(bytes);
        CHECK_ANSWER(port.ask(request, bytes), STATUS_INFO_LENGTH_MISMATCH, MINIPEND_DETAIL_SIZE);
    }
    // Before there have been any rules, and with some.
    for (const bool rules : {false, true}) {
        if (rules) {
            CHECK_ANSWER(port.ask(OneRule()), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
        }
        for (const uint32_t first : {1u, 2u, 0x80000000u, 0xFFFFFFFFu}) {
            CHECK_ANSWER(port.ask(asked(0, first, 1)), STATUS_INVALID_PARAMETER, MINIPEND_DETAIL_RULES_CURSOR);
        }
        for (const uint64_t table : {uint64_t{2}, ~uint64_t{0}, uint64_t{1} << 32}) {
            CHECK_ANSWER(port.ask(asked(table, 0, 1)), STATUS_RETRY, MINIPEND_DETAIL_RULES_CHANGED);
            CHECK_ANSWER(port.ask(asked(table, 0xFFFFFFFF, 1)), STATUS_RETRY, MINIPEND_DETAIL_RULES_CHANGED);
        }
    }
    for (const uint32_t first : {2u, 3u, 0x80000000u, 0xFFFFFFFFu}) {
        CHECK_ANSWER(port.ask(asked(1, first, 0xFFFFFFFF)), STATUS_INVALID_PARAMETER, MINIPEND_DETAIL_RULES_CURSOR);
    }
    CHECK_ANSWER(port.ask(asked(1, 1, 0xFFFFFFFF)), STATUS_SUCCESS, MINIPEND_DETAIL_NONE);

    // Room for the head, and for one entry when entries are wanted and there is one.
    const auto check_room = [&](const Request &request, size_t bytes) {
        const auto small = port.ask(request, sizeof(request), bytes - 8);
        CHECK_ANSWER(small, STATUS_BUFFER_TOO_SMALL, MINIPEND_DETAIL_REPLY_BUFFER);
        CHECK_EQ(small.RequiredBytes, bytes);
        const auto enough = port.ask(request, sizeof(request), bytes);
        CHECK_ANSWER(enough, STATUS_SUCCESS, MINIPEND_DETAIL_NONE);
        CHECK_EQ(enough.SizeBytes, bytes);
    };
    check_room(asked(0, 0, 0), HEAD_BYTES);
    check_room(asked(1, 1, 5), HEAD_BYTES);
    check_room(asked(0, 0, 1), HEAD_BYTES + sizeof(MINIPEND_RULE_ENTRY));
    check_room(asked(0, 0, 0xFFFFFFFF), HEAD_BYTES + sizeof(MINIPEND_RULE_ENTRY));
    // A fault is found before the room is.
    CHECK_ANSWER(port.ask(asked(0, 1, 1), sizeof(Request), sizeof(MINIPEND_REPLY_HEADER)), STATUS_INVALID_PARAMETER,
                 MINIPEND_DETAIL_RULES_CURSOR);
}

/// Bounded by the buffer and by the protocol, however much is asked for.
SPINE_TEST(requests_for_many_rules_are_bounded) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    constexpr uint32_t rules = MINIPEND_MAX_RULE_ENTRIES + 10;
    Rule longest = numbered(1);
    longest.path = std::u16string(MINIPEND_MAX_PATTERN_CHARS, u'x');
    longest.volume = std::u16string(MINIPEND_MAX_VOLUME_CHARS, u'y');
    take(client, {longest}, 1);
    take(client, many(rules, 2), 2);
    RuleList list = client.list_rules(0, 0, 0xFFFFFFFF, 4u << 20);
    CHECK_EQ(list.rules.size(), size_t{MINIPEND_MAX_RULE_ENTRIES});
    CHECK_EQ(list.reply.RuleCount, rules + 1);
    need(!list.rules.empty(), "there are some");
    CHECK_EQ(list.rules[0].path.size(), size_t{MINIPEND_MAX_PATTERN_CHARS} + 2); // at any depth
    CHECK_EQ(list.rules[0].volume.size(), size_t{MINIPEND_MAX_VOLUME_CHARS});
    list = client.list_rules(list.reply.TableId, list.reply.Next, 0xFFFFFFFF);
    CHECK_EQ(list.rules.size(), 11u);
    const size_t two = HEAD_BYTES + 2 * sizeof(MINIPEND_RULE_ENTRY);
    list = client.list_rules(list.reply.TableId, 1, 0xFFFFFFFF, two + 8);
    CHECK_EQ(list.rules.size(), 2u);
    // Not passed over when it is the first that does not fit.
    const RuleList none = client.list_rules(list.reply.TableId, 0, 0xFFFFFFFF, two);
    CHECK_EQ(none.reply.Header.Detail, uint32_t{MINIPEND_DETAIL_REPLY_BUFFER});
    CHECK(none.reply.Header.RequiredBytes > two);
}

SPINE_TEST(a_listing_that_finds_no_memory_says_so) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    take(client, {numbered(1)});
    CHECK_EQ(FltSimSetFault(world.number(), "WdfMemoryCreate", 1, 1), 0);
    const RuleList list = client.list_rules();
    CHECK_EQ(list.reply.Header.Status, STATUS_INSUFFICIENT_RESOURCES);
    CHECK_EQ(list.reply.Header.Detail, uint32_t{MINIPEND_DETAIL_MEMORY});
    CHECK_EQ(client.list_rules().rules.size(), 1u);
}

} // namespace MINIPEND_TEST_FILE
