// SPDX-License-Identifier: MIT
//
// This module provides: Schedule (schedule.hpp).

#include "core/schedule.hpp"

#include <charconv>
#include <cstdio>

#include "core/world.hpp"

namespace fltsim {

namespace {

constexpr size_t MAX_NOTES = 4096;

void name_of(const Thread *thread, char *name) {
    if (thread != nullptr) {
        std::snprintf(name, DecisionNote::NAME, "%s (%llu)", thread->name.c_str(),
                      static_cast<unsigned long long>(thread->id));
    }
}

} // namespace

uint64_t ScheduleOption::id() const {
    switch (kind) {
    case Kind::Dpc:
        return 1;
    case Kind::Clock:
        return 2;
    case Kind::Thread:
        break;
    }
    return thread->id; // begins far above
}

std::string text_of(std::span<const Deviation> deviations) {
    std::string text;
    for (const Deviation &deviation : deviations) {
        text += (text.empty() ? "" : ",") + std::to_string(deviation.point) + ":" + std::to_string(deviation.option);
    }
    return text;
}

bool deviations_of(const std::string &text, std::vector<Deviation> *deviations) {
    deviations->clear();
    const char *at = text.data();
    const char *const end = at + text.size();
    while (at != end) {
        Deviation deviation;
        auto number = std::from_chars(at, end, deviation.point);
        if (number.ec != std::errc() || number.ptr == end || *number.ptr != ':') {
            return false;
        }
        number = std::from_chars(number.ptr + 1, end, deviation.option);
        if (number.ec != std::errc() || deviation.option == 0 ||
            (!deviations->empty() && deviations->back().point >= deviation.point)) {
            return false;
        }
        deviations->push_back(deviation);
        at = number.ptr;
        if (at == end) {
            break;
        }
        if (*at != ',' || at + 1 == end) {
            return false;
        }
        ++at;
    }
    return deviations->size() <= Schedule::MAX_DEVIATIONS;
}

Schedule::Schedule() {
    deviations_.reserve(MAX_DEVIATIONS);
    notes_.reserve(MAX_NOTES);
}

void Schedule::begin(uint64_t plain_seed) {
    points_ = 0;
    preemptions_ = 0;
    plain_state_ = plain_seed;
    deviations_.clear();
    notes_.clear();
}

size_t Schedule::decide(std::span<const ScheduleOption> options, const Thread *running, bool can_go_on) {
    if (!active || runs_in_circles()) {
        return 0;
    }
    const ChoicePoint point{points_++, can_go_on, options};
    const size_t chosen = choose(point);
    if (chosen == 0 || deviations_.size() == deviations_.capacity()) {
        return 0;
    }
    deviations_.push_back({point.number, static_cast<uint32_t>(chosen)});
    preemptions_ += point.preempts(chosen) ? 1 : 0;
    if (noting && notes_.size() < notes_.capacity()) {
        DecisionNote note;
        note.point = point.number;
        note.running = can_go_on;
        name_of(running, note.from);
        if (options[chosen].kind == ScheduleOption::Kind::Thread) {
            name_of(options[chosen].thread, note.to);
        } else {
            std::snprintf(note.to, DecisionNote::NAME, "%s",
                          options[chosen].kind == ScheduleOption::Kind::Dpc ? "a DPC" : "the clock");
        }
        if (running != nullptr) {
            note.call = running->at_call;
            note.before = running->before_call;
            note.address = running->at_code;
        }
        notes_.push_back(note);
    }
    return chosen;
}

} // namespace fltsim
