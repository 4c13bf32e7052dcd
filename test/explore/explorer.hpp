// SPDX-License-Identifier: MIT
//
// This module provides: the exploration of one scenario: schedule after schedule until one fails, and the shortest list of decisions that still fails.
#pragma once

#include <atomic>
#include <functional>

#include "core/strategies.hpp"
#include "shrink.hpp"
#include "stage.hpp"

namespace explore {

enum class Strategy { Random, Pct, Exhaustive };

struct Plan {
    Strategy strategy = Strategy::Random;
    uint64_t schedules = 2000; ///< of all workers together
    uint64_t seed = 1; ///< of the first schedule; the next one's is one more. Exhaustive: of all
    uint32_t depth = 3;
    uint32_t bound = 2; ///< exhaustive
    fltsim::ExhaustiveSchedule::Bound of = fltsim::ExhaustiveSchedule::Bound::Delays;
    uint32_t plain_every = 0;
    uint32_t walker = 0; ///< which of the workers this is
    uint32_t walkers = 1;
};

/// What a worker tells while it plays; in memory that the processes share.
struct Progress {
    std::atomic<uint64_t> played{0};
    std::atomic<uint64_t> distinct{0}; ///< exhaustive: those that are no repetition
    std::atomic<uint64_t> points{0};
    std::atomic<uint64_t> preemptions{0};
    std::atomic<uint64_t> seed{0}; ///< of the schedule that is being played
    std::atomic<int> complete{-1}; ///< exhaustive: all schedules that need at most so much of the bound
    std::atomic<uint64_t> digest{0}; ///< of all decisions, in whatever order the schedules were played
    std::atomic<bool> done{false};
};

struct Finding {
    uint64_t seed = 0;
    Verdict verdict;
    std::vector<fltsim::Deviation> decisions; ///< as they were found
    std::vector<fltsim::Deviation> shrunk;
    std::vector<fltsim::DecisionNote> notes; ///< of the shrunk ones
    uint64_t tries = 0; ///< schedules that the shrinking took
    std::string report;
};

/// Nothing: no schedule failed. Plain accesses are as the stage's driver has them.
std::optional<Finding> explore_scenario(Stage &stage, const Plan &plan, Progress &progress);

/// Plays these decisions. A failing schedule is shrunk if wanted.
std::optional<Finding> replay(Stage &stage, const Plan &plan, const std::vector<fltsim::Deviation> &decisions,
                              bool shrinking);

} // namespace explore
