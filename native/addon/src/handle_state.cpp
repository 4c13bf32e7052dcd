// SPDX-License-Identifier: MIT
#include "handle_state.hpp"

#include <system_error>
#include <thread>

namespace minipend {

namespace {
constexpr int kCancelAttempts = 100;
constexpr std::chrono::milliseconds kCancelPause{2};
constexpr DWORD kThreadTerminate = 0x0001; ///< the right that CancelSynchronousIo asks for
} // namespace

bool IoCall::begin(Way way, uint32_t thread_id) {
    std::scoped_lock lock(mutex_);
    if (cancelled_) {
        state_ = State::done;
        return false;
    }
    state_ = State::running;
    way_ = way;
    thread_id_ = thread_id;
    return true;
}

void IoCall::end() {
    std::vector<std::function<void(bool)>> tell;
    {
        std::scoped_lock lock(mutex_);
        state_ = State::done;
        tell.swap(tell_pending_);
    }
    for (const auto &each : tell) {
        each(false);
    }
}

void IoCall::pending() {
    std::vector<std::function<void(bool)>> tell;
    {
        std::scoped_lock lock(mutex_);
        pending_ = true;
        tell.swap(tell_pending_);
    }
    for (const auto &each : tell) {
        each(true);
    }
}

void IoCall::when_pending(std::function<void(bool)> tell) {
    bool known = false;
    {
        std::scoped_lock lock(mutex_);
        if (!pending_ && state_ != State::done) {
            tell_pending_.push_back(std::move(tell));
            return;
        }
        known = pending_;
    }
    tell(known);
}

void IoCall::mark_cancelled() {
    std::scoped_lock lock(mutex_);
    cancelled_ = true;
}

IoCall::Attempt IoCall::try_cancel(const Api &api) {
    // Under the lock, so that the worker cannot leave this call and enter another one, which would be cancelled in its place.
    std::scoped_lock lock(mutex_);
    if (state_ != State::running) {
        return Attempt::over;
    }
    if (way_ == Way::overlapped) {
        return api.CancelIoEx(handle_, &overlapped) ? Attempt::over : Attempt::again;
    }
    HANDLE thread = api.OpenThread(kThreadTerminate, FALSE, thread_id_);
    if (thread == nullptr) {
        return Attempt::again;
    }
    const bool cancelled = api.CancelSynchronousIo(thread) != 0;
    api.CloseHandle(thread);
    return cancelled ? Attempt::over : Attempt::again;
}

void IoCall::cancel(const Backend &backend) {
    // "Nothing to cancel" also comes in the moment between begin() and the system's taking the call.
    for (int attempt = 0; attempt < kCancelAttempts; ++attempt) {
        if (backend.closed() && backend.api->embedded()) {
            return; // the world's end brings the call back
        }
        backend.api->select_world(backend.world);
        if (try_cancel(*backend.api) == Attempt::over) {
            return;
        }
        std::this_thread::sleep_for(kCancelPause);
    }
}

HandleState::HandleState(std::shared_ptr<Backend> backend, std::shared_ptr<Environment> environment, Executor &close_on,
                         std::function<Outcome()> closer)
    : backend(std::move(backend)), environment(std::move(environment)), close_on_(close_on),
      closer_(std::move(closer)) {}

HandleState::~HandleState() {
    backend->remove(this);
    if (!closing_) {
        // The task keeps the backend, and with it the executor. One that has stopped belongs to a backend that has ended.
        close_on_.submit([backend = backend, closer = std::move(closer_)](WorkerThread &) { closer(); });
    }
}

bool HandleState::enter() {
    std::scoped_lock lock(mutex_);
    if (closing_ || backend->closed()) {
        return false;
    }
    ++entered_;
    return true;
}

void HandleState::leave() {
    std::unique_lock lock(mutex_);
    --entered_;
    if (entered_ == 0 && closing_ && !closed_) {
        lock.unlock();
        begin_close();
    }
}

Napi::Value HandleState::close(Napi::Env, std::function<Napi::Value(Napi::Env, const Outcome &)> convert) {
    end_waits();
    Napi::Value promise;
    auto self = shared_from_this();
    auto call = environment->prepare([self, convert](Napi::Env env) { return convert(env, self->outcome_); }, promise);
    if (call == nullptr) {
        return {};
    }
    std::unique_lock lock(mutex_);
    if (closed_) {
        lock.unlock();
        environment->complete(call);
        return promise;
    }
    closers_.push_back(std::move(call));
    const bool first = !closing_;
    closing_ = true;
    const bool now = first && entered_ == 0;
    lock.unlock();
    if (now) {
        begin_close();
    }
    return promise;
}

void HandleState::close_unasked() {
    end_waits();
    std::unique_lock lock(mutex_);
    if (closing_) {
        return;
    }
    closing_ = true;
    const bool now = entered_ == 0;
    lock.unlock();
    if (now) {
        begin_close();
    }
}

void HandleState::begin_close() {
    auto self = shared_from_this();
    if (close_on_.submit([self](WorkerThread &) { self->run_close(); })) {
        return;
    }
    // The backend has ended. A world took its handles along; Windows did not, and this may be the JavaScript thread.
    if (!backend->api->embedded()) {
        try {
            std::thread([self] { self->run_close(); }).detach();
            return;
        } catch (const std::system_error &) {
            // No thread is to be had: the handle stays open until the process ends.
        }
    }
    answer_closers({0, 0});
}

void HandleState::run_close() {
    Outcome outcome{0, 0};
    if (!(backend->closed() && backend->api->embedded())) {
        backend->api->select_world(backend->world);
        outcome = closer_();
    }
    answer_closers(outcome);
}

void HandleState::answer_closers(Outcome outcome) {
    std::vector<std::shared_ptr<Call>> closers;
    {
        std::scoped_lock lock(mutex_);
        closed_ = true;
        // outcome_ is read on the JavaScript thread after complete(), which orders the two. A second close() reads success.
        outcome_ = outcome;
        closers.swap(closers_);
    }
    for (auto &call : closers) {
        environment->complete(std::move(call));
    }
}

} // namespace minipend
