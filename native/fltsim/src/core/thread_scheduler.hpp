// SPDX-License-Identifier: MIT
//
// This module provides: the thread executor. Every simulated thread is a real one, the model lock a mutex; wall clock only. It is for
// ThreadSanitizer and for load. A broken rule prints the report and aborts the process: real threads cannot be stopped in the middle.
//
// Limit under ThreadSanitizer: the model lock orders everything that two driver threads do before and after their kernel calls, as
// far as the lock's own order goes. A race between two driver threads is seen only when no pair of model calls happens to order the
// two accesses. (Telling the sanitizer to ignore the lock would make it report the model's own state instead.) The fiber executor with
// instrumented loads and stores is the tool for the rest.
//
// Invariants: model_ guards all members but those of the door. A DPC runs on the host thread of its processor; processors are not
// otherwise exclusive here.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "core/host_door.hpp"
#include "core/scheduler.hpp"
#include "core/thread_impl.hpp"

namespace fltsim {

class ThreadScheduler final : public Scheduler {
  public:
    explicit ThreadScheduler(World &world);
    ~ThreadScheduler() override;

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
    void lock() override { model_.lock(); }
    void unlock() override { model_.unlock(); }
    [[noreturn]] void halt() override;
    void close_door() override;
    bool end() override;
    std::vector<std::string> describe_threads() override;

  private:
    struct Processor {
        Thread *context = nullptr; ///< its DPCs run as this
        std::deque<std::function<void()>> dpcs;
        std::condition_variable wanted;
        std::thread host;
    };

    Thread *make_thread(std::string name, Process *process, bool daemon);
    void thread_main(Thread &thread);
    void clock_main();
    void dpc_main(Processor &processor);
    void host_ended(const std::shared_ptr<HostRecord> &record);
    /// Waits on the thread's own condition variable, in the channel's list. Model lock held.
    void wait_once(Thread &thread, Thread::Impl::State state, const void *channel,
                   std::optional<uint64_t> deadline_100ns);
    std::chrono::steady_clock::time_point time_point(uint64_t interrupt_time_100ns) const;

    World &world_;
    std::shared_ptr<HostDoor> door_;
    std::chrono::steady_clock::time_point zero_;
    std::mutex model_;
    std::condition_variable started_changed_;
    bool started_ = false;
    bool stopping_ = false; ///< the clock and the processors shall leave
    bool ended_ = false;
    uint64_t next_id_ = 0;
    uint32_t calls_inside_ = 0;
    std::condition_variable somebody_left_;
    std::vector<Thread *> all_; ///< every thread that has not ended; one reference each
    std::vector<std::thread> finished_hosts_;
    std::unordered_map<const void *, std::vector<Thread *>> waiters_;
    std::multimap<uint64_t, std::function<void()>> timers_;
    std::multimap<uint64_t, std::function<void()>> dpcs_due_later_;
    std::condition_variable clock_wanted_;
    Thread *clock_ = nullptr;
    Thread *idle_thread_ = nullptr;
    std::thread clock_host_;
    std::vector<Processor> processors_;
};

} // namespace fltsim
