// SPDX-License-Identifier: MIT
//
// This module provides: one held operation, pended or synchronised, and everything that can give it back at the same time: its client's release, another
// client's by force, its deadline, its client's disconnect, its instance's teardown. One world a seed, inside the model and on its virtual clock, so that a seed
// that fails replays. And rules that are replaced while operations are refused.
//
// Whoever is first, the operation is given back exactly once: the model stops on a second time, on a lost operation, and on what is left at unload.

#include <array>
#include <map>

#include "actors.hpp"
#include "gates.hpp"

using namespace spine;

namespace {

/// Everything begins at one of a few moments, the deadline's among them: so the actors meet, and the scheduler has the choice.
constexpr uint64_t REQUESTOR_STEPS = 2;
constexpr uint64_t OTHER_STEPS = 5;
constexpr uint32_t DEADLINE_MS = 1;

using Causes = std::array<uint64_t, MINIPEND_RELEASE_CAUSE_COUNT>;

constexpr MINIPEND_RELEASE_CAUSE RACERS[] = {MINIPEND_RELEASE_CAUSE_CLIENT, MINIPEND_RELEASE_CAUSE_FORCED,
                                             MINIPEND_RELEASE_CAUSE_DEADLINE, MINIPEND_RELEASE_CAUSE_DISCONNECT,
                                             MINIPEND_RELEASE_CAUSE_TEARDOWN};

void race(fltsim::World &world, uint32_t action, Causes &won) {
    load_and_attach({u"D:"});
    const Client watcher;
    CHECK_EQ(watcher
                 .subscribe((1u << MINIPEND_EVENT_KIND_COMPLETED) | (1u << MINIPEND_EVENT_KIND_REFUSED),
                            MINIPEND_SUBSCRIBE_ALL_CLIENTS)
                 .Header.Status,
             STATUS_SUCCESS);
    const auto holder = Client::try_connect(); // its last message may be in vain
    need(holder != nullptr, "it connects");
    Rule rule = gate(u"", GATE_ID, DEADLINE_MS);
    rule.action = action;
    take(*holder, {rule});
    const Client releaser;
    const File file = File::create(u"D:\\a");
    Actors actors(world);
    actors.add("requestor", REQUESTOR_STEPS, [&] { CHECK_EQ(file.rename(u"D:\\b"), 0u); });
    actors.add("owner", OTHER_STEPS, [&] {
        const MINIPEND_RELEASE_REPLY reply = holder->release_all();
        CHECK(reply.Header.Status != STATUS_SUCCESS || reply.Released <= 1);
    });
    actors.add("releaser", OTHER_STEPS, [&] {
        const MINIPEND_RELEASE_REPLY reply = releaser.release_all(0, MINIPEND_RELEASE_FORCE);
        CHECK_EQ(reply.Header.Status, STATUS_SUCCESS);
        CHECK(reply.Released <= 1);
    });
    actors.add("detacher", OTHER_STEPS, [] { CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK); });
    actors.add("leaver", OTHER_STEPS, [&] { holder->close(); });
    actors.join();

    CHECK_EQ(watcher.list_held().reply.HeldNow, 0u);
    const Counters counters = watcher.counters();
    CHECK(counters.balanced(true));
    const MINIPEND_OPERATION_COUNTERS renames = counters.total(MINIPEND_OPERATION_RENAME);
    CHECK(renames.Pended <= 1);
    CHECK_EQ(renames.Completed, renames.Pended);
    uint64_t completed = 0;
    for (const MINIPEND_EVENT &event : watcher.pull(0).events) {
        if (event.Kind == MINIPEND_EVENT_KIND_COMPLETED) {
            ++completed;
            ++won.at(event.Cause);
        }
    }
    CHECK_EQ(completed, action == MINIPEND_ACTION_PEND ? renames.Completed : renames.Synchronized);
    CHECK(exists(u"D:\\b"));
}

void race_with_seeds(uint32_t action, const Seeds &seeds) {
    Causes won{};
    seeds.play([&](fltsim::World &here) { race(here, action, won); });
    std::printf(
        "  %llu seeds, given back by: client %llu, forced %llu, deadline %llu, disconnect %llu, teardown %llu\n",
        static_cast<unsigned long long>(seeds.count),
        static_cast<unsigned long long>(won[MINIPEND_RELEASE_CAUSE_CLIENT]),
        static_cast<unsigned long long>(won[MINIPEND_RELEASE_CAUSE_FORCED]),
        static_cast<unsigned long long>(won[MINIPEND_RELEASE_CAUSE_DEADLINE]),
        static_cast<unsigned long long>(won[MINIPEND_RELEASE_CAUSE_DISCONNECT]),
        static_cast<unsigned long long>(won[MINIPEND_RELEASE_CAUSE_TEARDOWN]));
    if (seeds.all()) {
        // It is no race unless each has won one.
        for (const MINIPEND_RELEASE_CAUSE cause : RACERS) {
            CHECK(won.at(cause) > 0);
        }
    }
}

/// Rules come and go while operations are refused without a record: the event names the rules that were matched, not those that came since.
void refuse_while_rules_change(fltsim::World &world) {
    constexpr uint32_t SETS = 8;
    constexpr uint32_t RENAMED = 8;
    load_and_attach({u"D:"});
    const Client client;
    client.subscribe(1u << MINIPEND_EVENT_KIND_REFUSED);
    std::map<uint64_t, uint32_t> rule_of_generation;
    const auto set = [&](uint32_t id) {
        Rule rule = pend_renames(0);
        rule.id = id;
        take(client, {rule}, 0);
        rule_of_generation[client.counters().head().RuleGeneration] = id;
    };
    set(1);
    const File file = File::create(u"D:\\a");
    CHECK_EQ(FltSimSetFault(world.number, "WdfMemoryCreateFromLookaside", 0, RENAMED), 0);
    Actors actors(world);
    actors.add("requestor", 1, [&] {
        for (uint32_t i = 0; i < RENAMED; ++i) {
            CHECK_EQ(file.rename(i % 2 == 0 ? u"D:\\b" : u"D:\\a"), 0u);
        }
    });
    actors.add("setter", 1, [&] {
        for (uint32_t id = 2; id < 2 + SETS; ++id) {
            set(id);
        }
    });
    actors.join();
    const Events refused = client.pull(0);
    CHECK_EQ(refused.events.size(), RENAMED);
    for (const MINIPEND_EVENT &event : refused.events) {
        CHECK_EQ(event.Cause, MINIPEND_REFUSAL_ALLOCATION);
        CHECK_EQ(rule_of_generation.at(event.RuleGeneration), event.RuleId);
    }
}

} // namespace

TEST(all_that_can_give_it_back_at_once) {
    race_with_seeds(MINIPEND_ACTION_PEND, Seeds());
}

TEST(all_that_can_end_a_synchronised_wait_at_once) {
    race_with_seeds(MINIPEND_ACTION_SYNCHRONIZE, Seeds(4));
}

TEST(a_refusal_names_the_rules_that_were_matched) {
    const Seeds seeds(3, 1'000);
    seeds.play(refuse_while_rules_change);
}
