// SPDX-License-Identifier: MIT
//
// This module provides: scenarios of a client whose process is killed [SEQ-24]: by TerminateProcess, which closes its handles once its threads have nothing on
// their way any more. While a message of its runs: killed_test.cpp.

#include "../other_process.hpp"
#include "gates.hpp"
#include "inside.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr uint32_t ALL_EVENTS = (1u << MINIPEND_EVENT_KIND_COUNT) - 1;

/// Nobody but `watcher` is connected, no rule is in force, nothing is held.
void check_nothing_is_left(const Client &watcher, const OtherProcess &killed) {
    CHECK(eventually([&] { return killed.ended(); }));
    CHECK(eventually([&] { return watcher.counters().head().ConnectionCount == 1; }));
    const Counters counters = watcher.counters_at_rest();
    CHECK(counters.balanced(true));
    CHECK_EQ(counters.head().HeldNow, 0u);
    const uint64_t unmatched = counters.total(MINIPEND_OPERATION_RENAME).Unmatched;
    CHECK_EQ(File::create(u"D:\\after").rename(u"D:\\after2"), 0u);
    CHECK_EQ(watcher.counters_at_rest().total(MINIPEND_OPERATION_RENAME).Unmatched, unmatched + 1);
}

Rule gate_of(uint32_t action) {
    Rule rule = gate_rule(RENAMES, LONG_MS);
    rule.action = action;
    return rule;
}

constexpr uint32_t HOLDING[] = {MINIPEND_ACTION_PEND, MINIPEND_ACTION_SYNCHRONIZE};

} // namespace

/// What it holds is others': the end of its handles is a disconnect.
SPINE_TEST(a_killed_process_gives_back_what_it_holds) {
    for (const uint32_t action : HOLDING) {
        TestWorld world(executor);
        load_and_attach({u"D:"});
        const Client watcher;
        watcher.subscribe(ALL_EVENTS, MINIPEND_SUBSCRIBE_ALL_CLIENTS);
        const OtherProcess killed(world);
        std::unique_ptr<Client> client;
        killed.run([&] {
            client = std::make_unique<Client>();
            CHECK_EQ(client->set_rules({gate_of(action)}, 1).Status, STATUS_SUCCESS);
        });
        auto renaming = world.start([] { return File::create(u"D:\\a").rename(u"D:\\b"); });
        watcher.held(1);
        killed.terminate();
        CHECK_EQ(renaming.get(), 0u);
        CHECK(causes(watcher, 1) == std::vector<uint32_t>{MINIPEND_RELEASE_CAUSE_DISCONNECT});
        check_nothing_is_left(watcher, killed);
    }
}

/// Its own thread waits in what it holds: its handles are not closed before that has come back, and nothing cancels it [CANC-06a].
SPINE_TEST(a_killed_process_that_waits_in_its_own_hold) {
    for (const uint32_t action : HOLDING) {
        TestWorld world(executor);
        load_and_attach({u"D:"});
        const Client watcher;
        watcher.subscribe(ALL_EVENTS, MINIPEND_SUBSCRIBE_ALL_CLIENTS);
        const OtherProcess killed(world);
        std::unique_ptr<Client> client; // its handle is the process's to close
        std::thread whole_client = killed.start([&] {
            client = std::make_unique<Client>();
            CHECK_EQ(client->set_rules({gate_of(action)}, 1).Status, STATUS_SUCCESS);
            File::create(u"D:\\a").rename(u"D:\\b");
        });
        watcher.held(1);
        CHECK(!killed.ended());
        killed.terminate();
        whole_client.join();
        CHECK(causes(watcher, 1) == std::vector<uint32_t>{MINIPEND_RELEASE_CAUSE_THREAD});
        check_nothing_is_left(watcher, killed);
    }
}

/// A killed requestor that is no client: its operation comes back, the holder's rules and its other operations stay.
SPINE_TEST(a_killed_requestor_gets_its_operation_back) {
    for (const uint32_t action : HOLDING) {
        TestWorld world(executor);
        load_and_attach({u"D:"});
        const Client client;
        client.subscribe();
        CHECK_EQ(client.set_rules({gate_of(action)}, 1).Status, STATUS_SUCCESS);
        const OtherProcess killed(world);
        std::thread requestor = killed.start([] { File::create(u"D:\\a").rename(u"D:\\b"); });
        auto other = world.start([] { return File::create(u"D:\\c").rename(u"D:\\d"); });
        client.held(2);
        killed.terminate();
        requestor.join();
        CHECK(causes(client, 1) == std::vector<uint32_t>{MINIPEND_RELEASE_CAUSE_THREAD});
        CHECK(eventually([&] { return killed.ended(); }));
        CHECK_EQ(client.list_held().entries.size(), 1u);
        CHECK_EQ(client.release_all().Released, 1u);
        CHECK_EQ(other.get(), 0u);
        CHECK(client.counters_at_rest().balanced(true));
    }
}

} // namespace MINIPEND_TEST_FILE
