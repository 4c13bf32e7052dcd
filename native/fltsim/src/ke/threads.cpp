// SPDX-License-Identifier: MIT
//
// System threads end in one of two ways: their start routine returns, or it calls PsTerminateSystemThread, which jumps back to
// run_start_routine below. Both then pass the checks that every return from driver code passes.
#include "ke/threads.hpp"

#include <algorithm>

#include "core/faults.hpp"
#include "ke/locks.hpp"
#include "ke/state.hpp"

namespace fltsim::ke {

ThreadObject::ThreadObject(Thread &thread) : thread_(&thread) {
    thread_->reference();
}
ThreadObject::~ThreadObject() {
    thread_->dereference();
}

void check_no_system_threads() {
    const auto &threads = world_state().system_threads;
    if (!threads.empty()) {
        bugcheck("UNL-07 image unloaded while its system thread runs", "unload",
                 threads.front()->name + " and " + std::to_string(threads.size() - 1) +
                     " more: wait for every thread made by PsCreateSystemThread before the unload routine returns");
    }
}

} // namespace fltsim::ke

using namespace fltsim;

namespace {

/// On hosts a jump from the driver's frames to ours needs the host's own setjmp; the frames between own nothing.
void run_start_routine(PKSTART_ROUTINE start, PVOID context) {
    Thread &self = executing();
    sigjmp_buf exit_jump;
    ke::thread_state(self).exit_jump = &exit_jump;
    DriverCall driver("KSTART_ROUTINE");
    if (sigsetjmp(exit_jump, 0) == 0) {
        start(context);
    }
}

void system_thread_main(PKSTART_ROUTINE start, PVOID context) {
    KernelCall call("PsCreateSystemThread", PASSIVE_LEVEL);
    run_start_routine(start, context);
    ke::check_no_lock_held("PsTerminateSystemThread");
    Thread &self = executing();
    ke::thread_state(self).exit_jump = nullptr;
    std::erase(ke::world_state().system_threads, &self);
}

} // namespace

/// IRQL = PASSIVE_LEVEL. ProcessHandle null: the System process (others are not modelled). STATUS_INSUFFICIENT_RESOURCES when the fault
/// switch fires. The thread runs until its routine returns or calls PsTerminateSystemThread; the handle must be closed.
FLTSIM_KERNEL NTSTATUS NTAPI PsCreateSystemThread(PHANDLE ThreadHandle, ULONG DesiredAccess,
                                                  POBJECT_ATTRIBUTES ObjectAttributes, HANDLE ProcessHandle,
                                                  PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine,
                                                  PVOID StartContext) {
    KernelCall call("PsCreateSystemThread", PASSIVE_LEVEL);
    if (ProcessHandle != nullptr) {
        unmodelled("PsCreateSystemThread", "a process other than System");
    }
    if (const auto failure = failing("PsCreateSystemThread")) {
        return *failure;
    }
    World &w = world();
    auto &threads = ke::world_state().system_threads;
    Thread *thread = w.spawn("system thread " + std::to_string(threads.size() + 1), w.system_process(),
                             [StartRoutine, StartContext] { system_thread_main(StartRoutine, StartContext); });
    threads.push_back(thread);
    // A handle without OBJ_KERNEL_HANDLE goes to the table of the process that runs now, which user mode may own.
    const bool kernel_handle =
        (ObjectAttributes != nullptr && (ObjectAttributes->Attributes & OBJ_KERNEL_HANDLE) != 0) ||
        current_thread().process == nullptr || current_thread().process->system;
    *ThreadHandle = w.handles->insert(std::make_shared<ke::ThreadObject>(*thread), kernel_handle);
    if (ClientId != nullptr) {
        ClientId->UniqueProcess = reinterpret_cast<HANDLE>(static_cast<uintptr_t>(w.system_process()->id));
        ClientId->UniqueThread = reinterpret_cast<HANDLE>(static_cast<uintptr_t>(thread->id));
    }
    w.note(thread->name + " (id " + std::to_string(thread->id) + ") created");
    return STATUS_SUCCESS;
}

/// IRQL = PASSIVE_LEVEL. Does not return in a thread made by PsCreateSystemThread; STATUS_INVALID_PARAMETER in any other.
FLTSIM_KERNEL NTSTATUS NTAPI PsTerminateSystemThread(NTSTATUS ExitStatus) {
    void *exit_jump = nullptr;
    {
        KernelCall call("PsTerminateSystemThread", PASSIVE_LEVEL);
        Thread &self = executing();
        exit_jump = ke::thread_state(self).exit_jump;
        if (exit_jump == nullptr) {
            return STATUS_INVALID_PARAMETER;
        }
        self.seh_top = nullptr;
        ke::thread_state(self).seh_driver_depth.clear();
        world().note(self.name + " ends");
    }
    siglongjmp(*static_cast<sigjmp_buf *>(exit_jump), 1);
}
