// SPDX-License-Identifier: MIT
#include "backend.hpp"

#include "handle_state.hpp"

#include <array>
#include <condition_variable>
#include <cstdio>
#include <system_error>
#include <thread>

namespace minipend {

namespace {
/// How long the end of an environment waits for a world to end: longer than the driver may take to release what it holds.
constexpr std::chrono::seconds kWorldEndLimit{10};
} // namespace

void Threads::stop() {
    control.stop();
    second.stop();
    io.stop();
}

bool Threads::wait_ended(std::chrono::steady_clock::time_point deadline) {
    return control.wait_ended(deadline) && second.wait_ended(deadline) && io.wait_ended(deadline);
}

Backend::~Backend() {
    if (world_alive_.exchange(false)) {
        // Nobody closed it. Not here: this may be the JavaScript thread.
        threads->control.submit([api = api, world = world](WorkerThread &) { api->FltSimDestroyWorld(world); });
    }
    threads->stop();
}

bool Backend::open_embedded(const std::string &library, const FLTSIM_OPTIONS &options, std::string &message) {
    api = load_embedded_api(library, message);
    if (api == nullptr) {
        return false;
    }
    std::array<char, 1024> text{};
    world = api->FltSimCreateWorld(&options, text.data(), text.size());
    if (world == 0) {
        message = text.data();
        return false;
    }
    world_alive_ = true;
    return true;
}

bool Backend::open_windows(std::string &message) {
    api = load_windows_api(message);
    return api != nullptr;
}

bool Backend::ready() const {
    if (closed()) {
        return false;
    }
    api->select_world(world);
    return true;
}

Outcome Backend::last_failure() const {
    const uint32_t error = api->GetLastError();
    return failure(error, static_cast<uint32_t>(api->RtlGetLastNtStatus()));
}

Outcome Backend::failure(uint32_t error, uint32_t status) const {
    // The thread's last NTSTATUS may be that of an earlier call: it counts when it translates to this very error.
    const bool same = status != 0 && api->RtlNtStatusToDosError(static_cast<LONG>(status)) == error;
    return {error, same ? status : 0};
}

uint32_t Backend::thread_id(WorkerThread &thread) const {
    if (thread.thread_id == 0) {
        thread.thread_id = api->GetCurrentThreadId();
    }
    return thread.thread_id;
}

HANDLE Backend::event_of(WorkerThread &thread) const {
    if (thread.event == nullptr) {
        thread.event = api->CreateEventW(nullptr, TRUE, FALSE, nullptr);
        thread.end = [api = api, event = thread.event] {
            if (event != nullptr) {
                api->CloseHandle(event);
            }
        };
    }
    return thread.event;
}

void Backend::close() {
    closed_ = true;
    destroy_world();
    if (!api->embedded()) {
        for (const auto &handle : open_handles()) {
            handle->close_unasked();
        }
    }
    threads->stop();
}

void Backend::destroy_world() {
    if (world_alive_.exchange(false)) {
        api->FltSimDestroyWorld(world);
    }
}

void Backend::end_now() {
    closed_ = true;
    if (api == nullptr) {
        threads->stop(); // still being opened: ~Backend ends what comes of it
        return;
    }
    if (!api->embedded()) {
        for (const auto &handle : open_handles()) {
            handle->cancel_all();
            handle->close_unasked();
        }
        threads->stop();
        return;
    }
    struct Done {
        std::mutex mutex;
        std::condition_variable changed;
        bool ended = false;
    };
    auto done = std::make_shared<Done>();
    try {
        std::thread([self = shared_from_this(), done] {
            self->destroy_world();
            std::scoped_lock lock(done->mutex);
            done->ended = true;
            done->changed.notify_all();
        }).detach();
    } catch (const std::system_error &) {
        destroy_world();
        done->ended = true;
    }
    std::unique_lock lock(done->mutex);
    if (!done->changed.wait_for(lock, kWorldEndLimit, [&] { return done->ended; })) {
        std::fputs("minipend native: the model world did not end within 10 s; it is left behind.\n", stderr);
    }
    threads->stop();
}

std::vector<std::shared_ptr<HandleState>> Backend::open_handles() {
    std::scoped_lock lock(mutex_);
    std::vector<std::shared_ptr<HandleState>> result;
    for (const auto &[key, weak] : handles_) {
        if (auto handle = weak.lock()) {
            result.push_back(std::move(handle));
        }
    }
    return result;
}

void Backend::add(const std::shared_ptr<HandleState> &handle) {
    std::scoped_lock lock(mutex_);
    handles_.emplace(handle.get(), handle);
}

void Backend::remove(const HandleState *handle) {
    std::scoped_lock lock(mutex_);
    handles_.erase(handle);
}

void Backend::keep(std::shared_ptr<void> what) {
    std::scoped_lock lock(mutex_);
    kept_.push_back(std::move(what));
}

} // namespace minipend
