// SPDX-License-Identifier: MIT
//
// This module provides: scenarios of events: what each kind says, how they are acknowledged, lost and shared. Through ETW: trace_test.cpp.

#include "bells.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr uint32_t kind(MINIPEND_EVENT_KIND one) {
    return 1u << one;
}
constexpr uint32_t TAKEN_ONLY = kind(MINIPEND_EVENT_KIND_TAKEN);
constexpr uint32_t ALL_KINDS = (1u << MINIPEND_EVENT_KIND_COUNT) - 1;
constexpr uint32_t EVENTS_OF_ONE = 4; ///< taken, parked, released, completed

/// A rule that pends renames and asks for their names.
Rule named_renames() {
    Rule rule = pend_renames(0);
    rule.flags = MINIPEND_RULE_NAME;
    return rule;
}

void set(const Client &client, const std::vector<Rule> &rules, uint32_t set_id = 0, uint32_t flags = 0) {
    CHECK_EQ(client.set_rules(rules, set_id, flags).Status, STATUS_SUCCESS);
}

void subscribe(const Client &client, uint32_t kinds, uint32_t flags = 0, uint32_t ring = 0) {
    CHECK_EQ(client.subscribe(kinds, flags, ring).Header.Status, STATUS_SUCCESS);
}

/// Pulls until there are `count` events; none of them is acknowledged.
Events pull_until(const Client &client, size_t count, uint64_t acknowledge = 0) {
    Events got;
    CHECK(eventually([&] {
        got = client.pull(acknowledge);
        return got.events.size() >= count;
    }));
    need(got.events.size() >= count, "so many events do not come");
    CHECK_EQ(got.events.size(), count);
    return got;
}

std::vector<uint64_t> sequences(const Events &events) {
    std::vector<uint64_t> found;
    for (const MINIPEND_EVENT &event : events.events) {
        found.push_back(event.Sequence);
    }
    return found;
}

void check_sequences(const Events &events, uint64_t first, size_t count, int line) {
    const auto found = sequences(events);
    for (size_t i = 0; i < std::max(count, found.size()); ++i) {
        if (found.size() != count || found[i] != first + i) {
            check::failed(__FILE__, line,
                          std::to_string(found.size()) + " events, the first is number " +
                              std::to_string(found.empty() ? 0 : found[0]));
            return;
        }
    }
}
#define CHECK_SEQUENCES(Got, First, Count) check_sequences(Got, First, Count, __LINE__)

NTSTATUS pull_status(const Client &client, uint64_t acknowledge, MINIPEND_DETAIL detail) {
    MINIPEND_PULL_EVENTS_REQUEST request{};
    request.Header = {sizeof(request), MINIPEND_PROTOCOL_VERSION, MINIPEND_COMMAND_PULL_EVENTS, 1};
    request.Acknowledge = acknowledge;
    std::vector<uint64_t> message(sizeof(request) / 8);
    std::memcpy(message.data(), &request, sizeof(request));
    std::vector<uint64_t> reply(64);
    CHECK_EQ(send_raw(client.port(), message, sizeof(request), &reply), S_OK);
    MINIPEND_REPLY_HEADER head{};
    std::memcpy(&head, reply.data(), sizeof(head));
    CHECK_EQ(head.Detail, static_cast<uint32_t>(detail));
    return head.Status;
}

} // namespace

