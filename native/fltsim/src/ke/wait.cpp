// SPDX-License-Identifier: MIT
//
// This module provides: waiting for dispatcher objects and threads, and for a time to pass.
//
// Whoever signals an object gives the signal to a waiter (dispatcher.hpp). A wait for a thread looks at the thread itself.

#include <algorithm>
#include <optional>
#include <string>

#include "core/fiber.hpp"
#include "core/thread_impl.hpp"
#include "ke/dispatcher.hpp"
#include "ke/locks.hpp"

using namespace fltsim;
using namespace fltsim::ke;

namespace {

bool ended_by_termination(KPROCESSOR_MODE mode) {
    return mode == UserMode && current_thread().terminating;
}

std::optional<uint64_t> deadline_of(PLARGE_INTEGER timeout) {
    return timeout != nullptr ? std::optional(ke::deadline_of(timeout->QuadPart)) : std::nullopt;
}

NTSTATUS not_satisfied(KPROCESSOR_MODE mode) {
    return ended_by_termination(mode) ? STATUS_USER_APC : STATUS_TIMEOUT;
}

bool may_wait(PLARGE_INTEGER timeout) {
    return timeout == nullptr || timeout->QuadPart != 0;
}

/// The stack of a thread that waits in user mode may be paged out [C4/123].
void check_place(const char *api, const void *object, KPROCESSOR_MODE mode) {
    const Thread &self = current_thread();
    if (mode == UserMode && self.impl != nullptr && self.impl->fiber && self.impl->fiber->has_on_stack(object)) {
        bugcheck("WAIT in user mode for an object on the stack", api,
                 "pass KernelMode, or keep the object in nonpaged pool");
    }
}

void add(const char *api, Waiter &waiter, PVOID object, KPROCESSOR_MODE mode, bool for_ever) {
    check_place(api, object, mode);
    const Thread *thread = nullptr;
    if (object != nullptr && world().is_thread(object)) {
        thread = static_cast<const Thread *>(object);
        if (thread == &current_thread() && for_ever) {
            bugcheck("WAIT of a thread for its own end", api, "it never comes");
        }
    } else if (world().is_process(object)) {
        unmodelled(api, "a process");
    }
    waiter.threads.push_back(thread);
    waiter.objects.push_back(thread != nullptr ? nullptr : &dispatcher_object(api, object));
}

/// The first thread of those it waits for that has not ended; null: none.
const Thread *running_thread(const char *api, const Waiter &waiter) {
    const Thread *first = nullptr;
    for (const Thread *thread : waiter.threads) {
        if (thread == nullptr || thread->ended || thread == first) {
            continue;
        }
        if (first != nullptr && !waiter.all) {
            unmodelled(api, "any of several threads");
        }
        if (first == nullptr) {
            first = thread;
        }
    }
    return first;
}

NTSTATUS wait(const char *api, Waiter &waiter, KPROCESSOR_MODE mode, PLARGE_INTEGER timeout) {
    if (timeout == nullptr) {
        waiter.ask_for_mutexes(api);
    }
    if (waiter.try_satisfy()) {
        return STATUS_SUCCESS;
    }
    if (!may_wait(timeout)) {
        return STATUS_TIMEOUT;
    }
    const std::optional<uint64_t> deadline = deadline_of(timeout);
    waiter.enlist();
    while (!waiter.satisfied) {
        const Thread *running = running_thread(api, waiter);
        waiter.channel = running != nullptr ? static_cast<const void *>(running) : &waiter;
        const bool woken = world().block(
            waiter.channel,
            [&] { return waiter.satisfied || (running != nullptr && running->ended) || ended_by_termination(mode); },
            deadline);
        // Threads do not come to their waiters: it is for this one to look.
        if (!waiter.satisfied && (!woken || ended_by_termination(mode) || waiter.try_satisfy())) {
            waiter.leave();
            break;
        }
    }
    return waiter.satisfied ? STATUS_SUCCESS : not_satisfied(mode);
}

} // namespace

/// IRQL <= APC_LEVEL; with a timeout of 0 <= DISPATCH_LEVEL. Timeout in 100 ns: null for ever, negative relative, positive system time.
/// STATUS_SUCCESS, STATUS_TIMEOUT, or STATUS_USER_APC when a user-mode wait ends because its thread is being terminated.
FLTSIM_KERNEL NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                                                   BOOLEAN Alertable, PLARGE_INTEGER Timeout) {
    constexpr const char *kApi = "KeWaitForSingleObject";
    KernelCall call(kApi, may_wait(Timeout) ? APC_LEVEL : DISPATCH_LEVEL);
    Waiter waiter(current_thread());
    waiter.code = FLTSIM_CALLER;
    add(kApi, waiter, Object, WaitMode, Timeout == nullptr);
    return wait(kApi, waiter, WaitMode, Timeout);
}

/// IRQL and Timeout as above. WaitAny: STATUS_WAIT_0 + the index of the first object that is signalled. WaitAll: STATUS_SUCCESS, and nothing is taken before
/// everything can be. More than THREAD_WAIT_OBJECTS need a WaitBlockArray, which the model does not use.
FLTSIM_KERNEL NTSTATUS NTAPI KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType,
                                                      KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                                                      BOOLEAN Alertable, PLARGE_INTEGER Timeout,
                                                      PKWAIT_BLOCK WaitBlockArray) {
    constexpr const char *kApi = "KeWaitForMultipleObjects";
    KernelCall call(kApi, may_wait(Timeout) ? APC_LEVEL : DISPATCH_LEVEL);
    if (Count == 0 || Count > (WaitBlockArray != nullptr ? MAXIMUM_WAIT_OBJECTS : THREAD_WAIT_OBJECTS)) {
        bugcheck("MAXIMUM_WAIT_OBJECTS_EXCEEDED", kApi,
                 std::to_string(Count) + " objects: 1 to 3 without, 1 to 64 with a WaitBlockArray");
    }
    if (WaitType != WaitAll && WaitType != WaitAny) {
        bugcheck("VER-02 parameter", kApi, "WaitType " + std::to_string(WaitType) + " is neither WaitAll nor WaitAny");
    }
    Waiter waiter(current_thread());
    waiter.all = WaitType == WaitAll;
    waiter.code = FLTSIM_CALLER;
    for (ULONG object = 0; object < Count; ++object) {
        add(kApi, waiter, Object[object], WaitMode, Timeout == nullptr);
    }
    const NTSTATUS status = wait(kApi, waiter, WaitMode, Timeout);
    return status == STATUS_SUCCESS && !waiter.all ? STATUS_WAIT_0 + static_cast<NTSTATUS>(waiter.index) : status;
}

/// IRQL <= APC_LEVEL. Interval in 100 ns: negative relative, positive system time.
FLTSIM_KERNEL NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                                    PLARGE_INTEGER Interval) {
    KernelCall call("KeDelayExecutionThread", APC_LEVEL);
    if (Interval == nullptr) {
        bugcheck("WAIT interval is null", "KeDelayExecutionThread", "pass an interval");
    }
    const char channel = 0;
    world().block(&channel, [&] { return ended_by_termination(WaitMode); }, deadline_of(Interval));
    return ended_by_termination(WaitMode) ? STATUS_USER_APC : STATUS_SUCCESS;
}
