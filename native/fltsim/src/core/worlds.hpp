// SPDX-License-Identifier: MIT
//
// This module provides: the numbers of worlds. Numbers are 1 to 127, so that a handle fits a positive 32-bit value; the one that has been free
// for the longest is used next.
#pragma once

#include <cstdint>

namespace fltsim {

/// Throws std::runtime_error when 127 worlds exist.
uint32_t claim_world_number();
void release_world_number(uint32_t number);

} // namespace fltsim
