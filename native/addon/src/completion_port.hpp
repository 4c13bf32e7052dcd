// SPDX-License-Identifier: MIT
//
// This module provides: an I/O completion port, and which of this addon's calls its packets are about.
// Invariants: the OVERLAPPED of a call whose packet is to come stays in memory, at its address, until the packet is taken; one
// wait at a time.
#pragma once

#include "handle_state.hpp"

#include <atomic>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace minipend {

/// One packet as JavaScript gets it.
struct CompletionPacket {
    uint64_t key = 0;
    bool ours = false; ///< of a call of this addon; otherwise somebody posted it
    uint32_t call = 0; ///< the call's number
    uint64_t value = 0; ///< what was posted in the place of an OVERLAPPED's address
    uint32_t status = 0;
    uint32_t bytes = 0;
};

class CompletionPortState final : public HandleState {
  public:
    CompletionPortState(std::shared_ptr<Backend> backend, std::shared_ptr<Environment> environment, HANDLE handle);
    const HANDLE handle;

    /// A packet of `call` is to come, unless forget() follows.
    void expect(const std::shared_ptr<IoCall> &call, uint32_t id);
    void forget(const IoCall &call);
    CompletionPacket take(const CompletionEntry &entry);

    /// False: a wait is under way.
    bool begin_wait();
    void end_wait() { waiting_ = false; }
    /// False: there is no wait.
    bool cancel_wait();
    bool cancelled() const { return cancelled_.load(); }
    void cancel_all() override { cancel_wait(); }

  protected:
    void end_waits() override { cancel_wait(); }

  private:
    struct Expected {
        std::shared_ptr<IoCall> call;
        uint32_t id;
    };
    std::mutex expected_mutex_;
    std::unordered_map<const OVERLAPPED *, Expected> expected_;
    std::atomic<bool> waiting_{false};
    std::atomic<bool> cancelled_{false};
};

} // namespace minipend
