// SPDX-License-Identifier: MIT
//
// This module provides: the instances of a volume from top to bottom, as filters may walk them; and a volume by its device object.
//
// One that is attaching is not there yet, one that is going is not there any more.

#include <algorithm>

#include "flt/internal.hpp"

namespace fltsim::flt {

namespace {

bool is_there(const std::shared_ptr<Instance> &instance) {
    return instance->state == Instance::State::Active;
}

/// The first of a range that is there, referenced.
template <class Iterator> NTSTATUS first_there(Iterator begin, Iterator end, PFLT_INSTANCE *instance) {
    const auto found = std::find_if(begin, end, is_there);
    *instance = nullptr;
    if (found == end) {
        return STATUS_NO_MORE_ENTRIES;
    }
    ++(*found)->rundown;
    *instance = (*found)->handle();
    return STATUS_SUCCESS;
}

void check_result(const char *api, const void *result) {
    if (result == nullptr) {
        bugcheck("VER-02 parameter", api, "the place for the result is null");
    }
}

/// The instances of that one's volume, and where it is among them; at the end when it is detached already.
auto place_of(const Instance &instance) {
    const auto &all = instance.volume->instances;
    return std::pair{&all, std::ranges::find(all, &instance, [](const auto &other) { return other.get(); })};
}

} // namespace

} // namespace fltsim::flt

using namespace fltsim;
using namespace fltsim::flt;

/// STATUS_NO_MORE_ENTRIES: the volume has none. IRQL <= APC_LEVEL. These four reference what they give (FltObjectDereference).
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetTopInstance(PFLT_VOLUME Volume, PFLT_INSTANCE *Instance) {
    constexpr const char *kApi = "FltGetTopInstance";
    KernelCall call(kApi, APC_LEVEL);
    check_result(kApi, Instance);
    const auto &all = volume_of(Volume, kApi)->instances;
    return first_there(all.begin(), all.end(), Instance);
}

/// The same from below. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetBottomInstance(PFLT_VOLUME Volume, PFLT_INSTANCE *Instance) {
    constexpr const char *kApi = "FltGetBottomInstance";
    KernelCall call(kApi, APC_LEVEL);
    check_result(kApi, Instance);
    const auto &all = volume_of(Volume, kApi)->instances;
    return first_there(all.rbegin(), all.rend(), Instance);
}

/// STATUS_NO_MORE_ENTRIES: it is the highest. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetUpperInstance(PFLT_INSTANCE CurrentInstance, PFLT_INSTANCE *UpperInstance) {
    constexpr const char *kApi = "FltGetUpperInstance";
    KernelCall call(kApi, APC_LEVEL);
    check_result(kApi, UpperInstance);
    const auto current = instance_of(CurrentInstance, kApi);
    const auto [all, at] = place_of(*current);
    return first_there(at == all->end() ? all->rend() : std::make_reverse_iterator(at), all->rend(), UpperInstance);
}

/// STATUS_NO_MORE_ENTRIES: it is the lowest. IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetLowerInstance(PFLT_INSTANCE CurrentInstance, PFLT_INSTANCE *LowerInstance) {
    constexpr const char *kApi = "FltGetLowerInstance";
    KernelCall call(kApi, APC_LEVEL);
    check_result(kApi, LowerInstance);
    const auto current = instance_of(CurrentInstance, kApi);
    const auto [all, at] = place_of(*current);
    return first_there(at == all->end() ? at : at + 1, all->end(), LowerInstance);
}

/// The volume of a device object, which files have, referenced. STATUS_INVALID_PARAMETER: there is none of it; STATUS_FLT_DELETING_OBJECT.
/// IRQL <= APC_LEVEL.
FLTSIM_KERNEL NTSTATUS FLTAPI FltGetVolumeFromDeviceObject(PFLT_FILTER Filter, PDEVICE_OBJECT DeviceObject,
                                                           PFLT_VOLUME *RetVolume) {
    constexpr const char *kApi = "FltGetVolumeFromDeviceObject";
    KernelCall call(kApi, APC_LEVEL);
    check_result(kApi, RetVolume);
    filter_of(Filter, kApi);
    *RetVolume = nullptr;
    const auto &volumes = world().io->volumes();
    const auto found = std::ranges::find(volumes, DeviceObject, [](const auto &volume) { return &volume->device; });
    if (found == volumes.end()) {
        return STATUS_INVALID_PARAMETER;
    }
    VolumeState &volume = volume_state(**found);
    if (volume.dismounting) {
        return STATUS_FLT_DELETING_OBJECT;
    }
    ++volume.references;
    *RetVolume = reinterpret_cast<PFLT_VOLUME>(&volume);
    return STATUS_SUCCESS;
}
