// SPDX-License-Identifier: MIT
//
// This module provides: scenarios of gates: how what is held is listed, what ends it besides a release, and how much is held at once.

#include <algorithm>

#include "gates.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

SPINE_TEST(a_gate_holds_until_its_client_releases_it) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    take(client, {gate(u"\\a")});
    std::atomic<uint32_t> thread_id{0};
    auto renaming = world.start([&] {
        thread_id = GetCurrentThreadId();
        return File::create(u"D:\\a").rename(u"D:\\b");
    });
    const HeldList list = client.held(1);
    CHECK(exists(u"D:\\b"));
    const MINIPEND_HELD_ENTRY &entry = list.entries.at(0);
    CHECK_EQ(list.entries.size(), 1u);
    CHECK_EQ(list.reply.HeldNow, 1u);
    CHECK_EQ(list.reply.More, 0u);
    CHECK(entry.HeldId != 0);
    CHECK_EQ(entry.ConnectionId, client.hello().ConnectionId);
    CHECK_EQ(entry.InstanceId, client.counters().instance(1).InstanceId);
    CHECK_EQ(entry.RuleGeneration, client.counters().head().RuleGeneration);
    CHECK_EQ(entry.Due100ns, entry.Taken100ns + uint64_t{LONG_MS} * 10'000);
    CHECK(entry.Taken100ns <= list.reply.Time100ns);
    CHECK_EQ(entry.SetId, GATE_SET);
    CHECK_EQ(entry.RuleId, GATE_ID);
    CHECK_EQ(entry.Operation, MINIPEND_OPERATION_RENAME);
    CHECK_EQ(entry.State, MINIPEND_HELD_STATE_PARKED);
    CHECK_EQ(entry.Hold, MINIPEND_HOLD_GATE);
    CHECK_EQ(entry.Action, MINIPEND_ACTION_PEND);
    CHECK_EQ(entry.MajorFunction, IRP_MJ_SET_INFORMATION);
    CHECK(name_of(entry.Name, entry.NameChars) == u"\\a");
    CHECK_EQ(entry.Name[entry.NameChars], 0);
    CHECK_EQ(entry.Seen.Irql, PASSIVE_LEVEL);
    CHECK_EQ(entry.Seen.TopLevelIrp, MINIPEND_TOP_LEVEL_IRP_NONE);
    CHECK_EQ(entry.Seen.Thread, MINIPEND_THREAD_REQUESTOR);
    CHECK_EQ(entry.Seen.Status, STATUS_SUCCESS);
    CHECK_EQ(entry.Seen.Flags, MINIPEND_SEEN_SYNCHRONOUS | MINIPEND_SEEN_SYSTEM_BUFFER);
    CHECK_EQ(entry.Seen.ThreadId, thread_id.load());
    CHECK_EQ(entry.Seen.ProcessId, GetCurrentProcessId());

    CHECK_RELEASED(client.release_one(entry.HeldId), 1);
    CHECK_EQ(renaming.get(), 0u);
    CHECK_FAULT(client.release_one(entry.HeldId), STATUS_NOT_FOUND, MINIPEND_DETAIL_HELD_UNKNOWN);
    CHECK_FAULT(client.release_one(entry.HeldId + 1), STATUS_NOT_FOUND, MINIPEND_DETAIL_HELD_UNKNOWN);
    CHECK(client.list_held().entries.empty());
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.of(1, MINIPEND_OPERATION_RENAME).Completed, 1u);
    CHECK_EQ(counters.of(1, MINIPEND_OPERATION_RENAME).Failed, 0u);
}

/// The end of a name that is too long is kept, and that it was cut is said.
SPINE_TEST(a_long_name_keeps_its_end) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const std::u16string directory = u"D:\\" + std::u16string(150, u'd');
    const std::u16string name = directory + u"\\" + std::u16string(150, u'F');
    CHECK(CreateDirectoryW(directory.c_str(), nullptr) != FALSE);
    const Client client;
    Rule rule = gate();
    rule.flags = MINIPEND_RULE_NAME;
    take(client, {rule});
    auto renaming = world.start([&] { return File::create(name).rename(directory + u"\\x"); });
    const MINIPEND_HELD_ENTRY entry = client.held(1).entries.at(0);
    CHECK_EQ(entry.NameChars, MINIPEND_MAX_NAME_CHARS);
    CHECK(name.ends_with(name_of(entry.Name, entry.NameChars)));
    CHECK_EQ(entry.Seen.Flags & MINIPEND_SEEN_NAME_CUT, MINIPEND_SEEN_NAME_CUT);
    CHECK_RELEASED(client.release_all(), 1);
    CHECK_EQ(renaming.get(), 0u);
}

