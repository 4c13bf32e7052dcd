// SPDX-License-Identifier: MIT
//
// This module provides: ThreadScheduler (thread_scheduler.hpp).

#include "core/thread_scheduler.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <utility>

namespace fltsim {

namespace {

using State = Thread::Impl::State;

/// How long a world that ends waits for real threads that are still inside it.
constexpr std::chrono::seconds PATIENCE{10};
/// One of so many scheduling points gives the model lock away for a moment.
constexpr uint64_t YIELD_ONE_IN = 16;

/// What a simulated thread may not end with, as text; empty when it holds nothing.
std::string held_by(const Thread &thread, KIRQL irql) {
    if (thread.irql == irql && thread.model_depth == 0 && thread.spin_locks_held == 0 &&
        thread.kernel_apc_disable == 0) {
        return {};
    }
    return "IRQL " + std::to_string(thread.irql) + ", critical regions " + std::to_string(thread.kernel_apc_disable) +
           ", spin locks " + std::to_string(thread.spin_locks_held) + ", model calls " +
           std::to_string(thread.model_depth);
}

void run_guarded(World &world, Thread &thread, const std::function<void()> &fn, const char *what) {
    const KIRQL irql = thread.irql;
    try {
        fn();
    } catch (const std::exception &exception) {
        world.stop("MODEL EXCEPTION", what, exception.what());
    } catch (...) {
        world.stop("MODEL EXCEPTION", what, "an exception of an unknown type");
    }
    const std::string held = held_by(thread, irql);
    if (!held.empty()) {
        world.stop("V15 thread ends with something held", what, held);
    }
}

} // namespace

ThreadScheduler::ThreadScheduler(World &world)
    : world_(world), door_(std::make_shared<HostDoor>()), zero_(std::chrono::steady_clock::now()),
      processors_(world.options.processor_count) {
    door_->on_host_ended = [this](const std::shared_ptr<HostRecord> &record) { host_ended(record); };
    idle_thread_ = new Thread();
    idle_thread_->name = "idle";
    idle_thread_->process = world.system_process();
    clock_ = make_thread("clock", nullptr, true);
    clock_->irql = DISPATCH_LEVEL;
    for (Processor &processor : processors_) {
        processor.context = make_thread("DPC", nullptr, true);
        processor.context->irql = DISPATCH_LEVEL;
        processor.context->borrowed = idle_thread_;
        processor.context->impl->processor = static_cast<uint32_t>(&processor - processors_.data());
    }
}

ThreadScheduler::~ThreadScheduler() {
    end();
    {
        const std::lock_guard guard(door_->mutex);
        door_->on_host_ended = nullptr;
    }
    for (Thread *thread : all_) {
        thread->ended = true;
        thread->dereference();
    }
    idle_thread_->dereference();
}

Thread *ThreadScheduler::make_thread(std::string name, Process *process, bool daemon) {
    auto *thread = new Thread();
    next_id_ += 4;
    thread->id = 0x100 + next_id_;
    thread->name = std::move(name);
    thread->process = process != nullptr ? process : world_.system_process();
    thread->daemon = daemon;
    thread->impl->processor = static_cast<uint32_t>(next_id_ / 4 % processors_.size());
    all_.push_back(thread);
    return thread;
}

void ThreadScheduler::start() {
    const std::lock_guard guard(model_);
    started_ = true;
    clock_host_ = std::thread([this] { clock_main(); });
    for (Processor &processor : processors_) {
        processor.host = std::thread([this, &processor] { dpc_main(processor); });
    }
    started_changed_.notify_all();
}

Thread *ThreadScheduler::spawn(std::string name, Process *process, std::function<void()> main, bool daemon) {
    Thread *thread = make_thread(std::move(name), process, daemon);
    thread->impl->main = std::move(main);
    thread->impl->host = std::thread([this, thread] { thread_main(*thread); });
    return thread;
}

void ThreadScheduler::thread_main(Thread &thread) {
    {
        std::unique_lock guard(model_);
        started_changed_.wait(guard, [this] { return started_; });
        thread.impl->state = State::Running;
    }
    set_context(&world_, &thread);
    run_guarded(world_, thread, thread.impl->main, "thread");
    thread.impl->main = nullptr;
    set_context(nullptr, nullptr);
    const std::lock_guard guard(model_);
    thread.terminating = true;
    thread.ended = true;
    thread.impl->state = State::Ended;
    finished_hosts_.push_back(std::move(thread.impl->host));
    std::erase(all_, &thread);
    wake(&thread);
    thread.dereference();
    somebody_left_.notify_all();
}

void ThreadScheduler::clock_main() {
    set_context(&world_, clock_);
    std::unique_lock guard(model_);
    clock_->model_depth = 1;
    while (!stopping_) {
        const uint64_t now = interrupt_time_100ns();
        if (!timers_.empty() && timers_.begin()->first <= now) {
            const auto timer = timers_.extract(timers_.begin());
            timer.mapped()();
            continue;
        }
        if (!dpcs_due_later_.empty() && dpcs_due_later_.begin()->first <= now) {
            auto dpc = dpcs_due_later_.extract(dpcs_due_later_.begin());
            queue_dpc(std::move(dpc.mapped()), 0);
            continue;
        }
        std::optional<uint64_t> due;
        if (!timers_.empty()) {
            due = timers_.begin()->first;
        }
        if (!dpcs_due_later_.empty()) {
            due = std::min(due.value_or(UINT64_MAX), dpcs_due_later_.begin()->first);
        }
        if (due) {
            clock_wanted_.wait_until(guard, time_point(*due));
        } else {
            clock_wanted_.wait(guard);
        }
    }
    set_context(nullptr, nullptr);
}

void ThreadScheduler::dpc_main(Processor &processor) {
    set_context(&world_, processor.context);
    std::unique_lock guard(model_);
    for (;;) {
        processor.wanted.wait(guard, [&] { return stopping_ || !processor.dpcs.empty(); });
        if (processor.dpcs.empty()) {
            break;
        }
        const std::function<void()> dpc = std::move(processor.dpcs.front());
        processor.dpcs.pop_front();
        guard.unlock();
        run_guarded(world_, *processor.context, dpc, "DPC");
        guard.lock();
    }
    set_context(nullptr, nullptr);
}

std::chrono::steady_clock::time_point ThreadScheduler::time_point(uint64_t interrupt_time_100ns) const {
    // Deadlines may be "never" numbers: a year is far enough.
    constexpr uint64_t YEAR_100NS = uint64_t{365} * 86400 * 10'000'000;
    const uint64_t since =
        interrupt_time_100ns > FIRST_INTERRUPT_TIME_100NS ? interrupt_time_100ns - FIRST_INTERRUPT_TIME_100NS : 0;
    return zero_ + std::chrono::nanoseconds(std::min(since, YEAR_100NS) * 100);
}

void ThreadScheduler::wait_once(Thread &thread, State state, const void *channel,
                                std::optional<uint64_t> deadline_100ns) {
    // The caller holds model_ through its KernelCall; adopt it for the wait and give it back to the KernelCall after.
    std::unique_lock guard(model_, std::adopt_lock);
    waiters_[channel].push_back(&thread);
    thread.impl->channel = channel;
    thread.impl->deadline_100ns = deadline_100ns;
    thread.impl->state = state;
    if (deadline_100ns) {
        thread.impl->woken.wait_until(guard, time_point(*deadline_100ns));
    } else {
        thread.impl->woken.wait(guard);
    }
    thread.impl->state = State::Running;
    const auto list = waiters_.find(thread.impl->channel);
    if (list != waiters_.end()) {
        std::erase(list->second, &thread);
        if (list->second.empty()) {
            waiters_.erase(list);
        }
    }
    thread.impl->channel = nullptr;
    thread.impl->deadline_100ns.reset();
    guard.release();
}

bool ThreadScheduler::block(const void *channel, const std::function<bool()> &pred,
                            std::optional<uint64_t> deadline_100ns) {
    Thread &thread = executing();
    if (thread.irql >= DISPATCH_LEVEL) {
        world_.stop("V5 IRQL too high", "wait", "a wait at IRQL " + std::to_string(thread.irql));
    }
    for (;;) {
        if (pred()) {
            return true;
        }
        if (!started_ || ended_) {
            return false; // the world is being made or freed: nobody else will run
        }
        if (deadline_100ns && interrupt_time_100ns() >= *deadline_100ns) {
            return false;
        }
        if (thread.daemon && world_.ending()) {
            if (++thread.impl->waits_while_ending <= WAITS_WHILE_ENDING) {
                return false;
            }
            deadline_100ns.reset();
        }
        wait_once(thread, State::Blocked, channel, deadline_100ns);
    }
}

void ThreadScheduler::spin_wait(const void *channel, const std::function<bool()> &pred) {
    Thread &thread = executing();
    while (!pred()) {
        wait_once(thread, State::Spinning, channel, {});
    }
}

void ThreadScheduler::wake(const void *channel) {
    const auto list = waiters_.find(channel);
    if (list == waiters_.end()) {
        return;
    }
    for (Thread *thread : list->second) {
        thread->impl->woken.notify_all();
    }
}

void ThreadScheduler::yield() {
    Thread &thread = executing();
    if (!started_ || ended_ || &thread == clock_ || world_.random(YIELD_ONE_IN) != 0) {
        return;
    }
    if (thread.model_depth > 0) {
        model_.unlock();
    }
    std::this_thread::yield();
    if (thread.model_depth > 0) {
        model_.lock();
    }
}

void ThreadScheduler::queue_dpc(std::function<void()> dpc, uint64_t due_100ns) {
    if (due_100ns > interrupt_time_100ns()) {
        dpcs_due_later_.emplace(due_100ns, std::move(dpc));
        clock_wanted_.notify_one();
        return;
    }
    Processor &processor = processors_[world_.random(processors_.size())];
    processor.dpcs.push_back(std::move(dpc));
    processor.wanted.notify_one();
}

void ThreadScheduler::at(uint64_t due_100ns, std::function<void()> fn) {
    timers_.emplace(due_100ns, std::move(fn));
    clock_wanted_.notify_one();
}

bool ThreadScheduler::host_call(const std::function<void()> &fn, bool even_when_closing) {
    if (world_or_null() == &world_) {
        fn();
        return true;
    }
    const std::shared_ptr<HostRecord> record = door_->record_of_caller();
    {
        const std::scoped_lock guard(model_, door_->mutex);
        if (door_->finished || (door_->closed && !even_when_closing)) {
            return false;
        }
        if (record->thread == nullptr) {
            record->thread = make_thread("client", world_.client_process(), false);
        }
        record->thread->impl->state = State::Running;
        ++calls_inside_;
    }
    {
        const ContextScope scope(&world_, record->thread);
        run_guarded(world_, *record->thread, fn, "host call");
    }
    const std::lock_guard guard(model_);
    record->thread->impl->state = State::Idle;
    --calls_inside_;
    somebody_left_.notify_all();
    return true;
}

void ThreadScheduler::host_ended(const std::shared_ptr<HostRecord> &record) {
    Thread *thread = std::exchange(record->thread, nullptr);
    if (thread == nullptr) {
        return;
    }
    // The door's mutex is held and is a leaf everywhere else: model_ is taken below it here only, where this host thread holds nothing.
    const std::lock_guard guard(model_);
    thread->terminating = true;
    thread->ended = true;
    thread->impl->state = State::Ended;
    std::erase(all_, thread);
    wake(thread);
    thread->dereference();
}

uint32_t ThreadScheduler::current_processor() {
    return has_context() ? executing().impl->processor : 0;
}

Thread *ThreadScheduler::reference_thread(uint64_t id) {
    const auto found = std::find_if(all_.begin(), all_.end(), [id](const Thread *thread) { return thread->id == id; });
    if (found == all_.end()) {
        return nullptr;
    }
    (*found)->reference();
    return *found;
}

std::vector<Thread *> ThreadScheduler::reference_threads(const Process &process) {
    std::vector<Thread *> found;
    for (Thread *thread : all_) {
        if (thread->process == &process) {
            thread->reference();
            found.push_back(thread);
        }
    }
    return found;
}

uint64_t ThreadScheduler::interrupt_time_100ns() {
    const auto since = std::chrono::steady_clock::now() - zero_;
    return FIRST_INTERRUPT_TIME_100NS +
           static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count()) / 100;
}

