// SPDX-License-Identifier: MIT
//
// This module provides: PsSetCreateProcessNotifyRoutine, and telling the routines.
#include "ke/process_notify.hpp"

#include <algorithm>
#include <string>

#include "core/faults.hpp"
#include "ke/state.hpp"

using namespace fltsim;

namespace {

constexpr size_t MOST_ROUTINES = 64;

auto place_of_notify(PCREATE_PROCESS_NOTIFY_ROUTINE routine) {
    return std::ranges::find(ke::world_state().process_notify, routine, &ke::ProcessNotify::routine);
}

} // namespace

void ke::notify_of_process(const Process &parent, const Process &process, bool create) {
    // A routine that comes or goes meanwhile: each that is there at its turn is called, once.
    std::vector<PCREATE_PROCESS_NOTIFY_ROUTINE> routines;
    for (const ProcessNotify &notify : world_state().process_notify) {
        routines.push_back(notify.routine);
    }
    const auto handle = [](uint64_t id) { return reinterpret_cast<HANDLE>(static_cast<uintptr_t>(id)); };
    for (const PCREATE_PROCESS_NOTIFY_ROUTINE routine : routines) {
        const auto found = place_of_notify(routine);
        if (found == world_state().process_notify.end() || found->leaving) {
            continue;
        }
        ThreadState &self = thread_state(executing());
        ++found->running;
        ++executing().kernel_apc_disable;
        ++self.in_process_notify;
        {
            const DriverCall driver("process notify routine");
            routine(handle(parent.id), handle(process.id), create ? TRUE : FALSE);
        }
        --self.in_process_notify;
        --executing().kernel_apc_disable;
        --place_of_notify(routine)->running;
        world().wake(&world_state().process_notify);
    }
}

void ke::check_no_process_notify() {
    const size_t left = world_state().process_notify.size();
    if (left != 0) {
        bugcheck("PROCESS NOTIFY routine left", "unload",
                 std::to_string(left) +
                     " process notify routine(s) are still registered: the next process that is made "
                     "or ends calls into the unloaded image");
    }
}

/// IRQL = PASSIVE_LEVEL. STATUS_INVALID_PARAMETER: registered already, or one too many; STATUS_PROCEDURE_NOT_FOUND: not registered. Removing waits
/// until the routine has returned wherever it runs.
FLTSIM_KERNEL NTSTATUS NTAPI PsSetCreateProcessNotifyRoutine(PCREATE_PROCESS_NOTIFY_ROUTINE NotifyRoutine,
                                                             BOOLEAN Remove) {
    constexpr const char *kApi = "PsSetCreateProcessNotifyRoutine";
    KernelCall call(kApi, PASSIVE_LEVEL);
    if (NotifyRoutine == nullptr) {
        bugcheck("VER-02 parameter", kApi, "NotifyRoutine is null");
    }
    if (ke::thread_state(executing()).in_process_notify != 0) {
        bugcheck("PROCESS NOTIFY changed by a routine", kApi, "a process notify routine must not make this call");
    }
    auto &all = ke::world_state().process_notify;
    const auto found = place_of_notify(NotifyRoutine);
    if (Remove == FALSE) {
        if (const auto failure = failing(kApi)) {
            return *failure;
        }
        if (found != all.end() || all.size() == MOST_ROUTINES) {
            return STATUS_INVALID_PARAMETER;
        }
        all.push_back({NotifyRoutine, 0, false});
        return STATUS_SUCCESS;
    }
    if (found == all.end() || found->leaving) {
        return STATUS_PROCEDURE_NOT_FOUND;
    }
    found->leaving = true;
    world().block(&all, [NotifyRoutine] { return place_of_notify(NotifyRoutine)->running == 0; });
    all.erase(place_of_notify(NotifyRoutine));
    return STATUS_SUCCESS;
}
