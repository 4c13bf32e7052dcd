// SPDX-License-Identifier: MIT
//
// This module provides: functions, files and lines of stacks that go through a driver's image, for the report of a broken rule.
//
// A loaded image is a copy that has been deleted, so the loader says which file it came from. Names and lines come from the image's debug information, by addr2line:
// one call when a world stops. Without it a frame is "module+0x123 symbol".
#pragma once

#include <string>
#include <vector>

namespace fltsim {

/// The image at `base` (as the system's loader has it) was made from this file. Thread safe.
void remember_image(const void *base, std::string file);
void forget_image(const void *base);

struct CallStack {
    std::vector<std::string> frames; ///< innermost first
    std::string call_site; ///< "MpPend (pend.c:118)": the innermost frame in a driver's image; empty: there is none
};

/// Where the call is that returns to `code`: "MpPend (pend.c:118)". Code of a Windows image has no name here.
std::string name_of_call(const void *code);

/// The calling stack, without the frames of this module and of its caller.
CallStack current_stack();

} // namespace fltsim
