// SPDX-License-Identifier: MIT
//
// This module provides: events, semaphores and waiting. The objects live in the driver's memory with their real layout; who waits for them
// is kept here.
//
// A set event or a released semaphore satisfies its waiters at once, as the kernel does: a waiter that is satisfied and has not run yet
// keeps its success even when the event is reset meanwhile. A wait for a thread looks at the thread itself.
#include <algorithm>
#include <string>

#include "ke/state.hpp"

uint64_t fltsim::ke::deadline_of(int64_t timeout_100ns) {
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

using namespace fltsim;

namespace {

constexpr UCHAR TYPE_NOTIFICATION_EVENT = 0;
constexpr UCHAR TYPE_SYNCHRONIZATION_EVENT = 1;
constexpr UCHAR TYPE_SEMAPHORE = 5;
constexpr UCHAR SIZE_EVENT = sizeof(KEVENT) / sizeof(LONG);
constexpr UCHAR SIZE_SEMAPHORE = sizeof(KSEMAPHORE) / sizeof(LONG);

bool plausible(const DISPATCHER_HEADER &header) {
    // The model links no waiter in, so the list of an initialised object always refers to itself; a copied or moved object's does not.
    if (header.WaitListHead.Flink != &header.WaitListHead || header.WaitListHead.Blink != &header.WaitListHead) {
        return false;
    }
    if (header.Type == TYPE_NOTIFICATION_EVENT || header.Type == TYPE_SYNCHRONIZATION_EVENT) {
        return header.Size == SIZE_EVENT;
    }
    return header.Type == TYPE_SEMAPHORE && header.Size == SIZE_SEMAPHORE;
}

DISPATCHER_HEADER &checked(const char *api, void *object) {
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

DISPATCHER_HEADER &checked_event(const char *api, PRKEVENT event) {
    DISPATCHER_HEADER &header = checked(api, event);
    if (header.Type == TYPE_SEMAPHORE) {
        bugcheck("WAIT object has another type", api, "a semaphore is not an event");
    }
    return header;
}

void initialise(DISPATCHER_HEADER &header, UCHAR type, UCHAR size, LONG state) {
    header.LockNV = 0;
    header.Type = type;
    header.Size = size;
    header.SignalState = state;
    header.WaitListHead.Flink = &header.WaitListHead;
    header.WaitListHead.Blink = &header.WaitListHead;
}

/// Gives signals to waiters, as many as the object's state and type allow.
void satisfy(DISPATCHER_HEADER &header) {
    auto &all = ke::world_state().waiters;
    const auto found = all.find(&header);
    if (found == all.end()) {
        return;
    }
    auto &waiters = found->second;
    while (header.SignalState > 0 && !waiters.empty()) {
        ke::Waiter *waiter = waiters.front();
        waiters.pop_front();
        waiter->satisfied = true;
        if (header.Type != TYPE_NOTIFICATION_EVENT) {
            --header.SignalState;
        }
        world().wake(waiter);
    }
    if (waiters.empty()) {
        all.erase(found);
    }
}

void forget_waiter(const void *object, ke::Waiter *waiter) {
    auto &all = ke::world_state().waiters;
    const auto found = all.find(object);
    if (found != all.end()) {
        std::erase(found->second, waiter);
        if (found->second.empty()) {
            all.erase(found);
        }
    }
}

bool ended_by_termination(KPROCESSOR_MODE mode) {
    return mode == UserMode && current_thread().terminating;
}

NTSTATUS wait_for(const void *channel, const std::function<bool()> &ready, KPROCESSOR_MODE mode,
                  PLARGE_INTEGER timeout) {
    std::optional<uint64_t> deadline;
    if (timeout != nullptr) {
        deadline = ke::deadline_of(timeout->QuadPart);
    }
    world().block(channel, [&] { return ready() || ended_by_termination(mode); }, deadline);
    if (ready()) {
        return STATUS_SUCCESS;
    }
    return ended_by_termination(mode) ? STATUS_USER_APC : STATUS_TIMEOUT;
}

} // namespace

/// Any IRQL. An event that threads wait for must not be initialised again.
FLTSIM_KERNEL_OF_HEADERS void NTAPI KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State) {
    KernelCall call("KeInitializeEvent", HIGH_LEVEL);
    if (Type != NotificationEvent && Type != SynchronizationEvent) {
        bugcheck("WAIT object type", "KeInitializeEvent",
                 "type " + std::to_string(Type) + " is neither notification nor synchronization");
    }
    if (ke::world_state().waiters.contains(&Event->Header)) {
        bugcheck("WAIT object initialised again while a thread waits for it", "KeInitializeEvent", "use KeResetEvent");
    }
    initialise(Event->Header, static_cast<UCHAR>(Type), SIZE_EVENT, State != FALSE ? 1 : 0);
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
    if (ke::world_state().waiters.contains(&Semaphore->Header)) {
        bugcheck("WAIT object initialised again while a thread waits for it", "KeInitializeSemaphore",
                 "end the waits first");
    }
    initialise(Semaphore->Header, TYPE_SEMAPHORE, SIZE_SEMAPHORE, Count);
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
    DISPATCHER_HEADER &header = checked("KeReleaseSemaphore", Semaphore);
    if (header.Type != TYPE_SEMAPHORE) {
        bugcheck("WAIT object has another type", "KeReleaseSemaphore", "an event is not a semaphore");
    }
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

/// IRQL <= APC_LEVEL; with a timeout of 0 <= DISPATCH_LEVEL. Timeout in 100 ns: null for ever, negative relative, positive system time.
/// STATUS_SUCCESS, STATUS_TIMEOUT, or STATUS_USER_APC when a user-mode wait ends because its thread is being terminated.
FLTSIM_KERNEL NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                                                   BOOLEAN Alertable, PLARGE_INTEGER Timeout) {
    const bool may_wait = Timeout == nullptr || Timeout->QuadPart != 0;
    KernelCall call("KeWaitForSingleObject", may_wait ? APC_LEVEL : DISPATCH_LEVEL);
    if (Object != nullptr && world().is_thread(Object)) {
        const Thread *thread = static_cast<const Thread *>(Object);
        if (thread == &current_thread() && Timeout == nullptr) {
            bugcheck("WAIT of a thread for its own end", "KeWaitForSingleObject", "it never comes");
        }
        if (!may_wait) {
            return thread->ended ? STATUS_SUCCESS : STATUS_TIMEOUT;
        }
        return wait_for(thread, [thread] { return thread->ended; }, WaitMode, Timeout);
    }
    if (Object == world().system_process() || Object == world().client_process()) {
        unmodelled("KeWaitForSingleObject", "a process");
    }
    DISPATCHER_HEADER &header = checked("KeWaitForSingleObject", Object);
    if (header.SignalState > 0) {
        if (header.Type != TYPE_NOTIFICATION_EVENT) {
            --header.SignalState;
        }
        return STATUS_SUCCESS;
    }
    if (!may_wait) {
        return STATUS_TIMEOUT;
    }
    ke::Waiter waiter;
    ke::world_state().waiters[&header].push_back(&waiter);
    const NTSTATUS status = wait_for(&waiter, [&waiter] { return waiter.satisfied; }, WaitMode, Timeout);
    if (!waiter.satisfied) {
        forget_waiter(&header, &waiter);
    }
    return status;
}

/// IRQL <= APC_LEVEL. Interval in 100 ns: negative relative, positive system time.
FLTSIM_KERNEL NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                                    PLARGE_INTEGER Interval) {
    KernelCall call("KeDelayExecutionThread", APC_LEVEL);
    if (Interval == nullptr) {
        bugcheck("WAIT interval is null", "KeDelayExecutionThread", "pass an interval");
    }
    ke::Waiter waiter;
    const NTSTATUS status = wait_for(&waiter, [] { return false; }, WaitMode, Interval);
    return status == STATUS_TIMEOUT ? STATUS_SUCCESS : status;
}