SPINE_TEST(a_gate_ends_at_its_deadline) {
    constexpr uint32_t deadline_ms = 30;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    take(client, {gate(u"", GATE_ID, deadline_ms)});
    client.subscribe();
    CHECK_EQ(File::create(u"D:\\a").rename(u"D:\\b"), 0u);
    CHECK_EQ(cause_of(client, 0), MINIPEND_RELEASE_CAUSE_DEADLINE);
    const Events events = client.pull(0);
    CHECK_EQ(events.events.size(), 4u); // taken, parked, released, completed
    CHECK(events.events.back().Time100ns >= events.events.front().Time100ns);
    CHECK_FAULT(client.release_one(events.events.front().HeldId), STATUS_NOT_FOUND, MINIPEND_DETAIL_HELD_UNKNOWN);
    // A delay's end has its own name.
    take(client, {}, GATE_SET);
    take(client, {pend_renames(1)}, 0);
    CHECK_EQ(File::open(u"D:\\b").rename(u"D:\\c"), 0u);
    CHECK_EQ(cause_of(client, 1), MINIPEND_RELEASE_CAUSE_DUE);
}

/// What only waits for its time can be released before it.
SPINE_TEST(a_delay_can_be_released_early) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    take(client, {pend_renames(LONG_MS)}, 0);
    client.subscribe();
    auto renaming = start_rename(world, u"a");
    CHECK_RELEASED(client.release_one(client.held(1).entries.at(0).HeldId), 1);
    CHECK_EQ(renaming.get(), 0u);
    CHECK_EQ(cause_of(client, 0), MINIPEND_RELEASE_CAUSE_CLIENT);
}

SPINE_TEST(a_gate_holds_no_more_than_its_cap) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    Rule rule = gate();
    rule.maxHeld = 2;
    take(client, {rule});
    auto first = start_rename(world, u"a");
    auto second = start_rename(world, u"b");
    const HeldList list = client.held(2);
    CHECK_EQ(start_rename(world, u"c").get(), 0u);
    const auto full = client.counters().total(MINIPEND_OPERATION_RENAME);
    CHECK_EQ(full.Refused[MINIPEND_REFUSAL_CAPACITY], 1u);
    CHECK_EQ(full.Pended, 2u);
    CHECK_RELEASED(client.release_one(list.entries.at(0).HeldId), 1);
    CHECK(eventually([&] { return client.counters().head().HeldNow == 1; }));
    auto fourth = start_rename(world, u"d");
    CHECK(eventually([&] { return client.counters().head().HeldNow == 2; }));
    CHECK_RELEASED(client.release_all(), 2);
    for (auto *renaming : {&first, &second, &fourth}) {
        CHECK_EQ(renaming->get(), 0u);
    }
    const Counters counters = client.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.of(1, MINIPEND_OPERATION_RENAME).InFlightHighWater, 2u);
    CHECK_EQ(counters.head().HeldHighWater, 2u);
}

/// The set goes while an operation that it matched is below: nobody would release it any more.
SPINE_TEST(what_comes_up_after_its_gate_was_closed_is_not_held) {
    TestWorld world(executor);
    Gate below_gate;
    load_and_attach({u"D:"});
    {
        Neighbour below(world, u"below", BELOW);
        below.driver.pre = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID *) {
            if (is_rename(data)) {
                CHECK(below_gate.pass());
            }
            return FLT_PREOP_SUCCESS_NO_CALLBACK;
        };
        const Client client;
        client.subscribe();
        take(client, {gate()});
        auto renaming = start_rename(world, u"a");
        CHECK(eventually([&] { return below_gate.waiting == 1; }));
        take(client, {});
        CHECK_RELEASED(client.release_set(GATE_SET), 0);
        below_gate.open(world);
        CHECK_EQ(renaming.get(), 0u);
        CHECK_EQ(cause_of(client, 0), MINIPEND_RELEASE_CAUSE_GATE_CLOSED);
        CHECK_EQ(client.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Completed, 1u);
    }
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

