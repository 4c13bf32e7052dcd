// SPDX-License-Identifier: MIT
//
// This module provides: one held operation and everything that can give it back at the same time (test/explore/give_back.hpp), one world a seed, inside the model
// and on its virtual clock, so that a seed that fails replays. And rules that are replaced while operations are refused.
//
// Whoever is first, the operation is given back exactly once: the model stops on a second time, on a lost operation, and on what is left at unload.

#include <map>

#include "../../explore/give_back.hpp"

namespace MINIPEND_TEST_FILE {

using namespace spine;

namespace {

constexpr MINIPEND_RELEASE_CAUSE RACERS[] = {MINIPEND_RELEASE_CAUSE_CLIENT, MINIPEND_RELEASE_CAUSE_FORCED,
                                             MINIPEND_RELEASE_CAUSE_DEADLINE, MINIPEND_RELEASE_CAUSE_DISCONNECT,
                                             MINIPEND_RELEASE_CAUSE_TEARDOWN};

void race_with_seeds(uint32_t action, const Seeds &seeds) {
    explore::GiveBack::Causes won{};
    seeds.play([&](fltsim::World &here) {
        explore::GiveBack scene(here, action);
        scene.set_up();
        scene.play();
        scene.check();
        for (size_t cause = 0; cause < won.size(); ++cause) {
            won.at(cause) += scene.won.at(cause);
        }
    });
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

} // namespace MINIPEND_TEST_FILE
