// SPDX-License-Identifier: MIT
//
// This module provides: entry.hpp, GetLastError, SetLastError and RtlGetLastNtStatus.

#include "user/entry.hpp"

#include <utility>

namespace fltsim::user {

namespace {

/// What the TEB holds for a host thread; a simulated thread has it in Thread.
struct LastError {
    DWORD error = ERROR_SUCCESS;
    NTSTATUS status = STATUS_SUCCESS;
};

thread_local LastError t_last;

DWORD get_error() {
    return world_or_null() != nullptr ? executing().last_error : t_last.error;
}
NTSTATUS get_status() {
    return world_or_null() != nullptr ? executing().last_status : t_last.status;
}

void set_last_status(NTSTATUS status) {
    if (world_or_null() != nullptr) {
        executing().last_status = status;
    } else {
        t_last.status = status;
    }
}

} // namespace

std::shared_ptr<World> world_for_names() {
    // Inside a world the selection of the host thread below says nothing.
    World *inside = world_or_null();
    auto world = inside != nullptr ? world_by_number(inside->number) : selected_world();
    if (!world) {
        set_error(ERROR_NOT_READY);
    }
    return world;
}

std::shared_ptr<World> world_for_handle(HANDLE handle) {
    const uint32_t number = HandleTable::world_of(handle);
    auto world = number == 0 ? nullptr : world_by_number(number);
    // A simulated thread can wait in its own world only, so a handle of another world is none to it.
    if (world && world_or_null() != nullptr && world_or_null() != world.get()) {
        world.reset();
    }
    if (!world) {
        set_error(ERROR_INVALID_HANDLE);
    }
    return world;
}

NTSTATUS enter_native(const std::shared_ptr<World> &world, const char *api, const std::function<void(World &)> &body) {
    bool terminated = false;
    const auto call_in = [&] {
        const KernelCall call(api, PASSIVE_LEVEL);
        Thread &self = executing();
        if (!self.terminating) {
            body(*world);
            terminated = std::exchange(self.wait_cut_short, false);
        } else {
            terminated = true;
        }
    };
    const bool inside = world_or_null() == world.get();
    if (inside) {
        call_in();
    }
    // In an ending world waits return unsatisfied, so what the body found then is no answer.
    if (inside || (world->host_call(call_in) && !world->ending())) {
        return terminated ? STATUS_THREAD_IS_TERMINATING : STATUS_SUCCESS;
    }
    return STATUS_SYSTEM_SHUTDOWN;
}

bool enter(const std::shared_ptr<World> &world, const char *api, const std::function<void(World &)> &body) {
    const NTSTATUS status = enter_native(world, api, body);
    if (status == STATUS_SYSTEM_SHUTDOWN) {
        set_error(ERROR_SHUTDOWN_IN_PROGRESS);
    } else if (status != STATUS_SUCCESS) {
        set_status(status);
    }
    return status == STATUS_SUCCESS;
}

int in_world(uint32_t number, const char *name, const std::function<bool(World &)> &body) {
    const auto world = world_by_number(number);
    bool done = false;
    const auto call_in = [&] {
        const KernelCall call(name, PASSIVE_LEVEL);
        done = body(*world);
    };
    if (world && world_or_null() == world.get()) {
        call_in(); // from a simulated thread of that world
        return done ? 0 : -1;
    }
    return world && world->host_call(call_in) && done ? 0 : -1;
}

void set_error(DWORD error) {
    if (world_or_null() != nullptr) {
        executing().last_error = error;
    } else {
        t_last.error = error;
    }
}

void set_status(NTSTATUS status) {
    set_last_status(status);
    set_error(dos_error(status));
}

BOOL fail(DWORD error) {
    set_error(error);
    return FALSE;
}

BOOL result(NTSTATUS status) {
    if (NT_SUCCESS(status)) {
        return TRUE;
    }
    set_status(status);
    return FALSE;
}

HRESULT hresult(NTSTATUS status) {
    if (NT_SUCCESS(status)) {
        return S_OK;
    }
    set_last_status(status);
    constexpr uint32_t facility_filter_manager = 0x1C;
    const auto bits = static_cast<uint32_t>(status);
    if (((bits >> 16) & 0xFFF) == facility_filter_manager) {
        return static_cast<HRESULT>(0x801F0000u | (bits & 0xFFFF));
    }
    return HRESULT_FROM_WIN32(dos_error(status));
}

} // namespace fltsim::user

using namespace fltsim::user;

FLTSIM_USER DWORD GetLastError(void) {
    return get_error();
}

FLTSIM_USER void SetLastError(DWORD dwErrCode) {
    set_error(dwErrCode);
}

FLTSIM_USER NTSTATUS RtlGetLastNtStatus(void) {
    return get_status();
}

/// As on Windows this also becomes the thread's last status.
FLTSIM_USER ULONG RtlNtStatusToDosError(NTSTATUS Status) {
    set_last_status(Status);
    return dos_error(Status);
}
