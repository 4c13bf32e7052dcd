// SPDX-License-Identifier: MIT
//
// This module provides: how this directory writes numbers and stacks into reports.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace fltsim::image {

inline std::string hex(uint64_t value) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%llX", static_cast<unsigned long long>(value));
    return text;
}

/// " at A < B < C": innermost first. Nothing for no stack.
inline std::string joined(const std::vector<std::string> &stack) {
    std::string text;
    for (const std::string &line : stack) {
        text += (text.empty() ? " at " : " < ") + line;
    }
    return text;
}

} // namespace fltsim::image
