// SPDX-License-Identifier: MIT
//
// This module provides: generic work items, for what a filter has to do at PASSIVE_LEVEL and is no operation [SIM-13].
//
//      Idle --FltQueueGenericWorkItem--> Queued --worker--> Running --routine returned--> Idle
//      freed in Idle or Running; freed or queued again while Queued is V4.
//
// The filter or instance that an item is queued with stays referenced until the routine has returned: unload waits for it [UNL-05].

#include "flt/internal.hpp"

#include "core/faults.hpp"

namespace fltsim::flt {

namespace {

DeferredItem &item_of(PFLT_GENERIC_WORKITEM item, const char *api) {
    auto &m = manager();
    const auto found = m.generic_items.find(item);
    if (found == m.generic_items.end()) {
        bugcheck("V4 generic work item", api,
                 m.memory.released(item) ? "the work item was freed already"
                                         : "the pointer is not a generic work item");
    }
    return found->second;
}

/// What an item is queued with: a filter, or an instance and its filter.
struct Target {
    std::shared_ptr<Filter> filter;
    std::shared_ptr<Instance> instance;

    bool deleting() const {
        return instance ? instance->deleting() || instance->filter->unregistering : filter->unregistering;
    }
    Filter *owner() const { return instance ? instance->filter : filter.get(); }
    std::string text() const { return instance ? describe(*instance) : "filter " + narrow(filter->name); }
    void reference() const { ++(instance ? instance->rundown : filter->references); }
    void dereference() const {
        --(instance ? instance->rundown : filter->references);
        world().wake(owner());
    }
};

Target target_of(PVOID object, const char *api) {
    auto &m = manager();
    for (const auto &filter : m.filters) {
        if (filter.get() == object) {
            return {filter, nullptr};
        }
    }
    for (const auto &instance : m.instances) {
        if (instance.get() == object) {
            return {nullptr, instance};
        }
    }
    bugcheck("VER-02 parameter", api, "FltObject is no filter and no instance, or is gone");
}

/// A callback of this thread that is running may have given its operation to the item [POST-19].
void hand_on() {
    for (const auto &[data, call] : manager().calls) {
        if (call->running && call->thread == &executing()) {
            call->handed_on = true;
        }
    }
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// A generic work item, or null when memory is short. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL PFLT_GENERIC_WORKITEM FLTAPI FltAllocateGenericWorkItem(void) {
    KernelCall call("FltAllocateGenericWorkItem");
    if (fault("FltAllocateGenericWorkItem")) {
        return nullptr;
    }
    auto &m = manager();
    constexpr size_t kOpaqueBytes = 64;
    auto *item = static_cast<PFLT_GENERIC_WORKITEM>(m.memory.allocate(kOpaqueBytes, "generic work item", 0xCC));
    m.generic_items[item] = DeferredItem{};
    return item;
}

/// Frees it: by its own routine, or when it is not queued. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltFreeGenericWorkItem(PFLT_GENERIC_WORKITEM FltWorkItem) {
    constexpr const char *kApi = "FltFreeGenericWorkItem";
    KernelCall call(kApi);
    if (item_of(FltWorkItem, kApi).state == DeferredItem::State::Queued) {
        bugcheck("V4 generic work item", kApi, "the work item is queued: its routine has not run yet");
    }
    manager().generic_items.erase(FltWorkItem);
    manager().memory.release(FltWorkItem);
}

/// Has a system worker call the routine with FltObject, a filter or an instance. STATUS_FLT_DELETING_OBJECT when that is being torn down: then
/// the item is still the caller's. After success the routine may already have run. IRQL <= DISPATCH_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltQueueGenericWorkItem(PFLT_GENERIC_WORKITEM FltWorkItem, PVOID FltObject,
                                                      PFLT_GENERIC_WORKITEM_ROUTINE WorkerRoutine,
                                                      WORK_QUEUE_TYPE QueueType, PVOID Context) {
    constexpr const char *kApi = "FltQueueGenericWorkItem";
    KernelCall kernel(kApi);
    auto &m = manager();
    DeferredItem &item = item_of(FltWorkItem, kApi);
    if (item.state == DeferredItem::State::Queued) {
        bugcheck("V4 generic work item", kApi, "the work item is queued already");
    }
    if (QueueType != CriticalWorkQueue && QueueType != DelayedWorkQueue) {
        bugcheck("POST-03 queue type", kApi, "only CriticalWorkQueue and DelayedWorkQueue are for drivers");
    }
    if (!WorkerRoutine) {
        bugcheck("VER-02 parameter", kApi, "WorkerRoutine is null");
    }
    const Target target = target_of(FltObject, kApi);
    NTSTATUS status = target.deleting() ? STATUS_FLT_DELETING_OBJECT : STATUS_SUCCESS; // LIFE-15
    if (NT_SUCCESS(status)) {
        status = failing(kApi).value_or(status);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    item.state = DeferredItem::State::Queued;
    item.last_filter = target.owner();
    target.reference();
    hand_on();
    world().note("generic work item queued for " + target.text() +
                 (QueueType == CriticalWorkQueue ? ", critical" : ", delayed"));
    queue_work(QueueType == CriticalWorkQueue ? m.critical : m.delayed, [=] {
        item_of(FltWorkItem, "system worker").state = DeferredItem::State::Running;
        {
            DriverCall driver("generic work item routine");
            WorkerRoutine(FltWorkItem, FltObject, Context);
        }
        const auto left = manager().generic_items.find(FltWorkItem);
        if (left != manager().generic_items.end() && left->second.state == DeferredItem::State::Running) {
            left->second.state = DeferredItem::State::Idle;
        }
        target.dereference();
    });
    return STATUS_SUCCESS;
}
