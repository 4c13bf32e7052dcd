// SPDX-License-Identifier: MIT
//
// This module provides: what the native file services (fltsim_nt.h) share: the handle, the event, the status block, the context of a
// completion port's packet.
#pragma once

#include "user/entry.hpp"
#include "user/event.hpp"

#include <fltsim_nt.h>

namespace fltsim::user {

/// Runs `body` on the file behind the handle; its status, or the one of a handle that is not open or no file's, or of a world that ended.
template <class Body> NTSTATUS nt_file_call(HANDLE handle, const char *api, Body &&body) {
    const uint32_t number = HandleTable::world_of(handle);
    auto world = number == 0 ? nullptr : world_by_number(number);
    if (!world || (world_or_null() != nullptr && world_or_null() != world.get())) {
        return STATUS_INVALID_HANDLE;
    }
    NTSTATUS status = STATUS_SUCCESS;
    const NTSTATUS entered = enter_native(world, api, [&](World &w) {
        if (const auto file = w.handles->find_as<io::FileObject>(handle)) {
            status = body(w, file);
        } else {
            status = w.handles->find(handle) ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_INVALID_HANDLE;
        }
    });
    return NT_SUCCESS(entered) ? status : entered;
}

/// The arguments that services with an event have in common.
struct NtTarget {
    HANDLE file = nullptr;
    HANDLE event = nullptr;
    PVOID apc_routine = nullptr;
    PVOID apc_context = nullptr;
    PIO_STATUS_BLOCK iosb = nullptr;
};

/// A service that an asynchronous handle's caller does not wait for. `body` is (World &, FileObject &, const AsyncBlock *, IO_STATUS_BLOCK *):
/// the AsyncBlock is null for a synchronous handle. An error that is known at once leaves status block and event alone [POST-28].
template <class Body> NTSTATUS nt_async_call(const NtTarget &target, const char *api, Body &&body) {
    if (target.iosb == nullptr) {
        return STATUS_ACCESS_VIOLATION;
    }
    return nt_file_call(target.file, api, [&](World &w, const std::shared_ptr<io::FileObject> &file) -> NTSTATUS {
        if (target.apc_routine != nullptr) {
            unmodelled(api, "a user APC at the end of an operation");
        }
        io::AsyncBlock async;
        async.user_iosb = target.iosb;
        async.overlapped = target.iosb;
        async.apc_context = target.apc_context;
        if (target.event != nullptr) {
            const auto event = w.handles->find_as<Event>(target.event);
            if (!event) {
                return w.handles->find(target.event) ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_INVALID_HANDLE;
            }
            event->reset();
            async.event = event;
        }
        IO_STATUS_BLOCK result{};
        const NTSTATUS status = body(w, *file, file->synchronous ? nullptr : &async, &result);
        if (file->synchronous) {
            *target.iosb = result;
            target.iosb->Status = status;
            if (async.event && !NT_ERROR(status)) {
                async.event->signal();
            }
        }
        return status;
    });
}

} // namespace fltsim::user
