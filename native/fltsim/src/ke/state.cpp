// SPDX-License-Identifier: MIT
#include "ke/state.hpp"

#include "ke/pool.hpp"
#include "ke/trace.hpp"

namespace fltsim::ke {

WorldState::WorldState() : pool(std::make_unique<pool::Pool>()), trace(std::make_unique<Trace>()) {}
WorldState::~WorldState() = default;

WorldState &world_state() {
    World &w = world();
    if (!w.ke_state) {
        w.ke_state = std::make_shared<WorldState>();
    }
    return *static_cast<WorldState *>(w.ke_state.get());
}

void check_special_apcs(const char *api) {
    if (thread_state(executing()).guarded_regions != 0) {
        bugcheck("GUARDED REGION around a file service", api,
                 "special kernel APCs are disabled: no file operation of the thread would end");
    }
}

ThreadState &thread_state(Thread &thread) {
    if (!thread.ke_state) {
        thread.ke_state = std::make_shared<ThreadState>();
    }
    return *static_cast<ThreadState *>(thread.ke_state.get());
}

} // namespace fltsim::ke
