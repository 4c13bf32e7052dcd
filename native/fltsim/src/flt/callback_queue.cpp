// SPDX-License-Identifier: MIT
//
// This module provides: cancel-safe queues of callback data, for pre-operations that are pended [CANC-01..04]. The driver has the list and the lock; here
// is who takes an operation out: whoever asks for it, or its cancellation, never both.
//
//      FltCbdqInsertIo --> queued --FltCbdqRemoveIo, FltCbdqRemoveNextIo--> the caller's, who gives it back
//                             `----cancelled--> the driver's CompleteCanceledIo, which gives it back
//
// Invariant: an operation is in a queue exactly while its cancel routine is the queue's; both change between the driver's Acquire and Release.

#include "flt/internal.hpp"

#include <utility>

namespace fltsim::flt {

namespace {

constexpr auto kDisabled = FLT_CALLBACK_DATA_QUEUE_FLAGS_NONE;
constexpr auto kEnabled = static_cast<FLT_CALLBACK_DATA_QUEUE_FLAGS>(1);

/// The driver's lock, for a stretch of code here.
class QueueLock {
  public:
    explicit QueueLock(FLT_CALLBACK_DATA_QUEUE &queue, const char *api) : queue_(queue), api_(api) {
        const Thread &thread = executing();
        before_ = thread.irql;
        apc_disable_ = thread.kernel_apc_disable;
        spin_locks_ = thread.spin_locks_held;
        DriverCall driver("CbdqAcquire", DriverCall::Lock::Changes);
        queue_.Acquire(&queue_, &irql_);
    }
    QueueLock(const QueueLock &) = delete;
    QueueLock &operator=(const QueueLock &) = delete;
    ~QueueLock() noexcept(false) {
        {
            DriverCall driver("CbdqRelease", DriverCall::Lock::Changes);
            queue_.Release(&queue_, irql_);
        }
        const Thread &thread = executing();
        if (thread.irql != before_ || thread.kernel_apc_disable != apc_disable_ ||
            thread.spin_locks_held != spin_locks_) {
            bugcheck("CANC-01 lock of a callback data queue", api_,
                     "CbdqRelease does not give back what CbdqAcquire took: IRQL " + std::to_string(before_) +
                         " before, " + std::to_string(thread.irql) + " after");
        }
    }