SPINE_TEST(events_tell_the_life_of_an_operation) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    Rule gate = gate_rule(bit(MINIPEND_OPERATION_RENAME), LONG_MS);
    gate.id = 77;
    gate.flags = MINIPEND_RULE_NAME;
    const uint64_t generation = [&] {
        set(client, {gate}, 5);
        return client.counters().head().RuleGeneration;
    }();
    subscribe(client, ALL_KINDS);
    const File file = File::create(u"D:\\a");
    const uint64_t before = client.list_held().reply.Time100ns;
    auto rename = world.start([&] { return file.rename(u"D:\\b"); });
    const HeldList held = client.held(1);
    const uint64_t id = held.entries.at(0).HeldId;
    CHECK_EQ(client.release_one(id, STATUS_DISK_FULL).Released, 1u);
    CHECK_EQ(rename.get(), static_cast<DWORD>(ERROR_DISK_FULL));

    const Events got = pull_until(client, EVENTS_OF_ONE);
    CHECK_SEQUENCES(got, 1, EVENTS_OF_ONE);
    CHECK_EQ(got.reply.Lost, 0u);
    CHECK(got.reply.Time100ns >= got.events.back().Time100ns);
    const struct {
        MINIPEND_EVENT_KIND kind;
        uint32_t cause;
        NTSTATUS status;
    } expected[EVENTS_OF_ONE] = {
        {MINIPEND_EVENT_KIND_TAKEN, 0, STATUS_SUCCESS},
        {MINIPEND_EVENT_KIND_PARKED, 0, STATUS_SUCCESS},
        {MINIPEND_EVENT_KIND_RELEASED, MINIPEND_RELEASE_CAUSE_CLIENT, STATUS_SUCCESS},
        {MINIPEND_EVENT_KIND_COMPLETED, MINIPEND_RELEASE_CAUSE_CLIENT, STATUS_DISK_FULL},
    };
    uint64_t time = before;
    for (size_t i = 0; i < EVENTS_OF_ONE; ++i) {
        const MINIPEND_EVENT &event = got.events[i];
        CHECK_EQ(event.Kind, static_cast<uint16_t>(expected[i].kind));
        CHECK_EQ(event.Cause, expected[i].cause);
        CHECK_EQ(event.Seen.Status, expected[i].status);
        CHECK(event.Time100ns >= time);
        time = event.Time100ns;
        CHECK_EQ(event.HeldId, id);
        CHECK_EQ(event.InstanceId, held.entries[0].InstanceId);
        CHECK_EQ(event.ConnectionId, client.hello().ConnectionId);
        CHECK_EQ(event.RuleGeneration, generation);
        CHECK_EQ(event.SetId, 5u);
        CHECK_EQ(event.RuleId, 77u);
        CHECK_EQ(event.Operation, static_cast<uint16_t>(MINIPEND_OPERATION_RENAME));
        CHECK(name_of(event.Name, event.NameChars) == u"\\a");
        CHECK_EQ(event.Name[2], 0u);
        CHECK_EQ(event.Seen.Thread, static_cast<uint16_t>(MINIPEND_THREAD_REQUESTOR));
        CHECK_EQ(event.Seen.ThreadId, held.entries[0].Seen.ThreadId);
    }
}

SPINE_TEST(a_refusal_is_an_event) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    Rule gate = gate_rule(bit(MINIPEND_OPERATION_RENAME), LONG_MS);
    gate.maxHeld = 1;
    gate.flags = MINIPEND_RULE_NAME;
    set(client, {gate}, 1);
    subscribe(client, kind(MINIPEND_EVENT_KIND_REFUSED));
    const File held = File::create(u"D:\\held");
    auto rename = world.start([&] { return held.rename(u"D:\\held2"); });
    client.held(1);
    Renamer(u"refused").rename();
    const Events got = pull_until(client, 1);
    CHECK_EQ(got.events[0].Kind, static_cast<uint16_t>(MINIPEND_EVENT_KIND_REFUSED));
    CHECK_EQ(got.events[0].Cause, static_cast<uint16_t>(MINIPEND_REFUSAL_CAPACITY));
    CHECK_EQ(got.events[0].HeldId, 0u);
    CHECK(name_of(got.events[0].Name, got.events[0].NameChars) == u"\\refused");
    CHECK_EQ(client.release_all().Released, 1u);
    CHECK_EQ(rename.get(), 0u);
    CHECK_EQ(client.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Refused[MINIPEND_REFUSAL_CAPACITY], 1u);
}

/// A rule whose record finds no memory: there is nothing but the callback's data to tell of.
SPINE_TEST(a_refusal_without_a_record_is_an_event) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    set(client, {pend_renames(0)});
    subscribe(client, ALL_KINDS);
    Renamer renamer(u"a");
    CHECK_EQ(FltSimSetFault(world.number(), "WdfMemoryCreateFromLookaside", 0, 1), 0);
    renamer.rename();
    const Events got = pull_until(client, 1);
    CHECK_EQ(got.events[0].Kind, static_cast<uint16_t>(MINIPEND_EVENT_KIND_REFUSED));
    CHECK_EQ(got.events[0].Cause, static_cast<uint16_t>(MINIPEND_REFUSAL_ALLOCATION));
    CHECK_EQ(got.events[0].RuleId, 1u);
    CHECK_EQ(got.events[0].ConnectionId, client.hello().ConnectionId);
    CHECK(got.events[0].InstanceId != 0);
    CHECK(got.events[0].Seen.ThreadId != 0);
}

