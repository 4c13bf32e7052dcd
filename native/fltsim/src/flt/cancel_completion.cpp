// SPDX-License-Identifier: MIT
//
// This module provides: cancel routines of pre-operations that are pended without a cancel-safe queue [CANC-05].
//
//      FltSetCancelCompletion --> set --FltClearCancelCompletion--> the driver's alone, who gives it back
//                                  `---cancelled--> the driver's routine; whoever clears from now on is told STATUS_CANCELLED
//
// Invariant: the routine is set exactly while the operation's cancel routine is this module's. Nothing is locked while it runs: what it and a worker do
// to the same callback data is for the driver to keep apart.

#include "flt/internal.hpp"

#include <utility>

namespace fltsim::flt {

namespace {

/// The operation is being cancelled, and its cancel routine is taken.
void cancelled(const std::shared_ptr<CallRecord> &call) {
    KernelCall kernel("cancel routine of FltSetCancelCompletion");
    const PFLT_CALLBACK_DATA data = call->data;
    const auto routine = std::exchange(call->cancel_completion, nullptr);
    world().note(describe(*call->operation) + ": cancelled while " + describe(*call->instance) + " has it");
    DriverCall driver("cancel routine of FltSetCancelCompletion");
    routine(data);
}

void check_irp(const CallRecord &call, const char *api) {
    if (call.operation->form != io::Form::Irp) {
        bugcheck("CANC-05 not an IRP", api,
                 describe(*call.operation) + ": only IRP-based operations can have a cancel routine");
    }
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// From a pre-operation that will return FLT_PREOP_PENDING, before anybody else can give the operation back. STATUS_CANCELLED when it is cancelled
/// already: then the routine is not set and not called. Not of paging I/O, not of what is in a callback data queue. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltSetCancelCompletion(PFLT_CALLBACK_DATA CallbackData,
                                                     PFLT_COMPLETE_CANCELED_CALLBACK CanceledCallback) {
    constexpr const char *kApi = "FltSetCancelCompletion";
    KernelCall kernel(kApi);
    const auto call = call_of(CallbackData, kApi);
    io::Operation &operation = *call->operation;
    check_irp(*call, kApi);
    if (CanceledCallback == nullptr) {
        bugcheck("VER-02 parameter", kApi, "CanceledCallback is null");
    }
    if (call->kind != CallRecord::Kind::Pre) {
        bugcheck("CANC-06 cancel routine of a post-operation", kApi,
                 describe(operation) + ": the file system has completed it, and nothing cancels it any more");
    }
    if ((operation.irp_flags & IRP_PAGING_IO) != 0) {
        bugcheck("CANC-05 cancel routine of paging I/O", kApi, describe(operation));
    }
    if (call->cbdq != nullptr) {
        bugcheck("CANC-05 cancel routine and queue", kApi,
                 describe(operation) + " is in a callback data queue, which has its own");
    }
    if (call->cancel_completion != nullptr) {
        unmodelled(kApi, "a second cancel routine for one operation");
    }
    if (operation.cancel_requested) {
        return STATUS_CANCELLED;
    }
    call->cancel_completion = CanceledCallback;
    operation.cancel_routine = [call] { cancelled(call); };
    return STATUS_SUCCESS;
}

/// STATUS_SUCCESS: the routine is not called any more. STATUS_CANCELLED: it was or is being called, or there is none. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltClearCancelCompletion(PFLT_CALLBACK_DATA CallbackData) {
    constexpr const char *kApi = "FltClearCancelCompletion";
    KernelCall kernel(kApi);
    const auto call = call_of(CallbackData, kApi);
    check_irp(*call, kApi);
    if (call->cancel_completion == nullptr) {
        return STATUS_CANCELLED;
    }
    call->cancel_completion = nullptr;
    call->operation->cancel_routine = nullptr;
    return STATUS_SUCCESS;
}

/// Any IRQL.
FLTSIM_KERNEL BOOLEAN FLTAPI FltIsIoCanceled(PFLT_CALLBACK_DATA CallbackData) {
    constexpr const char *kApi = "FltIsIoCanceled";
    KernelCall kernel(kApi, HIGH_LEVEL);
    return call_of(CallbackData, kApi)->operation->cancel_requested ? TRUE : FALSE;
}
