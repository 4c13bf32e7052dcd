// SPDX-License-Identifier: MIT
//
// This module provides: what the tests of operations that wait share: controls by short calls, asynchronous requests, threads.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "io/bench.hpp"

namespace io_bench {

/// The report says neither that the world stopped nor that something leaked.
void expect_clean(const std::string &report);

NTSTATUS fs_control(const Opened &opened, ULONG code, const void *input = nullptr, ULONG input_bytes = 0,
                    void *output = nullptr, ULONG output_bytes = 0, ULONG_PTR *information = nullptr);
NTSTATUS device_control(const Opened &opened, ULONG code, const void *input = nullptr, ULONG input_bytes = 0,
                        void *output = nullptr, ULONG output_bytes = 0, ULONG_PTR *information = nullptr);

NTSTATUS lock(const Opened &opened, const io::LockRange &range);
NTSTATUS unlock(const Opened &opened, const io::LockRange &range);

/// An asynchronous request's side of the caller. It has to stay until the operation has ended.
class Overlapped {
  public:
    Overlapped();
    NTSTATUS fs_control(const Opened &opened, ULONG code, const void *input = nullptr, ULONG input_bytes = 0,
                        void *output = nullptr, ULONG output_bytes = 0);
    NTSTATUS lock(const Opened &opened, const io::LockRange &range);
    NTSTATUS notify(const Opened &opened, void *buffer, ULONG length, ULONG filter, bool tree = false);
    NTSTATUS read(const Opened &opened, void *buffer, ULONG length, int64_t offset);
    NTSTATUS write(const Opened &opened, const std::string &data, int64_t offset);
    uint32_t cancel(const Opened &opened) const;
    bool done() const;
    NTSTATUS wait();
    const io::AsyncBlock *block() const { return &block_; }
    IO_STATUS_BLOCK iosb{};

  private:
    std::shared_ptr<Object> event_;
    std::string data_; ///< of a write
    io::AsyncBlock block_;
};

/// A thread of the client (or of System) that runs `fn` with the model lock held.
class Worker {
  public:
    explicit Worker(std::string name, std::function<void()> fn, Process *process = nullptr);
    ~Worker();
    Worker(const Worker &) = delete;
    Worker &operator=(const Worker &) = delete;
    bool done() const { return *done_; }
    void join();
    Thread &thread() const { return *thread_; }

  private:
    std::shared_ptr<bool> done_ = std::make_shared<bool>(false);
    Thread *thread_;
};

/// Waits until `pred` holds, looking again at every scheduling point. False: a virtual minute went by.
bool wait_until(const std::function<bool()> &pred);

} // namespace io_bench
