// SPDX-License-Identifier: MIT
//
// This module provides: the suites "memory" (bytes for each held operation, the driver's pool and the model's own apart) and "worlds" (what making and
// ending a world costs, with and without the driver in it).

#include <malloc.h>

#include "ke/pool.hpp"
#include "measure.hpp"

namespace bench {

namespace {

struct Memory {
    uint64_t pool = 0; ///< what the driver asked the pool for
    uint64_t heap = 0; ///< the process's
};

Memory memory_of(const World &world) {
    Memory memory;
    inside(world.test, [&](fltsim::World &) {
        const fltsim::KernelCall call("bench");
        memory.pool = fltsim::pool::live_bytes();
    });
#if defined(__GLIBC__)
    const struct mallinfo2 info = mallinfo2();
    memory.heap = info.uordblks + info.hblkhd;
#endif
    return memory;
}

} // namespace

void memory_suite(const Plan &plan) {
#if defined(__GLIBC__)
    mallopt(M_ARENA_MAX, 1); // mallinfo2 looks at the first arena only
#endif
    for (const uint32_t count : {1'000u, 16'384u}) {
        const World world(plan, true);
        world.select();
        const Client client;
        {
            GatedReads first(world.test, client, 100); // what is made once is made
            first.release();
        }
        const Memory before = memory_of(world);
        GatedReads held(world.test, client, count);
        const Memory with = memory_of(world);
        // The buffer and the OVERLAPPED are the caller's.
        const uint64_t callers = count * sizeof(GatedReads::Read);
        std::printf("{\"suite\":\"memory\",\"held\":%u,\"executor\":\"%s\",\"driverPoolBytes\":%.0f,"
                    "\"modelBytes\":%.0f}\n",
                    count, plan.executor_name(), static_cast<double>(with.pool - before.pool) / count,
                    static_cast<double>(with.heap - before.heap - (with.pool - before.pool) - callers) / count);
        std::fflush(stdout);
        held.release();
    }
}

void worlds_suite(const Plan &plan) {
    struct Kind {
        const char *name;
        bool driver;
        std::vector<Sample> samples;
    };
    Kind kinds[] = {{"empty", false, {}}, {"with the driver on D:", true, {}}};
    const uint32_t worlds = plan.quick ? 3 : 50;
    for (uint32_t repetition = 0; repetition < plan.repetitions; ++repetition) {
        for (Kind &kind : kinds) {
            kind.samples.push_back(timed(worlds, [&] {
                for (uint32_t i = 0; i < worlds; ++i) {
                    const World world(plan, kind.driver);
                }
            }));
        }
    }
    for (const Kind &kind : kinds) {
        print_samples(plan, std::string("\"suite\":\"worlds\",\"world\":\"") + kind.name + "\"", kind.samples);
    }
}

} // namespace bench
