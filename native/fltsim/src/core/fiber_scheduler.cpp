// SPDX-License-Identifier: MIT
//
// This module provides: the fiber executor as simulated threads and host threads see it (fiber_scheduler.hpp).

#include "core/fiber_scheduler.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace fltsim {

FiberScheduler::FiberScheduler(World &world)
    : world_(world), door_(std::make_shared<HostDoor>()), zero_ns_(monotonic_ns()),
      processors_(world.options.processor_count) {
    door_->on_host_ended = [this](const std::shared_ptr<HostRecord> &record) {
        ended_hosts_.push_back(record);
        attention_ = true;
        loop_wanted_.notify_one();
    };
    idle_thread_ = new Thread();
    idle_thread_->name = "idle";
    idle_thread_->process = world.system_process();
    idle_thread_->daemon = true;
    clock_ = make_thread("clock", nullptr, true);
    clock_->irql = DISPATCH_LEVEL;
    clock_->model_depth = 1;
    clock_->impl->state = State::Idle;
    clock_->impl->fiber = std::make_unique<Fiber>([this] { clock_main(); });
}

FiberScheduler::~FiberScheduler() {
    end();
    {
        const std::lock_guard guard(door_->mutex);
        door_->on_host_ended = nullptr;
    }
    for (Thread *thread : all_) {
        // Between two jobs nothing of anybody is on the stack; in the middle of something everything may be.
        if (thread->impl->state != State::Idle && thread->impl->fiber) {
            Fiber::abandon(std::move(thread->impl->fiber));
        }
        thread->ended = true;
        thread->dereference();
    }
    idle_thread_->dereference();
}

void FiberScheduler::start() {
    if (world_.options.inline_loop) {
        loop_fiber_ = Fiber::of_host_thread();
        return;
    }
    host_ = std::thread([this] { loop(); });
}

Thread *FiberScheduler::make_thread(std::string name, Process *process, bool daemon) {
    auto *thread = new Thread();
    next_id_ += 4;
    thread->id = 0x100 + next_id_;
    thread->name = std::move(name);
    thread->process = process != nullptr ? process : world_.system_process();
    thread->daemon = daemon;
    all_.push_back(thread);
    return thread;
}

Thread *FiberScheduler::spawn(std::string name, Process *process, std::function<void()> main, bool daemon) {
    Thread *thread = make_thread(std::move(name), process, daemon);
    thread->impl->main = std::move(main);
    thread->impl->fiber = std::make_unique<Fiber>([this, thread] { thread_main(*thread); });
    ready_.push_back(thread);
    return thread;
}

void FiberScheduler::run_guarded(Thread &thread, const std::function<void()> &fn, const char *what) {
    try {
        fn();
    } catch (const std::exception &exception) {
        world_.stop("MODEL EXCEPTION", what, exception.what());
    } catch (...) {
        world_.stop("MODEL EXCEPTION", what, "an exception of an unknown type");
    }
    if (thread.irql != PASSIVE_LEVEL || thread.model_depth != 0 || thread.spin_locks_held != 0 ||
        thread.kernel_apc_disable != 0) {
        world_.stop("V15 thread ends with something held", what,
                    "IRQL " + std::to_string(thread.irql) + ", critical regions " +
                        std::to_string(thread.kernel_apc_disable) + ", spin locks " +
                        std::to_string(thread.spin_locks_held) + ", model calls " + std::to_string(thread.model_depth));
    }
}

void FiberScheduler::thread_main(Thread &thread) {
    run_guarded(thread, thread.impl->main, "thread");
    thread.impl->main = nullptr;
    thread.terminating = true;
    thread.ended = true;
    thread.impl->state = State::Ended;
    wake(&thread);
    Fiber::exit_to(*thread.impl->fiber, *loop_fiber_);
}

void FiberScheduler::host_main(Thread &thread, HostRecord &record) {
    for (;;) {
        run_guarded(thread, *record.fn, "host call");
        switch_out(thread, State::Idle);
    }
}

void FiberScheduler::dpc_main(Thread &thread) {
    for (;;) {
        thread.irql = DISPATCH_LEVEL;
        try {
            const auto dpc = dpc_of_.extract(&thread); // what it holds must be gone before this context rests
            dpc.mapped()();
        } catch (...) {
            world_.stop("MODEL EXCEPTION", "DPC", "a DPC routine of the model threw");
        }
        if (thread.irql != DISPATCH_LEVEL || thread.model_depth != 0 || thread.spin_locks_held != 0) {
            world_.stop("V15 DPC ends with something held", "DPC", "IRQL " + std::to_string(thread.irql));
        }
        switch_out(thread, State::Idle);
    }
}

