// SPDX-License-Identifier: MIT
//
// This module provides: PsSetCreateProcessNotifyRoutine, ...Ex and ...Ex2, and telling the routines.
//
// All three share one list. A routine that was registered by one call is removed by the same call alone.
#include "ke/process_notify.hpp"

#include <algorithm>
#include <string>

#include "core/faults.hpp"
#include "image/exports.hpp"
#include "ke/state.hpp"

using namespace fltsim;
using ke::ProcessNotify;

namespace {

constexpr size_t MOST_ROUTINES = 64;

auto place_of_notify(const void *routine) {
    return std::ranges::find(ke::world_state().process_notify, routine, &ProcessNotify::routine);
}

HANDLE handle_of(uint64_t id) {
    return reinterpret_cast<HANDLE>(static_cast<uintptr_t>(id));
}

/// Calls `routine` as the one that it was registered as.
void call(const ProcessNotify &notify, const Process &parent, Process &process, PS_CREATE_NOTIFY_INFO *info,
          bool create) {
    const DriverCall driver("process notify routine");
    if (notify.kind == ProcessNotify::Kind::Plain) {
        const auto routine = reinterpret_cast<PCREATE_PROCESS_NOTIFY_ROUTINE>(const_cast<void *>(notify.routine));
        routine(handle_of(parent.id), handle_of(process.id), create ? TRUE : FALSE);
    } else {
        const auto routine = reinterpret_cast<PCREATE_PROCESS_NOTIFY_ROUTINE_EX>(const_cast<void *>(notify.routine));
        routine(reinterpret_cast<PEPROCESS>(&process), handle_of(process.id), info);
    }
}

void tell(const Process &parent, Process &process, PS_CREATE_NOTIFY_INFO *info, bool create) {
    // A routine that comes or goes meanwhile: each that is there at its turn is called, once.
    const std::vector<ProcessNotify> all = ke::world_state().process_notify;
    for (const ProcessNotify &notify : all) {
        const auto found = place_of_notify(notify.routine);
        if (found == ke::world_state().process_notify.end() || found->leaving || found->kind != notify.kind) {
            continue;
        }
        ke::ThreadState &self = ke::thread_state(executing());
        ++found->running;
        ++executing().kernel_apc_disable;
        ++self.in_process_notify;
        call(notify, parent, process, info, create);
        --self.in_process_notify;
        --executing().kernel_apc_disable;
        --place_of_notify(notify.routine)->running;
        world().wake(&ke::world_state().process_notify);
    }
}

NTSTATUS set_routine(const char *api, const void *routine, ProcessNotify::Kind kind, BOOLEAN remove) {
    if (routine == nullptr) {
        bugcheck("VER-02 parameter", api, "NotifyRoutine is null");
    }
    if (ke::thread_state(executing()).in_process_notify != 0) {
        bugcheck("PROCESS NOTIFY changed by a routine", api, "a process notify routine must not make this call");
    }
    auto &all = ke::world_state().process_notify;
    const auto found = place_of_notify(routine);
    if (remove == FALSE) {
        if (const auto failure = failing(api)) {
            return *failure;
        }
        if (kind != ProcessNotify::Kind::Plain && !image::forced_integrity(routine)) {
            world().note(std::string(api) +
                         ": STATUS_ACCESS_DENIED, the routine's image was linked without /INTEGRITYCHECK");
            return STATUS_ACCESS_DENIED;
        }
        if (found != all.end() || all.size() == MOST_ROUTINES) {
            return STATUS_INVALID_PARAMETER;
        }
        all.push_back({routine, kind, 0, false});
        return STATUS_SUCCESS;
    }
    if (found == all.end() || found->leaving || found->kind != kind) {
        return STATUS_PROCEDURE_NOT_FOUND;
    }
    found->leaving = true;
    world().block(&all, [routine] { return place_of_notify(routine)->running == 0; });
    all.erase(place_of_notify(routine));
    return STATUS_SUCCESS;
}

} // namespace

bool ke::create_info_wanted() {
    return std::ranges::any_of(world_state().process_notify,
                               [](const auto &notify) { return notify.kind != ProcessNotify::Kind::Plain; });
}

void ke::notify_of_creation(const Process &parent, Process &process, PS_CREATE_NOTIFY_INFO *info) {
    tell(parent, process, info, true);
}

void ke::notify_of_end(const Process &parent, Process &process) {
    tell(parent, process, nullptr, false);
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
    return set_routine(kApi, reinterpret_cast<const void *>(NotifyRoutine), ProcessNotify::Kind::Plain, Remove);
}

/// The same, and STATUS_ACCESS_DENIED: the image that the routine is in has no IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY.
FLTSIM_KERNEL NTSTATUS NTAPI PsSetCreateProcessNotifyRoutineEx(PCREATE_PROCESS_NOTIFY_ROUTINE_EX NotifyRoutine,
                                                               BOOLEAN Remove) {
    constexpr const char *kApi = "PsSetCreateProcessNotifyRoutineEx";
    KernelCall call(kApi, PASSIVE_LEVEL);
    return set_routine(kApi, reinterpret_cast<const void *>(NotifyRoutine), ProcessNotify::Kind::Extended, Remove);
}

/// The same for processes of all subsystems; those of the model are all of Win32. STATUS_INVALID_PARAMETER: another NotifyType.
FLTSIM_KERNEL NTSTATUS NTAPI PsSetCreateProcessNotifyRoutineEx2(PSCREATEPROCESSNOTIFYTYPE NotifyType,
                                                                PVOID NotifyInformation, BOOLEAN Remove) {
    constexpr const char *kApi = "PsSetCreateProcessNotifyRoutineEx2";
    KernelCall call(kApi, PASSIVE_LEVEL);
    if (NotifyType != PsCreateProcessNotifySubsystems) {
        return STATUS_INVALID_PARAMETER;
    }
    return set_routine(kApi, NotifyInformation, ProcessNotify::Kind::Subsystems, Remove);
}
