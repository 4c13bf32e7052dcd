// SPDX-License-Identifier: MIT
//
// This module provides: a driver's counted string as a view, checked.
#pragma once

#include <string_view>

#include "core/world.hpp"

namespace fltsim::ke {

/// Stops the world when it is null, has an odd length or one beyond its maximum: the real calls would read or write past its end.
std::u16string_view string_view_of(const char *api, PCUNICODE_STRING text);

} // namespace fltsim::ke