  private:
    FLT_CALLBACK_DATA_QUEUE &queue_;
    const char *api_;
    KIRQL irql_ = 0;
    KIRQL before_ = 0;
    uint32_t apc_disable_ = 0;
    uint32_t spin_locks_ = 0;
};

FLT_CALLBACK_DATA_QUEUE &queue_of(PFLT_CALLBACK_DATA_QUEUE queue, const char *api) {
    if (queue == nullptr || queue->Acquire == nullptr || queue->Release == nullptr) {
        bugcheck("CANC-01 callback data queue", api, "the queue has not been initialised with FltCbdqInitialize");
    }
    return *queue;
}

/// It is in no queue any more. The driver's list first: its lock is held.
void take_out(CallRecord &call, FLT_CALLBACK_DATA_QUEUE &queue) {
    {
        DriverCall driver("CbdqRemoveIo");
        queue.RemoveIo(&queue, call.data);
    }
    call.cbdq = nullptr;
    if (auto *const context = std::exchange(call.cbdq_context, nullptr)) {
        context->Irp = nullptr;
    }
}

/// The operation is being cancelled, and its cancel routine is taken.
void cancel(const std::shared_ptr<CallRecord> &call, FLT_CALLBACK_DATA_QUEUE &queue) {
    KernelCall kernel("cancel routine of a callback data queue");
    {
        const QueueLock lock(queue, "FltCbdqInsertIo");
        take_out(*call, queue);
    }
    world().note(describe(*call->operation) + ": cancelled in the queue of " + describe(*call->instance));
    DriverCall driver("CbdqCompleteCanceledIo");
    queue.CompleteCanceledIo(&queue, call->data);
}

void enable(PFLT_CALLBACK_DATA_QUEUE cbdq, bool enabled, const char *api) {
    FLT_CALLBACK_DATA_QUEUE &queue = queue_of(cbdq, api);
    const QueueLock lock(queue, api);
    queue.Flags = enabled ? kEnabled : kDisabled;
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Makes a queue of the driver's memory, its lock and its list; it takes operations from now on. Any IRQL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltCbdqInitialize(PFLT_INSTANCE Instance, PFLT_CALLBACK_DATA_QUEUE Cbdq,
                                                PFLT_CALLBACK_DATA_QUEUE_INSERT_IO CbdqInsertIo,
                                                PFLT_CALLBACK_DATA_QUEUE_REMOVE_IO CbdqRemoveIo,
                                                PFLT_CALLBACK_DATA_QUEUE_PEEK_NEXT_IO CbdqPeekNextIo,
                                                PFLT_CALLBACK_DATA_QUEUE_ACQUIRE CbdqAcquire,
                                                PFLT_CALLBACK_DATA_QUEUE_RELEASE CbdqRelease,
                                                PFLT_CALLBACK_DATA_QUEUE_COMPLETE_CANCELED_IO CbdqCompleteCanceledIo) {
    constexpr const char *kApi = "FltCbdqInitialize";
    KernelCall kernel(kApi, HIGH_LEVEL);
    instance_of(Instance, kApi);
    if (Cbdq == nullptr || CbdqInsertIo == nullptr || CbdqRemoveIo == nullptr || CbdqPeekNextIo == nullptr ||
        CbdqAcquire == nullptr || CbdqRelease == nullptr || CbdqCompleteCanceledIo == nullptr) {
        bugcheck("VER-02 parameter", kApi, "the queue and all of its routines are required");
    }
    *Cbdq = FLT_CALLBACK_DATA_QUEUE{};
    Cbdq->Flags = kEnabled;
    Cbdq->Instance = Instance;
    Cbdq->InsertIo = CbdqInsertIo;
    Cbdq->RemoveIo = CbdqRemoveIo;
    Cbdq->PeekNextIo = CbdqPeekNextIo;
    Cbdq->Acquire = CbdqAcquire;
    Cbdq->Release = CbdqRelease;
    Cbdq->CompleteCanceledIo = CbdqCompleteCanceledIo;
    return STATUS_SUCCESS;
}

/// It takes operations again. IRQL: what the queue's lock allows, as of all calls below.
FLTSIM_KERNEL VOID FLTAPI FltCbdqEnable(PFLT_CALLBACK_DATA_QUEUE Cbdq) {
    KernelCall kernel("FltCbdqEnable");
    enable(Cbdq, true, "FltCbdqEnable");
}

/// From now on FltCbdqInsertIo fails; what is in the queue stays there [CANC-04].
FLTSIM_KERNEL VOID FLTAPI FltCbdqDisable(PFLT_CALLBACK_DATA_QUEUE Cbdq) {
    KernelCall kernel("FltCbdqDisable");
    enable(Cbdq, false, "FltCbdqDisable");
}

/// Puts an IRP-based operation into the queue, from its pre-operation, which then returns FLT_PREOP_PENDING; one that is cancelled already goes to
/// CompleteCanceledIo at once. What CbdqInsertIo returned, or STATUS_FLT_CBDQ_DISABLED [CANC-02]. After success the data is not the caller's.
FLTSIM_KERNEL NTSTATUS FLTAPI FltCbdqInsertIo(PFLT_CALLBACK_DATA_QUEUE Cbdq, PFLT_CALLBACK_DATA Cbd,
                                              PFLT_CALLBACK_DATA_QUEUE_IO_CONTEXT Context, PVOID InsertContext) {
    constexpr const char *kApi = "FltCbdqInsertIo";
    KernelCall kernel(kApi);
    FLT_CALLBACK_DATA_QUEUE &queue = queue_of(Cbdq, kApi);
    const auto call = call_of(Cbd, kApi);
    if (call->kind != CallRecord::Kind::Pre || call->operation->form != io::Form::Irp) {
        bugcheck("CANC-01 not a pre-operation of an IRP", kApi, describe(*call->operation));
    }
    if (call->cancel_completion != nullptr) {
        bugcheck("CANC-05 cancel routine and queue", kApi,
                 describe(*call->operation) + " has a cancel routine: FltClearCancelCompletion comes first");
    }
    if (call->cbdq != nullptr) {
        bugcheck("CANC-02 queued twice", kApi, describe(*call->operation) + " is in a callback data queue already");
    }
    NTSTATUS status;
    {
        const QueueLock lock(queue, kApi);
        if (queue.Flags != kEnabled) {
            return STATUS_FLT_CBDQ_DISABLED;
        }
        {
            DriverCall driver("CbdqInsertIo");
            status = queue.InsertIo(&queue, Cbd, InsertContext);
        }
        if (!NT_SUCCESS(status)) {
            return status;
        }
        call->cbdq = &queue;
        call->cbdq_context = Context;
        if (Context != nullptr) {
            *Context = FLT_CALLBACK_DATA_QUEUE_IO_CONTEXT{};
            Context->Irp = call->operation->irp();
            Context->Csq = &queue.Csq;
        }
        world().note(describe(*call->operation) + ": in the queue of " + describe(*call->instance));
        if (!call->operation->cancel_requested) {
            call->operation->cancel_routine = [call, &queue] { cancel(call, queue); };
            return status;
        }
    }
    cancel(call, queue);
    return status;
}

/// Takes the operation out that Context was given for; null when its cancellation has been faster, or it was taken out already.
FLTSIM_KERNEL PFLT_CALLBACK_DATA FLTAPI FltCbdqRemoveIo(PFLT_CALLBACK_DATA_QUEUE Cbdq,
                                                        PFLT_CALLBACK_DATA_QUEUE_IO_CONTEXT Context) {
    constexpr const char *kApi = "FltCbdqRemoveIo";
    KernelCall kernel(kApi);
    FLT_CALLBACK_DATA_QUEUE &queue = queue_of(Cbdq, kApi);
    if (Context == nullptr) {
        bugcheck("VER-02 parameter", kApi, "Context is null");
    }
    const QueueLock lock(queue, kApi);
    for (const auto &[data, call] : manager().calls) {
        if (call->cbdq == &queue && call->cbdq_context == Context) {
            const auto found = call;
            if (std::exchange(found->operation->cancel_routine, nullptr) == nullptr) {
                return nullptr;
            }
            take_out(*found, queue);
            return found->data;
        }
    }
    return nullptr;
}

/// Takes the next operation out that CbdqPeekNextIo finds and that is not being cancelled; null when there is none.
FLTSIM_KERNEL PFLT_CALLBACK_DATA FLTAPI FltCbdqRemoveNextIo(PFLT_CALLBACK_DATA_QUEUE Cbdq, PVOID PeekContext) {
    constexpr const char *kApi = "FltCbdqRemoveNextIo";
    KernelCall kernel(kApi);
    FLT_CALLBACK_DATA_QUEUE &queue = queue_of(Cbdq, kApi);
    const QueueLock lock(queue, kApi);
    for (PFLT_CALLBACK_DATA data = nullptr;;) {
        {
            DriverCall driver("CbdqPeekNextIo");
            data = queue.PeekNextIo(&queue, data, PeekContext);
        }
        if (data == nullptr) {
            return nullptr;
        }
        const auto call = call_of(data, kApi);
        if (call->cbdq != &queue) {
            bugcheck("CANC-01 callback data queue", kApi,
                     "CbdqPeekNextIo returned " + describe(*call->operation) + ", which is not in this queue");
        }
        if (std::exchange(call->operation->cancel_routine, nullptr) != nullptr) {
            take_out(*call, queue);
            return data;
        }
    }
}
