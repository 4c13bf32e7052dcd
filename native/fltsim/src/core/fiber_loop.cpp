// SPDX-License-Identifier: MIT
//
// This module provides: the loop of the fiber executor: what runs next, the clock, host calls, the end (fiber_scheduler.hpp).

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "core/fiber_scheduler.hpp"

namespace fltsim {

namespace {

/// With a virtual clock, host calls wait for a quiet world, but not for ever.
constexpr uint64_t STEPS_WITHOUT_HOST_CALLS = 100'000;
/// A virtual clock that jumped this far since a host call began or ended (threads that poll keep it going) shows a hang.
constexpr uint64_t VIRTUAL_LIMIT_100NS = uint64_t{3600} * 10'000'000;
/// What an ending world may still do before its threads are left where they are.
constexpr uint64_t ENDING_STEPS = 1'000'000;

} // namespace

void FiberScheduler::loop() {
    enter_loop();
    loop_fiber_ = Fiber::of_host_thread();
    set_context(&world_, nullptr);
    while (step()) {
    }
    leave_loop();
    set_context(nullptr, nullptr);
}

bool FiberScheduler::step() {
    if (halted_) {
        return false;
    }
    if (world_.options.virtual_clock) {
        if (steps_ >= next_accept_step_) {
            next_accept_step_ = steps_ + STEPS_WITHOUT_HOST_CALLS;
            accept_host_calls();
        }
    } else if (attention_.load(std::memory_order_relaxed)) {
        accept_host_calls();
    }
    if (world_.ending()) {
        if (!ending_seen_) {
            ending_seen_ = true;
            const std::vector<Thread *> all = all_;
            for (Thread *thread : all) {
                if (thread->daemon && thread->impl->state == State::Blocked) {
                    make_ready(*thread);
                }
            }
        }
        if (++ending_steps_ > ENDING_STEPS) {
            return false;
        }
    }
    const uint64_t now = interrupt_time_100ns();
    expire_deadlines(now);
    if (!timers_.empty() && timers_.begin()->first <= now) {
        run_clock_job([this, now] {
            while (!timers_.empty() && timers_.begin()->first <= now) {
                const auto timer = timers_.extract(timers_.begin());
                timer.mapped()();
            }
        });
        return !halted_;
    }
    if (!run_one(now)) {
        return idle();
    }
    // Only steps that ran something count: how often an idle loop looks around is the host's doing, not the seed's.
    ++steps_;
    if (world_.options.virtual_clock) {
        ++virtual_now_100ns_; // so that a thread that polls the clock sees it move
    }
    return true;
}

void FiberScheduler::accept_host_calls() {
    const std::lock_guard guard(door_->mutex);
    attention_ = false;
    for (const std::shared_ptr<HostRecord> &record : calls_) {
        if (record->thread == nullptr) {
            Thread *thread = make_thread("client", world_.client_process(), false);
            thread->impl->fiber = std::make_unique<Fiber>([this, thread, record] { host_main(*thread, *record); });
            host_of_[thread] = record;
            record->thread = thread;
        }
        record->state = HostRecord::State::Running;
        record->thread->impl->state = State::Ready;
        ready_.push_back(record->thread);
        ++outstanding_calls_;
        virtual_limit_100ns_ = virtual_now_100ns_ + VIRTUAL_LIMIT_100NS;
    }
    calls_.clear();
    for (const std::shared_ptr<HostRecord> &record : ended_hosts_) {
        Thread *thread = record->thread;
        if (thread == nullptr) {
            continue;
        }
        record->thread = nullptr;
        thread->terminating = true;
        thread->ended = true;
        thread->impl->state = State::Ended;
        thread->impl->fiber.reset(); // between two calls: nothing of anybody is on it
        host_of_.erase(thread);
        std::erase(all_, thread);
        wake(thread);
        thread->dereference();
    }
    ended_hosts_.clear();
}

void FiberScheduler::expire_deadlines(uint64_t now_100ns) {
    while (!deadlines_.empty() && deadlines_.begin()->first <= now_100ns) {
        make_ready(*deadlines_.begin()->second);
    }
}

uint32_t FiberScheduler::pick_unpinned() {
    std::array<uint32_t, MAX_PROCESSORS> free;
    uint32_t count = 0;
    for (uint32_t index = 0; index < processors_.size(); ++index) {
        if (processors_[index].pinned == nullptr) {
            free[count++] = index;
        }
    }
    return free[count == 1 ? 0 : world_.random(count)];
}

bool FiberScheduler::run_one(uint64_t now_100ns) {
    if (world_.schedule != nullptr) {
        return run_scheduled(now_100ns);
    }
    uint64_t unpinned = 0;
    std::array<uint32_t, MAX_PROCESSORS> pinned_ready;
    uint64_t pinned_choices = 0;
    for (uint32_t index = 0; index < processors_.size(); ++index) {
        const Thread *pinned = processors_[index].pinned;
        if (pinned == nullptr) {
            ++unpinned;
        } else if (pinned->impl->state == State::Ready) {
            pinned_ready[pinned_choices++] = index;
        }
    }
    const uint64_t free_choices = unpinned != 0 ? ready_.size() : 0;
    const uint64_t dpc_choices = unpinned != 0 && !dpcs_.empty() && dpcs_.begin()->first <= now_100ns ? 1 : 0;
    const uint64_t choices = free_choices + dpc_choices + pinned_choices;
    if (choices == 0) {
        return false;
    }
    uint64_t choice = choices == 1 ? 0 : world_.random(choices);
    if (choice < free_choices) {
        Thread &thread = *ready_[choice];
        ready_[choice] = ready_.back();
        ready_.pop_back();
        run(thread, pick_unpinned());
        return true;
    }
    choice -= free_choices;
    if (choice < dpc_choices) {
        start_dpc(pick_unpinned());
        return true;
    }
    const uint32_t processor = pinned_ready[choice - dpc_choices];
    Thread &thread = *processors_[processor].pinned;
    processors_[processor].pinned = nullptr;
    run(thread, processor);
    return true;
}

void FiberScheduler::start_dpc(uint32_t index) {
    Processor &processor = processors_[index];
    Thread *below = processor.current;
    const auto position = below != nullptr ? std::find(ready_.begin(), ready_.end(), below) : ready_.end();
    if (position != ready_.end()) {
        ready_.erase(position);
        processor.interrupted = below;
    }
    Thread *context = nullptr;
    if (!idle_dpc_contexts_.empty()) {
        context = idle_dpc_contexts_.back();
        idle_dpc_contexts_.pop_back();
    } else {
        context = make_thread("DPC", nullptr, true);
        context->impl->fiber = std::make_unique<Fiber>([this, context] { dpc_main(*context); });
    }
    context->irql = DISPATCH_LEVEL;
    context->borrowed = processor.interrupted != nullptr ? processor.interrupted : idle_thread_;
    dpc_of_[context] = std::move(dpcs_.begin()->second);
    dpcs_.erase(dpcs_.begin());
    run(*context, index);
}

void FiberScheduler::resume(Thread &thread) {
    thread.impl->state = State::Running;
    set_context(&world_, &thread);
    Fiber::switch_to(*loop_fiber_, *thread.impl->fiber);
    set_context(&world_, nullptr);
}

void FiberScheduler::run(Thread &thread, uint32_t index) {
    // A thread that ran elsewhere before has no claim there any more.
    Processor &before = processors_[thread.impl->processor];
    if (before.current == &thread) {
        before.current = nullptr;
    }
    thread.impl->processor = index;
    if (thread.borrowed == nullptr) {
        processors_[index].current = &thread;
    }
    resume(thread);
    after_run(thread, index);
}

void FiberScheduler::after_run(Thread &thread, uint32_t index) {
    if (halted_) {
        return;
    }
    Processor &processor = processors_[index];
    left_ = &thread;
    switch (thread.impl->state) {
    case State::Ready:
        if (thread.irql >= DISPATCH_LEVEL) {
            processor.pinned = &thread;
        } else {
            ready_.push_back(&thread);
        }
        break;
    case State::Spinning:
        if (thread.irql >= DISPATCH_LEVEL) {
            processor.pinned = &thread;
        }
        break;
    case State::Idle:
        if (thread.borrowed != nullptr) {
            thread.borrowed = nullptr;
            idle_dpc_contexts_.push_back(&thread);
            if (processor.interrupted != nullptr) {
                ready_.push_back(std::exchange(processor.interrupted, nullptr));
            }
        } else {
            processor.current = nullptr;
            finish_host_call(thread);
        }
        break;
    case State::Blocked:
        processor.current = nullptr;
        break;
    case State::Ended:
        left_ = nullptr;
        processor.current = nullptr;
        thread.impl->fiber.reset();
        std::erase(all_, &thread);
        thread.dereference();
        break;
    case State::Running:
        break;
    }
}

void FiberScheduler::finish_host_call(Thread &thread) {
    const std::shared_ptr<HostRecord> &record = host_of_.at(&thread);
    const std::lock_guard guard(door_->mutex);
    --outstanding_calls_;
    virtual_limit_100ns_ = virtual_now_100ns_ + VIRTUAL_LIMIT_100NS;
    record->state = HostRecord::State::Done;
    record->changed.notify_all();
}

void FiberScheduler::run_clock_job(std::function<void()> job) {
    clock_job_ = std::move(job);
    resume(*clock_);
}

std::optional<uint64_t> FiberScheduler::next_due() const {
    std::optional<uint64_t> due;
    const auto consider = [&due](const auto &queue) {
        if (!queue.empty() && (!due || queue.begin()->first < *due)) {
            due = queue.begin()->first;
        }
    };
    consider(deadlines_);
    consider(timers_);
    consider(dpcs_);
    return due;
}

bool FiberScheduler::idle() {
    if (halted_ || ending_seen_) {
        return false;
    }
    const bool spinning =
        std::any_of(processors_.begin(), processors_.end(), [](const Processor &p) { return p.pinned != nullptr; });
    if (spinning) {
        report_stuck("DEADLOCK", "every processor that could go on waits for a spin lock");
        return false;
    }
    std::unique_lock lock(door_->mutex);
    if (end_wanted_) {
        return world_.ending() && !ending_seen_;
    }
    if (!calls_.empty() || !ended_hosts_.empty()) {
        lock.unlock();
        accept_host_calls();
        return true;
    }
    const std::optional<uint64_t> due = next_due();
    if (!world_.options.virtual_clock) {
        if (due) {
            const uint64_t now = interrupt_time_100ns();
            if (*due > now) {
                loop_wanted_.wait_for(lock, std::chrono::nanoseconds((*due - now) * 100));
            }
        } else {
            loop_wanted_.wait(lock);
        }
        return true;
    }
    // Only while a host call is in the world: what happens between two calls must not depend on how long the host takes.
    if (due && outstanding_calls_ != 0 && *due <= virtual_limit_100ns_) {
        virtual_now_100ns_ = std::max(virtual_now_100ns_, *due);
        return true;
    }
    if (outstanding_calls_ != 0) {
        lock.unlock();
        report_stuck("HANG", due ? "the virtual clock ran for an hour and a host call has not returned"
                                 : "nothing can ever become ready");
        return false;
    }
    loop_wanted_.wait(lock);
    return true;
}

void FiberScheduler::report_stuck(const char *rule, const char *what) {
    std::string text = what;
    for (const std::string &line : describe_threads()) {
        text += "; " + line;
    }
    run_clock_job([this, rule, text] { world_.stop(rule, "scheduler", text); });
}

void FiberScheduler::leave_loop() {
    const std::lock_guard guard(door_->mutex);
    door_->closed = true;
    door_->finished = true;
    for (const auto &[thread, record] : host_of_) {
        if (record->state != HostRecord::State::Running) {
            continue;
        }
        record->state = HostRecord::State::Failed;
        record->changed.notify_all();
    }
    for (const std::shared_ptr<HostRecord> &record : calls_) {
        record->state = HostRecord::State::Failed;
        record->changed.notify_all();
    }
    calls_.clear();
}

} // namespace fltsim