SPINE_TEST(events_come_again_until_they_are_acknowledged) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    set(client, {pend_renames(0)});
    subscribe(client, TAKEN_ONLY);
    Renamer renamer(u"a");
    renamer.rename(40);
    CHECK_EQ(pull_status(client, 1, MINIPEND_DETAIL_EVENT_CURSOR), STATUS_INVALID_PARAMETER);
    CHECK_SEQUENCES(client.pull(0), 1, 40);
    CHECK_SEQUENCES(client.pull(0), 1, 40);
    CHECK_SEQUENCES(client.pull(0, 0, 7), 1, 7);
    CHECK_SEQUENCES(client.pull(7), 8, 33);
    CHECK_SEQUENCES(client.pull(7), 8, 33);
    CHECK_SEQUENCES(client.pull(0), 8, 33); // what has left does not come back
    CHECK_SEQUENCES(client.pull(20, 0, 0), 0, 0); // only acknowledges
    CHECK_SEQUENCES(client.pull(20), 21, 20);
    CHECK_EQ(pull_status(client, 41, MINIPEND_DETAIL_EVENT_CURSOR), STATUS_INVALID_PARAMETER);
    CHECK_SEQUENCES(client.pull(20), 21, 20);
    CHECK_SEQUENCES(client.pull(40), 0, 0);
    renamer.rename();
    CHECK_EQ(pull_status(client, 41, MINIPEND_DETAIL_EVENT_CURSOR), STATUS_INVALID_PARAMETER); // there, but not sent
    CHECK_SEQUENCES(client.pull(40), 41, 1);
    CHECK_SEQUENCES(client.pull(41), 0, 0);
}

SPINE_TEST(a_full_ring_loses_new_events_and_says_so) {
    constexpr int ring = MINIPEND_MIN_EVENT_RING;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    set(client, {pend_renames(0)});
    subscribe(client, TAKEN_ONLY, 0, ring);
    Renamer renamer(u"a");
    renamer.rename(ring + 5);
    Events got = client.pull(0);
    CHECK_SEQUENCES(got, 1, ring);
    CHECK_EQ(got.reply.Lost, 5u);
    // Three leave, three find room: their numbers say how many are missing before them.
    CHECK_SEQUENCES(client.pull(3), 4, ring - 3);
    renamer.rename(4);
    got = client.pull(ring);
    CHECK_SEQUENCES(got, ring + 6, 3);
    CHECK_EQ(got.reply.Lost, 6u);
    // Round and round.
    uint64_t last = ring + 8;
    for (int round = 0; round < 5; ++round) {
        CHECK_SEQUENCES(client.pull(last), 0, 0);
        renamer.rename(ring - 1);
        got = client.pull(last);
        CHECK_SEQUENCES(got, round == 0 ? last + 2 : last + 1, ring - 1);
        last = got.events.back().Sequence;
    }
    CHECK_EQ(got.reply.Lost, 6u);
}

SPINE_TEST(each_client_gets_its_own_events_and_all_if_it_asks) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client one;
    const Client two;
    const Client all;
    set(one, {pend_renames(0, u"one*")});
    set(two, {pend_renames(0, u"two*")});
    subscribe(one, TAKEN_ONLY);
    subscribe(two, TAKEN_ONLY | kind(MINIPEND_EVENT_KIND_COMPLETED));
    subscribe(all, TAKEN_ONLY, MINIPEND_SUBSCRIBE_ALL_CLIENTS);
    Renamer(u"one").rename();
    Renamer(u"two").rename(2);
    CHECK_SEQUENCES(pull_until(one, 1), 1, 1);
    const Events twos = pull_until(two, 4);
    CHECK_SEQUENCES(twos, 1, 4);
    const Events alls = pull_until(all, 3);
    CHECK_SEQUENCES(alls, 1, 3);
    CHECK_EQ(alls.events[0].ConnectionId, one.hello().ConnectionId);
    CHECK_EQ(alls.events[1].ConnectionId, two.hello().ConnectionId);
    CHECK_EQ(alls.events[2].ConnectionId, two.hello().ConnectionId);
    {
        // A persistent rule is nobody's: only who asks for all events hears of it.
        const Client leaves;
        set(leaves, {pend_renames(0, u"none*")}, 0, MINIPEND_SET_RULES_PERSIST);
        subscribe(leaves, TAKEN_ONLY);
        Renamer(u"none").rename();
        CHECK_SEQUENCES(leaves.pull(0), 0, 0);
    }
    const Events last = pull_until(all, 1, 3);
    CHECK_EQ(last.events[0].ConnectionId, 0u);
    CHECK_SEQUENCES(pull_until(one, 1), 1, 1);
}

