// SPDX-License-Identifier: MIT
//
// This module provides: an open handle shared by a JavaScript object and the calls that use it.
// Invariants: the handle is closed exactly once, on a worker thread, after the calls that entered have left; whoever asks to
// close it is answered when it is closed; a handle that nobody closed is closed when nobody has it any more.
#pragma once

#include "backend.hpp"
#include "environment.hpp"

#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace minipend {

/// One call on a file that can be cancelled.
class IoCall {
  public:
    enum class Way { thread, overlapped };

    /// `address` lasts as long as the call; `buffer` is what the system reads or writes.
    IoCall(HANDLE handle, SharedBytes buffer) : handle_(handle), buffer_(std::move(buffer)) {}

    /// The worker begins. False: it was cancelled before, and must not make the call.
    bool begin(Way way, uint32_t thread_id);
    /// The worker is out of the call: nothing of this thread is cancelled after this returns. Again: nothing.
    void end();
    void mark_cancelled();
    /// The system has the call and will end it later.
    void pending();
    /// Tells once whether pending() came (true), or the call ended without it (false). On any thread, also at once.
    void when_pending(std::function<void(bool)> tell);
    /// Asks the system to end the call, again for a while when it has not reached it yet. Worker thread.
    void cancel(const Backend &backend);

    OVERLAPPED overlapped{};

  private:
    enum class State { queued, running, done };
    enum class Attempt { over, again };
    Attempt try_cancel(const Api &api);

    std::mutex mutex_;
    State state_ = State::queued;
    Way way_ = Way::thread;
    bool cancelled_ = false;
    bool pending_ = false;
    std::vector<std::function<void(bool)>> tell_pending_;
    uint32_t thread_id_ = 0;
    HANDLE handle_;
    SharedBytes buffer_;
};

class HandleState : public std::enable_shared_from_this<HandleState> {
  public:
    /// `closer` closes what this is about; it is called on a thread of `close_on`, which is one of the backend's executors.
    HandleState(std::shared_ptr<Backend> backend, std::shared_ptr<Environment> environment, Executor &close_on,
                std::function<Outcome()> closer);
    virtual ~HandleState();
    HandleState(const HandleState &) = delete;
    HandleState &operator=(const HandleState &) = delete;

    const std::shared_ptr<Backend> backend;
    const std::shared_ptr<Environment> environment;

    /// A call begins to use the handle. False when it is being closed. Each true needs one leave().
    bool enter();
    void leave();
    /// JavaScript's close(): a promise of what `convert` makes of how the closing ended.
    Napi::Value close(Napi::Env env, std::function<Napi::Value(Napi::Env, const Outcome &)> convert);
    /// Closes without anybody waiting.
    void close_unasked();
    virtual void cancel_all() {}

  protected:
    /// The handle is about to be closed: ends the calls that may otherwise never leave it.
    virtual void end_waits() {}

  private:
    void begin_close();
    void run_close();
    void answer_closers(Outcome outcome);

    Executor &close_on_;
    std::function<Outcome()> closer_;
    std::mutex mutex_;
    size_t entered_ = 0;
    bool closing_ = false;
    bool closed_ = false;
    Outcome outcome_{0, 0};
    std::vector<std::shared_ptr<Call>> closers_;
};

/// RAII: one use of a handle. `inside()` tells whether the handle could be entered.
template <class State> class Use {
  public:
    explicit Use(std::shared_ptr<State> state) : state_(std::move(state)), inside_(state_->enter()) {}
    ~Use() {
        if (inside_) {
            state_->leave();
        }
    }
    Use(const Use &) = delete;
    Use &operator=(const Use &) = delete;
    bool inside() const { return inside_; }
    State &operator*() const { return *state_; }
    State *operator->() const { return state_.get(); }

  private:
    std::shared_ptr<State> state_;
    bool inside_;
};

} // namespace minipend
