// SPDX-License-Identifier: MIT
//
// This module provides: the strategies of strategies.hpp.

#include "core/strategies.hpp"

#include <algorithm>

namespace fltsim {

// ---- random -----------------------------------------------------------------------------------------------------------

void RandomSchedule::seed(uint64_t seed) {
    constexpr uint64_t ONE_IN[] = {2, 4, 4, 8, 16, 64};
    draws_.seed(seed);
    one_in_ = ONE_IN[draws_.below(std::size(ONE_IN))];
}

size_t RandomSchedule::choose(const ChoicePoint &point) {
    /// Of the choices that fall on the clock, one in so many is kept: time is slow.
    constexpr uint64_t CLOCK_ONE_IN = 4;
    const size_t count = point.options.size();
    size_t chosen = 0;
    if (!point.running) {
        chosen = draws_.below(count);
    } else if (draws_.below(one_in_) == 0) {
        chosen = 1 + draws_.below(count - 1);
    }
    const bool clock = chosen == count - 1 && point.has_clock();
    return clock && draws_.below(CLOCK_ONE_IN) != 0 ? 0 : chosen;
}

// ---- pct --------------------------------------------------------------------------------------------------------------

namespace {

/// Priorities that are drawn are above those that a change gives.
constexpr uint64_t DRAWN = uint64_t{1} << 62;
/// A thread that has been preferred at so many choices in a row runs in circles, and goes behind all others.
constexpr uint32_t CIRCLES = 20'000;

} // namespace

PctSchedule::PctSchedule() {
    priorities_.reserve(MAX_THREADS);
    changes_.reserve(MAX_DEPTH);
}

void PctSchedule::seed(uint64_t seed, uint32_t depth, uint32_t expected_points) {
    draws_.seed(seed);
    depth_ = std::min(depth, MAX_DEPTH);
    priorities_.clear();
    changes_.clear();
    for (uint32_t i = 1; i < depth_; ++i) {
        changes_.push_back(static_cast<uint32_t>(draws_.below(std::max(expected_points, 1u))));
    }
    std::ranges::sort(changes_);
    changed_ = 0;
    lowest_ = DRAWN - 1;
    in_a_row_ = 0;
    last_ = 0;
}

uint64_t &PctSchedule::priority_of(uint64_t id) {
    const auto known = std::ranges::find(priorities_, id, &Priority::id);
    if (known != priorities_.end()) {
        return known->value;
    }
    if (priorities_.size() == MAX_THREADS) {
        return lowest_;
    }
    priorities_.push_back({id, DRAWN + draws_.below(DRAWN)});
    return priorities_.back().value;
}

size_t PctSchedule::choose(const ChoicePoint &point) {
    const auto best = [&] {
        size_t index = 0;
        uint64_t highest = 0;
        for (size_t i = 0; i < point.options.size(); ++i) {
            const uint64_t priority = priority_of(point.options[i].id());
            if (priority > highest) {
                highest = priority;
                index = i;
            }
        }
        return index;
    };
    size_t chosen = best();
    uint64_t id = point.options[chosen].id();
    in_a_row_ = id == last_ ? in_a_row_ + 1 : 0;
    const bool change = changed_ < changes_.size() && point.number >= changes_[changed_];
    if (change || in_a_row_ > CIRCLES) {
        changed_ += change ? 1 : 0;
        in_a_row_ = 0;
        priority_of(id) = --lowest_;
        chosen = best();
        id = point.options[chosen].id();
    }
    last_ = id;
    if (point.options[chosen].kind != ScheduleOption::Kind::Thread) {
        priority_of(id) = DRAWN + draws_.below(DRAWN); // the next DPC, the next moment is another one
    }
    return chosen;
}

// ---- replay -----------------------------------------------------------------------------------------------------------

void ReplaySchedule::decisions(std::span<const Deviation> deviations) {
    given_.assign(deviations.begin(), deviations.end());
    next_ = 0;
}

size_t ReplaySchedule::choose(const ChoicePoint &point) {
    while (next_ < given_.size() && given_[next_].point < point.number) {
        ++next_;
    }
    if (next_ == given_.size() || given_[next_].point != point.number) {
        return 0;
    }
    const size_t option = given_[next_++].option;
    return option < point.options.size() ? option : 0;
}

// ---- exhaustive -------------------------------------------------------------------------------------------------------

ExhaustiveSchedule::ExhaustiveSchedule() {
    path_.reserve(MAX_DEPTH);
}

void ExhaustiveSchedule::start(uint32_t most, Bound of, uint32_t walker, uint32_t walkers) {
    path_.clear();
    fixed_ = 0;
    bound_ = 0;
    most_ = most;
    of_ = of;
    walker_ = walker;
    walkers_ = walkers;
    begun_ = false;
    done_ = false;
}

bool ExhaustiveSchedule::next() {
    if (begun_ && !done_ && !advance()) {
        done_ = bound_ == most_;
        if (!done_) {
            ++bound_;
            path_.clear();
            fixed_ = 0;
        }
    }
    begun_ = true;
    return !done_;
}

bool ExhaustiveSchedule::is_new() const {
    uint32_t used = 0;
    bool defaults = true;
    for (const Node &node : path_) {
        used += cost(node, node.chosen);
        defaults = defaults && node.chosen == 0;
    }
    return used == bound_ && (!defaults || walker_ == 0);
}

bool ExhaustiveSchedule::advance() {
    uint32_t used = 0;
    size_t first = path_.size(); // that is no default
    for (size_t i = 0; i < path_.size(); ++i) {
        used += cost(path_[i], path_[i].chosen);
        first = path_[i].chosen != 0 ? std::min(first, i) : first;
    }
    while (!path_.empty()) {
        Node &last = path_.back();
        const size_t number = path_.size() - 1;
        const uint32_t before = used - cost(last, last.chosen);
        const bool mine = number > first || number % walkers_ == walker_;
        for (uint32_t option = last.chosen + 1u; mine && option < last.options; ++option) {
            if (before + cost(last, option) <= bound_) {
                last.chosen = static_cast<uint8_t>(option);
                fixed_ = path_.size();
                return true;
            }
        }
        used = before;
        path_.pop_back();
        first = std::min(first, path_.size());
    }
    return false;
}

size_t ExhaustiveSchedule::choose(const ChoicePoint &point) {
    if (point.number < fixed_) {
        return std::min<size_t>(path_[point.number].chosen, point.options.size() - 1);
    }
    if (point.number == path_.size() && path_.size() < MAX_DEPTH) {
        const auto options = static_cast<uint8_t>(std::min<size_t>(point.options.size(), UINT8_MAX));
        path_.push_back({0, options, point.running, point.has_clock()});
    }
    return 0;
}

} // namespace fltsim
