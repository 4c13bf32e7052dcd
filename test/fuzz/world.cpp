// SPDX-License-Identifier: MIT
//
// This module provides: world.hpp.

#include "world.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "core/handles.hpp"
#include "coverage.hpp"
#include "workload.hpp"

namespace check {

std::atomic<int> &failures() {
    static std::atomic<int> count{0};
    return count;
}

void failed(const char *file, int line, const std::string &text) {
    fuzz::finding(std::string(file) + ":" + std::to_string(line) + ": " + text);
}

} // namespace check

namespace fuzz {

namespace {

const spine::TestWorld *g_world; ///< of the input that runs

constexpr uint32_t INPUTS_OF_A_WORLD = 200;
constexpr uint64_t REST_STEP_MICROSECONDS = 1000;
constexpr int REST_STEPS = 1000;

} // namespace

void finding(const std::string &what) {
    std::fprintf(stderr, "finding: %s\n", what.c_str());
    if (g_world != nullptr && g_world->number() != 0) {
        std::fprintf(stderr, "%s\n", g_world->report().c_str());
    }
    std::abort();
}

void run_inside(const spine::TestWorld &world, const std::function<void(fltsim::World &)> &body) {
    const auto here = fltsim::world_by_number(world.number());
    g_world = &world;
    if (!here->host_call([&] { body(*here); })) {
        finding("the world stopped");
    }
}

void nap(fltsim::World &world, uint64_t microseconds) {
    constexpr uint64_t PER_MICROSECOND_100NS = 10;
    const fltsim::KernelCall call("KeDelayExecutionThread");
    const uint64_t end = world.interrupt_time_100ns() + microseconds * PER_MICROSECOND_100NS;
    world.block(&world, [] { return false; }, end);
}

void SharedWorld::run(const std::function<void(fltsim::World &)> &body) {
    if (world_ == nullptr || inputs_ == INPUTS_OF_A_WORLD) {
        world_.reset();
        forget_requests();
        inputs_ = 0;
        world_ = std::make_unique<spine::TestWorld>(FLTSIM_EXECUTOR_FIBERS, FLTSIM_CLOCK_VIRTUAL);
        run_inside(*world_, [](fltsim::World &) { spine::load_and_attach({u"D:"}); });
    }
    ++inputs_;
    run_inside(*world_, body);
    collect_coverage();
}

void check_at_rest(fltsim::World &world, const spine::Client &watcher) {
    for (int step = 0; step < REST_STEPS && !watcher.counters().balanced(true); ++step) {
        nap(world, REST_STEP_MICROSECONDS);
    }
    const spine::Counters counters = watcher.counters();
    require(counters.balanced(false), "pended == completed + inFlight does not hold");
    require(counters.balanced(true), "the counters do not balance at rest");
    require(counters.head().HeldNow == 0, "an operation is still held");
    require(counters.head().ConnectionCount == 1, "a connection is still there");
}

} // namespace fuzz