/// More than one answer holds: they come in pages, each once, in the order in which they were parked.
SPINE_TEST(a_long_list_comes_in_pages) {
    constexpr DWORD count = 300;
    constexpr DWORD page = 4096;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    CHECK_EQ(File::create(u"D:\\big").write(std::string(page, 'x')), 0u);
    const Client client;
    File file(u"D:\\big", {.access = GENERIC_READ, .flags = FILE_FLAG_OVERLAPPED | FILE_FLAG_NO_BUFFERING});
    Rule rule = gate();
    rule.operations = bit(MINIPEND_OPERATION_READ);
    take(client, {rule});
    std::vector<OVERLAPPED> overlapped(count);
    alignas(4096) static char buffer[page];
    for (OVERLAPPED &one : overlapped) {
        CHECK(ReadFile(file.handle(), buffer, page, nullptr, &one) == FALSE);
    }
    uint64_t held = 0;
    CHECK(eventually([&] {
        const auto reads = client.counters().total(MINIPEND_OPERATION_READ);
        held = client.list_held(0, 0, 0).reply.HeldNow;
        return held + reads.Refused[MINIPEND_REFUSAL_TOP_LEVEL_IRP] == count && reads.InCallback == 0;
    }));
    for (const uint32_t step : {7u, 100u, MINIPEND_MAX_HELD_ENTRIES + 100}) {
        uint64_t seen = 0;
        uint64_t after = 0;
        bool more = true;
        CHECK(eventually([&] {
            const HeldList list = client.list_held(0, after, step);
            CHECK_EQ(list.reply.HeldNow, held);
            CHECK(list.entries.size() <= std::min(step, MINIPEND_MAX_HELD_ENTRIES));
            for (const MINIPEND_HELD_ENTRY &entry : list.entries) {
                CHECK(entry.ParkSequence > after);
                after = entry.ParkSequence;
            }
            seen += list.entries.size();
            more = list.reply.More != 0;
            // The last few may still be on their way to be parked.
            return !more && seen == held;
        }));
        CHECK_EQ(seen, held);
    }
    CHECK_RELEASED(client.release_all(), static_cast<uint32_t>(held));
    for (OVERLAPPED &one : overlapped) {
        DWORD bytes = 0;
        CHECK(GetOverlappedResult(file.handle(), &one, &bytes, TRUE) != FALSE);
    }
    file.close();
    CHECK(client.counters_at_rest().balanced(true));
}

/// A teardown takes one out of the middle of the due heap: what moves into its place is due before what stood above it, and must still come first.
TEST(what_moves_in_the_due_heap_is_not_late) {
    struct Hold {
        const char16_t *name;
        uint32_t delay_ms;
        uint64_t took_100ns;
    };
    constexpr uint64_t ms_100ns = 10'000;
    // In the order of the heap's array: the children of 0 are 1 and 2, of 1 they are 3 and 4.
    Hold holds[] = {{u"D:\\a", 1'000, 0},  {u"D:\\b", 50'000, 0}, {u"D:\\c", 2'000, 0}, {u"C:\\d", 60'000, 0},
                    {u"D:\\e", 70'000, 0}, {u"D:\\f", 3'000, 0},  {u"D:\\g", 4'000, 0}, {u"D:\\h", 90'000, 0}};
    TestWorld world(FLTSIM_EXECUTOR_FIBERS, FLTSIM_CLOCK_VIRTUAL);
    set_parameter(world, u"MaxDelayMs", 100'000);
    load_and_attach({u"D:", u"C:"});
    const Client client;
    std::vector<Rule> rules;
    for (const Hold &hold : holds) {
        rules.push_back(pend_renames(hold.delay_ms, hold.name + 2));
        rules.back().flags = MINIPEND_RULE_BOOT_VOLUME;
    }
    take(client, rules, 0);
    inside(world, [&](fltsim::World &here) {
        const fltsim::KernelCall call("spawn");
        std::atomic<size_t> left = std::size(holds);
        const auto start = [&](Hold &hold) {
            here.spawn("renamer", here.client_process(), [&] {
                const std::u16string name = hold.name;
                const File file = File::create(name);
                const uint64_t begin = here.interrupt_time_100ns();
                CHECK_EQ(file.rename(name + u"2"), 0u);
                hold.took_100ns = here.interrupt_time_100ns() - begin;
                const fltsim::KernelCall done("KeSetEvent");
                --left;
                here.wake(&left);
            });
            here.block(&hold, [] { return false; }, here.interrupt_time_100ns() + 10 * ms_100ns); // it is parked
        };
        std::for_each(std::begin(holds), std::end(holds) - 1, start);
        CHECK_EQ(FilterDetach(u"minipend", u"C:", nullptr), S_OK);
        start(std::end(holds)[-1]); // keeps what moved from being the last, which is looked at anew
        here.block(&left, [&] { return left == 0; });
    });
    for (const Hold &hold : holds) {
        if (hold.name[0] == u'D') {
            CHECK(hold.took_100ns >= hold.delay_ms * ms_100ns);
            CHECK(hold.took_100ns <= (hold.delay_ms + 100) * ms_100ns);
        }
    }
    CHECK(client.counters_at_rest().balanced(true));
}

} // namespace MINIPEND_TEST_FILE
