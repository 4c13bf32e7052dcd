// SPDX-License-Identifier: MIT
//
// This module provides: what a checked build of a driver calls when an assertion fails, and the wait by handle.
#include <optional>
#include <string>

#include "io/io_manager.hpp"
#include "ke/process_object.hpp"
#include "ke/state.hpp"
#include "ke/threads.hpp"
#include "user/event.hpp"

using namespace fltsim;

/// Any IRQL. Stops the world: the driver has found itself in a state that it excludes.
FLTSIM_KERNEL void NTAPI RtlAssert(PVOID VoidFailedAssertion, PVOID VoidFileName, ULONG LineNumber,
                                   PSTR MutableMessage) {
    KernelCall call("RtlAssert", HIGH_LEVEL);
    std::string text = static_cast<const char *>(VoidFileName);
    text += ":" + std::to_string(LineNumber);
    if (MutableMessage != nullptr) {
        text += std::string(" ") + MutableMessage;
    }
    bugcheck(std::string("ASSERTION ") + static_cast<const char *>(VoidFailedAssertion), "RtlAssert", text);
}

/// IRQL = PASSIVE_LEVEL. Handles of threads, processes, files and events. STATUS_TIMEOUT, STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH.
FLTSIM_KERNEL NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout) {
    KernelCall call("ZwWaitForSingleObject", PASSIVE_LEVEL);
    if (Alertable) {
        unmodelled("ZwWaitForSingleObject", "an alertable wait");
    }
    const auto object = world().handles->find(Handle);
    if (object == nullptr) {
        return STATUS_INVALID_HANDLE;
    }
    const auto deadline = Timeout != nullptr ? std::optional(ke::deadline_of(Timeout->QuadPart)) : std::nullopt;
    if (const auto event = std::dynamic_pointer_cast<user::Event>(object)) {
        return event->take(deadline) ? STATUS_SUCCESS : STATUS_TIMEOUT;
    }
    const void *channel = object.get();
    if (const auto thread = std::dynamic_pointer_cast<ke::ThreadObject>(object)) {
        channel = thread->thread();
    } else if (const auto process = std::dynamic_pointer_cast<ke::ProcessObject>(object)) {
        channel = &process->process();
    } else if (std::dynamic_pointer_cast<io::FileObject>(object) == nullptr) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    return world().block(
               channel, [&object] { return object->signalled(); }, deadline)
               ? STATUS_SUCCESS
               : STATUS_TIMEOUT;
}
