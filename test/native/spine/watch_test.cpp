// SPDX-License-Identifier: MIT
//
// This module provides: scenarios of terminating threads: what they wait for is given back, though nothing cancels it and no port is closed [CANC-06a].

#include "inside.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

/// A rename on a thread whose id is known before it is held.
struct Renaming {
    std::atomic<uint32_t> thread_id{0};
    std::future<void> done;

    Renaming(const TestWorld &world, std::u16string from, std::u16string to) {
        done = world.start([this, from = std::move(from), to = std::move(to)] {
            thread_id = GetCurrentThreadId();
            File::create(from).rename(to);
        });
    }
};

void terminate(const TestWorld &world, uint32_t thread_id) {
    CHECK_EQ(FltSimTerminateThread(world.number(), thread_id), 0);
}

/// The cause of the first completed event.
uint32_t first_cause(const Client &client) {
    uint32_t cause = MINIPEND_RELEASE_CAUSE_COUNT;
    CHECK(eventually([&] {
        for (const MINIPEND_EVENT &event : client.pull(0).events) {
            if (event.Kind == MINIPEND_EVENT_KIND_COMPLETED) {
                cause = event.Cause;
                return true;
            }
        }
        return false;
    }));
    return cause;
}

Rule synchronized_gate() {
    Rule rule = gate_rule(RENAMES, LONG_MS);
    rule.action = MINIPEND_ACTION_SYNCHRONIZE;
    return rule;
}

} // namespace

/// One thread's end releases what it waits for, pended or synchronised, and nothing else.
SPINE_TEST(a_terminating_thread_gets_its_operation_back) {
    for (const bool synchronized_hold : {false, true}) {
        TestWorld world(executor);
        load_and_attach({u"D:"});
        const Client client;
        client.subscribe();
        CHECK_EQ(client.set_rules({synchronized_hold ? synchronized_gate() : gate_rule(RENAMES, LONG_MS)}, 1).Status,
                 STATUS_SUCCESS);
        Renaming dies(world, u"D:\\a", u"D:\\b");
        Renaming lives(world, u"D:\\c", u"D:\\d");
        client.held(2);
        terminate(world, dies.thread_id);
        dies.done.get();
        CHECK_EQ(first_cause(client), MINIPEND_RELEASE_CAUSE_THREAD);
        const HeldList list = client.list_held();
        CHECK_EQ(list.entries.size(), 1u);
        CHECK_EQ(list.entries.at(0).Seen.ThreadId, lives.thread_id.load());
        CHECK_EQ(client.release_all().Released, 1u);
        lives.done.get();
        const Counters counters = client.counters_at_rest();
        CHECK(counters.balanced(true));
        CHECK_EQ(counters.head().HeldNow, 0u);
    }
}

/// A thread that the client named at hello: everything that is the client's goes, what is another's stays.
SPINE_TEST(a_client_whose_thread_terminates_loses_what_it_holds) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client watcher;
    watcher.subscribe((1u << MINIPEND_EVENT_KIND_COUNT) - 1, MINIPEND_SUBSCRIBE_ALL_CLIENTS);
    std::promise<uint32_t> named;
    std::promise<void> end;
    auto naming = world.start([&] {
        // The thread must be one of the world's to be named.
        CHECK(!exists(u"D:\\nothing"));
        named.set_value(GetCurrentThreadId());
        end.get_future().get();
    });
    const uint32_t thread_id = named.get_future().get();
    const Client client(thread_id);
    CHECK_EQ(client.set_rules({gate_rule(RENAMES, LONG_MS, u"\\a")}, 1).Status, STATUS_SUCCESS);
    CHECK_EQ(watcher.set_rules({gate_rule(RENAMES, LONG_MS, u"\\c")}, 1).Status, STATUS_SUCCESS);
    Renaming mine(world, u"D:\\a", u"D:\\b");
    Renaming others(world, u"D:\\c", u"D:\\d");
    watcher.held(2);
    terminate(world, thread_id);
    mine.done.get();
    CHECK_EQ(first_cause(watcher), MINIPEND_RELEASE_CAUSE_CLIENT_THREAD);
    CHECK_EQ(watcher.list_held().entries.size(), 1u);
    CHECK_EQ(watcher.release_all().Released, 1u);
    others.done.get();
    end.set_value();
    naming.get();
    CHECK(watcher.counters_at_rest().balanced(true));
}

/// Its rules hold the operation that its own thread waits for, so that it never gets to close its port; then it is killed. Nothing but its thread says so.
SPINE_TEST(a_client_that_waits_in_its_own_hold_is_killed) {
    for (const bool synchronized_hold : {false, true}) {
        TestWorld world(executor);
        load_and_attach({u"D:"});
        const Client watcher;
        watcher.subscribe((1u << MINIPEND_EVENT_KIND_COUNT) - 1, MINIPEND_SUBSCRIBE_ALL_CLIENTS);
        std::atomic<uint32_t> thread_id{0};
        auto whole_client = world.start([&] {
            thread_id = GetCurrentThreadId();
            const Client client;
            CHECK_EQ(
                client.set_rules({synchronized_hold ? synchronized_gate() : gate_rule(RENAMES, LONG_MS)}, 1).Status,
                STATUS_SUCCESS);
            File::create(u"D:\\a").rename(u"D:\\b");
        });
        watcher.held(1);
        terminate(world, thread_id);
        whole_client.get();
        CHECK_EQ(first_cause(watcher), MINIPEND_RELEASE_CAUSE_THREAD);
        const Counters counters = watcher.counters_at_rest();
        CHECK(counters.balanced(true));
        CHECK_EQ(counters.head().HeldNow, 0u);
    }
}

} // namespace MINIPEND_TEST_FILE
