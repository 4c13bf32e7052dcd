// SPDX-License-Identifier: MIT
//
// This module provides: the events that user mode makes, as objects behind handles.
//
// Invariant: the state changes under the model lock; who waits does so on the channel `this`.
#pragma once

#include <optional>

#include "core/ddk.hpp"
#include "core/handles.hpp"

#include <fltsim_user.h>

namespace fltsim::user {

/// Interrupt time (100 ns) at which a wait that starts now ends; nothing for INFINITE. Inside a world.
std::optional<uint64_t> deadline_after(uint32_t timeoutMs);

/// World::block for user-mode waits, which nothing else ends in a world that ends or a thread that is terminated: returns then too, and enter()
/// says so.
bool wait_for(World &world, const void *channel, const std::function<bool()> &pred,
              std::optional<uint64_t> deadline_100ns);

/// hEvent's lowest bit only says "no completion port"; it is not part of the handle.
inline HANDLE event_handle(const OVERLAPPED &overlapped) {
    return reinterpret_cast<HANDLE>(reinterpret_cast<uintptr_t>(overlapped.hEvent) & ~uintptr_t{1});
}

class Event final : public Object {
  public:
    Event(bool manual_reset, bool set) : manual_reset_(manual_reset), set_(set) {}
    const char *type_name() const override { return "event"; }
    void signal() override;
    bool signalled() const override { return set_; }
    void reset() { set_ = false; }
    /// Waits until it is set, and takes the signal when it resets by itself. False: the deadline (interrupt time) passed.
    bool wait(std::optional<uint64_t> deadline_100ns) {
        return wait(deadline_100ns, [] { return false; });
    }
    /// The same, ended by `interrupted` too. False: it is not set.
    bool wait(std::optional<uint64_t> deadline_100ns, const std::function<bool()> &interrupted);

    /// For kernel mode: nothing but the deadline ends the wait.
    bool take(std::optional<uint64_t> deadline_100ns);

  private:
    bool try_take();
    const bool manual_reset_;
    bool set_;
};

/// A thread that user mode has opened, or waits for.
class ThreadHandle final : public Object {
  public:
    /// Takes over one reference.
    explicit ThreadHandle(Thread *thread) : thread_(thread) {}
    ~ThreadHandle() override { thread_->dereference(); }
    ThreadHandle(const ThreadHandle &) = delete;
    ThreadHandle &operator=(const ThreadHandle &) = delete;
    const char *type_name() const override { return "thread"; }
    bool signalled() const override { return thread_->ended; }
    Thread *thread() const { return thread_; }

  private:
    Thread *thread_;
};

} // namespace fltsim::user
