// SPDX-License-Identifier: MIT
//
// This module provides: walking the stack of a Windows image's code: from a function's registers to those of its caller, by the image's
// own unwind information.
#pragma once

#include "image/gate.hpp"

#if FLTSIM_WINDOWS_IMAGES

#include <string>
#include <vector>

#include "image/pe_image.hpp"

namespace fltsim::image {

/// One function on the stack.
struct Frame {
    PeImage *image = nullptr; ///< null: one of the model's C runtime leaves
    const RuntimeFunction *function = nullptr; ///< null: a leaf
    uint64_t establisher = 0;
    LanguageHandler handler = nullptr; ///< of the wanted kind, when the address is in the function's body
    const void *handler_data = nullptr;
};

/// Describes the function that context.rip is in, and makes `context` its caller's. False, and nothing done, when no image's code is there.
/// `kind`: which handler is wanted, UNWIND_EXCEPTION_HANDLER or UNWIND_TERMINATION_HANDLER.
bool unwind_frame(Context &context, unsigned kind, Frame *frame);

/// The image's functions on the stack, innermost first, until the model called them.
std::vector<std::string> stack_of(Context context);
/// From where the executing driver code called the model. Empty when it is no Windows image.
std::vector<std::string> stack_at_gate();

/// The registers that a gate has saved; the others are zero.
Context context_of(const GateRecord &record);

} // namespace fltsim::image

#endif
