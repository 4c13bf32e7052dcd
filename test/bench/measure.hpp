// SPDX-License-Identifier: MIT
//
// This module provides: what the native benchmarks share: samples of wall and CPU time, worlds with or without the driver, simulated threads
// inside a world, and the lines of JSON that bench.mjs reads.
//
// Invariant: what is timed runs in simulated threads of the world, so no call in it crosses from one host thread to another.
#pragma once

#include <ctime>

#include <atomic>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "../native/spine/gated_reads.hpp"
#include "../native/spine/inside.hpp"
#include "../native/spine/spine.hpp"

namespace bench {

using namespace spine;

inline uint64_t clock_ns(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

/// One repetition.
struct Sample {
    uint64_t operations = 0;
    uint64_t wall_ns = 0;
    uint64_t cpu_ns = 0; ///< of the whole process
};

/// Times `body`, which did `operations` operations.
template <class Body> Sample timed(uint64_t operations, Body &&body) {
    const uint64_t wall = clock_ns(CLOCK_MONOTONIC);
    const uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    body();
    return {operations, clock_ns(CLOCK_MONOTONIC) - wall, clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu};
}

/// What all suites are told on the command line.
struct Plan {
    uint32_t executor = FLTSIM_EXECUTOR_FIBERS;
    uint32_t repetitions = 5;
    uint32_t operations = 20'000; ///< of one repetition
    bool quick = false; ///< small sizes: does it work, not what does it cost
    std::string only_form; ///< of the suite "forms": those whose name has this in it
    std::string only_filter; ///< of the suite "forms": this one alone; empty: all
    bool wants_filter(std::string_view filter) const { return only_filter.empty() || only_filter == filter; }
    uint32_t clock() const { return executor == FLTSIM_EXECUTOR_FIBERS ? FLTSIM_CLOCK_VIRTUAL : FLTSIM_CLOCK_WALL; }
    const char *executor_name() const { return executor == FLTSIM_EXECUTOR_FIBERS ? "fibers" : "threads"; }
};

/// One line of JSON: the dimensions as "name":"value" text, then the samples.
inline void print_samples(const Plan &plan, const std::string &dimensions, const std::vector<Sample> &samples) {
    std::printf("{%s,\"executor\":\"%s\",\"samples\":[", dimensions.c_str(), plan.executor_name());
    for (size_t i = 0; i < samples.size(); ++i) {
        std::printf("%s{\"operations\":%" PRIu64 ",\"wallNs\":%" PRIu64 ",\"cpuNs\":%" PRIu64 "}", i == 0 ? "" : ",",
                    samples[i].operations, samples[i].wall_ns, samples[i].cpu_ns);
    }
    std::printf("]}\n");
    std::fflush(stdout);
}

/// Runs `body(index)` in `count` simulated threads of the client process and waits for their end.
inline void run_threads(const TestWorld &world, uint32_t count, const std::function<void(uint32_t)> &body) {
    inside(world, [&](fltsim::World &here) {
        const fltsim::KernelCall call("bench");
        uint32_t running = count;
        for (uint32_t index = 0; index < count; ++index) {
            here.spawn("bench " + std::to_string(index), here.client_process(), [&, index] {
                body(index);
                const fltsim::KernelCall done("bench");
                --running;
                here.wake(&running);
            });
        }
        need(here.block(&running, [&running] { return running == 0; }), "the world ended under the benchmark");
    });
}

/// A world with a machine that is fast enough not to matter: non-cached requests take one microsecond of its clock.
class World {
  public:
    explicit World(const Plan &plan, bool driver) : test(plan.executor, plan.clock()) {
        FltSimSetStorageDelay(test.number(), 1);
        if (driver) {
            GatedReads::allow(test);
            load_and_attach({u"D:"});
        }
        FltSimSelectWorld(0);
    }
    /// Names are looked up in the selected world.
    void select() const { FltSimSelectWorld(test.number()); }
    TestWorld test;
};

inline Rule rule(MINIPEND_OPERATION operation, uint32_t action, std::u16string path = u"") {
    Rule made;
    made.operations = bit(operation);
    made.action = action;
    made.path = std::move(path);
    made.flags = action == MINIPEND_ACTION_PEND ? MINIPEND_RULE_FAST_IO_TO_IRP : 0;
    return made;
}

// One function for each suite; each prints its lines.
void forms_suite(const Plan &plan);
void rules_suite(const Plan &plan);
void held_suite(const Plan &plan);
void clients_suite(const Plan &plan);
void memory_suite(const Plan &plan);
void worlds_suite(const Plan &plan);

/// A form of operation: `open` makes what one simulated thread needs, `run` does one call.
struct Form {
    const char *name;
    MINIPEND_OPERATION operation; ///< that rules of this form name
    DWORD open_flags;
    std::function<void(HANDLE file, const char16_t *path, uint32_t count)> run; ///< `count` calls
};
const std::vector<Form> &forms();
/// `operations` calls of the form, divided among four simulated threads, each with a file of its own.
Sample run_form(const World &world, const Form &form, uint32_t operations);

} // namespace bench
