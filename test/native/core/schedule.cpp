// SPDX-License-Identifier: MIT
//
// This module provides: tests of schedules and of the ways to choose them, with threads that are only counted, and with a world.

#include <algorithm>
#include <set>

#include "../../explore/shrink.hpp"
#include "core/strategies.hpp"
#include "world_fixture.hpp"

namespace MINIPEND_TEST_FILE {

using namespace fltsim;

namespace {

/// Two threads of so many steps, without a world. After each step there is a choice, when both can go on.
class Toy {
  public:
    Toy(uint32_t first, uint32_t second) : steps_{first, second} {
        constexpr uint64_t FIRST_ID = 0x100;
        for (uint64_t i = 0; i < 2; ++i) {
            threads_[i].id = FIRST_ID + 4 * i;
            threads_[i].name = i == 0 ? "A" : "B";
        }
    }
    /// "AABB": who made which step.
    std::string play(Schedule &schedule) {
        uint32_t left[2] = {steps_[0], steps_[1]};
        std::string order;
        int running = -1;
        schedule.begin(0);
        schedule.active = true;
        while (left[0] + left[1] != 0) {
            std::vector<ScheduleOption> options;
            const bool goes_on = running >= 0 && left[running] != 0;
            if (goes_on) {
                options.push_back({ScheduleOption::Kind::Thread, &threads_[running]});
            }
            for (int i = 0; i < 2; ++i) {
                if (left[i] != 0 && !(goes_on && i == running)) {
                    options.push_back({ScheduleOption::Kind::Thread, &threads_[i]});
                }
            }
            const size_t chosen =
                options.size() == 1 ? 0 : schedule.decide(options, running < 0 ? nullptr : &threads_[running], goes_on);
            running = options[chosen].thread == threads_ ? 0 : 1;
            --left[running];
            order += running == 0 ? 'A' : 'B';
        }
        return order;
    }

