// SPDX-License-Identifier: MIT
//
// This module provides: scenarios of the bell: rung once for each arming, for what comes after the answer, never lost while nobody listens, and never
// in anybody's way.

#include "bells.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr uint32_t TAKEN_ONLY = 1u << MINIPEND_EVENT_KIND_TAKEN;

void hold_renames(const Client &client, std::u16string path = u"") {
    CHECK_EQ(client.set_rules({gate_rule(bit(MINIPEND_OPERATION_RENAME), LONG_MS, std::move(path))}, 1).Status,
             STATUS_SUCCESS);
}

/// An operation that a gate holds; released at the latest with this.
class Held {
  public:
    Held(const TestWorld &world, const Client &client, std::u16string name)
        : client_(client), done_(world.start([name] { Renamer(name).rename(); })) {}
    ~Held() {
        CHECK(eventually([this] {
            client_.release_all();
            return done_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
        }));
    }
    Held(const Held &) = delete;
    Held &operator=(const Held &) = delete;

  private:
    const Client &client_;
    std::future<void> done_;
};

} // namespace

SPINE_TEST(an_armed_bell_rings_when_something_is_parked) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    hold_renames(client);
    BellCall call(client.port());
    CHECK_EQ(client.list_held(MINIPEND_LIST_HELD_ARM).entries.size(), 0u);
    const Held held(world, client, u"a");
    const MINIPEND_BELL bell = call.bell();
    CHECK_EQ(bell.Reasons, MINIPEND_BELL_HELD);
    CHECK_EQ(bell.Count, 1u);
    // The bell comes after the parking: what it speaks of is listed.
    CHECK_EQ(client.list_held().entries.size(), 1u);
}

/// Each reason is armed for itself, and an arming is used up by its bell.
SPINE_TEST(a_bell_that_is_not_armed_is_silent) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    hold_renames(client);
    CHECK_EQ(client.subscribe(TAKEN_ONLY).Header.Status, STATUS_SUCCESS);
    BellCall call(client.port());
    const Held one(world, client, u"a"); // nothing is armed
    client.held(1);
    CHECK_EQ(client.pull(0, MINIPEND_PULL_EVENTS_ARM).events.size(), 1u);
    const Held two(world, client, u"b"); // events are
    MINIPEND_BELL bell = call.bell();
    CHECK_EQ(bell.Reasons, MINIPEND_BELL_EVENTS);
    CHECK_EQ(bell.Count, 1u);
    client.held(2);
    BellCall next(client.port());
    CHECK_EQ(client.list_held(MINIPEND_LIST_HELD_ARM).entries.size(), 2u);
    const Held three(world, client, u"c"); // held operations are, events no more
    bell = next.bell();
    CHECK_EQ(bell.Reasons, MINIPEND_BELL_HELD);
    CHECK_EQ(bell.Count, 2u);
}

/// Of a rule that holds for nobody there is no held bell, and each client has its own.
SPINE_TEST(a_bell_is_for_its_client) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client one;
    const Client two;
    hold_renames(one, u"one*");
    hold_renames(two, u"two*");
    BellCall call_one(one.port());
    BellCall call_two(two.port());
    one.list_held(MINIPEND_LIST_HELD_ARM);
    two.list_held(MINIPEND_LIST_HELD_ARM);
    const Held a(world, one, u"one");
    CHECK_EQ(call_one.bell().Count, 1u);
    const Held b(world, two, u"two");
    CHECK_EQ(call_two.bell().Count, 1u);
}

