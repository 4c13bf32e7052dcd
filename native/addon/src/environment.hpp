// SPDX-License-Identifier: MIT
//
// This module provides: what one JavaScript environment (the main thread or a worker thread) has of this addon, and the way of a
// call from JavaScript to a worker thread and back.
//
// Life of a call: start() makes a promise and counts the call; a worker thread runs `work`; complete() queues the call for the
// JavaScript thread, which takes all that are queued at once and settles each promise with what `convert` makes.
// Invariants: the environment is held open only while calls are pending; JavaScript values are touched on the JavaScript thread alone; after
// the cleanup hook has begun no thread calls into the environment. The system never sees JavaScript memory: a call works on
// bytes of its own, copied in when it starts and out when it is settled, so nothing has to outlive the environment.
#pragma once

#include "executor.hpp"

#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace minipend {

class Backend;
struct Threads;

/// Bytes of our own, aligned for any message, structure and (from one page on) unbuffered I/O.
class Bytes {
  public:
    explicit Bytes(size_t size);
    ~Bytes();
    Bytes(const Bytes &) = delete;
    Bytes &operator=(const Bytes &) = delete;
    uint8_t *data() { return data_; }
    size_t size() const { return size_; }

    size_t copy_out = 0; ///< how many of them go back to JavaScript
    size_t copy_from = 0; ///< from where on

  private:
    uint8_t *data_;
    size_t size_;
};

using SharedBytes = std::shared_ptr<Bytes>;

/// One call between its two halves. `work` and `convert` hold C++ values only, so a call may be dropped on any thread.
struct Call {
    std::function<void(WorkerThread &)> work;
    std::function<Napi::Value(Napi::Env)> convert;
    napi_deferred deferred = nullptr;
    SharedBytes bytes; ///< to copy out, or null
    napi_ref destination = nullptr; ///< the Uint8Array they go to
    bool failed = false; ///< work threw: memory
};

class Environment : public std::enable_shared_from_this<Environment> {
  public:
    static std::shared_ptr<Environment> attach(Napi::Env env);
    static Environment &of(napi_env env);

    explicit Environment(napi_env env) : env_(env) {}

    /// Starts a call on `executor`. If the executor takes no more, the call is settled at once with what `convert` makes of
    /// untouched results: those say "invalid handle". `destination`: the Uint8Array that `bytes->copy_out` bytes go to.
    Napi::Value start(Executor &executor, std::function<void(WorkerThread &)> work,
                      std::function<Napi::Value(Napi::Env)> convert, SharedBytes bytes = nullptr,
                      std::optional<Napi::Uint8Array> destination = std::nullopt);
    /// The same in parts, for calls that others start: prepare() on the JavaScript thread, complete() once on any thread.
    std::shared_ptr<Call> prepare(std::function<Napi::Value(Napi::Env)> convert, Napi::Value &promise);
    void complete(std::shared_ptr<Call> call);

    /// A promise that is settled with what `convert` makes, without any work.
    Napi::Value answer(std::function<Napi::Value(Napi::Env)> convert);

    /// The environment's cleanup ends this backend.
    void add_backend(const std::shared_ptr<Backend> &backend);

    /// Ends what runs for this environment, for a bounded time. From the cleanup hook, or when the process exits without one.
    void end();

    napi_value constructor(size_t kind) const;
    void set_constructor(size_t kind, napi_value constructor);

  private:
    static void cleanup_hook(void *data);
    static void settle_hook(napi_env env, napi_value callback, void *context, void *data);
    void settle(Napi::Env env, const std::shared_ptr<Call> &call);

    napi_env env_;
    napi_threadsafe_function wake_ = nullptr;
    size_t pending_ = 0; ///< JavaScript thread only
    std::vector<napi_ref> constructors_;
    struct Owned {
        std::weak_ptr<Backend> backend;
        std::shared_ptr<Threads> threads; ///< these may outlive a backend that nobody closed
    };
    std::vector<Owned> backends_; ///< JavaScript thread only

    std::mutex mutex_;
    bool dead_ = false;
    bool woken_ = false;
    std::vector<std::shared_ptr<Call>> done_;
};

/// Throws a TypeError "minipend native: ..." and returns an empty value, for `return throw_type_error(...)`.
Napi::Value throw_type_error(Napi::Env env, const std::string &text);

} // namespace minipend
