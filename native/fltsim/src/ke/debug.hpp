// SPDX-License-Identifier: MIT
//
// This module provides: a driver's debug text into the world's history.
#pragma once

#include "core/ddk.hpp"
#include "ke/format.hpp"

namespace fltsim::ke {

/// Formats of wide characters stop the world above PASSIVE_LEVEL [V5].
void print_debug(const char *api, const char *prefix, PCSTR format, KernelArguments &arguments);

} // namespace fltsim::ke
