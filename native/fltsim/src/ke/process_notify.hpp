// SPDX-License-Identifier: MIT
//
// This module provides: the routines that drivers want to be called when a process is made or ends.
#pragma once

#include "core/world.hpp"

namespace fltsim::ke {

/// Whether there is a routine that looks at PS_CREATE_NOTIFY_INFO.
bool create_info_wanted();
/// Calls each routine in the thread that makes the process. `info` may be null when nobody wants it: its CreationStatus is what the routines say of
/// the process. Model lock held, PASSIVE_LEVEL.
void notify_of_creation(const Process &parent, Process &process, PS_CREATE_NOTIFY_INFO *info);
/// The same in the last thread of the process, before its handles are closed.
void notify_of_end(const Process &parent, Process &process);
/// Stops the world when a routine is still registered: the image that it is in goes.
void check_no_process_notify();

} // namespace fltsim::ke
