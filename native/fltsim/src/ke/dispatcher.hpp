// SPDX-License-Identifier: MIT
//
// This module provides: what dispatcher objects have in common (events, semaphores, mutexes, timers). The objects live in the driver's memory with their real
// layout; who waits for them is kept in the world's state. Model lock held for all of it.
#pragma once

#include "ke/state.hpp"

namespace fltsim::ke {

/// Header.Type, which no header names [E].
constexpr UCHAR TYPE_NOTIFICATION_EVENT = 0;
constexpr UCHAR TYPE_SYNCHRONIZATION_EVENT = 1;
constexpr UCHAR TYPE_MUTEX = 2;
constexpr UCHAR TYPE_SEMAPHORE = 5;
constexpr UCHAR TYPE_NOTIFICATION_TIMER = 8;
constexpr UCHAR TYPE_SYNCHRONIZATION_TIMER = 9;

/// A thread that waits, for threads (objects[i] is null then) and other objects. On that thread's stack.
struct Waiter {
    Thread &thread;
    bool all = false; ///< for all of them at once
    const void *code = nullptr; ///< behind the driver's call
    std::vector<DISPATCHER_HEADER *> objects;
    std::vector<const Thread *> threads;
    const void *channel = this; ///< on which it waits now
    bool satisfied = false;
    size_t index = 0; ///< of the object that did it, unless all

    explicit Waiter(Thread &self) : thread(self) {}
    /// Looks at the order of the mutexes among them, before a wait that nothing else ends.
    void ask_for_mutexes(const char *api) const;
    /// Takes what it waits for, if it can have it now.
    bool try_satisfy();
    /// Enters itself in the lists of its objects, and leaves them.
    void enlist();
    void leave();

  private:
    bool signalled(size_t object) const;
};

/// The header of an initialised object. Anything else stops the world.
DISPATCHER_HEADER &dispatcher_object(const char *api, void *object);
/// Of one of these types.
DISPATCHER_HEADER &dispatcher_object(const char *api, void *object, UCHAR type, UCHAR other_type);
void initialise(const char *api, DISPATCHER_HEADER &header, UCHAR type, LONG state);
/// Gives signals to waiters, as many as the object's state and type allow.
void satisfy(DISPATCHER_HEADER &header);

} // namespace fltsim::ke
