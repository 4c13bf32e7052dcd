// SPDX-License-Identifier: MIT
//
// This module provides: altitudes, the decimal strings of unlimited precision that order instances [ALT-01]. Never converted to a number.
#pragma once

#include <compare>
#include <string_view>

namespace fltsim::flt {

/// Digits with at most one point and at least one digit.
bool altitude_valid(std::u16string_view altitude);

/// Numeric comparison: "03333" > "100.123456", "1.50" == "1.5". Both must be valid.
std::strong_ordering compare_altitudes(std::u16string_view a, std::u16string_view b);

} // namespace fltsim::flt
