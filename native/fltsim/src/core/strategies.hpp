// SPDX-License-Identifier: MIT
//
// This module provides: ways to choose schedules (schedule.hpp). `random`: at every choice a draw. `pct`: random priorities and a few moments at which the running
// thread's is lowered (Burckhardt, Kothari, Musuvathi, Nagarakatte: A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, ASPLOS 2010).
// `exhaustive`: all schedules within a bound, those that need less of it first. The bound is on preemptions (Musuvathi, Qadeer: Iterative Context Bounding for
// Systematic Testing of Multithreaded Programs, PLDI 2007), or on all decisions that are no defaults, which leaves far fewer when many threads wait for each other
// (Emmi, Qadeer, Rakamaric: Delay-Bounded Scheduling, POPL 2011). And the replay of a list of decisions.
#pragma once

#include "core/schedule.hpp"
#include "core/scheduler.hpp"

namespace fltsim {

class RandomSchedule final : public Schedule {
  public:
    void seed(uint64_t seed);

  protected:
    size_t choose(const ChoicePoint &point) override;

  private:
    Random draws_{0}; ///< its own: it does not depend on what the world draws
    uint64_t one_in_ = 4; ///< so many scheduling points, one gives way; each schedule has its own
};

class PctSchedule final : public Schedule {
  public:
    static constexpr uint32_t MAX_DEPTH = 32;
    PctSchedule();
    /// A bug of this depth is found with a probability of at least 1 / (threads * points ^ (depth - 1)).
    void seed(uint64_t seed, uint32_t depth, uint32_t expected_points);

  protected:
    size_t choose(const ChoicePoint &point) override;

  private:
    struct Priority {
        uint64_t id;
        uint64_t value;
    };
    static constexpr size_t MAX_THREADS = 256;
    uint64_t &priority_of(uint64_t id);
    Random draws_{0};
    uint32_t depth_ = 1;
    uint32_t in_a_row_ = 0;
    uint64_t last_ = 0;
    uint64_t lowest_ = 0;
    std::vector<Priority> priorities_;
    std::vector<uint32_t> changes_; ///< points, ascending
    size_t changed_ = 0;
};

class ReplaySchedule final : public Schedule {
  public:
    void decisions(std::span<const Deviation> deviations);

  protected:
    size_t choose(const ChoicePoint &point) override;

  private:
    std::vector<Deviation> given_;
    size_t next_ = 0;
};

/// A walk through the tree of choices, deepest first. The walker's part of a tree that several share: what leaves the path of defaults at a point whose number
/// is its own modulo the number of walkers.
class ExhaustiveSchedule final : public Schedule {
  public:
    static constexpr size_t MAX_DEPTH = 1 << 16;
    enum class Bound { Preemptions, Delays };
    ExhaustiveSchedule();
    /// Begins with the schedules that need nothing of the bound.
    void start(uint32_t most, Bound of = Bound::Preemptions, uint32_t walker = 0, uint32_t walkers = 1);
    /// Before each schedule. False: all have been played.
    bool next();
    /// Whether the schedule that was just played is one that no round before has played, nor another walker.
    bool is_new() const;
    /// All schedules with at most so many preemptions, or delays, have been played (of this walker's part); -1: none yet.
    int complete() const { return static_cast<int>(bound_) - (done_ ? 0 : 1); }
    uint32_t bound() const { return bound_; }

  protected:
    size_t choose(const ChoicePoint &point) override;

  private:
    struct Node {
        uint8_t chosen;
        uint8_t options;
        bool running;
        bool clock;
    };
    uint32_t cost(const Node &node, uint32_t option) const {
        const bool clock = node.clock && option + 1u == node.options;
        return option != 0 && (of_ == Bound::Delays || node.running || clock) ? 1 : 0;
    }
    bool advance();
    std::vector<Node> path_;
    size_t fixed_ = 0; ///< of the path: what the walk has chosen; behind it are defaults
    uint32_t bound_ = 0;
    uint32_t most_ = 0;
    Bound of_ = Bound::Preemptions;
    uint32_t walker_ = 0;
    uint32_t walkers_ = 1;
    bool begun_ = false;
    bool done_ = false;
};

} // namespace fltsim
