// SPDX-License-Identifier: MIT
//
// This module provides: MDLs as the model itself makes and uses them. The memory that an MDL describes has one address here: the caller's, which is the
// mapping's too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/ddk.hpp"

namespace fltsim::ke {

/// Describes a buffer with its pages locked. `written`: by the operation.
std::unique_ptr<MDL> describe_locked(void *buffer, uint32_t bytes, bool written);

/// Where the data of a read or write is: behind the MDL when there is one, else in the buffer [BUF-01]. Stops the world (V26) when the MDL describes
/// less, or memory that may go away. `what` uses it.
void *data_memory(const char *what, PMDL mdl, void *buffer, size_t bytes);

/// Whether every page of it can be read, or written.
bool can_touch(const void *buffer, size_t bytes, bool write);

/// A filter has put it in place of another, and its post-operation has returned [POST-37].
void free_swapped(PMDL mdl);

} // namespace fltsim::ke
