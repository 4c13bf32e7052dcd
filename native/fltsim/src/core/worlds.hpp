// SPDX-License-Identifier: MIT
//
// This module provides: the numbers of worlds. Numbers are 1 to 127, so that a handle fits a positive 32-bit value; the one that has been free
// for the longest is used next.
#pragma once

#include <cstdint>
#include <memory>

#include "core/world.hpp"

namespace fltsim {

/// Throws std::runtime_error when 127 worlds exist.
uint32_t claim_world_number();
void release_world_number(uint32_t number);

/// A world that the user-side API finds by its number; FltSimDestroyWorld ends it. What FltSimCreateWorld does, with options that hosts do not have.
std::shared_ptr<World> make_world(WorldOptions options);

} // namespace fltsim