void FiberScheduler::clock_main() {
    for (;;) {
        try {
            const std::function<void()> job = std::exchange(clock_job_, nullptr);
            job();
        } catch (...) {
            world_.stop("MODEL EXCEPTION", "clock", "a timer function of the model threw");
        }
        switch_out(*clock_, State::Idle);
    }
}

namespace {
thread_local const FiberScheduler *t_loop_of = nullptr;
}

void FiberScheduler::enter_loop() {
    t_loop_of = this;
}

void FiberScheduler::exit_loop() {
    t_loop_of = nullptr;
}

bool FiberScheduler::in_loop() const {
    return t_loop_of == this;
}

void FiberScheduler::switch_out(Thread &thread, State state) {
    thread.impl->state = state;
    Fiber::switch_to(*thread.impl->fiber, *loop_fiber_);
}

void FiberScheduler::forget_deadline(Thread &thread) {
    if (!thread.impl->in_deadlines) {
        return;
    }
    deadlines_.erase(thread.impl->deadline_position);
    thread.impl->in_deadlines = false;
}

void FiberScheduler::make_ready(Thread &thread) {
    forget_deadline(thread);
    const auto list = waiters_.find(thread.impl->channel);
    if (list != waiters_.end()) {
        std::erase(list->second, &thread);
        if (list->second.empty()) {
            waiters_.erase(list);
        }
    }
    thread.impl->channel = nullptr;
    thread.impl->deadline_100ns.reset();
    thread.impl->state = State::Ready;
    if (thread.irql < DISPATCH_LEVEL) {
        ready_.push_back(&thread);
    }
}

void FiberScheduler::wait_on(Thread &thread, State state, const void *channel, std::optional<uint64_t> deadline_100ns) {
    thread.impl->channel = channel;
    waiters_[channel].push_back(&thread);
    thread.impl->deadline_100ns = deadline_100ns;
    if (deadline_100ns) {
        thread.impl->deadline_position = deadlines_.emplace(*deadline_100ns, &thread);
        thread.impl->in_deadlines = true;
    }
    switch_out(thread, state);
}

bool FiberScheduler::block(const void *channel, const std::function<bool()> &pred,
                           std::optional<uint64_t> deadline_100ns) {
    Thread &thread = executing();
    if (thread.irql >= DISPATCH_LEVEL) {
        world_.stop("V5 IRQL too high", "wait", "a wait at IRQL " + std::to_string(thread.irql));
    }
    for (;;) {
        if (pred()) {
            return true;
        }
        if (!in_loop()) {
            return false; // the world is being made or freed: nobody else will run
        }
        if (deadline_100ns && interrupt_time_100ns() >= *deadline_100ns) {
            return false;
        }
        if (thread.daemon && world_.ending()) {
            if (++thread.impl->waits_while_ending <= WAITS_WHILE_ENDING) {
                return false;
            }
            deadline_100ns.reset(); // it does not leave: let it rest
        }
        wait_on(thread, State::Blocked, channel, deadline_100ns);
    }
}

void FiberScheduler::spin_wait(const void *channel, const std::function<bool()> &pred) {
    Thread &thread = executing();
    while (!pred()) {
        if (&thread == clock_) {
            world_.stop("UNMODELLED", "spin wait", "a timer function of the model waits for a spin lock");
        }
        if (!in_loop()) {
            world_.stop("DEADLOCK", "spin wait", "a spin lock is held while the world is made or freed");
        }
        wait_on(thread, State::Spinning, channel, {});
    }
}

void FiberScheduler::wake(const void *channel) {
    const auto list = waiters_.find(channel);
    if (list == waiters_.end()) {
        return;
    }
    const std::vector<Thread *> woken = std::move(list->second);
    waiters_.erase(list);
    for (Thread *thread : woken) {
        make_ready(*thread);
    }
}

