// SPDX-License-Identifier: MIT
//
// This module provides: user APCs: what ReadFileEx and WriteFileEx queue to the thread that called them, and what an alertable wait of it delivers.
//
// Invariant: Thread::user_apcs changes under the model lock; a routine runs in its own thread, outside the model.
#pragma once

#include "user/entry.hpp"

namespace fltsim::user {

/// Stands for the event of an operation: it queues the completion routine instead.
class ApcAtEnd final : public Object {
  public:
    ApcAtEnd(Thread &thread, LPOVERLAPPED_COMPLETION_ROUTINE routine, LPOVERLAPPED overlapped);
    ~ApcAtEnd() override;
    ApcAtEnd(const ApcAtEnd &) = delete;
    ApcAtEnd &operator=(const ApcAtEnd &) = delete;
    const char *type_name() const override { return "user APC"; }
    void signal() override;

  private:
    Thread *thread_;
    const LPOVERLAPPED_COMPLETION_ROUTINE routine_;
    const LPOVERLAPPED overlapped_;
};

/// Whether an alertable wait of the executing thread has to end.
bool apc_pending();
/// Runs what is queued to the calling thread, and what is queued meanwhile, in order. Outside of enter().
void run_apcs(const std::shared_ptr<World> &world);

} // namespace fltsim::user
