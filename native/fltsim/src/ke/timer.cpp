// SPDX-License-Identifier: MIT
//
// This module provides: timers and deferred procedure calls (DPCs) of drivers.
//
//      timer:  Idle --KeSetTimer--> Set --due--> Idle, signalled, its DPC queued; set again at once when it has a period
//              Set --KeCancelTimer--> Idle; Set --KeSetTimer--> Set, for another time
//      DPC:    Idle --KeInsertQueueDpc, or its timer--> Queued --some processor--> Idle, then the routine runs
//              Queued --KeRemoveQueueDpc--> Idle
//
// From the moment its routine begins a DPC is the driver's again: the routine may queue it anew or free it. Memory in which a timer is set or a DPC queued may
// not be freed, and the driver may not be unloaded: a cancelled timer's DPC may still be on its way, which KeFlushQueuedDpcs waits for. Windows stops with
// TIMER_OR_DPC_INVALID or crashes later.

#include <algorithm>
#include <string>

#include "ke/dispatcher.hpp"
#include "ke/pool.hpp"

using namespace fltsim;
using namespace fltsim::ke;

namespace {

constexpr UCHAR TYPE_DPC = 19; // which no header names [E]
constexpr uint64_t MS_100NS = 10'000;

KDPC &checked_dpc(const char *api, KDPC *dpc) {
    if (dpc == nullptr || dpc->Type != TYPE_DPC || dpc->DeferredRoutine == nullptr) {
        bugcheck("TIMER_OR_DPC_INVALID", api, "the DPC was never initialised, or its memory was freed or overwritten");
    }
    return *dpc;
}

KTIMER &checked_timer(const char *api, KTIMER *timer) {
    dispatcher_object(api, timer, TYPE_NOTIFICATION_TIMER, TYPE_SYNCHRONIZATION_TIMER);
    return *timer;
}

/// On some processor, at DISPATCH_LEVEL.
void run_dpc(KDPC *dpc, uint64_t serial) {
    KernelCall call("DPC", DISPATCH_LEVEL);
    WorldState &state = world_state();
    const auto queued = state.dpcs.find(dpc);
    if (queued == state.dpcs.end() || queued->second != serial) {
        return; // removed, and perhaps queued anew
    }
    state.dpcs.erase(queued);
    KDPC &checked = checked_dpc("DPC", dpc);
    const PKDEFERRED_ROUTINE routine = checked.DeferredRoutine;
    const PVOID context = checked.DeferredContext;
    const PVOID first = checked.SystemArgument1;
    const PVOID second = checked.SystemArgument2;
    checked.DpcData = nullptr;
    {
        DriverCall driver("DeferredRoutine");
        routine(dpc, context, first, second);
    }
    state.dpcs_under_way.erase(serial);
    world().wake(&state.dpcs_under_way);
}

bool insert(KDPC &dpc, PVOID first, PVOID second) {
    WorldState &state = world_state();
    if (state.dpcs.contains(&dpc)) {
        return false;
    }
    dpc.SystemArgument1 = first;
    dpc.SystemArgument2 = second;
    dpc.DpcData = &state; // not null: queued
    const uint64_t serial = ++state.last_serial;
    state.dpcs[&dpc] = serial;
    state.dpcs_under_way.insert(serial);
    world().queue_dpc([dpc = &dpc, serial] { run_dpc(dpc, serial); });
    return true;
}

void arm(KTIMER &timer, uint64_t due_100ns);

/// On the clock.
void expire(KTIMER *timer, uint64_t serial) {
    WorldState &state = world_state();
    const auto set = state.timers.find(timer);
    if (set == state.timers.end() || set->second.serial != serial) {
        return; // cancelled, and perhaps set anew
    }
    const uint64_t due = set->second.due_100ns;
    state.timers.erase(set);
    KDPC *dpc = timer->Dpc;
    if (timer->Period != 0) {
        arm(*timer, due + timer->Period * MS_100NS);
    }
    timer->Header.SignalState = 1;
    satisfy(timer->Header);
    if (dpc != nullptr) {
        const uint64_t now = world().system_time_100ns();
        constexpr int HALF_BITS = 32;
        insert(checked_dpc("timer", dpc), reinterpret_cast<PVOID>(now & UINT32_MAX),
               reinterpret_cast<PVOID>(now >> HALF_BITS));
    }
}

void arm(KTIMER &timer, uint64_t due_100ns) {
    WorldState &state = world_state();
    const uint64_t serial = ++state.last_serial;
    state.timers[&timer] = {serial, due_100ns};
    world().at(due_100ns, [timer = &timer, serial] { expire(timer, serial); });
}

bool set(const char *api, PKTIMER object, LARGE_INTEGER due, LONG period_ms, PKDPC dpc) {
    KTIMER &timer = checked_timer(api, object);
    if (period_ms < 0) {
        bugcheck("VER-02 parameter", api, "Period is " + std::to_string(period_ms) + " ms");
    }
    if (dpc != nullptr) {
        checked_dpc(api, dpc);
    }
    const bool was_set = world_state().timers.contains(&timer);
    timer.Header.SignalState = 0;
    timer.Period = static_cast<ULONG>(period_ms);
    timer.Dpc = dpc;
    const uint64_t due_100ns = ke::deadline_of(due.QuadPart);
    timer.DueTime.QuadPart = due_100ns;
    arm(timer, due_100ns);
    return was_set;
}

void initialise_timer(const char *api, PKTIMER timer, TIMER_TYPE type) {
    if (type != NotificationTimer && type != SynchronizationTimer) {
        bugcheck("WAIT object type", api,
                 "type " + std::to_string(type) + " is neither notification nor synchronization");
    }
    if (world_state().timers.contains(timer)) {
        bugcheck("TIMER_OR_DPC_INVALID", api, "the timer is set: cancel it before it is initialised again");
    }
    initialise(api, timer->Header, type == NotificationTimer ? TYPE_NOTIFICATION_TIMER : TYPE_SYNCHRONIZATION_TIMER, 0);
    timer->DueTime.QuadPart = 0;
    timer->TimerListEntry = {};
    timer->Dpc = nullptr;
    timer->Processor = 0;
    timer->Period = 0;
}

/// An object of the map that is at least in part in this memory.
template <class Objects>
bool any_inside(const Objects &objects, size_t object_bytes, const void *memory, size_t bytes) {
    const auto low = reinterpret_cast<uintptr_t>(memory);
    return std::ranges::any_of(objects, [&](const auto &entry) {
        const auto object = reinterpret_cast<uintptr_t>(entry.first);
        return object < low + bytes && low < object + object_bytes;
    });
}

} // namespace

