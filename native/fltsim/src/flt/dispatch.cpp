// SPDX-License-Identifier: MIT
//
// This module provides: the way of an operation down the stack: the pre-operations, high to low altitude [ALT-02], and the thread that waits
// to run synchronised post-operations (create always, FLT_PREOP_SYNCHRONIZE on request).
//
// Invariants: an instance is called only while it is active and registered the major function; each return value of a pre-operation is
// checked against the form of the operation [PRE-01..05, VER-05 V8, V9, V22].

#include "flt/internal.hpp"

#include <cstring>

#include "core/readings.hpp"
#include "flt/altitude.hpp"
#include "fs/file_system.hpp"

namespace fltsim::flt {

namespace {

constexpr FLT_OPERATION_REGISTRATION_FLAGS kSkipNonCachedNonPagingIo = 8;

enum class Outcome { GoOn, Completed, DisallowFastIo };

bool is_create(const io::Operation &operation) {
    return operation.major == IRP_MJ_CREATE;
}

/// The SKIP flags of an operation registration [REG-04].
bool skipped(const io::Operation &operation, FLT_OPERATION_REGISTRATION_FLAGS flags) {
    if (flags == 0) {
        return false;
    }
    const bool read_write = operation.major == IRP_MJ_READ || operation.major == IRP_MJ_WRITE;
    const bool paging = (operation.irp_flags & IRP_PAGING_IO) != 0;
    const bool non_cached = (operation.irp_flags & IRP_NOCACHE) != 0;
    if (read_write && (flags & FLTFL_OPERATION_REGISTRATION_SKIP_PAGING_IO) != 0 && paging) {
        return true;
    }
    if (read_write && (flags & FLTFL_OPERATION_REGISTRATION_SKIP_CACHED_IO) != 0 &&
        (operation.form == io::Form::FastIo || (!paging && !non_cached))) {
        return true;
    }
    if (read_write && (flags & kSkipNonCachedNonPagingIo) != 0 && non_cached && !paging) {
        return true;
    }
    const bool dasd = operation.file && (operation.file->native.Flags & FO_VOLUME_OPEN) != 0;
    return (flags & FLTFL_OPERATION_REGISTRATION_SKIP_NON_DASD_IO) != 0 && !dasd;
}

FLT_IO_PARAMETER_BLOCK parameter_block(io::Operation &operation, Instance &instance) {
    FLT_IO_PARAMETER_BLOCK iopb{};
    iopb.IrpFlags = operation.irp_flags;
    iopb.MajorFunction = operation.major;
    iopb.MinorFunction = operation.minor;
    iopb.OperationFlags = operation.operation_flags;
    iopb.TargetFileObject = operation.file ? &operation.file->native : nullptr;
    iopb.TargetInstance = instance.handle();
    iopb.Parameters = operation.parameters;
    return iopb;
}

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

[[noreturn]] void bad_pre(const char *rule, io::Operation &operation, const Instance &instance,
                          const std::string &text) {
    bugcheck(rule, "pre-operation", describe(operation) + ", " + describe(instance) + ": " + text);
}

bool requests_oplock(const io::Operation &operation) {
    if (operation.major != IRP_MJ_FILE_SYSTEM_CONTROL || operation.minor != IRP_MN_USER_FS_REQUEST) {
        return false;
    }
    switch (operation.parameters.FileSystemControl.Common.FsControlCode) {
    case FSCTL_REQUEST_OPLOCK_LEVEL_1:
    case FSCTL_REQUEST_OPLOCK_LEVEL_2:
    case FSCTL_REQUEST_BATCH_OPLOCK:
    case FSCTL_REQUEST_FILTER_OPLOCK:
    case FSCTL_REQUEST_OPLOCK:
        return true;
    default:
        return false;
    }
}

/// SYNC-02, SYNC-03.
void check_synchronize(io::Operation &operation, const Instance &instance) {
    if (operation.form != io::Form::Irp || is_create(operation)) {
        return;
    }
    const bool notify = operation.major == IRP_MJ_DIRECTORY_CONTROL && operation.minor != IRP_MN_QUERY_DIRECTORY;
    const bool lock = operation.major == IRP_MJ_LOCK_CONTROL && operation.minor == IRP_MN_LOCK;
    if (notify || lock || requests_oplock(operation)) {
        bad_pre("V22 SYNCHRONIZE not allowed", operation, instance,
                "FLT_PREOP_SYNCHRONIZE is impossible for directory notifications, byte-range locks and requests for an "
                "oplock");
    }
    const bool read_write = operation.major == IRP_MJ_READ || operation.major == IRP_MJ_WRITE;
    if (read_write && !synchronous(operation)) {
        bad_pre("V22 SYNCHRONIZE not allowed", operation, instance,
                "FLT_PREOP_SYNCHRONIZE on an asynchronous read or write: ask FltIsOperationSynchronous first");
    }
}

void check_complete(io::Operation &operation, const Instance &instance) {
    const NTSTATUS status = operation.io_status.Status;
    if (status == STATUS_PENDING || status == STATUS_FLT_DISALLOW_FAST_IO) {
        bad_pre("V7 forbidden final status", operation, instance,
                "FLT_PREOP_COMPLETE with STATUS_PENDING or STATUS_FLT_DISALLOW_FAST_IO");
    }
    if ((operation.major == IRP_MJ_CLEANUP || operation.major == IRP_MJ_CLOSE) && !NT_SUCCESS(status)) {
        bad_pre("V7 forbidden final status", operation, instance,
                "cleanup and close can only be completed with success");
    }
}

/// Takes over what a pre-operation changed in the parameter block; an unmarked change is V6.
void take_parameters(CallRecord &call) {
    const FLT_IO_PARAMETER_BLOCK &now = *call.data->Iopb;
    if (memcmp(&now, &call.before, sizeof now) == 0) {
        return;
    }
    io::Operation &operation = *call.operation;
    if (now.TargetFileObject != call.before.TargetFileObject || now.TargetInstance != call.before.TargetInstance ||
        now.MajorFunction != call.before.MajorFunction) {
        unmodelled("FltSetCallbackDataDirty",
                   "a pre-operation that redirects an operation to another file, instance or major function");
    }
    operation.irp_flags = now.IrpFlags;
    operation.minor = now.MinorFunction;
    operation.operation_flags = now.OperationFlags;
    operation.parameters = now.Parameters;
}

void add_frame(OperationState &state, Frame frame) {
    Instance &instance = *frame.instance;
    state.frames.push_back(std::move(frame));
    if (instance.deleting()) {
        world().wake(&instance); // the teardown has to drain it
    }
}

Outcome run_pre(const std::shared_ptr<io::Operation> &operation, const std::shared_ptr<Instance> &instance,
                const OperationEntry &entry) {
    OperationState &state = state_of(*operation);
    Frame frame;
    frame.instance = instance;
    frame.post = entry.post;
    frame.iopb = parameter_block(*operation, *instance);
    if (!entry.pre) {
        add_frame(state, std::move(frame)); // a post-operation alone is legal [REG-04]
        return Outcome::GoOn;
    }

    auto call = open_call(CallRecord::Kind::Pre, operation, instance, 0, frame.iopb);
    FLT_PREOP_CALLBACK_STATUS status;
    PVOID context = nullptr;
    ++instance->running;
    {
        const IrqlScope irql(callback_irql(*operation, false));
        RelatedObjects objects(*instance, operation->file.get());
        DriverCall driver("pre-operation callback");
        status = entry.pre(call->data, objects.get(), &context);
    }
    --instance->running;
    call->running = false;
    if (call->queued) {
        unmodelled("FltQueueDeferredIoWorkItem", "pre-operations that are pended");
    }
    take_parameters(*call);
    close_call(*call, "pre-operation");
    if (instance->deleting()) {
        world().wake(instance.get());
    }

    const bool wants_post = status == FLT_PREOP_SUCCESS_WITH_CALLBACK || status == FLT_PREOP_SYNCHRONIZE;
    if (!wants_post && context) {
        bad_pre("V9 completion context", *operation, *instance,
                "a completion context was set, but the return value " + std::to_string(status) +
                    " has no post-operation to pass it to");
    }
    switch (status) {
    case FLT_PREOP_SUCCESS_NO_CALLBACK:
        return Outcome::GoOn;
    case FLT_PREOP_SYNCHRONIZE:
        check_synchronize(*operation, *instance);
        frame.synchronize = operation->form == io::Form::Irp; // otherwise the same as SUCCESS_WITH_CALLBACK [SYNC-01]
        [[fallthrough]];
    case FLT_PREOP_SUCCESS_WITH_CALLBACK:
        if (!entry.post && reading<CallbackWithoutPost>() == CallbackWithoutPost::Ignored) {
            return Outcome::GoOn;
        }
        if (!entry.post) {
            bad_pre("F5/66 no post-operation registered", *operation, *instance,
                    "the return value asks for a post-operation callback, but none is registered [PRE-02]");
        }
        frame.completion_context = context;
        add_frame(state, std::move(frame));
        return Outcome::GoOn;
    case FLT_PREOP_PENDING:
        if (operation->form != io::Form::Irp) {
            bad_pre("V8 pre-operation return value", *operation, *instance,
                    "only IRP-based operations can be pended [PRE-03]");
        }
        unmodelled("FLT_PREOP_PENDING", "pre-operations that are pended");
    case FLT_PREOP_DISALLOW_FASTIO:
        if (operation->form != io::Form::FastIo) {
            bad_pre("V8 pre-operation return value", *operation, *instance,
                    "FLT_PREOP_DISALLOW_FASTIO is for fast I/O operations only [PRE-04]");
        }
        world().note(describe(*operation) + ": fast I/O disallowed by " + describe(*instance));
        return Outcome::DisallowFastIo;
    case FLT_PREOP_COMPLETE:
        check_complete(*operation, *instance);
        world().note(describe(*operation) + ": completed by the pre-operation of " + describe(*instance));
        return Outcome::Completed;
    case FLT_PREOP_DISALLOW_FSFILTER_IO:
        if (operation->major != static_cast<UCHAR>(IRP_MJ_QUERY_OPEN)) {
            bad_pre("V8 pre-operation return value", *operation, *instance,
                    "FLT_PREOP_DISALLOW_FSFILTER_IO is for IRP_MJ_QUERY_OPEN only [PRE-04]");
        }
        return Outcome::DisallowFastIo;
    default:
        bad_pre("V8 pre-operation return value", *operation, *instance,
                "unknown pre-operation callback status " + std::to_string(status));
    }
}

/// `above`: only instances below this altitude see it; empty for all.
Outcome run_pre_operations(const std::shared_ptr<io::Operation> &operation, std::u16string_view above = {}) {
    const std::vector<std::shared_ptr<Instance>> stack = volume_state(*operation->volume).instances; // snapshot
    for (const auto &instance : stack) {
        if (!above.empty() && compare_altitudes(instance->altitude, above) >= 0) {
            continue;
        }
        if (instance->state != Instance::State::Active || instance->filter->unregistering) {
            continue;
        }
        const auto entry = instance->filter->operations.find(operation->major);
        if (entry == instance->filter->operations.end() || skipped(*operation, entry->second.flags)) {
            continue;
        }
        const Outcome outcome = run_pre(operation, instance, entry->second);
        if (outcome != Outcome::GoOn) {
            return outcome;
        }
    }
    return Outcome::GoOn;
}

void begin(const std::shared_ptr<io::Operation> &operation) {
    auto &m = manager();
    auto state = std::make_shared<OperationState>();
    state->number = m.next_operation++;
    state->original_parameters = operation->parameters;
    state->position = m.operations.insert(m.operations.end(), operation);
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

bool synchronised_post_due(const io::Operation &operation, const OperationState &state) {
    if (is_create(operation)) {
        return true;
    }
    for (size_t i = 0; i < state.frames.size(); ++i) {
        if (state.frames[i].synchronize && state.frames[i].phase == Frame::Phase::Waiting) {
            return true;
        }
    }
    return false;
}

} // namespace

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
    return call_below(operation, {});
}

NTSTATUS call_below(const std::shared_ptr<io::Operation> &operation, std::u16string_view above) {
    if (is_create(*operation)) {
        attach_to_new_mount(*operation->volume);
    }
    begin(operation);
    OperationState &state = state_of(*operation);
    const Outcome outcome = run_pre_operations(operation, above);
    state.waiter = true;
    if (outcome == Outcome::GoOn) {
        operation->state = io::Operation::State::Below;
        operation->volume->file_system->dispatch(operation);
    } else {
        turn(*operation); // the upper post-operations run here [BUF-06]
        advance(operation, true);
    }

    // Post-operations that must run in this thread: of a create, and after FLT_PREOP_SYNCHRONIZE [IRQL-02, IRQL-03]. When the instance that asked
    // for it is drained, this thread goes on without it [SYNC-05].
    const auto completed = [&] { return operation->state == io::Operation::State::Completed; };
    while (!completed() && (state.parked || synchronised_post_due(*operation, state))) {
        const auto look_again = [&] {
            return completed() || state.parked || !synchronised_post_due(*operation, state);
        };
        if (!world().block(&state, look_again)) {
            break; // the world ends
        }
        if (state.parked) {
            state.parked = false;
            advance(operation, true);
        }
    }
    state.waiter = false;
    return completed() ? operation->io_status.Status : STATUS_PENDING;
}

bool FilterManager::call_inline(const std::shared_ptr<io::Operation> &operation) {
    KernelCall kernel("FastIo", APC_LEVEL);
    begin(operation);
    OperationState &state = state_of(*operation);
    const Outcome outcome = run_pre_operations(operation);
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

/// A name for a major function [INFO-02]. Any IRQL.
FLTSIM_KERNEL PCHAR FLTAPI FltGetIrpName(UCHAR IrpMajorCode) {
    KernelCall call("FltGetIrpName", HIGH_LEVEL);
    const char *name = operation_name(IrpMajorCode);
    return const_cast<PCHAR>(name ? name : "<Invalid IRP code>");
}
