// SPDX-License-Identifier: MIT
//
// This module provides: what an executor does for the world. Two exist: fibers (fiber_scheduler.hpp: one host thread, deterministic on a
// virtual clock) and threads (thread_scheduler.hpp: real threads, for ThreadSanitizer and load).
//
// Ownership of threads: an executor holds one reference on every live Thread and drops it when the thread has ended.
#pragma once

#include <atomic>
#include <memory>

#include "core/world.hpp"

namespace fltsim {

/// Uniform numbers from a seed (splitmix64). Thread safe; the same seed and the same order of draws give the same numbers.
class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t next() {
        // Not one atomic step: two threads of the wall clock may draw the same number, and fibers have one thread.
        uint64_t z = state_.load(std::memory_order_relaxed) + 0x9E3779B97F4A7C15u;
        state_.store(z, std::memory_order_relaxed);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }
    void seed(uint64_t seed) { state_ = seed; }
    /// Below `bound` (1 or more).
    uint64_t below(uint64_t bound) {
        return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
    }

  private:
    std::atomic<uint64_t> state_;
};

/// Processors of a world, at most.
inline constexpr uint32_t MAX_PROCESSORS = 64;

class Scheduler {
  public:
    virtual ~Scheduler() = default;

    /// Nothing runs before start() (threads may be spawned before it).
    virtual void start() = 0;
    virtual Thread *spawn(std::string name, Process *process, std::function<void()> main, bool daemon) = 0;
    virtual bool block(const void *channel, const std::function<bool()> &pred,
                       std::optional<uint64_t> deadline_100ns) = 0;
    virtual void spin_wait(const void *channel, const std::function<bool()> &pred) = 0;
    virtual void wake(const void *channel) = 0;
    virtual void yield() = 0;
    virtual void queue_dpc(std::function<void()> dpc, uint64_t due_100ns) = 0;
    virtual void at(uint64_t due_100ns, std::function<void()> fn) = 0;
    virtual bool host_call(const std::function<void()> &fn, bool even_when_closing) = 0;
    virtual uint32_t current_processor() = 0;
    virtual Thread *reference_thread(uint64_t id) = 0;
    virtual std::vector<Thread *> reference_threads(const Process &process) = 0;
    virtual uint64_t interrupt_time_100ns() = 0;

    /// The model lock.
    virtual void lock() = 0;
    virtual void unlock() = 0;

    /// A bugcheck was recorded: the world stops here.
    [[noreturn]] virtual void halt() = 0;
    /// No new host calls.
    virtual void close_door() = 0;
    /// Ends every thread. False when real threads would not leave and the world's memory must stay.
    virtual bool end() = 0;
    /// Threads that exist, for a report: "name (id 8): waits on 0x1234 until 500".
    virtual std::vector<std::string> describe_threads() = 0;
};

std::unique_ptr<Scheduler> make_fiber_scheduler(World &world);
std::unique_ptr<Scheduler> make_thread_scheduler(World &world);

/// Makes `thread` (null: none) of `world` the calling host thread's execution context.
void set_context(World *world, Thread *thread);
/// Whether the calling host thread has a context.
bool has_context();

/// RAII: a context for model code that runs on a host thread outside any executor (making and freeing a world).
class ContextScope {
  public:
    ContextScope(World *world, Thread *thread);
    ~ContextScope();
    ContextScope(const ContextScope &) = delete;
    ContextScope &operator=(const ContextScope &) = delete;

  private:
    World *world_before_;
    Thread *thread_before_;
};

/// Monotonic time since `zero_ns`, on the scale of interrupt time, which starts at one second so that 0 is never a real time.
inline constexpr uint64_t FIRST_INTERRUPT_TIME_100NS = 10'000'000;
uint64_t monotonic_ns();

} // namespace fltsim
