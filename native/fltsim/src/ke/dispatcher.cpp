// SPDX-License-Identifier: MIT
//
// This module provides: events, semaphores and mutexes, and what all dispatcher objects have in common (dispatcher.hpp).
//
// A signalled object satisfies its waiters at once, as the kernel does: a waiter that is satisfied and has not run yet
// keeps its success even when the event is reset meanwhile.

#include "ke/dispatcher.hpp"

#include <algorithm>
#include <string>

#include "ke/locks.hpp"
#include "ke/pool.hpp"

namespace fltsim::ke {

namespace {

constexpr UCHAR words(size_t bytes) {
    return static_cast<UCHAR>(bytes / sizeof(LONG));
}

/// What an initialised object of a type has in Header.Size; 0: there is no such type.
UCHAR size_of_type(UCHAR type) {
    switch (type) {
    case TYPE_NOTIFICATION_EVENT:
    case TYPE_SYNCHRONIZATION_EVENT:
        return words(sizeof(KEVENT));
    case TYPE_MUTEX:
        return words(sizeof(KMUTEX));
    case TYPE_SEMAPHORE:
        return words(sizeof(KSEMAPHORE));
    case TYPE_NOTIFICATION_TIMER:
    case TYPE_SYNCHRONIZATION_TIMER:
        return words(sizeof(KTIMER));
    default:
        return 0;
    }
}

const char *name_of_type(UCHAR type) {
    switch (type) {
    case TYPE_MUTEX:
        return "a mutex";
    case TYPE_SEMAPHORE:
        return "a semaphore";
    case TYPE_NOTIFICATION_TIMER:
    case TYPE_SYNCHRONIZATION_TIMER:
        return "a timer";
    default:
        return "an event";
    }
}

bool plausible(const DISPATCHER_HEADER &header) {
    // The model links no waiter in, so the list of an initialised object always refers to itself; a copied or moved object's does not.
    if (header.WaitListHead.Flink != &header.WaitListHead || header.WaitListHead.Blink != &header.WaitListHead) {
        return false;
    }
    return header.Size != 0 && header.Size == size_of_type(header.Type);
}

HeldLock mutex_of(const DISPATCHER_HEADER &header, const Waiter &waiter) {
    return {&header, LockKind::Mutex, true, waiter.code};
}

void take(DISPATCHER_HEADER &header, Waiter &waiter) {
    switch (header.Type) {
    case TYPE_NOTIFICATION_EVENT:
    case TYPE_NOTIFICATION_TIMER:
        break;
    case TYPE_MUTEX:
        if (--header.SignalState == 0) {
            CONTAINING_RECORD(&header, KMUTEX, Header)->OwnerThread =
                reinterpret_cast<struct _KTHREAD *>(&waiter.thread);
            ++waiter.thread.kernel_apc_disable;
            lock_taken("KeWaitForSingleObject", waiter.thread, mutex_of(header, waiter));
        }
        break;
    default:
        --header.SignalState;
        break;
    }
}

} // namespace

uint64_t deadline_of(int64_t timeout_100ns) {
    const uint64_t now = world().interrupt_time_100ns();
    if (timeout_100ns <= 0) {
        // Negated as unsigned: the most negative value has no positive counterpart.
        const uint64_t wait = uint64_t{0} - static_cast<uint64_t>(timeout_100ns);
        return wait > UINT64_MAX - now ? UINT64_MAX : now + wait;
    }
    const uint64_t system_now = world().system_time_100ns();
    const uint64_t due = static_cast<uint64_t>(timeout_100ns);
    return due > system_now ? now + (due - system_now) : now;
}

DISPATCHER_HEADER &dispatcher_object(const char *api, void *object) {
    if (object == nullptr) {
        bugcheck("WAIT object is null", api, "pass an initialised object");
    }
    DISPATCHER_HEADER &header = *static_cast<DISPATCHER_HEADER *>(object);
    if (!plausible(header)) {
        bugcheck("WAIT object was never initialised, was moved or was freed", api,
                 "initialise it where it lives, and free it after its last use");
    }
    return header;
}

DISPATCHER_HEADER &dispatcher_object(const char *api, void *object, UCHAR type, UCHAR other_type) {
    DISPATCHER_HEADER &header = dispatcher_object(api, object);
    if (header.Type != type && header.Type != other_type) {
        bugcheck("WAIT object has another type", api,
                 std::string("it is ") + name_of_type(header.Type) + ", not " + name_of_type(type));
    }
    return header;
}

void initialise(const char *api, DISPATCHER_HEADER &header, UCHAR type, LONG state) {
    if (world_state().waiters.contains(&header)) {
        bugcheck("WAIT object initialised again while a thread waits for it", api, "end the waits first");
    }
    pool::check_resident(api, &header, name_of_type(type));
    header.LockNV = 0;
    header.Type = type;
    header.Size = size_of_type(type);
    header.SignalState = state;
    header.WaitListHead.Flink = &header.WaitListHead;
    header.WaitListHead.Blink = &header.WaitListHead;
}

bool Waiter::signalled(size_t object) const {
    if (threads[object] != nullptr) {
        return threads[object]->ended;
    }
    const DISPATCHER_HEADER &header = *objects[object];
    return header.SignalState > 0 ||
           (header.Type == TYPE_MUTEX &&
            CONTAINING_RECORD(&header, KMUTEX, Header)->OwnerThread == reinterpret_cast<struct _KTHREAD *>(&thread));
}

void Waiter::ask_for_mutexes(const char *api) const {
    if (!all && objects.size() != 1) {
        return;
    }
    for (const DISPATCHER_HEADER *object : objects) {
        if (object != nullptr && object->Type == TYPE_MUTEX) {
            ask_for_lock(api, mutex_of(*object, *this));
        }
    }
}

bool Waiter::try_satisfy() {
    size_t first = objects.size(); // that is signalled
    size_t count = 0;
    for (size_t object = objects.size(); object-- > 0;) {
        if (signalled(object)) {
            first = object;
            ++count;
        }
    }
    if (count < (all ? objects.size() : 1)) {
        return false;
    }
    index = first;
    for (size_t object = first; object < (all ? objects.size() : first + 1); ++object) {
        if (threads[object] == nullptr) {
            take(*objects[object], *this);
        }
    }
    return satisfied = true;
}

void Waiter::enlist() {
    for (const DISPATCHER_HEADER *object : objects) {
        if (object != nullptr) {
            world_state().waiters[object].push_back(this);
        }
    }
}

void Waiter::leave() {
    auto &waiters = world_state().waiters;
    for (const DISPATCHER_HEADER *object : objects) {
        const auto found = waiters.find(object);
        if (found != waiters.end()) {
            std::erase(found->second, this);
            if (found->second.empty()) {
                waiters.erase(found);
            }
        }
    }
}

void satisfy(DISPATCHER_HEADER &header) {
    const auto &waiters = world_state().waiters;
    const auto found = waiters.find(&header);
    if (found == waiters.end()) {
        return;
    }
    const std::deque<Waiter *> waiting = found->second; // those that are satisfied leave it
    for (Waiter *waiter : waiting) {
        if (header.SignalState <= 0) {
            return;
        }
        if (!waiter->satisfied && waiter->try_satisfy()) {
            waiter->leave();
            world().wake(waiter->channel);
        }
    }
}

} // namespace fltsim::ke

