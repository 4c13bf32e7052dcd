// SPDX-License-Identifier: MIT
//
// This module provides: deferred I/O work items and the system worker threads that run them [POST-01..04, SIM-05, SIM-06].
//
//      Idle --FltQueueDeferredIoWorkItem--> Queued --worker--> Running --routine returned--> Idle
//      freed in Idle or Running; freed or queued again while Queued is V4.
//
// An accepted item references its instance until its routine has returned, so unload waits for the code after the give-back [UNL-07].

#include "flt/internal.hpp"

#include "core/faults.hpp"
#include "core/readings.hpp"

namespace fltsim::flt {

namespace {

void worker(WorkPool &pool) {
    for (;;) {
        KernelCall call(pool.name);
        if (!world().block(&pool, [&] { return !pool.jobs.empty(); })) {
            return; // the world ends
        }
        const auto job = std::move(pool.jobs.front());
        pool.jobs.pop_front();
        job();
        if (executing().top_level_irp) {
            bugcheck("V19 TopLevelIrp modified", pool.name, "a work item left the worker thread with a top-level IRP");
        }
    }
}

} // namespace

void start_workers() {
    auto &m = manager();
    if (m.workers_started) {
        return;
    }
    m.workers_started = true;
    for (WorkPool *pool : {&m.critical, &m.delayed}) {
        for (int i = 0; i < pool->threads; ++i) {
            world().spawn(pool->name + (" " + std::to_string(i)), nullptr, [pool] { worker(*pool); }, true);
        }
    }
}

void queue_work(WorkPool &pool, std::function<void()> job) {
    pool.jobs.push_back(std::move(job));
    world().wake(&pool);
}

namespace {

/// POST-10, X02.
NTSTATUS answer_to_non_irp() {
    switch (reading<QueueOfNonIrp>()) {
    case QueueOfNonIrp::NotSafe:
        return STATUS_FLT_NOT_SAFE_TO_POST_OPERATION;
    case QueueOfNonIrp::InvalidParameter:
        return STATUS_INVALID_PARAMETER;
    case QueueOfNonIrp::InvalidDeviceRequest:
        return STATUS_INVALID_DEVICE_REQUEST;
    case QueueOfNonIrp::Accepted:
        break;
    }
    return STATUS_SUCCESS;
}

/// What some readings refuse and others take: they are about post-operations.
bool refused_by_reading(const CallRecord &call) {
    if (call.kind == CallRecord::Kind::Pre) {
        return false;
    }
    switch (call.operation->major) {
    case IRP_MJ_READ:
    case IRP_MJ_WRITE:
    case IRP_MJ_FLUSH_BUFFERS:
        if (reading<ReadWriteFlush>() == ReadWriteFlush::Refused) {
            return true;
        }
        break;
    case IRP_MJ_CREATE:
        return reading<PendedCreate>() == PendedCreate::Refused;
    default:
        break;
    }
    return reading<PendOfSynchronized>() == PendOfSynchronized::Refused &&
           state_of(*call.operation).frames[call.frame].synchronize;
}

/// The tests that look at the operation and its thread.
NTSTATUS safe_to_post(const CallRecord &call) {
    const io::Operation &operation = *call.operation;
    if (operation.form != io::Form::Irp) {
        return answer_to_non_irp();
    }
    if (refused_by_reading(call)) {
        return STATUS_FLT_NOT_SAFE_TO_POST_OPERATION;
    }
    if ((operation.irp_flags & IRP_PAGING_IO) != 0) {
        return STATUS_FLT_NOT_SAFE_TO_POST_OPERATION; // POST-11
    }
    if (current_thread().top_level_irp && !fault("FltQueueDeferredIoWorkItem:TopLevelIrp")) {
        return STATUS_FLT_NOT_SAFE_TO_POST_OPERATION; // POST-12
    }
    return STATUS_SUCCESS;
}

} // namespace

RoutineHold hold_for_routine(const std::shared_ptr<Instance> &instance) {
    const bool rundown = reading<DeferredReference>() != DeferredReference::GivenBack;
    instance->rundown += rundown ? 1 : 0;
    ++instance->queued;
    return {instance, rundown};
}

void enter_routine(const RoutineHold &hold) {
    const Filter &filter = *hold.instance->filter;
    if (filter.image_gone) {
        bugcheck("UNL-07 code of an unloaded image", "system worker",
                 "a deferred routine of " + narrow(filter.name) +
                     " has still to run; its operation was given back, and nothing has kept the image since");
    }
    filter.driver->routines.insert(&executing());
}

void leave_routine(const RoutineHold &hold) {
    Filter &filter = *hold.instance->filter;
    filter.driver->routines.erase(&executing());
    executing().image_gone = nullptr;
    world().wake(filter.driver);
    --hold.instance->queued;
    hold.instance->rundown -= hold.rundown ? 1 : 0;
    world().wake(&filter);
    world().wake(hold.instance.get());
}

NTSTATUS may_post(const CallRecord &call) {
    const NTSTATUS deleting = call.instance->deleting() || call.instance->filter->unregistering
                                  ? STATUS_FLT_DELETING_OBJECT // POST-14
                                  : STATUS_SUCCESS;
    const NTSTATUS safe = safe_to_post(call);
    const bool deleting_first = reading<RefusalOrder>() == RefusalOrder::DeletingFirst;
    const NTSTATUS first = deleting_first ? deleting : safe;
    return NT_SUCCESS(first) ? (deleting_first ? safe : deleting) : first;
}

namespace {

DeferredItem &item_of(PFLT_DEFERRED_IO_WORKITEM item, const char *api) {
    auto &m = manager();
    const auto found = m.items.find(item);
    if (found == m.items.end()) {
        bugcheck("V4 deferred work item", api,
                 m.memory.released(item) ? "the work item was freed already"
                                         : "the pointer is not a deferred work item");
    }
    return found->second;
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// A deferred work item, or null when memory is short [POST-01]. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL PFLT_DEFERRED_IO_WORKITEM FLTAPI FltAllocateDeferredIoWorkItem(void) {
    KernelCall call("FltAllocateDeferredIoWorkItem");
    if (fault("FltAllocateDeferredIoWorkItem")) {
        return nullptr;
    }
    auto &m = manager();
    constexpr size_t kOpaqueBytes = 64;
    auto *item = static_cast<PFLT_DEFERRED_IO_WORKITEM>(m.memory.allocate(kOpaqueBytes, "deferred work item", 0xCC));
    m.items[item] = DeferredItem{};
    return item;
}

/// Frees it: by its own routine, or by who could not queue it [POST-04, POST-16]. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltFreeDeferredIoWorkItem(PFLT_DEFERRED_IO_WORKITEM FltWorkItem) {
    KernelCall call("FltFreeDeferredIoWorkItem");
    if (item_of(FltWorkItem, "FltFreeDeferredIoWorkItem").state == DeferredItem::State::Queued) {
        bugcheck("V4 deferred work item", "FltFreeDeferredIoWorkItem",
                 "the work item is queued: its routine has not run yet");
    }
    manager().items.erase(FltWorkItem);
    manager().memory.release(FltWorkItem);
}

/// Hands an operation to a system worker. STATUS_FLT_DELETING_OBJECT, STATUS_FLT_NOT_SAFE_TO_POST_OPERATION [POST-10..14]: then the item is
/// still the caller's, and the operation has to be finished in the callback [POST-16]. After success the routine may already have
/// run: the caller touches neither item nor data [POST-07]. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltQueueDeferredIoWorkItem(PFLT_DEFERRED_IO_WORKITEM FltWorkItem, PFLT_CALLBACK_DATA Data,
                                                         PFLT_DEFERRED_IO_WORKITEM_ROUTINE WorkerRoutine,
                                                         WORK_QUEUE_TYPE QueueType, PVOID Context) {
    constexpr const char *kApi = "FltQueueDeferredIoWorkItem";
    KernelCall kernel(kApi);
    auto &m = manager();
    DeferredItem &item = item_of(FltWorkItem, kApi);
    const auto call = call_of(Data, kApi);
    if (item.state == DeferredItem::State::Queued) {
        bugcheck("V4 deferred work item", kApi, "the work item is queued already");
    }
    if (QueueType != CriticalWorkQueue && QueueType != DelayedWorkQueue) {
        bugcheck("POST-03 queue type", kApi, "only CriticalWorkQueue and DelayedWorkQueue are for drivers");
    }
    if (!WorkerRoutine) {
        bugcheck("VER-02 parameter", kApi, "WorkerRoutine is null");
    }
    if (call->kind == CallRecord::Kind::Draining) {
        bugcheck("V2 deferred in a draining call", kApi,
                 describe(*call->operation) + ": a draining post-operation must not queue the operation [DRAIN-04]");
    }
    if (call->queued) {
        bugcheck("V4 deferred work item", kApi, describe(*call->operation) + ": the operation was queued already");
    }
    NTSTATUS status = may_post(*call);
    if (NT_SUCCESS(status)) {
        status = failing(kApi).value_or(status);
    }
    if (!NT_SUCCESS(status)) {
        world().note(describe(*call->operation) + ": queueing refused, " +
                     (status == STATUS_FLT_DELETING_OBJECT ? "STATUS_FLT_DELETING_OBJECT"
                                                           : "STATUS_FLT_NOT_SAFE_TO_POST_OPERATION"));
        return status;
    }

    call->queued = true;
    item.state = DeferredItem::State::Queued;
    item.last_filter = call->instance->filter;
    const auto instance = call->instance;
    const RoutineHold hold = hold_for_routine(instance);
    world().note(describe(*call->operation) + ": queued by " + describe(*instance) +
                 (QueueType == CriticalWorkQueue ? ", critical" : ", delayed"));
    queue_work(QueueType == CriticalWorkQueue ? m.critical : m.delayed, [=] {
        item_of(FltWorkItem, "system worker").state = DeferredItem::State::Running;
        enter_routine(hold);
        {
            DriverCall driver("deferred work item routine");
            WorkerRoutine(FltWorkItem, Data, Context);
        }
        const auto left = manager().items.find(FltWorkItem);
        if (left != manager().items.end() && left->second.state == DeferredItem::State::Running) {
            left->second.state = DeferredItem::State::Idle;
        }
        leave_routine(hold);
    });
    return STATUS_SUCCESS;
}
