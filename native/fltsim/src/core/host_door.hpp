// SPDX-License-Identifier: MIT
//
// This module provides: how host threads are known to a world. Each host thread that called in has one record per world (and with it one
// simulated thread, stable for the host thread's life); when the host thread ends, the world is told.
//
// Lock order: the door's mutex is a leaf under the thread executor's model lock, and the loop's own mutex under the fiber executor.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

#include "core/world.hpp"

namespace fltsim {

struct HostRecord {
    enum class State { Idle, Queued, Running, Done, Failed };
    Thread *thread = nullptr; ///< made at the first call, owned by the executor
    State state = State::Idle;
    const std::function<void()> *fn = nullptr;
    std::condition_variable changed;
};

class HostDoor : public std::enable_shared_from_this<HostDoor> {
  public:
    /// The calling host thread's record; made at its first call.
    std::shared_ptr<HostRecord> record_of_caller();

    std::mutex mutex;
    bool closed = false; ///< no new calls, except those that end the world
    bool finished = false; ///< nothing runs any more
    /// Runs with the mutex held when a host thread that has a record ends. Emptied when the executor goes.
    std::function<void(const std::shared_ptr<HostRecord> &)> on_host_ended;
};

} // namespace fltsim
