// SPDX-License-Identifier: MIT
//
// This module provides: exceptions as the driver's __try sees them, on hosts without structured exception handling.
//
// A frame (FLTSIM_SEH_FRAME, in the driver's stack) belongs to the simulated thread that entered it. An exception goes to the innermost frame,
// but only when nothing of the model and no other driver callback lies between the two: their state could not be unwound.
#pragma once

#include <cstddef>

#include "core/ddk.hpp"

namespace fltsim::seh {

/// Installs the fault handlers (once per process) and gives the calling host thread a stack for them. FltSimSehEnter and try_copy call it.
void prepare_host_thread();
/// Raises `code` into the innermost frame, ending every KernelCall on the way; their callers must own nothing. Without a frame the
/// world stops.
[[noreturn]] void raise(NTSTATUS code, const char *api);
/// Copies between the model and memory that may not be accessible. False when it was not; then part of it may have been copied.
bool try_copy(void *to, const void *from, size_t bytes);
/// Reads a byte there, or writes the byte that is there. False when it is not accessible.
bool try_touch(void *at, bool write);
/// Whether a range can be a process's, as the probes see it.
bool is_user_range(const volatile void *first, size_t bytes);

} // namespace fltsim::seh
