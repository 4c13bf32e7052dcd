// SPDX-License-Identifier: MIT
//
// This module provides: scenarios in which a filter above or below the driver makes a moment last: a teardown, a disconnect, a give-back.

#include "inside.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

std::future<DWORD> rename_later(const TestWorld &world, std::u16string from, std::u16string to) {
    return world.start([from = std::move(from), to = std::move(to)] { return File::open(from).rename(to); });
}

/// A filter below that keeps renames of files whose name ends in `last` until the gate opens.
void keep_below(Neighbour &below, Gate &gate, char16_t last) {
    below.driver.pre = [&gate, last](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS objects, PVOID *) {
        const UNICODE_STRING &name = objects->FileObject->FileName;
        if (is_rename(data) && name.Length != 0 && name.Buffer[name.Length / sizeof(WCHAR) - 1] == last) {
            CHECK(gate.pass());
        }
        return FLT_PREOP_SUCCESS_NO_CALLBACK;
    };
}

void make_files() {
    CHECK(File::create(u"D:\\a").is_open());
    CHECK(File::create(u"D:\\b").is_open());
}

} // namespace

/// The give-back of the first rename runs the post-operation of the filter above, which waits for the second one: its hold must end
/// all the same.
SPINE_TEST(a_give_back_that_waits_for_another_hold_gets_it) {
    TestWorld world(executor);
    Gate second_done;
    set_parameter(world, u"MaxReleaseThreads", 2); // none comes to help
    load_and_attach({u"D:"});
    make_files();
    {
        Neighbour above(world, u"above", ABOVE);
        std::atomic<int> renames{0};
        std::atomic<bool> passed{false};
        above.driver.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
            if (is_rename(data)) {
                if (renames++ == 0) {
                    passed = second_done.pass();
                } else {
                    second_done.open_here();
                }
            }
            return FLT_POSTOP_FINISHED_PROCESSING;
        };
        const Client client;
        CHECK_EQ(client.set_rules({pend_renames(600, u"\\a"), pend_renames(1'200, u"\\b")}).Status, STATUS_SUCCESS);
        auto first = rename_later(world, u"D:\\a", u"D:\\c");
        CHECK(eventually([&] { return client.counters().head().HeldNow == 1; }));
        auto second = rename_later(world, u"D:\\b", u"D:\\d");
        CHECK_EQ(second.get(), 0u);
        CHECK_EQ(first.get(), 0u);
        CHECK(passed);
        CHECK(client.counters_at_rest().balanced(true));
    }
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

/// TeardownStart gives the first rename back; while the filter above keeps it there, the second one comes up and is to be pended.
SPINE_TEST(a_post_operation_during_teardown_start_is_refused) {
    TestWorld world(executor);
    Gate below_gate;
    Gate second_done;
    load_and_attach({u"D:"});
    make_files();
    {
        Neighbour below(world, u"below", BELOW);
        keep_below(below, below_gate, u'b');
        {
            Neighbour above(world, u"above", ABOVE);
            std::atomic<int> renames{0};
            above.driver.post = [&](PFLT_CALLBACK_DATA data, PCFLT_RELATED_OBJECTS, PVOID, FLT_POST_OPERATION_FLAGS) {
                if (is_rename(data)) {
                    if (renames++ == 0) {
                        CHECK(second_done.pass());
                    } else {
                        second_done.open_here();
                    }
                }
                return FLT_POSTOP_FINISHED_PROCESSING;
            };
            const Client client;
            CHECK_EQ(client.set_rules({pend_renames(LONG_MS)}).Status, STATUS_SUCCESS);
            auto first = rename_later(world, u"D:\\a", u"D:\\c");
            client.held(1); // parked: TeardownStart gives it back itself
            auto second = rename_later(world, u"D:\\b", u"D:\\d");
            CHECK(eventually([&] { return below_gate.waiting == 1; }));
            auto detaching = world.start([] { return FilterDetach(u"minipend", u"D:", nullptr); });
            CHECK(eventually([&] { return second_done.waiting == 1; }));
            CHECK_EQ(client.counters().instance(1).Flags, static_cast<uint32_t>(MINIPEND_INSTANCE_TEARING_DOWN));
            below_gate.open(world);
            CHECK_EQ(second.get(), 0u);
            CHECK_EQ(first.get(), 0u);
            CHECK_EQ(detaching.get(), S_OK);
            const Counters counters = client.counters_at_rest();
            CHECK(counters.balanced(true));
            const auto sum = counters.of(0, MINIPEND_OPERATION_RENAME);
            CHECK_EQ(sum.Completed, 1u);
            CHECK_EQ(sum.Refused[MINIPEND_REFUSAL_TEARING_DOWN], 1u);
            CHECK_EQ(counters.head().UnexpectedRefusals, 0u);
        }
    }
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

/// A detach while operations are below drains each once; draining goes before every other cause, and an operation that no rule wanted pended
/// is no refusal.
SPINE_TEST(draining_goes_before_what_the_pre_operation_found) {
    struct Case {
        uint32_t action;
        bool client_thread; ///< excluded by policy
        uint64_t refused;
        uint64_t draining;
    };
    for (const Case one : {Case{MINIPEND_ACTION_PEND, false, 1, 0}, Case{MINIPEND_ACTION_PEND, true, 1, 0},
                           Case{MINIPEND_ACTION_OBSERVE, false, 0, 1}, Case{0, false, 0, 1}}) {
        TestWorld world(executor);
        Gate gate;
        load_and_attach({u"D:"});
        make_files();
        {
            Neighbour below(world, u"below", BELOW);
            keep_below(below, gate, u'b');
            const Client watcher;
            auto renaming = world.start([&] {
                Rule rule = pend_renames(0);
                rule.action = one.action;
                const Client client(one.client_thread ? GetCurrentThreadId() : 0);
                CHECK_EQ(client.set_rules(one.action == 0 ? std::vector<Rule>{} : std::vector<Rule>{rule}).Status,
                         STATUS_SUCCESS);
                CHECK_EQ(File::open(u"D:\\b").rename(u"D:\\d"), 0u);
            });
            CHECK(eventually([&] { return gate.waiting == 1; }));
            CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK);
            gate.open(world);
            renaming.get();
            const Counters counters = watcher.counters_at_rest();
            CHECK(counters.balanced(true));
            const auto sum = counters.of(0, MINIPEND_OPERATION_RENAME);
            CHECK_EQ(sum.PostOperations, 1u);
            CHECK_EQ(sum.Refused[MINIPEND_REFUSAL_DRAINING], one.refused);
            CHECK_EQ(sum.Draining, one.draining);
        }
        CHECK_EQ(FilterUnload(u"minipend"), S_OK);
    }
}

/// The client leaves while its operation is below: the rule had matched, so it is pended, and given back at once.
SPINE_TEST(an_operation_that_comes_up_after_its_client_left_is_not_held) {
    TestWorld world(executor);
    Gate gate;
    load_and_attach({u"D:"});
    make_files();
    {
        Neighbour below(world, u"below", BELOW);
        keep_below(below, gate, u'b');
        const Client watcher;
        Client client;
        CHECK_EQ(client.set_rules({pend_renames(LONG_MS)}).Status, STATUS_SUCCESS);
        auto renaming = rename_later(world, u"D:\\b", u"D:\\d");
        CHECK(eventually([&] { return gate.waiting == 1; }));
        client.close();
        const auto start = Clock::now();
        gate.open(world);
        CHECK_EQ(renaming.get(), 0u);
        CHECK(elapsedMs(start) < LONG_MS / 2);
        const Counters counters = watcher.counters_at_rest();
        CHECK(counters.balanced(true));
        CHECK_EQ(counters.total(MINIPEND_OPERATION_RENAME).Completed, 1u);
    }
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

/// What a rule says is copied when it matches: a change of the rules while the operation is below changes nothing for it.
SPINE_TEST(an_operation_keeps_the_rule_that_it_matched) {
    TestWorld world(executor);
    Gate gate;
    load_and_attach({u"D:"});
    make_files();
    {
        Neighbour below(world, u"below", BELOW);
        keep_below(below, gate, u'b');
        const Client client;
        CHECK_EQ(client.set_rules({pend_renames(1)}).Status, STATUS_SUCCESS);
        auto renaming = rename_later(world, u"D:\\b", u"D:\\d");
        CHECK(eventually([&] { return gate.waiting == 1; }));
        CHECK_EQ(client.set_rules({}).Status, STATUS_SUCCESS);
        gate.open(world);
        CHECK_EQ(renaming.get(), 0u);
        CHECK_EQ(client.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Completed, 1u);
    }
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

} // namespace MINIPEND_TEST_FILE
