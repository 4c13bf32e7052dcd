// SPDX-License-Identifier: MIT
//
// This module provides: one held operation, and everything that can give it back at the same time: its client's release, its deadline, its client's
// disconnect, its instance's teardown. One world a seed, inside the model and on its virtual clock, so that a seed that fails replays.
//
// MINIPEND_RACE_SEEDS says how many seeds; MINIPEND_RACE_FIRST_SEED begins elsewhere, to replay one. Whoever is first, the operation is given back exactly once: the model
// stops on a second time, on a lost operation, and on what is left at unload.

#include <array>
#include <cstdlib>
#include <numeric>

#include "gates.hpp"
#include "inside.hpp"

using namespace spine;

namespace {

constexpr uint64_t DEFAULT_SEEDS = 300;
/// Everything begins at one of a few moments, the deadline's among them: so the actors meet, and the scheduler has the choice.
constexpr uint64_t STEP_MICROSECONDS = 500;
constexpr uint64_t REQUESTOR_STEPS = 2;
constexpr uint64_t OTHER_STEPS = 5;
constexpr uint32_t DEADLINE_MS = 1;

using Causes = std::array<uint64_t, MINIPEND_RELEASE_CAUSE_COUNT>;

uint64_t from_environment(const char *name, uint64_t otherwise) {
    const char *text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void nap(fltsim::World &world, uint64_t microseconds) {
    const fltsim::KernelCall call("KeDelayExecutionThread");
    const uint64_t end = world.interrupt_time_100ns() + microseconds * 10;
    world.block(&world, [] { return false; }, end);
}

/// Simulated threads that begin at a moment of their own.
class Actors {
  public:
    explicit Actors(fltsim::World &world) : world_(world) {}
    void add(const char *name, uint64_t steps, std::function<void()> act) {
        const fltsim::KernelCall call("spawn");
        const uint64_t start = world_.random(steps) * STEP_MICROSECONDS;
        ++running_;
        world_.spawn(name, world_.client_process(), [this, start, act = std::move(act)] {
            nap(world_, start);
            act();
            const fltsim::KernelCall end("end");
            if (--running_ == 0) {
                world_.wake(this);
            }
        });
    }
    void join() {
        const fltsim::KernelCall call("KeWaitForSingleObject");
        world_.block(this, [this] { return running_ == 0; });
    }

  private:
    fltsim::World &world_;
    std::atomic<int> running_{0};
};

void race(fltsim::World &world, Causes &won) {
    load_and_attach({u"D:"});
    const Client watcher;
    CHECK_EQ(watcher
                 .subscribe((1u << MINIPEND_EVENT_KIND_COMPLETED) | (1u << MINIPEND_EVENT_KIND_REFUSED),
                            MINIPEND_SUBSCRIBE_ALL_CLIENTS)
                 .Header.Status,
             STATUS_SUCCESS);
    Client holder;
    take(holder, {gate(u"", GATE_ID, DEADLINE_MS)});
    const Client releaser;
    const File file = File::create(u"D:\\a");
    Actors actors(world);
    actors.add("requestor", REQUESTOR_STEPS, [&] { CHECK_EQ(file.rename(u"D:\\b"), 0u); });
    actors.add("releaser", OTHER_STEPS, [&] {
        const MINIPEND_RELEASE_REPLY reply = releaser.release_all(0, MINIPEND_RELEASE_FORCE);
        CHECK_EQ(reply.Header.Status, STATUS_SUCCESS);
        CHECK(reply.Released <= 1);
    });
    actors.add("detacher", OTHER_STEPS, [] { CHECK_EQ(FilterDetach(u"minipend", u"D:", nullptr), S_OK); });
    actors.add("leaver", OTHER_STEPS, [&] { holder.close(); });
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
    CHECK_EQ(completed, renames.Completed);
    CHECK(exists(u"D:\\b"));
}

} // namespace

TEST(all_that_can_give_it_back_at_once) {
    const uint64_t first = from_environment("MINIPEND_RACE_FIRST_SEED", 1);
    const uint64_t seeds = from_environment("MINIPEND_RACE_SEEDS", DEFAULT_SEEDS);
    const int failures = check::failures();
    Causes won{};
    for (uint64_t seed = first; seed < first + seeds && (check::failures() == failures); ++seed) {
        {
            TestWorld world(FLTSIM_EXECUTOR_FIBERS, FLTSIM_CLOCK_VIRTUAL, seed);
            inside(world, [&](fltsim::World &here) { race(here, won); });
        }
        if (check::failures() != failures) {
            std::fprintf(stderr, "seed %llu: MINIPEND_RACE_FIRST_SEED=%llu MINIPEND_RACE_SEEDS=1 replays it\n",
                         static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
        }
    }
    if (seeds >= DEFAULT_SEEDS) {
        // It is no race unless each has won one.
        for (const MINIPEND_RELEASE_CAUSE cause :
             {MINIPEND_RELEASE_CAUSE_FORCED, MINIPEND_RELEASE_CAUSE_DEADLINE, MINIPEND_RELEASE_CAUSE_DISCONNECT,
              MINIPEND_RELEASE_CAUSE_TEARDOWN}) {
            CHECK(won.at(cause) > 0);
        }
    }
    std::printf("  %llu seeds, given back by: forced %llu, deadline %llu, disconnect %llu, teardown %llu\n",
                static_cast<unsigned long long>(seeds),
                static_cast<unsigned long long>(won[MINIPEND_RELEASE_CAUSE_FORCED]),
                static_cast<unsigned long long>(won[MINIPEND_RELEASE_CAUSE_DEADLINE]),
                static_cast<unsigned long long>(won[MINIPEND_RELEASE_CAUSE_DISCONNECT]),
                static_cast<unsigned long long>(won[MINIPEND_RELEASE_CAUSE_TEARDOWN]));
}