void ke::check_no_timer(const char *api, const void *memory, size_t bytes) {
    const WorldState &state = world_state();
    if (any_inside(state.timers, sizeof(KTIMER), memory, bytes)) {
        bugcheck("TIMER_OR_DPC_INVALID", api, "a timer in this memory is set: KeCancelTimer before it is freed");
    }
    if (any_inside(state.dpcs, sizeof(KDPC), memory, bytes)) {
        bugcheck("TIMER_OR_DPC_INVALID", api,
                 "a DPC in this memory is queued: KeRemoveQueueDpc or KeFlushQueuedDpcs before it is freed");
    }
}

void ke::check_no_timers() {
    const WorldState &state = world_state();
    if (!state.timers.empty()) {
        bugcheck("TIMER_OR_DPC_INVALID", "unload",
                 std::to_string(state.timers.size()) +
                     " timer(s) of the driver are set: KeCancelTimer, then KeFlushQueuedDpcs before the unload routine "
                     "returns");
    }
    if (!state.dpcs_under_way.empty()) {
        bugcheck(
            "TIMER_OR_DPC_INVALID", "unload",
            std::to_string(state.dpcs_under_way.size()) +
                " DPC(s) of the driver are queued or running: KeFlushQueuedDpcs before the unload routine returns");
    }
}

/// Any IRQL. A queued DPC must not be initialised again.
FLTSIM_KERNEL void NTAPI KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext) {
    constexpr const char *kApi = "KeInitializeDpc";
    KernelCall call(kApi, HIGH_LEVEL);
    if (DeferredRoutine == nullptr) {
        bugcheck("VER-02 parameter", kApi, "DeferredRoutine is null");
    }
    pool::check_resident(kApi, Dpc, "a DPC");
    if (world_state().dpcs.contains(Dpc)) {
        bugcheck("TIMER_OR_DPC_INVALID", kApi, "the DPC is queued: remove it before it is initialised again");
    }
    *Dpc = {};
    Dpc->Type = TYPE_DPC;
    Dpc->Importance = MediumImportance;
    Dpc->DeferredRoutine = DeferredRoutine;
    Dpc->DeferredContext = DeferredContext;
}

