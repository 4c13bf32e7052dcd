// SPDX-License-Identifier: MIT
//
// This module provides: pre-operations, high to low altitude [ALT-02], what each may answer, and those that are pended.
//
//      run_pre() --SUCCESS_*, SYNCHRONIZE--> the next instance      --COMPLETE--> up again
//          `--PENDING--> op PENDED_PRE --FltCompletePendedPreOperation--> the same, in the thread that gives back
//
// Giving back may come before the callback has returned: then the thread that returns from the callback goes on. An instance is called only
// while it is active and registered the major function; each answer is checked against the form of the operation [PRE-01..06, VER-05 V8, V9, V22].

#include "flt/internal.hpp"

#include <cstring>

#include "core/readings.hpp"
#include "flt/altitude.hpp"

namespace fltsim::flt {

namespace {

constexpr FLT_OPERATION_REGISTRATION_FLAGS kSkipNonCachedNonPagingIo = 8;

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

[[noreturn]] void bad_pre(const char *rule, io::Operation &operation, const Instance &instance, const std::string &text,
                          const char *api = "pre-operation") {
    bugcheck(rule, api, describe(operation) + ", " + describe(instance) + ": " + text);
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
    if (operation.form != io::Form::Irp || operation.major == IRP_MJ_CREATE) {
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
    frame.thread = &executing();
    state.frames.push_back(std::move(frame));
    if (instance.deleting()) {
        world().wake(&instance); // the teardown has to drain it
    }
}

bool wants_post(FLT_PREOP_CALLBACK_STATUS status) {
    return status == FLT_PREOP_SUCCESS_WITH_CALLBACK || status == FLT_PREOP_SYNCHRONIZE;
}

Outcome outcome_of(const CallRecord &call, PreAnswer answer) {
    const auto &operation = call.operation;
    const auto &instance = call.instance;
    if (!wants_post(answer.status) && answer.context != nullptr) {
        bad_pre("V9 completion context", *operation, *instance,
                "a completion context was set, but the return value " + std::to_string(answer.status) +
                    " has no post-operation to pass it to");
    }
    Frame frame;
    frame.instance = instance;
    frame.post = call.post;
    frame.iopb = call.before;
    note_swap(call, frame);
    switch (answer.status) {
    case FLT_PREOP_SUCCESS_NO_CALLBACK:
        keep_swapped_mdl(state_of(*operation), frame);
        return Outcome::GoOn;
    case FLT_PREOP_SYNCHRONIZE:
        check_synchronize(*operation, *instance);
        frame.synchronize = operation->form == io::Form::Irp; // otherwise the same as SUCCESS_WITH_CALLBACK [SYNC-01]
        [[fallthrough]];
    case FLT_PREOP_SUCCESS_WITH_CALLBACK:
        if (!call.post && reading<CallbackWithoutPost>() == CallbackWithoutPost::Ignored) {
            keep_swapped_mdl(state_of(*operation), frame);
            return Outcome::GoOn;
        }
        if (!call.post) {
            bad_pre("F5/66 no post-operation registered", *operation, *instance,
                    "the return value asks for a post-operation callback, but none is registered [PRE-02]");
        }
        frame.completion_context = answer.context;
        add_frame(state_of(*operation), std::move(frame));
        return Outcome::GoOn;
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
                "unknown pre-operation callback status " + std::to_string(answer.status));
    }
}

/// What follows from an answer, however it was given. The callback data is gone.
Outcome take_answer(CallRecord &call, PreAnswer answer) {
    const Outcome outcome = outcome_of(call, answer);
    if (outcome == Outcome::GoOn) {
        for (StatusRequest &request : call.status_requests) {
            request.iopb = parameter_block(*call.operation, *call.instance);
            state_of(*call.operation).status_requests.push_back(std::move(request));
        }
        call.status_requests.clear();
    }
    drop_requests(call.status_requests);
    return outcome;
}

/// The callback has returned FLT_PREOP_PENDING.
Outcome hold(const std::shared_ptr<CallRecord> &call) {
    io::Operation &operation = *call->operation;
    if (operation.form != io::Form::Irp) {
        bad_pre("V8 pre-operation return value", operation, *call->instance,
                "only IRP-based operations can be pended [PRE-03]");
    }
    if (call->answer) { // before the callback returned; the data is gone already
        return take_answer(*call, *call->answer);
    }
    operation.state = io::Operation::State::PendedPre;
    ++call->instance->pended;
    world().note(describe(operation) + ": pended by the pre-operation of " + describe(*call->instance));
    return Outcome::Pended;
}

Outcome run_pre(const std::shared_ptr<io::Operation> &operation, const std::shared_ptr<Instance> &instance,
                const OperationEntry &entry) {
    OperationState &state = state_of(*operation);
    const FLT_IO_PARAMETER_BLOCK iopb = parameter_block(*operation, *instance);
    if (!entry.pre) {
        Frame frame;
        frame.instance = instance;
        frame.post = entry.post;
        frame.iopb = iopb;
        add_frame(state, std::move(frame)); // a post-operation alone is legal [REG-04]
        return Outcome::GoOn;
    }

    const auto call = open_call(CallRecord::Kind::Pre, operation, instance, 0, iopb);
    call->post = entry.post;
    PreAnswer answer{};
    ++instance->running;
    {
        const IrqlScope irql(callback_irql(*operation, false));
        RelatedObjects objects(*instance, operation->file.get());
        DriverCall driver("pre-operation callback");
        answer.status = entry.pre(call->data, objects.get(), &answer.context);
    }
    --instance->running;
    call->running = false;
    if (instance->deleting()) {
        world().wake(instance.get());
    }
    if (answer.status == FLT_PREOP_PENDING) {
        if (answer.context != nullptr) {
            bad_pre("V9 completion context", *operation, *instance,
                    "a completion context was set with FLT_PREOP_PENDING; it goes to FltCompletePendedPreOperation");
        }
        return hold(call);
    }
    if (call->cancel_completion) {
        bad_pre("CANC-05 cancel routine set, but not pended", *operation, *instance,
                "the callback returned " + std::to_string(answer.status) +
                    ": it must return FLT_PREOP_PENDING, or call FltClearCancelCompletion first");
    }
    if (call->queued || call->cbdq || call->answer) {
        bad_pre("PRE-06 queued, but not pended", *operation, *instance,
                "the operation was handed to a worker or a queue, or given back, and the callback returned " +
                    std::to_string(answer.status) + ": it must return FLT_PREOP_PENDING");
    }
    take_parameters(*call);
    close_call(*call, "pre-operation");
    return take_answer(*call, answer);
}

/// PRE-06, X07.
void check_late_answer(const CallRecord &call, PreAnswer answer, const char *api) {
    switch (answer.status) {
    case FLT_PREOP_COMPLETE:
    case FLT_PREOP_SUCCESS_NO_CALLBACK:
    case FLT_PREOP_SUCCESS_WITH_CALLBACK:
        break;
    default:
        bad_pre("V8 pre-operation return value", *call.operation, *call.instance,
                "a pended pre-operation ends with FLT_PREOP_COMPLETE, FLT_PREOP_SUCCESS_NO_CALLBACK or "
                "FLT_PREOP_SUCCESS_WITH_CALLBACK, not with " +
                    std::to_string(answer.status) + " [PRE-06]",
                api);
    }
    if (call.operation->form != io::Form::Irp) {
        bad_pre("V8 pre-operation return value", *call.operation, *call.instance,
                "only IRP-based operations can be pended [PRE-03]", api);
    }
    if (call.cbdq) {
        bad_pre("CANC-02 given back while queued", *call.operation, *call.instance,
                "the operation is still in its callback data queue: FltCbdqRemoveIo or FltCbdqRemoveNextIo comes first",
                api);
    }
    if (call.cancel_completion) {
        bad_pre("CANC-05 given back with its cancel routine", *call.operation, *call.instance,
                "a cancellation would still call the routine: FltClearCancelCompletion comes first", api);
    }
    if (answer.status != FLT_PREOP_COMPLETE && executing().irql > APC_LEVEL) {
        bad_pre("V5 IRQL of the call", *call.operation, *call.instance,
                "above APC_LEVEL only FLT_PREOP_COMPLETE is possible [PRE-06]", api);
    }
}

} // namespace

Outcome run_pre_operations(const std::shared_ptr<io::Operation> &operation, std::u16string_view above) {
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

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Gives an operation back whose pre-operation returned FLT_PREOP_PENDING: it goes on in this thread, with the filters below or up again. Exactly
/// once for each pend; Context only with FLT_PREOP_SUCCESS_WITH_CALLBACK [PRE-06]. The callback data is the caller's no more. IRQL <= APC_LEVEL,
/// with FLT_PREOP_COMPLETE <= DISPATCH_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltCompletePendedPreOperation(PFLT_CALLBACK_DATA CallbackData,
                                                        FLT_PREOP_CALLBACK_STATUS CallbackStatus, PVOID Context) {
    constexpr const char *kApi = "FltCompletePendedPreOperation";
    KernelCall kernel(kApi);
    auto &m = manager();
    const auto found = m.calls.find(CallbackData);
    if (found == m.calls.end()) {
        bugcheck("V3 double FltCompletePendedPreOperation", kApi,
                 m.memory.released(CallbackData)
                     ? given_back(CallbackData)
                     : "the pointer is not the callback data of a pended pre-operation [PRE-06]");
    }
    const auto call = found->second;
    if (call->kind != CallRecord::Kind::Pre) {
        bugcheck("V3 FltCompletePendedPreOperation in a post-operation", kApi, describe(*call->operation));
    }
    const PreAnswer answer{CallbackStatus, Context};
    check_late_answer(*call, answer, kApi);
    take_parameters(*call);
    close_call(*call, kApi);
    call->answer = answer;
    if (call->running) {
        return; // hold() goes on when the callback has returned
    }
    const auto operation = call->operation;
    operation->state = io::Operation::State::Pre;
    --call->instance->pended;
    world().note(describe(*operation) + ": given back to the pre-operation of " + describe(*call->instance));
    world().wake(call->instance.get());
    go_down(operation, take_answer(*call, answer), call->instance->altitude);
}