/// What the answer shows needs no bell; the first thing after it rings, and not before it has happened.
SPINE_TEST(a_bell_tells_of_what_the_answer_does_not_show) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    const Client second; // after the first in the thread's order: when its bell has come, the first one's would have
    CHECK_EQ(client.set_rules({pend_renames(0, u"a*")}).Status, STATUS_SUCCESS);
    CHECK_EQ(client.subscribe(TAKEN_ONLY).Header.Status, STATUS_SUCCESS);
    hold_renames(second, u"second*");
    Renamer renamer(u"a");
    uint64_t last = 0;
    for (uint64_t round = 1; round <= 4; ++round) {
        renamer.rename();
        BellCall call(client.port());
        const Events got = client.pull(last, MINIPEND_PULL_EVENTS_ARM);
        last = got.events.back().Sequence;
        {
            BellCall other(second.port());
            second.list_held(MINIPEND_LIST_HELD_ARM);
            const Held held(world, second, u"second" + std::u16string(round, u'x'));
            CHECK_EQ(other.bell().Count, round);
        }
        CHECK(!call.ended());
        renamer.rename();
        CHECK_EQ(call.bell().Count, round);
        last = client.pull(last).events.back().Sequence;
    }
}

/// A reader that asks only when its bell has rung gets everything: no wake-up is lost, whatever comes while it asks.
SPINE_TEST(a_reader_can_rely_on_its_bell) {
    constexpr int threads = 3;
    constexpr int renames = 40;
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    CHECK_EQ(client.set_rules({pend_renames(0)}).Status, STATUS_SUCCESS);
    CHECK_EQ(client.subscribe(TAKEN_ONLY).Header.Status, STATUS_SUCCESS);
    std::vector<std::future<void>> makers;
    for (int t = 0; t < threads; ++t) {
        makers.push_back(world.start([t] { Renamer(std::u16string(t + 1, u'a')).rename(renames); }));
    }
    uint64_t last = 0;
    while (last < threads * renames) {
        BellCall call(client.port());
        const Events got = client.pull(last, MINIPEND_PULL_EVENTS_ARM, 5);
        if (got.events.empty()) {
            call.bell();
        } else {
            last = got.events.back().Sequence;
        }
    }
    for (auto &maker : makers) {
        maker.get();
    }
    CHECK_EQ(client.pull(last).events.size(), 0u);
}

/// A pull that fails changes nothing: what was armed, and has happened, still rings.
SPINE_TEST(a_bell_outlives_an_answer_that_fails) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    CHECK_EQ(client.set_rules({pend_renames(0)}).Status, STATUS_SUCCESS);
    CHECK_EQ(client.subscribe(TAKEN_ONLY).Header.Status, STATUS_SUCCESS);
    client.pull(0, MINIPEND_PULL_EVENTS_ARM);
    Renamer(u"a").rename(); // nobody listens yet
    MINIPEND_PULL_EVENTS_REQUEST request{};
    request.Header = {sizeof(request), MINIPEND_PROTOCOL_VERSION, MINIPEND_COMMAND_PULL_EVENTS, 1};
    request.Flags = MINIPEND_PULL_EVENTS_ARM;
    request.Acknowledge = 99;
    std::vector<uint64_t> message(sizeof(request) / 8);
    std::memcpy(message.data(), &request, sizeof(request));
    // Often enough to meet the bell both while it is being sent and while it waits to be tried again.
    for (int i = 0; i < 100; ++i) {
        std::vector<uint64_t> reply(64);
        CHECK_EQ(send_raw(client.port(), message, sizeof(request), &reply), S_OK);
        MINIPEND_REPLY_HEADER head{};
        std::memcpy(&head, reply.data(), sizeof(head));
        CHECK_EQ(head.Detail, static_cast<uint32_t>(MINIPEND_DETAIL_EVENT_CURSOR));
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
    BellCall call(client.port());
    CHECK_EQ(call.bell().Reasons, MINIPEND_BELL_EVENTS);
}

SPINE_TEST(a_bell_waits_for_a_client_that_does_not_listen) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client deaf;
    const Client client;
    hold_renames(deaf, u"deaf*");
    hold_renames(client, u"a*");
    deaf.list_held(MINIPEND_LIST_HELD_ARM);
    const Held unheard(world, deaf, u"deaf");
    deaf.held(1);
    // The one that does not listen is in nobody's way.
    for (uint64_t round = 1; round <= 3; ++round) {
        BellCall call(client.port());
        client.list_held(MINIPEND_LIST_HELD_ARM);
        const Held held(world, client, u"a" + std::u16string(round, u'x'));
        CHECK_EQ(call.bell().Count, round);
    }
    // And it hears it once it listens, once.
    BellCall late(deaf.port());
    CHECK_EQ(late.bell().Count, 1u);
    CHECK_EQ(late.answer, HRESULT_FROM_WIN32(ERROR_IO_PENDING));
}

