// SPDX-License-Identifier: MIT
//
// This module provides: the fiber executor. One host thread (the loop) runs all simulated threads as fibers.
//
// Processors. A fiber at IRQL >= DISPATCH_LEVEL is pinned to its processor: nobody else runs there until it lowers the IRQL, but at a
// scheduling point another processor's fiber may go on. Below DISPATCH_LEVEL a fiber that is not running has no claim on a processor. A DPC
// takes an unpinned processor, on top of the thread that was there, which waits (interrupted) until the DPC is done.
//
// Determinism. With a virtual clock every choice is a draw from the world's generator, and everything the draw depends on is a function of
// the draws before it: host calls are let in only when nothing is ready to run.
//
// Invariants: all members are touched by the loop's host thread only (fibers included), except those marked [door], which door_->mutex
// guards. A Ready thread is in ready_, or it is a processor's `pinned`, or its `interrupted`; never in two of them.
#pragma once

#include <deque>
#include <map>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/fiber.hpp"
#include "core/host_door.hpp"
#include "core/schedule.hpp"
#include "core/scheduler.hpp"
#include "core/thread_impl.hpp"

namespace fltsim {

class FiberScheduler final : public Scheduler {
  public:
    explicit FiberScheduler(World &world);
    ~FiberScheduler() override;

    void start() override;
    Thread *spawn(std::string name, Process *process, std::function<void()> main, bool daemon) override;
    bool block(const void *channel, const std::function<bool()> &pred, std::optional<uint64_t> deadline_100ns) override;
    void spin_wait(const void *channel, const std::function<bool()> &pred) override;
    void wake(const void *channel) override;
    void yield() override;
    void queue_dpc(std::function<void()> dpc, uint64_t due_100ns) override;
    void at(uint64_t due_100ns, std::function<void()> fn) override;
    bool host_call(const std::function<void()> &fn, bool even_when_closing) override;
    uint32_t current_processor() override;
    Thread *reference_thread(uint64_t id) override;
    std::vector<Thread *> reference_threads(const Process &process) override;
    uint64_t interrupt_time_100ns() override;
    void lock() override {}
    void unlock() override {}
    [[noreturn]] void halt() override;
    void close_door() override;
    bool end() override;
    std::vector<std::string> describe_threads() override;

  private:
    using State = Thread::Impl::State;

    struct Processor {
        Thread *current = nullptr; ///< what ran here last and has not gone elsewhere
        Thread *pinned = nullptr; ///< at DISPATCH_LEVEL or above, not running just now
        Thread *interrupted = nullptr; ///< below the DPC that is pinned here
    };

    // fiber_scheduler.cpp: on a simulated thread
    Thread *make_thread(std::string name, Process *process, bool daemon);
    void thread_main(Thread &thread);
    void host_main(Thread &thread, HostRecord &record);
    void dpc_main(Thread &thread);
    void clock_main();
    void run_guarded(Thread &thread, const std::function<void()> &fn, const char *what);
    /// Gives the host thread back to the loop; returns when the loop runs this thread again.
    void switch_out(Thread &thread, State state);
    /// False when nothing can be waited for: the loop does not run (yet, or any more).
    bool in_loop() const;
    /// Nobody else could run now.
    bool quiet();
    void enter_loop();
    void exit_loop();
    void wait_on(Thread &thread, State state, const void *channel, std::optional<uint64_t> deadline_100ns);
    void make_ready(Thread &thread);
    void forget_deadline(Thread &thread);

    // fiber_loop.cpp: on the loop
    void loop();
    bool step();
    void accept_host_calls();
    void expire_deadlines(uint64_t now_100ns);
    bool run_one(uint64_t now_100ns);
    void run(Thread &thread, uint32_t processor);
    void resume(Thread &thread);
    void start_dpc(uint32_t processor);
    uint32_t pick_unpinned();
    void after_run(Thread &thread, uint32_t processor);
    void finish_host_call(Thread &thread);
    void run_clock_job(std::function<void()> job);
    /// Nothing is ready. Moves the clock, sleeps, or finds that nothing will ever be. False: the loop is over.
    bool idle();
    std::optional<uint64_t> next_due() const;
    void report_stuck(const char *rule, const char *what);
    void leave_loop();

    // fiber_choice.cpp: what runs next when a Schedule decides
    bool inline_host_call(const std::function<void()> &fn, bool even_when_closing);
    void run_inline(const HostRecord *record);
    void scheduled_yield();
    bool run_scheduled(uint64_t now_100ns);
    void collect_options(Thread *running, uint64_t now_100ns);
    uint32_t processor_for(const Thread &thread);
    void start_scheduled(const ScheduleOption &option);

    World &world_;
    std::shared_ptr<HostDoor> door_;
    std::thread host_;
    std::unique_ptr<Fiber> loop_fiber_;
    bool halted_ = false;
    uint64_t zero_ns_ = 0; ///< wall clock
    uint64_t virtual_now_100ns_ = FIRST_INTERRUPT_TIME_100NS;
    uint64_t virtual_limit_100ns_ = 0;
    uint64_t steps_ = 0;
    /// Virtual clock: host calls are let in then even when the world is busy. Not at the first step: whether a call is there by then is chance.
    uint64_t next_accept_step_ = 100'000;
    uint64_t next_id_ = 0;

    std::vector<Processor> processors_;
    std::vector<Thread *> ready_;
    std::vector<Thread *> all_; ///< every thread that has not ended; one reference each
    std::unordered_map<const void *, std::vector<Thread *>> waiters_;
    std::multimap<uint64_t, Thread *> deadlines_;
    std::multimap<uint64_t, std::function<void()>> timers_;
    std::multimap<uint64_t, std::function<void()>> dpcs_;
    std::vector<Thread *> idle_dpc_contexts_;
    std::unordered_map<Thread *, std::function<void()>> dpc_of_;
    std::unordered_map<Thread *, std::shared_ptr<HostRecord>> host_of_;
    Thread *clock_ = nullptr; ///< runs what is due, on no processor
    Thread *idle_thread_ = nullptr; ///< what a DPC interrupts on an idle processor
    std::function<void()> clock_job_;
    std::vector<ScheduleOption> options_; ///< of the choice that is being made
    std::optional<ScheduleOption> decided_; ///< by a yield, for the loop
    Thread *left_ = nullptr; ///< who ran last and is not ready
    uint32_t outstanding_calls_ = 0;
    uint64_t ending_steps_ = 0;
    bool ending_seen_ = false;

    std::condition_variable loop_wanted_; // [door]
    std::deque<std::shared_ptr<HostRecord>> calls_; // [door]
    std::vector<std::shared_ptr<HostRecord>> ended_hosts_; // [door]
    bool end_wanted_ = false; // [door]
    std::atomic<bool> attention_{false}; ///< something of [door] wants the loop
};

} // namespace fltsim
