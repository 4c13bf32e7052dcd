// SPDX-License-Identifier: MIT
//
// This module provides: what all of a driver's locks have in common [V27]: which ones a thread has, in which orders they are taken
// (lock_order.hpp), and what may not happen to one that is held. Each lock's own rules are with its calls. Model lock held for all of it.
#pragma once

#include <string>

#include "core/world.hpp"
#include "ke/lock_order.hpp"

namespace fltsim::ke {

/// Where the driver's code goes on after the exported call that this stands in.
#define FLTSIM_CALLER ::fltsim::ke::caller(__builtin_return_address(0))
const void *caller(const void *return_address);

/// "fast mutex 0x7f001234".
std::string lock_text(const HeldLock &lock);

/// The executing thread's, null when it does not have the lock.
const HeldLock *held_lock(const volatile void *lock);
/// Before the executing thread waits for a lock that it does not have, for as long as it takes: stops the world when the order can end in a deadlock.
void ask_for_lock(const char *api, const HeldLock &wanted);
/// The thread has it now, once more if it is recursive. A KSPIN_LOCK that was taken by calls of another kind stops the world.
void lock_taken(const char *api, Thread &thread, const HeldLock &lock);
/// The thread gives it back, once.
void lock_released(Thread &thread, const volatile void *lock);

/// The memory is freed, or a lock in it is deleted. Stops the world when one is held; else they are forgotten.
void check_no_lock(const char *api, const volatile void *memory, size_t bytes);
/// A lock is initialised, perhaps again. The same rules.
void lock_initialised(const char *api, const volatile void *lock, size_t bytes);
/// The event may be that of a fast mutex: ExInitializeFastMutex is code of the headers.
void event_initialised(const char *api, const KEVENT *event);
/// A system thread ends.
void check_no_lock_held(const char *api);
/// Images go: a lock may be anywhere in one.
void forget_locks();

} // namespace fltsim::ke
