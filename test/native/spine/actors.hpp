// SPDX-License-Identifier: MIT
//
// This module provides: scenes inside a world on its virtual clock: simulated threads that begin at moments drawn from the world's seed, so that a seed that
// fails replays; and how many seeds a scene is played with.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "inside.hpp"

namespace spine {

/// MINIPEND_RACE_SEEDS and MINIPEND_RACE_FIRST_SEED say how many seeds and which; a scene that costs more is played with one in `share`, `most` of them at most.
struct Seeds {
    static constexpr uint64_t DEFAULT = 300;
    uint64_t first;
    uint64_t count;

    explicit Seeds(uint64_t share = 1, uint64_t most = UINT64_MAX)
        : first(number("MINIPEND_RACE_FIRST_SEED", 1)),
          count(std::clamp<uint64_t>(number("MINIPEND_RACE_SEEDS", DEFAULT) / share, 1, most)) {}
    bool all() const { return count >= DEFAULT; } ///< enough to expect that everything happens once

    /// Plays `scene(world)` in a world for each seed, until one fails.
    template <class F> void play(F &&scene) const {
        const int failures = check::failures();
        for (uint64_t seed = first; seed < first + count && check::failures() == failures; ++seed) {
            {
                TestWorld world(FLTSIM_EXECUTOR_FIBERS, FLTSIM_CLOCK_VIRTUAL, seed);
                inside(world, scene);
            }
            if (check::failures() != failures) {
                const auto shown = static_cast<unsigned long long>(seed);
                std::fprintf(stderr, "seed %llu: MINIPEND_RACE_FIRST_SEED=%llu MINIPEND_RACE_SEEDS=1 replays it\n",
                             shown, shown);
            }
        }
    }

  private:
    static uint64_t number(const char *name, uint64_t otherwise) {
        const char *text = std::getenv(name);
        return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
    }
};

/// In a simulated thread, outside the model lock.
inline void nap(fltsim::World &world, uint64_t microseconds) {
    const fltsim::KernelCall call("KeDelayExecutionThread");
    const uint64_t end = world.interrupt_time_100ns() + microseconds * 10;
    world.block(&world, [] { return false; }, end);
}

/// In a simulated thread: polls until `done`, for a minute of the world's clock at most. Returns its last answer.
template <class F> bool until(fltsim::World &world, F &&done) {
    constexpr int POLLS = 60'000;
    constexpr uint64_t POLL_MICROSECONDS = 1'000;
    for (int i = 0; i < POLLS; ++i) {
        if (done()) {
            return true;
        }
        nap(world, POLL_MICROSECONDS);
    }
    return done();
}

/// Simulated threads that begin at a moment of their own.
class Actors {
  public:
    static constexpr uint64_t STEP_MICROSECONDS = 500;

    /// `together`: all begin at once, and who goes first is the scheduler's choice alone.
    explicit Actors(fltsim::World &world, bool together = false) : world_(world), together_(together) {}
    /// `steps`: at one of so many moments, the first of them at once. A thread of `process`, by default the client process.
    void add(const char *name, uint64_t steps, std::function<void()> act, fltsim::Process *process = nullptr) {
        const fltsim::KernelCall call("spawn");
        const uint64_t start = together_ ? 0 : world_.random(steps) * STEP_MICROSECONDS;
        ++running_;
        world_.spawn(name, process != nullptr ? process : world_.client_process(), [this, start, act = std::move(act)] {
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
    bool together_;
    std::atomic<int> running_{0};
};

} // namespace spine
