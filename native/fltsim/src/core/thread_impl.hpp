// SPDX-License-Identifier: MIT
//
// This module provides: the executors' part of a Thread. Only core/ includes it.
//
// States under the fiber executor (the thread executor uses Ready and Ended only, the host's own scheduler does the rest):
//
//      Ready -> Running -> Ready                   yield
//                       -> Blocked -> Ready        block, woken by channel or deadline
//                       -> Spinning -> Ready       spin_wait, keeps its processor
//                       -> Idle -> Ready           a host thread between two calls, a DPC context between two DPCs
//                       -> Ended
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <thread>

#include "core/fiber.hpp"
#include "core/world.hpp"

namespace fltsim {

struct Thread::Impl {
    enum class State { Ready, Running, Blocked, Spinning, Idle, Ended };

    std::atomic<uint32_t> references{1};
    std::function<void()> main;
    State state = State::Ready;
    const void *channel = nullptr; ///< what Blocked and Spinning wait for
    std::optional<uint64_t> deadline_100ns;
    uint32_t waits_while_ending = 0;

    // fiber executor
    std::unique_ptr<Fiber> fiber;
    uint32_t processor = 0;
    bool in_deadlines = false;
    std::multimap<uint64_t, Thread *>::iterator deadline_position;

    // thread executor
    std::condition_variable woken;
    std::thread host;
};

/// Once per this many waits in an ending world a daemon thread that does not leave is given up.
inline constexpr uint32_t WAITS_WHILE_ENDING = 100;

/// Whether `object` is a Thread (of any world) whose memory is still valid.
bool is_live_thread(const void *object);
/// executing(); without a context, says that `api` was called outside a world and ends the process.
Thread &executing_for(const char *api);

const char *state_name(Thread::Impl::State state);
/// One line for a report: name, id, IRQL, state, channel, deadline.
std::string describe(const Thread &thread);

} // namespace fltsim
