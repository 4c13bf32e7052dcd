// SPDX-License-Identifier: MIT
//
// This module provides: counted strings, and the report of a world in which something is called, for tests of kernel calls.
#pragma once

#include <functional>
#include <string>

#include "world_fixture.hpp"

namespace check {

inline UNICODE_STRING of(const char16_t *text) {
    UNICODE_STRING string{};
    RtlInitUnicodeString(&string, text);
    return string;
}

inline std::u16string text_of(const UNICODE_STRING &string) {
    return {string.Buffer, string.Length / sizeof(WCHAR)};
}

inline std::string with(const std::function<void(fltsim::World &)> &fn) {
    return report_of(virtual_world(), fn);
}

inline bool clean(const std::function<void(fltsim::World &)> &fn) {
    return contains(with(fn), "\"stopped\":false");
}

} // namespace check
