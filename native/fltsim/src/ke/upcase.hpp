// SPDX-License-Identifier: MIT
//
// This module provides: the model's one case mapping, for names and for the Rtl string calls.
#pragma once

#include <string>
#include <string_view>

namespace fltsim {

/// The upper case of one UTF-16 code unit; itself when it has none (surrogates never have one).
char16_t upcase(char16_t c);
std::u16string upcase(std::u16string_view text);
/// What has this one as its upper case; itself when nothing has. Of the two small sigmas the one that is not final.
char16_t downcase(char16_t c);
/// Equal when upcased.
bool equal_ignoring_case(std::u16string_view a, std::u16string_view b);

} // namespace fltsim
