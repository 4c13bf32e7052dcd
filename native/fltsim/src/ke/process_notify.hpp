// SPDX-License-Identifier: MIT
//
// This module provides: the routines that drivers want to be called when a process is made or ends.
#pragma once

#include "core/world.hpp"

namespace fltsim::ke {

/// Calls each routine: in the thread that makes the process, or in its last one, before its handles are closed. Model lock held, PASSIVE_LEVEL.
void notify_of_process(const Process &parent, const Process &process, bool create);
/// Stops the world when a routine is still registered: the image that it is in goes.
void check_no_process_notify();

} // namespace fltsim::ke