bool FiberScheduler::quiet() {
    if (!ready_.empty() || !dpcs_.empty() || world_.ending()) {
        return false;
    }
    for (const Processor &processor : processors_) {
        if (processor.pinned != nullptr && processor.pinned->impl->state == State::Ready) {
            return false;
        }
    }
    if (!world_.options.virtual_clock) {
        if (attention_.load(std::memory_order_relaxed)) {
            return false;
        }
        // Reading the clock is most of a scheduling point's cost; what is due can wait for a few of them.
        return (timers_.empty() && deadlines_.empty()) || world_.random(8) != 0;
    }
    ++virtual_now_100ns_; // so that a thread that polls the clock sees it move
    return ++steps_ < next_accept_step_ && next_due().value_or(UINT64_MAX) > virtual_now_100ns_;
}

void FiberScheduler::yield() {
    if (world_.schedule != nullptr) {
        scheduled_yield();
        return;
    }
    // Three of four scheduling points go straight on: enough interleaving, and calls stay cheap.
    if (!in_loop() || world_.random(4) != 0 || quiet()) {
        return;
    }
    Thread &thread = executing();
    if (&thread != clock_) {
        switch_out(thread, State::Ready);
    }
}

void FiberScheduler::queue_dpc(std::function<void()> dpc, uint64_t due_100ns) {
    dpcs_.emplace(due_100ns, std::move(dpc));
}

void FiberScheduler::at(uint64_t due_100ns, std::function<void()> fn) {
    timers_.emplace(due_100ns, std::move(fn));
}

bool FiberScheduler::host_call(const std::function<void()> &fn, bool even_when_closing) {
    if (world_or_null() == &world_) { // already one of the world's threads
        fn();
        return true;
    }
    if (world_.options.inline_loop) {
        return inline_host_call(fn, even_when_closing);
    }
    const std::shared_ptr<HostRecord> record = door_->record_of_caller();
    std::unique_lock lock(door_->mutex);
    if (door_->finished || (door_->closed && !even_when_closing)) {
        return false;
    }
    record->fn = &fn;
    record->state = HostRecord::State::Queued;
    calls_.push_back(record);
    attention_ = true;
    loop_wanted_.notify_one();
    record->changed.wait(
        lock, [&] { return record->state == HostRecord::State::Done || record->state == HostRecord::State::Failed; });
    return record->state == HostRecord::State::Done;
}

uint32_t FiberScheduler::current_processor() {
    return has_context() ? executing().impl->processor : 0;
}

Thread *FiberScheduler::reference_thread(uint64_t id) {
    const auto found = std::find_if(all_.begin(), all_.end(), [id](const Thread *thread) { return thread->id == id; });
    if (found == all_.end()) {
        return nullptr;
    }
    (*found)->reference();
    return *found;
}

std::vector<Thread *> FiberScheduler::reference_threads(const Process &process) {
    std::vector<Thread *> found;
    for (Thread *thread : all_) {
        if (thread->process == &process) {
            thread->reference();
            found.push_back(thread);
        }
    }
    return found;
}

uint64_t FiberScheduler::interrupt_time_100ns() {
    if (world_.options.virtual_clock) {
        return virtual_now_100ns_;
    }
    return FIRST_INTERRUPT_TIME_100NS + (monotonic_ns() - zero_ns_) / 100;
}

void FiberScheduler::halt() {
    if (!in_loop() || !has_context()) {
        std::fputs("fltsim: a rule was broken while the world was made or freed; there is nothing to return to\n",
                   stderr);
        std::abort();
    }
    halted_ = true;
    Thread &thread = executing();
    switch_out(thread, State::Blocked);
    std::abort(); // a halted world never continues a thread
}

void FiberScheduler::close_door() {
    const std::lock_guard guard(door_->mutex);
    door_->closed = true;
}

bool FiberScheduler::end() {
    {
        const std::lock_guard guard(door_->mutex);
        door_->closed = true;
        end_wanted_ = true;
        attention_ = true;
        loop_wanted_.notify_one();
    }
    if (host_.joinable()) {
        host_.join();
    } else if (world_.options.inline_loop && !door_->finished) {
        run_inline(nullptr);
    }
    return true;
}

std::vector<std::string> FiberScheduler::describe_threads() {
    std::vector<std::string> lines;
    for (const Thread *thread : all_) {
        if (thread != clock_ && thread->impl->state != State::Idle) {
            lines.push_back(describe(*thread));
        }
    }
    return lines;
}

std::unique_ptr<Scheduler> make_fiber_scheduler(World &world) {
    return std::make_unique<FiberScheduler>(world);
}

} // namespace fltsim
