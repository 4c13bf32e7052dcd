// SPDX-License-Identifier: MIT
//
// This module provides: worker threads. With one thread an Executor is an ordered queue whose thread lives as long as the executor
// (the driver knows the control thread by its id); with more it is a pool that grows on demand, so that a held call
// delays nobody, and lets idle threads go.
// Invariants: no thread is ever joined by another, so nothing can wait for itself; each thread keeps the shared part alive;
// tasks do not throw.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace minipend {

/// What one worker thread keeps between tasks.
class WorkerThread {
  public:
    WorkerThread() = default;
    ~WorkerThread();
    WorkerThread(const WorkerThread &) = delete;
    WorkerThread &operator=(const WorkerThread &) = delete;

    uint32_t thread_id = 0; ///< as the backend names it; 0 until asked for
    void *event = nullptr; ///< for overlapped calls, made at the first one
    std::function<void()> end; ///< gives `event` back when the thread ends
};

using Task = std::function<void(WorkerThread &)>;

class Executor {
  public:
    explicit Executor(size_t max_threads);
    ~Executor();
    Executor(const Executor &) = delete;
    Executor &operator=(const Executor &) = delete;

    /// False when the executor has stopped, or when not even one thread can be had; then the task will not run.
    bool submit(Task task);
    /// Takes no more tasks. Those taken still run; then the threads end. Does not wait.
    void stop();
    /// Waits until a stopped executor's threads have ended. False when `deadline` came first.
    bool wait_ended(std::chrono::steady_clock::time_point deadline);

  private:
    struct Shared {
        std::mutex mutex;
        std::condition_variable work;
        std::condition_variable ended;
        std::deque<Task> tasks;
        size_t max_threads = 1;
        size_t threads = 0;
        size_t idle = 0;
        bool stopping = false;
    };
    static void thread_main(std::shared_ptr<Shared> shared);
    static void work(Shared &shared);
    std::shared_ptr<Shared> shared_;
};

} // namespace minipend
