// SPDX-License-Identifier: MIT
//
// This module provides: the way of an operation up again: callback data, post-operations from low to high altitude, pending and giving back, and
// what the verifier finds in them (V1, V2, V3, V6, V7).
//
//      complete() / FltCompletePendedPostOperation / the waiting thread
//            `--> advance(): for each frame that waits: run_post() --FINISHED--> next frame
//                                                         `--MORE--> op PENDED_POST, until it is given back
//
// Giving back may come before the callback has returned [POST-07]: then the thread that returns from the callback goes on with the
// completion; otherwise the thread that gives back does, so upper post-operations see its IRQL and TopLevelIrp [POST-05].

#include "flt/internal.hpp"

#include <cstring>

#include "core/readings.hpp"

namespace fltsim::flt {

namespace {

FLT_CALLBACK_DATA_FLAGS form_flags(const io::Operation &operation) {
    switch (operation.form) {
    case io::Form::Irp:
        return FLTFL_CALLBACK_DATA_IRP_OPERATION |
               (operation.system_buffer.empty() ? 0u : static_cast<ULONG>(FLTFL_CALLBACK_DATA_SYSTEM_BUFFER));
    case io::Form::FastIo:
        return FLTFL_CALLBACK_DATA_FAST_IO_OPERATION;
    case io::Form::FsFilter:
        return FLTFL_CALLBACK_DATA_FS_FILTER_OPERATION;
    }
    return 0;
}

std::string where(const CallRecord &call) {
    return describe(*call.operation) + ", " + describe(*call.instance);
}

[[noreturn]] void pended_unqueued(const CallRecord &call) {
    bugcheck("V1 MORE_PROCESSING without queue", "post-operation",
             where(call) + ": FLT_POSTOP_MORE_PROCESSING_REQUIRED was returned, but no deferred work item "
                           "took the operation");
}

void check_status(const CallRecord &call, NTSTATUS before, NTSTATUS after, const char *api) {
    if (call.kind == CallRecord::Kind::Draining || before == after) {
        return;
    }
    if (after == STATUS_PENDING || after == STATUS_FLT_DISALLOW_FAST_IO) {
        bugcheck("V7 forbidden final status", api,
                 where(call) + ": IoStatus.Status was set to STATUS_PENDING or STATUS_FLT_DISALLOW_FAST_IO");
    }
    if (call.kind == CallRecord::Kind::Pre) {
        return; // counts only with FLT_PREOP_COMPLETE, checked there
    }
    const UCHAR major = call.operation->major;
    if ((major == IRP_MJ_CLEANUP || major == IRP_MJ_CLOSE) && !NT_SUCCESS(after)) {
        bugcheck("V7 forbidden final status", api, where(call) + ": cleanup and close cannot be failed [BUF-07]");
    }
    if (major == IRP_MJ_CREATE && NT_SUCCESS(before) && before != STATUS_REPARSE && !NT_SUCCESS(after) &&
        (call.operation->file->native.Flags & FO_FILE_OPEN_CANCELLED) == 0) {
        bugcheck("V7 forbidden final status", api,
                 where(call) +
                     ": a successful create was failed without FltCancelFileOpen: the file stays open below [CRE-03]");
    }
}

/// POST-31, X04.
void check_dirty(const CallRecord &call, const char *api) {
    const FLT_CALLBACK_DATA &data = *call.data;
    const IO_STATUS_BLOCK &before = call.operation->io_status;
    const bool changed = std::memcmp(data.Iopb, &call.before, sizeof call.before) != 0;
    const bool marked = (data.Flags & FLTFL_CALLBACK_DATA_DIRTY) != 0;
    const bool status_changed =
        data.IoStatus.Status != before.Status || data.IoStatus.Information != before.Information;
    if (status_changed && reading<DirtyWithStatus>() == DirtyWithStatus::Forbidden) {
        if (marked) {
            bugcheck("V6 DIRTY with a changed IoStatus", api,
                     where(call) + ": FltSetCallbackDataDirty was called, and IoStatus was changed [X04]");
        }
        return;
    }
    if (changed && !marked) {
        bugcheck("V6 Iopb changed without DIRTY", api,
                 where(call) + ": the parameter block was changed without FltSetCallbackDataDirty");
    }
}

/// A while after FLT_POSTOP_MORE_PROCESSING_REQUIRED: the operation must have gone to a work queue [POST-21, SIM-04].
void watch_unqueued(const std::shared_ptr<CallRecord> &call) {
    if (reading<UnqueuedPend>() == UnqueuedPend::Allowed) {
        return;
    }
    if (reading<UnqueuedPend>() == UnqueuedPend::Fatal) {
        pended_unqueued(*call);
    }
    constexpr uint64_t kGrace100ns = 10'000'000;
    std::weak_ptr<CallRecord> weak = call;
    world().queue_dpc(
        [weak] {
            KernelCall kernel("Filter Verifier");
            const auto late = weak.lock();
            if (late && !late->queued && !late->handed_on && !late->given_back) {
                pended_unqueued(*late);
            }
        },
        world().interrupt_time_100ns() + kGrace100ns);
}

/// SYNC-06.
void check_pend_of_synchronized(const CallRecord &call) {
    if (state_of(*call.operation).frames[call.frame].synchronize &&
        reading<PendOfSynchronized>() == PendOfSynchronized::Fatal) {
        bugcheck("SYNC-06 synchronised operation pended", "post-operation",
                 where(call) + ": its pre-operation returned FLT_PREOP_SYNCHRONIZE; no page says that it may be pended "
                               "then");
    }
}

} // namespace

std::shared_ptr<CallRecord> open_call(CallRecord::Kind kind, const std::shared_ptr<io::Operation> &operation,
                                      const std::shared_ptr<Instance> &instance, size_t frame,
                                      const FLT_IO_PARAMETER_BLOCK &iopb) {
    auto &m = manager();
    auto call = std::make_shared<CallRecord>();
    call->kind = kind;
    call->operation = operation;
    call->instance = instance;
    call->frame = frame;
    call->thread = &executing();

    auto *block = static_cast<DataBlock *>(m.memory.allocate(sizeof(DataBlock), "FLT_CALLBACK_DATA"));
    std::memcpy(static_cast<void *>(&block->iopb), &iopb, sizeof iopb);
    call->before = iopb;
    FLT_CALLBACK_DATA_FLAGS flags = form_flags(*operation);
    if (operation->generated) {
        flags |= FLTFL_CALLBACK_DATA_GENERATED_IO;
    }
    IO_STATUS_BLOCK status = operation->io_status;
    if (kind != CallRecord::Kind::Pre) {
        flags |= FLTFL_CALLBACK_DATA_POST_OPERATION;
    }
    if (kind == CallRecord::Kind::Draining) {
        flags |= FLTFL_CALLBACK_DATA_DRAINING_IO;
        status.Status = STATUS_FLT_POST_OPERATION_CLEANUP; // not the real one [DRAIN-02]
        status.Information = 0;
    }
    block->data.Flags = flags;
    const_cast<PETHREAD &>(block->data.Thread) = reinterpret_cast<PETHREAD>(operation->requestor);
    const_cast<PFLT_IO_PARAMETER_BLOCK &>(block->data.Iopb) = &block->iopb;
    block->data.IoStatus = status;
    block->data.RequestorMode = operation->requestor_mode;
    if (kind == CallRecord::Kind::Post && !operation->tag_data.empty()) {
        block->data.TagData = reinterpret_cast<PFLT_TAG_DATA_BUFFER>(operation->tag_data.data());
    }

    call->data = &block->data;
    m.calls[call->data] = call;
    return call;
}

void discard_call(CallRecord &call) {
    auto &m = manager();
    m.calls.erase(call.data);
    m.memory.release(call.data, state_of(*call.operation).number);
    call.data = nullptr;
}

void close_call(CallRecord &call, const char *api) {
    const FLT_CALLBACK_DATA &data = *call.data;
    io::Operation &operation = *call.operation;
    check_dirty(call, api);
    if (data.Thread != reinterpret_cast<PETHREAD>(operation.requestor) ||
        data.RequestorMode != operation.requestor_mode) {
        bugcheck("INFO-03 callback data changed", api, where(call) + ": Thread and RequestorMode may not be changed");
    }
    check_status(call, operation.io_status.Status, data.IoStatus.Status, api);
    if (call.kind != CallRecord::Kind::Draining) {
        operation.io_status = data.IoStatus;
    }
    if (call.kind == CallRecord::Kind::Post) {
        free_swapped_mdl(state_of(operation).frames[call.frame]);
    }
    discard_call(call);
}

std::string given_back(PFLT_CALLBACK_DATA data) {
    return "op " + std::to_string(manager().memory.released_tag(data)) + " was given back already";
}

std::shared_ptr<CallRecord> call_of(PFLT_CALLBACK_DATA data, const char *api) {
    auto &m = manager();
    const auto found = m.calls.find(data);
    if (found != m.calls.end()) {
        return found->second;
    }
    if (m.generated.contains(data)) {
        unmodelled(api, "callback data that a filter has allocated");
    }
    bugcheck("V13 callback data not owned", api,
             m.memory.released(data) ? given_back(data) + " [POST-24]" : "the pointer is not a FLT_CALLBACK_DATA");
}

bool run_post(const std::shared_ptr<io::Operation> &operation, size_t index) {
    OperationState &state = state_of(*operation);
    const auto instance = state.frames[index].instance;
    const PFLT_POST_OPERATION_CALLBACK post = state.frames[index].post;
    const PVOID context = state.frames[index].completion_context;
    state.frames[index].phase = Frame::Phase::Running;
    auto call = open_call(CallRecord::Kind::Post, operation, instance, index, state.frames[index].iopb);
    FLT_POSTOP_CALLBACK_STATUS result;
    ++instance->running;
    {
        const IrqlScope irql(callback_irql(*operation, true));
        RelatedObjects objects(*instance, operation->file.get());
        DriverCall driver("post-operation callback");
        result = post(call->data, objects.get(), context, 0);
    }
    --instance->running;
    call->running = false;

    if (result == FLT_POSTOP_MORE_PROCESSING_REQUIRED) {
        if (operation->form != io::Form::Irp) {
            bugcheck("V1 MORE_PROCESSING without queue", "post-operation",
                     where(*call) + ": fast I/O and FS-filter operations cannot be pended [POST-21]");
        }
        check_pend_of_synchronized(*call);
        if (call->given_back) { // before the callback returned [POST-07]; the data is gone already
            state.frames[index].phase = Frame::Phase::Done;
            world().wake(instance.get());
            return true;
        }
        state.frames[index].phase = Frame::Phase::Pended;
        ++instance->pended;
        world().note(describe(*operation) + ": pended by " + describe(*instance));
        if (!call->queued) {
            watch_unqueued(call);
        }
        return false;
    }
    if (result == FLT_POSTOP_DISALLOW_FSFILTER_IO ? operation->major != static_cast<UCHAR>(IRP_MJ_QUERY_OPEN)
                                                  : result != FLT_POSTOP_FINISHED_PROCESSING) {
        bugcheck("V8 post-operation return value", "post-operation",
                 where(*call) + ": unknown or unsuitable callback status " + std::to_string(result) + " [POST-22]");
    }
    if (call->queued || call->given_back) {
        bugcheck("POST-07 queued, but not pended", "post-operation",
                 where(*call) + ": the operation was handed to a worker or given back, and the callback returned "
                                "FLT_POSTOP_FINISHED_PROCESSING: it must return FLT_POSTOP_MORE_PROCESSING_REQUIRED");
    }
    close_call(*call, "post-operation");
    if (result == FLT_POSTOP_DISALLOW_FSFILTER_IO) {
        operation->io_status.Status = STATUS_FLT_DISALLOW_FSFILTER_IO; // the requestor opens the file instead
    }
    state.frames[index].phase = Frame::Phase::Done;
    world().wake(instance.get());
    return true;
}

void run_draining_post(const std::shared_ptr<io::Operation> &operation, size_t index) {
    OperationState &state = state_of(*operation);
    const auto instance = state.frames[index].instance;
    const PFLT_POST_OPERATION_CALLBACK post = state.frames[index].post;
    const PVOID context = state.frames[index].completion_context;
    world().note(describe(*operation) + ": drained from " + describe(*instance));
    auto call = open_call(CallRecord::Kind::Draining, operation, instance, index, state.frames[index].iopb);
    FLT_POSTOP_CALLBACK_STATUS result;
    {
        RelatedObjects objects(*instance, operation->file.get());
        DriverCall driver("draining post-operation callback");
        result = post(call->data, objects.get(), context, FLTFL_POST_OPERATION_DRAINING);
    }
    if (result != FLT_POSTOP_FINISHED_PROCESSING) {
        bugcheck("V2 MORE_PROCESSING in draining", "post-operation",
                 where(*call) + ": a draining call must return FLT_POSTOP_FINISHED_PROCESSING [DRAIN-04]");
    }
    discard_call(*call); // changes have no effect [DRAIN-02]
    world().wake(&state);
}

void advance(const std::shared_ptr<io::Operation> &operation, bool in_waiter) {
    OperationState &state = state_of(*operation);
    const bool create = operation->major == IRP_MJ_CREATE;
    operation->state = io::Operation::State::Post;
    for (;; --state.next) {
        while (state.next >= 0 && state.frames[static_cast<size_t>(state.next)].phase != Frame::Phase::Waiting) {
            --state.next;
        }
        const Frame *frame = state.next >= 0 ? &state.frames[static_cast<size_t>(state.next)] : nullptr;
        const bool synchronised = create || (frame != nullptr && frame->synchronize);
        const Thread *own = frame != nullptr ? frame->thread : state.origin;
        if (synchronised && !(in_waiter && own == &executing())) {
            state.parked_for = own;
            world().wake(&state);
            return;
        }
        if (state.next < 0) {
            finish(operation);
            return;
        }
        if (!run_post(operation, static_cast<size_t>(state.next))) {
            operation->state = io::Operation::State::PendedPost;
            return;
        }
    }
}

void finish(const std::shared_ptr<io::Operation> &operation) {
    OperationState &state = state_of(*operation);
    const auto keep = operation;
    manager().operations.erase(state.position);
    operation->parameters = state.original_parameters;
    free_swapped_mdls(state);
    operation->state = io::Operation::State::Completed;
    auto on_completed = std::move(operation->on_completed);
    operation->on_completed = nullptr;
    if (on_completed) {
        on_completed(*operation);
    }
    world().wake(&state);
    world().wake(operation.get());
}

void complete_pended(const std::shared_ptr<CallRecord> &call, const char *api, bool by_callback) {
    const auto operation = call->operation;
    call->given_back = true;
    const bool cancelled =
        operation->major == IRP_MJ_CREATE && (operation->file->native.Flags & FO_FILE_OPEN_CANCELLED) != 0;
    if (!by_callback && !cancelled && reading<StatusChangedByWorker>() == StatusChangedByWorker::Ignored) {
        call->data->IoStatus = operation->io_status;
    }
    close_call(*call, api);
    if (call->running) {
        return; // run_post() goes on when the callback has returned
    }
    OperationState &state = state_of(*operation);
    state.frames[call->frame].phase = Frame::Phase::Done;
    --call->instance->pended;
    world().note(describe(*operation) + ": given back to " + describe(*call->instance));
    world().wake(call->instance.get());
    advance(operation, false);
}

void FilterManager::complete(const std::shared_ptr<io::Operation> &operation) {
    KernelCall kernel("IofCompleteRequest");
    if (operation->io_status.Status == STATUS_PENDING) {
        bugcheck("C9/6 completed with STATUS_PENDING", "IofCompleteRequest", flt::describe(*operation));
    }
    note_open_and_close(*operation);
    OperationState &state = state_of(*operation);
    state.next = static_cast<int>(state.frames.size()) - 1;
    state.original_status = operation->io_status.Status;
    advance(operation, false);
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Gives a pended operation back: its completion goes on, in this thread. Exactly once for each pend [POST-05, POST-23].
/// IRQL <= DISPATCH_LEVEL. The callback data is the caller's no more.
FLTSIM_KERNEL VOID FLTAPI FltCompletePendedPostOperation(PFLT_CALLBACK_DATA CallbackData) {
    constexpr const char *kApi = "FltCompletePendedPostOperation";
    KernelCall kernel(kApi);
    auto &m = manager();
    const auto found = m.calls.find(CallbackData);
    if (found == m.calls.end()) {
        if (m.memory.released(CallbackData) && reading<DoubleGiveBack>() == DoubleGiveBack::Ignored) {
            world().note("FltCompletePendedPostOperation of what was given back already: ignored");
            return;
        }
        bugcheck("V3 double FltCompletePendedPostOperation", kApi,
                 m.memory.released(CallbackData)
                     ? given_back(CallbackData) + " [POST-23]"
                     : "the pointer is not the callback data of a pended operation [POST-23]");
    }
    const auto call = found->second;
    if (call->kind == CallRecord::Kind::Draining) {
        bugcheck("V3 FltCompletePendedPostOperation of a draining call", kApi,
                 describe(*call->operation) + " [DRAIN-04]");
    }
    if (call->kind == CallRecord::Kind::Pre) {
        bugcheck("V3 FltCompletePendedPostOperation in a pre-operation", kApi, describe(*call->operation));
    }
    complete_pended(call, kApi, false);
}

/// Runs SafePostCallback now when the IRQL allows it, else on a system worker [SAFE-01..06]. TRUE: the post-operation returns
/// *RetPostOperationStatus. FALSE: it could not be posted. Any IRQL, only inside a post-operation of an IRP, never in a draining call.
FLTSIM_KERNEL BOOLEAN FLTAPI FltDoCompletionProcessingWhenSafe(PFLT_CALLBACK_DATA Data,
                                                               PCFLT_RELATED_OBJECTS FltObjects,
                                                               PVOID CompletionContext, FLT_POST_OPERATION_FLAGS Flags,
                                                               PFLT_POST_OPERATION_CALLBACK SafePostCallback,
                                                               PFLT_POSTOP_CALLBACK_STATUS RetPostOperationStatus) {
    constexpr const char *kApi = "FltDoCompletionProcessingWhenSafe";
    KernelCall kernel(kApi, HIGH_LEVEL);
    const auto call = call_of(Data, kApi);
    if (call->kind == CallRecord::Kind::Draining || (Flags & FLTFL_POST_OPERATION_DRAINING) != 0) {
        bugcheck("DRAIN-04 deferred in a draining call", kApi, where(*call));
    }
    if (call->kind != CallRecord::Kind::Post || !call->running || call->thread != &executing()) {
        bugcheck("SAFE-01 not in a post-operation", kApi, where(*call));
    }
    if (call->operation->form != io::Form::Irp) {
        bugcheck("SAFE-01 not an IRP-based operation", kApi, where(*call));
    }
    if (executing().irql < DISPATCH_LEVEL) {
        DriverCall driver("safe post-operation callback");
        *RetPostOperationStatus = SafePostCallback(Data, FltObjects, CompletionContext, Flags);
        return TRUE;
    }
    if (!NT_SUCCESS(may_post(*call)) || fault(kApi)) {
        *RetPostOperationStatus = FLT_POSTOP_FINISHED_PROCESSING;
        return FALSE;
    }
    call->queued = true;
    *RetPostOperationStatus = FLT_POSTOP_MORE_PROCESSING_REQUIRED;
    const RoutineHold hold = hold_for_routine(call->instance);
    queue_work(manager().delayed, [call, hold, CompletionContext, SafePostCallback] {
        FLT_POSTOP_CALLBACK_STATUS result;
        enter_routine(hold);
        {
            RelatedObjects objects(*call->instance, call->operation->file.get());
            DriverCall driver("safe post-operation callback");
            result = SafePostCallback(call->data, objects.get(), CompletionContext, 0);
        }
        if (result == FLT_POSTOP_FINISHED_PROCESSING) { // the Filter Manager gives it back itself [SAFE-03]
            if (call->given_back) {
                bugcheck("V3 double FltCompletePendedPostOperation", "FltDoCompletionProcessingWhenSafe",
                         describe(*call->operation) +
                             ": given back by the callback, which then returned FINISHED [SAFE-03]");
            }
            complete_pended(call, "FltDoCompletionProcessingWhenSafe", true);
        }
        leave_routine(hold);
    });
    return TRUE;
}
