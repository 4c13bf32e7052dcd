// SPDX-License-Identifier: MIT
//
// This module provides: what a checked build of a driver calls when an assertion fails, and the wait by handle.
#include <string>

#include "ke/threads.hpp"

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

/// IRQL = PASSIVE_LEVEL. Thread handles, without a timeout. STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH.
FLTSIM_KERNEL NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout) {
    KernelCall call("ZwWaitForSingleObject", PASSIVE_LEVEL);
    if (Alertable || Timeout != nullptr) {
        unmodelled("ZwWaitForSingleObject", "an alertable wait or one with a timeout");
    }
    const auto object = world().handles->find(Handle);
    if (object == nullptr) {
        return STATUS_INVALID_HANDLE;
    }
    const auto thread = std::dynamic_pointer_cast<ke::ThreadObject>(object);
    if (thread == nullptr) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    world().block(thread->thread(), [&thread] { return thread->thread()->ended; });
    return STATUS_SUCCESS;
}