/// A buffer that is too small ends the client's call; the bell is still there for the next one.
SPINE_TEST(a_bell_survives_a_buffer_that_is_too_small) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client client;
    hold_renames(client);
    client.list_held(MINIPEND_LIST_HELD_ARM);
    const Held held(world, client, u"a");
    FILTER_MESSAGE_HEADER header{};
    CHECK_EQ(FilterGetMessage(client.port(), &header, sizeof(header), nullptr),
             HRESULT_FROM_WIN32(ERROR_INSUFFICIENT_BUFFER));
    BellCall call(client.port());
    CHECK_EQ(call.bell().Reasons, MINIPEND_BELL_HELD);
}

SPINE_TEST(a_client_that_leaves_takes_its_bell_along) {
    TestWorld world(executor);
    load_and_attach({u"D:"});
    const Client watcher;
    for (int round = 0; round < 10; ++round) {
        const bool listens = round % 2 == 0;
        Client client;
        hold_renames(client);
        client.list_held(MINIPEND_LIST_HELD_ARM);
        std::optional<BellCall> call;
        auto rename = world.start([round] { Renamer(std::u16string(round + 1, u'a')).rename(); });
        client.held(1);
        if (listens) {
            call.emplace(client.port());
            if (round % 4 == 0) {
                CHECK_EQ(call->bell().Count, 1u);
                call.reset();
            }
        }
        client.close();
        rename.get(); // the disconnect has released it
        if (call) {
            call->error(); // it has ended, one way or the other
        }
    }
    CHECK_EQ(watcher.counters_at_rest().head().ConnectionCount, 1u);
}

/// Bells that nobody takes do not keep the driver from being unloaded.
SPINE_TEST(an_unload_does_not_wait_for_a_bell) {
    TestWorld world(executor);
    for (int round = 0; round < 3; ++round) {
        load_and_attach({u"D:"});
        const Client client;
        hold_renames(client);
        client.list_held(MINIPEND_LIST_HELD_ARM);
        auto rename = world.start([round] { Renamer(std::u16string(round + 1, u'a')).rename(); });
        client.held(1);
        CHECK_EQ(FilterUnload(u"minipend"), S_OK);
        rename.get();
    }
}

/// RefuseUnloadWhileHeld: an unload that asks is refused while something is held, and everything stays in service; one that does not ask goes on.
SPINE_TEST(an_unload_can_be_refused_while_something_is_held) {
    TestWorld world(executor);
    set_parameter(world, u"RefuseUnloadWhileHeld", 1);
    load_and_attach({u"D:"});
    const Client client;
    hold_renames(client);
    auto rename = world.start([] { Renamer(u"a").rename(); });
    client.held(1);
    CHECK_EQ(FilterUnload(u"minipend"), static_cast<HRESULT>(0x801F0010));
    BellCall call(client.port());
    client.list_held(MINIPEND_LIST_HELD_ARM);
    auto second = world.start([] { Renamer(u"b").rename(); });
    CHECK_EQ(call.bell().Reasons, MINIPEND_BELL_HELD);
    client.held(2);
    CHECK_EQ(client.release_all().Released, 2u);
    rename.get();
    second.get();
    client.counters_at_rest();
    auto third = world.start([] { Renamer(u"c").rename(); });
    client.held(1);
    int32_t status = -1;
    CHECK_EQ(FltSimStopService(world.number(), "minipend", &status), 0);
    CHECK_EQ(status, STATUS_SUCCESS);
    third.get();
    // At rest it agrees.
    load_and_attach({u"D:"});
    CHECK_EQ(FilterUnload(u"minipend"), S_OK);
}

} // namespace MINIPEND_TEST_FILE
