// SPDX-License-Identifier: MIT
//
// This module provides: simulated threads of a client that do file operations while the input goes on, and other work on threads of its own.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "bytes.hpp"
#include "world.hpp"

namespace fuzz {

/// Volumes that operations go to.
constexpr const char16_t *VOLUMES[] = {u"D:", u"E:", u"C:"};

class Workload {
  public:
    explicit Workload(fltsim::World &world) : world_(world) {}
    ~Workload() { join(); }
    Workload(const Workload &) = delete;
    Workload &operator=(const Workload &) = delete;

    /// Starts a thread that opens a file and does what the input says with it, as far as MOST_THREADS allow.
    void start_io(Bytes &in, uint32_t volumes);
    void start(const char *name, std::function<void()> body);
    /// Ids of the threads that were started, ended ones too.
    const std::vector<uint32_t> &thread_ids() const { return ids_; }
    /// Waits until all have ended.
    void join();

  private:
    static constexpr int MOST_THREADS = 12;
    fltsim::World &world_;
    int running_ = 0; ///< under the model lock
    std::vector<uint32_t> ids_;
};

/// Frees the memory of asynchronous requests. Only when the worlds that they were made in are gone.
void forget_requests();

/// Directories that the paths of operations lead to.
void make_directories(uint32_t volumes);

} // namespace fuzz
