// SPDX-License-Identifier: MIT
//
// This module provides: what libFuzzer learns from the driver image, which comes and goes with each world.
// Invariant: one image is loaded at a time.
#pragma once

namespace fuzz {

/// Adds what the loaded image has counted so far to the input's coverage, and begins anew. An image that is unloaded does it by itself.
void collect_coverage();

} // namespace fuzz
