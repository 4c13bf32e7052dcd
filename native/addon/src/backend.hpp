// SPDX-License-Identifier: MIT
//
// This module provides: one Filter Manager as the addon sees it (the real one, or a world of the model), its worker threads, and
// the handles that are open in it.
// Invariants: when a backend ends, everything that is inside it comes back (embedded) or is asked to (windows); a world is destroyed
// exactly once and never on the JavaScript thread, except while the environment itself ends, and then for a bounded time.
#pragma once

#include "api.hpp"
#include "executor.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace minipend {

class HandleState;

inline constexpr uint32_t kErrorInvalidHandle = 6;
inline constexpr uint32_t kErrorNotSupported = 50;
inline constexpr uint32_t kErrorOperationAborted = 995;
inline constexpr uint32_t kErrorIoPending = 997;
inline constexpr uint32_t kErrorShutdownInProgress = 1115;
inline constexpr uint32_t kStatusCancelled = 0xC0000120;
/// HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE)
inline constexpr uint32_t kHresultInvalidHandle = 0x80070006;
/// HRESULT_FROM_WIN32 of an error that is not 0.
constexpr uint32_t hresult_of(uint32_t error) {
    return 0x80070000 | (error & 0xFFFF);
}

/// How a kernel32 call ended. What no call has touched says that the handle (or the backend) is gone.
struct Outcome {
    uint32_t error = kErrorInvalidHandle;
    uint32_t status = 0; ///< NTSTATUS of the same failure; 0 when there is none
};

struct Threads {
    static constexpr size_t kMaxIoThreads = 4096;
    Executor control{1}; ///< in order; the driver knows its thread
    Executor second{1}; ///< attach, detach, closing a port: what may wait for a drain or must wait for nobody
    Executor io{kMaxIoThreads};

    void stop();
    bool wait_ended(std::chrono::steady_clock::time_point deadline);
    bool ended() { return wait_ended(std::chrono::steady_clock::now()); }
};

class Backend : public std::enable_shared_from_this<Backend> {
  public:
    Backend() = default;
    ~Backend();
    Backend(const Backend &) = delete;
    Backend &operator=(const Backend &) = delete;

    const std::shared_ptr<Threads> threads = std::make_shared<Threads>();
    /// Set once by open_*() on the control thread, before anybody else has the backend.
    std::shared_ptr<const Api> api;
    uint32_t world = 0;

    /// Loads fltsim and makes a world. Control thread. False and a message when that cannot be.
    bool open_embedded(const std::string &library, const FLTSIM_OPTIONS &options, std::string &message);
    bool open_windows(std::string &message);

    /// Ends the backend on a worker thread: no call after it does anything.
    void close();
    bool closed() const { return closed_.load(); }
    /// The environment ends: the same, now, for a bounded time, and without waiting for the calls in order before it.
    void end_now();

    /// Makes the calling worker thread ready for a call. False when the backend is closed.
    bool ready() const;
    /// Outcome of a call that has just failed on this thread.
    Outcome last_failure() const;
    /// The same when the error is known and the NTSTATUS may be that of an OVERLAPPED.
    Outcome failure(uint32_t error, uint32_t status) const;
    uint32_t thread_id(WorkerThread &thread) const;
    /// The worker thread's event for overlapped calls. Null when it cannot be had: see last_failure().
    HANDLE event_of(WorkerThread &thread) const;

    void add(const std::shared_ptr<HandleState> &handle);
    void remove(const HandleState *handle);
    /// Keeps `what` for as long as the backend: the system was not seen to be done with it.
    void keep(std::shared_ptr<void> what);

  private:
    void destroy_world();
    std::vector<std::shared_ptr<HandleState>> open_handles();

    std::atomic<bool> closed_{false};
    std::atomic<bool> world_alive_{false};
    std::mutex mutex_;
    std::unordered_map<const HandleState *, std::weak_ptr<HandleState>> handles_;
    std::vector<std::shared_ptr<void>> kept_;
};

} // namespace minipend
