// SPDX-License-Identifier: MIT
//
// This module provides: Event (event.hpp), CreateEventW, SetEvent, ResetEvent and WaitForSingleObject(Ex).

#include "user/event.hpp"

#include "user/apc.hpp"

namespace fltsim::user {

void Event::signal() {
    set_ = true;
    world().wake(this);
}

bool wait_for(World &world, const void *channel, const std::function<bool()> &pred,
              std::optional<uint64_t> deadline_100ns) {
    Thread &self = executing();
    const bool ended =
        world.block(channel, [&] { return pred() || world.ending() || self.terminating; }, deadline_100ns);
    if (self.terminating && !pred()) {
        self.wait_cut_short = true;
    }
    return ended;
}

bool Event::try_take() {
    const bool taken = set_;
    set_ = set_ && manual_reset_;
    return taken;
}

bool Event::wait(std::optional<uint64_t> deadline_100ns, const std::function<bool()> &interrupted) {
    bool taken = false;
    wait_for(
        world(), this,
        [this, &taken, &interrupted] {
            taken = taken || try_take();
            return taken || interrupted();
        },
        deadline_100ns);
    return taken;
}

bool Event::take(std::optional<uint64_t> deadline_100ns) {
    bool taken = false;
    world().block(this, [this, &taken] { return taken = taken || try_take(); }, deadline_100ns);
    return taken;
}

std::optional<uint64_t> deadline_after(uint32_t timeoutMs) {
    constexpr uint64_t units_per_ms = 10'000;
    if (timeoutMs == INFINITE) {
        return std::nullopt;
    }
    return world().interrupt_time_100ns() + timeoutMs * units_per_ms;
}

} // namespace fltsim::user

using namespace fltsim;
using namespace fltsim::user;

namespace {

/// Runs `body` on the event behind the handle.
BOOL with_event(HANDLE handle, const char *api, void (*body)(Event &)) {
    const auto world = world_for_handle(handle);
    if (!world) {
        return FALSE;
    }
    NTSTATUS status = STATUS_SUCCESS;
    const bool entered = enter(world, api, [&](World &w) {
        if (const auto event = w.handles->find_as<Event>(handle)) {
            body(*event);
        } else {
            status = w.handles->find(handle) ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_INVALID_HANDLE;
        }
    });
    return entered ? result(status) : FALSE;
}

} // namespace

/// Named events are not modelled.
FLTSIM_USER HANDLE CreateEventW(LPSECURITY_ATTRIBUTES lpEventAttributes, BOOL bManualReset, BOOL bInitialState,
                                LPCWSTR lpName) {
    const auto world = world_for_names();
    if (!world) {
        return nullptr;
    }
    HANDLE handle = nullptr;
    const bool entered = enter(world, "NtCreateEvent", [&](World &w) {
        if (lpName != nullptr) {
            unmodelled("CreateEventW", "an event with a name");
        }
        handle = w.handles->insert(std::make_shared<Event>(bManualReset != FALSE, bInitialState != FALSE));
    });
    if (!entered) {
        return nullptr;
    }
    set_error(ERROR_SUCCESS);
    return handle;
}

FLTSIM_USER BOOL SetEvent(HANDLE hEvent) {
    return with_event(hEvent, "NtSetEvent", [](Event &event) { event.signal(); });
}

FLTSIM_USER BOOL ResetEvent(HANDLE hEvent) {
    return with_event(hEvent, "NtResetEvent", [](Event &event) { event.reset(); });
}

/// Waits for events, threads and files (a file is signalled when an operation on it has completed, whichever that was). What is signalled already is
/// taken before user APCs are; WAIT_IO_COMPLETION: they were run instead.
FLTSIM_USER DWORD WaitForSingleObjectEx(HANDLE hHandle, DWORD dwMilliseconds, BOOL bAlertable) {
    const auto world = world_for_handle(hHandle);
    if (!world) {
        return WAIT_FAILED;
    }
    NTSTATUS status = STATUS_SUCCESS;
    bool satisfied = false;
    bool alerted = false;
    const bool entered = enter(world, "NtWaitForSingleObject", [&](World &w) {
        const auto object = w.handles->find(hHandle);
        const auto deadline = deadline_after(dwMilliseconds);
        const auto interrupted = [bAlertable] { return bAlertable != FALSE && apc_pending(); };
        const auto wait = [&](const void *channel, const std::function<bool()> &signalled) {
            wait_for(w, channel, [&] { return signalled() || interrupted(); }, deadline);
            return signalled();
        };
        if (!object) {
            status = STATUS_INVALID_HANDLE;
        } else if (const auto event = std::dynamic_pointer_cast<Event>(object)) {
            satisfied = event->wait(deadline, interrupted);
        } else if (const auto thread = std::dynamic_pointer_cast<ThreadHandle>(object)) {
            satisfied = wait(thread->thread(), [&] { return thread->signalled(); });
        } else if (const auto file = std::dynamic_pointer_cast<io::FileObject>(object)) {
            satisfied = wait(file.get(), [&] { return file->signalled(); });
        } else {
            unmodelled("WaitForSingleObject", std::string("a wait for a ") + object->type_name());
        }
        alerted = !satisfied && interrupted();
    });
    if (!entered || result(status) == FALSE) {
        return WAIT_FAILED;
    }
    if (alerted) {
        run_apcs(world);
        return WAIT_IO_COMPLETION;
    }
    return satisfied ? WAIT_OBJECT_0 : WAIT_TIMEOUT;
}

FLTSIM_USER DWORD WaitForSingleObject(HANDLE hHandle, DWORD dwMilliseconds) {
    return WaitForSingleObjectEx(hHandle, dwMilliseconds, FALSE);
}
