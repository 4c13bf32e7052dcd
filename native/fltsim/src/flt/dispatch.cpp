// SPDX-License-Identifier: MIT
//
// This module provides: the way of an operation down the stack, and the threads that wait to run synchronised post-operations (create always,
// FLT_PREOP_SYNCHRONIZE on request): each in the thread of its pre-operation [IRQL-02, IRQL-03].

#include "flt/internal.hpp"

#include "core/readings.hpp"
#include "fs/file_system.hpp"

namespace fltsim::flt {

namespace {

void begin(const std::shared_ptr<io::Operation> &operation) {
    auto &m = manager();
    auto state = std::make_shared<OperationState>();
    state->number = m.next_operation++;
    state->original_parameters = operation->parameters;
    state->position = m.operations.insert(m.operations.end(), operation);
    state->origin = &executing();
    operation->flt_state = state;
    operation->state = io::Operation::State::Pre;
}

/// All pre-operations have run: post-operations go from the lowest frame up.
void turn(io::Operation &operation) {
    OperationState &state = state_of(operation);
    state.next = static_cast<int>(state.frames.size()) - 1;
    state.original_status = operation.io_status.Status;
    operation.state = io::Operation::State::Post;
}

/// Whether this thread has a post-operation to run, or the end of a create.
bool synchronised_post_due(const io::Operation &operation, const OperationState &state) {
    const bool create = operation.major == IRP_MJ_CREATE;
    if (create && state.origin == &executing()) {
        return true;
    }
    for (const Frame &frame : state.frames) {
        if ((create || frame.synchronize) && frame.phase == Frame::Phase::Waiting && frame.thread == &executing()) {
            return true;
        }
    }
    return false;
}

/// Runs what must run in this thread: the post-operations of a create, and those after FLT_PREOP_SYNCHRONIZE. When the instance that asked for one
/// is drained, this thread goes on without it [SYNC-05].
void wait_for_synchronised(const std::shared_ptr<io::Operation> &operation) {
    OperationState &state = state_of(*operation);
    const auto completed = [&] { return operation->state == io::Operation::State::Completed; };
    const auto parked = [&] { return state.parked_for == &executing(); };
    while (!completed() && (parked() || synchronised_post_due(*operation, state))) {
        const auto look_again = [&] { return completed() || parked() || !synchronised_post_due(*operation, state); };
        if (!world().block(&state, look_again)) {
            break; // the world ends
        }
        if (parked()) {
            state.parked_for = nullptr;
            advance(operation, true);
        }
    }
}

} // namespace

/// BUF-04.
bool synchronous(const io::Operation &operation) {
    if (operation.form != io::Form::Irp) {
        return true;
    }
    if ((operation.irp_flags & IRP_PAGING_IO) != 0) {
        return (operation.irp_flags & IRP_SYNCHRONOUS_PAGING_IO) != 0;
    }
    if (operation.file && (operation.file->native.Flags & FO_SYNCHRONOUS_IO) != 0) {
        return true;
    }
    if ((operation.irp_flags & IRP_SYNCHRONOUS_API) != 0) {
        return true;
    }
    const bool control = operation.major == IRP_MJ_FILE_SYSTEM_CONTROL || operation.major == IRP_MJ_DEVICE_CONTROL;
    if (control && (operation.major == IRP_MJ_DEVICE_CONTROL || operation.minor == IRP_MN_USER_FS_REQUEST)) {
        constexpr ULONG kMethodMask = 3; // METHOD_BUFFERED is 0
        return (operation.parameters.FileSystemControl.Common.FsControlCode & kMethodMask) == 0;
    }
    return false;
}

KIRQL callback_irql(const io::Operation &operation, bool post) {
    const bool close =
        operation.form == io::Form::Irp && operation.major == IRP_MJ_CLOSE && reading<CloseIrql>() == CloseIrql::Apc;
    const bool fast_io = post && operation.form == io::Form::FastIo && reading<FastIoPostIrql>() == FastIoPostIrql::Apc;
    return std::max<KIRQL>(executing().irql, close || fast_io ? APC_LEVEL : PASSIVE_LEVEL);
}

OperationState &state_of(io::Operation &operation) {
    return *static_cast<OperationState *>(operation.flt_state.get());
}

NTSTATUS FilterManager::call(const std::shared_ptr<io::Operation> &operation) {
    KernelCall kernel("IofCallDriver");
    if (operation->major == IRP_MJ_CREATE) {
        attach_to_new_mount(*operation->volume);
    }
    begin(operation);
    go_down(operation, Outcome::GoOn, operation->below);
    return operation->state == io::Operation::State::Completed ? operation->io_status.Status : STATUS_PENDING;
}

void go_down(const std::shared_ptr<io::Operation> &operation, Outcome outcome, std::u16string_view above) {
    if (outcome == Outcome::GoOn) {
        outcome = run_pre_operations(operation, above);
    }
    switch (outcome) {
    case Outcome::GoOn:
        operation->state = io::Operation::State::Below;
        operation->volume->file_system->dispatch(operation);
        tell_statuses(*operation);
        break;
    case Outcome::Pended:
        break;
    case Outcome::Completed:
    case Outcome::DisallowFastIo:
        drop_requests(state_of(*operation).status_requests);
        turn(*operation); // the upper post-operations run here [BUF-06]
        advance(operation, true);
        break;
    }
    wait_for_synchronised(operation);
}

bool FilterManager::call_inline(const std::shared_ptr<io::Operation> &operation) {
    KernelCall kernel("FastIo", APC_LEVEL);
    begin(operation);
    OperationState &state = state_of(*operation);
    const Outcome outcome = run_pre_operations(operation, operation->below);
    bool done = outcome == Outcome::Completed;
    if (outcome == Outcome::GoOn) {
        operation->state = io::Operation::State::Below;
        done = operation->volume->file_system->dispatch_inline(operation);
    }
    if (!done && operation->form == io::Form::FastIo) {
        // What post-operations see of fast I/O that was turned away; the I/O manager sends an IRP next [PRE-04].
        operation->io_status.Status = STATUS_FLT_DISALLOW_FAST_IO;
        operation->io_status.Information = 0;
    }
    turn(*operation);
    for (; state.next >= 0; --state.next) {
        if (state.frames[static_cast<size_t>(state.next)].phase == Frame::Phase::Waiting) {
            run_post(operation, static_cast<size_t>(state.next)); // stops the world rather than pend [POST-21]
        }
    }
    finish(operation);
    return done;
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Whether the requestor waits for the operation [BUF-04]. Any IRQL.
FLTSIM_KERNEL BOOLEAN FLTAPI FltIsOperationSynchronous(PFLT_CALLBACK_DATA CallbackData) {
    KernelCall call("FltIsOperationSynchronous", HIGH_LEVEL);
    return synchronous(*call_of(CallbackData, "FltIsOperationSynchronous")->operation) ? TRUE : FALSE;
}

/// Says that a driver changed the parameter block [POST-31]. Any IRQL.
FLTSIM_KERNEL VOID FLTAPI FltSetCallbackDataDirty(PFLT_CALLBACK_DATA Data) {
    KernelCall call("FltSetCallbackDataDirty", HIGH_LEVEL);
    call_of(Data, "FltSetCallbackDataDirty")->data->Flags |= FLTFL_CALLBACK_DATA_DIRTY;
}

/// Any IRQL.
FLTSIM_KERNEL VOID FLTAPI FltClearCallbackDataDirty(PFLT_CALLBACK_DATA Data) {
    KernelCall call("FltClearCallbackDataDirty", HIGH_LEVEL);
    call_of(Data, "FltClearCallbackDataDirty")->data->Flags &= ~FLTFL_CALLBACK_DATA_DIRTY;
}

/// Any IRQL.
FLTSIM_KERNEL BOOLEAN FLTAPI FltIsCallbackDataDirty(PFLT_CALLBACK_DATA Data) {
    KernelCall call("FltIsCallbackDataDirty", HIGH_LEVEL);
    return (call_of(Data, "FltIsCallbackDataDirty")->data->Flags & FLTFL_CALLBACK_DATA_DIRTY) != 0 ? TRUE : FALSE;
}

namespace {
Process *requestor_process(PFLT_CALLBACK_DATA data, const char *api) {
    const auto call = call_of(data, api);
    return call->operation->requestor ? call->operation->requestor->process : nullptr;
}
} // namespace

/// The process of the thread that asked for the operation, or null [INFO-01]. IRQL <= DISPATCH_LEVEL. Not referenced.
FLTSIM_KERNEL PEPROCESS FLTAPI FltGetRequestorProcess(PFLT_CALLBACK_DATA CallbackData) {
    KernelCall call("FltGetRequestorProcess");
    return reinterpret_cast<PEPROCESS>(requestor_process(CallbackData, "FltGetRequestorProcess"));
}

/// Its id, 0 when there is none [INFO-01]. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL HANDLE FLTAPI FltGetRequestorProcessIdEx(PFLT_CALLBACK_DATA CallbackData) {
    KernelCall call("FltGetRequestorProcessIdEx");
    const Process *process = requestor_process(CallbackData, "FltGetRequestorProcessIdEx");
    return reinterpret_cast<HANDLE>(static_cast<uintptr_t>(process ? process->id : 0));
}

/// Its id, 0 when there is none [INFO-01]. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL ULONG FLTAPI FltGetRequestorProcessId(PFLT_CALLBACK_DATA CallbackData) {
    KernelCall call("FltGetRequestorProcessId");
    const Process *process = requestor_process(CallbackData, "FltGetRequestorProcessId");
    return process ? static_cast<ULONG>(process->id) : 0;
}

/// FALSE: every program of the model is of 64 bits. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL BOOLEAN FLTAPI FltIs32bitProcess(PFLT_CALLBACK_DATA CallbackData) {
    KernelCall call("FltIs32bitProcess");
    if (CallbackData != nullptr) {
        call_of(CallbackData, "FltIs32bitProcess");
    }
    return FALSE;
}

/// A name for a major function [INFO-02]. Any IRQL.
FLTSIM_KERNEL PCHAR FLTAPI FltGetIrpName(UCHAR IrpMajorCode) {
    KernelCall call("FltGetIrpName", HIGH_LEVEL);
    const char *name = operation_name(IrpMajorCode);
    return const_cast<PCHAR>(name ? name : "<Invalid IRP code>");
}
