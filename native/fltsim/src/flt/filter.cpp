// SPDX-License-Identifier: MIT
//
// This module provides: registration of filters: FltRegisterFilter, FltStartFiltering, FltUnregisterFilter [REG-01..09, UNL-05, SIM-12].

#include "flt/internal.hpp"

#include <algorithm>
#include <cstring>

#include "core/faults.hpp"

namespace fltsim::flt {

namespace {

Driver *driver_of(PDRIVER_OBJECT object) {
    for (const auto &driver : manager().drivers) {
        if (&driver->object == object) {
            return driver.get();
        }
    }
    bugcheck("VER-02 bad object", "FltRegisterFilter", "the PDRIVER_OBJECT is not that of a loaded driver");
}

/// FltMgr owns DriverUnload: a service stop comes in here. The loader calls FilterUnloadCallback itself and only checks the pointer.
VOID NTAPI miniport_unload(PDRIVER_OBJECT DriverObject) {
    (void)DriverObject;
}

/// Size of FLT_REGISTRATION for the registration version; 0 for a version that is refused [REG-01].
size_t registration_size(USHORT version) {
    if ((version & 0xFF00) != (FLT_REGISTRATION_VERSION & 0xFF00)) {
        return 0;
    }
    const USHORT minor = version & 0xFF;
    return minor >= 3 ? 0x70 : minor == 2 ? 0x68 : 0x58;
}

NTSTATUS copy_operations(Filter &filter, const FLT_OPERATION_REGISTRATION *entry) {
    for (; entry && entry->MajorFunction != static_cast<UCHAR>(IRP_MJ_OPERATION_END); ++entry) {
        const UCHAR major = entry->MajorFunction;
        if (major == IRP_MJ_POWER || major == IRP_MJ_DEVICE_CHANGE ||
            (major == IRP_MJ_SHUTDOWN && entry->PostOperation)) {
            return STATUS_INVALID_PARAMETER; // REG-05
        }
        filter.operations[major] = {true, entry->Flags, entry->PreOperation, entry->PostOperation};
    }
    return STATUS_SUCCESS;
}

NTSTATUS copy_contexts(Filter &filter, const FLT_CONTEXT_REGISTRATION *entry) {
    struct Count {
        int fixed = 0;
        int variable = 0;
        int own_memory = 0;
    };
    std::map<FLT_CONTEXT_TYPE, Count> counts;
    for (; entry && entry->ContextType != FLT_CONTEXT_END; ++entry) {
        const bool own_memory = entry->ContextAllocateCallback != nullptr; // then Size and PoolTag do not count
        if (own_memory != (entry->ContextFreeCallback != nullptr)) {
            unmodelled("FltRegisterFilter", "one of ContextAllocateCallback and ContextFreeCallback without the other");
        }
        const bool variable = own_memory || entry->Size == FLT_VARIABLE_SIZED_CONTEXTS;
        auto &[fixed, variables, own] = counts[entry->ContextType];
        if (++(own_memory ? own : variable ? variables : fixed) > (variable ? 1 : 3) || (own && (fixed || variables))) {
            return STATUS_FLT_INVALID_CONTEXT_REGISTRATION; // REG-06
        }
        filter.contexts.push_back({entry->ContextType, entry->Flags, entry->ContextCleanupCallback,
                                   variable ? 0 : entry->Size, variable, entry->ContextAllocateCallback,
                                   entry->ContextFreeCallback});
    }
    return STATUS_SUCCESS;
}

std::string references_left(const Filter &filter) {
    std::string text = "filter " + narrow(filter.name) + ": unload waits for " + std::to_string(filter.references) +
                       " reference(s) on the filter";
    for (const auto &instance : filter.instances) {
        if (instance->rundown != 0) {
            text += ", " + std::to_string(instance->rundown) + " on instance " + describe(*instance) +
                    " (FltObjectReference, work items whose routine has not returned, or operations that it has begun)";
        }
    }
    return text;
}

/// Of either kind of work item.
template <class Items> void report_left(Items &items, const Driver &driver, bool last, const char *what) {
    std::erase_if(items, [&](const auto &entry) {
        const DeferredItem &item = entry.second;
        const bool its = item.last_filter ? item.last_filter->driver == &driver : last;
        if (!its || item.state != DeferredItem::State::Idle) {
            return false; // its routine has still to free it
        }
        world().leak("driver " + narrow(driver.service) + ": a " + what + " work item was never freed (V4)");
        manager().memory.release(entry.first);
        return true;
    });
}

} // namespace

void report_item_leaks(const Driver &driver) {
    auto &m = manager();
    const bool last = m.drivers.size() == 1;
    report_left(m.items, driver, last, "deferred");
    report_left(m.generic_items, driver, last, "generic");
    if (last) {
        report_name_leaks(nullptr, "driver " + narrow(driver.service));
        for (PSECURITY_DESCRIPTOR descriptor : m.descriptors) {
            world().leak("driver " + narrow(driver.service) + ": a security descriptor was never freed");
            m.memory.release(descriptor);
        }
        m.descriptors.clear();
    }
}

std::shared_ptr<Filter> find_filter(std::u16string_view name) {
    for (const auto &filter : manager().filters) {
        if (equal_names(filter->name, name)) {
            return filter;
        }
    }
    return nullptr;
}

void forget_filter(const std::shared_ptr<Filter> &filter) {
    auto &m = manager();
    std::erase_if(m.instances, [&](const auto &instance) { return instance->filter == filter.get(); });
    filter->instances.clear();
    std::erase(m.filters, filter);
    m.graveyard.push_back(filter);
    world().note("filter " + narrow(filter->name) + ": unregistered");
}

void unregister_filter(const std::shared_ptr<Filter> &filter) {
    filter->unregistering = true;
    close_ports_for_unregister(*filter);
    const FLT_INSTANCE_TEARDOWN_FLAGS reason = filter->mandatory_unload
                                                   ? FLTFL_INSTANCE_TEARDOWN_MANDATORY_FILTER_UNLOAD
                                                   : FLTFL_INSTANCE_TEARDOWN_FILTER_UNLOAD;
    const auto next = [&]() -> std::shared_ptr<Instance> {
        for (const auto &instance : filter->instances) {
            if (instance->state != Instance::State::Gone) {
                return instance;
            }
        }
        return nullptr;
    };
    while (const auto instance = next()) {
        if (instance->state == Instance::State::Active) {
            teardown(instance, reason);
        } else if (!wait_for(
                       instance.get(),
                       [&] {
                           return instance->state == Instance::State::Active ||
                                  instance->state == Instance::State::Gone;
                       },
                       [&] {
                           return "instance " + describe(*instance) +
                                  ": another thread attaches or detaches it and does not end";
                       })) {
            return; // the world ends
        }
    }
    const auto unreferenced = [&] {
        return filter->references == 0 && std::all_of(filter->instances.begin(), filter->instances.end(),
                                                      [](const auto &i) { return i->rundown == 0; });
    };
    if (!wait_for(filter.get(), unreferenced, [&] { return references_left(*filter); })) {
        return;
    }
    for (size_t i = 0; i < manager().volumes.size(); ++i) { // on volumes where it has no instance
        unlink_volume_contexts(*manager().volumes[i], *filter, "FltUnregisterFilter");
    }
    report_context_leaks(*filter);
    report_name_leaks(filter.get(), "filter " + narrow(filter->name));
    report_generated_leaks(*filter);
    report_ecp_leaks(*filter);
    forget_filter(filter);
}

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// Registers a filter for a driver that is loading. STATUS_INVALID_PARAMETER, STATUS_INSUFFICIENT_RESOURCES,
/// STATUS_OBJECT_NAME_NOT_FOUND (no Instances key), STATUS_FLT_INVALID_CONTEXT_REGISTRATION [REG-01..07]. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltRegisterFilter(PDRIVER_OBJECT Driver, const FLT_REGISTRATION *Registration,
                                                PFLT_FILTER *RetFilter) {
    KernelCall call("FltRegisterFilter", APC_LEVEL);
    *RetFilter = nullptr;
    if (const auto failure = failing("FltRegisterFilter")) {
        return *failure;
    }
    auto &m = manager();
    fltsim::flt::Driver *driver = driver_of(Driver);
    const size_t size = registration_size(Registration->Version);
    if (size == 0 || Registration->Size != size) {
        return STATUS_INVALID_PARAMETER;
    }
    FLT_REGISTRATION copy{};
    std::memcpy(&copy, Registration, size);
    if (!instance_definition(driver->service, u"")) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    if (find_filter(driver->service)) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    if (copy.GenerateFileNameCallback || copy.NormalizeNameComponentCallback || copy.NormalizeNameComponentExCallback) {
        unmodelled("FltRegisterFilter", "name provider callbacks");
    }

    auto filter = std::make_shared<Filter>();
    filter->driver = driver;
    filter->name = driver->service;
    filter->flags = copy.Flags;
    filter->unload = copy.FilterUnloadCallback;
    filter->setup = copy.InstanceSetupCallback;
    filter->query_teardown = copy.InstanceQueryTeardownCallback;
    filter->teardown_start = copy.InstanceTeardownStartCallback;
    filter->teardown_complete = copy.InstanceTeardownCompleteCallback;
    NTSTATUS status = copy_operations(*filter, copy.OperationRegistration);
    if (NT_SUCCESS(status)) {
        status = copy_contexts(*filter, copy.ContextRegistration);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    start_workers();
    Driver->DriverUnload = miniport_unload;
    m.filters.push_back(filter);
    *RetFilter = filter->handle();
    world().note("filter " + narrow(filter->name) + ": registered");
    return STATUS_SUCCESS;
}

/// Attaches automatic instances and lets callbacks begin, possibly before it returns [REG-08]. STATUS_INVALID_PARAMETER the second time,
/// STATUS_FLT_DELETING_OBJECT. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltStartFiltering(PFLT_FILTER Filter) {
    KernelCall call("FltStartFiltering", APC_LEVEL);
    const auto filter = filter_of(Filter, "FltStartFiltering");
    if (const auto failure = failing("FltStartFiltering")) {
        return *failure;
    }
    if (filter->unregistering) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    if (filter->started) {
        return STATUS_INVALID_PARAMETER;
    }
    filter->started = true;
    constexpr uint32_t kNoAutomaticAttach = 1; // INF-02
    const auto definition = instance_definition(filter->name, u"");
    if (definition && (definition->flags & kNoAutomaticAttach) == 0) {
        for (const auto &volume : world().io->volumes()) {
            // A volume that the filter declines is simply not filtered.
            (void)attach_instance(filter, *volume, definition->name, definition->altitude,
                                  FLTFL_INSTANCE_SETUP_AUTOMATIC_ATTACHMENT);
        }
    }
    return STATUS_SUCCESS;
}

/// Tears all instances down, waits for every reference, forgets the filter [UNL-05]. Waits without a limit. IRQL <= APC_LEVEL.
FLTSIM_KERNEL VOID FLTAPI FltUnregisterFilter(PFLT_FILTER Filter) {
    KernelCall call("FltUnregisterFilter", APC_LEVEL);
    const auto filter = filter_of(Filter, "FltUnregisterFilter");
    if (filter->unregistering) {
        bugcheck("VER-02 parameter", "FltUnregisterFilter", "the filter is being unregistered already");
    }
    unregister_filter(filter);
}
