// SPDX-License-Identifier: MIT
#include "ke/lock_order.hpp"

#include <algorithm>

namespace fltsim::ke {

namespace {

/// Different surroundings of one pair that are kept: beyond that the newest ones.
constexpr size_t SURROUNDINGS_MAX = 8;
/// Steps that a search for one circle tries.
constexpr size_t SEARCH_MAX = 10'000;

using Locks = std::vector<HeldLock>;

/// Two threads cannot have both of these at once.
bool exclude_each_other(const Locks &a, const Locks &b) {
    return std::ranges::any_of(a, [&](const HeldLock &mine) {
        return std::ranges::any_of(b, [&](const HeldLock &theirs) {
            return mine.lock == theirs.lock && (mine.exclusive || theirs.exclusive);
        });
    });
}

/// What keeps others from `inner` keeps them from `outer` as well.
bool is_part_of(const Locks &inner, const Locks &outer) {
    return std::ranges::all_of(inner, [&](const HeldLock &lock) {
        return std::ranges::any_of(outer, [&](const HeldLock &other) {
            return other.lock == lock.lock && (other.exclusive || !lock.exclusive);
        });
    });
}

} // namespace

std::vector<LockOrder::Step> LockOrder::ask(const Locks &locks, const HeldLock &wanted, const std::string &thread) {
    for (const HeldLock &first : locks) {
        std::vector<Step> &known = from_[first.lock][wanted.lock];
        if (std::ranges::any_of(known, [&](const Step &step) { return is_part_of(step.locks, locks); })) {
            continue;
        }
        std::erase_if(known, [&](const Step &step) { return is_part_of(locks, step.locks); });
        if (known.size() == SURROUNDINGS_MAX) {
            known.erase(known.begin());
        }
        into_[wanted.lock].insert(first.lock);
        known.push_back({first, wanted, locks, thread});
        if (!reaches(wanted.lock, first.lock)) {
            continue;
        }
        std::vector<Step> circle{known.back()};
        size_t budget = SEARCH_MAX;
        for (size_t length = 2; length <= from_.size() && budget != 0; ++length) {
            if (close(circle, length, budget)) {
                return circle;
            }
        }
    }
    return {};
}

bool LockOrder::reaches(Lock start, Lock goal) const {
    std::set<Lock> seen{start};
    std::vector<Lock> open{start};
    while (!open.empty()) {
        const Lock lock = open.back();
        open.pop_back();
        if (lock == goal) {
            return true;
        }
        const auto to = from_.find(lock);
        if (to == from_.end()) {
            continue;
        }
        for (const auto &[next, steps] : to->second) {
            if (seen.insert(next).second) {
                open.push_back(next);
            }
        }
    }
    return false;
}

/// Adds steps from the circle's last lock to its first one, until there are `length`.
bool LockOrder::close(std::vector<Step> &circle, size_t length, size_t &budget) const {
    const auto to = from_.find(circle.back().wanted.lock);
    if (to == from_.end()) {
        return false;
    }
    const bool last = circle.size() + 1 == length;
    for (const auto &[next, steps] : to->second) {
        const bool first = next == circle.front().first.lock;
        const bool known = std::ranges::any_of(circle, [&](const Step &step) { return step.wanted.lock == next; });
        if (last ? !first : first || known) {
            continue;
        }
        for (const Step &step : steps) {
            if (budget == 0) {
                return false;
            }
            --budget;
            if (std::ranges::any_of(circle,
                                    [&](const Step &other) { return exclude_each_other(other.locks, step.locks); })) {
                continue;
            }
            circle.push_back(step);
            if (last || close(circle, length, budget)) {
                return true;
            }
            circle.pop_back();
        }
    }
    return false;
}

void LockOrder::forget(const volatile void *begin, size_t bytes) {
    const Lock end = static_cast<const volatile char *>(begin) + bytes;
    for (auto from = from_.lower_bound(begin); from != from_.end() && from->first < end; from = from_.erase(from)) {
        for (const auto &[to, steps] : from->second) {
            into_[to].erase(from->first);
        }
    }
    for (auto to = into_.lower_bound(begin); to != into_.end() && to->first < end; to = into_.erase(to)) {
        for (const Lock from : to->second) {
            from_[from].erase(to->first);
        }
    }
}

size_t LockOrder::pairs() const {
    size_t count = 0;
    for (const auto &[lock, to] : from_) {
        count += to.size();
    }
    return count;
}

} // namespace fltsim::ke
