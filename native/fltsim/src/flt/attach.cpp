// SPDX-License-Identifier: MIT
//
// This module provides: how a driver finds filters, volumes and instances, and attaches and detaches instances itself.
//
// A list that does not fit, or that has no room at all, is STATUS_BUFFER_TOO_SMALL with the number there is; the documentation says so of one that is too
// small, for a null list it is [E]. What is being torn down, or is attaching, is in no list: it cannot be referenced [E].

#include "flt/internal.hpp"

#include "core/faults.hpp"

namespace fltsim::flt {

namespace {

void check_count(const char *api, const void *list, ULONG size, const ULONG *returned) {
    if (returned == nullptr) {
        bugcheck("VER-02 parameter", api, "the number that is returned has no place");
    }
    if (list == nullptr && size != 0) {
        bugcheck("VER-02 parameter", api, "the list is null, and its size is not 0");
    }
}

/// Whether what was found fits; the number is told in any case.
NTSTATUS count_found(const char *api, size_t found, ULONG size, ULONG *returned) {
    *returned = static_cast<ULONG>(found);
    return failing(api).value_or(found > size ? STATUS_BUFFER_TOO_SMALL : STATUS_SUCCESS);
}

NTSTATUS reference_filter(Filter &filter, PFLT_FILTER *result) {
    if (filter.unregistering) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    ++filter.references;
    *result = filter.handle();
    return STATUS_SUCCESS;
}

/// FltAttachVolume and, with an altitude, FltAttachVolumeAtAltitude.
NTSTATUS attach_for_driver(const char *api, PFLT_FILTER filter_handle, PFLT_VOLUME volume_handle,
                           std::u16string_view altitude, PCUNICODE_STRING name, PFLT_INSTANCE *result) {
    if (result != nullptr) {
        *result = nullptr;
    }
    const auto filter = filter_of(filter_handle, api);
    VolumeState &volume = *volume_of(volume_handle, api);
    if (const auto failure = failing(api)) {
        return *failure;
    }
    if (volume.dismounting) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    std::shared_ptr<Instance> made;
    const NTSTATUS status =
        attach_manually(filter, *volume.volume, name != nullptr ? view(*name) : std::u16string_view(), altitude, &made);
    if (NT_SUCCESS(status) && result != nullptr) {
        ++made->rundown;
        *result = made->handle();
    }
    return status;
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// All filters, referenced. STATUS_BUFFER_TOO_SMALL, with their number. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltEnumerateFilters(PFLT_FILTER *FilterList, ULONG FilterListSize,
                                                  PULONG NumberFiltersReturned) {
    constexpr const char *kApi = "FltEnumerateFilters";
    KernelCall call(kApi, APC_LEVEL);
    check_count(kApi, FilterList, FilterListSize, NumberFiltersReturned);
    std::vector<Filter *> found;
    for (const auto &filter : manager().filters) {
        if (!filter->unregistering) {
            found.push_back(filter.get());
        }
    }
    const NTSTATUS status = count_found(kApi, found.size(), FilterListSize, NumberFiltersReturned);
    for (size_t i = 0; NT_SUCCESS(status) && i < found.size(); ++i) {
        ++found[i]->references;
        FilterList[i] = found[i]->handle();
    }
    return status;
}

/// All volumes, referenced. STATUS_BUFFER_TOO_SMALL, with their number. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltEnumerateVolumes(PFLT_FILTER Filter, PFLT_VOLUME *VolumeList, ULONG VolumeListSize,
                                                  PULONG NumberVolumesReturned) {
    constexpr const char *kApi = "FltEnumerateVolumes";
    KernelCall call(kApi, APC_LEVEL);
    filter_of(Filter, kApi);
    check_count(kApi, VolumeList, VolumeListSize, NumberVolumesReturned);
    std::vector<VolumeState *> found;
    for (const auto &volume : world().io->volumes()) {
        VolumeState &state = volume_state(*volume);
        if (!state.dismounting) {
            found.push_back(&state);
        }
    }
    const NTSTATUS status = count_found(kApi, found.size(), VolumeListSize, NumberVolumesReturned);
    for (size_t i = 0; NT_SUCCESS(status) && i < found.size(); ++i) {
        ++found[i]->references;
        VolumeList[i] = reinterpret_cast<PFLT_VOLUME>(found[i]);
    }
    return status;
}

/// The instances of a volume, of a filter, or of a filter on a volume, referenced. STATUS_INVALID_PARAMETER: neither is given; STATUS_BUFFER_TOO_SMALL, with
/// their number. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltEnumerateInstances(PFLT_VOLUME Volume, PFLT_FILTER Filter, PFLT_INSTANCE *InstanceList,
                                                    ULONG InstanceListSize, PULONG NumberInstancesReturned) {
    constexpr const char *kApi = "FltEnumerateInstances";
    KernelCall call(kApi, APC_LEVEL);
    check_count(kApi, InstanceList, InstanceListSize, NumberInstancesReturned);
    *NumberInstancesReturned = 0;
    if (Volume == nullptr && Filter == nullptr) {
        return STATUS_INVALID_PARAMETER;
    }
    const VolumeState *volume = Volume != nullptr ? volume_of(Volume, kApi) : nullptr;
    const auto filter = Filter != nullptr ? filter_of(Filter, kApi) : nullptr;
    std::vector<Instance *> found;
    for (const auto &instance : manager().instances) {
        if (instance->state == Instance::State::Active && (volume == nullptr || instance->volume == volume) &&
            (!filter || instance->filter == filter.get())) {
            found.push_back(instance.get());
        }
    }
    const NTSTATUS status = count_found(kApi, found.size(), InstanceListSize, NumberInstancesReturned);
    for (size_t i = 0; NT_SUCCESS(status) && i < found.size(); ++i) {
        ++found[i]->rundown;
        InstanceList[i] = found[i]->handle();
    }
    return status;
}

