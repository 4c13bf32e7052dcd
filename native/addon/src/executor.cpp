// SPDX-License-Identifier: MIT
#include "executor.hpp"

#include <system_error>
#include <thread>

namespace minipend {

namespace {
constexpr std::chrono::seconds kIdleLimit{10};
}

WorkerThread::~WorkerThread() {
    if (end) {
        end();
    }
}

Executor::Executor(size_t max_threads) : shared_(std::make_shared<Shared>()) {
    shared_->max_threads = max_threads;
}

Executor::~Executor() {
    stop();
}

bool Executor::submit(Task task) {
    std::unique_lock lock(shared_->mutex);
    if (shared_->stopping) {
        return false;
    }
    shared_->tasks.push_back(std::move(task));
    if (shared_->tasks.size() <= shared_->idle || shared_->threads >= shared_->max_threads) {
        shared_->work.notify_one();
        return true;
    }
    try {
        std::thread(thread_main, shared_).detach();
        ++shared_->threads;
        return true;
    } catch (const std::system_error &) {
        if (shared_->threads != 0) {
            return true; // a thread that exists will come to it
        }
        shared_->tasks.pop_back();
        return false;
    }
}

void Executor::stop() {
    std::scoped_lock lock(shared_->mutex);
    shared_->stopping = true;
    shared_->work.notify_all();
}

bool Executor::wait_ended(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(shared_->mutex);
    return shared_->ended.wait_until(lock, deadline, [&] { return shared_->threads == 0; });
}

void Executor::thread_main(std::shared_ptr<Shared> shared) {
    work(*shared);
    std::scoped_lock lock(shared->mutex);
    --shared->threads;
    shared->ended.notify_all();
}

void Executor::work(Shared &shared) {
    WorkerThread self;
    const bool keeps = shared.max_threads == 1;
    std::unique_lock lock(shared.mutex);
    for (;;) {
        if (shared.tasks.empty()) {
            if (shared.stopping) {
                return;
            }
            ++shared.idle;
            const auto ready = [&] { return !shared.tasks.empty() || shared.stopping; };
            bool woken = true;
            if (keeps) {
                shared.work.wait(lock, ready);
            } else {
                woken = shared.work.wait_for(lock, kIdleLimit, ready);
            }
            --shared.idle;
            if (!woken) {
                return;
            }
            continue;
        }
        Task task = std::move(shared.tasks.front());
        shared.tasks.pop_front();
        lock.unlock();
        task(self);
        task = nullptr; // what the task holds may not be destroyed under the lock
        lock.lock();
    }
}

} // namespace minipend
