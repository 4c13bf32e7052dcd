// SPDX-License-Identifier: MIT
//
// This module provides: the way from a user-mode call into a world and back, with the thread's last error.
//
// Invariants: a call that enters a world runs its body under the model lock in the calling thread's simulated thread. A body writes
// only to the caller's frame and memory; when enter() returned false the body may have run in part or not at all, so its results
// are not looked at. A simulated thread may call the user side too (scenarios inside the model); then it is in its world already.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/ddk.hpp"
#include "core/handles.hpp"
#include "core/world.hpp"
#include "io/io_manager.hpp"

#include <fltsim_user.h>

namespace fltsim::user {

/// The world for calls that take a name; null with ERROR_NOT_READY set when the thread has none.
std::shared_ptr<World> world_for_names();
/// The world of a handle; null with ERROR_INVALID_HANDLE set when it cannot be one.
std::shared_ptr<World> world_for_handle(HANDLE handle);

/// Runs `body` in the world as the native service `api`. False, with ERROR_SHUTDOWN_IN_PROGRESS set, when the world stopped or ended first; false, with
/// STATUS_THREAD_IS_TERMINATING set, when the thread was terminated before the call or in a wait of it.
bool enter(const std::shared_ptr<World> &world, const char *api, const std::function<void(World &)> &body);
/// The same for native services, without touching the last error: STATUS_SUCCESS when `body` has run, else STATUS_SYSTEM_SHUTDOWN or
/// STATUS_THREAD_IS_TERMINATING.
NTSTATUS enter_native(const std::shared_ptr<World> &world, const char *api, const std::function<void(World &)> &body);

/// A name that a host program gives, of ASCII; null is an empty one.
inline std::u16string widen(const char *text) {
    return text == nullptr ? std::u16string() : std::u16string(text, text + std::char_traits<char>::length(text));
}

/// Runs `body` in the world as the calling thread. -1: no such world, or it stopped or ended first, or `body` said no.
int in_world(uint32_t number, const char *name, const std::function<bool(World &)> &body);

void set_error(DWORD error);
/// Sets the last status, and the Win32 error that goes with it.
void set_status(NTSTATUS status);
/// set_error() and FALSE: `return fail(ERROR_INVALID_PARAMETER);`
BOOL fail(DWORD error);
/// TRUE when the status is a success; else set_status() and FALSE.
BOOL result(NTSTATUS status);

/// The Win32 error of a status, without side effects.
DWORD dos_error(NTSTATUS status);
/// fltlib's mapping: STATUS_FLT_* keep their number under the filter-manager facility, all others go through Win32 [HR-01].
HRESULT hresult(NTSTATUS status);

/// A terminated text, or empty for null.
inline std::u16string_view text(LPCWSTR string) {
    return string == nullptr ? std::u16string_view{} : std::u16string_view(string);
}

} // namespace fltsim::user