/// A filter by its name, referenced. STATUS_FLT_FILTER_NOT_FOUND, STATUS_FLT_DELETING_OBJECT. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetFilterFromName(PCUNICODE_STRING FilterName, PFLT_FILTER *RetFilter) {
    constexpr const char *kApi = "FltGetFilterFromName";
    KernelCall call(kApi, APC_LEVEL);
    if (FilterName == nullptr || RetFilter == nullptr) {
        bugcheck("VER-02 parameter", kApi, "FilterName or RetFilter is null");
    }
    *RetFilter = nullptr;
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    const auto filter = find_filter(view(*FilterName));
    return filter ? reference_filter(*filter, RetFilter) : STATUS_FLT_FILTER_NOT_FOUND;
}

/// The filter of an instance, referenced. STATUS_FLT_DELETING_OBJECT. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetFilterFromInstance(PFLT_INSTANCE Instance, PFLT_FILTER *RetFilter) {
    constexpr const char *kApi = "FltGetFilterFromInstance";
    KernelCall call(kApi, APC_LEVEL);
    if (RetFilter == nullptr) {
        bugcheck("VER-02 parameter", kApi, "RetFilter is null");
    }
    *RetFilter = nullptr;
    const auto instance = instance_of(Instance, kApi);
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    return instance->deleting() ? STATUS_FLT_DELETING_OBJECT : reference_filter(*instance->filter, RetFilter);
}

/// Attaches the filter's default instance, or the named one, where its service's definition puts it. *RetInstance is referenced. The statuses of
/// FilterAttach. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltAttachVolume(PFLT_FILTER Filter, PFLT_VOLUME Volume, PCUNICODE_STRING InstanceName,
                                              PFLT_INSTANCE *RetInstance) {
    constexpr const char *kApi = "FltAttachVolume";
    KernelCall call(kApi, PASSIVE_LEVEL);
    return attach_for_driver(kApi, Filter, Volume, {}, InstanceName, RetInstance);
}

/// The same at an altitude of the caller's choice, for debugging. IRQL PASSIVE_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltAttachVolumeAtAltitude(PFLT_FILTER Filter, PFLT_VOLUME Volume,
                                                        PCUNICODE_STRING Altitude, PCUNICODE_STRING InstanceName,
                                                        PFLT_INSTANCE *RetInstance) {
    constexpr const char *kApi = "FltAttachVolumeAtAltitude";
    KernelCall call(kApi, PASSIVE_LEVEL);
    if (Altitude == nullptr || Altitude->Length == 0) {
        bugcheck("VER-02 parameter", kApi, "Altitude is null or empty");
    }
    return attach_for_driver(kApi, Filter, Volume, view(*Altitude), InstanceName, RetInstance);
}

/// Tears an instance down: the named one, or the filter's highest on the volume. Its InstanceQueryTeardown may say no. STATUS_FLT_INSTANCE_NOT_FOUND,
/// STATUS_FLT_DELETING_OBJECT, STATUS_FLT_DO_NOT_DETACH. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltDetachVolume(PFLT_FILTER Filter, PFLT_VOLUME Volume, PCUNICODE_STRING InstanceName) {
    constexpr const char *kApi = "FltDetachVolume";
    KernelCall call(kApi, APC_LEVEL);
    const auto filter = filter_of(Filter, kApi);
    const VolumeState &volume = *volume_of(Volume, kApi);
    if (const auto failure = failing(kApi)) {
        return *failure;
    }
    return detach_manually(filter, *volume.volume,
                           InstanceName != nullptr ? view(*InstanceName) : std::u16string_view());
}