/// Any IRQL. FALSE: it is queued already, and keeps its arguments.
FLTSIM_KERNEL BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2) {
    constexpr const char *kApi = "KeInsertQueueDpc";
    KernelCall call(kApi, HIGH_LEVEL);
    return insert(checked_dpc(kApi, Dpc), SystemArgument1, SystemArgument2) ? TRUE : FALSE;
}

/// Any IRQL. FALSE: it is not queued (any more); its routine may be running.
FLTSIM_KERNEL BOOLEAN NTAPI KeRemoveQueueDpc(PRKDPC Dpc) {
    constexpr const char *kApi = "KeRemoveQueueDpc";
    KernelCall call(kApi, HIGH_LEVEL);
    KDPC &dpc = checked_dpc(kApi, Dpc);
    WorldState &state = world_state();
    const auto queued = state.dpcs.find(&dpc);
    if (queued == state.dpcs.end()) {
        return FALSE;
    }
    state.dpcs_under_way.erase(queued->second);
    state.dpcs.erase(queued);
    dpc.DpcData = nullptr;
    world().wake(&state.dpcs_under_way);
    return TRUE;
}

/// IRQL <= APC_LEVEL. Returns when the routines of all DPCs that are queued or running now have returned.
FLTSIM_KERNEL void NTAPI KeFlushQueuedDpcs(void) {
    KernelCall call("KeFlushQueuedDpcs", APC_LEVEL);
    WorldState &state = world_state();
    const uint64_t last = state.last_serial;
    world().block(&state.dpcs_under_way,
                  [&] { return state.dpcs_under_way.empty() || *state.dpcs_under_way.begin() > last; });
}

/// Any IRQL. A hint, which the model's processors do not take.
FLTSIM_KERNEL void NTAPI KeSetImportanceDpc(PRKDPC Dpc, KDPC_IMPORTANCE Importance) {
    constexpr const char *kApi = "KeSetImportanceDpc";
    KernelCall call(kApi, HIGH_LEVEL);
    checked_dpc(kApi, Dpc).Importance = static_cast<UCHAR>(Importance);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI KeInitializeTimer(PKTIMER Timer) {
    KernelCall call("KeInitializeTimer", DISPATCH_LEVEL);
    initialise_timer("KeInitializeTimer", Timer, NotificationTimer);
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL void NTAPI KeInitializeTimerEx(PKTIMER Timer, TIMER_TYPE Type) {
    KernelCall call("KeInitializeTimerEx", DISPATCH_LEVEL);
    initialise_timer("KeInitializeTimerEx", Timer, Type);
}

/// IRQL <= DISPATCH_LEVEL. DueTime in 100 ns: negative relative, positive system time. TRUE: it was set, and is set anew.
FLTSIM_KERNEL BOOLEAN NTAPI KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc) {
    KernelCall call("KeSetTimer", DISPATCH_LEVEL);
    return set("KeSetTimer", Timer, DueTime, 0, Dpc) ? TRUE : FALSE;
}

/// The same with a period in ms; 0: once.
FLTSIM_KERNEL BOOLEAN NTAPI KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc) {
    KernelCall call("KeSetTimerEx", DISPATCH_LEVEL);
    return set("KeSetTimerEx", Timer, DueTime, Period, Dpc) ? TRUE : FALSE;
}

/// The same; the model's clock has no use for the delay that the driver would bear.
FLTSIM_KERNEL BOOLEAN NTAPI KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period,
                                                  ULONG TolerableDelay, PKDPC Dpc) {
    KernelCall call("KeSetCoalescableTimer", DISPATCH_LEVEL);
    return set("KeSetCoalescableTimer", Timer, DueTime, static_cast<LONG>(Period), Dpc) ? TRUE : FALSE;
}

/// IRQL <= DISPATCH_LEVEL. TRUE: it was set. Its DPC may be queued or running.
FLTSIM_KERNEL BOOLEAN NTAPI KeCancelTimer(PKTIMER Timer) {
    KernelCall call("KeCancelTimer", DISPATCH_LEVEL);
    return world_state().timers.erase(&checked_timer("KeCancelTimer", Timer)) != 0 ? TRUE : FALSE;
}

/// IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL BOOLEAN NTAPI KeReadStateTimer(PKTIMER Timer) {
    KernelCall call("KeReadStateTimer", DISPATCH_LEVEL);
    return checked_timer("KeReadStateTimer", Timer).Header.SignalState != 0 ? TRUE : FALSE;
}
