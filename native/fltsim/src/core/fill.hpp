// SPDX-License-Identifier: MIT
//
// This module provides: whether memory still holds what it was filled with.
#pragma once

#include <cstddef>
#include <cstring>

namespace fltsim {

/// All `count` bytes have the value `fill`. As fast as a comparison: each byte is compared with the one before it.
inline bool is_filled(const unsigned char *bytes, size_t count, unsigned char fill) {
    return count == 0 || (bytes[0] == fill && std::memcmp(bytes, bytes + 1, count - 1) == 0);
}

} // namespace fltsim