SPINE_TEST(a_new_ring_begins_empty_and_counts_on) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    set(client, {pend_renames(0)});
    MINIPEND_SUBSCRIBE_REPLY reply = client.subscribe(TAKEN_ONLY);
    CHECK_EQ(reply.Sequence, 0u);
    CHECK_EQ(reply.RingEvents, MINIPEND_DEFAULT_EVENT_RING);
    CHECK_EQ(reply.EventBytes, sizeof(MINIPEND_EVENT));
    Renamer renamer(u"a");
    renamer.rename(3);
    reply = client.subscribe(TAKEN_ONLY, 0, 100);
    CHECK_EQ(reply.Sequence, 3u);
    CHECK_EQ(reply.RingEvents, 100u);
    CHECK_SEQUENCES(client.pull(3), 0, 0); // what the reply names can be acknowledged
    renamer.rename(2);
    CHECK_SEQUENCES(client.pull(0), 4, 2);
    CHECK_EQ(client.subscribe(0).RingEvents, 0u);
    CHECK_EQ(pull_status(client, 0, MINIPEND_DETAIL_NOT_SUBSCRIBED), STATUS_INVALID_DEVICE_STATE);
    renamer.rename(2);
    CHECK_EQ(client.subscribe(TAKEN_ONLY).Sequence, 5u);
    renamer.rename();
    const Events got = client.pull(0);
    CHECK_SEQUENCES(got, 6, 1);
    CHECK_EQ(got.reply.Lost, 0u);
}

SPINE_TEST(of_a_long_name_an_event_has_the_end) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    set(client, {named_renames()});
    subscribe(client, TAKEN_ONLY);
    std::u16string exact(MINIPEND_EVENT_NAME_CHARS - 2, u'x');
    exact += u"y";
    std::u16string longer(MINIPEND_EVENT_NAME_CHARS, u'x');
    longer += u"yz";
    CHECK_EQ(File::create(u"D:\\" + exact).rename(u"D:\\1"), 0u);
    CHECK_EQ(File::create(u"D:\\" + longer).rename(u"D:\\2"), 0u);
    const Events got = client.pull(0);
    need(got.events.size() == 2, "two renames, two events");
    CHECK(name_of(got.events[0].Name, got.events[0].NameChars) == u"\\" + exact);
    CHECK_EQ(got.events[0].Seen.Flags & MINIPEND_SEEN_NAME_CUT, 0u);
    CHECK(name_of(got.events[1].Name, got.events[1].NameChars) ==
          longer.substr(longer.size() - MINIPEND_EVENT_NAME_CHARS));
    CHECK_EQ(got.events[1].Seen.Flags & MINIPEND_SEEN_NAME_CUT, MINIPEND_SEEN_NAME_CUT);
}

/// Many threads make events while the client pulls and acknowledges: every number comes once, in order, or is counted as lost.
SPINE_TEST(events_under_load_are_whole) {
    constexpr int threads = 4;
    constexpr int renames = 30;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    set(client, {pend_renames(0)});
    subscribe(client, ALL_KINDS, 0, 64);
    std::vector<std::future<void>> makers;
    for (int t = 0; t < threads; ++t) {
        makers.push_back(
            world.start([t] { Renamer(u"f" + std::u16string(1, static_cast<char16_t>(u'0' + t))).rename(renames); }));
    }
    uint64_t last = 0;
    uint64_t got = 0;
    uint64_t lost = 0;
    constexpr uint64_t total = uint64_t{threads} * renames * EVENTS_OF_ONE;
    CHECK(eventually([&] {
        const Events events = client.pull(last);
        for (const MINIPEND_EVENT &event : events.events) {
            CHECK(event.Sequence > last);
            last = event.Sequence;
        }
        got += events.events.size();
        lost = events.reply.Lost;
        return got + lost >= total;
    }));
    for (auto &maker : makers) {
        maker.get();
    }
    CHECK_EQ(got + lost, total);
    CHECK(client.counters_at_rest().balanced(true));
}

} // namespace MINIPEND_TEST_FILE