using namespace fltsim;
using namespace fltsim::ke;

namespace {

DISPATCHER_HEADER &checked_event(const char *api, PRKEVENT event) {
    return dispatcher_object(api, event, TYPE_NOTIFICATION_EVENT, TYPE_SYNCHRONIZATION_EVENT);
}

} // namespace

/// Any IRQL. An event that threads wait for must not be initialised again.
FLTSIM_KERNEL_OF_HEADERS void NTAPI KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State) {
    KernelCall call("KeInitializeEvent", HIGH_LEVEL);
    event_initialised("KeInitializeEvent", Event);
    if (Type != NotificationEvent && Type != SynchronizationEvent) {
        bugcheck("WAIT object type", "KeInitializeEvent",
                 "type " + std::to_string(Type) + " is neither notification nor synchronization");
    }
    initialise("KeInitializeEvent", Event->Header, static_cast<UCHAR>(Type), State != FALSE ? 1 : 0);
}

/// IRQL <= DISPATCH_LEVEL with Wait FALSE (TRUE is not modelled). Returns the previous state.
FLTSIM_KERNEL LONG NTAPI KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait) {
    KernelCall call("KeSetEvent", DISPATCH_LEVEL);
    if (Wait != FALSE) {
        unmodelled("KeSetEvent", "Wait = TRUE");
    }
    DISPATCHER_HEADER &header = checked_event("KeSetEvent", Event);
    const LONG before = header.SignalState;
    header.SignalState = 1;
    satisfy(header);
    return before;
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI KeClearEvent(PRKEVENT Event) {
    KernelCall call("KeClearEvent", DISPATCH_LEVEL);
    checked_event("KeClearEvent", Event).SignalState = 0;
}

/// IRQL <= DISPATCH_LEVEL. Returns the previous state.
FLTSIM_KERNEL LONG NTAPI KeResetEvent(PRKEVENT Event) {
    KernelCall call("KeResetEvent", DISPATCH_LEVEL);
    DISPATCHER_HEADER &header = checked_event("KeResetEvent", Event);
    const LONG before = header.SignalState;
    header.SignalState = 0;
    return before;
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL LONG NTAPI KeReadStateEvent(PRKEVENT Event) {
    KernelCall call("KeReadStateEvent", DISPATCH_LEVEL);
    return checked_event("KeReadStateEvent", Event).SignalState;
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit) {
    KernelCall call("KeInitializeSemaphore", DISPATCH_LEVEL);
    if (Count < 0 || Limit <= 0 || Count > Limit) {
        bugcheck("WAIT semaphore count", "KeInitializeSemaphore",
                 "count " + std::to_string(Count) + ", limit " + std::to_string(Limit) +
                     ": 0 <= count <= limit and 0 < limit are needed");
    }
    initialise("KeInitializeSemaphore", Semaphore->Header, TYPE_SEMAPHORE, Count);
    Semaphore->Limit = Limit;
}

/// IRQL <= DISPATCH_LEVEL with Wait FALSE (TRUE is not modelled). Over the limit it raises STATUS_SEMAPHORE_LIMIT_EXCEEDED, which nobody
/// catches at that place: the world stops. Returns the previous count.
FLTSIM_KERNEL LONG NTAPI KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment,
                                            BOOLEAN Wait) {
    KernelCall call("KeReleaseSemaphore", DISPATCH_LEVEL);
    if (Wait != FALSE) {
        unmodelled("KeReleaseSemaphore", "Wait = TRUE");
    }
    DISPATCHER_HEADER &header = dispatcher_object("KeReleaseSemaphore", Semaphore, TYPE_SEMAPHORE, TYPE_SEMAPHORE);
    const LONG before = header.SignalState;
    if (Adjustment <= 0 || Adjustment > Semaphore->Limit - before) {
        bugcheck("STATUS_SEMAPHORE_LIMIT_EXCEEDED", "KeReleaseSemaphore",
                 "count " + std::to_string(before) + " + " + std::to_string(Adjustment) + ", limit " +
                     std::to_string(Semaphore->Limit));
    }
    header.SignalState += Adjustment;
    satisfy(header);
    return before;
}

/// IRQL <= DISPATCH_LEVEL. Returns the count.
FLTSIM_KERNEL LONG NTAPI KeReadStateSemaphore(PRKSEMAPHORE Semaphore) {
    KernelCall call("KeReadStateSemaphore", DISPATCH_LEVEL);
    return dispatcher_object("KeReadStateSemaphore", Semaphore, TYPE_SEMAPHORE, TYPE_SEMAPHORE).SignalState;
}

/// Any IRQL. Level is reserved: 0.
FLTSIM_KERNEL void NTAPI KeInitializeMutex(PRKMUTEX Mutex, ULONG Level) {
    KernelCall call("KeInitializeMutex", HIGH_LEVEL);
    lock_initialised("KeInitializeMutex", Mutex, sizeof *Mutex);
    initialise("KeInitializeMutex", Mutex->Header, TYPE_MUTEX, 1);
    Mutex->MutantListEntry = {};
    Mutex->OwnerThread = nullptr;
    Mutex->Abandoned = FALSE;
    Mutex->ApcDisable = 1;
}

/// IRQL <= APC_LEVEL, by the owner, with Wait FALSE (TRUE is not modelled). Another thread gets STATUS_MUTANT_NOT_OWNED raised, which nobody catches at
/// that place: the world stops. An owner's normal kernel APCs are off from the first acquisition to the last release. Returns the state before.
FLTSIM_KERNEL LONG NTAPI KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait) {
    constexpr const char *kApi = "KeReleaseMutex";
    KernelCall call(kApi, APC_LEVEL);
    if (Wait != FALSE) {
        unmodelled(kApi, "Wait = TRUE");
    }
    DISPATCHER_HEADER &header = dispatcher_object(kApi, Mutex, TYPE_MUTEX, TYPE_MUTEX);
    Thread &self = current_thread();
    if (Mutex->OwnerThread != reinterpret_cast<struct _KTHREAD *>(&self)) {
        bugcheck("STATUS_MUTANT_NOT_OWNED", kApi,
                 Mutex->OwnerThread == nullptr ? "nobody owns it" : "another thread owns it");
    }
    const LONG before = header.SignalState++;
    if (header.SignalState == 1) {
        if (self.kernel_apc_disable == 0) {
            bugcheck("CRITICAL_REGION left without being entered", kApi,
                     "the mutex entered one when it was acquired, and the region was left before");
        }
        --self.kernel_apc_disable;
        Mutex->OwnerThread = nullptr;
        lock_released(self, &header);
        satisfy(header);
    }
    return before;
}

/// IRQL <= DISPATCH_LEVEL. 1: free.
FLTSIM_KERNEL LONG NTAPI KeReadStateMutex(PRKMUTEX Mutex) {
    KernelCall call("KeReadStateMutex", DISPATCH_LEVEL);
    return dispatcher_object("KeReadStateMutex", Mutex, TYPE_MUTEX, TYPE_MUTEX).SignalState;
}