  private:
    Thread threads_[2];
    uint32_t steps_[2];
};

using Bound = ExhaustiveSchedule::Bound;

std::multiset<std::string> all_of(Toy &toy, uint32_t most, Bound of = Bound::Preemptions, uint32_t walker = 0,
                                  uint32_t walkers = 1) {
    std::multiset<std::string> orders;
    ExhaustiveSchedule schedule;
    schedule.start(most, of, walker, walkers);
    while (schedule.next()) {
        const std::string order = toy.play(schedule);
        if (schedule.is_new()) {
            orders.insert(order);
        }
    }
    CHECK_EQ(schedule.complete(), static_cast<int>(most));
    return orders;
}

bool are_different(const std::multiset<std::string> &orders) {
    return std::set<std::string>(orders.begin(), orders.end()).size() == orders.size();
}

} // namespace

TEST(exhaustive_plays_every_order_once) {
    Toy toy(2, 2);
    CHECK(all_of(toy, 0) == (std::multiset<std::string>{"AABB", "BBAA"}));
    CHECK(all_of(toy, 1) == (std::multiset<std::string>{"AABB", "ABBA", "BAAB", "BBAA"}));
    CHECK_EQ(all_of(toy, 2).size(), 6u); // 4! / (2! 2!): there are no more
    CHECK_EQ(all_of(toy, 9).size(), 6u);
    Toy larger(5, 4);
    const auto all = all_of(larger, 8);
    CHECK_EQ(all.size(), 126u); // 9! / (5! 4!)
    CHECK(are_different(all));
}

TEST(exhaustive_with_a_bound_on_delays) {
    Toy toy(2, 2);
    CHECK(all_of(toy, 0, Bound::Delays) == (std::multiset<std::string>{"AABB"}));
    CHECK(all_of(toy, 1, Bound::Delays) == (std::multiset<std::string>{"AABB", "ABBA", "BBAA"}));
    CHECK(all_of(toy, 2, Bound::Delays) == (std::multiset<std::string>{"AABB", "ABAB", "ABBA", "BAAB", "BBAA"}));
    CHECK_EQ(all_of(toy, 3, Bound::Delays).size(), 6u);
}

TEST(walkers_share_an_exhaustive_search) {
    Toy toy(4, 4);
    for (const Bound of : {Bound::Preemptions, Bound::Delays}) {
        for (const uint32_t most : {1u, 3u}) {
            std::multiset<std::string> together;
            for (uint32_t walker = 0; walker < 3; ++walker) {
                together.merge(all_of(toy, most, of, walker, 3));
            }
            CHECK(together == all_of(toy, most, of));
        }
    }
}

TEST(pct_finds_what_takes_two_moments) {
    Toy toy(20, 20);
    // All of B between two steps of A.
    const std::string wanted = std::string(10, 'A') + std::string(20, 'B') + std::string(10, 'A');
    const auto found = [&](uint32_t depth) {
        uint32_t count = 0;
        PctSchedule schedule;
        for (uint64_t seed = 0; seed < 2'000; ++seed) {
            schedule.seed(seed, depth, 20);
            count += toy.play(schedule) == wanted ? 1 : 0;
        }
        return count;
    };
    CHECK_EQ(found(1), 0u); // without a change of priorities nobody is preempted
    CHECK(found(2) > 0);
}

TEST(seeds_and_decisions_replay) {
    Toy toy(30, 30);
    RandomSchedule random;
    PctSchedule pct;
    ReplaySchedule again;
    std::set<std::string> orders;
    for (uint64_t seed = 0; seed < 50; ++seed) {
        random.seed(seed);
        const std::string order = toy.play(random);
        orders.insert(order);
        random.seed(seed);
        CHECK(toy.play(random) == order);
        again.decisions(random.deviations());
        CHECK(toy.play(again) == order);
        CHECK(std::ranges::equal(again.deviations(), random.deviations()));
        pct.seed(seed, 3, 60);
        const std::string by_priority = toy.play(pct);
        again.decisions(pct.deviations());
        CHECK(toy.play(again) == by_priority);
    }
    CHECK(orders.size() > 40);
    again.decisions({});
    CHECK(toy.play(again) == std::string(30, 'A') + std::string(30, 'B'));
}

TEST(decisions_as_text) {
    std::vector<Deviation> read;
    CHECK(deviations_of("12:1,57:2", &read));
    CHECK(read == (std::vector<Deviation>{{12, 1}, {57, 2}}));
    CHECK_EQ(text_of(read), std::string("12:1,57:2"));
    CHECK(deviations_of("", &read) && read.empty());
    for (const char *wrong : {"12", "12:", ":1", "12:0", "12:1,", "12:1,11:1", "12:1,12:2", "a:1", "12:1 "}) {
        CHECK(!deviations_of(wrong, &read));
    }
}

TEST(shrinking_leaves_what_is_needed) {
    std::vector<Deviation> all;
    for (uint32_t point = 0; point < 60; ++point) {
        all.push_back({point, 1});
    }
    uint32_t tries = 0;
    const auto has = [](const std::vector<Deviation> &list, uint32_t point) {
        return std::ranges::find(list, point, &Deviation::point) != list.end();
    };
    const auto shrunk = explore::shrink(all, [&](const std::vector<Deviation> &list) {
        ++tries;
        return has(list, 7) && has(list, 41);
    });
    CHECK(shrunk == (std::vector<Deviation>{{7, 1}, {41, 1}}));
    CHECK(tries < 200);
    CHECK(explore::shrink(all, [](const auto &) { return true; }).empty());
}

namespace {

/// Two threads add one to a number, with a kernel call between reading and writing. What is left in the end.
int lost_update(Schedule &schedule, std::vector<std::string> *order = nullptr) {
    WorldOptions options = check::virtual_world();
    options.inline_loop = true;
    World world(std::move(options));
    world.schedule = &schedule;
    CHECK(world.host_call([&] { // the world's own threads come to their waits: their order is not looked at
        const KernelCall call("KeDelayExecutionThread");
        world.block(&world, [] { return false; }, world.interrupt_time_100ns() + 10);
    }));
    schedule.begin(0);
    schedule.active = true;
    int number = 0;
    int running = 2;
    CHECK(world.host_call([&] {
        for (const char *name : {"one", "two"}) {
            const KernelCall call("spawn");
            world.spawn(name, nullptr, [&, name] {
                const int seen = number;
                {
                    const KernelCall between("KeQueryInterruptTime");
                }
                if (order != nullptr) {
                    order->emplace_back(name);
                }
                number = seen + 1;
                const KernelCall end("end");
                --running;
                world.wake(&running);
            });
        }
        const KernelCall call("KeWaitForSingleObject");
        world.block(&running, [&] { return running == 0; });
    }));
    schedule.active = false;
    return number;
}

} // namespace

TEST(a_lost_update_is_found_in_a_world) {
    ReplaySchedule replay;
    CHECK_EQ(lost_update(replay), 2);
    ExhaustiveSchedule exhaustive;
    exhaustive.start(0);
    while (exhaustive.next()) {
        CHECK_EQ(lost_update(exhaustive), 2); // it takes a preemption
    }
    exhaustive.start(1);
    std::vector<Deviation> failing;
    std::vector<std::string> order;
    while (failing.empty() && exhaustive.next()) {
        order.clear();
        if (lost_update(exhaustive, &order) != 2) {
            failing.assign(exhaustive.deviations().begin(), exhaustive.deviations().end());
        }
    }
    REQUIRE(!failing.empty());
    replay.decisions(failing);
    replay.noting = true;
    std::vector<std::string> again;
    CHECK_EQ(lost_update(replay, &again), 1);
    CHECK(again == order);
    const auto shrunk = explore::shrink(failing, [&](const std::vector<Deviation> &list) {
        replay.decisions(list);
        return lost_update(replay) == 1;
    });
    CHECK_EQ(shrunk.size(), 1u);
    replay.decisions(shrunk);
    CHECK_EQ(lost_update(replay), 1);
    REQUIRE(replay.notes().size() == 1);
    const DecisionNote &note = replay.notes()[0];
    CHECK(note.running && std::string(note.call) == "KeQueryInterruptTime");
    CHECK(std::string(note.from).starts_with("one ") && std::string(note.to).starts_with("two "));
}

} // namespace MINIPEND_TEST_FILE
