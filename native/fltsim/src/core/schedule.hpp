// SPDX-License-Identifier: MIT
//
// This module provides: who decides what runs next, when that is not the world's seed: a Schedule, which the fiber executor asks at each choice (World::schedule),
// and the compact list of what it decided.
//
// A choice is a scheduling point at which more than one thing can go on. Option 0 is always what needs no decision: the thread that runs goes on, or, when it
// cannot, the one that has been ready for the longest time. The last option may be the clock: time passes until the next thing that is due soon, as it does on a
// machine whose threads are slow. Every other decision is a Deviation; a run is the list of its deviations.
//
// Invariants: a Schedule allocates nothing while a world runs (what it keeps has to outlive a world that is set back, see test/explore/snapshot.hpp): its
// lists have their size from the beginning.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace fltsim {

class Thread;

struct ScheduleOption {
    enum class Kind : uint8_t { Thread, Dpc, Clock };
    Kind kind = Kind::Thread;
    Thread *thread = nullptr; ///< of a Thread
    uint32_t processor = 0; ///< of a Thread at DISPATCH_LEVEL, which keeps its processor
    bool pinned = false;
    /// A number that means the same thing in every schedule: the thread's id, or a small one.
    uint64_t id() const;
};

struct ChoicePoint {
    uint32_t number; ///< of the choice, from 0
    bool running; ///< option 0 is the thread that runs
    std::span<const ScheduleOption> options;
    bool has_clock() const { return options.back().kind == ScheduleOption::Kind::Clock; }
    /// Taking it interrupts somebody who could have gone on. Everybody, when time passes.
    bool preempts(size_t index) const {
        return (running && index != 0) || options[index].kind == ScheduleOption::Kind::Clock;
    }
};

struct Deviation {
    uint32_t point = 0;
    uint32_t option = 0;
    bool operator==(const Deviation &) const = default;
};

/// "12:1,57:2". Empty: nothing but defaults.
std::string text_of(std::span<const Deviation> deviations);
/// False: that is none.
bool deviations_of(const std::string &text, std::vector<Deviation> *deviations);

/// One deviation in words' parts, kept as the world ran.
struct DecisionNote {
    static constexpr size_t NAME = 40;
    uint32_t point = 0;
    bool running = false; ///< `from` could have gone on; else it waits or has ended
    bool before = true; ///< the call, else after it
    char from[NAME] = "";
    char to[NAME] = "";
    const char *call = nullptr; ///< where `from` is; null: a plain access, or nowhere
    const void *address = nullptr; ///< of the code of a plain access
};

class Schedule {
  public:
    static constexpr size_t MAX_DEVIATIONS = 1 << 16;
    /// More choices than this in one schedule: its threads run in circles.
    static constexpr uint32_t MAX_POINTS = 1 << 20;

    Schedule();
    virtual ~Schedule() = default;
    Schedule(const Schedule &) = delete;
    Schedule &operator=(const Schedule &) = delete;

    /// For the executor. `running`: who is at the scheduling point, whether it can go on or not; null: nobody.
    size_t decide(std::span<const ScheduleOption> options, const Thread *running, bool can_go_on);
    /// A plain load or store of the driver: whether it is a scheduling point.
    bool wants_plain_access() {
        if (!active || plain_every == 0) {
            return false;
        }
        plain_state_ = plain_state_ * 6364136223846793005ull + 1442695040888963407ull;
        return plain_every == 1 || (plain_state_ >> 33) % plain_every == 0;
    }
    /// Forgets the schedule that was.
    void begin(uint64_t plain_seed);

    /// Decisions are taken; else the defaults are.
    bool active = false;
    /// Keep notes of deviations.
    bool noting = false;
    /// One in so many plain accesses is a scheduling point; 0: none is.
    uint32_t plain_every = 0;
    /// How far ahead something may be due for the clock to be an option.
    uint64_t clock_reach_100ns = 200'000;

    uint32_t points() const { return points_; }
    bool runs_in_circles() const { return points_ >= MAX_POINTS; }
    uint32_t preemptions() const { return preemptions_; }
    std::span<const Deviation> deviations() const { return deviations_; }
    std::span<const DecisionNote> notes() const { return notes_; }

  protected:
    /// The index of an option.
    virtual size_t choose(const ChoicePoint &point) = 0;

  private:
    uint32_t points_ = 0;
    uint32_t preemptions_ = 0;
    uint64_t plain_state_ = 0;
    std::vector<Deviation> deviations_;
    std::vector<DecisionNote> notes_;
};

} // namespace fltsim
