// SPDX-License-Identifier: MIT
//
// This module provides: threads as objects behind handles, and what the Filter Manager asks about a driver's threads.
#pragma once

#include <string>

#include "core/handles.hpp"

namespace fltsim::ke {

/// What a thread handle names. Holds a reference on the thread.
class ThreadObject final : public Object {
  public:
    explicit ThreadObject(Thread &thread);
    ~ThreadObject() override;
    ThreadObject(const ThreadObject &) = delete;
    ThreadObject &operator=(const ThreadObject &) = delete;
    const char *type_name() const override { return "thread"; }
    std::string describe() const override { return "thread " + thread_->name; }
    bool signalled() const override { return thread_->ended; }
    Thread *thread() const { return thread_; }

  private:
    Thread *thread_;
};

/// For when a driver's image is about to be unloaded: stops the world when a thread it made still runs, since that thread's next
/// instruction would be in freed memory [UNL-07]. Model lock held.
void check_no_system_threads();

} // namespace fltsim::ke
