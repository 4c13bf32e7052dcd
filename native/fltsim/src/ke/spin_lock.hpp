// SPDX-License-Identifier: MIT
//
// This module provides: spin locks for the Ke, Ex and framework calls, with their checks [V21].
//
// A KSPIN_LOCK is 0 or the address of the Thread that owns it. An EX_SPIN_LOCK is a count of readers, with the top bit for a writer that
// owns the lock or waits for the readers to leave (nobody else gets in then). All calls run under the model lock.
#pragma once

#include "ke/locks.hpp"

namespace fltsim::ke {

/// Raises to DISPATCH_LEVEL, waits, takes the lock, which the driver knows as `wanted`. Returns the IRQL before.
KIRQL acquire_spin_lock(const char *api, PKSPIN_LOCK lock, const HeldLock &wanted);
/// Gives the lock back and sets the IRQL, which must be what it was before the outermost lock unless others are still held.
void release_spin_lock(const char *api, PKSPIN_LOCK lock, const HeldLock &given, KIRQL new_irql);

} // namespace fltsim::ke
