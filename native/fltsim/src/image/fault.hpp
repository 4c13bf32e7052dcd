// SPDX-License-Identifier: MIT
//
// This module provides: what a signal in a Windows image's code is to Windows: an exception, a fast fail, or an instruction that only a kernel may
// execute and that is done here instead (reading the current thread, the IRQL, the clock).
#pragma once

#include "image/gate.hpp"

#if FLTSIM_WINDOWS_IMAGES

#include <string>
#include <type_traits>
#include <vector>

#include "image/windows.hpp"

namespace fltsim::image {

/// On the faulting thread's stack, for fltsim_fault.
struct Fault {
    Context context{};
    ExceptionRecord record{};
    bool fast_fail = false;
    char unmodelled[96] = ""; ///< what is not modelled; then nothing else counts
};
static_assert(std::is_trivially_destructible_v<Fault>);

/// What emulate() made of the instruction at context.rip.
enum class Emulated { No, Done, FastFail, Unmodelled };
/// `address` is the one that faulted. Done: `context` is after the instruction. Unmodelled: fault->unmodelled says what.
Emulated emulate(Fault *fault, uint64_t address);

[[noreturn]] void stop_by_fast_fail(const Context &context, const std::vector<std::string> &stack);

} // namespace fltsim::image

#endif