void ThreadScheduler::halt() {
    std::abort();
}

void ThreadScheduler::close_door() {
    const std::lock_guard guard(door_->mutex);
    door_->closed = true;
}

bool ThreadScheduler::end() {
    std::unique_lock guard(model_);
    if (ended_) {
        return true;
    }
    for (const auto &[channel, threads] : waiters_) {
        for (Thread *thread : threads) {
            thread->impl->woken.notify_all();
        }
    }
    const bool left = somebody_left_.wait_for(guard, PATIENCE, [this] {
        return calls_inside_ == 0 && std::none_of(all_.begin(), all_.end(),
                                                  [](const Thread *thread) { return thread->impl->host.joinable(); });
    });
    if (!left) {
        return false;
    }
    ended_ = true;
    stopping_ = true;
    clock_wanted_.notify_all();
    for (Processor &processor : processors_) {
        processor.wanted.notify_all();
    }
    std::vector<std::thread> hosts = std::move(finished_hosts_);
    guard.unlock();
    for (std::thread &host : hosts) {
        host.join();
    }
    if (clock_host_.joinable()) {
        clock_host_.join();
    }
    for (Processor &processor : processors_) {
        if (processor.host.joinable()) {
            processor.host.join();
        }
    }
    const std::lock_guard door(door_->mutex);
    door_->finished = true;
    return true;
}

std::vector<std::string> ThreadScheduler::describe_threads() {
    std::vector<std::string> lines;
    for (const Thread *thread : all_) {
        lines.push_back(describe(*thread));
    }
    return lines;
}

std::unique_ptr<Scheduler> make_thread_scheduler(World &world) {
    return std::make_unique<ThreadScheduler>(world);
}

} // namespace fltsim
