// SPDX-License-Identifier: MIT
//
// This module provides: what a world remembers for its report: the first broken rule, the last lines of history, leaks. Thread safe.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/symbols.hpp"

namespace fltsim {

class Report {
  public:
    struct Stop {
        std::string rule;
        std::string call;
        std::string text;
        std::string thread;
        uint64_t thread_id = 0;
        uint32_t processor = 0;
        uint32_t irql = 0;
        CallStack stack;
    };

    void note(std::string line);
    void leak(std::string what);
    /// Each name once, in the order of asking.
    void absent_routine(std::string name);
    /// Only the first one counts: what follows a broken rule proves nothing. False when there was one already.
    bool stop(Stop stop);
    bool stopped() const;
    std::vector<std::string> leaks() const;
    std::string json(uint64_t seed, uint32_t waiting_for_storage) const;
    /// For stderr.
    std::string text(uint64_t seed) const;

  private:
    static constexpr size_t HISTORY_LINES = 400;
    /// Of the operation that the rule was broken with: its lines of the history. Lock held.
    std::vector<std::string> operation_history() const;
    mutable std::mutex mutex_;
    std::deque<std::string> history_;
    std::vector<std::string> leaks_;
    std::vector<std::string> absent_;
    bool stopped_ = false;
    Stop stop_;
};

} // namespace fltsim
