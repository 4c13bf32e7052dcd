// SPDX-License-Identifier: MIT
//
// This module provides: the fiber executor when a Schedule decides what runs next (schedule.hpp), and when the calling host thread is the loop.
//
// A thread that has run stays on its own processor as long as that one is free: which processor it is needs no decision. While the Schedule is not active, the
// running thread goes on until it waits.

#include <algorithm>
#include <utility>

#include "core/fiber_scheduler.hpp"

namespace fltsim {

bool FiberScheduler::inline_host_call(const std::function<void()> &fn, bool even_when_closing) {
    if (door_->finished || (door_->closed && !even_when_closing)) {
        return false;
    }
    const std::shared_ptr<HostRecord> record = door_->record_of_caller();
    record->fn = &fn;
    record->state = HostRecord::State::Queued;
    calls_.push_back(record);
    run_inline(record.get());
    return record->state == HostRecord::State::Done;
}

/// Runs the world until the call has returned; without one, until there is nothing left to do.
void FiberScheduler::run_inline(const HostRecord *record) {
    enter_loop();
    set_context(&world_, nullptr);
    accept_host_calls();
    bool more = true;
    while (more && (record == nullptr || record->state == HostRecord::State::Running)) {
        more = step();
    }
    if (!more) {
        leave_loop();
    }
    set_context(nullptr, nullptr);
    exit_loop();
}

uint32_t FiberScheduler::processor_for(const Thread &thread) {
    const auto count = static_cast<uint32_t>(processors_.size());
    const auto own = static_cast<uint32_t>(thread.id / 4 % count);
    if (processors_[own].pinned == nullptr) {
        return own;
    }
    for (uint32_t index = 0; index < count; ++index) {
        if (processors_[index].pinned == nullptr) {
            return index;
        }
    }
    return own; // never: an option needs a free processor
}

/// Fills options_. `running` may go on.
void FiberScheduler::collect_options(Thread *running, uint64_t now_100ns) {
    options_.clear();
    size_t unpinned = 0;
    for (const Processor &processor : processors_) {
        unpinned += processor.pinned == nullptr ? 1 : 0;
    }
    if (running != nullptr) {
        options_.push_back({ScheduleOption::Kind::Thread, running});
        unpinned -= running->irql >= DISPATCH_LEVEL ? 1 : 0;
    }
    if (unpinned != 0) {
        for (Thread *thread : ready_) {
            options_.push_back({ScheduleOption::Kind::Thread, thread});
        }
        if (!dpcs_.empty() && dpcs_.begin()->first <= now_100ns) {
            options_.push_back({ScheduleOption::Kind::Dpc});
        }
    }
    for (uint32_t index = 0; index < processors_.size(); ++index) {
        Thread *pinned = processors_[index].pinned;
        if (pinned != nullptr && pinned->impl->state == State::Ready) {
            options_.push_back({ScheduleOption::Kind::Thread, pinned, index, true});
        }
    }
    if (!world_.schedule->active || options_.empty()) {
        return;
    }
    const std::optional<uint64_t> due = next_due();
    if (due && *due > now_100ns && *due <= now_100ns + world_.schedule->clock_reach_100ns) {
        options_.push_back({ScheduleOption::Kind::Clock});
    }
}

void FiberScheduler::scheduled_yield() {
    if (!in_loop()) {
        return;
    }
    Thread &thread = executing();
    ++virtual_now_100ns_; // so that a thread that polls the clock sees it move
    if (!world_.schedule->active || &thread == clock_) {
        return;
    }
    if (world_.schedule->runs_in_circles()) {
        world_.stop("HANG", "scheduler", "after a million choices the schedule has not come to its end");
    }
    collect_options(&thread, virtual_now_100ns_);
    if (options_.size() == 1) {
        return;
    }
    const size_t chosen = world_.schedule->decide(options_, &thread, true);
    if (chosen != 0) {
        decided_ = options_[chosen];
        switch_out(thread, State::Ready);
    }
}

void FiberScheduler::start_scheduled(const ScheduleOption &option) {
    if (option.kind == ScheduleOption::Kind::Clock) {
        virtual_now_100ns_ = std::max(virtual_now_100ns_, next_due().value_or(0));
        return;
    }
    if (option.kind == ScheduleOption::Kind::Dpc) {
        uint32_t index = 0;
        while (processors_[index].pinned != nullptr) {
            ++index;
        }
        start_dpc(index);
        return;
    }
    if (option.pinned) {
        processors_[option.processor].pinned = nullptr;
        run(*option.thread, option.processor);
        return;
    }
    ready_.erase(std::find(ready_.begin(), ready_.end(), option.thread));
    run(*option.thread, processor_for(*option.thread));
}

bool FiberScheduler::run_scheduled(uint64_t now_100ns) {
    if (decided_) {
        start_scheduled(*std::exchange(decided_, std::nullopt));
        return true;
    }
    collect_options(nullptr, now_100ns);
    if (options_.empty()) {
        return false;
    }
    size_t chosen = 0;
    if (options_.size() > 1) {
        chosen = world_.schedule->decide(options_, std::exchange(left_, nullptr), false);
    }
    start_scheduled(options_[chosen]);
    return true;
}

} // namespace fltsim
