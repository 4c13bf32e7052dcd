// SPDX-License-Identifier: MIT
//
// This module provides: entering a world for a service on an open file.
#pragma once

#include "user/entry.hpp"

namespace fltsim::user {

/// Runs `body` on the file behind the handle and stores its status; a handle that is not open or not a file's stores the status for that
/// instead. False (error set) when there is no world for the handle or it ended first.
template <class Body> bool file_call(HANDLE handle, const char *api, NTSTATUS *status, Body &&body) {
    const auto world = world_for_handle(handle);
    if (!world) {
        return false;
    }
    return enter(world, api, [&](World &w) {
        if (const auto file = w.handles->find_as<io::FileObject>(handle)) {
            *status = body(w, file);
        } else {
            *status = w.handles->find(handle) ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_INVALID_HANDLE;
        }
    });
}

} // namespace fltsim::user
